"""`rgtool collapse`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import UsageError
from ..options import StoreOption
from ..output import Table, output_options, table_of, warn_of
from .figure import check_figure, draw_figure

if TYPE_CHECKING:
    from ...analysis.curves.family import Family


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
    from ...analysis.collapse.estimate import collapse_of

    family = _family(experiments, chance, store)
    found = collapse_of(family, over=over, above=above, noise=noise, draws=draws, rng=seed)
    draw_figure(plot, found.plot)
    return table_of(found)


def _family(names: list[str], chance: float | None, store: Path | None) -> Family:
    from ...analysis.curves.family import family_of, family_of_table
    from ...analysis.curves.table import is_table

    tables = [name for name in names if is_table(name)]
    if tables and len(names) > 1:
        raise UsageError(f"{tables[0]} stands beside others: a file holds all sizes, give it alone")
    if tables:
        return family_of_table(tables[0], chance=chance)
    if chance is not None:
        raise UsageError("--chance goes with a file: of an experiment the classes are known")
    from ...store import Store

    opened = Store(store)
    family = family_of(opened, names)
    warn_of(opened.problems)
    return family
