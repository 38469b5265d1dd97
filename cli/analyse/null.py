"""`rgtool null`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import read_window
from ..output import Table, output_options, table_of


@output_options
def null(
    architecture: Annotated[str, typer.Argument(help="lenet, resnet20, resnet50, vgg16, ...")],
    init: Annotated[
        str, typer.Option(help="Fan of the He initialiser: fan_in, fan_out.")
    ] = "fan_in",
    prune: Annotated[float, typer.Option(help="Share pruned a level.")] = 0.2,
    levels: Annotated[str, typer.Option(help="Window of levels.", metavar="A:B")] = "1:17",
    by: Annotated[str | None, typer.Option(help="layer, block or stage; default coarsest.")] = None,
    prunable: Annotated[
        str | None,
        typer.Option(help="all, convolutions, convolutions_without_stem; default as published."),
    ] = None,
) -> Table:
    """Show the spectrum of an untrained network: pruned by magnitude, never trained.

    Any architecture with a block map will do; counts and fan-ins are all that is needed.

    Example: rgtool null resnet50 --init fan_in --prune 0.2 --levels 1:17
    """
    from ...analysis.nulls.untrained import null as compute

    window = read_window(levels, "--levels")
    assert window is not None
    spectrum = compute(
        architecture,
        by=by,
        fan=init,  # type: ignore[arg-type]  # checked by the library, with the names it knows
        prune=prune,
        levels=window,
        prunable=prunable,
    )
    return table_of(spectrum)
