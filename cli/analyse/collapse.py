"""`rgtool collapse`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import StoreOption
from ..output import Table, output_options, table_of, warn_of
from .figure import check_figure, draw_figure


@output_options
def collapse(
    experiments: Annotated[
        list[str],
        typer.Argument(help="Experiments of two sizes at least, or one CSV or Parquet file."),
    ],
    over: Annotated[
        str | None,
        typer.Option(help="width, depth or both; default what differs."),
    ] = None,
    above: Annotated[float, typer.Option(help="Points enter from so many dense errors on.")] = 1.5,
    noise: Annotated[
        float | None,
        typer.Option(help="Relative deviation of one seed's error, if not from seeds."),
    ] = None,
    chance: Annotated[
        float | None, typer.Option(help="Error of guessing, where a file is read.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw before and after: .png, .svg, .pdf.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws behind the intervals.")] = 400,
    seed: Annotated[int, typer.Option(help="Seed of these draws.")] = 0,
    store: StoreOption = None,
) -> Table:
    """Collapse error curves of several network sizes on one: psi of the width, phi of the depth.

    The invariant is l^phi w^psi d. Exponents make the quality S of Houdayer & Hartmann smallest,
    and are accepted where it is 1.3 at most; low and high are their 95 % interval over draws of
    the curves, rise_low and rise_high bound where S rises by 1. joint law: one fit of the law of
    Rosenfeld et al. to all points; its quality is residuals over the scatter of a seed. A file has
    columns density, error, width or depth, and seed where there are several.

    Example: rgtool collapse resnet8w4/digits resnet8w8/digits --plot collapse.png
    """
    check_figure(plot)
    from ...analysis.collapse.estimate import collapse as compute
    from ...store import Store

    opened = Store(store)
    found = compute(
        opened,
        experiments,
        chance=chance,
        over=over,
        above=above,
        noise=noise,
        draws=draws,
        rng=seed,
    )
    warn_of(opened.problems)
    draw_figure(plot, found.plot)
    return table_of(found)
