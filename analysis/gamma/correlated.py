"""Least squares where the levels of one curve are not independent: the AR(1) sandwich.

Errors of neighbouring levels go together, since a level is trained from the mask of the one before.
The estimate stays that of least squares; its covariance is that of residuals with correlation
rho^|i - j| between levels i and j (Huber 1967; White 1980 of the form). Residuals of a fit
correlate less than the noise does, so rho is what would give the correlation found, and a standard
error of it, 1 / sqrt(n), is added: too small a rho makes intervals that do not cover.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arrays import Floats

_RHO = np.linspace(0, 0.95, 39)


class Sandwich(NamedTuple):
    """What a least-squares fit to correlated levels tells of its parameters.

    Attributes
    ----------
    covariance : array, shape (k, k)
        Of the parameters.
    df : float
        Degrees of freedom of the variance behind it (Satterthwaite).
    rho : float
        Correlation from level to level.
    """

    covariance: Floats
    df: float
    rho: float


def sandwich(jacobian: Floats, residuals: Floats) -> Sandwich:
    """Return the covariance of parameters fitted by least squares to AR(1) levels.

    Parameters
    ----------
    jacobian : array, shape (n, k)
        Derivatives of the fit by its parameters, k < n.
    residuals : array, shape (n,)
        Data minus fit. Both are weighted by the square roots of weights, where there are any.
    """
    n = len(residuals)
    inverse = np.linalg.pinv(jacobian)
    rest = np.eye(n) - jacobian @ inverse
    rho = _correlation(rest, residuals)
    omega = ar1(rho, n)
    through = rest @ omega
    trace = float(np.trace(through))
    variance = float(residuals @ residuals) / trace
    return Sandwich(
        covariance=variance * (inverse @ omega @ inverse.T),
        df=trace**2 / float((through * through.T).sum()),
        rho=rho,
    )


def ar1(rho: float, n: int) -> Floats:
    """Return the correlation matrix rho^|i - j|, shape (n, n).

    Examples
    --------
    >>> ar1(0.5, 3)[0].tolist()
    [1.0, 0.5, 0.25]
    """
    place = np.arange(n)
    return np.asarray(rho ** np.abs(place[:, None] - place))


def _correlation(rest: Floats, residuals: Floats) -> float:
    """Return rho whose residuals would correlate as those found, and a standard error more."""
    n = len(residuals)
    expected = [_lag_one(rest @ ar1(float(rho), n) @ rest) for rho in _RHO]
    total = float(residuals @ residuals)
    found = float(residuals[1:] @ residuals[:-1]) / total if total > 0 else 0.0
    rho = float(np.interp(found, np.maximum.accumulate(expected), _RHO))
    return min(rho + float(1 / np.sqrt(n)), float(_RHO[-1]))


def _lag_one(covariance: Floats) -> float:
    return float(np.trace(covariance, offset=1) / np.trace(covariance))
