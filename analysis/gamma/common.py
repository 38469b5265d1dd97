"""One exponent for several curves against one for each: the array core.

Every curve keeps its own error without pruning, its own onset and its own plateau; what may be
common is g. F compares the sum of squares of one common g with that of a g for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..arrays import Floats
from ..stats.level import ALPHA
from .fit import Fit
from .power_law import G_BOUNDS, LOG_G
from .profile import Least, Profile, least_sums, threshold_factor, walk_outward

_FINE = 5e-3  # step of log g in which tables of profiles are kept
_COARSE = 33  # points of a profile over the whole range, besides those around its minimum
_NEAR = np.array([0.3, 0.7, 1.2, 2.0, 3.0, 4.5, 7.0])  # standard errors


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
    from scipy.special import fdtrc, fdtri

    scale = np.ones(len(fits)) if noise is None else 1 / np.asarray(noise) ** 2
    scale = scale / scale.mean()
    sums = [_scaled(one, float(factor)) for one, factor in zip(fits, scale, strict=True)]

    def least(values: Floats) -> Floats:
        return np.asarray(np.sum([one(values) for one in sums], axis=0))

    own = float(sum(one.ssr * factor for one, factor in zip(fits, scale, strict=True)))
    tables = np.array([table(q, f, float(w)) for q, f, w in zip(sums, fits, scale, strict=True)])
    centre, common = _minimum(least, float(_grid()[tables.sum(axis=0).argmin()]))
    df = len(fits) - 1, sum(one.problem.df for one in fits)
    statistic = max(common - own, 0.0) / df[0] / max(own / df[1], 1e-300)
    # The common fit has as many residual degrees of freedom as the separate ones and K - 1 more.
    factor = threshold_factor(df[0] + df[1])
    bounds = float(np.log(G_BOUNDS[0])), float(np.log(G_BOUNDS[1]))
    margin = own / df[1] * float(fdtri(1, df[1], 1 - 2 * ALPHA))
    ratios = [ratio_interval(a, b, margin) for a, b in combinations(tables, 2)]
    return SharedFit(
        common=walk_outward(least, centre, common, bounds, factor),
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


def _minimum(least: Least, near: float) -> tuple[float, float]:
    """Find the least value of a function of log g, ever finer around a place near it."""
    reach = 4 * _FINE
    centre, smallest = near, np.inf
    for _ in range(3):
        values = np.clip(centre + reach * np.linspace(-1, 1, 9), *np.log(G_BOUNDS))
        sums = least(values)
        centre, smallest = float(values[sums.argmin()]), float(sums.min())
        reach /= 4
    return centre, smallest


def _grid() -> Floats:
    low, high = np.log(G_BOUNDS)
    return np.arange(float(low), float(high), _FINE)


def table(least: Least, best: Fit, scale: float) -> Floats:
    """Return the profile of g at every `_FINE` of log g, interpolated: shape (N,).

    What is interpolated is the signed root of the sum above its minimum, which is nearly straight
    (Bates & Watts 1988, ch. 6), so that few points do.
    """
    from scipy.interpolate import PchipInterpolator

    low, high = np.log(G_BOUNDS)
    centre, smallest = float(best.theta[LOG_G]), best.ssr * scale
    error = float(np.clip(np.sqrt(best.covariance()[LOG_G, LOG_G]), 1e-3, 1.0))
    near = error * np.concatenate([-_NEAR, _NEAR])
    values = np.concatenate([np.linspace(low, high, _COARSE), centre + near])
    values = np.unique(np.clip(values, low, high))
    values = values[np.abs(values - centre) > 1e-6]
    root = np.sign(values - centre) * np.sqrt(np.maximum(least(values) - smallest, 0))
    place = int(np.searchsorted(values, centre))
    spline = PchipInterpolator(np.insert(values, place, centre), np.insert(root, place, 0.0))
    return np.asarray(smallest + spline(_grid()) ** 2)


def ratio_interval(a: Floats, b: Floats, margin: float) -> tuple[float, float]:
    """Return the profile interval of g_a / g_b, 0 and infinity where it is unbounded.

    For every ratio r the least sum of squares is min over g of Q_a(r g) + Q_b(g); the interval
    holds the ratios whose sum exceeds the least one by no more than the margin.

    Parameters
    ----------
    a, b : array, shape (N,)
        Profiles from `table`.
    margin : float
        How much the sum may rise.
    """
    count = len(a)
    padded = np.concatenate([np.full(count, np.inf), a, np.full(count, np.inf)])
    # Row s holds Q_a shifted by s - count steps: the ratio exp((s - count) _FINE).
    shifted = np.lib.stride_tricks.sliding_window_view(padded, count)[1 : 2 * count]
    sums = shifted + b
    at = sums.argmin(axis=1)
    smallest = sums[np.arange(len(sums)), at]
    outside = smallest > smallest.min() + margin
    best = int(smallest.argmin())
    first = best - int(outside[best::-1].argmax()) + 1 if outside[:best].any() else 0
    last = best + int(outside[best:].argmax()) - 1 if outside[best:].any() else len(sums) - 1
    ratio = [float(np.exp((s + 1 - count) * _FINE)) for s in (first, last)]
    # Where an exponent stands at the end of its range, the ratio might go further beyond it.
    ends = (0, count - 1)
    edge = [at[s] in ends or at[s] + s + 1 - count in ends for s in (first, last)]
    return (0.0 if edge[0] else ratio[0]), (np.inf if edge[1] else ratio[1])
