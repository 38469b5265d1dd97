"""From a selection to the experiment whose tickets are to be trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...schemas.errors import UsageError
from ...schemas.records.parents import Parent
from .selection import Identified

if TYPE_CHECKING:
    from ..store import Store

_RUNS = "SELECT run_id, seed, replicate FROM runs WHERE experiment_id = ? ORDER BY run_id"


def parent_of(store: Store, selection: str | Identified) -> Parent:
    """Find the experiment, or the one run, that a selection means, as a parent.

    An import whose source tells no seeds has those that its replicates are numbered by.

    Parameters
    ----------
    store : Store
        Where it is.
    selection : str
        Itself, its id, or what selects it, see `Store.find_experiment`.

    Raises
    ------
    UsageError
        None or several fit, or seeds do not tell its runs apart.
    StoreError
        The store holds no runs.
    """
    experiment_id, only = store.find(selection)
    rows = store.query(_RUNS, [experiment_id]).rows
    runs: dict[int, str] = {}
    for run_id, seed, replicate in rows:
        number = int(replicate) if seed is None and replicate.isdecimal() else seed
        if number is None or only not in (None, run_id):
            continue
        if number in runs:
            raise UsageError(
                f"experiment {experiment_id}: runs {runs[number]} and {run_id} have one seed, "
                f"{number}: name one of them as the parent"
            )
        runs[number] = run_id
    if not runs:
        raise UsageError(
            f"experiment {experiment_id}: no run tells its seed, by which children are paired"
        )
    recipe = store.description(next(iter(runs.values()))).recipe
    return Parent(experiment_id, recipe, runs)
