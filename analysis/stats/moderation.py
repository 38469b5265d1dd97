"""Variances of many groups from few seeds: each is drawn towards what they have in common.

Smyth 2004 (limma): variances s_i^2 with d degrees of freedom each are taken as draws around a
prior s0^2 with d0 degrees of freedom, both found from the moments of log s^2 over the groups.
Correlations are drawn towards zero after Schafer & Strimmer 2005. The last axis is that of groups,
so that thousands of simulated experiments can be done at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats

_TINY = 1e-300  # stands for a variance of exactly 0, whose logarithm does not exist
_ROUNDING = 1e-13  # of a mean log eigenvalue; one weight in a million million moves it by more


@dataclass(frozen=True, eq=False)
class Moderated:
    """Moderated variances of G groups.

    Attributes
    ----------
    variance : array, shape (..., G)
        (d0 s0^2 + d s_i^2) / (d0 + d), or s0^2 where d0 is infinite.
    df : array, shape (...,)
        Degrees of freedom of a t statistic made with them: min(d0 + d, G d).
    prior_df, prior_variance : array, shape (...,)
        d0, which may be infinite, and s0^2.
    """

    variance: Floats
    df: Floats
    prior_df: Floats
    prior_variance: Floats

    def floored(self, floor: ArrayLike) -> Moderated:
        """Return the same with variances of at least `floor`, shape (..., G)."""
        raised = np.maximum(self.variance, np.asarray(floor, np.float64))
        return Moderated(raised, self.df, self.prior_df, self.prior_variance)


def seed_variance(values: ArrayLike) -> Floats:
    """Return the variance over seeds, (..., S, G) to (..., G): 0 where they agree to rounding.

    The rounding of equal values is not noise: as a variance it would make anything certain.
    """
    data = np.asarray(values, np.float64)
    return np.where(np.ptp(data, axis=-2) <= _ROUNDING, 0.0, data.var(axis=-2, ddof=1))


def moderate(variances: ArrayLike, df: float) -> Moderated:
    """Moderate variances over groups.

    Parameters
    ----------
    variances : array, shape (..., G)
        s_i^2 with `df` degrees of freedom each. NaN marks groups that do not take part; all
        experiments of one call must have NaN at the same groups.
    df : float
        d, the degrees of freedom of every s_i^2.
    """
    s2 = np.asarray(variances, np.float64)
    taking = ~np.isnan(s2).reshape(-1, s2.shape[-1]).any(axis=0)
    groups = int(taking.sum())
    if groups < 2:  # nothing to borrow from
        plain = np.full(s2.shape[:-1], np.nan)
        return Moderated(s2, np.full(s2.shape[:-1], df), np.zeros_like(plain), plain)
    # A group whose runs agree to rounding would make the prior useless: limma's guard.
    guard = np.maximum(1e-5 * np.median(s2[..., taking], axis=-1, keepdims=True), _TINY)
    logs = np.log(np.maximum(s2[..., taking], guard))
    d0, s02 = _prior(logs, df)
    alike = s2[..., taking].max(axis=-1) == 0  # no variance anywhere: nothing is lent
    d0, s02 = np.where(alike, 0.0, d0), np.where(alike, 0.0, s02)
    finite = np.isfinite(d0)
    weight = np.where(finite, d0, 0)[..., None]
    mixed = (weight * s02[..., None] + df * s2) / (weight + df)
    moderated = np.where(finite[..., None], mixed, np.where(np.isnan(s2), np.nan, s02[..., None]))
    return Moderated(moderated, np.minimum(d0 + df, groups * df), d0, s02)


def _prior(logs: Floats, df: float) -> tuple[Floats, Floats]:
    """Fit d0 and s0^2 to log variances, shape (..., G): Smyth 2004, section 6.2."""
    from scipy.special import digamma, polygamma

    centred = logs - digamma(df / 2) + np.log(df / 2)
    mean = centred.mean(axis=-1)
    excess = centred.var(axis=-1, ddof=1) - float(polygamma(1, df / 2))
    d0 = np.full(mean.shape, np.inf)
    common = excess <= 0
    d0[~common] = 2 * trigamma_inverse(excess[~common])
    half = np.where(common, 1.0, d0 / 2)
    s02 = np.exp(mean + np.where(common, 0.0, digamma(half) - np.log(half)))
    return d0, s02


def trigamma_inverse(values: ArrayLike) -> Floats:
    """Solve trigamma(x) = value for x > 0, elementwise, by Newton steps on 1/trigamma.

    Examples
    --------
    >>> round(float(trigamma_inverse([1.6449340668])[0]), 6)
    1.0
    """
    from scipy.special import polygamma

    y = np.asarray(values, np.float64)
    x = 0.5 + 1 / y
    for _ in range(50):
        trigamma = polygamma(1, x)
        step = trigamma * (1 - trigamma / y) / polygamma(2, x)
        x = x + step
        if np.all(-step < 1e-9 * x):
            break
    return np.asarray(np.where(y > 1e7, 1 / np.sqrt(y), np.where(y < 1e-6, 1 / y, x)))


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
    r = mean * rows / (rows - 1)
    variance = ((products - mean[..., None, :, :]) ** 2).sum(axis=-3) * rows / (rows - 1) ** 3
    off = ~np.eye(groups, dtype=bool)
    total = (r[..., off] ** 2).sum(axis=-1)
    spread = variance[..., off].sum(axis=-1)
    ratio = np.divide(spread, total, out=np.ones_like(total), where=total > 0)
    shrunk: Floats = (1 - np.minimum(ratio, 1.0))[..., None, None] * r
    shrunk[..., np.arange(groups), np.arange(groups)] = 1.0
    return shrunk
