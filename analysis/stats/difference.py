"""Tests that normal means are the same, each known with a variance of its own.

No t distribution is exact for two. Welch 1947 gives the difference degrees of freedom that come
near; with two seeds, one degree of freedom, they promise too much, and the distribution of Behrens
1929 and Fisher 1935 stands in: that of a difference of two scaled Student variables.

Of more than two, Cochran's Q takes variances for known, and from two or three seeds calls equal
means different in 2 to 4 of 10 cases; Welch's F of 1951 does in up to .14. So Q is drawn, each
variance as uncertain as it is (Krishnamoorthy, Lu & Mathew 2007).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import AT_ONCE, Floats

KNOWN = 1e6  # degrees of freedom of an error that was not estimated
_DRAWS = 9999
_WELCH = 2.0  # degrees of freedom from which on Welch's are taken
# Student variables are integrated over t = sinh(x): with one degree of freedom a part in 10^8 of
# the distribution lies beyond.
_GRID = np.arange(-200, 201) / 10


def welch(error_a: ArrayLike, df_a: ArrayLike, error_b: ArrayLike, df_b: ArrayLike) -> Floats:
    """Return the degrees of freedom of a difference of two means (Welch 1947).

    Parameters
    ----------
    error_a, error_b : array
        Standard errors of the means, not both 0.
    df_a, df_b : array
        Their degrees of freedom; all shapes broadcast.
    """
    a, b = np.square(error_a), np.square(error_b)
    return np.asarray((a + b) ** 2 / (a**2 / df_a + b**2 / df_b))


def difference_p(
    difference: ArrayLike, error_a: ArrayLike, df_a: float, error_b: ArrayLike, df_b: float
) -> Floats:
    """Return the two-sided p of differences of two means that are zero.

    Parameters
    ----------
    difference, error_a, error_b : array, shape (P,)
        Differences, and the standard errors of both means.
    df_a, df_b : float
        Degrees of freedom of the errors.

    Examples
    --------
    >>> difference_p([2.0], [1.0], 1, [1.0], 1).round(6).tolist()  # a Cauchy variable of scale 2
    [0.5]
    """
    from scipy.special import stdtr

    d, a, b = (np.abs(np.asarray(x, np.float64)) for x in (difference, error_a, error_b))
    if min(df_a, df_b) >= _WELCH:
        return np.asarray(2 * stdtr(welch(a, df_a, b, df_b), -d / np.hypot(a, b)))
    # What is integrated over is the smaller term: in it the distribution of the larger is smooth.
    swap = a > b
    p = np.empty_like(d)
    for some, small, large in ((~swap, (a, df_a), (b, df_b)), (swap, (b, df_b), (a, df_a))):
        p[some] = _behrens_fisher(d[some], small[0][some], small[1], large[0][some], large[1])
    return p


def _behrens_fisher(
    d: Floats, small: Floats, small_df: float, large: Floats, large_df: float
) -> Floats:
    """Return P(|small t(small_df) - large t(large_df)| >= d): shape (P,)."""
    from scipy.special import stdtr

    t = np.sinh(_GRID)
    # Student's density times dt/dx, up to a factor.
    weight = np.exp(-(small_df + 1) / 2 * np.log1p(t**2 / small_df)) * np.cosh(_GRID)
    weight /= weight.sum()
    step = max(1, AT_ONCE // len(t))
    parts = [
        stdtr(
            large_df,
            (small[i : i + step, None] * t - d[i : i + step, None]) / large[i : i + step, None],
        )
        @ weight
        for i in range(0, len(d), step)
    ]
    return np.asarray(2 * np.concatenate([np.empty(0), *parts]))


def cochran_q(mean: Floats, variance: Floats) -> Floats:
    """Return the weighted squares of means (..., E, K) about their weighted mean: (..., K)."""
    weight = 1 / variance
    middle = (weight * mean).sum(axis=-2, keepdims=True) / weight.sum(axis=-2, keepdims=True)
    return np.asarray((weight * (mean - middle) ** 2).sum(axis=-2))


def same_mean_p(mean: Floats, variance: Floats, df: ArrayLike) -> Floats:
    """Return p of E means that are the same, for each of K groups by itself: shape (K,).

    Parameters
    ----------
    mean, variance : array, shape (E, K)
        Means, and the squares of their standard errors.
    df : array, shape (E,)
        Degrees of freedom of the errors; infinite where they are known.

    Returns
    -------
    array, shape (K,)
        That of the chi-square distribution where all errors are known; else the share of parametric
        draws (the same at every call) with a Q at least as large, the data counted among them.

    Examples
    --------
    >>> mean, variance = np.array([[0.0], [2.0], [4.0]]), np.ones((3, 1))
    >>> same_mean_p(mean, variance, [np.inf] * 3).round(4).tolist()
    [0.0183]
    >>> bool(same_mean_p(mean, variance, [2.0] * 3)[0] > 0.05)
    True
    """
    from scipy.special import chdtrc

    q, freedom = cochran_q(mean, variance), np.asarray(df, np.float64)
    if np.isinf(freedom).all():
        return np.asarray(chdtrc(len(mean) - 1, q))
    rng, exceeding = np.random.default_rng(0), np.zeros(q.shape)
    chunk = max(1, AT_ONCE // mean.size)
    uncertain = np.isfinite(freedom)
    for first in range(0, _DRAWS, chunk):
        size = min(chunk, _DRAWS - first)
        drawn = np.sqrt(variance) * rng.standard_normal((size, *mean.shape))
        told = np.broadcast_to(variance, drawn.shape).copy()
        known_from = freedom[uncertain, None]
        chi2 = rng.chisquare(known_from, (size, int(uncertain.sum()), mean.shape[1]))
        told[:, uncertain] *= chi2 / known_from
        exceeding += (cochran_q(drawn, told) >= q).sum(axis=0)
    return np.asarray((1 + exceeding) / (1 + _DRAWS))
