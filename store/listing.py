"""Lists of what the store holds, as the command line prints them and a notebook shows them."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from ..schemas.display import Shown, Table
from ..schemas.recipe import Recipe
from .inventory import RUNS, ExperimentInfo, RunInfo, run_info
from .reading import Reader
from .result import Result
from .snapshot import Snapshot

if TYPE_CHECKING:
    from .store import Store

_FORMATS = {"density": ".4f", "accuracy": ".4f"}


class Runs(list[RunInfo], Shown):
    """Runs, a row each where they are shown."""

    most, whole = 100, "the list has all"

    @classmethod
    def of(
        cls,
        rows: Iterable[dict[str, Any]],
        levels: Mapping[str, Sequence[int]],
        loose: Collection[str],
    ) -> Self:
        """Make runs of the rows of `RUNS`, their recorded levels, and the ids of the loose ones."""
        return cls(
            run_info({**row, "compacted": row["run_id"] not in loose}, levels[row["run_id"]])
            for row in rows
        )

    def table(self) -> Table:
        """Return what `rgtool ls --runs` prints."""
        rows = [
            (
                r.run_id,
                r.label,
                r.seed,
                r.recipe_name,
                r.recorded,
                r.levels + 1,
                "diverged" if r.diverged else "finished" if r.finished else "unfinished",
                r.density,
                r.accuracy,
                r.created_at,
            )
            for r in self
        ]
        names = ("run", "label", "seed", "recipe", "records", "of", "state", "density", "accuracy")
        return Table((*names, "created"), rows, formats=_FORMATS)


class Experiments(list[ExperimentInfo], Shown):
    """Experiments, a row each where they are shown."""

    most, whole = 100, "the list has all"

    @classmethod
    def of(cls, runs: Iterable[RunInfo], recipes: Mapping[str, Recipe]) -> Self:
        """Gather runs by experiment, in the order in which they come."""
        members: dict[str, list[RunInfo]] = {}
        for run in runs:
            members.setdefault(run.experiment_id, []).append(run)
        return cls(
            ExperimentInfo(name, recipes[name], tuple(those))
            for name, those in members.items()
            if name in recipes
        )

    def table(self) -> Table:
        """Return what `rgtool ls` prints."""
        rows = [
            (
                e.experiment_id,
                e.label,
                len(e.runs),
                sum(run.finished for run in e.runs),
                e.levels,
                _mean([run.density for run in e.runs]),
                _mean([run.accuracy for run in e.runs]),
                _differences(e.distinction),
            )
            for e in self
        ]
        names = ("experiment", "label", "runs", "finished", "levels", "density", "accuracy")
        return Table((*names, "differs"), rows, formats=_FORMATS)


def list_runs(reader: Reader) -> Runs:
    """List the runs of a store, by architecture, task, experiment and seed.

    Raises
    ------
    StoreError
        The store cannot be read.
    """
    levels: dict[str, list[int]] = {}
    loose: set[str] = set()

    def narrow(snapshot: Snapshot) -> Snapshot:
        levels.update({run_id: snapshot.levels(run_id) for run_id in snapshot.runs})
        loose.clear()
        loose.update(snapshot.loose)
        return snapshot.newest_records()

    found = reader.run(lambda c: Result.of(c, RUNS), narrow=narrow, wanted=("runs", "levels"))
    return Runs.of(found.to_dicts(), levels, loose)


def store_table(store: Store) -> Table:
    """List the experiments of a store, and what is left out of it."""
    table = store.experiments().table()
    notes = [f"left out: {one}" for one in store.problems if one.is_left_out]
    return replace(table, notes=(*notes, *empty_notes(store, table)))


def empty_notes(store: Store, table: Table) -> tuple[str, ...]:
    """Say of an empty list what fills it."""
    if table.rows:
        return ()
    return (f"{store.path}: no runs yet; rgtool demo or rgtool run lenet digits makes some",)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _differences(fields: Mapping[str, Any]) -> str:
    """Write what tells an experiment from the frozen defaults."""
    parts = []
    for name, value in fields.items():
        text = ",".join(value) or "none" if isinstance(value, list | tuple) else str(value)
        parts.append(f"{name}={text}")
    return " ".join(parts)
