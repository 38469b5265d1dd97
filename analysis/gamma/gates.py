"""When an exponent may be quoted: the gates, and what needs no model."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from ..arrays import Bools, Floats
from ..curves.curve import ASSUMED_SD, PruningCurve
from ..stats.level import ALPHA, t_quantile
from ..values import Estimate
from .correlated import sandwich
from .fit import Fit
from .misfit import Misfit
from .parameters import Parameters
from .power_law import LOG_G
from .profile import Profile, unbounded

GammaVerdict = Literal["quoted", "not quoted", "model rejected", "refused", "ungated"]
LEAST_RISE = {"chance": 15.0, "free": 40.0}  # rise over noise
MOST_RESIDUAL = 3.0  # rms of residuals over the seed sd
WIDEST = 3.0  # upper over lower end: beyond, an interval says no more than that of two seeds
_SPARSE = 2.5  # densities within this factor of the least one are the sparse end


class RelativeNoise(NamedTuple):
    """Noise of a curve, relative to the error.

    Attributes
    ----------
    seed_sd : float
        Between seeds; NaN where nothing tells.
    mean_sd : float
        Of a mean over seeds, which is what was fitted.
    """

    seed_sd: float
    mean_sd: float


NO_NOISE = RelativeNoise(np.nan, np.nan)


class Slope(NamedTuple):
    """A slope -d log eps / d log d at the sparse end, and its 95 % interval."""

    value: float
    low: float
    high: float


def noise_over_error(curve: PruningCurve, rms: float) -> RelativeNoise:
    """Return the noise of a curve: of its seeds, assumed for one, else the rms of residuals."""
    if curve.noise == "residuals":
        return RelativeNoise(np.nan, rms)
    # Seeds that agree to the last digit tell no noise.
    known = curve.noise == "seeds" and curve.relative_sd > 0
    seed_sd = curve.relative_sd if known else ASSUMED_SD
    return RelativeNoise(seed_sd, seed_sd / float(np.sqrt(np.median(curve.runs))))


def rises(fit: Fit) -> float:
    """Return p of a constant error against the curve: F of k - 1 and n - k degrees of freedom."""
    from scipy.special import fdtrc

    at = fit.problem
    mean = np.average(at.log_error, weights=at.weight)
    flat = float(at.weight @ (at.log_error - mean) ** 2)
    if flat <= 1e-24:
        return 1.0
    more = at.parameters - 1
    statistic = max(flat - fit.ssr, 0.0) / more / max(fit.ssr / at.df, 1e-300)
    return float(fdtrc(more, at.df, statistic))


def other_form(fit: Fit, noise: RelativeNoise) -> bool:
    """Tell whether residuals exceed three times the seed sd; False where there is none."""
    return fit.rms > MOST_RESIDUAL * noise.seed_sd


class Evidence(NamedTuple):
    """What the gates look at.

    Attributes
    ----------
    fit, profile : Fit, Profile
        Of the mean curve.
    exponent : Estimate
        g with its interval.
    parameters : Parameters
        What is behind it.
    misfit : Misfit or None
        Lack of fit that seeds share, from three on.
    noise : RelativeNoise
        Noise of the curve.
    rise : float
        Rise of fitted log error over all densities.
    """

    fit: Fit
    profile: Profile
    exponent: Estimate[float]
    parameters: Parameters
    misfit: Misfit | None
    noise: RelativeNoise
    rise: float


def gate(found: Evidence, curve: PruningCurve, plateau: str) -> tuple[GammaVerdict, str]:
    """Return the verdict on an exponent, and its reason.

    `model rejected` where the error has another form than the fitted one: residuals over three
    times the seed sd, residuals that seeds share (F at 5 %), or a slope at the sparse end that
    exceeds the exponent. `not quoted` where the rise of log error is less than 15 times the noise
    of a mean (40 with a free plateau), with two seeds, where a fit, of the mean or of a seed,
    stands at a bound, where an interval has no end or spans more than a factor of 3. Else `quoted`.
    """
    if reason := _another_form(found, curve, plateau):
        return "model rejected", reason
    if reason := _too_little(found, curve, LEAST_RISE[plateau]):
        return "not quoted", reason
    ratio = found.rise / found.noise.mean_sd
    return "quoted", (
        f"log error rises by {ratio:.0f} times its noise, {LEAST_RISE[plateau]:g} times are asked"
    )


def _another_form(found: Evidence, curve: PruningCurve, plateau: str) -> str:
    if other_form(found.fit, found.noise):
        return (
            f"residuals of {100 * found.fit.rms:.1f} % are more than {MOST_RESIDUAL:g} times the "
            f"seed sd of {100 * found.noise.seed_sd:.1f} %: the error has another form"
        )
    if found.misfit is not None and found.misfit.p < ALPHA:
        df1, df2 = found.misfit.df
        or_else = ", or another plateau (--free-plateau)" if plateau == "chance" else ""
        return (
            f"seeds share their residuals, F({df1:.1f}, {df2:.1f}) {found.misfit.statistic:.1f}, p "
            f"{found.misfit.p:.2g}: the error has another form{or_else}"
        )
    steep = sparse_slope(curve)
    if contradicts(curve, steep, found.exponent, found.parameters):
        return (
            f"the slope at the sparse end, {steep.value:.2f} [{steep.low:.2f}, {steep.high:.2f}], "
            f"exceeds the exponent of {found.exponent.value:.2f}, which no curve of this form does"
        )
    return ""


def _too_little(found: Evidence, curve: PruningCurve, least: float) -> str:
    ratio = found.rise / found.noise.mean_sd
    if ratio < least:
        return (
            f"log error rises by {found.rise:.2f}, {ratio:.1f} times its noise of "
            f"{100 * found.noise.mean_sd:.1f} %, and {least:g} times are asked: "
            f"{curve.further}, or add seeds"
        )
    if found.parameters.fitted == 2:
        low, high = found.exponent.low, found.exponent.high
        ends = low > 0 and np.isfinite(high)
        spans = f"spans a factor of {high / low:.2g}" if ends else "has no end"
        return f"two seeds hardly tell their scatter, the interval {spans}: add a seed"
    if found.fit.at_bounds:
        return f"the fit ends with {' and '.join(found.fit.at_bounds)}"
    return _untold_seeds(found.parameters) or _too_wide(found, curve.further)


def _untold_seeds(parameters: Parameters) -> str:
    """Say how many seeds have an exponent that is that of a bound, neither to be averaged nor cut.

    The mean would hang on where the bound is; without such seeds it would be that of those which
    turned out well.
    """
    at = parameters.at_bounds.values()
    untold = sum(not all(bound.tells_exponent for bound in met) for met in at)
    if not untold:
        return ""
    return (
        f"fits by seed end at a bound, {untold} of {parameters.fitted}, and seeds are not left out "
        "by how they turned out: see what these runs did"
    )


def _too_wide(found: Evidence, further: str) -> str:
    low, high = found.exponent.low, found.exponent.high
    if side := unbounded(low, high) or found.profile.unbounded:
        return f"the interval is unbounded {side}: {further}"
    if high > WIDEST * low:
        return (
            f"the interval spans a factor of {high / low:.2g}, and {WIDEST:g} is the most that is "
            f"quoted: {further}, or add seeds"
        )
    return ""


def contradicts(
    curve: PruningCurve, steep: Slope, exponent: Estimate[float], parameters: Parameters
) -> bool:
    """Tell whether the slope at the sparse end is certainly above the exponent.

    No curve of the fitted form is anywhere steeper than g. Seeds are compared with their own
    exponents, by t; of one curve the intervals must lie apart.
    """
    if not parameters.fitted:
        return bool(steep.low > exponent.high)
    excess = seed_slopes(curve) - np.exp(parameters.seeds[:, LOG_G])
    both = excess[np.isfinite(excess)]
    if len(both) < 2:
        return bool(steep.low > exponent.high)
    error = float(both.std(ddof=1)) / np.sqrt(len(both))
    return bool(both.mean() > t_quantile(len(both) - 1, 1 - ALPHA) * error)


def seed_slopes(curve: PruningCurve) -> Floats:
    """Return -d log eps / d log d at the sparse end, NaN for a seed that lacks a level of it."""
    x, last = _sparse_end(curve)
    errors = curve.error[:, last]
    logs = np.log(errors, out=np.full_like(errors, np.nan), where=errors > 0)
    return np.asarray(-(logs @ x) / (x @ x))


def _sparse_end(curve: PruningCurve) -> tuple[Floats, Bools]:
    """Return centred log densities of the sparse end, and which levels it has."""
    last = curve.density <= _SPARSE * curve.density[-1]
    last[-3:] = True
    x = np.log(curve.density[last])
    return np.asarray(x - x.mean()), last


def sparse_slope(curve: PruningCurve) -> Slope:
    """Fit a straight line to log error against log density at the sparse end.

    The densities within a factor of 2.5 of the least one, three at least. The interval is a t over
    the seeds' slopes, with one seed that of correlated levels.
    """
    x, last = _sparse_end(curve)
    if len(x) < 3:
        return Slope(np.nan, np.nan, np.nan)
    slopes = seed_slopes(curve)
    slopes = slopes[np.isfinite(slopes)]
    if len(slopes) > 1:
        value, df = float(slopes.mean()), float(len(slopes) - 1)
        error = float(slopes.std(ddof=1)) / np.sqrt(len(slopes))
    else:
        y = np.log(curve.mean[last])
        value = float(-(y @ x) / (x @ x))
        line = np.column_stack([np.ones_like(x), x])
        found = sandwich(line, y - y.mean() + value * x)
        df, error = found.df, float(np.sqrt(found.covariance[1, 1]))
    half = t_quantile(df, 1 - ALPHA) * error
    return Slope(value, value - half, value + half)
