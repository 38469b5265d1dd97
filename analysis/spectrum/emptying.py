"""At which level layers lose their last weight, if one threshold prunes all of them.

A layer of effective scale s (`scales`) keeps k weights. As the threshold t rises, from 1 now, it
keeps k q(t e^(-s-D)) / q(e^-s), q the share kept of the weights' distribution and D the logarithm
of what its scale has gained; what the whole network is to keep sets t. The last weight goes when
t e^(-s-D) passes the largest of the k, whose distribution is that of a maximum of draws beyond the
present threshold.

D is what must be guessed. In a time of -log density it grows by half the drift of the last levels,
give or take: the drift may stop, last, or begin as it did before, it is known from few seeds, each
run has one of its own, and scales wander. All of that is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from .. import scales
from ..arrays import Floats
from ..nulls.initial import DISTRIBUTIONS, DistributionName, threshold
from ..stats.moderation import moderate, seed_variance

STEPS = 6  # of a stretch that drift is measured over
LEAST_STEPS = 3  # below which scatter about a line says nothing
LASTING = 0.5  # share of the drift that lasts, and of its size that may begin anywhere
Gains = Iterator[Floats]

_HALVINGS = 50


@dataclass(frozen=True, eq=False)
class Motion:
    """How centred log scales of G layers moved, a unit of -log density.

    Attributes
    ----------
    drift, error : array, shape (G,)
        Slope, mean over runs, and its variance, infinite where it is not known.
    own : array, shape (G,)
        Variance of what is added to the slope of each run.
    walk : float
        Variance of what is added in a unit of time, independently.
    before : tuple of Motion
        The same of earlier stretches.
    """

    drift: Floats
    error: Floats
    own: Floats
    walk: float
    before: tuple[Motion, ...] = ()

    def gains(self, times: Floats, draws: int, runs: int, rng: np.random.Generator) -> Gains:
        """Draw what log scales gain until each of the times, an array (draws, runs, G) a time."""
        shape = (draws, runs, len(self.drift))
        slope = self._lasting(draws, rng)[:, None]
        slope = slope + np.sqrt(self.own) * rng.standard_normal(shape)
        walked = np.zeros(shape)
        for time, step in zip(times, np.diff(times, prepend=0.0), strict=True):
            walked += np.sqrt(self.walk * step) * rng.standard_normal(shape)
            yield slope * time + walked

    def _lasting(self, draws: int, rng: np.random.Generator) -> Floats:
        """Draw the slope ahead that all runs share: (draws, G).

        Drifts of layers, now and before, have a variance, of which the layers say as much as one
        chi^2 does. Given it, each drift lies between the one measured and none; half of it lasts,
        and about as much may begin where there was none.
        """
        number = max(int(np.isfinite(self.error).sum()), 1)
        mean = rng.chisquare(number, draws) / number
        drift, error = np.array([(m.drift, m.error) for m in (self, *self.before)]).swapaxes(0, 1)
        known = np.isfinite(error)
        real = excess_variance(drift[known] ** 2, error[known], mean)[:, None]
        weight = real / (real + self.error)
        spread = np.sqrt(real * (2 - weight)) * rng.standard_normal(weight.shape)
        return LASTING * (weight * self.drift + spread)


def still(groups: int) -> Motion:
    """Return the motion of an untrained network: none."""
    return Motion(np.zeros(groups), np.ones(groups), np.zeros(groups), 0.0)


def motion(
    kept: Floats, total: Floats, time: Floats, distribution: DistributionName = "gaussian"
) -> Motion | None:
    """Measure how scales move: over the last six steps, and over the sixes of steps before.

    Parameters
    ----------
    kept : array, shape (S, L, G)
        Kept weights of layers that are pruned.
    total : array, shape (G,)
        Weights of the dense layers.
    time : array, shape (S, L)
        -log density of the network.
    distribution : str
        That of initial weights.

    Returns
    -------
    Motion or None
        None where fewer than 3 steps, or fewer than two layers with enough weights, tell nothing.
    """
    ends = range(kept.shape[1] - 1, 0, -STEPS)
    stretches = [slice(max(end - STEPS, 0), end + 1) for end in ends]
    found = [_stretch(kept[:, one], total, time[:, one], distribution) for one in stretches]
    if found[0] is None:
        return None
    return replace(found[0], before=tuple(one for one in found[1:] if one is not None))


def _stretch(
    kept: Floats, total: Floats, time: Floats, distribution: DistributionName
) -> Motion | None:
    known = scales.usable(kept, total)
    if time.shape[1] <= LEAST_STEPS or known.sum() < 2:
        return None
    found = _measured(kept[..., known], total[known], time, distribution)
    drift, error = np.zeros(len(total)), np.full(len(total), np.inf)
    own = np.full(len(total), found.own.max())
    drift[known], error[known], own[known] = found.drift, found.error, found.own
    return Motion(drift, error, own, found.walk)


def _measured(kept: Floats, total: Floats, time: Floats, distribution: DistributionName) -> Motion:
    runs = len(kept)
    slope, sampling = scales.scale_drift(kept, total, time, distribution)
    walk = _walk_variance(kept, total, time, distribution)
    noise = (sampling + walk * _walked_slope(time)[:, None]).mean(axis=0)
    between = noise if runs == 1 else _between(seed_variance(slope), noise, runs - 1)
    return Motion(slope.mean(axis=0), between / runs, between - noise, walk)


def _walk_variance(
    kept: Floats, total: Floats, time: Floats, distribution: DistributionName
) -> float:
    """Return the variance that scales gain in a unit of time beyond their drift and sampling."""
    step = np.diff(time)
    found = scales.effective_scales(kept, total, distribution)
    gain = np.diff(scales.centred(found, total), axis=1)
    pace = gain.sum(axis=1) / step.sum(axis=1)[:, None]
    freedom = (step.shape[1] - 1) * step.mean()
    squares = ((gain - step[..., None] * pace[:, None]) ** 2).sum(axis=1) / freedom
    covariance = np.diff(np.diff(scales.scale_covariance(kept, total, distribution)), axis=-2)
    noise = np.trace(covariance, axis1=-2, axis2=-1) - covariance.mean(axis=-1).sum(axis=-1)
    return float(excess_variance(squares, scales.centred_variance(noise, total) / freedom))


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


def excess_variance(squares: ArrayLike, noise: ArrayLike, mean: ArrayLike = 1.0) -> Floats:
    """Return the variance v >= 0 beyond known noise: the mean of squares / (noise + v) is `mean`.

    The estimator of Paule & Mandel 1982: squares that are noisy count little. Means drawn as
    chi^2 / n make v a draw from what n squares say of it.

    Parameters
    ----------
    squares, noise : array, of one shape
        Squares, and what their mean would be without v, above 0.
    mean : array, positive
        One v for each.

    Examples
    --------
    >>> round(float(excess_variance([9.0, 16.0, 5.0], [1.0, 1.0, 1.0])), 6)
    9.0
    """
    square, known = np.ravel(squares), np.ravel(noise)
    wanted = np.asarray(mean, np.float64)[..., None]
    # At the highest of the squares over the mean none is above what is wanted.
    low, high = np.zeros(wanted.shape), square.max(initial=0.0) / wanted
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        more = (square / (known + middle)).mean(axis=-1, keepdims=True) > wanted
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return np.asarray(low[..., 0])


def empty_levels(
    kept: Floats,
    total: Floats,
    targets: Floats,
    gains: Gains,
    draws: int,
    rng: np.random.Generator,
    distribution: DistributionName = "gaussian",
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
    distribution : str
        That of initial weights.

    Returns
    -------
    array, shape (draws, S, G)
        0 where a layer is empty already.
    """
    law = DISTRIBUTIONS[distribution]
    now = scales.effective_scales(kept, total, distribution)
    share = law.kept(np.exp(-now))
    # Of a share r of weights beyond the threshold of now, P(max < x) = (1 - kept(x) / share)^k.
    rank = rng.random((draws, *kept.shape))
    last = law.inverse(share * -np.expm1(np.log(rank) / np.maximum(kept, 1)))
    out = np.where(kept > 0, np.full(rank.shape, np.inf), 0.0)
    for level, (target, gain) in enumerate(zip(targets, gains, strict=True), start=1):
        scale = np.exp(now + gain)
        t = threshold(kept / share, scale, np.maximum(target, 1.0), distribution)
        gone = (t[..., None] >= last * scale) & (target >= 1)[:, None]
        out = np.where(gone & np.isinf(out), level, out)
    return out
