"""Runs that move to another experiment since another run has changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ....schemas.lock import lock
from ....schemas.recipe import Recipe
from ....schemas.records.description import Description
from ....schemas.records.layout import RunFolder
from ..identity import Content
from .arrival import now
from .known import Known

WAIT = 60.0  # seconds; whoever holds a run that is not trained does so for a moment


def moved(
    old: Description, recipe: Recipe, seen: Description | None = None, **others: Any
) -> Description:
    """Return a description with another recipe; experiments that it was of stay known.

    Parameters
    ----------
    old : Description
        As it was.
    recipe : Recipe
        As it is from now on.
    seen : Description, optional
        As it was before this import, which may have moved it already: nobody knows the experiment
        between.
    **others
        Other fields.
    """
    current = old.experiment_id if recipe == old.recipe else recipe.experiment_id
    seen = seen or old
    former = dict.fromkeys((*seen.former, seen.experiment_id))
    former.pop(current, None)
    return dataclasses.replace(
        old, recipe=recipe, experiment_id=current, former=tuple(former), **others
    )


def write(folder: RunFolder, description: Description) -> None:
    """Write the description of a run that is in the store, compacted or not.

    Raises
    ------
    Locked
        Another process holds the run.
    OSError
        The disk is full or not writable.
    """
    folder.make()
    with lock(folder.path / "lock", f"run {description.run_id}", wait=WAIT):
        description.write(folder.description)


def give_back_name(store: Path, known: Known, content: Content) -> None:
    """Rename the run that bears a name of this content and holds other masks than it.

    A run of one level may be seen under two names, grow under the second, and then turn out not to
    be that of the first: the levels that differ were never seen under it. So it goes on under the
    second name, and the first is free.
    """
    own = content.aliases[0]
    for run_id in known.bearing(own):
        there = known.contents[run_id]
        heir = next((a for a in there.aliases[1:] if content.differs_at(there) & {*a.levels}), None)
        if heir is None or content.differs_at(there) & {*there.aliases[0].levels}:
            continue
        folder = RunFolder.of(store, run_id)
        old = folder.read_description()
        if old is None or old.recipe.origin != own.experiment:  # a name that the user gave
            continue
        aliases = (heir, *(alias for alias in there.aliases if alias != heir))
        description = moved(
            old,
            dataclasses.replace(old.recipe, origin=heir.experiment),
            replicate=heir.replicate or "0",
            seed=heir.seed,
            aliases=tuple(alias.to_json() for alias in aliases),
            updated_at=now(),
        )
        write(folder, description)
        known.add(description)


def follow(store: Path, known: Known, parent: Description) -> Iterator[Description]:
    """Let the children of a run follow it to its experiment, and theirs follow them.

    Yields
    ------
    Description
        Each of them, as it is then.
    """
    for run_id in known.children(parent):
        folder = RunFolder.of(store, run_id)
        old = folder.read_description()
        if old is None:
            continue
        child = moved(
            old,
            dataclasses.replace(old.recipe, parent=parent.experiment_id),
            known.followed.setdefault(run_id, old),
            updated_at=now(),
        )
        write(folder, child)
        known.add(child)
        yield child
        yield from follow(store, known, child)
