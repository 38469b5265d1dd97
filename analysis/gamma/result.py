"""The exponents of error curves, or why none can be quoted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from ...schemas.notes import ranked
from ...schemas.words import counted
from ..arrays import Floats
from ..curves.curve import PruningCurve
from ..result import LABEL, Column, Result, ends
from ..values import NOTHING, Estimate, Refusal
from .fit import Fit
from .gates import GammaVerdict, RelativeNoise, Slope
from .misfit import Misfit
from .parameters import Parameters
from .power_law import LOG_PLATEAU, A, Eq14, local_slope, log_d_lo, to_eq14
from .profile import Profile, unbounded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..charts.chart import Chart

GammaMethod = Literal["seeds", "paper"]
Plateau = Literal["chance", "free"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A curve that was fitted, and what the gates say of it.

    Attributes
    ----------
    theta : array, shape (4,)
        Parameters of `power_law`: a, log g, log d_hi, log eps_dag.
    exponent : Estimate
        g = |gamma| and its 95 % interval; 0 and infinity where it is unbounded.
    onset : Estimate
        d_hi: the density at which the error leaves that of the dense network.
    rise : float
        Log of the fitted error at the least density over eps_np.
    rms : float
        Root mean square of the residuals of the log of mean error.
    verdict, reason : str
        `quoted`, `not quoted`, `model rejected` or, by method `paper`, `ungated`; and why.
    fit, profile : Fit or None, Profile or None
        The fit to the mean curve, and its profile of g, which takes levels as independent.
    parameters : Parameters or None
        Parameters over seeds, or of this curve; None by method `paper`.
    misfit : Misfit or None
        Lack of fit that seeds share, from three on.
    """

    theta: Floats
    exponent: Estimate[float]
    onset: Estimate[float]
    rise: float
    rms: float
    verdict: GammaVerdict
    reason: str
    fit: Fit | None = None
    profile: Profile | None = None
    parameters: Parameters | None = None
    misfit: Misfit | None = None

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

    def steepest(self, density: Floats) -> float:
        """Return the largest slope -d log eps / d log d of the curve at these densities."""
        x, known = np.log(density), self.parameters
        return float((local_slope(x, self.theta) if known is None else known.slope(x)).max())

    def eq14(self, sign: int = -1) -> Eq14:
        """Return the parameters of eq. 14 with gamma negative (p = d_hi) or positive (p = d_lo)."""
        return to_eq14(self.theta, sign)


@dataclass(frozen=True, eq=False)
class Gamma(Result):
    """The exponent of an error curve with interval, onset and verdict, or why there is none.

    Attributes
    ----------
    curve : PruningCurve
        The data.
    method : str
        `seeds`, or `paper`: eq. 14 by curve_fit.
    plateau : str
        Whether the error of the sparsest end was fixed at `chance`, or `free`.
    fitted : Fitted or Refusal
        What was fitted, or why nothing was.
    slope : Slope
        -d log eps / d log d at the sparse end, without a model.
    noise : RelativeNoise
        Relative sd of the error, of a seed and of a mean.
    notes : tuple of str
        Verdict and reason, and what the numbers alone do not say.
    """

    curve: PruningCurve
    method: GammaMethod
    plateau: Plateau
    fitted: Fitted | Refusal
    slope: Slope
    noise: RelativeNoise
    notes: tuple[str, ...] = ()

    columns = (
        Column("experiment", "What the curve is called."),
        Column("label", LABEL, shown="wide"),
        Column("gamma", "Exponent of the crossover, where the gates let it be quoted.", "", ".3f"),
        Column("estimate", "That of the fits, quoted or not.", "", ".3f"),
        *ends(
            "low", "high", "its 95 % interval: t over seeds, or of this curve, levels correlated",
            "", ".3f",
        ),
        Column("unbounded", "On which side the interval has no end.", shown="if any"),
        Column("scope", "What it covers: population (of seeds), or this curve.", shown="wide"),
        Column("profile", "The exponent of the mean curve.", "", ".3f", "wide"),
        *ends(
            "profile_low", "profile_high",
            "its interval by profile likelihood: of one curve, levels taken as independent",
            "", ".3f",
        ),
        Column("correlation", "From level to level, as that of this curve takes it.", "", ".2f",
               "wide"),
        Column("onset", "d_hi, where the error leaves that of the dense one.", "density", ".3f"),
        *ends("onset_low", "onset_high", "its 95 % interval", "density", ".3f", "if any"),
        Column("slope", "-dlog eps/dlog d at the sparse end, without a model.", "", "z.3f"),
        *ends("slope_low", "slope_high", "its 95 % interval", "", "z.3f", "wide"),
        Column("steepest", "The largest slope of the fit within the data.", "", ".3f", "wide"),
        Column("eps_np", "Error of the dense network, as fitted.", "", ".3f", "wide"),
        Column("eps_dag", "Error of the plateau at the sparsest end.", "", ".3f", "wide"),
        Column("plateau", "chance: fixed at the error of guessing; free: fitted.", shown="wide"),
        Column("d_lo", "Where the error reaches the plateau.", "density", ".3f", "wide"),
        Column("gamma_negative", "gamma of eq. 14, written negative.", "", ".3f", "wide"),
        Column("p_negative", "p of eq. 14 with it.", "density", ".3f", "wide"),
        Column("gamma_positive", "gamma of eq. 14, written positive.", "", ".3f", "wide"),
        Column("p_positive", "p of eq. 14 with it.", "density", ".3f", "wide"),
        Column("rise", "Fitted error at the least density over eps_np.", "log", "z.3f", "wide"),
        Column("signal", "rise over noise.", "", "z.1f"),
        Column("noise", "Relative standard deviation of a mean error.", "", ".3f", "wide"),
        Column("seed_sd", "That of one seed's error.", "", ".3f", "wide"),
        Column("rms", "Root mean square of the residuals of log error.", "log", ".3f", "wide"),
        Column("misfit", "p of residuals that three seeds or more share.", "", ".2g", "if any"),
        Column("seeds", "Distinct seeds of the curve.", shown="wide"),
        Column("levels", "Densities of the curve.", shown="wide"),
        Column("method", "seeds, or paper.", shown="wide"),
        Column("verdict", "quoted, not quoted, model rejected, refused, or ungated."),
        Column("reason", "Why.", shown="wide"),
    )  # fmt: skip
    rows = "a row for every curve"
    see = "critical.md#when-an-exponent-may-be-quoted"

    @property
    def name(self) -> str:
        """What the curve was called."""
        return self.curve.name

    @property
    def verdict(self) -> GammaVerdict:
        """`refused` where nothing was fitted, else that of the gates."""
        return "refused" if isinstance(self.fitted, Refusal) else self.fitted.verdict

    @property
    def reason(self) -> str:
        """Why the verdict is what it is."""
        return self.fitted.reason

    @property
    def estimate(self) -> Estimate[float]:
        """G with its interval, quoted or not; NaN where nothing was fitted."""
        return NOTHING if isinstance(self.fitted, Refusal) else self.fitted.exponent

    @property
    def gamma(self) -> float:
        """|gamma| where the gates let it be quoted, else NaN."""
        return self.estimate.value if self.verdict in ("quoted", "ungated") else float("nan")

    @property
    def title(self) -> str:
        """One line that says what this is."""
        means = self.curve.noise == "residuals"
        seeds = "one curve of means" if means else counted(self.curve.seeds, "seed")
        return (
            f"exponent of the crossover of {self.curve.label}: {seeds}, {len(self.curve.density)} "
            f"densities {self.curve.density[0]:.3g} to {self.curve.density[-1]:.3g}, {self.verdict}"
        )

    def to_row(self) -> dict[str, Any]:
        """Return the values of its row, in no order."""
        return {
            "experiment": self.name,
            "label": self.curve.label,
            "gamma": self.gamma,
            **(dict.fromkeys(_FITTED, np.nan) | self._fitted_values()),
            "slope": self.slope.value,
            "slope_low": self.slope.low,
            "slope_high": self.slope.high,
            "plateau": self.plateau,
            "noise": self.noise.mean_sd,
            "seed_sd": self.noise.seed_sd,
            "seeds": self.curve.seeds,
            "levels": len(self.curve.density),
            "method": self.method,
            "verdict": self.verdict,
            "reason": self.reason,
        }

    def _fitted_values(self) -> dict[str, Any]:
        one = self.fitted
        if isinstance(one, Refusal):
            return {"unbounded": "", "scope": ""}
        negative, positive, noise = one.eq14(-1), one.eq14(1), self.noise.mean_sd
        return {
            **_ends("estimate", "low", "high", one.exponent),
            "unbounded": unbounded(one.exponent.low, one.exponent.high),
            **_curve_values(one),
            **_ends("onset", "onset_low", "onset_high", one.onset),
            "steepest": one.steepest(self.curve.density),
            "eps_np": one.eps_np,
            "eps_dag": one.eps_dag,
            "d_lo": one.d_lo,
            "gamma_negative": negative.gamma,
            "p_negative": negative.p,
            "gamma_positive": positive.gamma,
            "p_positive": positive.p,
            "rise": one.rise,
            "signal": one.rise / noise if noise > 0 else np.nan,
            "rms": one.rms,
        }

    def _values(self) -> dict[str, Any]:
        return {name: [value] for name, value in self.to_row().items()}

    @classmethod
    def plot_together(cls, results: Sequence[Self]) -> Figure:
        """Draw several in one figure."""
        from ..plots.gamma import plot_gamma

        return plot_gamma(results)

    @classmethod
    def chart_together(cls, results: Sequence[Self]) -> Chart:
        """Draw several in one chart."""
        from ..charts.gamma import gamma_chart

        return gamma_chart(results)


_FITTED = [
    "estimate",
    "low",
    "high",
    "unbounded",
    "scope",
    "profile",
    "profile_low",
    "profile_high",
    "correlation",
    "onset",
    "onset_low",
    "onset_high",
    "steepest",
    "eps_np",
    "eps_dag",
    "d_lo",
    "gamma_negative",
    "p_negative",
    "gamma_positive",
    "p_positive",
    "rise",
    "signal",
    "rms",
    "misfit",
]


@dataclass(frozen=True, eq=False)
class Gammas(Result):
    """The exponents of several curves, each by itself.

    Attributes
    ----------
    results : tuple of Gamma, one at least
        The curves.
    """

    results: tuple[Gamma, ...]

    columns = Gamma.columns
    rows = Gamma.rows
    see = Gamma.see

    @property
    def title(self) -> str:
        """One line that says what this is."""
        if len(self.results) == 1:
            return self.results[0].title
        quoted = sum(one.verdict == "quoted" for one in self.results)
        return (
            f"exponents of the crossover of {counted(len(self.results), 'curve')}, {quoted} quoted"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers alone do not say, of every curve."""
        return ranked((note for one in self.results for note in one.notes), self.see)

    def _values(self) -> dict[str, Any]:
        return by_column([one.to_row() for one in self.results])

    def plot(self) -> Figure:
        """Draw it, as `rgtool.plot` does."""
        from ..plots.gamma import plot_gamma

        return plot_gamma(self.results)

    def chart(self) -> Chart:
        """Draw it as a chart."""
        from ..charts.gamma import gamma_chart

        return gamma_chart(self.results)


def by_column(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows that have the same names into columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def bounds_text(low: float, high: float) -> str:
    """Write an interval, `unbounded` where it has no end, `-` where there is none."""
    if not (np.isfinite(low) or np.isfinite(high)):
        return "-"
    below = "unbounded" if low == 0 else f"{low:.3f}"
    return f"[{below}, {f'{high:.3f}' if np.isfinite(high) else 'unbounded'}]"


def _curve_values(one: Fitted) -> dict[str, Any]:
    """Return what `this curve` tells, and what seeds share."""
    if one.parameters is None or one.profile is None:
        return {"scope": ""}
    own = Estimate(one.profile.estimate, one.profile.low, one.profile.high)
    return {
        "scope": one.parameters.scope,
        "correlation": one.parameters.rho,
        "misfit": np.nan if one.misfit is None else one.misfit.p,
        **_ends("profile", "profile_low", "profile_high", own),
    }


def _ends(name: str, low: str, high: str, found: Estimate[float]) -> dict[str, float]:
    """Return an estimate's columns; an end that is 0 or infinite is none."""
    ends = {
        end: float(value) if 0 < value < np.inf and np.isfinite(found.value) else np.nan
        for end, value in ((low, found.low), (high, found.high))
    }
    return {name: found.value} | ends
