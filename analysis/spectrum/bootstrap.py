"""Bootstraps of the steps of several runs, as weights.

Every resample is a weight for each run and step, so that all of them are one product.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Floats

BLOCK = 3.0  # mean length of a block of levels, in steps


def _iid(rng: np.random.Generator, draws: int, seeds: int, length: int) -> Floats:
    size = seeds * length
    return rng.multinomial(size, np.full(size, 1 / size), draws).astype(np.float64) / size


def _cluster(rng: np.random.Generator, draws: int, seeds: int, length: int) -> Floats:
    runs = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    return np.asarray(np.repeat(runs[:, :, None], length, axis=2) / length)


def _block(rng: np.random.Generator, draws: int, seeds: int, length: int) -> Floats:
    """Stationary blocks (Politis & Romano 1994) in every run by itself."""
    return _stationary(rng, draws * seeds, length).reshape(draws, seeds, length) / seeds


def _hierarchical(rng: np.random.Generator, draws: int, seeds: int, length: int) -> Floats:
    """Seeds with replacement; in each of them stationary blocks, the same for all groups."""
    chosen = rng.integers(seeds, size=(draws, seeds))
    within = _stationary(rng, draws * seeds, length).reshape(draws, seeds, length)
    weights = np.zeros((draws, seeds, length))
    np.add.at(weights, (np.arange(draws)[:, None], chosen), within)
    return np.asarray(weights / seeds)


def _stationary(rng: np.random.Generator, rows: int, length: int) -> Floats:
    """Weights of the steps in stationary bootstrap samples of one run: shape (rows, T)."""
    index = np.empty((rows, length), np.int64)
    index[:, 0] = rng.integers(length, size=rows)
    fresh = rng.random((rows, length)) < 1 / BLOCK
    starts = rng.integers(length, size=(rows, length))
    for step in range(1, length):
        following = (index[:, step - 1] + 1) % length
        index[:, step] = np.where(fresh[:, step], starts[:, step], following)
    flat = np.arange(rows)[:, None] * length + index
    counts = np.bincount(flat.ravel(), minlength=rows * length).reshape(rows, length)
    return np.asarray(counts / length)


WEIGHTS: dict[str, Callable[[np.random.Generator, int, int, int], Floats]] = {
    "hierarchical": _hierarchical,
    "cluster": _cluster,
    "block": _block,
    "iid": _iid,
}
