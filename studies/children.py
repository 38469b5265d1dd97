"""Experiments whose parent is named as any other one: looked up in the store, then run."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..runner import experiment
from ..runner import plan as plans
from ..schemas.records.layout import store_path
from ..schemas.records.parents import Parent

P = ParamSpec("P")
R = TypeVar("R")


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


plan = _with_parent(plans.plan)
run = _with_parent(experiment.run)
