"""Variances of many groups from few seeds: each is drawn towards what they have in common.

Smyth 2004 (limma): variances s_i^2 with d degrees of freedom each are taken as draws around a
prior s0^2 with d0 degrees of freedom, both found from the moments of log s^2 over the groups.
Correlations are drawn towards zero after Schafer & Strimmer 2005. The last axis is that of groups
and leading axes are experiments, so that thousands of simulated ones can be done at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Bools, Floats

_TINY = 1e-300  # stands for a variance of exactly 0, whose logarithm does not exist
_ROUNDING = 1e-13  # of a mean log eigenvalue; one weight in a million million moves it by more
LENDERS = 3  # groups below which none lends: two variances say nothing of how variances vary
# What real runs show of K groups at most: 2.8 independent ones of 5, 4.3 of 10.
_INDEPENDENT = 0.63


@dataclass(frozen=True, eq=False)
class Moderated:
    """Moderated variances of G groups.

    Attributes
    ----------
    variance : array, shape (..., G)
        (d0 s0^2 + d s_i^2) / (d0 + d), or s0^2 where d0 is infinite.
    df : array, shape (...,)
        Degrees of freedom of a t statistic made with them: min(d0 + d, G d) of `moderate`, fewer
        where groups are correlated (`lent`).
    prior_df, prior_variance : array, shape (...,)
        d0, which may be infinite, and s0^2.
    """

    variance: Floats
    df: Floats
    prior_df: Floats
    prior_variance: Floats


def seed_variance(values: ArrayLike) -> Floats:
    """Return the variance over seeds, (..., S, G) to (..., G): 0 where they agree to rounding.

    The rounding of equal values is not noise: as a variance it would make anything certain.
    """
    data = np.asarray(values, np.float64)
    return np.where(np.ptp(data, axis=-2) <= _ROUNDING, 0.0, data.var(axis=-2, ddof=1))


def moderate(variances: ArrayLike, df: float, most: float = np.inf) -> Moderated:
    """Moderate variances over groups.

    Parameters
    ----------
    variances : array, shape (..., G)
        s_i^2 with `df` degrees of freedom each. NaN marks groups that do not take part; all
        experiments of one call must have NaN at the same groups. Fewer than three lend nothing.
    df : float
        d, the degrees of freedom of every s_i^2.
    most : float
        The largest d0: how many degrees of freedom the other groups may lend.
    """
    s2 = np.asarray(variances, np.float64)
    taking = _taking(s2)
    groups = int(taking.sum())
    if groups < LENDERS:
        plain = np.full(s2.shape[:-1], np.nan)
        return Moderated(s2, np.full(s2.shape[:-1], float(df)), np.zeros_like(plain), plain)
    # A group whose runs agree to rounding would make the prior useless: limma's guard.
    guard = np.maximum(1e-5 * np.median(s2[..., taking], axis=-1, keepdims=True), _TINY)
    logs = np.log(np.maximum(s2[..., taking], guard))
    d0, s02 = _prior(logs, df, most)
    alike = s2[..., taking].max(axis=-1) == 0  # no variance anywhere: nothing is lent
    d0, s02 = np.where(alike, 0.0, d0), np.where(alike, 0.0, s02)
    finite = np.isfinite(d0)
    weight = np.where(finite, d0, 0)[..., None]
    mixed = (weight * s02[..., None] + df * s2) / (weight + df)
    moderated = np.where(finite[..., None], mixed, np.where(np.isnan(s2), np.nan, s02[..., None]))
    return Moderated(moderated, np.minimum(d0 + df, groups * df), d0, s02)


def lent(values: ArrayLike, most: float = 1.0) -> Moderated:
    """Moderate the variances over few seeds, where the other groups count as one seed at most.

    What is lent is itself known from few groups, and from fewer the more they are correlated:
    1/f = 1/(d0 + d) + w^2/(K_eff d) with w = d0/(d0 + d), d = S - 1; f lies between d and d0 + d.

    Parameters
    ----------
    values : array, shape (..., S, G)
        One row per seed, S >= 2. NaN marks groups that do not take part, as for `moderate`.
    most : float
        The largest d0.
    """
    data = np.asarray(values, np.float64)
    df = data.shape[-2] - 1
    found = moderate(seed_variance(data), df, most)
    taking = _taking(data)
    if taking.sum() < LENDERS:
        return found
    d0 = found.prior_df
    with np.errstate(invalid="ignore"):  # an unbounded loan has weight 1
        weight = np.where(np.isinf(d0), 1.0, d0 / (d0 + df))
    groups = effective_groups(shrunk_correlation(data[..., taking]))
    own = 1 / (1 / (d0 + df) + weight**2 / (groups * df))
    return replace(found, df=own)


def effective_groups(correlation: ArrayLike) -> Floats:
    """Return how many independent groups K correlated ones are worth, shape (...,).

    min(K^2 / sum C^2, K^.63), at least 1: the shrunk correlation of two or three seeds says little.

    Parameters
    ----------
    correlation : array, shape (..., K, K)
        C of the groups, such as `shrunk_correlation`.
    """
    c = np.asarray(correlation, np.float64)
    groups = c.shape[-1]
    worth = groups**2 / (c**2).sum(axis=(-2, -1))
    return np.asarray(np.clip(worth, 1.0, groups**_INDEPENDENT))


def helmert(values: ArrayLike) -> Floats:
    """Return S - 1 independent combinations of S seeds that have mean 0 and the seeds' variance.

    Residuals about a mean are S rows with S - 1 degrees of freedom; taken as S independent rows
    they show correlations that are not there.

    Parameters
    ----------
    values : array, shape (..., S, K)
        One row per seed.

    Returns
    -------
    array, shape (..., S - 1, K)
        Row k is (x_1 + ... + x_k - k x_(k+1)) / sqrt(k (k + 1)); the squares of all rows sum to
        those of the residuals.
    """
    data = np.asarray(values, np.float64)
    k = np.arange(1, data.shape[-2])[:, None]
    sums = np.cumsum(data, axis=-2)[..., :-1, :]
    return np.asarray((sums - k * data[..., 1:, :]) / np.sqrt(k * (k + 1)))


def _taking(values: Floats) -> Bools:
    """Tell which groups (the last axis) hold no NaN."""
    return np.asarray(~np.isnan(values).reshape(-1, values.shape[-1]).any(axis=0))


def _prior(logs: Floats, df: float, most: float) -> tuple[Floats, Floats]:
    """Fit d0 <= most and s0^2 to log variances, shape (..., G): Smyth 2004, section 6.2."""
    from scipy.special import digamma, polygamma

    centred = logs - digamma(df / 2) + np.log(df / 2)
    mean = centred.mean(axis=-1)
    excess = centred.var(axis=-1, ddof=1) - float(polygamma(1, df / 2))
    d0 = np.full(mean.shape, float(most))
    free = excess > float(polygamma(1, most / 2))  # above 0 where nothing bounds d0
    d0[free] = 2 * trigamma_inverse(excess[free])
    common = np.isinf(d0)
    half = np.where(common, 1.0, d0 / 2)
    s02 = np.exp(mean + np.where(common, 0.0, digamma(half) - np.log(half)))
    return d0, s02


def trigamma_inverse(values: ArrayLike) -> Floats:
    """Solve trigamma(x) = value for x > 0, elementwise: a table, and a Newton step on 1/trigamma.

    Examples
    --------
    >>> round(float(trigamma_inverse([1.6449340668])[0]), 9)
    1.0
    """
    from scipy.special import polygamma

    y = np.asarray(values, np.float64)
    x = np.exp(np.interp(np.log(y), *_trigamma_table()))
    trigamma = polygamma(1, x)
    x = x + trigamma * (1 - trigamma / y) / polygamma(2, x)
    return np.asarray(np.where(y > 1e7, 1 / np.sqrt(y), np.where(y < 1e-6, 1 / y, x)))


@cache
def _trigamma_table() -> tuple[Floats, Floats]:
    """Return logarithms of trigamma(x), ascending, and of x: within 10^-5 between the entries."""
    from scipy.special import polygamma

    x = np.geomspace(1e7, 1e-4, 4001)
    return np.log(polygamma(1, x)), np.log(x)


def shrunk_correlation(residuals: ArrayLike) -> Floats:
    """Return a correlation matrix that is shrunk towards the identity.

    Parameters
    ----------
    residuals : array, shape (..., R, G)
        Rows about their own mean, such as seeds, or seeds of several experiments.

    Returns
    -------
    array, shape (..., G, G)
        Unit diagonal, positive definite but where rows repeat each other; the identity where
        R < 3. Schafer & Strimmer 2005, the target D of their table 2 with the analytic intensity.
    """
    data = np.asarray(residuals, np.float64)
    rows, groups = data.shape[-2:]
    if rows < 3 or groups < 2:
        return np.broadcast_to(np.eye(groups), (*data.shape[:-2], groups, groups)).copy()
    centred = data - data.mean(axis=-2, keepdims=True)
    scale = np.sqrt((centred**2).sum(axis=-2, keepdims=True) / (rows - 1))
    z = np.divide(centred, scale, out=np.zeros_like(centred), where=scale > 0)
    products = z[..., :, None] * z[..., None, :]
    mean = products.mean(axis=-3)
    r = mean * rows / (rows - 1)  # centring takes one of the rows
    spread = ((products - mean[..., None, :, :]) ** 2).sum(axis=-3)
    variance = spread * rows / (rows - 1) ** 3
    off = ~np.eye(groups, dtype=bool)
    total = (r[..., off] ** 2).sum(axis=-1)
    ratio = np.divide(
        variance[..., off].sum(axis=-1), total, out=np.ones_like(total), where=total > 0
    )
    shrunk: Floats = (1 - np.minimum(ratio, 1.0))[..., None, None] * r
    shrunk[..., np.arange(groups), np.arange(groups)] = 1.0
    return shrunk


def correlation_about_zero(rows: ArrayLike) -> Floats:
    """Return a shrunk correlation of normal rows whose mean is 0 for certain.

    With r^2 the mean square of the correlations of two groups over R rows, (R r^2 - 1) / (R - 1)
    estimates that of the true ones: without bias where groups are independent or one factor moves
    all. The part of r^2 that it is remains of every correlation. The variances between rows, of
    which `shrunk_correlation` makes its intensity, halve even a perfect correlation of three rows.

    Parameters
    ----------
    rows : array, shape (R, G)
        Independent rows (`helmert`) of one or more experiments, scaled to a mean square of 1 in
        every group.

    Returns
    -------
    array, shape (G, G)
        Unit diagonal; the identity where R < 2.
    """
    data = np.asarray(rows, np.float64)
    number, groups = data.shape
    if number < 2 or groups < 2:
        return np.eye(groups)
    found: Floats = data.T @ data / number
    seen = (found[~np.eye(groups, dtype=bool)] ** 2).mean()
    true = max((number * seen - 1) / (number - 1), 0.0)
    found *= min(true / seen, 1.0) if seen > 0 else 0.0
    np.fill_diagonal(found, 1.0)
    return found


def square_root(correlation: Floats) -> Floats:
    """Return the symmetric root of a correlation matrix (K, K), which may be singular.

    It is unique, and unlike eigenvectors continuous: the last bit of the data cannot change draws.
    """
    values, vectors = np.linalg.eigh(correlation)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)
