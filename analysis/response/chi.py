"""How much the error answers when a group of weights is made sparser or denser: chi, as arrays.

A group i of a ticket is thinned and thickened by a factor while the network keeps its count, and
both tickets are trained: chi_i = (ln err(+) - ln err(-)) / (ln M_i(+) - ln M_i(-)), the elasticity
of the error in the share of the group. The other groups make room in proportion to what they keep.
So with g_j = d ln err / d ln N_j and m_j the share among the groups that are pruned chi_i is
(g_i - m_i sum_j g_j) / (1 - m_i) to first order, and sum_i (1 - m_i) chi_i = 0 whatever the network
does: `closure` holds the measured ones to it.

Arrays of S seeds and K groups are (S, K), those of both directions (S, K, 2), thinned first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..elastic.kendall import kendall
from ..stats.level import ALPHA, CONFIDENCE, holm, t_quantile
from ..stats.seeds import SeedMean, seed_mean
from ..values import NOTHING, Estimate

Answer = Literal["falls", "rises", "flat", "undecided"]
MARGIN = 0.1  # an error that changes by less than a tenth of what the share does is flat
LEAST_SEEDS = 3  # of two, rank correlations agree by chance
LEAST_GROUPS = 3  # two are each other's mirror image: what one gains the other loses
_HALF = 0.5  # of an image: the error of a network that errs in none
_ROUNDED = 1 / 12  # of the square of an image: variance of a number rounded to whole ones


def log_error(accuracy: ArrayLike, unit: float) -> Floats:
    """Return ln(1 - accuracy), where no image is wrong that of half of one.

    Parameters
    ----------
    accuracy : array
        Fractions; NaN stays.
    unit : float
        What one test image is worth; NaN where it is not known.
    """
    error = 1 - np.asarray(accuracy, np.float64)
    least = _HALF * unit if math.isfinite(unit) else 0.0
    with np.errstate(divide="ignore"):
        found = np.log(np.maximum(error, least))
    return np.asarray(np.where(np.isneginf(found), np.nan, found))


def susceptibility(error: Floats, share: Floats) -> Floats:
    """Return chi of every seed and group: shape (S, K).

    Parameters
    ----------
    error, share : array, shape (S, K, 2)
        Logarithms of error and share, at both ends; the unperturbed ticket may be one of them.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.diff(error, axis=-1) / np.diff(share, axis=-1)
    return np.asarray(np.where(np.isfinite(found), found, np.nan)[..., 0])


def rounding(error: Floats, share: Floats, unit: float) -> Floats:
    """Return the variance of chi that counting whole images makes, of every seed: shape (S, K)."""
    if not math.isfinite(unit):
        return np.zeros(error.shape[:-1])
    of_errors = (_ROUNDED * (unit * np.exp(-error)) ** 2).sum(axis=-1)
    return np.asarray(of_errors / np.diff(share, axis=-1)[..., 0] ** 2)


def mean_of(values: ArrayLike, least: Floats | None = None) -> SeedMean:
    """Return means over seeds with their standard errors.

    Parameters
    ----------
    values : array, shape (S, K)
        One row per seed; a group with a NaN takes no part.
    least : array, shape (S, K), optional
        Variance below which none is believed: seeds agree by chance where images are counted.
    """
    data = np.asarray(values, np.float64)
    found = seed_mean(data)
    if least is None or len(data) < 2:
        return found
    floor = np.sqrt(least.mean(axis=0) / len(data))
    with np.errstate(invalid="ignore"):
        error = np.where(floor > 0, np.fmax(found.error, floor), found.error)
    return SeedMean(found.value, np.where(np.isnan(found.value), np.nan, error), found.df)


@dataclass(frozen=True, eq=False)
class Judged:
    """What is said of the answer of each of K groups.

    Attributes
    ----------
    verdict : tuple of str, length K
        `falls`: the error falls where the group gains weights (chi < 0), `rises`, `flat` (certified
        within the margin), `undecided`; empty where there is no interval.
    p : array, shape (K,)
        Of chi = 0, corrected for the number of groups (Holm 1979).
    """

    verdict: tuple[Answer | Literal[""], ...]
    p: Floats


def judge(found: SeedMean, margin: float = MARGIN) -> Judged:
    """Judge the answers of groups.

    Parameters
    ----------
    found : SeedMean
        chi.
    margin : float
        Of `flat`: the 90 % interval lies within it on both sides of 0.
    """
    from scipy.special import stdtr

    with np.errstate(invalid="ignore", divide="ignore"):
        p = holm(2 * stdtr(found.df, -np.abs(found.value / found.error)))
    low, high = found.ends(1 - 2 * ALPHA)

    def verdict(i: int) -> Answer | Literal[""]:
        if not np.isfinite(p[i]):
            return ""
        if p[i] < ALPHA:
            return "falls" if found.value[i] < 0 else "rises"
        return "flat" if -margin < low[i] and high[i] < margin else "undecided"

    return Judged(tuple(verdict(i) for i in range(len(p))), p)


def closure(chi: Floats, share: Floats) -> Estimate[float]:
    """Return sum_i (1 - m_i) chi_i, which is 0 to first order, with its interval over seeds.

    Parameters
    ----------
    chi, share : array, shape (S, K)
        Of all groups that are pruned, and their shares among these.
    """
    found = mean_of(((1 - share) * chi).sum(axis=-1, keepdims=True)).estimate
    return Estimate(float(found.value[0]), float(found.low[0]), float(found.high[0]))


def rank_agreement(chi: Floats, exponent: Floats) -> Estimate[float]:
    """Return Kendall's tau-b of chi and y: the mean over seeds, with its 95 % interval.

    Every seed has a tau of its own, of its chi with the mean y; noise in chi draws it towards 0.
    Where all seeds agree the interval is what so few may hide: one that differs comes with a
    probability below 1 - .05^(1/S), and may have any tau.

    Parameters
    ----------
    chi : array, shape (S, K)
        One row per seed.
    exponent : array, shape (K,)
        y, of groups that have one and a chi.
    """
    if chi.shape[-1] < LEAST_GROUPS:
        return NOTHING
    taus = kendall(exponent[None], chi)[0]
    taus = taus[np.isfinite(taus)]
    if not len(taus):
        return NOTHING
    mean, seeds = float(taus.mean()), len(taus)
    if seeds < LEAST_SEEDS:
        return Estimate(mean, math.nan, math.nan)
    if np.ptp(taus) == 0:
        other = 1 - (1 - CONFIDENCE) ** (1 / seeds)
        return Estimate(mean, mean - other * (1 + mean), mean + other * (1 - mean))
    half = t_quantile(seeds - 1, CONFIDENCE) * float(taus.std(ddof=1)) / math.sqrt(seeds)
    return Estimate(mean, max(mean - half, -1.0), min(mean + half, 1.0))
