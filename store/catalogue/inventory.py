"""What the store holds: its runs and experiments, and how both read as rows."""

from __future__ import annotations

import dataclasses
import datetime as dt
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...schemas.display import Row, Shown, Table
from ...schemas.recipe import Recipe
from .apart import written
from .selection import Candidate

_FORMATS = {"density": ".4f", "accuracy": ".4f"}
_SAID = ("name", "tags", "note")  # columns that people fill
RECIPE_FIELDS = tuple(field.name for field in dataclasses.fields(Recipe))
RUNS = """
    SELECT run_id, experiment_id, architecture, task, seed, replicate, source, recipe_name, levels,
           last, accuracy, density, coalesce(diverged, false) AS diverged, created_at,
           parent IS NOT NULL AND start IS NULL AND source = 'rgtool' AS child,
           coalesce(start, 0) AS first,
           coalesce(run_name, experiment_name) AS name,
           coalesce(run_note, experiment_note) AS note,
           list_sort(list_distinct(list_concat(experiment_tags, run_tags))) AS tags
    FROM runs LEFT JOIN (
        SELECT run_id, max(level) AS last, arg_max_null(accuracy, level) AS accuracy,
               arg_max(density, level) AS density, arg_max(diverged, level) AS diverged
        FROM levels GROUP BY run_id
    ) USING (run_id)
    ORDER BY architecture, task, experiment_id, seed, replicate, run_id"""
_EXPERIMENTS = """
    SELECT * FROM (SELECT DISTINCT ON (experiment_id) * FROM runs ORDER BY experiment_id)
    JOIN (
        SELECT experiment_id, list(DISTINCT recipe_name ORDER BY recipe_name) AS recipe_names
        FROM runs GROUP BY experiment_id
    ) USING (experiment_id)
    {where}
    ORDER BY experiment_id"""
_LIKE = """
    WHERE (architecture, task) IN (
        SELECT (architecture, task) FROM runs WHERE list_contains(?, experiment_id)
    )"""
FORMER = """
    SELECT was, list(DISTINCT experiment_id)
    FROM (SELECT experiment_id, unnest(former) AS was FROM runs) GROUP BY was"""


@dataclass(frozen=True)
class RunInfo(Shown):
    """One run, as `rgtool ls` shows it.

    Attributes
    ----------
    run_id, experiment_id : str
        Identity.
    label : str
        Architecture and task, such as `resnet20/cifar10`, and what tells its experiment from
        others of the store; it selects that experiment.
    architecture, task : str
        What was trained.
    seed : int or None
        None where the source does not tell.
    replicate, source, recipe_name : str
        As in the description.
    levels : int
        Prunings asked for.
    recorded : int
        Levels that have a record, level 0 included.
    finished : bool
        Whether every level asked for is recorded, or training diverged.
    diverged : bool
        Whether the last recorded level met a loss that is not finite.
    last_level : int or None
        Highest recorded level.
    accuracy, density : float or None
        Of the last recorded level, fractions.
    compacted : bool
        Whether all of it lies in the compacted files.
    created_at : datetime
        UTC, without zone.
    name, note : str or None
        What people call it, and say of it; else of its experiment.
    tags : tuple of str
        Its own and those of its experiment.
    child : bool
        Whether it trains tickets of another, at levels that do not follow from each other.
    """

    run_id: str
    experiment_id: str
    label: str
    architecture: str
    task: str
    seed: int | None
    replicate: str
    source: str
    recipe_name: str
    levels: int
    recorded: int
    finished: bool
    diverged: bool
    last_level: int | None
    accuracy: float | None
    density: float | None
    compacted: bool
    created_at: dt.datetime
    name: str | None = None
    note: str | None = None
    tags: tuple[str, ...] = ()
    child: bool = False
    first: int = 0

    @property
    def asked(self) -> int | None:
        """Records that were asked for; None of a child before it has all of them."""
        if not self.child:
            return self.levels + 1 - self.first
        return self.recorded if self.finished else None

    def table(self) -> Table:
        """Return its row of `rgtool ls --runs`."""
        return runs_table([self])


@dataclass(frozen=True)
class ExperimentInfo(Shown):
    """All runs that differ in the seed alone.

    Attributes
    ----------
    experiment_id : str
        Identity.
    label : str
        Architecture and task, such as `resnet20/cifar10`, and what tells it from others of the
        store; it selects this experiment.
    recipe : Recipe
        What the runs have in common.
    runs : tuple of RunInfo
        By seed.
    recipe_names : tuple of str
        The named recipes that the runs were resolved from.
    name, note : str or None
        What people call it, and say of it.
    tags : tuple of str
        Its tags.
    """

    experiment_id: str
    label: str
    recipe: Recipe
    runs: tuple[RunInfo, ...]
    recipe_names: tuple[str, ...] = ()
    name: str | None = None
    note: str | None = None
    tags: tuple[str, ...] = ()

    def table(self) -> Table:
        """Return its row of `rgtool ls`."""
        return experiments_table([self])

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """Seeds of the runs; None where unknown."""
        return tuple(run.seed for run in self.runs)

    @property
    def levels(self) -> int:
        """Highest level that any run has recorded."""
        return max((run.last_level or 0 for run in self.runs), default=0)

    @property
    def distinction(self) -> dict[str, Any]:
        """Fields of the recipe that differ from the defaults, architecture and task left out."""
        fields = self.recipe.non_defaults()
        return {name: fields[name] for name in fields if name not in ("architecture", "task")}


def runs_table(runs: Iterable[RunInfo]) -> Table:
    """Return a row for every run."""
    rows = [
        (
            r.run_id,
            r.name,
            r.recipe_name,
            r.label,
            " ".join(r.tags),
            r.seed,
            r.recorded,
            r.asked,
            "diverged" if r.diverged else "finished" if r.finished else "unfinished",
            r.density,
            r.accuracy,
            r.created_at,
            r.note,
        )
        for r in runs
    ]
    names = ("run", "name", "recipe", "label", "tags", "seed", "records", "of", "state")
    return _listed((*names, "density", "accuracy", "created", "note"), rows)


def experiments_table(experiments: Iterable[ExperimentInfo]) -> Table:
    """Return a row for every experiment."""
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
            " ".join(f"{name}={written(value)}" for name, value in e.distinction.items()),
        )
        for e in experiments
    ]
    names = ("experiment", "name", "recipe", "label", "tags", "runs", "finished", "levels")
    return _listed((*names, "density", "accuracy", "note", "differs"), rows)


def _listed(columns: tuple[str, ...], rows: list[Row]) -> Table:
    """Return a table of which people see no column of what nobody has said."""
    said = [i for i, name in enumerate(columns) if name not in _SAID or any(row[i] for row in rows)]
    return Table(columns, rows, formats=_FORMATS, shown=tuple(columns[i] for i in said))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def is_finished(
    levels: Sequence[int], asked: int, diverged: bool, *, child: bool = False, first: int = 0
) -> bool:
    """Tell whether a run is done: no gap, and all levels asked for or a loss that diverged.

    Parameters
    ----------
    levels : sequence of int
        The recorded levels, ascending.
    asked : int
        Prunings asked for.
    diverged : bool
        Whether the last recorded level diverged.
    child : bool
        Whether it is a child, of which the last level is trained last and others may be missing.
    first : int
        The level that its records begin at.
    """
    if child:
        return bool(levels) and levels[-1] >= asked
    whole = bool(levels) and list(levels) == list(range(first, first + len(levels)))
    return whole and (levels[-1] >= asked or diverged)


def run_info(row: dict[str, Any], levels: Sequence[int]) -> RunInfo:
    """Return a run from a row of `RUNS`, with its `label` and whether it is `compacted`."""
    row = {**row, "last_level": row["last"], "recorded": len(levels), "tags": _tuple(row["tags"])}
    apart = {"child": row["child"], "first": row["first"]}
    row["finished"] = is_finished(levels, row["levels"], row["diverged"], **apart)
    return RunInfo(**{field.name: row[field.name] for field in dataclasses.fields(RunInfo)})


def recipe_of(row: dict[str, Any]) -> Recipe:
    """Rebuild the recipe from a row of the view `runs`."""
    return Recipe.from_json({name: row[name] for name in RECIPE_FIELDS})


def experiments_query(like: bool) -> str:
    """Return SQL of the experiments, or of those with architecture and task of some ids."""
    return _EXPERIMENTS.format(where=_LIKE if like else "")


def candidate(row: dict[str, Any]) -> Candidate:
    """Return an experiment from a row of `experiments_query`."""
    return Candidate(
        row["experiment_id"],
        recipe_of(row),
        _tuple(row["recipe_names"]),
        row["experiment_name"],
        row["experiment_note"],
        _tuple(row["experiment_tags"]),
    )


def _tuple(values: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(values or ())
