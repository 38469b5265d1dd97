"""The law of Rosenfeld et al. 2021 for error in density, width and depth, fitted to all curves.

    eps(d, l, w) = eps_np |(m - i p (eps_up/eps_np)^(1/gamma)) / (m - i p)|^gamma,
    m = l^phi w^psi d

(arXiv 2006.10621). Taking logarithms, log eps = a + (gamma/2) log[(m^2 + h^2) / (m^2 + p^2)] with
h = p exp((log eps_up - a) / gamma): flat at eps_np, a power law of m below h, flat at eps_up below
p. With gamma > 0 and one p, curves of different eps_np meet in the power law, as the invariant
demands; of a single curve the sign of gamma could not be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.errors import RgtoolError
from ..arrays import Floats, Integers

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

REJECT = 3.0  # a law is rejected where residuals exceed so many relative standard deviations
_GAMMA = (0.01, 8.0)


@dataclass(frozen=True, eq=False)
class JointLaw:
    """The law, fitted.

    Attributes
    ----------
    exponents : array, shape (E,)
        psi, phi or both.
    gamma, p : float
        Exponent of the power law, and where it ends at the sparse side, in units of m.
    error_np : array, shape (K,)
        eps_np of every curve, fitted.
    error_up : float
        Error at the upper plateau: that of chance, or fitted where it is not known.
    error : array, shape (E + 2,)
        Standard errors of the exponents, gamma and log p: the larger of that from the seeds, which
        knows that errors go together along a curve, and that from the residuals.
    rms : float
        Root mean square of the residuals of log error.
    seed_sd : float
        Relative standard deviation of one seed, which `rms` is held against.
    linear : array, shape (E + 2, P)
        Change of the parameters for a change of log error at every point, to first order.
    """

    exponents: Floats
    gamma: float
    p: float
    error_np: Floats
    error_up: float
    error: Floats
    rms: float
    seed_sd: float
    linear: Floats

    @property
    def rejected(self) -> bool:
        """Whether residuals are over three times the scatter of a seed."""
        return self.rms > REJECT * self.seed_sd

    @property
    def gamma_at_bound(self) -> bool:
        """Whether gamma has run to an end of the range it is sought in, .01 to 8."""
        return not 1.01 * _GAMMA[0] < self.gamma < 0.99 * _GAMMA[1]

    @property
    def gamma_interval(self) -> tuple[float, float]:
        """The 95 % interval of gamma, symmetric in its logarithm; NaN at a bound."""
        if self.gamma_at_bound:
            return np.nan, np.nan
        wide = float(np.exp(1.96 * self.error[-2] / self.gamma))
        return self.gamma / wide, self.gamma * wide


def joint_log_error(
    log_m: ArrayLike, log_np: ArrayLike, log_up: float, gamma: float, log_p: float
) -> Floats:
    """Return log eps of the law at log m; arguments broadcast."""
    m, a = np.asarray(log_m, np.float64), np.asarray(log_np, np.float64)
    log_h = log_p + (log_up - a) / gamma
    return np.asarray(
        a + gamma / 2 * (np.logaddexp(2 * m, 2 * log_h) - np.logaddexp(2 * m, 2 * log_p))
    )


def fit_joint_law(
    log_density: Floats,
    log_eps: Floats,
    sigma: Floats,
    member: Integers,
    log_size: Floats,
    *,
    seed_sd: float,
    chance: float | None = None,
    starts: ArrayLike = (0.0,),
    deviations: Floats | None = None,
) -> JointLaw:
    """Fit the law to all points of all curves by weighted least squares in log error.

    Parameters
    ----------
    log_density, log_eps, sigma : array, shape (P,)
        Points and their standard errors.
    member : integer array, shape (P,)
        Curve of every point.
    log_size : array, shape (K, E)
        Logarithms of the sizes.
    seed_sd : float
        Relative standard deviation of one seed.
    chance : float, optional
        eps_up; fitted where it is not given.
    starts : array, shape (N, E)
        Exponents to start from.
    deviations : array, shape (B, P), optional
        Draws of `noise_draws`, for standard errors that know the seeds.

    Raises
    ------
    RgtoolError
        There are fewer points than parameters, or no start leads to a fit.
    """
    problem = _Law(log_density, log_eps, sigma, member, log_size, chance)
    if len(log_eps) <= problem.number:
        raise RgtoolError(
            f"{len(log_eps)} points for the {problem.number} parameters of the joint law"
        )
    solution = problem.solve(np.atleast_2d(np.asarray(starts, np.float64)))
    exponents = log_size.shape[1]
    head = exponents + 2
    jacobian = solution.jac  # of residuals (model - data) / sigma
    inverse = np.linalg.pinv(jacobian)
    linear = inverse[:head] / sigma
    residual = solution.fun * sigma
    freedom = len(log_eps) - problem.number
    scale = max(1.0, float(2 * solution.cost / freedom))
    errors = np.sqrt(scale * (inverse[:head] ** 2).sum(axis=1))
    if deviations is not None:
        errors = np.maximum(errors, (deviations @ linear.T).std(axis=0))
    x = solution.x
    return JointLaw(
        exponents=x[:exponents],
        gamma=float(np.exp(x[exponents])),
        p=float(np.exp(x[exponents + 1])),
        error_np=np.exp(x[head : head + len(log_size)]),
        error_up=float(np.exp(problem.log_up(x))),
        error=errors * np.where(np.arange(head) == exponents, np.exp(x[exponents]), 1.0),
        rms=float(np.sqrt(np.mean(residual**2))),
        seed_sd=seed_sd,
        linear=linear,
    )


class _Law:
    """Parameters: exponents, log gamma, log p, log eps_np of every curve, log eps_up if free."""

    def __init__(
        self,
        log_density: Floats,
        log_eps: Floats,
        sigma: Floats,
        member: Integers,
        log_size: Floats,
        chance: float | None,
    ) -> None:
        self.x, self.y, self.sigma = log_density, log_eps, sigma
        self.member, self.log_size, self.chance = member, log_size, chance
        self.curves, self.exponents = log_size.shape
        self.number = self.exponents + 2 + self.curves + (chance is None)

    def log_up(self, parameters: Floats) -> float:
        return float(parameters[-1] if self.chance is None else np.log(self.chance))

    def residuals(self, parameters: Floats) -> Floats:
        e = self.exponents
        moved = self.log_size @ parameters[:e]
        base = parameters[e + 2 : e + 2 + self.curves]
        fitted = joint_log_error(
            self.x + moved[self.member],
            base[self.member],
            self.log_up(parameters),
            float(np.exp(parameters[e])),
            float(parameters[e + 1]),
        )
        return np.asarray((fitted - self.y) / self.sigma)

    def solve(self, starts: Floats) -> OptimizeResult:
        """Run from several places and keep the best."""
        from scipy.optimize import least_squares

        low, high = self._bounds()
        base = [float(self.y[self.member == k].min()) for k in range(self.curves)]
        places = []
        for exponents, gamma, place in product(starts, (0.3, 1.0, 3.0), (0.1, 0.5)):
            x = self.x + (self.log_size @ exponents)[self.member]
            log_p = float(np.quantile(x, place)) - (1.0 if place < 0.3 else 0.0)
            start = [*exponents, np.log(gamma), log_p, *base]
            start += [max(float(self.y.max()), -0.5)] if self.chance is None else []
            places.append(np.clip(start, low + 1e-6, high - 1e-6))

        def run(start: Floats, most: int) -> OptimizeResult:
            return least_squares(self.residuals, start, bounds=(low, high), max_nfev=most)

        # A few steps from everywhere, and the rest of the way from the best.
        rough = sorted((run(start, 10) for start in places), key=lambda found: found.cost)
        best = min((run(found.x, 400) for found in rough[:2]), key=lambda found: found.cost)
        if not np.isfinite(best.cost):
            raise RgtoolError("the joint law does not converge from any start")
        return best

    def _bounds(self) -> tuple[Floats, Floats]:
        e, k = self.exponents, self.curves
        top = max(float(self.y.max()), self.log_up(np.array([0.0])))
        low = [-10.0] * e + [np.log(_GAMMA[0]), -60.0] + [float(self.y.min()) - 5] * k
        high = [10.0] * e + [np.log(_GAMMA[1]), 60.0] + [top] * k
        if self.chance is None:
            low, high = [*low, float(self.y.max()) - 0.3], [*high, 0.05]
        return np.array(low), np.array(high)
