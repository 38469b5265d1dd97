"""Noise of the steps within runs: AR(1) innovations on top of the sampling of counts.

Groups may move together, and steps scatter more at one end of the flow than at the other: a test
whose draws know neither takes both for a change of growth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import AT_ONCE, Floats
from ..stats.contrast import centred
from ..stats.moderation import correlation_about_zero, helmert, square_root

_LAG1 = np.linspace(-0.5, 0.95, 59)  # lag-1 correlations that steps may have
# A correlation that is too small makes tests too sharp, one that is too large costs power: it is
# taken two standard errors above its estimate.
_ABOVE = 2.0


@dataclass(frozen=True, eq=False)
class StepNoise:
    """What growth (S, T, G) scatters by about each run's line and the mean trajectory of the seeds.

    Attributes
    ----------
    time : array, shape (T,)
        Middles of the steps, mean 0.
    step : array, shape (G,)
        Variance of the steps beyond that of sampling, mean over the window.
    swell : array, shape (T,)
        Standard deviation of a step in units of its mean square over the window: an exponential
        of time.
    correlation : array, shape (G, G)
        Of the groups within a step, shrunk.
    rho : float
        Lag-1 correlation of the steps, corrected for what the line takes, from above.
    sampling : array, shape (S, T, G)
        Variance that the sampling of counts makes.
    """

    time: Floats
    step: Floats
    swell: Floats
    correlation: Floats
    rho: float
    sampling: Floats

    @classmethod
    def of(cls, rate: Floats, time: Floats, sampling: Floats) -> StepNoise:
        """Measure the noise of growth (S, T, G) at times (T,), T >= 4."""
        left = _residuals(rate, time)
        variance = _variance(left)
        z = left / np.sqrt(np.maximum(variance, 1e-300))
        ratio = (z[:, 1:] * z[:, :-1]).sum() / max((z**2).sum(), 1e-300)
        seeds, steps, groups = rate.shape
        swell = _swell(z, time)
        rows = helmert(z.swapaxes(0, 1)) if seeds > 1 else z.swapaxes(0, 1)  # (T, S - 1 or 1, G)
        even = (rows / swell[:, None, None]).reshape(-1, groups)
        correlation = correlation_about_zero(_to_unit(even))
        independent = min(groups - 1, groups**2 / (correlation**2).sum())
        number = max(seeds - 1, 1) * max(independent, 1) * steps
        left_over, products = _left_by_lines(time)
        rho = float(np.interp(ratio, products / left_over, _LAG1)) + _ABOVE / np.sqrt(number)
        rho = min(rho, float(_LAG1[-1]))
        kept = np.interp(rho, _LAG1, left_over) / (steps - 2)  # of the variance, by a line
        step = np.maximum(variance - sampling.mean(axis=(0, 1)), 0) / kept
        return cls(time, step, swell, correlation, rho, sampling)

    def drawn(self, rng: np.random.Generator, draws: int) -> Iterator[Floats]:
        """Draw noise about a growth of 0, in parts of shape (R, S, T, G) that make up `draws`."""
        lagged = self.swell[:, None] * np.linalg.cholesky(self.rho ** _lags(len(self.time)))
        groups = square_root(self.correlation) * np.sqrt(self.step)
        chunk = max(1, AT_ONCE // self.sampling.size)
        for first in range(0, draws, chunk):
            size = (min(chunk, draws - first), *self.sampling.shape)
            steps = lagged @ (rng.standard_normal(size) @ groups)
            yield centred(steps + np.sqrt(self.sampling) * rng.standard_normal(size))

    def whitened(self, rate: Floats) -> Floats:
        """Return means over seeds about their lines, in standard errors: (R, S, T, G) to (R, T, G).

        The variance of a step is that of all steps of the same growth, moved by how much more or
        less its counts are sampled than those of the others.
        """
        seeds = rate.shape[1]
        average = self.sampling.mean(axis=(0, 1))
        steps = np.maximum(_variance(_residuals(rate, self.time)) - average, 0)
        variance = (steps[:, None] + self.sampling.mean(axis=0)) / seeds
        about = _about_line(rate.mean(axis=1), self.time)
        return np.asarray(about / np.sqrt(np.maximum(variance, 1e-300)))


def _residuals(rate: Floats, time: Floats) -> Floats:
    """Return what is left of (..., S, T, G) about the seeds' mean and each run's own line."""
    return _about_line(
        rate - rate.mean(axis=-3, keepdims=True) if rate.shape[-3] > 1 else rate, time
    )


def _about_line(values: Floats, time: Floats) -> Floats:
    """Return what is left of (..., T, G) about straight lines in time."""
    left = values - values.mean(axis=-2, keepdims=True)
    slope = np.einsum("t,...tg->...g", time, left) / (time @ time)
    return np.asarray(left - time[:, None] * slope[..., None, :])


def _variance(left: Floats) -> Floats:
    """Return the variance of residuals (..., S, T, G): shape (..., G)."""
    seeds, steps = left.shape[-3:-1]
    return np.asarray((left**2).sum(axis=(-3, -2)) / (max(seeds - 1, 1) * (steps - 2)))


def _swell(z: Floats, time: Floats) -> Floats:
    """Return by how much steps with standardised residuals (S, T, G) scatter, mean square 1: (T,).

    The line goes through the logarithms of the squares of each step. A scatter of its own for every
    step would take a change of growth for a wide step.
    """
    square = (z**2).mean(axis=(0, 2))
    logs = np.log(np.maximum(square, 1e-12))
    swell = np.exp(time * (time @ logs) / (time @ time) / 2)
    return np.asarray(swell / np.sqrt((swell**2).mean()))


def _to_unit(rows: Floats) -> Floats:
    """Scale rows (R, G) to a mean square of 1 in every group that scatters."""
    size = np.sqrt((rows**2).mean(axis=0))
    return np.asarray(np.divide(rows, size, out=np.zeros_like(rows), where=size > 0))


def _left_by_lines(time: Floats) -> tuple[Floats, Floats]:
    """Return what lines leave of AR(1) noise, at the correlations `_LAG1`.

    The residual is M noise with M = I - H, so squares sum to tr(M R) and neighbouring products to
    tr(M L M R), R the correlation of the noise and L the shift by one step.
    """
    length = len(time)
    line = np.column_stack([np.ones(length), time])
    left = np.eye(length) - line @ np.linalg.pinv(line)
    shifted = left @ np.eye(length, k=1) @ left
    noise = (_LAG1[:, None, None] ** _lags(length)).reshape(len(_LAG1), -1)
    return noise @ left.ravel(), noise @ shifted.T.ravel()


def _lags(length: int) -> Floats:
    """Return how many steps two of them are apart: shape (T, T)."""
    return np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
