"""Children of small experiments, and what they have in common with others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rgtool.runner.event import Event
from rgtool.runner.experiment import Outcome, execute, plan
from rgtool.schemas.records import record
from rgtool.schemas.records.layout import RunFolder
from rgtool.store import Store
from rgtool.store.catalogue.parents import parent_of


def train(
    store: Path,
    parent: Any,
    model: str = "lenet",
    task: str = "few-digits",
    *,
    should_stop: Callable[[], bool] = lambda: False,
    on_event: Callable[[Event], None] = lambda event: None,
    **changes: Any,
) -> Outcome:
    """Train the tickets of a parent, or what selects it, as it was trained itself."""
    levels = {} if "at" in changes else {"levels": 2}
    options = {**levels, "workers": 1, "store": store, **changes}
    made = plan(model, task, parent=parent_of(Store(store), parent), **options)
    return execute(made, on_event=on_event, should_stop=should_stop)


def folder(store: Path, outcome: Outcome, seed: int = 0) -> RunFolder:
    """The folder of the run of a seed."""
    return RunFolder.of(store, outcome.runs[seed])


def rows(run: RunFolder, level: int) -> list[dict[str, Any]]:
    """A record but for the run's name and what is measured."""
    apart = [*record.columns("level", measured=True), "run_id"]
    found: list[dict[str, Any]] = run.read_record(level).drop_columns(apart).to_pylist()
    return found


def column(run: RunFolder, level: int, name: str) -> list[Any]:
    """One column of a record, a value per layer."""
    return [row[name] for row in rows(run, level)]
