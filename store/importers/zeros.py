"""Weights whose zeros are the mask, where the user says that they are.

Programs that save a network with its masks applied leave nothing of the masks but zeros. A zero may
also have been trained, and pruned weights may have been written over: so nobody but the user knows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .found import LevelData

OPTION = "--zeros-are-mask"
FROM = f"zeros of the weights, as {OPTION} says"
HINT = f"where weights' zeros are the mask, say so with {OPTION}"
_MANY = 0.01  # share of exact zeros that training does not leave by chance


def zeros_as_masks(data: LevelData) -> LevelData:
    """Take the zeros of a level's weights for its masks; masks that it has stay.

    Weights of one axis, biases and norms, are never pruned by this; what holds zeros and ones alone
    is a mask of something itself.
    """
    if data.masks or data.kept:
        return data
    masks = {name: w != 0 for name, w in data.weights.items() if w.ndim >= 2 and not _is_mask(w)}
    notes = (*data.notes, f"masks are the {FROM}")
    return dataclasses.replace(data, masks=masks, masks_from=FROM, notes=notes)


def many_zeros(data: LevelData) -> float:
    """Return the share of zeros in weights without masks; 0 where they are few."""
    weights = () if data.masks else data.weights.values()
    arrays = [w for w in weights if w.ndim >= 2 and not _is_mask(w)]
    return share_of_zeros(arrays)


def share_of_zeros(arrays: Sequence[NDArray[Any]]) -> float:
    """Return the share of zeros in arrays; 0 where they are few."""
    total = sum(w.size for w in arrays)
    share = 1 - sum(np.count_nonzero(w) for w in arrays) / total if total else 0.0
    return share if share >= _MANY else 0.0


def is_zero_one(array: NDArray[Any]) -> bool:
    """Tell whether an array holds zeros and ones alone."""
    return bool(((array == 0) | (array == 1)).all())


def _is_mask(array: NDArray[Any]) -> bool:
    """Tell whether an array under the name of weights holds a mask: ones, and zeros at most."""
    return is_zero_one(array) and bool(array.any())


def why_nothing(zeros: float) -> str:
    """Say why there is no flow in levels without masks, of whose weights a share is zeros."""
    if not zeros:
        return "no level with anything pruned: there is no flow in it"
    return (
        f"no masks, and {zeros:.0%} of the weights are zeros: no mask is inferred from them; {HINT}"
    )
