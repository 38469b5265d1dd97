"""Is it an eigenfunction at all? Tests of a flow against constant growth.

Constant growth rates other than 1 cannot be (shares sum to 1); what can be constant is the growth
of the centred log-ratios clr_i = log M_i - mean_j log M_j, the replicator flow. `steps` is
Delta clr_i(n), shape (S, T, G).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import AT_ONCE, Floats, Integers
from ..stats.level import ALPHA, holm, t_quantile
from ..stats.moderation import moderate, seed_variance
from .intervals import detrended


@dataclass(frozen=True, eq=False)
class Linearity:
    """Whether clr grows at a constant rate; G groups, of a spectrum those that are pruned.

    Attributes
    ----------
    slope, low, high : array, shape (G,)
        Slope of Delta clr on the level, mean over seeds, and its 95 % interval.
    p : array, shape (G,)
        Of a slope of 0, adjusted over groups after Holm.
    correction : array, shape (G,)
        c/b of clr = a + b n + c n^2 about the middle of the window: the leading nonlinear
        correction (Raju et al. 2019); NaN where the rejection leaves it unsaid.
    rejected : bool
        Whether any adjusted p is below .05.
    """

    slope: Floats
    low: Floats
    high: Floats
    p: Floats
    correction: Floats
    rejected: bool


def linearity(steps: ArrayLike) -> Linearity:
    """Test that Delta clr does not change with the level.

    A moderated t over seeds without floor; with one seed the t of the slope within the run.

    Parameters
    ----------
    steps : array, shape (S, T, G)
        Delta clr of consecutive steps, T >= 3.

    Raises
    ------
    ValueError
        There are fewer than three steps.
    """
    from scipy.special import stdtr

    data = np.asarray(steps, np.float64)
    seeds, length, _ = data.shape
    if length < 3:
        raise ValueError(f"a change of growth needs three steps, not {length}")
    time = np.arange(length) - (length - 1) / 2
    slopes = np.einsum("t,stg->sg", time, data) / (time @ time)
    slope = slopes.mean(axis=0)
    if seeds > 1:
        moderated = moderate(seed_variance(slopes), seeds - 1)
        error, df = np.sqrt(moderated.variance / seeds), float(moderated.df)
    else:
        residual = (detrended(data)[0] ** 2).sum(axis=0) / (length - 2)
        error, df = np.sqrt(residual / (time @ time)), length - 2.0
    error = np.where(error > 0, error, np.nan)  # seeds that are all alike certify nothing
    t = slope / error
    p = holm(2 * stdtr(df, -np.abs(t)))
    half = t_quantile(df, 0.95) * error
    rejected = bool((p < ALPHA).any())
    growth = data.mean(axis=(0, 1))
    # Delta clr = b + 2 c (n - middle): the slope is 2 c, the mean b.
    ratio = np.divide(slope / 2, growth, out=np.full_like(slope, np.nan), where=growth != 0)
    correction = ratio if rejected else np.full_like(slope, np.nan)
    return Linearity(slope, slope - half, slope + half, p, correction, rejected)


def odd_first_step(first: ArrayLike, later: ArrayLike) -> Floats:
    """Return z of the step 0 -> 1 against the later increments: shape (G,).

    The normal score of Student's t of one more step (a prediction), T - 1 degrees of freedom; NaN
    where the later steps do not scatter.

    Parameters
    ----------
    first : array, shape (S, G)
        Delta clr of the step 0 -> 1.
    later : array, shape (S, T, G)
        Those of the window, T >= 2.
    """
    from scipy.special import ndtri, stdtr

    a, b = np.asarray(first, np.float64), np.asarray(later, np.float64)
    centre = b.mean(axis=(0, 1))
    # Over seeds: the mean first step against what one step of the mean over seeds scatters by.
    length = b.shape[1]
    scatter = b.mean(axis=0).std(axis=0, ddof=1) * np.sqrt(1 + 1 / length)
    t = np.divide(
        a.mean(axis=0) - centre, scatter, out=np.full_like(centre, np.nan), where=scatter > 0
    )
    # A few later steps know their scatter badly: the normal score of Student's t is honest there.
    z = -ndtri(np.maximum(stdtr(length - 1, -np.abs(t)), 1e-300))
    return np.asarray(np.sign(t) * z)


def change_point(
    steps: ArrayLike,
    sampling: ArrayLike,
    *,
    draws: int = 999,
    rng: np.random.Generator | int | None = 0,
) -> tuple[int, float]:
    """Look for the step after which growth is another, and how surprising the best one is.

    The statistic is the largest sum over groups of squared CUSUMs of Delta clr, whitened by
    innovation plus sampling variance; its distribution comes from a parametric bootstrap that
    estimates the innovation anew in every draw.

    Parameters
    ----------
    steps : array, shape (S, T, G)
        Delta clr of consecutive steps, T >= 4.
    sampling : array, shape (T, G)
        Variance of each step that the finite number of weights alone makes.
    draws : int
        Bootstrap samples.
    rng : generator or seed
        Source of randomness.

    Returns
    -------
    tuple of (int, float)
        Number of steps before the change, and its p.
    """
    data, extra = np.asarray(steps, np.float64), np.asarray(sampling, np.float64)
    seeds, length, groups = data.shape
    free = seeds * (length - 2)
    mean = data.mean(axis=0)
    squares = (detrended(data) ** 2).sum(axis=(0, 1))
    found, statistic = _cusum(_whitened(mean[None], squares[None] / free, extra, seeds))
    # Noise of this size about one growth, whitened by its own scatter as the data are: taken as
    # known, the scatter of a few steps would call a change in up to 70 % of steady flows.
    variance = squares / free + extra
    generator, larger = np.random.default_rng(rng), 0
    chunk = max(1, AT_ONCE // mean.size)
    for first in range(0, draws, chunk):
        size = min(chunk, draws - first)
        noise = np.sqrt(variance / seeds) * generator.standard_normal((size, length, groups))
        noise -= noise.mean(axis=-1, keepdims=True)
        drawn = seeds * (detrended(noise) ** 2).sum(axis=1)
        if seeds > 1:  # the scatter between seeds is independent of their mean
            chisquare = generator.chisquare((seeds - 1) * (length - 2), (size, groups))
            drawn += _of_centred(variance).mean(axis=0) * chisquare
        white = _whitened(noise, drawn / free, extra, seeds)
        larger += int((_cusum(white)[1] >= statistic[0]).sum())
    return int(found[0]) + 1, (1 + larger) / (draws + 1)


def _whitened(mean: Floats, innovation: Floats, sampling: Floats, seeds: int) -> Floats:
    """Return means over seeds (R, T, G) in units of their standard errors."""
    variance = (innovation[:, None, :] + sampling) / seeds
    return np.asarray(mean / np.sqrt(np.maximum(variance, 1e-300)))


def _of_centred(variance: Floats) -> Floats:
    """Return the variance of independent values (..., G) once their mean over G is taken off."""
    groups = variance.shape[-1]
    return np.asarray(variance * (1 - 2 / groups) + variance.mean(axis=-1, keepdims=True) / groups)


def _cusum(white: Floats) -> tuple[Integers, Floats]:
    """Return place and size of the largest squared CUSUM of (R, T, G)."""
    length = white.shape[1]
    sums = np.cumsum(white - white.mean(axis=1, keepdims=True), axis=1)[:, :-1]
    here = np.arange(1, length)
    weight = length / (here * (length - here))
    statistic = (sums**2).sum(axis=2) * weight
    return statistic.argmax(axis=1), statistic.max(axis=1)
