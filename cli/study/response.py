"""`rgtool response`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from ...schemas.errors import UsageError
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

if TYPE_CHECKING:
    from ...analysis.response.response import Coordinates


@output_options
@heeding_sigterm()
def response(
    experiment: Annotated[str, typer.Argument(help="Prefix of an id, or resnet20/cifar10.")],
    level: Annotated[int, typer.Option(help="Level of the tickets that are perturbed.")],
    levels: Annotated[int, typer.Option(help="Prunings after which deviations are read.")] = 2,
    by: Annotated[str, typer.Option(help="Grouping: layer, block, stage or role.")] = "block",
    factor: Annotated[
        float, typer.Option(help="What a group's count is multiplied by, and divided by.")
    ] = 0.8,
    choice: Annotated[
        str, typer.Option(help="random: any weights; next: those that go next, or went last.")
    ] = "random",
    seeds: Annotated[
        str | None,
        typer.Option(help="A count or seeds (3,7).", show_default="those of the experiment"),
    ] = None,
    coordinates: Annotated[
        str, typer.Option(help="share, or scale: effective scales, by layer.")
    ] = "share",
    window: WindowOption = None,
    margin: Annotated[float, typer.Option(help="About 1, within which is marginal.")] = 0.1,
    matrix: Annotated[bool, typer.Option("--matrix", help="The operator by groups.")] = False,
    directions: Annotated[
        bool, typer.Option("--directions", help="Eigenvectors by groups, with intervals.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws behind p.")] = 0,
    dry_run: DryRunOption = False,
    plot: PlotOption = None,
    data: DataOption = None,
    using: UsingOption = None,
    store: StoreOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    kernels: KernelsOption = "auto",
) -> Table:
    """Prune on from perturbed tickets, and show the operator that carries deviations along.

    J maps deviations of log shares at a level to those some prunings on; its eigenvalues are the
    spectrum of the linearised flow: above 1 deviations grow, below they fade. Growth rates y of
    shares are another thing. The same command continues what was interrupted.

    Example: rgtool response lenet/digits --by layer --level 6 --levels 2 --dry-run
    """
    check_figure(plot)
    read = read_window(window)
    if matrix and directions:
        raise UsageError("--matrix and --directions are two tables: ask for one of them")
    from ...studies.response import finish_response, plan_response

    made = plan_response(
        store,
        experiment,
        by=by,
        level=level,
        levels=levels,
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
    found = finish_response(
        made,
        watch_plans(),
        coordinates=cast("Coordinates", coordinates),
        window=read,
        margin=margin,
        rng=seed,
    )
    warn_of(made.store.problems)
    draw_figure(plot, found.plot)
    return table_of(found.matrix if matrix else found.directions if directions else found)
