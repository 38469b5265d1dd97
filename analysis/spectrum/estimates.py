"""Estimates of many spectra at once, as arrays: E experiments, S runs, T steps, G groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import flow
from ..arrays import Bools, Floats
from .intervals import Interval, Method, estimate_all


@dataclass(frozen=True, eq=False)
class Estimates:
    """What counts alone say of E experiments with equally many runs and steps.

    Attributes
    ----------
    pruned : array, shape (E, S, T, G)
        Log eigenvalues of the steps; NaN for groups that are not pruned.
    theta : array, shape (E, S, G)
        Their mean over the window.
    intervals : list of Interval, length E
        Of theta; groups that are not pruned are NaN.
    y : array, shape (E, S, G)
        Exponents over the window, those of counts.
    exponent, exponent_low, exponent_high : array, shape (E, G)
        Mean exponent over runs, and its interval, made as that of theta was.
    """

    pruned: Floats
    theta: Floats
    intervals: list[Interval]
    y: Floats
    exponent: Floats
    exponent_low: Floats
    exponent_high: Floats

    @property
    def eigenvalue(self) -> Floats:
        """Geometric mean over window and runs, shape (E, G)."""
        return np.asarray(np.exp(self.theta.mean(axis=1)))


def estimates(
    kept: Floats,
    exempt: Bools,
    weights: Floats | None = None,
    method: Method = "moderated",
    sampling: Floats | None = None,
) -> Estimates:
    """Estimate eigenvalues and exponents over a window.

    Parameters
    ----------
    kept : array, shape (E, S, T + 1, G)
        Kept weights.
    exempt : bool array, shape (G,)
        Groups that are never pruned.
    weights : array, shape (E, S, T + 1, G), optional
        What shares are made of instead, such as sums of |w|.
    method : str
        How intervals are made, see `intervals.estimate`.
    sampling : array, shape (E, S, G), optional
        Variance of log M(end)/M(start) that the sampling of counts makes.
    """
    steps = kept.shape[-2] - 1
    logs = flow.log_eigenvalues(kept if weights is None else weights)
    pruned = np.where(exempt, np.nan, logs)
    theta = logs.mean(axis=2)
    of_theta = None if sampling is None else sampling / steps**2
    intervals = estimate_all(pruned, method, sampling=of_theta)
    # y = theta ln(lambda) / -ln(rho): every run by its own retention, that of counts.
    network = kept.sum(axis=-1)
    scale = steps / np.log(network[..., 0] / network[..., -1])
    y = flow.window_exponents(kept, 0, steps)
    own = y if weights is None else theta * scale[..., None]
    low, high = _exponent_ends(pruned, intervals, scale, of_theta)
    return Estimates(pruned, theta, intervals, y, own.mean(axis=1), low, high)


def _exponent_ends(
    pruned: Floats, intervals: list[Interval], scale: Floats, sampling: Floats | None
) -> tuple[Floats, Floats]:
    method, unit = intervals[0].method, scale[..., None, None]
    if method == "paper":  # a spread of eigenvalues: its ends, in units of exponents
        ends, unit = intervals, scale.mean(axis=1, keepdims=True)
    else:
        own = None if sampling is None else sampling * scale[..., None] ** 2
        ends, unit = estimate_all(pruned * unit, method, sampling=own), np.ones((1, 1))
    return np.array([one.low for one in ends]) * unit, np.array([one.high for one in ends]) * unit
