"""Lack of fit that seeds share, where the levels of a curve are not independent.

Every seed is fitted by itself, so that exponents and onsets of their own are no misfit. What is
left is noise, which differs between seeds, or another form, which all of them have: F compares the
mean of the residuals over seeds with their scatter, or with the rounding of the data where that is
more. Residuals of a curve correlate, so F has fewer degrees of freedom than levels: nu = tr(E)^2 /
tr(E^2) of their covariance E (Shen & Faraway 2004), from unbiased estimates of both traces (Bai &
Saranadasa 1996).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays import Floats

LEAST_SEEDS = 3
_ROUNDING = 1e-3  # sd of log error and log density as they are written, four digits say


class Misfit(NamedTuple):
    """The F test of residuals that seeds share.

    Attributes
    ----------
    statistic, p : float
        F, and its p.
    df : (float, float)
        nu, and nu (S - 1).
    """

    statistic: float
    p: float
    df: tuple[float, float]


def functional_f(residuals: Floats, parameters: int) -> Misfit | None:
    """Test whether the mean of residuals over seeds is noise.

    Parameters
    ----------
    residuals : array, shape (S, n)
        Of fits to every seed by itself, NaN where a seed has no such level: such levels take no
        part.
    parameters : int
        Parameters of a fit.

    Returns
    -------
    Misfit or None
        None with fewer than three seeds, and where there are no more levels than parameters.
    """
    from scipy.special import fdtrc

    common = residuals[:, np.isfinite(residuals).all(axis=0)]
    seeds, levels = common.shape
    if seeds < LEAST_SEEDS or levels <= parameters:
        return None
    mean, d = common.mean(axis=0), seeds - 1
    centred = common - mean
    gram = centred @ centred.T / d  # the traces of its powers are those of the covariance
    first, second = float(np.trace(gram)), float((gram**2).sum())
    scale = (d - 1) * (d + 2)
    of_square = d**2 / scale * (second - first**2 / d)
    squared = d * (d + 1) / scale * (first**2 - 2 * second / (d + 1))
    nu = float(np.clip(squared / max(of_square, 1e-300), 1, levels - parameters))
    statistic = seeds * float(mean @ mean) / max(first, levels * _ROUNDING**2)
    return Misfit(statistic, float(fdtrc(nu, nu * d, statistic)), (nu, nu * d))
