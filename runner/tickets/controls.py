"""What controls draw anew of a ticket, each from random numbers of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..pruning import Mask, smallest
from ..replicas.randomness import generator

Weights = Mapping[str, NDArray[Any]]


def shuffled(mask: Mask, seed: int, level: int, control: str = "shuffle") -> Mask:
    """Permute the mask of every layer: as many weights are kept, at other places.

    Parameters
    ----------
    mask : mapping of layer name to boolean array
        The mask of `level`.
    seed, level, control : int, int, str
        What the permutations follow from.
    """
    found: Mask = {}
    for name, kept in mask.items():
        order = _order(kept.size, seed, control, level, name)
        found[name] = kept.ravel()[order].reshape(kept.shape)
    return found


def scattered(mask: Mask, seed: int, fixed: Collection[str] = ()) -> Mask:
    """Keep as many weights of the network, drawn from all of them, whatever their layer.

    Every weight has one random rank, the same at all levels, so that each of these masks lies
    within those of the levels before, as masks that were found do.

    Parameters
    ----------
    mask : mapping of layer name to boolean array
        The mask that tells how many.
    seed : int
        What the ranks follow from.
    fixed : collection of str
        Layers that stay as they are, and whose weights do not count.
    """
    names = [name for name in mask if name not in fixed]
    if not names:
        return dict(mask)
    ranks = np.concatenate(
        [
            torch.rand(
                mask[name].size, generator=generator(seed, "random", name), dtype=torch.float64
            ).numpy()
            for name in names
        ]
    )
    kept = ~smallest(ranks, sum(int((~mask[name]).sum()) for name in names))
    bounds = np.cumsum([mask[name].size for name in names])[:-1]
    parts = dict(zip(names, np.split(kept, bounds), strict=True))
    return {n: parts[n].reshape(m.shape) if n in parts else m for n, m in mask.items()}


def permuted(weights: Weights, mask: Mask, seed: int, level: int) -> dict[str, NDArray[Any]]:
    """Permute the weights that a mask keeps, within every layer; the others stay.

    Parameters
    ----------
    weights : mapping of layer name to float array
        Weights of the layers of the mask.
    mask : mapping of layer name to boolean array
        The mask of `level`.
    seed, level : int
        What the permutations follow from.
    """
    found = {}
    for name, kept in mask.items():
        array = weights[name].copy()
        order = _order(int(kept.sum()), seed, "permute", level, name)
        array[kept] = array[kept][order]
        found[name] = array
    return found


def _order(size: int, seed: int, *purpose: str | int) -> NDArray[np.int64]:
    order: NDArray[np.int64] = torch.randperm(size, generator=generator(seed, *purpose)).numpy()
    return order
