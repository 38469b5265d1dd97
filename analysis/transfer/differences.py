"""Differences of accuracies of a few runs, paired by seed where seeds pair.

Accuracies are multiples of one over the number of test images, so that those of a few runs agree
by chance, and so do their differences: a variance of 0 is then no certainty. No deviation is
taken to be smaller than that of rounding to whole images: sqrt(1/12) of an image, sqrt(1/6) for a
difference of two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..stats.level import CONFIDENCE, t_quantile
from ..values import NOTHING, Estimate
from .arms import Arm

_ROUNDED = math.sqrt(1 / 12)  # of an image: sd of a number that is rounded to whole ones


@dataclass(frozen=True)
class Difference:
    """An accuracy less another.

    Attributes
    ----------
    estimate : Estimate
        Mean over runs, and its 95 % interval; NaN where there is none.
    by_seed : dict of int to float
        Differences of the pairs of equal seeds behind it; empty: the runs of one against those of
        the other.
    """

    estimate: Estimate[float]
    by_seed: Mapping[int, float] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """Number of pairs of equal seeds behind it."""
        return len(self.by_seed)

    @property
    def is_known(self) -> bool:
        """Whether there is one."""
        return math.isfinite(self.estimate.value)


UNKNOWN = Difference(NOTHING)


def mean_of(values: ArrayLike, unit: float) -> Estimate[float]:
    """Return the mean accuracy of runs, with Student's interval.

    Parameters
    ----------
    values : array, shape (S,)
        Accuracies; NaN takes no part.
    unit : float
        What one test image is worth.
    """
    return _student(np.asarray(values, np.float64), _ROUNDED * unit)


def paired(values: ArrayLike, unit: float) -> Estimate[float]:
    """Return the mean difference of pairs, with Student's interval; parameters are `mean_of`'s.

    Examples
    --------
    >>> paired([0.01, 0.01, 0.01], 1 / 100).low < 0.01
    True
    """
    return _student(np.asarray(values, np.float64), math.sqrt(2) * _ROUNDED * unit)


def _student(values: Floats, least: float) -> Estimate[float]:
    """Return mean and interval; `least` is the smallest deviation that is believed."""
    known = values[np.isfinite(values)]
    if not len(known):
        return NOTHING
    mean = float(known.mean())
    if len(known) < 2:
        return Estimate(mean, math.nan, math.nan)
    deviation = np.maximum(known.std(ddof=1), least)  # NaN where it is not known
    half = t_quantile(len(known) - 1, CONFIDENCE) * float(deviation) / math.sqrt(len(known))
    return Estimate(mean, mean - half, mean + half)


def unpaired(a: ArrayLike, b: ArrayLike, unit: float) -> Estimate[float]:
    """Return the difference of the means of independent runs, a minus b.

    The smaller number of runs sets the degrees of freedom, which holds for any two variances
    (Hsu 1938); Welch's would promise too much of two runs.
    """
    one, other = (x[np.isfinite(x)] for x in (np.asarray(a, float), np.asarray(b, float)))
    fewest = min(len(one), len(other))
    if not fewest:
        return NOTHING
    mean = float(one.mean() - other.mean())
    if fewest < 2:
        return Estimate(mean, math.nan, math.nan)
    variances = (np.maximum(x.std(ddof=1), _ROUNDED * unit) ** 2 / len(x) for x in (one, other))
    half = t_quantile(fewest - 1, CONFIDENCE) * math.sqrt(sum(variances))
    return Estimate(mean, mean - half, mean + half)


def difference(arm: Arm, column: int, reference: Arm, unit: float) -> Difference:
    """Return the accuracy of an arm at one of its levels less a reference's at its density.

    Parameters
    ----------
    arm, reference : Arm
        Runs pair by equal seeds; where fewer than two pairs have both, and there are two runs of
        each, means are compared.
    column : int
        Position of the level of `arm`.
    unit : float
        What one test image is worth.
    """
    density = arm.density[:, column]
    if not np.isfinite(density).any():
        return UNKNOWN
    by_seed = {
        arm.seeds[i]: arm.accuracy[i, column] - reference.at(j, float(density[i]))
        for i, j in seed_pairs(arm.seeds, reference.seeds)
    }
    known = {s: float(x) for s, x in by_seed.items() if s is not None and math.isfinite(x)}
    if len(known) < 2:
        middle = float(np.nanmean(density))
        others = [reference.at(run, middle) for run in range(len(reference.seeds))]
        apart = unpaired(arm.accuracy[:, column], others, unit)
        if math.isfinite(apart.low) or not known:
            return Difference(apart)
    return Difference(paired(list(known.values()), unit), known)


def seed_pairs(a: Sequence[int | None], b: Sequence[int | None]) -> list[tuple[int, int]]:
    """Return the positions of equal seeds; unknown ones, and those of several runs, pair with none.

    Examples
    --------
    >>> seed_pairs([0, 1, None], [1, 0, None])
    [(0, 1), (1, 0)]
    >>> seed_pairs([0, 1, 1], [1, 0])
    [(0, 1)]
    """
    once = (seed for seed in a if seed is not None and a.count(seed) == b.count(seed) == 1)
    return [(a.index(seed), b.index(seed)) for seed in once]
