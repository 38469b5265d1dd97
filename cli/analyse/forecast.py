"""`rgtool forecast`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import StoreOption, WindowOption, read_window
from ..output import Table, output_options, table_of, warn_of


@output_options
def forecast(
    experiment: Annotated[
        str | None, typer.Argument(help="Prefix of an id, or resnet20/cifar10.")
    ] = None,
    by: Annotated[str, typer.Option(help="Grouping: layer, block, stage or role.")] = "layer",
    window: WindowOption = None,
    draws: Annotated[int, typer.Option(help="Draws behind levels and intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of these draws.")] = 0,
    store: StoreOption = None,
) -> Table:
    """Forecast the level and density at which each layer loses its last weight.

    One threshold prunes all layers, so counts tell their effective scales, and these where the
    threshold will pass the largest weight of each. level is that of the first record without a
    weight, mean over runs, low and high its 95 % interval, density that of the network there.
    observed is the same on record: --window 1:8 holds a forecast from level 8 against it. not in
    sight: lasts until nothing is left to prune.

    Example: rgtool forecast resnet20/cifar10 --window 1:10
    """
    from ...analysis.spectrum.forecast import forecast as compute
    from ...store import Store

    opened = Store(store)
    found = compute(opened, experiment, by=by, window=read_window(window), draws=draws, rng=seed)
    warn_of(opened.problems)
    return table_of(found)
