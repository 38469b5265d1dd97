"""Bootstraps of the steps of several runs, as weights.

Every resample is a weight for each run and step, so that all of them are one product.

A mean of resampled seeds scatters by (S - 1)/S of the variance that a mean of S seeds has, and its
percentiles are those of a normal distribution at best where Student's t is due: with 3, 5 and 10
seeds intervals of 95 % cover 73, 83 and 91 %. `widening` undoes both (the expanded percentile
interval of Hesterberg 2015, section 3.4, applied to the deviations, since the percentiles of three
seeds end at the outermost seed).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..arrays import Floats
from ..stats.level import t_quantile

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


def widening(seeds: int, confidence: float) -> float:
    """Return the factor on the deviations of resampled means that makes them cover.

    Parameters
    ----------
    seeds : int
        S >= 2.
    confidence : float
        Nominal coverage.
    """
    from scipy.special import ndtri

    normal = float(ndtri(0.5 + confidence / 2))
    return math.sqrt(seeds / (seeds - 1)) * t_quantile(seeds - 1, confidence) / normal


WEIGHTS: dict[str, Callable[[np.random.Generator, int, int, int], Floats]] = {
    "bootstrap": _cluster,
    "hierarchical": _hierarchical,
    "cluster": _cluster,
    "block": _block,
    "iid": _iid,
}

# What methods that are there for comparison cover, at a nominal 95 %.
CAVEATS = {
    "hierarchical": (
        "resamples few seeds and then their levels: of 95 % intervals 91 to 96 % cover where seeds "
        "differ no more than steps make them, 76 to 91 % where they differ more, and nearly all, 3 "
        "to 10 times too wide, where all runs bend alike: method bootstrap covers in all of these"
    ),
    "cluster": (
        "resamples few seeds: its intervals cover the population's value about 50 % of the time "
        "with two, 74 % with three and 83 % with five, not 95 %: method bootstrap mends that"
    ),
}
