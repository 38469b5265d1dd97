"""One exponent for several curves against one for each: the array core.

Every curve keeps its own error without pruning, its own onset and its own plateau; what may be
common is g. F compares the sum of squares of one common g with that of a g for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .critical import G_BOUNDS, LOG_G
from .critical_fit import Fit
from .gamma_gates import ALPHA
from .profile import Least, Profile, least_sums, threshold_factor, walk

Floats = NDArray[np.float64]
_GRID, _ROUNDS, _SHIFT = 65, 4, 1e-2


@dataclass(frozen=True, eq=False)
class SharedFit:
    """One exponent for K curves against one for each.

    Attributes
    ----------
    common : Profile
        Profile of the common g.
    own : array, shape (K,)
        g of every curve by itself.
    statistic, p : float
        F and its p.
    df : (int, int)
        K - 1, and points minus parameters of the separate fits.
    ratio_low, ratio_high : array, shape (K (K - 1) / 2,)
        90 % intervals of the ratios g_i / g_j, i < j, by profile; 0 and infinity where unbounded.
    """

    common: Profile
    own: Floats
    statistic: float
    p: float
    df: tuple[int, int]
    ratio_low: Floats
    ratio_high: Floats


def shared_exponent(fits: Sequence[Fit], noise: Floats | None = None) -> SharedFit:
    """Fit one exponent to several curves and test it against one for each.

    F = [(Q_common - Q_own) / (K - 1)] / [Q_own / (n - parameters)], Q the sum over curves of
    squared residuals over the squared noise of the curve.

    Parameters
    ----------
    fits : sequence of Fit, length K
        The separate fits, K >= 2.
    noise : array, shape (K,), optional
        Sd of the points of every curve, up to a common factor; by default all are equal.
    """
    from scipy.special import fdtrc

    scale = np.ones(len(fits)) if noise is None else 1 / np.asarray(noise) ** 2
    scale = scale / scale.mean()
    sums = [_scaled(one, float(factor)) for one, factor in zip(fits, scale, strict=True)]

    def least(values: Floats) -> Floats:
        return np.sum([one(values) for one in sums], axis=0)

    own = float(sum(one.ssr * factor for one, factor in zip(fits, scale, strict=True)))
    centre, common = _minimum(least, np.array([one.theta[LOG_G] for one in fits]))
    df = len(fits) - 1, sum(one.problem.df for one in fits)
    statistic = max(common - own, 0.0) / df[0] / max(own / df[1], 1e-300)
    # The common fit has as many residual degrees of freedom as the separate ones and K - 1 more.
    factor = threshold_factor(df[0] + df[1])
    bounds = float(np.log(G_BOUNDS[0])), float(np.log(G_BOUNDS[1]))
    ratios = [
        ratio_interval(sums[i], sums[j], (fits[i], fits[j]), own / df[1], df[1])
        for i, j in combinations(range(len(fits)), 2)
    ]
    return SharedFit(
        common=walk(least, centre, common, bounds, factor),
        own=np.exp([one.theta[LOG_G] for one in fits]),
        statistic=statistic,
        p=float(fdtrc(*df, statistic)),
        df=df,
        ratio_low=np.array([low for low, _ in ratios]),
        ratio_high=np.array([high for _, high in ratios]),
    )


def _scaled(one: Fit, factor: float) -> Least:
    sums = least_sums(one.problem, LOG_G, one.theta)
    return lambda values: factor * sums(values)


def _minimum(least: Least, near: Floats) -> tuple[float, float]:
    """Find the least value of a function of log g: on a grid, then ever finer around the best."""
    low, high = np.log(G_BOUNDS)
    values = np.sort(np.concatenate([np.linspace(low, high, _GRID // 2), near]))
    for _ in range(_ROUNDS):
        sums = least(values)
        best = int(sums.argmin())
        low, high = values[max(best - 1, 0)], values[min(best + 1, len(values) - 1)]
        centre, smallest = float(values[best]), float(sums[best])
        values = np.linspace(low, high, 17)
    return centre, smallest


def ratio_interval(
    a: Least, b: Least, fits: tuple[Fit, Fit], variance: float, df: int
) -> tuple[float, float]:
    """Return the 90 % profile interval of g_a / g_b, 0 and infinity where it is unbounded.

    For every ratio r the least sum of squares is min over g of Q_a(r g) + Q_b(g); both are taken
    from splines over log g.

    Parameters
    ----------
    a, b : callable
        Sums of squares as functions of log g.
    fits : pair of Fit
        The fits behind them.
    variance, df : float, int
        Residual variance and its degrees of freedom.
    """
    from scipy.interpolate import PchipInterpolator
    from scipy.special import fdtri

    low, high = np.log(G_BOUNDS)
    grid = np.linspace(low, high, _GRID)
    fine = np.arange(low, high, _SHIFT)
    curves = []
    for least, one in zip((a, b), fits, strict=True):
        near = one.theta[LOG_G] + np.array([-0.05, -0.02, 0.0, 0.02, 0.05])
        values = np.unique(np.clip(np.concatenate([grid, near]), low, high))
        curves.append(PchipInterpolator(values, least(values))(fine))
    # Row s of the table holds Q_a shifted by s steps: ratio exp(s _SHIFT).
    count = len(fine)
    padded = np.full(3 * count, np.inf)
    padded[count : 2 * count] = curves[0]
    shifted = np.lib.stride_tricks.sliding_window_view(padded, count)[1 : 2 * count]
    sums = (shifted + curves[1]).min(axis=1)
    inside = sums <= sums.min() + variance * float(fdtri(1, df, 1 - 2 * ALPHA))
    best = int(sums.argmin())
    ratios = np.exp((np.arange(1, 2 * count) - count) * _SHIFT)
    outside = np.flatnonzero(~inside)
    below, above = outside[outside < best], outside[outside > best]
    # Ratios that take an exponent to the end of its range have not been searched further.
    first = int(below[-1]) + 1 if len(below) else 0
    last = int(above[0]) - 1 if len(above) else 2 * count - 2
    ends = [_reaches(curves, shift - count + 1, sums[shift]) for shift in (first, last)]
    return (0.0 if ends[0] else float(ratios[first])), (np.inf if ends[1] else float(ratios[last]))


def _reaches(curves: list[Floats], shift: int, least: float) -> bool:
    """Tell whether the best exponents of a ratio stand at the end of the searched range."""
    count = len(curves[0])
    place = np.arange(max(0, -shift), min(count, count - shift))
    total = curves[0][place + shift] + curves[1][place]
    at = int(place[int(total.argmin())])
    return at in (0, count - 1) or at + shift in (0, count - 1)
