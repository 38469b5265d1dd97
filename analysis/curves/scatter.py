"""How far errors of several sizes scatter over seeds, and curves as other seeds might give them.

Everything is relative to the mean error, which is a standard error of its logarithm: a seed whose
error is 0 keeps its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Floats
from ..stats.moderation import moderate
from .curve import ASSUMED_SD
from .family import ErrorCurve


@dataclass(frozen=True, eq=False)
class CurveNoise:
    """Scatter of the errors of K curves, points of all curves one after the other.

    Attributes
    ----------
    sigma : array, shape (P,)
        Standard error of log mean error. From seeds: variances over seeds, moderated over points,
        times df / (df - 2), the variance of the t that they make, so that a true collapse has
        quality 1 in the mean.
    seed_sd : float
        Relative standard deviation of one seed's error, root mean square over points.
    measured : bool
        Whether it comes from seeds; else it is assumed.
    """

    sigma: Floats
    seed_sd: float
    measured: bool


def curve_noise(curves: Sequence[ErrorCurve], assumed: float | None = None) -> CurveNoise:
    """Estimate the scatter of curves.

    Parameters
    ----------
    curves : sequence of ErrorCurve
        Curves with positive mean errors.
    assumed : float, optional
        Relative standard deviation of one seed, in place of what the seeds say.
    """
    seeds = np.concatenate([np.full(len(c.density), len(c.error)) for c in curves])
    variance = np.concatenate([_relative_variance(c) for c in curves])
    measured = seeds > 1
    if assumed is not None or not measured.any():
        sd = ASSUMED_SD if assumed is None else assumed
        return CurveNoise(sd / np.sqrt(seeds), sd, False)
    df = seeds - 1
    pooled = float((df * variance)[measured].sum() / df[measured].sum())
    out = np.full(len(seeds), pooled)
    for number in np.unique(seeds[measured]):
        these = seeds == number
        out[these] = _steadied(variance[these], int(number) - 1, pooled)
    return CurveNoise(np.sqrt(np.maximum(out, 1e-12) / seeds), float(np.sqrt(pooled)), True)


def _relative_variance(curve: ErrorCurve) -> Floats:
    if len(curve.error) < 2:
        return np.full(len(curve.density), np.nan)
    return np.asarray((curve.error / curve.mean).var(axis=0, ddof=1))


def _steadied(variance: Floats, df: int, pooled: float) -> Floats:
    if not (variance > 0).any():
        return np.full(len(variance), pooled)
    moderated = moderate(variance, df)
    total = float(moderated.df)
    if total <= 4:  # hardly anything in common: one variance for all is better than none known
        return np.full(len(variance), pooled)
    return moderated.variance * (1.0 if np.isinf(total) else total / (total - 2))


def noise_draws(
    curves: Sequence[ErrorCurve], noise: CurveNoise, draws: int, rng: np.random.Generator
) -> Floats:
    """Draw deviations of log mean error as other samples of as many seeds might have had them.

    Normal weights on the seeds' deviations have their covariance along the curve, whatever its
    rank; one scaled inverse chi-square a draw makes them t. Curves of one seed get independent
    normal deviations of the standard error.

    Returns
    -------
    array, shape (draws, P)
    """
    df = sum(len(c.error) - 1 for c in curves)
    wide = np.sqrt(df / rng.chisquare(df, draws))[:, None] if df else np.ones((draws, 1))
    parts, start = [], 0
    for curve in curves:
        seeds, stop = len(curve.error), start + len(curve.density)
        if seeds > 1 and noise.measured:
            relative = curve.error / curve.mean - 1
            weights = rng.normal(size=(draws, seeds)) / np.sqrt(seeds * (seeds - 1))
            parts.append(wide * (weights @ relative))
        else:
            parts.append(rng.normal(size=(draws, stop - start)) * noise.sigma[start:stop])
        start = stop
    return np.concatenate(parts, axis=1)
