"""`rgtool match`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ...schemas.errors import UsageError
from ..options import ExcludeOption, PlotOption, StoreOption, WindowOption, read_window
from ..output import Table, output_options, table_of, warn_of
from .figure import check_figure, draw_figure

if TYPE_CHECKING:
    from ...analysis.elastic.maps import MapKind
    from ...analysis.elastic.scores import ScoreName


@output_options
def match(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE TARGET",
            help="Experiments or published:NAME; the target may be an architecture.",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every pair of depths, among those named or all.")
    ] = False,
    literature: Annotated[
        bool, typer.Option("--published", help="With --all: the spectra of the literature.")
    ] = False,
    trained: Annotated[
        bool, typer.Option("--trained", help="The maps that were trained, and what they reached.")
    ] = False,
    agreement: Annotated[
        bool, typer.Option("--agreement", help="With --trained: Kendall's tau of every score.")
    ] = False,
    at: Annotated[
        int | None, typer.Option(help="With --trained: level of the source to show.")
    ] = None,
    maps: Annotated[str, typer.Option(help="published, families or all.")] = "families",
    transforms: Annotated[
        list[str] | None, typer.Option("--map", help="A map to rank too, such as '0:0;1:1,2'.")
    ] = None,
    score: Annotated[str, typer.Option(help="w1, position, signature or density.")] = "w1",
    margin: Annotated[
        float, typer.Option(help="|eigenvalue - 1| of a marginal block, for signature.")
    ] = 0.01,
    level: Annotated[int, typer.Option(help="Prunings, for density.")] = 13,
    window: WindowOption = None,
    draws: Annotated[int, typer.Option(help="Draws of the spectra, for probability.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    top: Annotated[int, typer.Option(help="Rows to print; 0: all.")] = 20,
    plot: PlotOption = None,
    exclude: ExcludeOption = None,
    store: StoreOption = None,
) -> Table:
    """Rank the stretches or squeezes that would turn one network's tickets into another's.

    Blocks of the source feed blocks of the target: 0:0;1:1,2;2:3,4 is source : targets. The map
    that gives the target's spectrum should give its tickets. w1 is the distance of the sorted log
    eigenvalues, position that block by block, signature that of the counts of relevant, marginal
    and irrelevant blocks (low is near); density is log transformed over target survivors.
    probability: how often a map is first over draws of both spectra. --trained holds the scores to
    the accuracies of tickets that rgtool stretch has trained.

    Example: rgtool match published:resnet56-cifar10 published:resnet32-cifar10
    """
    from ...store import Store

    check_figure(plot)
    _check_trained(trained, every or literature, agreement, at, plot)
    opened, names = Store(store), experiments or []
    if top < 0:
        raise UsageError(f"--top {top}: give a number of rows, or 0 for all")
    choices: dict[str, Any] = {
        "maps": cast("MapKind", maps),
        "score": cast("ScoreName", score),
        "margin": margin,
        "level": level,
        "window": read_window(window),
        "draws": draws,
        "rng": seed,
    }
    if every or literature:
        if transforms:
            raise UsageError("--map goes with one SOURCE and TARGET, not with --all")
        from ...analysis.elastic.match_all import match_all

        both = match_all(opened, names, published=literature, exclude=exclude or [], **choices)
        warn_of(opened.problems)
        draw_figure(plot, both.plot)
        return table_of(both, top=top)
    if exclude:
        raise UsageError("--exclude goes with --all")
    if len(names) != 2:
        raise UsageError(
            f"{len(names)} experiments are named: give SOURCE and TARGET, or --all for every pair"
        )
    if trained:
        from ...analysis.elastic.match_trained import match_trained

        held = match_trained(opened, *names, transforms=transforms or (), at=at, **choices)
        warn_of(opened.problems)
        return table_of(held.agreement if agreement else held, top=top)
    from ...analysis.elastic.match import match as compute

    found = compute(opened, *names, transforms=transforms or (), **choices)
    warn_of(opened.problems)
    draw_figure(plot, found.plot)
    return table_of(found, top=top)


def _check_trained(
    trained: bool, every: bool, agreement: bool, at: int | None, plot: Path | None
) -> None:
    """Refuse options that go with another form of the command."""
    if trained and every:
        raise UsageError("--trained goes with one SOURCE and TARGET, not with --all")
    if trained and plot is not None:
        raise UsageError(f"--plot {plot}: no figure shows what was trained; leave out --trained")
    for option, given in (("--agreement", agreement), ("--at", at is not None)):
        if given and not trained:
            raise UsageError(f"{option} goes with --trained")
