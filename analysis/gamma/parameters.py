"""Parameters of the power law with their uncertainty: over seeds, or of one curve.

Seeds are independent, levels are not. Two seeds or more are fitted each by itself, and the
parameters, logarithms all, are their means with the covariance over seeds: t with S - 1 degrees of
freedom. One curve tells its own parameters only, with the covariance of correlated levels
(`correlated`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..arrays import Floats
from ..stats.level import ALPHA, t_quantile
from ..values import Estimate
from .correlated import sandwich
from .fit import Fit
from .power_law import (
    D_HI_BOUNDS,
    G_BOUNDS,
    LOG_D_HI,
    LOG_G,
    Bound,
    bounds_met,
    curve_and_jacobian,
    local_slope,
    log_error,
)
from .profile import profile

Scope = Literal["population", "this curve"]
_BOUNDS = {LOG_G: G_BOUNDS, LOG_D_HI: D_HI_BOUNDS}


@dataclass(frozen=True, eq=False)
class Parameters:
    """Parameters of the power law, and what is known of them.

    Attributes
    ----------
    theta : array, shape (4,)
        Parameters of `power_law`.
    covariance : array, shape (4, 4)
        Their covariance; 0 for a plateau that is fixed.
    df : float
        Degrees of freedom of it.
    seeds : array, shape (S, 4)
        Parameters of every seed, NaN where its levels do not allow a fit; S is 0 where theta is
        that of one curve.
    rho : float
        Correlation of levels behind it; NaN with seeds, which need none.
    """

    theta: Floats
    covariance: Floats
    df: float
    seeds: Floats
    rho: float

    @property
    def scope(self) -> Scope:
        """Whether intervals cover the population of seeds, or this curve alone."""
        return "population" if len(self.seeds) else "this curve"

    @property
    def fitted(self) -> int:
        """Number of seeds that were fitted each by itself."""
        return int(np.isfinite(self.seeds).all(axis=1).sum())

    @property
    def at_bounds(self) -> dict[int, tuple[Bound, ...]]:
        """Seeds whose own fit ended at a bound, and at which."""
        met = {seed: bounds_met(theta) for seed, theta in enumerate(self.seeds)}
        return {seed: bounds for seed, bounds in met.items() if bounds}

    def error(self, index: int) -> float:
        """Return the standard error of theta[index]."""
        return float(np.sqrt(self.covariance[index, index]))

    def interval(self, index: int) -> Estimate[float]:
        """Return g or d_hi and the 95 % interval of t in its logarithm.

        Parameters
        ----------
        index : int
            `LOG_G` or `LOG_D_HI`. What leaves the range that is searched has no end: 0, infinity.
        """
        half = t_quantile(self.df, 1 - ALPHA) * self.error(index)
        middle = float(self.theta[index])
        low, high = np.exp([middle - half, middle + half]).tolist()
        least, most = _BOUNDS[index]
        return Estimate(
            float(np.exp(middle)), low if low > least else 0.0, high if high < most else np.inf
        )

    def curve(self, log_density: Floats) -> Floats:
        """Return the fitted log error, the mean of the seeds' curves: shape (n,).

        Not that of the mean parameters, from which it departs where onsets scatter.
        """
        return np.asarray(log_error(log_density, self._each).mean(axis=0))

    def slope(self, log_density: Floats) -> Floats:
        """Return -d log eps / d log d of the fitted curve, shape (n,)."""
        return np.asarray(local_slope(log_density, self._each).mean(axis=0))

    def band(self, log_density: Floats) -> tuple[Floats, Floats]:
        """Return the 95 % band of fitted log error: over seeds, or by the delta method: (n,)."""
        middle = self.curve(log_density)
        if self.fitted:
            curves = log_error(log_density, self._each)
            error = curves.std(axis=0, ddof=1) / np.sqrt(self.fitted)
        else:
            slopes = curve_and_jacobian(log_density, self.theta)[1]
            variance = np.einsum("ni,ij,nj->n", slopes, self.covariance, slopes)
            error = np.sqrt(np.maximum(variance, 0))
        half = t_quantile(self.df, 1 - ALPHA) * error
        return middle - half, middle + half

    @property
    def _each(self) -> Floats:
        fitted = self.seeds[np.isfinite(self.seeds).all(axis=1)]
        return fitted if len(fitted) else self.theta[None]


def of_seeds(theta: Floats) -> Parameters:
    """Return the mean parameters of seeds, shape (S, 4), of which two at least are not NaN."""
    fitted = theta[np.isfinite(theta).all(axis=1)]
    covariance = np.cov(fitted, rowvar=False) / len(fitted)
    return Parameters(fitted.mean(axis=0), covariance, float(len(fitted) - 1), theta, np.nan)


def of_curve(best: Fit) -> Parameters:
    """Return the parameters of one curve, levels correlated."""
    at, free = best.problem, np.flatnonzero(best.problem.free)
    root = np.sqrt(at.weight)
    jacobian = curve_and_jacobian(at.log_density, best.theta)[1][:, free]
    found = sandwich(root[:, None] * jacobian, root * best.residuals)
    covariance = np.zeros((4, 4))
    covariance[np.ix_(free, free)] = found.covariance
    return Parameters(best.theta, covariance, found.df, np.empty((0, 4)), found.rho)


def curve_interval(best: Fit, parameters: Parameters, index: int) -> Estimate[float]:
    """Return the 95 % interval of g or d_hi of one curve, levels correlated.

    The profile with a threshold for correlated levels: F of 1 and `df` degrees of freedom, times
    the variance of `parameters` over that of independent levels. Where the curve is straight in the
    parameters this is the t interval; else it may be skew, or have no end.
    """
    from scipy.special import fdtri

    independent = float(best.covariance()[index, index])
    ratio = parameters.covariance[index, index] / independent if independent > 0 else 1.0
    rise = float(fdtri(1, parameters.df, 1 - ALPHA)) * ratio / best.problem.df
    found = profile(best, index, 1 + rise)
    return Estimate(found.estimate, found.low, found.high)
