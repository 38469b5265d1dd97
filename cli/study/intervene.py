"""`rgtool intervene`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..analyse.figure import check_figure, draw_figure
from ..options import (
    DataOption,
    DeviceOption,
    DryRunOption,
    KernelsOption,
    PlotOption,
    StoreOption,
    UsingOption,
    WindowOption,
    WorkersOption,
    read_window,
)
from ..output import Table, output_options, table_of, warn_of
from ..plans import announce, heeding_sigterm, watch_plans


@output_options
@heeding_sigterm()
def intervene(
    experiment: Annotated[str, typer.Argument(help="Prefix of an id, or resnet20/cifar10.")],
    level: Annotated[int, typer.Option(help="Level of the tickets that are perturbed.")],
    by: Annotated[str, typer.Option(help="Grouping: layer, block, stage or role.")] = "block",
    factor: Annotated[
        float, typer.Option(help="What a group's count is multiplied by, and divided by.")
    ] = 0.8,
    choice: Annotated[
        str, typer.Option(help="next: weights that the flow takes next, or took last; random: any.")
    ] = "next",
    seeds: Annotated[
        str | None,
        typer.Option(help="A count or seeds (3,7).", show_default="those of the experiment"),
    ] = None,
    window: WindowOption = None,
    margin: Annotated[float, typer.Option(help="Within which an answer is flat.")] = 0.1,
    dry_run: DryRunOption = False,
    plot: PlotOption = None,
    data: DataOption = None,
    using: UsingOption = None,
    store: StoreOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    kernels: KernelsOption = "auto",
) -> Table:
    """Train tickets with one group thinner or thicker, and show how the error answers.

    chi = d ln error / d ln share of the group, the network's count held: below 0 the error falls
    where the group gains weights. Beside it stands y, the growth of the group's share, and whether
    both order the groups alike. The same command continues what was interrupted.

    Example: rgtool intervene lenet/digits --by layer --level 6 --dry-run
    """
    check_figure(plot)
    levels = read_window(window)
    from ...studies.intervene import finish_intervene
    from ...studies.perturbed_plans import plan_perturbed

    made = plan_perturbed(
        store,
        experiment,
        by=by,
        level=level,
        factor=factor,
        choice=choice,
        seeds=seeds,
        data=data,
        using=using or (),
        device=device,
        workers=workers,
        kernels=kernels,
    )
    if dry_run:
        return made.table()
    announce(made)
    found = finish_intervene(made, watch_plans(), window=levels, margin=margin)
    warn_of(made.store.problems)
    draw_figure(plot, found.plot)
    return table_of(found)
