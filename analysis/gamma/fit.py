"""Least squares of the power law: many starts at once, the best one finished by SciPy.

The starts of one fit, the points of a profile and the curves of several seeds are small problems of
one form, so a Levenberg-Marquardt descent carries all of them as a batch: some hundred problems
cost little more than one. Parameters are theta of `critical`, in box bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Bools, Floats, Integers
from .power_law import (
    D_HI_BOUNDS,
    G_BOUNDS,
    LOG_PLATEAU,
    A,
    bounds_met,
    curve_and_jacobian,
    log_error,
)

_START_G = (0.06, 0.15, 0.4, 1.0, 2.5)
_START_D_HI = (0.015, 0.04, 0.1, 0.25, 0.6, 1.5)
_ITERATIONS, _STUCK = 200, 1e8
_EXACT, _CLOSE = 1e-12, 1e-8  # relative gain of a step below which a descent has ended


@dataclass(frozen=True, eq=False)
class FitProblem:
    """Points to be fitted, log eps against log d.

    Attributes
    ----------
    log_density, log_error : array, shape (n,)
        The points; errors are means over seeds.
    weight : array, shape (n,)
        Weights of the squared residuals.
    log_plateau : float or None
        Log of the plateau at the sparsest end where it is fixed (chance error); None: free.
    """

    log_density: Floats
    log_error: Floats
    weight: Floats
    log_plateau: float | None

    @property
    def free(self) -> Bools:
        """Which of the four parameters are free, shape (4,)."""
        return np.array([True, True, True, self.log_plateau is None])

    @property
    def parameters(self) -> int:
        """Number of free parameters."""
        return int(self.free.sum())

    @property
    def df(self) -> int:
        """Points minus parameters."""
        return len(self.log_error) - self.parameters

    def bounds(self) -> tuple[Floats, Floats]:
        """Return the box of theta; the fixed plateau is not bounded."""
        least, most = float(self.log_error.min()), float(self.log_error.max())
        fixed = self.log_plateau
        lower = [least - 5, *np.log([G_BOUNDS[0], D_HI_BOUNDS[0]]), most - 0.5]
        upper = [most, *np.log([G_BOUNDS[1], D_HI_BOUNDS[1]]), max(0.0, most)]
        if fixed is not None:
            lower[LOG_PLATEAU] = upper[LOG_PLATEAU] = fixed
        return np.array(lower), np.array(upper)

    def starts(self) -> Floats:
        """Return the starts: 30 with a fixed plateau, 60 with a free one; shape (N, 4)."""
        # The plateau of the dense network is about the least error; the other one lies anywhere
        # between the largest error and all wrong.
        most = float(self.log_error.max())
        plateaus = [most + 0.1, 0.5 * most] if self.log_plateau is None else [self.log_plateau]
        grid = np.meshgrid(
            [float(np.sort(self.log_error)[:3].mean())],
            np.log(_START_G),
            np.log(_START_D_HI),
            plateaus,
            indexing="ij",
        )
        return np.stack(grid, axis=-1).reshape(-1, 4)


@dataclass(frozen=True, eq=False)
class Fit:
    """A least-squares fit of a `FitProblem`.

    Attributes
    ----------
    problem : FitProblem
        What was fitted.
    theta : array, shape (4,)
        The best parameters.
    ssr : float
        Weighted sum of squared residuals.
    starts : int
        Number of starts.
    agreeing : int
        Starts that ended within a relative 1e-6 of the least sum.
    """

    problem: FitProblem
    theta: Floats
    ssr: float
    starts: int
    agreeing: int

    @property
    def residuals(self) -> Floats:
        """Log error minus the curve, shape (n,)."""
        at = self.problem
        return np.asarray(at.log_error - log_error(at.log_density, self.theta))

    @property
    def rms(self) -> float:
        """Root mean square of the weighted residuals."""
        return float(np.sqrt(self.ssr / self.problem.weight.sum()))

    @property
    def at_bounds(self) -> tuple[str, ...]:
        """Parameters that ended at a bound, in words."""
        return tuple(map(str, bounds_met(self.theta)))

    def covariance(self) -> Floats:
        """Return (J' W J)^-1 ssr/df of the free parameters, held ones 0: shape (4, 4)."""
        at = self.problem
        columns = np.flatnonzero(at.free)
        jacobian = curve_and_jacobian(at.log_density, self.theta)[1][:, columns]
        hessian = (jacobian * at.weight[:, None]).T @ jacobian
        full = np.zeros((4, 4))
        full[np.ix_(columns, columns)] = np.linalg.pinv(hessian) * self.ssr / at.df
        return full


def fit(problem: FitProblem) -> Fit:
    """Fit a curve from all its starts.

    Every start is carried to its end by `descend`; the best one is finished by
    `scipy.optimize.least_squares`.

    Raises
    ------
    ValueError
        There are no more points than parameters.
    """
    if problem.df < 1:
        raise ValueError(
            f"{len(problem.log_error)} points for {problem.parameters} parameters: at least "
            f"{problem.parameters + 1} are needed"
        )
    starts = problem.starts()
    lower, upper = problem.bounds()
    theta, ssr = descend(
        problem.log_density, problem.log_error, problem.weight, starts, problem.free, lower, upper
    )
    best = int(ssr.argmin())
    finished, least = _polish(problem, theta[best], float(ssr[best]))
    agreeing = int((ssr <= least * (1 + 1e-6) + 1e-15).sum())
    return Fit(problem, finished, least, len(starts), agreeing)


def _polish(problem: FitProblem, theta: Floats, ssr: float) -> tuple[Floats, float]:
    """Let SciPy's bounded trust region go on from where the batch ended."""
    from scipy.optimize import least_squares

    columns = np.flatnonzero(problem.free)
    lower, upper = problem.bounds()
    root = np.sqrt(problem.weight)

    def full(values: Floats) -> Floats:
        whole = theta.copy()
        whole[columns] = values
        return whole

    def residuals(values: Floats) -> Floats:
        model = log_error(problem.log_density, full(values))
        return np.asarray(root * (model - problem.log_error))

    def jacobian(values: Floats) -> Floats:
        slopes = curve_and_jacobian(problem.log_density, full(values))[1]
        return np.asarray(root[:, None] * slopes[:, columns])

    found = least_squares(
        residuals,
        theta[columns],
        jacobian,
        bounds=(lower[columns], upper[columns]),
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
    )
    if 2 * found.cost < ssr:
        return full(np.asarray(found.x)), float(2 * found.cost)
    return theta, ssr


def descend(
    log_density: Floats,
    log_errors: Floats,
    weight: Floats,
    starts: Floats,
    free: Bools,
    lower: Floats,
    upper: Floats,
    settled: float = _EXACT,
) -> tuple[Floats, Floats]:
    """Carry B starts to the minima they lead to (Levenberg 1944, Marquardt 1963).

    Parameters
    ----------
    log_density : array, shape (n,)
        Points.
    log_errors : array, shape (n,) or (B, n)
        One curve for all starts, or one for each.
    weight : array, shape (n,) or (B, n)
        Weights of the squared residuals.
    starts : array, shape (B, 4)
        Where to start.
    free : bool array, shape (4,)
        Parameters to be moved.
    lower, upper : array, shape (4,)
        Bounds; a parameter at a bound that wants to leave the box stays there.
    settled : float
        A descent ends when a step gains less than this share of the sum.

    Returns
    -------
    (array, array), shapes (B, 4) and (B,)
        Parameters and weighted sums of squared residuals.
    """
    columns = np.flatnonzero(free)
    theta = starts.astype(np.float64)
    low, high = lower[columns], upper[columns]
    theta[:, columns] = np.clip(theta[:, columns], low, high)
    data = np.broadcast_to(log_errors, (len(theta), len(log_density)))
    weights = np.broadcast_to(weight, data.shape)
    ssr = _ssr(log_density, data, weights, theta)
    damping = np.full(len(theta), 1e-2)
    going = np.arange(len(theta))
    for _ in range(_ITERATIONS):
        here = theta[going]
        step = _newton_step(
            log_density, data[going], weights[going], here, damping[going], columns, low, high
        )
        there = here.copy()
        there[:, columns] = np.clip(here[:, columns] + step, low, high)
        reached = _ssr(log_density, data[going], weights[going], there)
        better = reached < ssr[going]
        gain = np.where(better, ssr[going] - reached, np.inf)
        ended = gain <= settled * reached + 1e-18
        theta[going[better]], ssr[going[better]] = there[better], reached[better]
        damping[going] *= np.where(better, 0.2, 6.0)
        going = going[~ended & (damping[going] < _STUCK)]
        if not len(going):
            break
    return theta, ssr


def _ssr(log_density: Floats, data: Floats, weight: Floats, theta: Floats) -> Floats:
    residual = data - log_error(log_density, theta)
    return np.asarray((residual * residual * weight).sum(axis=-1))


def _newton_step(
    log_density: Floats,
    data: Floats,
    weight: Floats,
    theta: Floats,
    damping: Floats,
    columns: Integers,
    low: Floats,
    high: Floats,
) -> Floats:
    """Return the damped Gauss-Newton step of the free parameters, shape (B, k)."""
    model, slopes = curve_and_jacobian(log_density, theta)
    jacobian = slopes[:, :, columns]
    weighted = (jacobian * weight[:, :, None]).swapaxes(1, 2)
    downhill = (weighted @ (data - model)[:, :, None])[:, :, 0]
    hessian = weighted @ jacobian
    place = theta[:, columns]
    stays = ((place <= low) & (downhill < 0)) | ((place >= high) & (downhill > 0))
    downhill[stays] = 0
    hessian *= ~(stays[:, :, None] | stays[:, None, :])
    diagonal = np.arange(len(columns))
    scale = hessian[:, diagonal, diagonal]
    floor = 1e-6 * scale.max(axis=1, keepdims=True) + 1e-12
    hessian[:, diagonal, diagonal] += damping[:, None] * np.maximum(scale, floor) + stays + 1e-14
    step = np.linalg.solve(hessian, downhill[:, :, None])[:, :, 0]
    # Parameters are logarithms: a step of more than a factor e^1.5 leaves what was linearised.
    return np.asarray(np.clip(step, -1.5, 1.5))


def hold(problem: FitProblem, index: int) -> tuple[Bools, Floats, Floats]:
    """Return free flags and bounds of a problem in which one more parameter is held."""
    free = problem.free
    free[index] = False
    return (free, *problem.bounds())


def minima(
    problem: FitProblem, index: int, values: Floats, starts: Floats
) -> tuple[Floats, Floats]:
    """Minimise over the other parameters while theta[index] is held at each of some values.

    Parameters
    ----------
    problem : FitProblem
        What is fitted.
    index : int
        `LOG_G` or `LOG_D_HI`.
    values : array, shape (V,)
        Values of theta[index].
    starts : array, shape (M, 4) or (V, M, 4)
        Starts for every value.

    Returns
    -------
    (array, array), shapes (V,) and (V, 4)
        Least sums of squared residuals and where they are.
    """
    begin = np.array(np.broadcast_to(starts, (len(values), *starts.shape[-2:])))
    begin[:, :, index] = values[:, None]
    theta, ssr = descend(
        problem.log_density,
        problem.log_error,
        problem.weight,
        begin.reshape(-1, 4),
        *hold(problem, index),
        settled=_CLOSE,
    )
    ssr, theta = ssr.reshape(len(values), -1), theta.reshape(len(values), -1, 4)
    best = ssr.argmin(axis=1)
    rows = np.arange(len(values))
    return ssr[rows, best], theta[rows, best]


def fit_each(problem: FitProblem, log_errors: Floats) -> Floats:
    """Fit several curves at the same densities, such as the seeds of an experiment, each by itself.

    Parameters
    ----------
    problem : FitProblem
        Densities and plateau; its weights take no part.
    log_errors : array, shape (S, n)
        Curves, NaN where one has no such level.

    Returns
    -------
    array, shape (S, 4)
        The best parameters of every curve, from all starts.
    """
    has = np.isfinite(log_errors)
    lower, upper = problem.bounds()
    least, most = float(np.nanmin(log_errors)), float(np.nanmax(log_errors))
    lower[A], upper[A] = least - 5, most
    if problem.log_plateau is None:  # bounds that fit every curve
        lower[LOG_PLATEAU], upper[LOG_PLATEAU] = most - 0.5, max(0.0, most)
    starts = problem.starts()
    found, ssr = descend(
        problem.log_density,
        np.repeat(np.where(has, log_errors, 0.0), len(starts), axis=0),
        np.repeat(has.astype(np.float64), len(starts), axis=0),
        np.tile(starts, (len(log_errors), 1)),
        problem.free,
        lower,
        upper,
    )
    best = ssr.reshape(len(log_errors), -1).argmin(axis=1)
    return np.asarray(found.reshape(len(log_errors), -1, 4)[np.arange(len(log_errors)), best])
