"""Experiments whose parent is named as any other one: looked up in the store, then run."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..runner import experiment
from ..runner import plan as plans
from ..schemas.errors import UsageError
from ..schemas.records.layout import store_path
from ..schemas.records.parents import Parent

P = ParamSpec("P")
R = TypeVar("R")

# What is asked for instead of fields that the target's own tickets cannot have.
_OF_TICKETS = {
    "control": "controls (--controls) names what is trained beside them",
    "transform": "rgtool transfer has the control pixels, rgtool stretch takes maps",
    "parent": "it is the source, the experiment that is named first",
    "at": "levels are those that are named once, for tickets and controls alike",
    "start": "a run that prunes on from a ticket is one of rgtool run --start",
    "fresh": "layers to draw anew are a transfer's, or those of rgtool run --fresh",
}


def _with_parent(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function of the runner find the parent that is named to it."""

    @wraps(function)
    def found(*arguments: P.args, **options: P.kwargs) -> R:
        parent: Any = options.get("parent")
        store: Any = options.get("store")
        if parent is not None and not isinstance(parent, Parent):
            from ..store import Store  # a machine that trains alone has no DuckDB
            from ..store.catalogue.parents import parent_of

            options["parent"] = parent_of(Store(store_path(store)), parent)
        return function(*arguments, **options)

    return found


def refuse_of_tickets(fields: Collection[str]) -> None:
    """Refuse fields of a recipe that tell children from the target's own tickets.

    Raises
    ------
    UsageError
        One is there: all that the study trains would be such children.
    """
    for name, instead in _OF_TICKETS.items():
        if name in fields:
            raise UsageError(f"{name} is none of the target's own tickets: {instead}")


plan = _with_parent(plans.plan)
run = _with_parent(experiment.run)
