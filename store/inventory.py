"""What the store holds: its runs and experiments, listed and found by name."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..schemas.errors import StoreError, UsageError, did_you_mean
from ..schemas.recipe import Recipe
from ..schemas.words import spelled

RECIPE_FIELDS = tuple(field.name for field in dataclasses.fields(Recipe))
_SHOWN = 5  # candidates that a message lists
RUNS = """
    SELECT run_id, experiment_id, architecture, task, seed, replicate, source, recipe_name, levels,
           last, accuracy, density, coalesce(diverged, false) AS diverged, created_at
    FROM runs LEFT JOIN (
        SELECT run_id, max(level) AS last, arg_max_null(accuracy, level) AS accuracy,
               arg_max(density, level) AS density, arg_max(diverged, level) AS diverged
        FROM levels GROUP BY run_id
    ) USING (run_id)
    ORDER BY architecture, task, experiment_id, seed, replicate, run_id"""
FORMER = """
    SELECT was, list(DISTINCT experiment_id)
    FROM (SELECT experiment_id, unnest(former) AS was FROM runs) GROUP BY was"""


@dataclass(frozen=True)
class RunInfo:
    """One run, as `rgtool ls` shows it.

    Attributes
    ----------
    run_id, experiment_id : str
        Identity.
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
    """

    run_id: str
    experiment_id: str
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

    @property
    def label(self) -> str:
        """Architecture and task, such as `resnet20/cifar10`."""
        return f"{self.architecture}/{self.task}"


@dataclass(frozen=True)
class ExperimentInfo:
    """All runs that differ in the seed alone.

    Attributes
    ----------
    experiment_id : str
        Identity.
    recipe : Recipe
        What the runs have in common.
    runs : tuple of RunInfo
        By seed.
    """

    experiment_id: str
    recipe: Recipe
    runs: tuple[RunInfo, ...]

    @property
    def label(self) -> str:
        """Architecture and task, such as `resnet20/cifar10`."""
        return _label(self.recipe)

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
        return _distinction(self.recipe)


def is_finished(levels: Sequence[int], asked: int, diverged: bool) -> bool:
    """Tell whether a run is done: no gap, and all levels asked for or a loss that diverged.

    Parameters
    ----------
    levels : sequence of int
        The recorded levels, ascending.
    asked : int
        Prunings asked for.
    diverged : bool
        Whether the last recorded level diverged.
    """
    whole = bool(levels) and list(levels) == list(range(len(levels)))
    return whole and (len(levels) > asked or diverged)


def run_info(row: dict[str, Any], levels: Sequence[int]) -> RunInfo:
    """Return a run from a row of `RUNS`, which says whether it is `compacted`, and its levels."""
    row = {**row, "last_level": row["last"], "recorded": len(levels)}
    row["finished"] = is_finished(levels, row["levels"], row["diverged"])
    return RunInfo(**{field.name: row[field.name] for field in dataclasses.fields(RunInfo)})


def recipe_of(row: dict[str, Any]) -> Recipe:
    """Rebuild the recipe from a row of the view `runs`."""
    return Recipe.from_json({name: row[name] for name in RECIPE_FIELDS})


def pick_run(name: str, runs: Iterable[str]) -> str | None:
    """Find the one run whose id starts with `name`; None where there is none.

    Raises
    ------
    UsageError
        Several runs start so.
    """
    runs = sorted(runs)
    found = [run_id for run_id in runs if run_id == name] or [
        run_id for run_id in runs if name and run_id.startswith(name)
    ]
    if len(found) > 1:
        raise UsageError(f"'{name}' begins the names of {len(found)} runs: {_some(found)}")
    return found[0] if found else None


def pick_experiment(
    name: str | None,
    recipes: Mapping[str, Recipe],
    where: str,
    former: Callable[[], Mapping[str, Collection[str]]] = dict,
) -> str:
    """Find the one experiment that `name` means.

    Parameters
    ----------
    name : str or None
        A prefix of its id, or `resnet20/cifar10`; None where there is but one.
    recipes : mapping of str to Recipe
        All experiments there are.
    where : str
        The store, for messages.
    former : callable
        Returns ids that experiments have no more, and of which the runs that had them are now.

    Raises
    ------
    UsageError
        None or several fit; the message lists the candidates.
    StoreError
        There are no experiments.
    """
    if not recipes:
        raise StoreError(empty_store(where))
    if name is None:
        found, problem = list(recipes), "the store holds {} experiments, name one"
    else:
        found = [key for key in recipes if name and key.startswith(name)]
        found = found or [key for key, recipe in recipes.items() if _label(recipe) == name]
        found = found or _moved(name, former())  # last: what bears the id now is meant first
        problem = f"'{name}' fits {{}} experiments, give the id of one"
    if len(found) == 1:
        return found[0]
    if not found:
        labels = sorted({_label(recipe) for recipe in recipes.values()})
        raise UsageError(
            f"no experiment '{name}' in {where}: {_nearest(str(name), [*labels, *recipes])}"
        )
    described = _described({key: recipes[key] for key in found})
    raise UsageError(f"{problem.format(len(found))}: {_some(described)}")


def _moved(name: str, former: Mapping[str, Collection[str]]) -> list[str]:
    """List the experiments of the runs that once were of one whose id starts with `name`."""
    found = [now for was, now in former.items() if name and was.startswith(name)]
    return sorted({key for now in found for key in now})


def empty_store(where: str) -> str:
    """Say that a store holds no runs, and how to fill it."""
    return (
        f"the store {where} holds no runs: `rgtool run lenet digits` fills it, `rgtool demo` shows "
        "how, --store or RGTOOL_STORE names another one"
    )


def _label(recipe: Recipe) -> str:
    return f"{recipe.architecture}/{recipe.task}"


def _distinction(recipe: Recipe) -> dict[str, Any]:
    fields = recipe.non_defaults()
    return {name: fields[name] for name in fields if name not in ("architecture", "task")}


def _described(recipes: Mapping[str, Recipe]) -> list[str]:
    """Name experiments by id, label and what tells them apart."""
    fields = {key: _distinction(recipe) for key, recipe in recipes.items()}
    texts = []
    for key, recipe in recipes.items():
        own = [
            f"{field} {spelled(value)}"
            for field, value in fields[key].items()
            if any(other.get(field) != value for other in fields.values())
        ]
        texts.append(f"{key} ({', '.join([_label(recipe), *own])})")
    return texts


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _nearest(name: str, known: Sequence[str]) -> str:
    text = did_you_mean(name, known)
    return text if text.startswith("did") else f"choose from {_some(known)}"
