"""The spectrum of one experiment: eigenvalues with intervals, null and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...schemas.errors import UsageError
from ..arrays import Bools, Floats, Integers
from ..nulls.beyond import AgainstNull
from ..nulls.initial import Weighting
from ..result import Column, Result, ends
from ..values import Estimate
from . import intervals
from .intervals import Interval, IntervalScope, Method
from .linearity import Linearity
from .verdicts import Judgement, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..charts.chart import Chart


@dataclass(frozen=True, eq=False)
class PaperSpread:
    """The paper's numbers of G groups, shape (G,) each.

    Attributes
    ----------
    mean : array
        Arithmetic mean of the eigenvalue over levels and seeds.
    sd : array
        Standard deviation over levels, averaged over seeds. It holds deterministic drift and is no
        error bar.
    """

    mean: Floats
    sd: Floats


@dataclass(frozen=True, eq=False)
class Untrained:
    """What G groups have without training, at the retention measured in every run; NaN: unknown.

    Attributes
    ----------
    eigenvalue, exponent : array, shape (G,)
        Of N1, the untrained network: the canonical part.
    static : array, shape (G,)
        Eigenvalue of N2, the trained dense network pruned in one go; NaN where runs keep no dense
        weights.
    random_sd : array, shape (G,)
        N0: standard deviation over runs of the log eigenvalue, mean 0, if pruning were random.
    p : float
        Of a spectrum that is that of its initial scales (N1), over all groups together.
    """

    eigenvalue: Floats
    exponent: Floats
    static: Floats
    random_sd: Floats
    p: float


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
        Groups that are counted and never pruned: of counts eigenvalue 1/rho and exponent 1 by
        construction.
    theta : array, shape (S, G)
        Mean log eigenvalue over the window, per run.
    boot : Estimate, shape (G,), or None
        The eigenvalue by the bootstrap over seeds, beside the default from three seeds on.
    paper : PaperSpread
        Mean and standard deviation as the paper gives them.
    exponent : Estimate, shape (G,)
        y_i over the window, mean over runs.
    untrained : Untrained
        The null models.
    anomalous : Estimate, shape (G,)
        y_i - y_i(N1): what training and task add to what the initial scales alone give.
    against_null : tuple of str, length G
        `above`, `below`, `none` (certified within the margin of judgement) or `undecided`; empty
        for exempt groups and where there is no null.
    interval : Interval
        Of theta, with variance and degrees of freedom; exempt groups are NaN.
    judgement : Judgement
        Verdicts, p-values and margin.
    linear : Linearity or None
        Test of constant growth over the groups that are not exempt, in their order; None for
        fewer than three steps or two such groups.
    at_chance : bool or None
        Whether nothing was learned, at the dense level and over the window; None where accuracy or
        the error of guessing is unknown.
    notes : tuple of str
        What the numbers alone do not say, what matters most first.
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
    boot: Estimate[Floats] | None
    paper: PaperSpread
    exponent: Estimate[Floats]
    untrained: Untrained
    anomalous: Estimate[Floats]
    against_null: tuple[AgainstNull, ...]
    interval: Interval
    judgement: Judgement
    linear: Linearity | None
    at_chance: bool | None
    notes: tuple[str, ...]

    columns = (
        Column("name", "The group."),
        Column("total", "Weights of the dense group.", "weights"),
        Column("exempt", "Counted and never pruned.", shown="wide"),
        Column(
            "eigenvalue",
            "Geometric mean over levels and seeds of M(n+1)/M(n).",
            "1 a level",
            ".3f",
        ),
        *ends("low", "high", "its 95 % interval", "1 a level", ".3f", "if any"),
        Column("scope", "What intervals cover: population (of seeds), or this run.", shown="wide"),
        *ends(
            "boot_low",
            "boot_high",
            "its interval by bootstrap of seeds, from three on",
            "1 a level",
            ".3f",
            "if any",
        ),
        Column("mean", "The paper's eigenvalue: arithmetic mean.", "1 a level", ".3f", "wide"),
        Column(
            "spread",
            "The paper's ±: standard deviation over levels, no error bar.",
            "1 a level",
            ".3f",
            "wide",
        ),
        Column("exponent", "y = ln eigenvalue / -ln retention.", format="+z.3f"),
        *ends("exponent_low", "exponent_high", "its 95 % interval", "", "+z.3f", "wide"),
        Column(
            "canonical_eigenvalue",
            "Eigenvalue that the initial scales alone give (N1): untrained, pruned as far.",
            "1 a level",
            ".3f",
            "wide",
        ),
        Column("canonical", "Exponent that the initial scales alone give.", "", "+z.3f", "if any"),
        Column(
            "static_eigenvalue",
            "Eigenvalue of the trained dense network pruned in one go (N2); with --keep dense.",
            "1 a level",
            ".3f",
            "if any",
        ),
        Column(
            "random_sd",
            "Standard deviation of the log eigenvalue if pruning were random (N0).",
            "log, a level",
            ".4f",
            "wide",
        ),
        Column("anomalous", "exponent minus canonical: the rest.", "", "+z.3f", "if any"),
        *ends(
            "anomalous_low",
            "anomalous_high",
            "its 95 % interval over seeds",
            "",
            "+z.3f",
            "if any",
        ),
        Column(
            "against_null",
            "The anomalous exponent is above 0, below 0, none (certified within the margin by "
            "ln 1.25), or undecided.",
            shown="if any",
        ),
        Column("p", "Of an eigenvalue of 1, adjusted over groups (Holm).", "", ".2g", "wide"),
        Column("verdict", "relevant, irrelevant, marginal, indeterminate, or exempt."),
        Column("strong", "The whole interval lies outside the margin.", shown="wide"),
        Column("within_margin", "Certified within the margin of 1.", shown="wide"),
        Column(
            "at_chance",
            "Nothing was learned: test accuracy cannot be told from guessing.",
            shown="if any",
        ),
        Column(
            "bend",
            "Change of growth over the window beyond N1's, in ln eigenvalue of a step of 20 %.",
            "log, a step",
            "+z.3f",
            "wide",
        ),
        Column(
            "canonical_bend", "The same of N1, which is taken off.", "log, a step", "+z.3f", "wide"
        ),
        Column(
            "correction",
            "c/b of clr = a + b n + c n^2 where growth is not constant, n in steps of 20 %.",
            "1 a step",
            ".3g",
            "wide",
        ),
    )
    rows = "a row for every group"
    see = "spectra.md#what-rgtool-eigen-estimates"

    @property
    def eigenvalue(self) -> Estimate[Floats]:
        """Geometric mean over window and seeds: exp of the mean of theta over runs."""
        value = np.exp(self.theta.mean(axis=0))
        return Estimate(value, np.exp(self.interval.low), np.exp(self.interval.high))

    @property
    def canonical(self) -> Floats:
        """Exponents that the initial scales alone give (N1), shape (G,)."""
        return self.untrained.exponent

    @property
    def correction(self) -> Floats:
        """c/b of clr = a + b n + c n^2, shape (G,); NaN where growth is constant or exempt."""
        return self._of_linear("correction")

    def _of_linear(self, name: str) -> Floats:
        """Place what the test of constant growth says of pruned groups: NaN elsewhere, (G,)."""
        found = np.full(len(self.names), np.nan)
        if self.linear is not None:
            found[~self.exempt] = getattr(self.linear, name)
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
    def has_intervals(self) -> bool:
        """Whether any group has an interval."""
        return bool(np.isfinite(self.interval.low).any())

    @property
    def title(self) -> str:
        """One line that says what this is."""
        (a, b), seeds = self.window, len(self.runs)
        of = "this run" if seeds == 1 else "these runs"
        of = "the population of seeds" if self.scope == "population" else of
        weights = "" if self.weighting == "count" else ", shares of magnitude"
        kind = "spread over levels" if self.method == "paper" else f"95 % intervals of {of}"
        return (
            f"{self.label} ({self.experiment_id}) by {self.by}{weights}: {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'}, levels {a}:{b}, "
            + (
                f"{kind} ({self.interval.name})"
                if np.isfinite(self.interval.low).any()
                else "no intervals"
            )
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
        return np.where(self.exempt, np.log(self.eigenvalue.value), drawn)

    def _values(self) -> dict[str, Any]:
        growth, judged, nulls = self.eigenvalue, self.judgement, self.untrained
        return {
            "name": self.names,
            "total": self.total,
            "exempt": self.exempt,
            "eigenvalue": growth.value,
            "low": growth.low,
            "high": growth.high,
            "scope": [self.scope] * len(self.names),
            "boot_low": None if self.boot is None else self.boot.low,
            "boot_high": None if self.boot is None else self.boot.high,
            "mean": self.paper.mean,
            "spread": self.paper.sd,
            "exponent": self.exponent.value,
            "exponent_low": self.exponent.low,
            "exponent_high": self.exponent.high,
            "canonical_eigenvalue": nulls.eigenvalue,
            "canonical": nulls.exponent,
            "static_eigenvalue": nulls.static,
            "random_sd": nulls.random_sd,
            "anomalous": self.anomalous.value,
            "anomalous_low": self.anomalous.low,
            "anomalous_high": self.anomalous.high,
            "against_null": self.against_null,
            "p": judged.p,
            "verdict": judged.verdict,
            "strong": judged.strong,
            "within_margin": judged.within,
            "at_chance": [self.at_chance] * len(self.names),
            "bend": self._of_linear("bend"),
            "canonical_bend": self._of_linear("canonical_bend"),
            "correction": self.correction,
        }

    @classmethod
    def plot_together(cls, results: Sequence[Self]) -> Figure:
        """Draw several in one figure."""
        from ..plots.spectrum import plot_spectrum

        return plot_spectrum(results)

    @classmethod
    def chart_together(cls, results: Sequence[Self]) -> Chart:
        """Draw several in one chart."""
        from ..charts.spectra import spectrum_chart

        return spectrum_chart(results)
