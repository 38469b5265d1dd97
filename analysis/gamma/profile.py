"""Intervals by profile likelihood: how far a parameter can go before the fit gets too bad.

For a value of one parameter the others are fitted anew; the interval holds the values whose sum of
squares exceeds the least one by no more than F_{1, n-k}(.95)/(n-k) of it (Bates & Watts 1988,
ch. 6), where the levels of a curve are independent; `parameters` has the threshold for levels that
are not. Its ends are found by walking outward from the minimum and dividing the step that crosses
the threshold. Where the sum never crosses, there is no end: `unbounded`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import Floats
from ..stats.level import ALPHA
from .fit import Fit, FitProblem, minima
from .power_law import LOG_D_HI, LOG_G

Least = Callable[[Floats], Floats]
_FIRST, _STEP_GROWTH = 0.01, 1.35  # steps outward in the logarithm, from small to large
_PARTS, _ROUNDS = 9, 3  # the crossing step is divided into so many parts, so many times
_STARTS = {
    LOG_G: (LOG_D_HI, np.log([0.02, 0.06, 0.2, 0.6, 2.0])),
    LOG_D_HI: (LOG_G, np.log([0.03, 0.1, 0.3, 1.0, 3.0])),
}


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile of a positive parameter, g or d_hi.

    Attributes
    ----------
    estimate : float
        The value of the best fit.
    low, high : float
        Ends of the interval: 0 and infinity where it is unbounded.
    value, ssr : array, shape (P,)
        Points of the profile, ascending: values and their least sums of squares.
    threshold : float
        The sum of squares that bounds the interval.
    """

    estimate: float
    low: float
    high: float
    value: Floats
    ssr: Floats
    threshold: float

    @property
    def unbounded(self) -> str:
        """`below`, `above`, `on both sides`, or nothing."""
        return unbounded(self.low, self.high)


def unbounded(low: float, high: float) -> str:
    """Say on which side an interval has no end: `below`, `above`, `on both sides`, or nothing."""
    below, above = low == 0, bool(np.isinf(high))
    return "on both sides" if below and above else "below" * below + "above" * above


def threshold_factor(df: int) -> float:
    """Return how many times the least sum of squares bounds the 95 % interval."""
    from scipy.special import fdtri

    return float(1 + fdtri(1, df, 1 - ALPHA) / df)


def profile(best: Fit, index: int = LOG_G, factor: float | None = None) -> Profile:
    """Profile one parameter of a fit.

    Parameters
    ----------
    best : Fit
        The fit.
    index : int
        `LOG_G` or `LOG_D_HI` of `power_law`.
    factor : float, optional
        Threshold over the least sum of squares; by default that of 95 % for independent levels.
    """
    lower, upper = (float(bound[index]) for bound in best.problem.bounds())
    return walk_outward(
        least_sums(best.problem, index, best.theta),
        float(best.theta[index]),
        best.ssr,
        (lower, upper),
        threshold_factor(best.problem.df) if factor is None else factor,
    )


def least_sums(problem: FitProblem, index: int, theta: Floats) -> Least:
    """Return the function from values of theta[index], shape (V,), to least sums of squares.

    The other parameters are fitted from `theta` and from a row of starts that does not depend on
    it, since at a value far from the best one the second minimum may be the lower one.
    """
    other, grid = _STARTS[index]
    starts = np.tile(theta, (len(grid) + 1, 1))
    starts[1:, other] = grid
    return lambda values: minima(problem, index, values, starts)[0]


def walk_outward(
    least: Least, centre: float, ssr: float, bounds: tuple[float, float], factor: float
) -> Profile:
    """Walk outward from a minimum until the sum of squares crosses the threshold.

    Parameters
    ----------
    least : callable
        Values of the parameter's logarithm, shape (V,), to least sums of squares.
    centre, ssr : float
        The minimum, and the sum there.
    bounds : (float, float)
        How far to walk, in the logarithm.
    factor : float
        Threshold over the least sum.
    """
    values = np.concatenate([_outward(centre, bounds[0])[::-1], _outward(centre, bounds[1])])
    sums = least(values)
    place = int(np.searchsorted(values, centre))
    values, sums = np.insert(values, place, centre), np.insert(sums, place, ssr)
    # A point of the profile below the fit would be a better fit: then it is the least sum.
    threshold = max(float(sums.min()), 1e-16) * factor
    ends = [_crossing(values, sums, place, step, threshold) for step in (-1, 1)]
    low, high = _divide(least, ends, threshold)
    return Profile(
        estimate=float(np.exp(centre)),
        low=0.0 if low is None else float(np.exp(low)),
        high=np.inf if high is None else float(np.exp(high)),
        value=np.exp(values),
        ssr=sums,
        threshold=threshold,
    )


def _outward(centre: float, bound: float) -> Floats:
    """Return values from next to the centre to the bound, in growing steps."""
    reach = abs(bound - centre)
    count = int(np.ceil(np.log1p(reach * (_STEP_GROWTH - 1) / _FIRST) / np.log(_STEP_GROWTH)))
    steps = _FIRST * (_STEP_GROWTH ** np.arange(1, count + 1) - 1) / (_STEP_GROWTH - 1)
    return np.asarray(centre + np.sign(bound - centre) * np.minimum(steps, reach))


# The two points between which a profile crosses: their values and their sums, inside first.
_Bracket = tuple[Floats, Floats]


def _crossing(
    values: Floats, sums: Floats, place: int, step: int, threshold: float
) -> _Bracket | None:
    """Return the neighbours of the first crossing outward from a place."""
    at = place
    while 0 <= at + step < len(sums):
        if sums[at + step] > threshold:
            pair = [at, at + step]
            return values[pair], sums[pair]
        at += step
    return None


def _divide(least: Least, ends: list[_Bracket | None], threshold: float) -> list[float | None]:
    """Find the crossings within the given steps, both ends at once."""
    shares = np.arange(1, _PARTS) / _PARTS
    brackets = [end for end in ends if end is not None]
    for _ in range(_ROUNDS if brackets else 0):
        inner = [b[0][0] + shares * (b[0][1] - b[0][0]) for b in brackets]
        found = least(np.concatenate(inner)).reshape(len(brackets), -1)
        for n, ((values, sums), between) in enumerate(zip(brackets, inner, strict=True)):
            values = np.array([values[0], *between, values[1]])
            sums = np.array([sums[0], *found[n], sums[1]])
            first = int((sums > threshold).argmax())
            brackets[n] = values[first - 1 : first + 1], sums[first - 1 : first + 1]
    crossings = iter(brackets)
    return [None if end is None else _interpolated(*next(crossings), threshold) for end in ends]


def _interpolated(values: Floats, sums: Floats, threshold: float) -> float:
    share = (threshold - sums[0]) / (sums[1] - sums[0])
    return float(values[0] + share * (values[1] - values[0]))
