"""`rgtool demo`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.words import counted
from ..analyse.report import how_to_open, write_report
from ..output import duration, print_table, say, say_event, table_of

if TYPE_CHECKING:
    from ...runner.plan import Plan
    from ...studies.complete import Watching


def demo(
    store: Annotated[Path, typer.Option(help="Folder of the store.")] = Path("rgstore-demo"),
) -> None:
    """Measure a pruning flow in a minute: two networks, five seeds, twelve prunings.

    The data are the 8x8 digits that come with rgtool. It ends with a report, one HTML file.

    Example: rgtool demo
    """
    from ...store import Store
    from ...studies.demo import demo as study

    began = time.monotonic()
    spectra = study(store, watch=_watch)
    for spectrum in spectra:
        say()
        print_table(table_of(spectrum))
    say()
    say(
        "eigenvalue > 1: the group's share of the surviving weights grows (relevant); < 1: it "
        "shrinks (irrelevant)."
    )
    say("canonical: the exponent of the untrained network; anomalous: the rest, from training.")
    say()
    page = store.with_name(f"{store.name}.html")
    write_report(Store(store), None, page)
    say(how_to_open(page))
    say()
    say(f"done in {duration(time.monotonic() - began)}. Try next:")
    query = "SELECT name, level, avg(share) FROM flow WHERE grouping = 'stage' GROUP BY ALL"
    for command in (
        f"rgtool ls --store {store}",
        f"rgtool show {spectra[1].experiment_id} --store {store}",
        f'rgtool sql "{query} ORDER BY ALL" --store {store}',
    ):
        say(f"  {command}")


@contextmanager
def _watch(made: Plan) -> Iterator[Watching]:
    from ...runner.progress import Stop, show_progress

    seeds = counted(len(made.seeds), "seed")
    workers = counted(made.workers, "process", "processes")
    say(
        f"{made.recipe.architecture} on digits: {seeds}, {made.levels} prunings of 20 %, "
        f"{made.recipe.whole_epochs} epochs a level, {workers}"
    )
    with show_progress(made, say_event, say) as (on_event, tell), Stop(tell) as stop:
        yield on_event, stop
