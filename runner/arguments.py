"""What an experiment is asked for, read and checked: its names in their order, options, seeds."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..schemas.errors import UsageError, known_name
from ..schemas.published_recipes import is_recipe
from ..schemas.recipe import Recipe
from ..schemas.spelling import asked
from .data import is_data_set
from .launch import Launch
from .models import is_network

Seeds = str | int | Sequence[int] | Mapping[int, int]
_MOST_SEEDS = 100_000
DEFAULT_LEVELS = 16
_MOST_LEVELS = 9999  # four digits name a record


def in_known_case(options: dict[str, Any]) -> dict[str, Any]:
    """Write the names of options as they are known, whatever the case in which they were given.

    Raises
    ------
    UsageError
        One is given twice.
    """
    known = ["width", *(field.name for of in (Launch, Recipe) for field in fields(of))]
    found = {known_name(name, known) or name: value for name, value in options.items()}
    if len(found) < len(options):
        raise UsageError(f"{', '.join(options)}: one of them is given twice")
    return found


def check_order(model: object, task: object) -> None:
    """Tell a network and a data set that were named the wrong way round.

    Raises
    ------
    UsageError
        A data set stands where the network belongs, or a network where the data set does.
    """
    if not isinstance(model, str) or not isinstance(task, str):
        return
    network, data_set = is_network(model), is_data_set(task)
    if network and data_set:  # as they should be: packages are not asked for what they add
        return
    for name, known in ((model, network), (task, data_set)):
        if not known and is_recipe(name):
            raise UsageError(
                f"{name} is a recipe: --recipe {name}, beside a network and a data set"
            )
    turned = is_data_set(model), is_network(task)
    if any(turned) and not network and not data_set:
        what = f"{model} is a data set" if turned[0] else f"{task} is a network"
        raise UsageError(f"{what}: the network comes first; did you mean {task} {model}?")
    if turned[0] and not network:
        raise UsageError(f"{model} is a data set: a network comes before it, as resnet20 {model}")
    if turned[1] and not data_set:
        raise UsageError(f"{task} is a network: a data set comes behind it, as {task} cifar10")


def pairs_of(seeds: Seeds) -> dict[int, int]:
    """Return the seed of a parent's run that each seed is paired with: the same where none is told.

    Raises
    ------
    UsageError
        They are none.
    """
    given = _read_seeds(seeds) if isinstance(seeds, str) else seeds
    if not isinstance(given, Mapping):
        return {seed: seed for seed in seeds_of(given)}
    seeds_of([*given.values()])
    return {seed: whole(given[seed]) for seed in seeds_of(given)}


def seeds_of(seeds: Seeds) -> tuple[int, ...]:
    """Return the seeds that a count or a list means, `5` and `3,7` in a text, too.

    Those that are paired with a parent's, `{10: 0, 11: 1}` or `10:0,11:1`, are the first of each.

    Raises
    ------
    UsageError
        They are none.
    """
    if isinstance(seeds, str):
        seeds = _read_seeds(seeds)
    if isinstance(seeds, bool):
        raise _no_seeds(seeds)
    if isinstance(seeds, int):
        if not 0 < seeds <= _MOST_SEEDS:
            raise UsageError(
                f"seeds {seeds}: give a count such as 5, at most {_MOST_SEEDS}, or seeds such as "
                "3,7"
            )
        return tuple(range(seeds))
    try:
        numbers = tuple(dict.fromkeys(map(whole, seeds)))
    except TypeError:
        raise _no_seeds(seeds) from None
    wrong = [seed for seed in numbers if not 0 <= seed < 2**63]
    if wrong or not numbers:
        found = wrong[0] if wrong else "none"
        raise UsageError(
            f"seeds: {found} is no seed: give a count such as 5, or seeds such as 3,7, from 0 to "
            "2^63 - 1"
        )
    return numbers


def _read_seeds(text: str) -> int | list[int] | dict[int, int]:
    try:
        if ":" in text:
            return _read_pairs(text)
        if "," in text:
            return [int(part) for part in text.split(",") if part.strip()]
        return int(text)
    except ValueError:
        raise _no_seeds(text) from None


def _read_pairs(text: str) -> dict[int, int]:
    """Read `10:0,11:1`; a seed alone is paired with the same one.

    Raises
    ------
    UsageError
        One is paired with two.
    """
    pairs: dict[int, int] = {}
    for part in filter(str.strip, text.split(",")):
        seed, _, of = part.partition(":")
        paired = int(of or seed)
        if pairs.setdefault(int(seed), paired) != paired:
            raise UsageError(
                f"seeds {text}: {int(seed)} is paired with {pairs[int(seed)]} and with {paired}: "
                "one command trains each seed once, give a second one for the other"
            )
    return pairs


def _no_seeds(found: object) -> UsageError:
    return UsageError(f"seeds {found}: give a count such as 5, or seeds such as 3,7")


def check_levels(levels: int) -> None:
    """Hold a number of prunings to its range.

    Raises
    ------
    UsageError
        It is out of it.
    """
    try:
        is_number = 0 <= whole(levels) <= _MOST_LEVELS
    except TypeError:
        is_number = False
    if not is_number:
        raise UsageError(
            f"levels is {levels}: it is the number of prunings, from 0 to {_MOST_LEVELS}"
        )


def levels_of(
    levels: int, at: str | int | Sequence[int] | None, start: int | None = None
) -> tuple[int, ...]:
    """Return the levels that are to be recorded: all up to a number of prunings, or those named.

    Parameters
    ----------
    levels : int
        The number of prunings.
    at : sequence of int or str, optional
        Levels, `0,4,8` in a text too.
    start : int, optional
        The first of them, of a run that prunes on from a ticket of its parent.

    Raises
    ------
    UsageError
        They are none, or out of their range.
    """
    if start is not None:
        return _levels_from(start, levels, at)
    if at is None:
        check_levels(levels)
        return tuple(range(levels + 1))
    try:
        texts = at.split(",") if isinstance(at, str) else [at] if isinstance(at, int) else at
        found = sorted({int(text) if isinstance(text, str) else whole(text) for text in texts})
    except (TypeError, ValueError):
        found = []
    if not found:
        raise UsageError(f"at {at}: give levels such as 0,4,8")
    for level in (found[0], found[-1]):
        if not 0 <= level <= _MOST_LEVELS:
            raise UsageError(
                f"at {level}: levels are numbers of prunings, from 0 to {_MOST_LEVELS}"
            )
    return tuple(found)


def _levels_from(start: int, levels: int, at: str | int | Sequence[int] | None) -> tuple[int, ...]:
    check_levels(levels)
    if at is not None:
        raise UsageError(
            f"{asked('at', at)} and {asked('start', start)}: the first names single tickets of the "
            "parent, from the second a run prunes on by itself: give one of them"
        )
    if not 0 <= start <= levels:
        raise UsageError(
            f"start is {start}: it is the first level of the run, from 0 to its last one, which "
            f"{asked('levels', levels)} says"
        )
    return tuple(range(start, levels + 1))


def check_one_way(levels: int, at: Sequence[int]) -> None:
    """Refuse a number of prunings beside levels that are named, unless it is that of the last.

    Raises
    ------
    UsageError
        They ask for different levels.
    """
    if levels not in (DEFAULT_LEVELS, at[-1]):
        named = asked("at", ",".join(map(str, at)))
        raise UsageError(
            f"{named} and {asked('levels', levels)}: the first names single levels, the second "
            "means all up to a last one: give one of them"
        )


def whole(value: Any) -> int:
    """Return a whole number of any type; a truth value is none.

    Raises
    ------
    TypeError
        It is no whole number.
    """
    if isinstance(value, bool):
        raise TypeError(f"{value} is no number")
    return operator.index(value)


def names_of(names: str | Sequence[Any]) -> list[Any]:
    """Return names as a list; a text is one, or several with commas between them."""
    if not isinstance(names, str):
        return [*names]
    return [name.strip() for name in names.split(",") if name.strip()]


def controls_of(controls: str | Sequence[str] | None) -> list[str]:
    """Return controls as a list; `none` is none of them."""
    names = [name for name in names_of(controls or ()) if name]
    return [] if [str(name).lower() for name in names] == ["none"] else names


def file_of(init: str | Path | None) -> Path | None:
    """Tell a file of weights from the name of an initialiser, which has no suffix."""
    if init is None or not (isinstance(init, Path) or Path(init).suffix or Path(init).exists()):
        return None
    return Path(init)
