"""`rgtool null`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import UsageError
from ..options import DataOption, StoreOption, read_window
from ..output import Table, output_options, table_of

if TYPE_CHECKING:
    from pathlib import Path

    from ...schemas.blocks import Architecture


@output_options
def null(
    network: Annotated[
        str, typer.Argument(help="lenet, resnet20, ..., my.py:build, or an experiment.")
    ],
    task: Annotated[
        str | None, typer.Option(help="Data set that the network is for; default as published.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Fan of the He initialiser: fan_in (the default) or fan_out."),
    ] = None,
    prune: Annotated[float | None, typer.Option(help="Share pruned a level; default 0.2.")] = None,
    levels: Annotated[str, typer.Option(help="Window of levels.", metavar="A:B")] = "1:17",
    by: Annotated[str | None, typer.Option(help="layer, block, stage or role; default coarsest.")] = None,
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

    Example: rgtool null resnet50 --init fan_in --prune 0.2 --levels 1:17
    """
    from ...analysis.nulls.untrained import null as compute

    window = read_window(levels, "--levels")
    assert window is not None
    spectrum = compute(
        _own(network, task, data) or network,
        by=by,
        fan=init,  # type: ignore[arg-type]  # checked by the library, with the names it knows
        prune=prune,
        levels=window,
        prunable=prunable,
        store=store,
    )
    return table_of(spectrum)


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
