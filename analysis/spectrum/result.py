"""The spectrum of one experiment: eigenvalues with intervals, null and verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...schemas.errors import UsageError
from ..arrays import Bools, Floats, Integers
from ..nulls.initial import Weighting
from ..result import Result, frame, interval, number
from . import intervals
from .intervals import Interval, IntervalScope, Method
from .linearity import Linearity
from .verdicts import Judgement, Verdict

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Spectrum(Result):
    """The eigenvalues of one experiment's groups. Arrays hold NaN where there is no value.

    Attributes
    ----------
    experiment_id, label, by : str
        Experiment, its architecture and task, and the grouping.
    weighting : str
        `count` (eq. 13), or `magnitude`: shares of sum |w| instead of counts.
    window : (a, b)
        Levels between which eigenvalues are taken.
    runs : tuple of str, length S
        The runs used.
    names : tuple of str, length G
        Groups in the order of the forward pass.
    total : integer array, shape (G,)
        Weights of the dense groups.
    exempt : bool array, shape (G,)
        Groups that are counted and never pruned: eigenvalue 1/rho, exponent 1 by construction.
    theta : array, shape (S, G)
        Mean log eigenvalue over the window, per run.
    eigenvalue : array, shape (G,)
        exp of the mean of theta over runs: the geometric mean over window and seeds.
    low, high : array, shape (G,)
        Interval of the eigenvalue.
    boot_low, boot_high : array, shape (G,)
        That of the hierarchical bootstrap, beside the default from three seeds on.
    mean, spread : array, shape (G,)
        The paper's numbers: arithmetic mean over levels and seeds, and standard deviation over
        levels, averaged over seeds. The spread holds deterministic drift; it is no error bar.
    exponent, exponent_low, exponent_high : array, shape (G,)
        y_i over the window, mean over runs, and its interval.
    null_eigenvalue, null_exponent : array, shape (G,)
        The same of N1, the untrained network, at the retention measured in every run.
    static_eigenvalue : array, shape (G,)
        The same of N2, the trained dense network pruned in one go; NaN where runs keep no dense
        weights.
    random_sd : array, shape (G,)
        N0: standard deviation over runs of the log eigenvalue, mean 0, if pruning were random.
    excess_low, excess_high : array, shape (G,)
        Interval of the excess over seeds.
    null_p : float
        Of a spectrum that is that of its initial scales (N1), over all groups together.
    interval : Interval
        Of theta, with variance and degrees of freedom; exempt groups are NaN.
    judgement : Judgement
        Verdicts, p-values and margin.
    linear : Linearity or None
        Test of constant growth over the groups that are not exempt, in their order; None for
        fewer than three steps or two such groups.
    notes : tuple of str
        What the numbers alone do not say.
    """

    experiment_id: str
    label: str
    by: str
    weighting: Weighting
    window: tuple[int, int]
    runs: tuple[str, ...]
    names: tuple[str, ...]
    total: Integers
    exempt: Bools
    theta: Floats
    eigenvalue: Floats
    low: Floats
    high: Floats
    boot_low: Floats
    boot_high: Floats
    mean: Floats
    spread: Floats
    exponent: Floats
    exponent_low: Floats
    exponent_high: Floats
    null_eigenvalue: Floats
    null_exponent: Floats
    static_eigenvalue: Floats
    random_sd: Floats
    excess_low: Floats
    excess_high: Floats
    null_p: float
    interval: Interval
    judgement: Judgement
    linear: Linearity | None
    notes: tuple[str, ...]

    @property
    def excess(self) -> Floats:
        """y_i - y_i(null): what training and task add to the untrained network; shape (G,)."""
        return self.exponent - self.null_exponent

    @property
    def correction(self) -> Floats:
        """c/b of clr = a + b n + c n^2, shape (G,); NaN where growth is constant or exempt."""
        found = np.full(len(self.names), np.nan)
        if self.linear is not None:
            found[~self.exempt] = self.linear.correction
        return found

    @property
    def verdict(self) -> tuple[Verdict, ...]:
        """Verdicts of the groups, length G."""
        return self.judgement.verdict

    @property
    def method(self) -> Method:
        """How the intervals were made."""
        return self.interval.method

    @property
    def scope(self) -> IntervalScope:
        """What the intervals cover: the `population` of seeds, or `this run`."""
        return self.interval.scope

    @property
    def title(self) -> str:
        """One line that says what this is."""
        (a, b), seeds = self.window, len(self.runs)
        of = "the population of seeds" if self.scope == "population" else "this run"
        weights = "" if self.weighting == "count" else ", shares of magnitude"
        kind = "spread over levels" if self.method == "paper" else f"95 % intervals of {of}"
        return (
            f"{self.label} ({self.experiment_id}) by {self.by}{weights}: {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'}, levels {a}:{b}, "
            + (f"{kind} ({self.method})" if np.isfinite(self.low).any() else "no intervals")
        )

    def draws(self, number: int = 9999, rng: np.random.Generator | int | None = 0) -> Floats:
        """Draw log eigenvalues from what is known of them, for everything downstream.

        Parametric: a multivariate t with moderated variances and shrunk correlation. Exempt groups
        keep their value.

        Returns
        -------
        array, shape (number, G)

        Raises
        ------
        UsageError
            There is one seed, or the intervals are no t intervals.
        """
        if self.scope != "population" or not np.isfinite(self.interval.df):
            raise UsageError(
                f"{self.label}: draws need two seeds and t intervals (method moderated or t), not "
                f"{len(self.runs)} and {self.method}"
            )
        drawn = intervals.parametric_draws(self.interval, self.theta, number, rng)
        return np.where(self.exempt, np.log(self.eigenvalue), drawn)

    def plot(self) -> Figure:
        """Draw the spectrum beside its null."""
        from ..plots.spectrum import plot_spectrum

        return plot_spectrum([self])

    def to_frame(self) -> pl.DataFrame:
        """Return a row per group; what does not exist is null."""
        return frame(
            {
                "name": self.names,
                "total": self.total,
                "exempt": self.exempt,
                "eigenvalue": self.eigenvalue,
                "low": self.low,
                "high": self.high,
                "scope": [self.scope] * len(self.names),
                "boot_low": self.boot_low,
                "boot_high": self.boot_high,
                "mean": self.mean,
                "spread": self.spread,
                "exponent": self.exponent,
                "exponent_low": self.exponent_low,
                "exponent_high": self.exponent_high,
                "null_eigenvalue": self.null_eigenvalue,
                "null_exponent": self.null_exponent,
                "static_eigenvalue": self.static_eigenvalue,
                "random_sd": self.random_sd,
                "excess": self.excess,
                "excess_low": self.excess_low,
                "excess_high": self.excess_high,
                "p": self.judgement.p,
                "verdict": self.verdict,
                "strong": self.judgement.strong,
                "within_margin": self.judgement.within,
                "correction": self.correction,
            }
        )

    def _columns(self) -> dict[str, list[str]]:
        ends = zip(self.low, self.high, strict=True)
        exponent_ends = zip(self.exponent_low, self.exponent_high, strict=True)
        spreads = zip(self.mean, self.spread, strict=True)
        static = np.isfinite(self.static_eigenvalue).any()
        other = {"static null": [number(value) for value in self.static_eigenvalue]}
        return {
            self.by: list(self.names),
            "weights": [f"{total:,}" for total in self.total],
            "eigenvalue": [number(value) for value in self.eigenvalue],
            "interval": [interval(*pair) for pair in ends],
            "mean +- spread": [f"{number(mean)} +- {number(sd)}" for mean, sd in spreads],
            "null": [number(value) for value in self.null_eigenvalue],
            **(other if static else {}),
            "exponent": [number(value) for value in self.exponent],
            "exponent interval": [interval(*pair) for pair in exponent_ends],
            "null exponent": [number(value) for value in self.null_exponent],
            "verdict": self.judgement.words(),
        }
