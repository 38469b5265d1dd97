"""Are the mean log-ratios of a few seeds zero? One test for all groups at once.

Spectra are compared up to a common factor, so everything is centred over the groups (Aitchison
1982). The statistic is Q = sum_i d_i^2 / (v s_i^2): d the mean of the centred values, v s_i^2 its
variance with s_i^2 moderated over groups (Smyth 2004). Seeds are few and groups correlate, so no
table gives its distribution; it is drawn from normal seeds with the moderated variances and the
shrunk correlation (Schafer & Strimmer 2005), and every draw is moderated as the data were. With the
variances of the data in every draw the test would reject a true hypothesis too often.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import AT_ONCE, Floats
from .moderation import Moderated, moderate, shrunk_correlation

DRAWS = 9999
FLOOR = 1e-6  # of the mean variance: a group whose seeds agree by chance has a logarithm then


@dataclass(frozen=True, eq=False)
class Contrast:
    """Centred means of K groups, and the test that all of them are zero.

    Attributes
    ----------
    centre : array, shape (K,)
        d_i; they sum to zero.
    error : array, shape (K,)
        Standard errors from moderated variances.
    df : float
        Degrees of freedom of centre / error.
    q : float
        The statistic.
    p : float
        Share of draws with a statistic at least as large, the data counted among the draws.
    """

    centre: Floats
    error: Floats
    df: float
    q: float
    p: float

    def half_width(self, confidence: float = 0.95) -> Floats:
        """Return the half-width of the t interval of every centre: shape (K,)."""
        from scipy.special import stdtrit

        return np.asarray(stdtrit(self.df, 0.5 + confidence / 2) * self.error)

    def p_values(self) -> Floats:
        """Return the two-sided p of every group alone, not corrected for their number: (K,)."""
        from scipy.special import stdtr

        return np.asarray(2 * stdtr(self.df, -np.abs(self.centre / self.error)))


def centred(values: ArrayLike) -> Floats:
    """Return values minus their mean over groups, the last axis: clr of their exponentials."""
    data = np.asarray(values, np.float64)
    return np.asarray(data - data.mean(axis=-1, keepdims=True))


def contrast(
    centre: ArrayLike,
    rows: ArrayLike,
    factor: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Contrast:
    """Test whether centred means are all zero.

    Parameters
    ----------
    centre : array, shape (K,)
        Means over seeds, or differences of such means, centred over K >= 2 groups.
    rows : array, shape (D, K)
        Independent rows of mean 0 with the variance of a seed's centred values: `helmert` of the
        seeds of every experiment. D is the number of degrees of freedom, at least 1.
    factor : float
        Variance of a centre in units of that of one seed: 1/S, or 1/S_a + 1/S_b.
    rng : numpy.random.Generator
        Randomness of the draws.
    draws : int
        Number of draws; p is at least 1 / (draws + 1).

    Raises
    ------
    ValueError
        There are fewer than two groups, no degree of freedom, or all seeds are alike.
    """
    mean, noise = np.asarray(centre, np.float64), np.asarray(rows, np.float64)
    if mean.size < 2 or len(noise) < 1:
        raise ValueError(
            f"a contrast needs two groups and two seeds, not {mean.size} and {len(noise) + 1}"
        )
    if not noise.any():
        raise ValueError("all seeds are alike: there is no variance to compare with")
    found = statistic(mean, noise, factor)
    drawn = null_draws(noise, found.variance, rng, draws)
    q = float(found.q)
    return Contrast(mean, found.error, float(found.df), q, share_above(q, drawn))


class Statistic(NamedTuple):
    """The statistic of contrasts, and what it is made of; leading axes are contrasts.

    Attributes
    ----------
    variance : array, shape (..., K)
        Moderated variance of a seed's centred values.
    error : array, shape (..., K)
        Standard error of a centre.
    df : array, shape (...,)
        Degrees of freedom of centre / error.
    q : array, shape (...,)
        Q.
    """

    variance: Floats
    error: Floats
    df: Floats
    q: Floats


def statistic(centre: Floats, rows: Floats, factor: ArrayLike) -> Statistic:
    """Compute the statistic of contrasts that have equally many rows.

    Parameters
    ----------
    centre : array, shape (..., K)
        Centred means, or differences of them.
    rows : array, shape (..., D, K)
        As for `contrast`; not all 0.
    factor : float or array, shape (...,)
        Variance of a centre in units of that of one seed.
    """
    found = moderated_rows(rows)
    square = np.asarray(factor, np.float64)[..., None] * found.variance
    return Statistic(found.variance, np.sqrt(square), found.df, (centre**2 / square).sum(axis=-1))


def moderated_rows(rows: Floats) -> Moderated:
    """Moderate the variances of rows of mean 0, shape (..., D, K), over their K groups."""
    *_, df, groups = rows.shape
    s2 = (rows**2).mean(axis=-2)
    floor = np.maximum(FLOOR * s2.mean(axis=-1, keepdims=True), 1e-300)
    found = moderate(np.maximum(s2, floor), df)
    # Centred values have K - 1 dimensions: that many groups can lend degrees of freedom.
    return replace(found, df=np.minimum(found.df, (groups - 1) * df))


def share_above(q: float, drawn: Floats) -> float:
    """Return the share of draws that are at least q, the data counted among the draws."""
    return float((1 + (drawn >= q).sum()) / (len(drawn) + 1))


def null_draws(rows: Floats, variance: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """Draw the statistic where all centres are zero; `factor` cancels from it.

    Parameters
    ----------
    rows : array, shape (D, K)
        As for `contrast`; they give the correlation of the groups.
    variance : array, shape (K,)
        Moderated variances of a seed.
    rng : numpy.random.Generator
        Randomness.
    draws : int
        How many.

    Returns
    -------
    array, shape (draws,)
    """
    df = len(rows)
    # The symmetric root exists where the matrix is singular (two groups), and unlike eigenvectors
    # it is continuous: the last bit of the data cannot change all draws.
    values, vectors = np.linalg.eigh(shrunk_correlation(rows))
    root = np.sqrt(variance)[:, None] * (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    chunk = max(1, AT_ONCE // ((df + 1) * variance.size))
    parts = []
    for first in range(0, draws, chunk):
        size = (min(chunk, draws - first), df + 1, variance.size)
        z = centred(rng.standard_normal(size) @ root.T)
        s2 = (z[:, 1:] ** 2).mean(axis=1)
        parts.append((z[:, 0] ** 2 / moderate(s2, df).variance).sum(axis=-1))
    return np.concatenate(parts)
