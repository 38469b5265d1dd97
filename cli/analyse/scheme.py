"""`rgtool scheme`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import StoreOption, WindowOption, read_window
from ..output import Table, output_options, table_of, warn_of
from .figure import check_figure, draw_figure


@output_options
def scheme(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(help="Ids, names, labels, fields, published:NAME; default the whole store."),
    ] = None,
    by: Annotated[str, typer.Option(help="Grouping: layer, block, stage or role.")] = "block",
    window: WindowOption = None,
    groups: Annotated[bool, typer.Option("--groups", help="Print the groups instead.")] = False,
    published: Annotated[
        bool, typer.Option(help="Published flows of five schemes stand beside.")
    ] = True,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the flows to this .png, .svg or .pdf.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap behind p.")] = 0,
    store: StoreOption = None,
) -> Table:
    """Ask whether pruning by a scheme is a renormalization.

    Experiments that differ in prune, score_from or score_steps alone are one scheme. step: do two
    prunings of 0.2 what one of 0.36 does; at_once: does scoring anew at every level what scoring
    the dense network does. shares, scales: they stand still, are drawn to a fixed point with
    exponent kappa (repelled: driven from one), run on steadily, or only slow down or quicken.
    magnitude: are exponents those of magnitude pruning.

    Example: rgtool scheme resnet8w4/digits --by stage --groups
    """
    check_figure(plot)
    from ...analysis.scheme.estimate import scheme as compute
    from ...schemas.notes import LeftOut
    from ...store import Store

    opened = Store(store)
    found = compute(
        opened,
        experiments or (),
        by=by,
        window=read_window(window),
        published=published,
        rng=seed,
    )
    warn_of(opened.problems)
    draw_figure(plot, found.plot)
    partly = any(isinstance(note, LeftOut) for note in found.notes)
    return table_of(found.group_table if groups else found, exit_code=3 if partly else 0)
