"""N2, the static null: the trained dense network pruned in one go to every density.

Iterative pruning minus N2 is what retraining between the prunings does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Integers


def static_kept(
    weights: Sequence[NDArray[Any]], kept: ArrayLike, exempt: ArrayLike | None = None
) -> Integers:
    """Count what global magnitude pruning in one go keeps in every layer.

    Parameters
    ----------
    weights : sequence of array, length L
        Weights of every layer, of any shape; only their magnitudes matter. All finite.
    kept : integer array, shape (T,)
        Weights kept in the whole network, exempt layers included.
    exempt : bool array, shape (L,), optional
        Layers that are counted but never pruned.

    Returns
    -------
    integer array, shape (T, L)
        Among equal magnitudes those that come first go first, as in the pruning of a run. Where
        `kept` is less than the exempt layers hold, all other layers are empty.
    """
    fixed = np.zeros(len(weights), bool) if exempt is None else np.asarray(exempt, bool)
    totals = np.array([array.size for array in weights], np.int64)
    targets = np.asarray(kept, np.int64) - int(totals[fixed].sum())
    found = np.tile(np.where(fixed, totals, 0), (len(targets), 1))
    pruned = np.flatnonzero(~fixed)
    if not len(pruned):
        return found
    layers = [np.sort(np.abs(weights[int(i)]), axis=None) for i in pruned]
    pool = np.sort(np.concatenate(layers))
    for t, target in enumerate(np.clip(targets, 0, len(pool))):
        if target:
            found[t, pruned] = _above(layers, pool[len(pool) - target], int(target))
    return found


def _above(layers: Sequence[NDArray[Any]], threshold: Any, target: int) -> Integers:
    """Count the `target` largest in sorted layers, whose smallest is `threshold`: (L,)."""
    above = np.array([len(x) - np.searchsorted(x, threshold, "right") for x in layers], np.int64)
    reached = np.array([len(x) - np.searchsorted(x, threshold, "left") for x in layers], np.int64)
    ties = (reached - above)[::-1]
    left = target - above.sum() - (np.cumsum(ties) - ties)
    return np.asarray(above + np.clip(left, 0, ties)[::-1])
