"""Children beside what is classified: their masks are, or begin with, those of their parents."""

from __future__ import annotations

from collections.abc import Sequence

from ...schemas.errors import UsageError
from ...schemas.notes import Note, Rank
from ...schemas.recipe import Recipe
from ...schemas.words import listed
from ...store import Store
from ...store.counts import Counts

_CHILDREN = (
    "SELECT experiment_id, any_value(control), any_value(start) FROM runs "
    "WHERE parent IS NOT NULL GROUP BY experiment_id ORDER BY experiment_id"
)


def children_of(store: Store) -> list[Note]:
    """Say which experiments of a whole store are in no class, since their tickets are others'."""
    found = store.query(_CHILDREN).rows
    taken = [f"{name} (control {control})" for name, control, start in found if start is None]
    begun = [name for name, _, start in found if start is not None]
    notes = []
    if taken:
        said = "trained on tickets of others, so that their spectra are equal to"
        notes.append(f"{listed(taken, 3)}: {said} those by construction and in no class")
    if begun:
        said = "pruned on from tickets of others, no evidence of their own and so in no class"
        notes.append(f"{listed(begun, 3)}: {said}")
    return [Note(text) for text in notes]


def with_parent(together: Sequence[Counts]) -> list[Note]:
    """Refuse a child beside its parent: fresh layers alone tell their counts apart.

    Of one that prunes on from a ticket of its parent's, say that the two depend on each other.

    Raises
    ------
    UsageError
        A child is there that does not prune by itself.
    """
    there = {counts.experiment_id for counts in together}
    notes = []
    for counts in together:
        if (parent := counts.recipe.parent) not in there:
            continue
        if counts.recipe.finds_masks:
            notes.append(
                f"{counts.experiment_id} begins with the tickets that {parent} has at level "
                f"{counts.recipe.start}: the two are compared as if they were independent"
            )
        else:
            raise UsageError(
                f"{with_control(counts.experiment_id, counts.recipe)} trains the tickets of "
                f"{parent}: the same masks, so their spectra are equal by construction; leave one "
                "of them out"
            )
    return [Note(text, rank=Rank.WARNING) for text in notes]


def with_control(name: str, recipe: Recipe) -> str:
    """Return a name with the control that its experiment is, if it is one."""
    return name + (f" (control {recipe.control})" if recipe.control != "none" else "")
