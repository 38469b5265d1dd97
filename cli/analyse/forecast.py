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
    by: Annotated[str, typer.Option(help="Grouping: layer, block or stage.")] = "block",
    window: WindowOption = None,
    draws: Annotated[int, typer.Option(help="Draws behind the intervals.")] = 4000,
    seed: Annotated[int, typer.Option(help="Seed of these draws.")] = 0,
    store: StoreOption = None,
) -> Table:
    """Forecast the level and density at which each group loses its last weight.

    A group of N weights keeps the share rho lambda of them a level, so level is where one weight is
    left; low and high are its 95 % interval over seeds, density that of the network there.
    flow_level is the same if strengths relative to one another stay, not eigenvalues. observed is
    the level of the first empty record: --window 1:8 holds a forecast from the first levels
    against it. not in sight: the network as a whole ends before.

    Example: rgtool forecast resnet20/cifar10 --by stage
    """
    from ...analysis.spectrum.forecast import forecast as compute
    from ...store import Store

    opened = Store(store)
    found = compute(opened, experiment, by=by, window=read_window(window), draws=draws, rng=seed)
    warn_of(opened.problems)
    return table_of(found)
