"""The critical exponent of one error curve, or why none can be quoted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..arrays import Floats
from ..curves.curve import PruningCurve
from ..result import Result, frame, interval
from .fit import Fit
from .gates import GammaVerdict, RelativeNoise, Slope
from .power_law import LOG_PLATEAU, A, Eq14, local_slope, log_d_lo, to_eq14
from .profile import Profile, unbounded

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

GammaMethod = Literal["profile", "paper"]
Plateau = Literal["chance", "free"]


@dataclass(frozen=True, eq=False)
class Gamma(Result):
    """A critical exponent with interval, onset and verdict. Numbers are NaN where there is none.

    Attributes
    ----------
    curve : PruningCurve
        The data.
    method : str
        `profile`, or `paper`: eq. 14 by curve_fit.
    plateau : str
        Whether the error of the sparsest end was fixed at `chance`, or `free`.
    theta : array, shape (4,)
        Parameters of `critical`: a, log g, log d_hi, log eps_dag.
    estimate, low, high : float
        g = |gamma| of the fit and its 95 % interval; 0 and infinity where it is unbounded.
    onset, onset_low, onset_high : float
        d_hi: the density at which the error leaves that of the dense network.
    boot_low, boot_high : float
        Interval of g from a bootstrap of the seeds, from five seeds on.
    slope : Slope
        -d log eps / d log d at the sparse end, without a model.
    rise : float
        Log of the fitted error at the least density over eps_np.
    noise : RelativeNoise
        Relative sd of the error, of a seed and of a mean.
    rms : float
        Root mean square of the residuals of log error.
    verdict, reason : str
        `quoted`, `not quoted`, `model rejected`, `refused` (nothing was fitted) or, by method
        `paper`, `ungated`; and why.
    fit : Fit or None
        The fit behind it.
    profile, onset_profile : Profile or None
        Profiles of g and d_hi.
    notes : tuple of str
        What the numbers alone do not say.
    """

    curve: PruningCurve
    method: GammaMethod
    plateau: Plateau
    theta: Floats
    estimate: float
    low: float
    high: float
    onset: float
    onset_low: float
    onset_high: float
    boot_low: float
    boot_high: float
    slope: Slope
    rise: float
    noise: RelativeNoise
    rms: float
    verdict: GammaVerdict
    reason: str
    fit: Fit | None
    profile: Profile | None
    onset_profile: Profile | None
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the curve was called."""
        return self.curve.name

    @property
    def gamma(self) -> float:
        """|gamma| where the gates let it be quoted, else NaN."""
        return self.estimate if self.verdict in ("quoted", "ungated") else float("nan")

    @property
    def eps_np(self) -> float:
        """Error of the dense network, as fitted."""
        return float(np.exp(self.theta[A]))

    @property
    def eps_dag(self) -> float:
        """Error of the plateau at the sparsest end."""
        return float(np.exp(self.theta[LOG_PLATEAU]))

    @property
    def d_lo(self) -> float:
        """Density below which the error is eps_dag."""
        return float(np.exp(log_d_lo(self.theta)))

    @property
    def steepest(self) -> float:
        """Largest slope -d log eps / d log d of the fitted curve within the data."""
        return float(local_slope(np.log(self.curve.density), self.theta).max())

    def eq14(self, sign: int = -1) -> Eq14:
        """Return the parameters of eq. 14 with gamma negative (p = d_hi) or positive (p = d_lo)."""
        return to_eq14(self.theta, sign)

    @property
    def title(self) -> str:
        """One line that says what this is."""
        seeds = f"{self.curve.seeds} {'seed' if self.curve.seeds == 1 else 'seeds'}"
        return (
            f"critical exponent of {self.curve.label}: {seeds}, {len(self.curve.density)} "
            f"densities {self.curve.density[0]:.3g} to {self.curve.density[-1]:.3g}, {self.verdict}"
        )

    def plot(self) -> Figure:
        """Draw data, fit and profile."""
        from ..plots.gamma import plot_gamma

        return plot_gamma([self])

    def to_dict(self) -> dict[str, Any]:
        """Return the columns of `to_frame`."""
        negative, positive = self.eq14(-1), self.eq14(1)
        return {
            "experiment": self.name,
            "label": self.curve.label,
            "gamma": self.gamma,
            "estimate": self.estimate,
            "low": _end(self.low, self.estimate),
            "high": _end(self.high, self.estimate),
            "unbounded": unbounded(self.low, self.high),
            "boot_low": _end(self.boot_low, self.estimate),
            "boot_high": _end(self.boot_high, self.estimate),
            "onset": self.onset,
            "onset_low": _end(self.onset_low, self.onset),
            "onset_high": _end(self.onset_high, self.onset),
            "slope": self.slope.value,
            "slope_low": self.slope.low,
            "slope_high": self.slope.high,
            "steepest": self.steepest,
            "eps_np": self.eps_np,
            "eps_dag": self.eps_dag,
            "plateau": self.plateau,
            "d_lo": self.d_lo,
            "gamma_negative": negative.gamma,
            "p_negative": negative.p,
            "gamma_positive": positive.gamma,
            "p_positive": positive.p,
            "rise": self.rise,
            "signal": self.rise / self.noise.mean_sd if self.noise.mean_sd > 0 else np.nan,
            "noise": self.noise.mean_sd,
            "seed_sd": self.noise.seed_sd,
            "rms": self.rms,
            "seeds": self.curve.seeds,
            "levels": len(self.curve.density),
            "method": self.method,
            "verdict": self.verdict,
            "reason": self.reason,
        }

    def to_frame(self) -> pl.DataFrame:
        """Return one row; what does not exist, such as the end of an interval, is null."""
        return gamma_frame([self])

    def _below(self) -> Sequence[str]:
        return (f"{self.verdict}: {self.reason}", *self.notes)

    def _columns(self) -> dict[str, list[str]]:
        return {
            "gamma": [_number(self.gamma)],
            "estimate": [_number(self.estimate)],
            "interval": [ends(self.low, self.high)],
            "onset": [_number(self.onset)],
            "onset interval": [ends(self.onset_low, self.onset_high)],
            "slope": [_number(self.slope.value)],
            "slope interval": [interval(self.slope.low, self.slope.high)],
            "verdict": [self.verdict],
        }


def gamma_frame(results: list[Gamma]) -> pl.DataFrame:
    """Return a row per curve; what does not exist is null."""
    rows = [result.to_dict() for result in results]
    columns = {
        name: np.array([row[name] for row in rows], np.float64)
        if isinstance(rows[0][name], float)
        else [row[name] for row in rows]
        for name in rows[0]
    }
    return frame(columns)


def ends(low: float, high: float) -> str:
    """Write an interval, `unbounded` where it has no end, `-` where there is none."""
    if not (np.isfinite(low) or np.isfinite(high)):
        return "-"
    below = "unbounded" if low == 0 else f"{low:.3f}"
    return f"[{below}, {f'{high:.3f}' if np.isfinite(high) else 'unbounded'}]"


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def _end(value: float, estimate: float) -> float:
    """Return an end of an interval, or NaN where there is no end or no estimate."""
    exists = 0 < value < np.inf and np.isfinite(estimate)
    return float(value) if exists else float("nan")


def nothing() -> Floats:
    """Return theta of a curve that was not fitted: shape (4,), NaN."""
    return np.full(4, np.nan)
