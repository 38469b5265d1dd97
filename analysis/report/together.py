"""What experiments of a report show beside each other: accuracy, classes, predictions."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

import numpy as np

from ...schemas.errors import RgtoolError
from ...store import Store
from ...store.counts import Counts
from ..charts.accuracy import accuracy_chart
from ..charts.recipes import recipe_chart
from ..classes.classify import classify
from ..classes.result import Classes
from ..scoreboard.score import score
from .members import Member
from .results import section_of
from .section import Section


def accuracy(members: Sequence[Member]) -> Section | None:
    """Show accuracy against density of those that find their own tickets; None without any."""
    known = with_accuracy(members)
    if not known:
        return None
    charts = [accuracy_chart(known)]
    with contextlib.suppress(RgtoolError):  # recipes are compared where there are two
        charts.append(recipe_chart(known))
    return Section("accuracy", "Accuracy", charts=tuple(charts))


def with_accuracy(members: Sequence[Member]) -> list[Counts]:
    """Return the counts of those that find their own tickets and have an accuracy on record."""
    own = [one.counts for one in members if one.flows and one.info.recipe.parent is None]
    return [one for one in own if one is not None and has_accuracy(one)]


def has_accuracy(counts: Counts) -> bool:
    """Tell whether any level has an accuracy."""
    return bool((counts.recorded & np.isfinite(counts.accuracy)).any())


def classes(store: Store, members: Sequence[Member]) -> Section | None:
    """Say which experiments behave alike; None where there are not two.

    Those that cannot be held against the others, such as one with the masks of another, are left
    out with a sentence, as of a whole store.
    """
    own = [one.id for one in members if one.flows and one.info.recipe.parent is None]
    if len(own) < 2:
        return None
    others = [
        one.experiment_id
        for one in store.experiments()
        if one.recipe.parent is None and one.experiment_id not in own
    ]
    find = partial(classify, store, exclude=others)
    return section_of("classes", "Classes", find, _classified)


def _classified(found: Classes) -> str:
    return f"rgtool classify {' '.join(found.experiments)}"


def scoreboard(store: Store) -> Section | None:
    """Show what predictions were worth; None where none was written down."""
    if not store.predictions().kept:
        return None
    return section_of("scoreboard", "Predictions", partial(score, store), lambda _: "rgtool score")
