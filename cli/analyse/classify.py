"""`rgtool classify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ...schemas.errors import UsageError
from ...schemas.progress import counting
from ..options import ExcludeOption, StoreOption
from ..output import Table, output_options, table_of, warn_of
from .figure import check_figure, draw_figure

if TYPE_CHECKING:
    from ...analysis.nulls.initial import Weighting


@output_options
def classify(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(help="Ids, names, labels, fields, published:NAME; default the whole store."),
    ] = None,
    by: Annotated[
        str, typer.Option(help="eigen, exponent, anomalous, signature, gamma.")
    ] = "eigen",
    grouping: Annotated[
        str | None, typer.Option(help="layer, block, stage or role; default the coarsest of all.")
    ] = None,
    weighting: Annotated[str, typer.Option(help="count, or magnitude.")] = "count",
    against: Annotated[
        str | None, typer.Option(help="published: beside every spectrum of the literature.")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Classify the spectra of the literature alone.")
    ] = False,
    pairs: Annotated[bool, typer.Option("--pairs", help="Print the pairs instead.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw tree and co-assignment: .png, .svg or .pdf.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws behind the co-assignment.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of tests and draws.")] = 0,
    exclude: ExcludeOption = None,
    store: StoreOption = None,
) -> Table:
    """Divide experiments into universality classes, and say with what certainty.

    Every pair is same (certified equivalent in every group), different (p < 0.05 after Holm) or
    undecided. Classes come from average linkage, their number from the silhouette; one class if no
    pair is different. stability is the share of draws that keep an experiment with its class, .8 or
    more is stable. signature counts relevant/marginal/irrelevant/indeterminate groups.

    Example: rgtool classify --by eigen --grouping stage --plot classes.png
    """
    names = experiments or []
    _check_options(names, against, published, pairs, plot)
    if against is not None:
        return _against(names, grouping, exclude or [], store, seed)

    from ...analysis.classes.classify import classify as compute
    from ...store import Store, published_names

    opened = Store(store)
    with counting("pairs of experiments", "draws of classes") as follow:
        found = compute(
            opened,
            published_names() if published else names,
            by=by,
            grouping=grouping,
            weighting=cast("Weighting", weighting),
            draws=draws,
            rng=seed,
            follow=follow,
            exclude=exclude or [],
        )
    warn_of(opened.problems)
    draw_figure(plot, found.plot)
    return table_of(found.pair_table if pairs else found)


def _check_options(
    names: list[str], against: str | None, published: bool, pairs: bool, plot: Path | None
) -> None:
    if against is not None and against.lower() != "published":
        raise UsageError(
            f"--against {against}: the literature is all there is, --against published"
        )
    if published and names:
        raise UsageError("--published takes no names: name published:NAME, or leave them out")
    if against is not None and (published or pairs or plot is not None):
        raise UsageError("--against goes without --published, --pairs and --plot")
    check_figure(plot)


def _against(
    names: list[str], grouping: str | None, exclude: list[str], store: Path | None, seed: int
) -> Table:
    from ...analysis.classes.against import against_published
    from ...store import Store

    opened = Store(store)
    found = against_published(opened, names, grouping=grouping, rng=seed, exclude=exclude)
    warn_of(opened.problems)
    return table_of(found)
