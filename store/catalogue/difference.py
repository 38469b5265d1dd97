"""Two experiments or runs side by side: recipes, conditions, versions, levels."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...schemas.display import Shown, Table
from ...schemas.recipe import Recipe
from ...schemas.records.description import assumed_fields, shown
from .apart import label_of, written
from .inventory import RunInfo, recipe_of

if TYPE_CHECKING:
    from .holdings import Holdings
    from .selection import Identified

_CALLED = ("name", "note", "tags")
_NAMED = ("recipe_name", "source", "former")
_CONDITIONS = ("versions", "machine")


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes
    ----------
    id, label : str
        Of the experiment or the run; architecture and task.
    values : mapping of str to str
        Everything that can be compared, as text: what several runs differ in is listed.
    """

    id: str
    label: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Difference(Shown):
    """What two experiments or runs differ in.

    Attributes
    ----------
    a, b : Side
        The two.
    every : bool
        Whether what is the same is listed too.
    """

    a: Side
    b: Side
    every: bool = False

    @property
    def rows(self) -> list[tuple[str, str | None, str | None]]:
        """What, and its values in `a` and `b`; None where there is none. Ids come first."""
        names = dict.fromkeys((*self.a.values, *self.b.values))
        pairs = [(name, self.a.values.get(name), self.b.values.get(name)) for name in names]
        found = [row for row in pairs if self.every or row[1] != row[2]]
        return [("id", self.a.id, self.b.id), ("label", self.a.label, self.b.label), *found]

    def table(self) -> Table:
        """Return what `rgtool diff` prints."""
        notes = () if len(self.rows) > 2 else ("they differ in nothing that is on record",)
        title = "what is in each" if self.every else "what differs"
        return Table(("what", "a", "b"), self.rows, title=title, notes=notes)


def difference(
    store: Holdings, a: str | Identified, b: str | Identified, *, every: bool = False
) -> Difference:
    """Compare two experiments or runs; parameters and errors are those of `Store.diff`."""
    infos = {run.run_id: run for run in store.runs()}
    return Difference(_side(store, a, infos), _side(store, b, infos), every)


def _side(store: Holdings, name: str | Identified, infos: Mapping[str, RunInfo]) -> Side:
    experiment, run = store.find(name)
    ids = [run] if run else [one for one in infos if infos[one].experiment_id == experiment]
    rows = store.query("SELECT * FROM runs WHERE list_contains(?, run_id)", [ids]).to_dicts()
    recipe = recipe_of(rows[0])
    values = _of_recipe(recipe, rows)
    for column in _CALLED:
        said = (
            [getattr(infos[run], column)] if run else [row[f"experiment_{column}"] for row in rows]
        )
        values[column] = _together(said)
    for column in _NAMED:
        values[column] = _together([row[column] for row in rows])
    runs = [infos[one] for one in ids]
    values["runs"] = str(len(runs))
    values["seeds"] = _listed([str(one.seed) for one in runs])
    values["prunings"] = _listed([str(one.levels) for one in runs])
    values["recorded"] = _listed([str(one.recorded) for one in runs])
    values["finished"] = str(sum(one.finished for one in runs))
    for column in _CONDITIONS:
        values |= _conditions(rows, column)
    values["history"] = _listed(
        [line for row in rows for line in json.loads(row["history"] or "[]")]
    )
    return Side(
        run or experiment, label_of(recipe), {name: text for name, text in values.items() if text}
    )


def _of_recipe(recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Write every field, and which of them nothing tells."""
    assumed = {
        name
        for row in rows
        for name in assumed_fields(row["source"], row["told"] or (), recipe, row["recipe_name"])
    }
    fields = [f.name for f in dataclasses.fields(Recipe)]
    values = {f"recipe.{name}": str(written(getattr(recipe, name))) for name in fields}
    return {**values, "assumed": _listed([name for name in fields if name in assumed])}


def _conditions(rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, str]:
    parts = [shown(json.loads(row[column] or "{}")) for row in rows]
    return {
        f"{column}.{name}": _listed([_text(part[name]) for part in parts if name in part])
        for name in dict.fromkeys(name for part in parts for name in part)
    }


def _together(values: Sequence[Any]) -> str:
    return _listed([_text(value) for value in values if value not in (None, [], (), "")])


def _listed(texts: Sequence[str]) -> str:
    """Write the texts that differ, once each."""
    return ", ".join(dict.fromkeys(texts))


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict | bool) else str(value)
