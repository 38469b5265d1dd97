"""Children beside what is classified: their masks are those of their parents."""

from __future__ import annotations

from collections.abc import Sequence

from ...schemas.errors import UsageError
from ...schemas.notes import Note
from ...schemas.recipe import Recipe
from ...schemas.words import listed
from ...store import Store
from ...store.counts import Counts

_CHILDREN = (
    "SELECT experiment_id, any_value(control) FROM runs WHERE parent IS NOT NULL "
    "GROUP BY experiment_id ORDER BY experiment_id"
)


def children_of(store: Store) -> list[Note]:
    """Say which experiments of a whole store are in no class, since their tickets are others'."""
    found = store.query(_CHILDREN).rows
    if not found:
        return []
    names = listed([f"{name} (control {control})" for name, control in found], 3)
    said = f"{names}: trained on tickets of others, so that their spectra are equal to"
    return [Note(f"{said} those by construction and in no class")]


def refuse_with_parent(together: Sequence[Counts]) -> None:
    """Refuse a child beside its parent: fresh layers alone tell their counts apart.

    Raises
    ------
    UsageError
        One is there.
    """
    there = {counts.experiment_id for counts in together}
    for counts in together:
        if (parent := counts.recipe.parent) in there:
            raise UsageError(
                f"{with_control(counts.experiment_id, counts.recipe)} trains the tickets of "
                f"{parent}: the same masks, so their spectra are equal by construction; leave one "
                "of them out"
            )


def with_control(name: str, recipe: Recipe) -> str:
    """Return a name with the control that its experiment is, if it is one."""
    return name + (f" (control {recipe.control})" if recipe.control != "none" else "")
