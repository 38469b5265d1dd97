"""Mean differences of scores over predictions that share experiments.

Five seeds that test one prediction are one value, their mean. Predictions that share an experiment,
as source, as target or as either, are not independent: their products count in the variance (the
dyadic estimator of Aronow, Samii & Assenova 2015, which of predictions about one experiment each is
that of clusters), and degrees of freedom are those of the fewer of sources and targets.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Bools, Floats
from ..stats.level import CONFIDENCE, t_quantile
from ..values import Estimate

Units = Sequence[tuple[str, ...]]
Worth = Literal["better", "worse", "undecided", "no test"]
# Equal signs of n differences have the p 2^(1 - n) of a sign test: from six on below .05. Scores
# have long tails, and the few that were met tell nothing of the one that will not be.
LEAST_UNITS = 6


def paired(values: ArrayLike, units: Units) -> Estimate[float]:
    """Return the mean of differences, and its 95 % interval; NaN for ends that nothing tells.

    Parameters
    ----------
    values : array, shape (n,)
        A difference of scores for every prediction; may be infinite.
    units : sequence of tuple of str, length n
        The experiments of each, source and target apart; predictions that share one go together.

    Raises
    ------
    ValueError
        A difference is no number.
    """
    found = np.asarray(values, np.float64)
    if np.isnan(found).any():
        raise ValueError("a difference is no number")
    if not len(found):
        return Estimate(math.nan, math.nan, math.nan)
    mean, number = float(found.mean()), effective_units(units)
    if not np.isfinite(found).all() or number < 2:
        return Estimate(mean, math.nan, math.nan)
    half = t_quantile(number - 1, CONFIDENCE) * math.sqrt(_variance(found - mean, _shared(units)))
    return Estimate(mean, mean - half, mean + half)


def effective_units(units: Units) -> float:
    """Return how many experiments there are: (sum n)^2 / sum n^2 of those with n predictions.

    Of sources and of targets the fewer. 0 without predictions.

    Examples
    --------
    >>> effective_units([("a",), ("a",), ("b",), ("b",)])
    2.0
    """
    roles = [Counter(role).values() for role in zip(*units, strict=True)]
    return min((sum(n) ** 2 / sum(x**2 for x in n) for n in roles), default=0.0)


def verdict(difference: Estimate[float], units: Units) -> Worth:
    """Say whether predictions were better or worse than what they are paired with.

    Undecided where the interval holds 0, or there are fewer than `LEAST_UNITS` experiments.
    """
    if difference.value == -math.inf:
        return "worse"
    if effective_units(units) < LEAST_UNITS or difference.low <= 0 <= difference.high:
        return "undecided"
    return "better" if difference.low > 0 else "worse" if difference.high < 0 else "undecided"


def _variance(apart: Floats, shared: Bools) -> float:
    """Return the variance of the mean of n differences, from what lies apart from it: shape (n,).

    Taking the mean off takes the share of all pairs that go together off the sum over these; with
    clusters of one size dividing by the rest gives Student's variance of their means.
    """
    together, single = apart @ shared @ apart, apart @ apart
    rest = 1 - np.array([shared.mean(), 1 / len(apart)])
    found = np.divide([together, single], rest, out=np.zeros(2), where=rest > 0)
    return float(found.max() / len(apart) ** 2)


def _shared(units: Units) -> Bools:
    """Tell which predictions share an experiment: shape (n, n)."""
    names = {name: place for place, name in enumerate(sorted({x for one in units for x in one}))}
    has = np.zeros((len(units), len(names)), bool)
    for row, one in enumerate(units):
        has[row, [names[name] for name in one]] = True
    return np.asarray(has @ has.T)
