"""At which level layers lose their last weight, if one threshold prunes all of them.

A layer of effective scale s (`scales`) keeps k weights. As the threshold t rises, from 1 now, it
keeps k erfc(t e^(-s-D) / sqrt 2) / erfc(e^-s / sqrt 2), D the logarithm of what its scale has
gained; what the whole network is to keep sets t. The last weight goes when t e^(-s-D) passes the
largest of the k, whose distribution is that of a maximum of draws beyond the present threshold.

D is what must be guessed. In a time of -log density it grows by half the drift of the last levels,
give or take: the drift may stop or last, it is known from few seeds, each run has one of its own,
and scales wander. All four are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .. import scales
from ..arrays import Floats
from ..nulls.initial import DISTRIBUTIONS, threshold
from ..stats.moderation import moderate, seed_variance

STEPS = 6  # the last so many that drift is measured over
LEAST_STEPS = 3  # below which scatter about a line says nothing
LASTING = 0.5  # mean, and standard deviation, of the share of the drift that lasts
Gains = Iterator[Floats]

_GAUSSIAN = DISTRIBUTIONS["gaussian"]


class Motion(NamedTuple):
    """How centred log scales of G layers are expected to move, a unit of -log density.

    Attributes
    ----------
    drift : array, shape (G,)
        Expected slope.
    common, own : array, shape (G,)
        Variance of the slope, that of all runs together and that of each by itself.
    walk : float
        Variance of what is added in a unit of time, independently.
    """

    drift: Floats
    common: Floats
    own: Floats
    walk: float

    def gains(self, times: Floats, draws: int, runs: int, rng: np.random.Generator) -> Gains:
        """Draw what log scales gain until each of the times, an array (draws, runs, G) a time."""
        shape = (draws, runs, len(self.drift))
        slope = self.drift + np.sqrt(self.common) * rng.standard_normal((draws, 1, shape[2]))
        slope = slope + np.sqrt(self.own) * rng.standard_normal(shape)
        walked = np.zeros(shape)
        for time, step in zip(times, np.diff(times, prepend=0.0), strict=True):
            walked += np.sqrt(self.walk * step) * rng.standard_normal(shape)
            yield slope * time + walked


def still(groups: int) -> Motion:
    """Return the motion of an untrained network: none."""
    return Motion(*np.zeros((3, groups)), 0.0)


def motion(kept: Floats, total: Floats, time: Floats) -> Motion | None:
    """Measure how scales move over the last steps.

    Parameters
    ----------
    kept : array, shape (S, L, G)
        Kept weights of layers that are pruned.
    total : array, shape (G,)
        Weights of the dense layers.
    time : array, shape (S, L)
        -log density of the network.

    Returns
    -------
    Motion or None
        None where fewer than 3 steps, or no layer with enough weights, tell nothing.
    """
    kept, time = kept[:, -STEPS - 1 :], time[:, -STEPS - 1 :]
    known = scales.usable(kept, total)
    if time.shape[1] <= LEAST_STEPS or not known.any():
        return None
    measured = _measured(kept[..., known], total[known], time)
    # Of a layer too small to be measured nothing is known but how the others move.
    whole = Motion(*np.zeros((3, len(total))), measured.walk)
    whole.common[:], whole.own[:] = measured.common.max(), measured.own.max()
    for values, found in zip(whole[:3], measured[:3], strict=True):
        values[known] = found
    return whole


def _measured(kept: Floats, total: Floats, time: Floats) -> Motion:
    runs = len(kept)
    slope, sampling = scales.scale_drift(kept, total, time)
    walk = _walk(kept, total, time)
    noise = (sampling + walk * _walked_slope(time)[:, None]).mean(axis=0)
    between = noise if runs == 1 else _between(seed_variance(slope), noise, runs - 1)
    drift, error = slope.mean(axis=0), between / runs
    real = excess_variance(drift**2, error)
    return Motion(
        drift=LASTING * drift * real / (real + error),
        common=LASTING**2 * (real + 2 * error),
        own=between - noise,
        walk=walk,
    )


def _walk(kept: Floats, total: Floats, time: Floats) -> float:
    """Return the variance that scales gain in a unit of time beyond their drift and sampling."""
    step = np.diff(time)
    gain = np.diff(scales.centred(scales.effective_scales(kept, total), total), axis=1)
    pace = gain.sum(axis=1) / step.sum(axis=1)[:, None]
    freedom = (step.shape[1] - 1) * step.mean()
    squares = ((gain - step[..., None] * pace[:, None]) ** 2).sum(axis=1) / freedom
    covariance = np.diff(np.diff(scales.scale_covariance(kept, total)), axis=-2)
    noise = np.trace(covariance, axis1=-2, axis2=-1) - covariance.mean(axis=-1).sum(axis=-1)
    return excess_variance(squares, scales.centred_variance(noise, total) / freedom)


def _walked_slope(time: Floats) -> Floats:
    """Return the variance of a line's slope through a walk of unit variance: (S, L) to (S,)."""
    about = time - time.mean(axis=1, keepdims=True)
    contrast = about / (about**2).sum(axis=1, keepdims=True)
    since = time - time[:, :1]
    shared = np.minimum(since[:, :, None], since[:, None, :])
    return scales.contrast_variance(shared, contrast)


def _between(variance: Floats, noise: Floats, df: int) -> Floats:
    """Moderate variances of slopes over runs, each in units of noise and what layers share."""
    common = noise + excess_variance(variance, noise)
    return np.maximum(common * moderate(variance / common, df).variance, noise)


def excess_variance(squares: ArrayLike, noise: ArrayLike) -> float:
    """Return the variance v >= 0 beyond known noise: mean of squares / (noise + v) = 1.

    The estimator of Paule & Mandel 1982: squares that are noisy count little.

    Examples
    --------
    >>> round(excess_variance([9.0, 16.0, 5.0], [1.0, 1.0, 1.0]), 6)
    9.0
    """
    from scipy.optimize import brentq

    square, known = np.asarray(squares, np.float64), np.asarray(noise, np.float64)

    def above(v: float) -> float:
        return float((square / (known + v)).mean()) - 1

    if above(0.0) <= 0:
        return 0.0
    return float(brentq(above, 0.0, float(square.max()), xtol=1e-15, rtol=1e-9))


def empty_levels(
    kept: Floats,
    total: Floats,
    targets: Floats,
    gains: Gains,
    draws: int,
    rng: np.random.Generator,
) -> Floats:
    """Return how many levels on each layer is empty first, infinite where it outlasts the rest.

    Parameters
    ----------
    kept : array, shape (S, G)
        Kept weights of layers that are pruned, some perhaps 0.
    total : array, shape (G,)
        Weights of the dense layers.
    targets : array, shape (H, S)
        What these layers keep together 1, 2, ..., H levels on; what is below 1 is not reached.
    gains : iterator of arrays, shape (draws, S, G)
        For each of these levels what log scales have gained.
    draws : int
        Number of draws.
    rng : numpy.random.Generator
        For the largest weight of every layer.

    Returns
    -------
    array, shape (draws, S, G)
        0 where a layer is empty already.
    """
    now = scales.effective_scales(kept, total)
    share = _GAUSSIAN.kept(np.exp(-now))
    # Of a share r of weights beyond the threshold of now, P(max < x) = (1 - kept(x) / share)^k.
    rank = rng.random((draws, *kept.shape))
    last = _GAUSSIAN.inverse(share * -np.expm1(np.log(rank) / np.maximum(kept, 1)))
    out = np.where(kept > 0, np.full(rank.shape, np.inf), 0.0)
    for level, (target, gain) in enumerate(zip(targets, gains, strict=True), start=1):
        scale = np.exp(now + gain)
        t = threshold(kept / share, scale, np.maximum(target, 1.0))
        gone = (t[..., None] >= last * scale) & (target >= 1)[:, None]
        out = np.where(gone & np.isinf(out), level, out)
    return out
