"""The spectrum of one experiment: eigenvalues with intervals, null and verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..schemas.blocks import GROUPINGS
from ..schemas.errors import RgtoolError, UsageError, did_you_mean
from ..store.counts import Counts
from . import flow, intervals
from .intervals import Method, Scope
from .null import null_kept
from .tables import frame, html_table, interval, number, text_table
from .verdicts import Verdict, paper_rule
from .window import Window, choose_window

if TYPE_CHECKING:
    import polars as pl

    from ..store import Store

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The eigenvalues of one experiment's groups. Arrays hold NaN where there is no value.

    Attributes
    ----------
    experiment_id, label, by : str
        Experiment, its architecture and task, and the grouping.
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
    mean, spread : array, shape (G,)
        The paper's numbers: arithmetic mean over levels and seeds, and standard deviation over
        levels, averaged over seeds. The spread holds deterministic drift; it is no error bar.
    exponent, exponent_low, exponent_high : array, shape (G,)
        y_i over the window, mean over runs, and its interval.
    null_eigenvalue, null_exponent : array, shape (G,)
        The same of N1, the untrained network, at the retention measured in every run.
    verdict : tuple of str, length G
        By the paper's rule; `exempt` where there is nothing to judge.
    method : str
        How the intervals were made.
    scope : str
        What they cover: the `population` of seeds, or `this run`.
    notes : tuple of str
        What the numbers alone do not say.
    """

    experiment_id: str
    label: str
    by: str
    window: tuple[int, int]
    runs: tuple[str, ...]
    names: tuple[str, ...]
    total: NDArray[np.int64]
    exempt: NDArray[np.bool_]
    theta: Floats
    eigenvalue: Floats
    low: Floats
    high: Floats
    mean: Floats
    spread: Floats
    exponent: Floats
    exponent_low: Floats
    exponent_high: Floats
    null_eigenvalue: Floats
    null_exponent: Floats
    verdict: tuple[Verdict, ...]
    method: Method
    scope: Scope
    notes: tuple[str, ...]

    @property
    def excess(self) -> Floats:
        """y_i - y_i(null): what training and task add to the untrained network; shape (G,)."""
        return self.exponent - self.null_exponent

    @property
    def title(self) -> str:
        """One line that says what this is."""
        (a, b), seeds = self.window, len(self.runs)
        of = "the population of seeds" if self.scope == "population" else "this run"
        return (
            f"{self.label} ({self.experiment_id}) by {self.by}: {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'}, levels {a}:{b}, "
            + (f"95 % intervals of {of}" if np.isfinite(self.low).any() else "no intervals")
        )

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
                "mean": self.mean,
                "spread": self.spread,
                "exponent": self.exponent,
                "exponent_low": self.exponent_low,
                "exponent_high": self.exponent_high,
                "null_eigenvalue": self.null_eigenvalue,
                "null_exponent": self.null_exponent,
                "excess": self.excess,
                "verdict": self.verdict,
            }
        )

    def summary(self) -> str:
        """Return title, table and notes as plain text."""
        return "\n".join([self.title, text_table(self._columns()), *self.notes])

    def _repr_html_(self) -> str:
        return html_table(self.title, self._columns(), self.notes)

    def _columns(self) -> dict[str, list[str]]:
        ends = zip(self.low, self.high, strict=True)
        exponent_ends = zip(self.exponent_low, self.exponent_high, strict=True)
        spreads = zip(self.mean, self.spread, strict=True)
        return {
            self.by: list(self.names),
            "weights": [f"{total:,}" for total in self.total],
            "eigenvalue": [number(value) for value in self.eigenvalue],
            "interval": [interval(*pair) for pair in ends],
            "mean +- spread": [f"{number(mean)} +- {number(sd)}" for mean, sd in spreads],
            "null": [number(value) for value in self.null_eigenvalue],
            "exponent": [number(value) for value in self.exponent],
            "exponent interval": [interval(*pair) for pair in exponent_ends],
            "null exponent": [number(value) for value in self.null_exponent],
            "verdict": list(self.verdict),
        }


def eigen(
    store: Store,
    experiment: str | None = None,
    *,
    by: str = "block",
    window: tuple[int, int] | None = None,
) -> Spectrum:
    """Compute the spectrum of an experiment in a store.

    Parameters
    ----------
    store : Store
        Where the records are.
    experiment : str, optional
        Any unique prefix of its id, or `resnet20/cifar10`; may be left out where the store holds
        one experiment.
    by : str
        `layer`, `block` or `stage`.
    window : (a, b), optional
        Levels between which eigenvalues are taken; see `choose_window` for the default.

    Raises
    ------
    RgtoolError
        There are too few levels, or nothing was pruned.
    UsageError
        The experiment, the grouping or the window is not to be had.
    """
    if by not in GROUPINGS:
        raise UsageError(f"grouping '{by}' is unknown: {did_you_mean(by, GROUPINGS)}")
    return spectrum_of(store.counts(store.find_experiment(experiment), by), window)


def spectrum_of(counts: Counts, window: tuple[int, int] | None = None) -> Spectrum:
    """Compute the spectrum of counts; parameters and errors are those of `eigen`."""
    chosen = choose_window(counts, window)
    kept = counts.kept[chosen.runs, chosen.start : chosen.end + 1].astype(np.float64)
    steps = chosen.end - chosen.start
    theta = flow.window_log_eigenvalues(kept, 0, steps)
    y = flow.window_exponents(kept, 0, steps)
    ratios = flow.eigenvalues(kept)
    half, y_half = _half_widths(kept, theta, y)
    half, y_half = np.where(counts.exempt, np.nan, (half, y_half))
    mean = ratios.mean(axis=(0, 1))
    spread = ratios.std(axis=1, ddof=1).mean(axis=0) if steps > 1 else np.full_like(mean, np.nan)
    null_theta, null_y, null_notes = _null(counts, kept)
    centre = theta.mean(axis=0)
    single = len(theta) == 1
    return Spectrum(
        experiment_id=counts.experiment_id,
        label=counts.label,
        by=counts.by,
        window=(chosen.start, chosen.end),
        runs=tuple(counts.runs[i] for i in chosen.runs),
        names=counts.names,
        total=counts.total,
        exempt=counts.exempt,
        theta=theta,
        eigenvalue=np.exp(centre),
        low=np.exp(centre - half),
        high=np.exp(centre + half),
        mean=mean,
        spread=spread,
        exponent=y.mean(axis=0),
        exponent_low=y.mean(axis=0) - y_half,
        exponent_high=y.mean(axis=0) + y_half,
        null_eigenvalue=np.exp(null_theta),
        null_exponent=null_y,
        verdict=tuple(
            "exempt" if exempt else verdict
            for exempt, verdict in zip(counts.exempt, paper_rule(mean, spread), strict=True)
        ),
        method="t of detrended ratios" if single else "t over seeds",
        scope="this run" if single else "population",
        notes=(*chosen.notes, *_notes(counts, chosen), *null_notes),
    )


def _half_widths(kept: Floats, theta: Floats, y: Floats) -> tuple[Floats, Floats]:
    if len(theta) > 1:
        return intervals.seeds_t(theta), intervals.seeds_t(y)
    steps = kept.shape[1] - 1
    if steps < 3:
        return np.full(theta.shape[1], np.nan), np.full(theta.shape[1], np.nan)
    half = intervals.detrended_t(flow.log_eigenvalues(kept)[0])
    network = kept[0].sum(axis=-1)
    return half, half * steps / np.log(network[0] / network[-1])


def _null(counts: Counts, kept: Floats) -> tuple[Floats, Floats, tuple[str, ...]]:
    network = kept[:, [0, -1]].sum(axis=-1)
    try:
        layers, notes = null_kept(counts.layers, counts.exempt_layers, counts.recipe, network)
    except RgtoolError as error:
        nothing = np.full(kept.shape[-1], np.nan)
        return nothing, nothing, (f"no null is shown: {error}",)
    groups = [layer.group(counts.by) for layer in counts.layers]
    index = flow.group_index(groups, counts.names)
    ends = flow.group_sums(layers, index, len(counts.names))
    theta = flow.window_log_eigenvalues(ends, 0, 1) / (kept.shape[1] - 1)
    return theta.mean(axis=0), flow.window_exponents(ends, 0, 1).mean(axis=0), notes


def _notes(counts: Counts, chosen: Window) -> list[str]:
    notes, steps = [], chosen.end - chosen.start
    if len(chosen.runs) == 1 and steps < 3:
        notes.append(
            f"no interval: it takes two seeds, or one run of at least 3 steps, and this one seed "
            f"has {steps}: add --seeds or --levels"
        )
    elif len(chosen.runs) == 1:
        notes.append(
            "one seed: the intervals are of this run. Other seeds would differ by more, the "
            "population's value lies inside about 73 % of the time, not 95 %: add --seeds"
        )
    if steps < 2:
        notes.append(
            "one step has no spread over levels, so the paper's rule gives no verdict: add --levels"
        )
    exempt = [name for name, flag in zip(counts.names, counts.exempt, strict=True) if flag]
    if exempt:
        notes.append(
            f"{', '.join(exempt)}: exempt from pruning but counted, so the eigenvalue is 1/rho and "
            "the exponent 1 by construction; no verdict"
        )
    if len(counts.names) - len(exempt) < 2:
        notes.append(
            "fewer than two groups are pruned, so no group can be compared with another: "
            "a finer grouping (--by layer) may have more"
        )
    return notes
