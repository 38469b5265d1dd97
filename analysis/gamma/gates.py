"""When an exponent may be quoted: the gates, and what needs no model."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from ..curves.curve import ASSUMED_SD, PruningCurve
from ..stats.level import ALPHA
from .fit import Fit
from .profile import Profile

GammaVerdict = Literal["quoted", "not quoted", "model rejected", "refused", "ungated"]
LEAST_RISE = {"chance": 15.0, "free": 40.0}  # rise over noise
MOST_RESIDUAL = 3.0  # rms of residuals over the seed sd
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
    # Seeds that agree to the last digit are copies: they tell no more than one does.
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


def gate(
    fit: Fit, profile: Profile, noise: RelativeNoise, rise: float, plateau: str
) -> tuple[GammaVerdict, str]:
    """Return the verdict on an exponent, and its reason.

    `model rejected` where the residuals exceed three times the seed sd; `not quoted` where the
    rise of log error is less than 15 times the noise of a mean (40 with a free plateau), the
    interval has no end, or the fit stands at a bound; else `quoted`.
    """
    if other_form(fit, noise):
        return "model rejected", (
            f"residuals of {100 * fit.rms:.1f} % are more than {MOST_RESIDUAL:g} times the seed sd "
            f"of {100 * noise.seed_sd:.1f} %: the error has another form"
        )
    ratio, least = rise / noise.mean_sd, LEAST_RISE[plateau]
    if ratio < least:
        return "not quoted", (
            f"log error rises by {rise:.2f}, {ratio:.1f} times its noise of "
            f"{100 * noise.mean_sd:.1f} %, and {least:g} times are asked: prune further, or add "
            "seeds"
        )
    if fit.at_bounds:
        return "not quoted", f"the fit ends with {' and '.join(fit.at_bounds)}"
    if profile.unbounded:
        return "not quoted", f"the interval is unbounded {profile.unbounded}: prune further"
    return "quoted", f"log error rises by {ratio:.0f} times its noise, {least:g} times are asked"


def sparse_slope(curve: PruningCurve) -> Slope:
    """Fit a straight line to log error against log density at the sparse end.

    The densities within a factor of 2.5 of the least one, three at least. The interval is a t over
    the seeds' slopes, with one seed a t of the residuals.
    """
    last = curve.density <= _SPARSE * curve.density[-1]
    last[-3:] = True
    x = np.log(curve.density[last])
    errors = curve.error[:, last]
    if len(x) < 3:
        return Slope(np.nan, np.nan, np.nan)
    x = x - x.mean()
    whole = errors[np.isfinite(errors).all(axis=1) & (errors > 0).all(axis=1)]
    if len(whole) > 1:
        slopes = -(np.log(whole) @ x) / (x @ x)
        value, df = slopes.mean(), len(slopes) - 1
        error = slopes.std(ddof=1) / np.sqrt(len(slopes))
    else:
        y = np.log(curve.mean[last])
        value, df = -(y @ x) / (x @ x), len(x) - 2
        residual = y - y.mean() + value * x
        error = np.sqrt(residual @ residual / df / (x @ x))
    from ..stats.level import t_quantile

    half = t_quantile(df, 1 - ALPHA) * float(error)
    return Slope(float(value), float(value) - half, float(value) + half)
