"""`rgtool stretch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from ...schemas.words import counted
from ..analyse.figure import check_figure, draw_figure
from ..options import (
    DataOption,
    DeviceOption,
    DryRunOption,
    KernelsOption,
    PlotOption,
    StoreOption,
    UsingOption,
    WorkersOption,
)
from ..output import Table, duration, output_options, say, table_of, warn_of
from ..plans import WORTH_A_PROBE, heeding_sigterm, watch_plans

if TYPE_CHECKING:
    from ...analysis.elastic.maps import MapKind
    from ...analysis.elastic.scores import ScoreName
    from ...studies.stretch_plans import StretchPlan


@output_options
@heeding_sigterm()
def stretch(
    source: Annotated[str, typer.Argument(help="Experiment whose tickets are carried over.")],
    target: Annotated[str, typer.Argument(help="Architecture of its family: resnet32w4.")],
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="A map such as '0:0;1:1,2', first, last, every, or random:8. Repeatable; default "
            "first.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Levels of the source: 4,8, the default.", metavar="LEVELS"),
    ] = None,
    controls: Annotated[
        str, typer.Option(help="random-map, shuffle, random, reinit, permute, copies, or none.")
    ] = "random-map,shuffle",
    seeds: Annotated[
        str | None, typer.Option(help="A count or seeds (3,7); default the source's.")
    ] = None,
    kind: Annotated[
        str, typer.Option("--maps", help="What is ranked: published, families or all.")
    ] = "families",
    score: Annotated[str, typer.Option(help="By what: w1, position, signature or density.")] = "w1",
    seed: Annotated[int, typer.Option(help="Seed of the maps that are drawn.")] = 0,
    kernels: KernelsOption = "auto",
    data: DataOption = None,
    using: UsingOption = None,
    store: StoreOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    plot: PlotOption = None,
    dry_run: DryRunOption = False,
) -> Table:
    """Train the tickets of one depth at another: stretched, squeezed, and controls.

    The target finds its own ticket first, by the source's recipe; the spectra of both rank the maps
    that lead from one to the other. The same command continues what was interrupted.

    Example: rgtool stretch resnet14w4/digits resnet26w4 --at 4,8
    """
    from ...studies.stretch import carry_out
    from ...studies.stretch_plans import plan_stretch

    check_figure(plot)
    made = plan_stretch(
        store,
        source,
        target,
        maps=maps or ("first",),
        controls=controls,
        at=at,
        seeds=seeds,
        kind=cast("MapKind", kind),
        score=cast("ScoreName", score),
        seed=seed,
        device=device,
        workers=workers,
        kernels=kernels,
        data=data,
        using=using or (),
    )
    if dry_run:
        return made.table([("time", f"about {duration(_seconds(made))}")])
    if made.work > WORTH_A_PROBE:
        say(f"this will take about {duration(_seconds(made))}: {_what(made)}")
    found = carry_out(made, watch_plans())
    warn_of(made.store.problems)
    draw_figure(plot, found.plot)
    return table_of(found)


def _seconds(made: StretchPlan) -> float:
    """Estimate the time of what is left: the target's own levels, and tickets that may be there."""
    from ...runner.speed.estimate import estimate

    own = estimate(made.own).seconds if made.own.remaining() else 0.0
    child = made.child(made.sample)
    if not child.remaining():
        return own
    return own + made.number * estimate(child).seconds


def _what(made: StretchPlan) -> str:
    own, tickets = made.own.remaining(), made.number * len(made.own.seeds) * len(made.at)
    return (
        f"{counted(own, 'record')} of the target's own, {counted(tickets, 'record')} of tickets at "
        "most"
    )
