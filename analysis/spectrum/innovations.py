"""Scatter that the steps of runs make of theta: an interval over seeds is no narrower."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..stats.level import t_quantile

# Below, noise lies in the levels and not in the steps: neighbouring ratios share an error of
# opposite sign, and their variance says little about that of their sum.
LEVEL_NOISE = -0.25
_FLOOR_STEPS = 4  # below, innovations are known by a degree of freedom a seed


@dataclass(frozen=True, eq=False)
class Scatter:
    """Variance of a run's theta that one source alone makes.

    Attributes
    ----------
    variance : array, shape (..., G)
        0 where the source is not known.
    df : float
        Its degrees of freedom.
    """

    variance: Floats
    df: float

    def half_width(self, seeds: int, confidence: float) -> Floats:
        """Return the half-width of an interval over seeds that knew of no other scatter."""
        return np.asarray(t_quantile(self.df, confidence) * np.sqrt(self.variance / seeds))


def detrended(data: ArrayLike) -> Floats:
    """Return what is left of steps (..., T, G) about a straight line in the level.

    A flow drifts even when nothing is random, so scatter is taken about the line.
    """
    steps = np.asarray(data, np.float64)
    time = np.arange(steps.shape[-2]) - (steps.shape[-2] - 1) / 2
    centred = steps - steps.mean(axis=-2, keepdims=True)
    slope = np.einsum("t,...tg->...g", time, centred) / max(time @ time, 1e-300)
    return np.asarray(centred - time[:, None] * slope[..., None, :])


def innovations(data: ArrayLike) -> Scatter:
    """Return what the scatter of steps within runs makes of theta if they are independent.

    Residuals are taken about the mean trajectory of the seeds, so that a bend which all share is
    no noise, and about each run's own line; their variance over T is that of theta if steps are
    independent. Where the noise lies in the levels (pooled lag-1 autocorrelation below -.25)
    neighbouring steps cancel: the long-run variance over T then.

    Parameters
    ----------
    data : array, shape (..., S, T, G)
        log lambda_i(n); T >= 4, and 3 of one run, or else the variance is 0.
    """
    steps = np.asarray(data, np.float64)
    *_, seeds, length, groups = steps.shape
    if length < (_FLOOR_STEPS if seeds > 1 else 3):
        return Scatter(np.zeros((*steps.shape[:-3], groups)), 1.0)
    if seeds > 1:
        steps = steps - steps.mean(axis=-3, keepdims=True)
    residual, df = detrended(steps), float(max(seeds - 1, 1) * (length - 2))
    gamma0 = (residual**2).sum(axis=(-3, -2)) / df
    gamma1 = (residual[..., 1:, :] * residual[..., :-1, :]).sum(axis=(-3, -2)) / df
    taking = np.isfinite(gamma0) & (gamma0 > 0)
    ratio = np.divide(gamma1, gamma0, out=np.zeros_like(gamma0), where=taking)
    pooled = ratio.sum(axis=-1) / np.maximum(taking.sum(axis=-1), 1)
    in_levels = pooled - _autocorrelation_of_residuals(length) < LEVEL_NOISE
    # Two-step sums keep at least what independent noise in the levels leaves, gamma0 / T.
    long_run = np.maximum(gamma0 + 2 * (1 - 1 / length) * gamma1, gamma0 / length)
    return Scatter(np.where(in_levels[..., None], long_run, gamma0) / length, df)


def _autocorrelation_of_residuals(length: int) -> float:
    """Return the lag-1 autocorrelation that detrending alone makes of white noise.

    The residual is (I - H) noise with the hat matrix H of a straight line, so the expected lag-1
    product is minus the sum of H's first off-diagonal.
    """
    time = np.arange(length) - (length - 1) / 2
    hat = 1 / length + time[1:] * time[:-1] / (time @ time)
    return float(-hat.sum() / (length - 2))
