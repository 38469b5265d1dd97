"""What experiments of a report show beside each other: classes, and what predictions were worth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ...store import Store
from ..classes.classify import classify
from ..scoreboard.score import score
from .members import Member
from .results import section_of
from .section import Section


def classes(store: Store, members: Sequence[Member]) -> Section | None:
    """Say which experiments behave alike; None where there are not two."""
    own = [one.id for one in members if one.flows and one.info.recipe.parent is None]
    if len(own) < 2:
        return None
    find = partial(classify, store, own)
    return section_of("classes", "Classes", find, f"rgtool classify {' '.join(own)}")


def scoreboard(store: Store) -> Section | None:
    """Show what predictions were worth; None where none was written down."""
    if not store.predictions().kept:
        return None
    return section_of("scoreboard", "Predictions", partial(score, store), "rgtool score")
