"""What plans that are computed one after the other come to: records, and time."""

from __future__ import annotations

import dataclasses
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import ClassVar

from ..runner.plan import Plan
from ..runner.pool import execute_parallel, main_hidden
from ..runner.speed.estimate import estimate
from ..schemas.display import Row, Shown, Table
from ..schemas.words import counted, duration


class Plans(Shown):
    """Plans that are computed one after the other."""

    what: ClassVar[str]

    @property
    def plans(self) -> Iterator[tuple[str, Plan]]:
        """All plans in their order, each with what it is called."""
        raise NotImplementedError

    @property
    def work(self) -> float:
        """Images to be trained on times weights: what the duration grows with."""
        return sum(made.work for _, made in self.plans)

    def table(self) -> Table:
        """Return what `--dry-run` prints: a row for every plan."""
        return agenda(list(self.plans), self.what)


def agenda(plans: Sequence[tuple[str, Plan]], what: str) -> Table:
    """Return a row for every plan: what is to be computed, and how long it takes about.

    What plans say of themselves stands below, once where several say the same.
    """
    speeds: dict[tuple[str, str, int | None], float] = {}
    rows, total = list[Row](), 0.0
    start = _start_seconds() if any(map(_starts_processes, (made for _, made in plans))) else 0.0
    for name, made in plans:
        left, recipe = made.remaining(), made.recipe
        key = (recipe.architecture, recipe.task, recipe.train_size)
        if left and key not in speeds:
            speeds[key] = _seconds_a_record(made)
        seconds = left * speeds.get(key, 0.0) + _starts_processes(made) * start
        total += seconds
        levels = " ".join(map(str, made.at)) if len(made.at) <= made.levels else f"0-{made.levels}"
        seeds = " ".join(map(str, made.seeds))
        rows.append((name, recipe.experiment_id, seeds, levels, made.records, left, round(seconds)))
    left = sum(row[-2] for row in rows)
    return Table(
        ("what", "experiment", "seeds", "levels", "records", "to compute", "seconds"),
        rows,
        title=f"{what}: nothing was computed",
        notes=(
            f"{counted(left, 'record')} to compute, about {duration(total)} one plan after the "
            "other, if processes do not slow one another (probed)",
            *dict.fromkeys(note for _, made in plans for note in made.notes),
        ),
    )


def _starts_processes(made: Plan) -> bool:
    """Tell whether a plan has enough left for workers of its own."""
    return min(made.workers, sum(made.known_end(seed) is None for seed in made.seeds)) > 1


def _start_seconds() -> float:
    """Return what it takes until a worker is there: a process that has read what it runs."""
    context, began = multiprocessing.get_context("spawn"), time.perf_counter()
    process = context.Process(target=import_module, args=(execute_parallel.__module__,))
    with main_hidden():
        process.start()
    process.join()
    return time.perf_counter() - began


def _seconds_a_record(made: Plan) -> float:
    """Return what a record takes with the plan's workers, were none there yet."""
    alone = dataclasses.replace(
        made, store=Path(made.store) / "nowhere", parents={}, at=tuple(range(made.levels + 1))
    )
    found = estimate(alone)
    return found.seconds / found.remaining
