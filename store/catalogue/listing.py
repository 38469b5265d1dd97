"""Lists of what the store holds, as the command line prints them and a notebook shows them."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from ...schemas.display import Row, Shown, Table
from ...schemas.errors import choose
from ...schemas.records.names import Entry
from ..sql.queries import Queries
from ..sql.reading import Reader
from ..sql.result import Result
from ..sql.snapshot import Snapshot
from .apart import told_apart, written
from .inventory import (
    RUNS,
    ExperimentInfo,
    RunInfo,
    candidate,
    experiments_query,
    run_info,
)
from .selection import Candidate

_FORMATS = {"density": ".4f", "accuracy": ".4f"}
_SAID = ("name", "tags", "note")  # columns that people fill


class Runs(list[RunInfo], Shown):
    """Runs, a row each where they are shown."""

    most, whole = 100, "the list has all"

    @classmethod
    def of(
        cls,
        rows: Iterable[dict[str, Any]],
        levels: Mapping[str, Sequence[int]],
        loose: Collection[str],
        labels: Mapping[str, str],
    ) -> Self:
        """Make runs of rows of `RUNS`, their levels, the loose ones, and labels of experiments."""
        return cls(
            run_info(
                {
                    **row,
                    "label": labels.get(row["experiment_id"])
                    or f"{row['architecture']}/{row['task']}",
                    "compacted": row["run_id"] not in loose,
                },
                levels[row["run_id"]],
            )
            for row in rows
        )

    def table(self) -> Table:
        """Return what `rgtool ls --runs` prints."""
        rows = [
            (
                r.run_id,
                r.name,
                r.recipe_name,
                r.label,
                " ".join(r.tags),
                r.seed,
                r.recorded,
                r.levels + 1,
                "diverged" if r.diverged else "finished" if r.finished else "unfinished",
                r.density,
                r.accuracy,
                r.created_at,
                r.note,
            )
            for r in self
        ]
        names = ("run", "name", "recipe", "label", "tags", "seed", "records", "of", "state")
        return _listed((*names, "density", "accuracy", "created", "note"), rows)


class Experiments(list[ExperimentInfo], Shown):
    """Experiments, a row each where they are shown."""

    most, whole = 100, "the list has all"

    @classmethod
    def of(
        cls,
        runs: Iterable[RunInfo],
        candidates: Iterable[Candidate],
        labels: Mapping[str, str],
    ) -> Self:
        """Gather runs by experiment, in the order in which they come."""
        members: dict[str, list[RunInfo]] = {}
        for run in runs:
            members.setdefault(run.experiment_id, []).append(run)
        known = {one.experiment_id: one for one in candidates}
        return cls(
            ExperimentInfo(
                name,
                labels[name],
                one.recipe,
                tuple(those),
                one.recipe_names,
                one.name,
                one.note,
                one.tags,
            )
            for name, those in members.items()
            if (one := known.get(name)) is not None
        )

    def table(self) -> Table:
        """Return what `rgtool ls` prints."""
        rows = [
            (
                e.experiment_id,
                e.name,
                " ".join(e.recipe_names),
                e.label,
                " ".join(e.tags),
                len(e.runs),
                sum(run.finished for run in e.runs),
                e.levels,
                _mean([run.density for run in e.runs]),
                _mean([run.accuracy for run in e.runs]),
                e.note,
                _differences(e.distinction),
            )
            for e in self
        ]
        names = ("experiment", "name", "recipe", "label", "tags", "runs", "finished", "levels")
        return _listed((*names, "density", "accuracy", "note", "differs"), rows)


class Entries(dict[str, Entry], Shown):
    """What people call experiments and runs, by id."""

    def table(self) -> Table:
        """Return what `rgtool name` prints."""
        rows = [(key, e.name, " ".join(e.tags), e.note) for key, e in self.items()]
        return Table(("id", "name", "tags", "note"), rows)


def sorted_table(table: Table, column: str | None, reverse: bool = False) -> Table:
    """Sort rows by a column; those without a value come last.

    Raises
    ------
    UsageError
        There is no such column.
    """
    rows = list(table.rows)
    if column is not None:
        place = table.columns.index(choose("column", column, table.columns))
        known = sorted((row for row in rows if _has(row[place])), key=lambda row: row[place])
        lacking = [row for row in rows if not _has(row[place])]
        return replace(table, rows=[*(known[::-1] if reverse else known), *lacking])
    return replace(table, rows=rows[::-1] if reverse else rows)


def _has(value: object) -> bool:
    return value not in (None, "", []) and value == value  # NaN has no place


def labels_of(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Return the label of every experiment, with what tells it from others of the same."""
    apart = apart_of(candidates)
    return {one.experiment_id: one.label + apart[one.experiment_id] for one in candidates}


def apart_of(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Return what tells every experiment from others of its architecture and task."""
    apart = told_apart([one.recipe for one in candidates])
    return {one.experiment_id: told for one, told in zip(candidates, apart, strict=True)}


def list_candidates(reader: Reader, like: Collection[str] | None = None) -> list[Candidate]:
    """List the experiments of a store by what they can be selected by.

    Parameters
    ----------
    reader : Reader
        Of the store.
    like : collection of str, optional
        Those alone that have architecture and task of one of these.

    Raises
    ------
    StoreError
        The store cannot be read.
    """
    query, parameters = experiments_query(like is not None), [] if like is None else [list(like)]
    found = reader.run(lambda c: Result.of(c, query, parameters), wanted=("runs",))
    return [candidate(row) for row in found.to_dicts()]


def list_runs(reader: Reader, labels: Mapping[str, str]) -> Runs:
    """List the runs of a store, by architecture, task, experiment and seed.

    Parameters
    ----------
    reader : Reader
        Of the store.
    labels : mapping of str to str
        Labels of the experiments.

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
    return Runs.of(found.to_dicts(), levels, loose, labels)


def store_table(experiments: Experiments, store: Queries) -> Table:
    """List experiments of a store, and what is left out of it."""
    table = experiments.table()
    notes = [f"left out: {one}" for one in store.problems if one.is_left_out]
    return replace(table, notes=(*notes, *empty_notes(store, table)))


def empty_notes(store: Queries, table: Table) -> tuple[str, ...]:
    """Say of an empty list what fills it."""
    if table.rows:
        return ()
    return (f"{store.path}: no runs yet; rgtool demo or rgtool run lenet digits makes some",)


def _listed(columns: tuple[str, ...], rows: list[Row]) -> Table:
    """Return a table of which people see no column of what nobody has said."""
    said = [i for i, name in enumerate(columns) if name not in _SAID or any(row[i] for row in rows)]
    return Table(columns, rows, formats=_FORMATS, shown=tuple(columns[i] for i in said))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _differences(fields: Mapping[str, Any]) -> str:
    """Write what tells an experiment from the frozen defaults."""
    return " ".join(f"{name}={written(value)}" for name, value in fields.items())
