"""`rgtool null`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import UsageError
from ..options import CoarsestOption, DataOption, StoreOption, read_window
from ..output import Table, output_options, table_of

if TYPE_CHECKING:
    from ...schemas.blocks import Architecture


@output_options
def null(
    network: Annotated[
        str | None, typer.Argument(help="lenet, resnet20, ..., my.py:build, or an experiment.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Prune these in one go: a checkpoint of any program, or safetensors."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Data set that the network is for; default as published.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Fan of the He initialiser: fan_in (the default) or fan_out."),
    ] = None,
    prune: Annotated[float | None, typer.Option(help="Share pruned a level; default 0.2.")] = None,
    levels: Annotated[
        str | None, typer.Option(help="Window of levels; default 1:17.", metavar="A:B")
    ] = None,
    densities: Annotated[
        str | None,
        typer.Option(help="What every level keeps, in place of both.", metavar="1,.9,.8"),
    ] = None,
    by: CoarsestOption = None,
    prunable: Annotated[
        str | None,
        typer.Option(help="all, convolutions, convolutions_without_stem; default as published."),
    ] = None,
    data: DataOption = None,
    store: StoreOption = None,
) -> Table:
    """Show the spectrum of an untrained network: pruned by magnitude, never trained.

    Any architecture with a block map will do; counts and fan-ins are all that is needed. A network
    of your own is built for the images of --task (3x32x32 in ten classes without it), as rgtool run
    builds it. Of an experiment the layers that it counts are taken, and its initialiser and share
    pruned where no others are asked for.

    With --weights it is these, whatever trained them, that are pruned in one go to every density;
    their names and shapes tell the network where none is named. --densities is for schedules that
    prune another share at every level.

    Example: rgtool null resnet50 --init fan_in --prune 0.2 --levels 1:17
    """
    from ...analysis.nulls.untrained import null as compute

    spectrum = compute(
        network and (_own(network, task, data) or network),
        weights=weights,
        by=by,
        fan=init,  # type: ignore[arg-type]  # checked by the library, with the names it knows
        prune=prune,
        levels=read_window(levels, "--levels"),
        densities=_numbers(densities),
        prunable=prunable,
        store=store,
    )
    return table_of(spectrum)


def _numbers(text: str | None) -> list[float] | None:
    """Read `1,.9,.8`."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--densities {text}: give shares that fall, such as 1,.9,.8") from None


def _own(network: str, task: str | None, data: Path | None) -> Architecture | None:
    """Build what is no architecture of the literature; None where a name alone tells all."""
    from ...schemas.blocks import architecture, canonical

    try:
        architecture(canonical(network))
        known = True
    except UsageError:
        known = False
    if known and task is None:
        return None
    from ...runner.data import shape_of
    from ...runner.models import architecture as build
    from ...runner.models import is_network
    from ...runner.own.function import is_reference

    if is_reference(network) or is_network(network):
        return build(network, *shape_of(task, data)) if task else build(network)
    if task is not None:
        raise UsageError(f"--task {task} goes with a network, and {network} is none")
    return None
