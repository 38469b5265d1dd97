"""From an error curve to the exponent of its crossover: fits, intervals, gates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import get_args

import numpy as np

from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.notes import Note, Rank, noted
from ..curves.curve import ABOVE_CHANCE, PruningCurve, curve_of
from ..curves.table import check_chance
from ..named import Named, StoreLike
from ..stats.level import ALPHA, t_quantile
from ..values import Estimate, Refusal
from .fit import Fit, FitProblem, fit, fit_each
from .gates import (
    NO_NOISE,
    Evidence,
    RelativeNoise,
    gate,
    noise_over_error,
    other_form,
    rises,
    sparse_slope,
)
from .misfit import Misfit, functional_f
from .paper import TIGHT, paper_fit
from .parameters import Parameters, curve_interval, of_curve, of_seeds
from .power_law import G_BOUNDS, LOG_D_HI, LOG_G, A, from_eq14, log_error
from .profile import profile
from .result import Fitted, Gamma, GammaMethod, Plateau

CROSSOVER = Note(
    "gamma is the exponent of a crossover between two plateaus of the error: nothing diverges at a "
    "density",
    "critical.md#the-exponent-of-an-error-curve",
    Rank.DETAIL,
)


def gamma(
    store: StoreLike,
    experiment: Named | PruningCurve,
    *,
    chance: float | None = None,
    plateau: Plateau = "chance",
    method: GammaMethod = "seeds",
) -> Gamma:
    """Estimate the exponent of an error curve, or say why none can be quoted.

    Two seeds or more are fitted each by itself: the estimate is the geometric mean of their
    exponents, the interval t of the logarithms. Of one curve the interval allows for levels that
    go together, and says nothing of other seeds.

    Parameters
    ----------
    store : Store or path, or None
        Where experiments are.
    experiment : str, Counts or PruningCurve
        An experiment or a run, `published:NAME`, or a CSV or Parquet file with the columns
        density, error and seed; see `named.look_up`.
    chance : float, optional
        Error of guessing, a fraction; by default that of the task.
    plateau : str
        `chance`: the error of the sparsest end is that of guessing; `free`: it is fitted.
    method : str
        `seeds`, or `paper`: eq. 14 by curve_fit with a free plateau, without gates.

    Raises
    ------
    UsageError
        Nothing has this name, or an option is wrong.
    RgtoolError
        The data are no error curve, or too few.
    """
    method = choose("method", method, get_args(GammaMethod))
    plateau = choose("plateau", plateau, get_args(Plateau))
    if method == "paper":
        if chance is not None:
            raise UsageError("method paper fits the plateau: leave out the chance error")
        plateau = "free"
    curve = curve_of(store, experiment, "an exponent")
    problem = problem_of(curve, chance, plateau)
    if flat := _flat(curve):
        return _refused(curve, method, plateau, flat)
    if method == "paper":
        return _by_paper(curve)
    return _by_seeds(curve, problem, plateau)


def _by_seeds(curve: PruningCurve, problem: FitProblem, plateau: Plateau) -> Gamma:
    best = fit(problem)
    noise = noise_over_error(curve, best.rms)
    p = rises(best)
    if p >= ALPHA and not other_form(best, noise):
        rise = float(problem.log_error.max() - problem.log_error.min())
        return _refused(
            curve,
            "seeds",
            plateau,
            "the error is not seen to leave its plateau: all of it lies within "
            f"{100 * rise:.1f} %, and a constant is not rejected (p {p:.2g}); {curve.further}",
            noise,
        )
    parameters, misfit = _parameters(curve, best)
    exponent, onset = (_interval(best, parameters, index) for index in (LOG_G, LOG_D_HI))
    own = profile(best)
    rise = float(parameters.curve(problem.log_density)[-1] - parameters.theta[A])
    verdict, reason = gate(
        Evidence(best, own, exponent, parameters, misfit, noise, rise), curve, plateau
    )
    fitted = Fitted(
        theta=parameters.theta,
        exponent=exponent,
        onset=onset,
        rise=rise,
        rms=best.rms,
        verdict=verdict,
        reason=reason,
        fit=best,
        profile=own,
        parameters=parameters,
        misfit=misfit,
    )
    return _noted(Gamma(curve, "seeds", plateau, fitted, sparse_slope(curve), noise))


def _parameters(curve: PruningCurve, best: Fit) -> tuple[Parameters, Misfit | None]:
    """Return the parameters over seeds, of the mean curve where fewer than two can be fitted.

    A seed that ends above the onset of the mean curve has no level that tells its exponent.
    """
    problem = best.problem
    logs = np.full(curve.error.shape, np.nan)
    np.log(curve.error, out=logs, where=curve.error > 0)  # NaN is not above 0
    able = np.isfinite(logs).sum(axis=1) > problem.parameters
    onset = max(float(np.exp(best.theta[LOG_D_HI])), curve.density[-1])
    able &= np.isfinite(logs[:, curve.density <= onset]).any(axis=1)
    if able.sum() < 2:
        return of_curve(best), None
    theta = np.full((len(logs), len(best.theta)), np.nan)
    theta[able] = fit_each(problem, logs[able])
    residuals = logs[able] - log_error(problem.log_density, theta[able])
    return of_seeds(theta), functional_f(residuals, problem.parameters)


def _interval(best: Fit, parameters: Parameters, index: int) -> Estimate[float]:
    if len(parameters.seeds):
        return parameters.interval(index)
    return curve_interval(best, parameters, index)


def problem_of(curve: PruningCurve, chance: float | None, plateau: Plateau) -> FitProblem:
    """Return what is fitted, after a look at the plateau and the number of points.

    Raises
    ------
    UsageError
        The error of guessing is not known, or is no fraction.
    RgtoolError
        There are too few levels, errors above chance, or errors that fall with pruning.
    """
    check_chance(chance)
    if plateau == "free" and chance is not None:
        raise UsageError("a chance error and a free plateau together: choose one")
    log_plateau = None
    if plateau == "chance":
        known = chance if chance is not None else curve.chance
        if known is None:
            raise UsageError(
                f"{curve.name}: the error of guessing is not known: give it with --chance, .9 for "
                "ten equal classes, or take --free-plateau"
            )
        _check_chance(curve, known)
        log_plateau = float(np.log(known))
    problem = FitProblem(np.log(curve.density), np.log(curve.mean), curve.weight, log_plateau)
    _check_order(curve)
    if problem.df < 1:
        raise RgtoolError(
            f"{curve.name}: {len(curve.density)} densities for {problem.parameters} parameters: at "
            f"least {problem.parameters + 1} are needed, a dozen are good: {curve.further}"
        )
    return problem


def _check_chance(curve: PruningCurve, chance: float) -> None:
    worst = int(curve.mean.argmax())
    if curve.mean[worst] > ABOVE_CHANCE * chance:
        raise RgtoolError(
            f"{curve.name}: the error is {curve.mean[worst]:.3f} at density "
            f"{curve.density[worst]:.4g}, above that of guessing, {chance:g}: is it an accuracy, "
            "or is --chance another?"
        )


def _check_order(curve: PruningCurve) -> None:
    third = max(len(curve.density) // 3, 1)
    dense, sparse = curve.mean[:third].mean(), curve.mean[-third:].mean()
    if sparse < 0.7 * dense:
        raise RgtoolError(
            f"{curve.name}: the error falls from {dense:.3f} to {sparse:.3f} as weights are "
            "pruned: is the column an accuracy, or the density a sparsity?"
        )


def _flat(curve: PruningCurve) -> str:
    if np.ptp(curve.mean) > 1e-9 * curve.mean[0]:
        return ""
    return f"the error is {curve.mean[0]:.4g} at every density: there is nothing to fit"


def _refused(
    curve: PruningCurve,
    method: GammaMethod,
    plateau: Plateau,
    reason: str,
    noise: RelativeNoise = NO_NOISE,
) -> Gamma:
    return _noted(Gamma(curve, method, plateau, Refusal(reason), sparse_slope(curve), noise))


def _by_paper(curve: PruningCurve) -> Gamma:
    found = paper_fit(curve.density, curve.mean)
    theta = from_eq14(found.parameters)
    g = -found.parameters.gamma
    half = t_quantile(len(curve.density) - 4, 1 - ALPHA) * found.gamma_sd
    # What leaves the range that was searched has no end.
    low = g - half if g - half > G_BOUNDS[0] else 0.0
    high = g + half if g + half < G_BOUNDS[1] else np.inf
    curve_at = log_error(np.log(curve.density), theta)
    rms = float(np.sqrt(np.mean((np.log(curve.mean) - curve_at) ** 2)))
    fitted = Fitted(
        theta=theta,
        exponent=Estimate(g, low, high),
        onset=Estimate(found.parameters.p, np.nan, np.nan),
        rise=float(curve_at[-1] - theta[A]),
        rms=rms,
        verdict="ungated",
        reason="eq. 14 as curve_fit has it, without gates",
    )
    noise = noise_over_error(curve, rms)
    return _noted(Gamma(curve, "paper", "free", fitted, sparse_slope(curve), noise))


def _noted(result: Gamma) -> Gamma:
    """Add what the numbers alone do not say."""
    curve, one = result.curve, result.fitted
    of_fit = () if isinstance(one, Refusal) else _curve_notes(curve, one)
    return replace(
        result,
        notes=(
            Note(f"{result.name}: {result.verdict}: {result.reason}", rank=Rank.CONCLUSION),
            *curve.notes,
            *noted(curve.lone_notes, "critical.md#intervals", Rank.WARNING),
            *of_fit,
            CROSSOVER,
        ),
    )


def _curve_notes(curve: PruningCurve, one: Fitted) -> list[str]:
    name, notes = curve.name, []
    if one.verdict == "ungated":
        return [
            f"{name}: method paper: errors on the linear scale, four free parameters, eps_np "
            f"within {100 * TIGHT:.0f} % of the three densest levels; the interval is from the "
            "covariance"
        ]
    if one.parameters is not None:
        notes += _scope_notes(curve, one.parameters)
    if one.onset.value > 1:
        notes.append(
            f"{name}: the onset lies at {one.onset.value:.2g}, above density 1: the error rises "
            "from the first pruning on, its plateau is extrapolated"
        )
    steepest = one.steepest(curve.density)
    share = steepest / one.exponent.value
    if share < 0.7:
        notes.append(
            f"{name}: within the data the curve is nowhere steeper than {steepest:.2f}: "
            f"{100 * (1 - share):.0f} % of the exponent is extrapolation by the form of the curve"
        )
    if one.fit is not None and one.fit.agreeing < 3:
        notes.append(
            f"{name}: {one.fit.agreeing} of {one.fit.starts} starts reach the best fit: "
            "others end in worse minima"
        )
    if curve.mean.max() > one.eps_dag:
        notes.append(f"{name}: some errors lie above the plateau, by noise as it seems")
    return notes


def _named(curve: PruningCurve, seeds: Iterable[int]) -> str:
    return "seed " + ", ".join(curve.members[seed] for seed in seeds)


def _scope_notes(curve: PruningCurve, parameters: Parameters) -> list[str]:
    """Say what the interval does not cover, which seeds are not in it or have no exponent."""
    name, fitted, notes = curve.name, parameters.fitted, []
    if not fitted:
        notes.append(
            f"{name}: the interval is that of this one curve, its levels taken to correlate by "
            f"{parameters.rho:.2f}: other seeds may have other exponents"
        )
    elif fitted < curve.seeds:
        out = np.flatnonzero(np.isnan(parameters.seeds).any(axis=1))
        notes.append(
            f"{name}: too few levels for a fit of their own, or none below the onset: "
            f"{_named(curve, out)} of {curve.seeds}, in the mean curve alone"
        )
    met = parameters.at_bounds
    for bound in sorted({bound for each in met.values() for bound in each}):
        at = [seed for seed, each in met.items() if bound in each]
        notes.append(f"{name}: fits by seed that end with {bound}: {_named(curve, at)}")
    none = int((curve.error == 0).sum())
    if fitted and none:
        notes.append(
            f"{name}: {none} errors of 0, which have no logarithm, are left out of the fits by seed"
        )
    return notes
