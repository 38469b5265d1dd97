"""How an imported run was made: what its files and the user tell, and a study of the rest.

The user's word goes before a manifest's, that before what other files or folders tell, and that
before the values of a study. What was told before stays until something that goes before it says
otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ....schemas.blocks import Architecture
from ....schemas.errors import UsageError
from ....schemas.published_recipes import fields_of
from ....schemas.recipe import Recipe
from ....schemas.records.description import SEEN, UNKNOWN, Description
from ..found import FoundRun
from ..recognition.recognise import Recognised
from ..report import Choices, ImportedRun

USER = "told by the user"
MANIFEST = "told by manifest.json"
_EVERY = tuple(f.name for f in dataclasses.fields(Recipe))
Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Told:
    """How a run was made.

    Attributes
    ----------
    recipe : Recipe
        All of it.
    recipe_name : str
        The study that gives what nothing tells.
    fields : tuple of str
        What is told.
    inferred : mapping of str to str
        By whom, where it was the user or a manifest.
    """

    recipe: Recipe
    recipe_name: str
    fields: tuple[str, ...]
    inferred: Mapping[str, str]


def told_first(
    found: FoundRun,
    network: Recognised,
    choices: Choices,
    exempt: Sequence[str],
    parent: ImportedRun | None,
    notes: list[str],
) -> Told:
    """Return how a run was made that is new to the store."""
    said = choices.said
    known = {
        "task": found.fields.get("task", "unknown"),
        "origin": choices.name or found.experiment,
        "parent": parent.experiment_id if parent else None,
    }
    name = choices.recipe or found.recipe_name
    fields = {**_study(name, network), **known}
    recipe, told = _recipe(fields, _files(found), {**said, **_seen(network, exempt)}, notes)
    return Told(
        recipe,
        name or UNKNOWN,
        _names(told, said, _EVERY if choices.recipe else ()),
        _by_whom(choices, found.stated.intersection(told)),
    )


def told_again(
    old: Description,
    found: FoundRun,
    network: Recognised,
    choices: Choices,
    parent: ImportedRun | None,
    stated: Collection[str],
    notes: list[str],
) -> Told:
    """Return how a run was made that is in the store, after what is told of it now.

    Parameters
    ----------
    old : Description
        What the store says.
    found : FoundRun
        The same run, found again.
    network : Recognised
        Its layers, `exempt` those that it never pruned.
    choices : Choices
        What the user says.
    parent : ImportedRun or None
        What became of the run that it begins with.
    stated : collection of str
        What a manifest tells and corrects the store.
    notes : list of str
        Takes what cannot be taken over.
    """
    said, files = choices.said, _files(found)
    user = {name for name in _EVERY if by_user(old, name)}
    now = {name: files[name] for name in stated if name in files.keys() - user}
    notes += [
        f"{name} stays {getattr(old.recipe, name)}, as the user told it: manifest.json says "
        f"{files[name]}"
        for name in sorted(user.intersection(stated, files) - said.keys())
        if files[name] != getattr(old.recipe, name)
    ]
    if choices.recipe:  # a study tells all that nobody else does
        kept = {"task", "origin", "parent", *user}
        told = {**{name: files[name] for name in files.keys() - user}, **now}
    else:
        kept = {*_EVERY} - {*old.assumed}
        told = now
    fixed = {**said, **_seen(network, network.exempt)}
    if parent is not None:
        fixed["parent"] = parent.experiment_id
    if choices.name:
        fixed["origin"] = choices.name
    elif "experiment" in stated and not by_user(old, "origin"):
        fixed["origin"] = found.experiment
    name = choices.recipe or old.recipe_name
    fields = {**_study(name, network), **{f: getattr(old.recipe, f) for f in {*kept, "task"}}}
    recipe, taken = _recipe(fields, told, fixed, notes)
    same = {f for f, value in files.items() if getattr(recipe, f, None) == value}
    told_now = now.keys() & taken.keys()
    names = _names(old.told, said, same, told_now, _EVERY if choices.recipe else ())
    return Told(recipe, name, names, _by_whom(choices, told_now))


def _files(found: FoundRun) -> dict[str, Any]:
    """Return what the files tell of the recipe; of a network's name their shapes tell more."""
    return {name: value for name, value in found.fields.items() if name != "architecture"}


def _seen(network: Recognised, exempt: Sequence[str]) -> dict[str, Any]:
    return {
        "architecture": network.architecture,
        "prunable": network.prunable,
        "exempt": tuple(exempt),
    }


def _study(name: str, network: Recognised) -> dict[str, Any]:
    return fields_of(name, Architecture(network.architecture, network.layers))


def _recipe(fields: Fields, told: Fields, fixed: Fields, notes: list[str]) -> tuple[Recipe, Fields]:
    """Return the recipe, and what of `told` is in it: all, or nothing where that contradicts."""
    try:
        return Recipe.from_json({**fields, **told, **fixed}), told
    except (UsageError, TypeError, ValueError) as error:
        notes.append(f"how it was trained is not taken over: {error}")
        return Recipe.from_json({**fields, **fixed}), {}


def _names(*several: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({name for names in several for name in names} - {*SEEN}))


def network_from(why: str, choices: Choices) -> str:
    """Say what a network is concluded from, and whether the user has named it."""
    return f"{USER}: {why}" if choices.architecture else why


def by_user(description: Description, name: str) -> bool:
    """Whether the user has told a field of a run in the store."""
    return description.inferred.get(name, "").startswith(USER)


def _by_whom(choices: Choices, stated: Iterable[str]) -> dict[str, str]:
    user = {**choices.said, "recipe": choices.recipe, "origin": choices.name}
    by_him = {name: USER for name, value in user.items() if value is not None}
    return {**dict.fromkeys(stated, MANIFEST), **by_him}
