"""Networks, data and pruners of the user's own, by the names that experiments have them by.

Such a name ends with a hash, of a source or of content, and a store keeps no place: where they lie
is told anew, and held to the name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ...schemas.block_map import read_blocks
from ...schemas.errors import RgtoolError, UsageError
from ...schemas.records.data_names import unwrapped
from ...schemas.spelling import asked
from ..data import Loading, Task, find_task, is_archive, is_data_set, load
from ..datasets.wrapped import Wrapped
from ..pruners.registry import OwnPruner, find_pruner
from .function import OwnFunction, from_object, from_reference, is_reference
from .network import OwnNetwork

Place = str | Callable[..., Any]  # `npz:FILE`, `my.py:load`, or a function itself
Using = Place | Sequence[Place]
_NAME = re.compile(r"(.+)-[0-9a-f]{8}", re.DOTALL)


def places_of(using: Using) -> tuple[Place, ...]:
    """Return places as a tuple: one alone is one."""
    places = (using,) if isinstance(using, str) or callable(using) else tuple(using)
    for one in places:
        if isinstance(one, str) and not (is_archive(one) or is_reference(one)):
            raise UsageError(
                f"{asked('using', one)}: where networks and data of your own lie is due, as "
                "npz:FILE, my.py:load or my.py:build"
            )
    return places


def stored_task(task: Loading | Task, using: Using, folder: Path | None) -> Task:
    """Find a data set as `data.find_task` does, or by the name that experiments have it by.

    Parameters
    ----------
    task : str or callable
        What names it. Of `npz-a-d623f6a0`, or what is made of it, the content is held to the name.
    using : sequence of str or callable
        Where it may lie.
    folder : Path or None
        Where published data sets lie.

    Raises
    ------
    UsageError
        There is no such data set, or nothing of `using` is it.
    """
    if not isinstance(task, str):
        return find_task(task)
    inner, wrappers = unwrapped(task)
    if is_data_set(inner) or is_reference(inner) or not _NAME.fullmatch(inner):
        return find_task(task)
    found = _content(inner, places_of(using), folder)
    return Wrapped(found, wrappers) if wrappers else found


def _content(name: str, places: Sequence[Place], folder: Path | None) -> str | OwnFunction:
    """Load what is named until it is the data set, first what is called so."""
    seen = []
    for place in sorted(places, key=lambda one: not name.startswith(f"{_label(one)}-")):
        task = find_task(place)
        try:
            there = load(task, folder).name
        except RgtoolError as error:  # a network, perhaps, or a file that is gone
            seen.append(str(error))
            continue
        if there == name and not isinstance(task, Wrapped):
            return task
        seen.append(f"{_written(place)} is {there}")
    raise UsageError(_unknown("data set", name, seen))


def stored_network(model: Any, using: Using, blocks: Path | None = None) -> Any:
    """Find a network of the user's own by the name that experiments have it by.

    Parameters
    ----------
    model : str, callable or network
        What names it; what is no such name is given back.
    using : sequence of str or callable
        Where it may lie.
    blocks : Path, optional
        Its block map.

    Raises
    ------
    UsageError
        Nothing of `using` is it.
    """
    if not isinstance(model, str) or is_reference(model) or not _NAME.fullmatch(model):
        return model
    pairs = () if blocks is None else tuple(read_blocks(blocks).items())
    found = [OwnNetwork(function, pairs) for function in _functions(places_of(using))]
    for network in found:
        if network.name == model:
            return network
    seen = [f"{network.function.place} is {network.name}" for network in found]
    unknown = _unknown("network", model, seen)
    if blocks is None and any(_same_function(network.name, model) for network in found):
        unknown += (
            f"; where it was named with {asked('blocks', 'FILE')}, rgtool run alone takes that "
            f"too, and with {asked('parent', 'EXPERIMENT')} trains its tickets"
        )
    raise UsageError(unknown)


def _same_function(one: str, other: str) -> bool:
    """Tell whether two names of networks differ in their hashes alone."""
    return one.rpartition("-")[0] == other.rpartition("-")[0]


def introduce_pruner(name: str, using: Using) -> None:
    """Let `find_pruner` know a pruner of the user's own by the name that a recipe has it by.

    Raises
    ------
    UsageError
        It is one, and neither found before nor anything of `using`.
    """
    places = places_of(using)
    own = {OwnPruner(one).name: place for place in places for one in _functions([place])}
    try:
        find_pruner(own.get(name, name))
    except UsageError:
        if not _NAME.fullmatch(name) or name in own:
            raise
        seen = [f"{_written(place)} is {there}" for there, place in own.items()]
        raise UsageError(_unknown("pruner", name, seen)) from None


def _functions(places: Sequence[Place]) -> Iterator[OwnFunction]:
    for one in places:
        if not isinstance(one, str):
            yield from_object(one)
        elif not is_archive(one):
            yield from_reference(one)


def _label(place: Place) -> str:
    """Return what a name begins with of what lies there."""
    if isinstance(place, str) and is_archive(place):
        return f"npz-{Path(place.partition(':')[2]).stem}"
    return next(_functions([place])).label


def _written(place: Place) -> str:
    return place if isinstance(place, str) else next(_functions([place])).place


def _unknown(what: str, name: str, seen: Sequence[str]) -> str:
    """Say what is not found, where was looked, and how it would be."""
    label = name.rpartition("-")[0]
    stem = label.removeprefix("npz-")
    example = f"my.py:{label}" if stem == label else f"npz:{stem}.npz"
    there = f" ({'; '.join(seen)})" if seen else ""
    return (
        f"{what} '{name}' is of one's own, and a store does not keep where that lies{there}: name "
        f"it, as {asked('using', example)}"
    )
