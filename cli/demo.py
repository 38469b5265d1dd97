"""`rgtool demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..schemas.words import counted
from .output import duration, print_table, say, table_of

_LEVELS, _SEEDS = 12, 5
_NETWORKS = (("lenet", None), ("resnet8", 8))  # and the width


def demo(
    store: Annotated[Path, typer.Option(help="Folder of the store.")] = Path("rgstore-demo"),
) -> None:
    """Measure a pruning flow in a minute: two networks, five seeds, twelve prunings.

    The data are the 8x8 digits that come with scikit-learn.

    Example: rgtool demo
    """
    from ..analysis.spectrum.eigen import eigen
    from ..runner.experiment import execute
    from ..runner.plan import plan
    from ..schemas.blocks import coarsest
    from ..store import Store
    from .progress import show_progress, stop_on_signals

    began = time.monotonic()
    experiments = []
    for model, width in _NETWORKS:
        made = plan(
            model, "digits", "quick", width=width, seeds=_SEEDS, levels=_LEVELS, store=store
        )
        say(
            f"{made.recipe.architecture} on digits: {_SEEDS} seeds, {_LEVELS} prunings of 20 %, "
            f"{made.recipe.epochs} epochs a level, {counted(made.workers, 'process', 'processes')}"
        )
        with show_progress(made) as on_event, stop_on_signals() as should_stop:
            outcome = execute(made, on_event=on_event, should_stop=should_stop)
        if outcome.seeds("failed", "stopped"):
            say("not finished; rgtool demo goes on where it was")
            raise typer.Exit(1)
        experiments.append((outcome.experiment_id, coarsest(made.layers)))
    opened = Store(store)
    for experiment, by in experiments:
        say()
        print_table(table_of(eigen(opened, experiment, by=by)))
    say()
    say(
        "eigenvalue > 1: the group's share of the surviving weights grows (relevant); < 1: it "
        "shrinks (irrelevant).\nnull_eigenvalue: the same for the untrained network. What training "
        "adds is the excess."
    )
    say(f"\ndone in {duration(time.monotonic() - began)}. Try next:")
    query = "SELECT name, level, avg(share) FROM flow WHERE grouping = 'stage' GROUP BY ALL"
    for command in (
        f"rgtool ls --store {store}",
        f"rgtool show {experiments[1][0]} --store {store}",
        f'rgtool sql "{query} ORDER BY ALL" --store {store}',
    ):
        say(f"  {command}")
