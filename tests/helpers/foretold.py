"""Stores in which something is predicted, and the runs that come afterwards."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import stores

from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.description import Description
from rgtool.schemas.records.layout import RunFolder

LATER = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=1)
EARLIER = LATER - dt.timedelta(days=1)


def date(store: Path, run: str, at: dt.datetime, **fields: object) -> None:
    """Let a run have begun, and last been written, at a time."""
    path = RunFolder.of(store, run).description
    made = at.isoformat()
    one = dataclasses.replace(Description.read(path), created_at=made, updated_at=made, **fields)  # type: ignore[arg-type]
    one.write(path)


def write_kept(
    store: Path,
    recipe: Recipe,
    seed: int,
    kept: np.ndarray,
    *,
    levels: Sequence[int] | None = None,
    accuracy: Mapping[int, float] | None = None,
    at: dt.datetime = LATER,
    parent_run: str | None = None,
) -> str:
    """Write a run of these counts (T, L), or of some of its levels, begun at a time."""
    run = recipe.run_id(seed, parent_run)
    description = stores.describe(recipe, seed, len(kept) - 1, run_id=run, parent_run=parent_run)
    folder = RunFolder.of(store, run)
    folder.make()
    description.write(folder.description)
    for level in range(len(kept)) if levels is None else levels:
        numbers = {} if accuracy is None else {"accuracy": accuracy[level]}
        stores.write_record(store, recipe, run, level, kept, **numbers)
    date(store, run, at)
    return run
