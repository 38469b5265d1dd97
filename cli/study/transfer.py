"""`rgtool transfer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...schemas.errors import UsageError
from ...schemas.words import counted
from ..analyse.figure import check_figure, draw_figure
from ..options import (
    DataOption,
    DeviceOption,
    DryRunOption,
    KernelsOption,
    PlotOption,
    StoreOption,
    UsingOption,
    WorkersOption,
    read_fields,
)
from ..output import Table, output_options, table_of, warn_of
from ..plans import announce, heeding_sigterm, watch_plans

if TYPE_CHECKING:
    from ...analysis.result import Result
    from ...analysis.transfer.matrix import TransferMatrix
    from ...analysis.transfer.result import Transfer


@output_options
@heeding_sigterm()
def transfer(
    experiments: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE TASK", help="Where tickets come from, and a data set; or experiments."
        ),
    ],
    every: Annotated[
        bool, typer.Option("--all", help="Each of these experiments to the task of each other.")
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(help="Levels of the tickets.", metavar="LEVELS", show_default="every fourth"),
    ] = None,
    controls: Annotated[
        str, typer.Option(help="shuffle, random, reinit, permute, pixels (of a twin), or none.")
    ] = "shuffle,random,reinit",
    seeds: Annotated[
        str | None,
        typer.Option(
            help="A count, seeds (3,7), or seeds with the source's (5:0,6:1).",
            show_default="those of the source",
        ),
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="continue or restart.", show_default="as the source")
    ] = None,
    fresh: Annotated[
        str | None, typer.Option(help="Layers drawn anew, dense: conv1,fc.", metavar="LAYERS")
    ] = None,
    train_size: Annotated[
        int | None, typer.Option(help="Class-balanced training subset of the target.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any field of the target's recipe.", metavar="FIELD=VALUE"),
    ] = None,
    levels: Annotated[
        bool, typer.Option("--levels", help="With --all: every condition at every level.")
    ] = False,
    predictors: Annotated[
        bool, typer.Option("--predictors", help="With --all: what tells the loss beforehand.")
    ] = False,
    dry_run: DryRunOption = False,
    plot: PlotOption = None,
    seed: Annotated[int, typer.Option(help="Seed of tests and intervals.")] = 0,
    data: DataOption = None,
    using: UsingOption = None,
    store: StoreOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    kernels: KernelsOption = "auto",
) -> Table:
    """Train tickets of one experiment on another task, beside the target's own and controls.

    What is missing is trained, the same command goes on after an interruption. to_own is accuracy
    less that of the target's own tickets, to_shuffle less that of masks shuffled in every layer,
    both at the recorded density and over pairs of equal seeds. --all: tickets of every experiment
    on every other's task by that one's recipe, and whether the distance of spectra tells what is
    lost: a test that permutes labels, beside masks, density and a constant.

    Example: rgtool transfer lenet/digits permuted:digits:0 --at 0,4,8 --dry-run
    """
    check_figure(plot)
    from ...runner.arguments import controls_of
    from ...store import Store
    from ...studies import transfer as study
    from ...studies.transfer_plans import plan_matrix, plan_transfer

    opened = Store(store)
    launch = {
        "data": data,
        "using": using or (),
        "device": device,
        "workers": workers,
        "kernels": kernels,
    }
    how: dict[str, Any] = {
        "at": at,
        "controls": controls_of(controls),
        "seeds": seeds,
        "schedule": schedule,
        "fresh": fresh or (),
        "launch": launch,
    }
    _, changes = study.split_options(read_fields(set_ or (), {"train_size": train_size}))
    found: Transfer | TransferMatrix
    shown: Result
    if every:
        if changes:
            raise UsageError(f"--all and {next(iter(changes))}: each experiment has its own recipe")
        matrix = plan_matrix(opened, experiments, **how)
        if dry_run:
            return matrix.table()
        announce(matrix)
        found = study.finish_matrix(opened, matrix, watch_plans(), seed)
        shown = found.level_table if levels else found.predictors if predictors else found
    else:
        if levels or predictors:
            raise UsageError(f"{'--levels' if levels else '--predictors'} goes with --all")
        source, task = _pair(experiments)
        made = plan_transfer(opened, source, task, **how, **changes)
        if dry_run:
            return made.table()
        announce(made)
        found = shown = study.finish_transfer(opened, made, watch_plans(), seed)
    warn_of(opened.problems)
    draw_figure(plot, found.plot)
    return table_of(shown)


def _pair(names: list[str]) -> list[str]:
    if len(names) != 2:
        raise UsageError(
            f"{counted(len(names), 'name')} given: SOURCE and TASK, or --all and experiments"
        )
    return names
