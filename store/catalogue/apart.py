"""Labels, and what tells experiments of one label apart."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...schemas.recipe import Recipe

MORE = "..."  # ends a label beside which more differs than it says
_MOST = 3  # fields that a label names if it can do with fewer
_FIRST = ("prune", "pruner", "scope", "transform", "control", "parent", "rewind", "lr", "epochs")
_STARTS = "start"  # is said of what prunes on by itself; of others where nothing else tells them
_FIELDS = tuple(
    dict.fromkeys(
        (
            *_FIRST,
            *(f.name for f in dataclasses.fields(Recipe) if f.name not in ("architecture", "task")),
        )
    )
)


def label_of(recipe: Recipe) -> str:
    """Return architecture and task, such as `resnet20/cifar10`."""
    return f"{recipe.architecture}/{recipe.task}"


def told_apart(recipes: Sequence[Recipe]) -> list[str]:
    """Write the fields in which recipes of one architecture and task differ, to follow its label.

    Up to three fields are named, else the fewest that tell all of them apart, and `...`; of
    children always the parent too. Empty for an experiment that finds its own tickets where no
    other such one has that architecture and task.

    Examples
    --------
    >>> one = Recipe(architecture="lenet", task="mnist")
    >>> told_apart([one, dataclasses.replace(one, prune=0.36)])
    [' prune=0.2', ' prune=0.36']
    >>> told_apart([one]), told_apart([dataclasses.replace(one, parent="0123456789ab")])
    ([''], [' parent=0123456789ab'])
    """
    groups: dict[str, list[int]] = {}
    for place, recipe in enumerate(recipes):
        groups.setdefault(label_of(recipe), []).append(place)
    found = [""] * len(recipes)
    for places in groups.values():
        values = [_values(recipes[place]) for place in places]
        for place, text in zip(places, _among(values), strict=True):
            found[place] = text
        own = [place for place in places if recipes[place].parent is None]
        values = [_values(recipes[place]) for place in own]
        for place, text in zip(own, _among(values), strict=True):
            found[place] = text
    return found


def _among(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write the fields in which experiments of one label differ."""
    differing = [name for name in _FIELDS if len({row[name] for row in rows}) > 1]
    chosen = _fewest(rows, differing)
    of_children = {"parent"} if any(row["parent"] != "none" for row in rows) else set()
    named = [name for name in _FIELDS if name in of_children.union(chosen)]
    more = f" {MORE}" if set(differing) - {*named} else ""
    without = [name for name in named if name != _STARTS]
    alike = Counter(tuple(row[name] for name in without) for row in rows)

    def told(row: Mapping[str, Any]) -> list[str]:
        starts = row[_STARTS] != "none" or alike[tuple(row[name] for name in without)] > 1
        return named if starts else without

    return [
        "".join(f" {name}={shlex.quote(str(row[name]))}" for name in told(row)) + more
        for row in rows
    ]


def written(value: Any) -> Any:
    """Return the value of a field as a selection and `--set` write it: a list by commas.

    Examples
    --------
    >>> written(("40ep", "60ep")), written(()), written(None), written(0.2)
    ('40ep,60ep', 'none', 'none', 0.2)
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else value


def _values(recipe: Recipe) -> dict[str, Any]:
    return {name: written(getattr(recipe, name)) for name in _FIELDS}


def _fewest(rows: Sequence[Mapping[str, Any]], differing: Sequence[str]) -> list[str]:
    """Choose the fields that a label names, one by one the one that tells most of them apart."""
    if len(differing) <= _MOST:
        return list(differing)
    whole = len({tuple(row[name] for name in differing) for row in rows})
    chosen: list[str] = []
    while len({tuple(row[name] for name in chosen) for row in rows}) < whole:

        def kinds(name: str, so_far: Sequence[str] = tuple(chosen)) -> int:
            return len({tuple(row[one] for one in (*so_far, name)) for row in rows})

        chosen.append(max((name for name in differing if name not in chosen), key=kinds))
    return [name for name in differing if name in chosen]
