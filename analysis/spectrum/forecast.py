"""At which level and density the groups of an experiment will have lost their last weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...schemas.errors import RgtoolError
from ..arrays import Bools, Floats, Integers
from ..named import Named, StoreLike, counts_of
from ..result import Column, Result, ends
from ..values import Estimate
from ..window import Window, choose_window
from .eigen import eigen
from .result import Spectrum
from .verdicts import Verdict

_FAR = 2.0  # a forecast this many times as long as what it rests on is called far


@dataclass(frozen=True, eq=False)
class Forecast(Result):
    """When the groups of one experiment collapse. Arrays hold NaN where there is no value.

    Attributes
    ----------
    experiment_id, label, by : str
        Experiment, its architecture and task, and the grouping.
    window : (a, b)
        Levels that the eigenvalues come from.
    runs : tuple of str
        The runs used.
    names : tuple of str, length G
        Groups that are pruned, in the order of the forward pass; exempt ones are left out.
    total : integer array, shape (G,)
        Weights of the dense groups.
    kept : array, shape (G,)
        Weights kept at level b, geometric mean over seeds.
    eigenvalue : array, shape (G,)
        Geometric mean over window and seeds.
    verdict : tuple of str
        That of the spectrum.
    level : Estimate, shape (G,)
        n_c, where the expected number of weights is 1, and its 95 % interval over seeds; NaN where
        that is not in sight (`outlook`), and for the ends with one seed.
    density : Estimate, shape (G,)
        Density of the network at these levels: the low end is that of the high level.
    flow_level : Estimate, shape (G,)
        The same level, and its interval, if strengths relative to one another stay as they are
        from level b on, rather than eigenvalues, which cannot: shares sum to 1.
    observed : array, shape (G,)
        Level at which the group is recorded empty first, mean over runs; NaN unless all runs are.
    outlook : tuple of str
        `collapses`; `collapsed` where it has on record; `not in sight` where the whole network
        would have lost its last weight before.
    end : float
        The level at which the whole network is down to one weight.
    notes : tuple of str
        What the numbers alone do not say.
    """

    experiment_id: str
    label: str
    by: str
    window: tuple[int, int]
    runs: tuple[str, ...]
    names: tuple[str, ...]
    total: Integers
    kept: Floats
    eigenvalue: Floats
    verdict: tuple[Verdict, ...]
    level: Estimate[Floats]
    density: Estimate[Floats]
    flow_level: Estimate[Floats]
    observed: Floats
    outlook: tuple[str, ...]
    end: float
    notes: tuple[str, ...]

    columns = (
        Column("name", "The group."),
        Column("total", "Weights of the dense group.", "weights", shown="wide"),
        Column("kept", "Weights at the last level of the window.", "weights", ".0f"),
        Column("eigenvalue", "Geometric mean over window and seeds.", "1 a level", ".3f"),
        Column("verdict", "That of the spectrum.", shown="wide"),
        Column(
            "level",
            "Where one weight is left if eigenvalues stay.",
            "levels",
            ".1f",
            "if any",
        ),
        *ends("level_low", "level_high", "its 95 % interval", "levels", ".1f", "if any"),
        Column("density", "Density of the network there.", "", ".5f"),
        *ends("density_low", "density_high", "its interval", "", ".5f", "wide"),
        Column(
            "flow_level",
            "The level if strengths relative to one another stay.",
            "levels",
            ".1f",
            "if any",
        ),
        *ends("flow_low", "flow_high", "its 95 % interval", "levels", ".1f", "if any"),
        Column("observed", "Level of the first empty record.", "levels", ".1f", "if any"),
        Column(
            "outlook",
            "collapses; collapsed, on record; not in sight: the network as a whole ends before.",
        ),
    )
    rows = "a row for every group that is pruned"
    see = "collapse.md#when-will-a-group-have-lost-its-last-weight"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        (a, b), seeds = self.window, len(self.runs)
        return (
            f"forecast for {self.label} ({self.experiment_id}) by {self.by}: {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'}, from levels {a}:{b}; the network is down to one "
            f"weight at level {self.end:.0f}"
        )

    def _values(self) -> dict[str, Any]:
        return {
            "name": self.names,
            "total": self.total,
            "kept": self.kept,
            "eigenvalue": self.eigenvalue,
            "verdict": self.verdict,
            "level": self.level.value,
            "level_low": self.level.low,
            "level_high": self.level.high,
            "density": self.density.value,
            "density_low": self.density.low,
            "density_high": self.density.high,
            "flow_level": self.flow_level.value,
            "flow_low": self.flow_level.low,
            "flow_high": self.flow_level.high,
            "observed": self.observed,
            "outlook": self.outlook,
        }


def forecast(
    store: StoreLike = None,
    experiment: Named = None,
    *,
    by: str = "block",
    window: tuple[int, int] | None = None,
    draws: int = 4000,
    rng: np.random.Generator | int = 0,
) -> Forecast:
    """Forecast the level and density at which each group of an experiment collapses.

    n_c = a + log N_i(a) / -log(rho lambda_i): a group of N_i weights keeps the share rho lambda_i
    of them at every level. Its interval follows from draws of the spectrum.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are.
    experiment : str or Counts, optional
        An experiment or a run, see `named.look_up`.
    by : str
        `layer`, `block` or `stage`.
    window : (a, b), optional
        Levels that eigenvalues are taken from, as for `eigen`.
    draws : int
        Draws behind the intervals.
    rng : Generator or int
        Source of randomness, or its seed.

    Raises
    ------
    RgtoolError
        There are too few levels, nothing was pruned, or all groups are exempt.
    UsageError
        The experiment, the grouping or the window is not to be had.
    """
    counts = counts_of(store, experiment, by, "a forecast")
    if counts.exempt.all():
        raise RgtoolError(f"{counts.label}: all groups are exempt from pruning, none collapses")
    spectrum = eigen(None, counts, window=window)
    return _forecast(choose_window(counts, window), spectrum, draws, rng)


def collapse_level(log_kept: ArrayLike, log_retention: ArrayLike, start: float = 0.0) -> Floats:
    """Return the level at which a group is down to one weight: start + log N / -log(rho lambda).

    Parameters
    ----------
    log_kept : array
        Logarithm of the weights at level `start`.
    log_retention : array
        log(rho lambda), what the group keeps at a level; where it is not negative the level is
        infinite.
    start : float
        Level of `log_kept`.

    Examples
    --------
    >>> round(float(collapse_level(np.log(1000), np.log(0.8))), 2)
    30.96
    """
    logs, rate = np.broadcast_arrays(
        *(np.asarray(v, np.float64) for v in (log_kept, log_retention))
    )
    out = np.full(logs.shape, np.inf)
    np.divide(logs, -rate, out=out, where=rate < 0)
    return np.asarray(start + np.where(logs <= 0, 0.0, out))


def flow_levels(kept: ArrayLike, log_strength: ArrayLike, log_rho: float, exempt: Bools) -> Floats:
    """Return how many levels a steady flow takes to bring each group down to one weight.

    Shares grow by strengths relative to one another and are renormalised, M_i(n+1) = M_i(n) s_i /
    sum_j M_j(n) s_j, the one flow with constant growth; a group cannot gain weights, so what it
    cannot take the others keep. Exempt groups keep all.

    Parameters
    ----------
    kept : array, shape (..., G)
        Weights at the start.
    log_strength : array, shape (..., G)
        log s_i, up to a constant.
    log_rho : float
        Log retention of the whole network.
    exempt : bool array, shape (G,)
        Groups that are never pruned.

    Returns
    -------
    array, shape (..., G)
        Levels, interpolated in log weights; infinite for groups that outlast the network.
    """
    start, logs = np.broadcast_arrays(
        np.asarray(kept, np.float64), np.asarray(log_strength, np.float64)
    )
    now, strength = np.where(exempt, 0.0, start), np.exp(logs)
    network, fixed = start.sum(axis=-1), np.where(exempt, start, 0.0).sum(axis=-1)
    out = np.where((now <= 1) & ~exempt, 0.0, np.inf)
    for step in range(int(np.log(max(network.max(), 1.0)) / -log_rho) + 1):
        target = np.maximum(network * np.exp(log_rho * (step + 1)) - fixed, 0.0)
        following = np.where(target[..., None] > 1, _divided(target, now * strength, now), now)
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.log(now) / (np.log(now) - np.log(following))
        out = np.where((following <= 1) & np.isinf(out) & ~exempt, step + part, out)
        now = following
    return out


def _divided(target: Floats, wanted: Floats, most: Floats) -> Floats:
    """Divide weights in proportion to `wanted`, no group getting more than `most`."""
    full = np.zeros(wanted.shape, bool)
    while True:
        rest = target - np.where(full, most, 0.0).sum(axis=-1)
        part = np.where(full, 0.0, wanted)
        scale = rest / np.maximum(part.sum(axis=-1), 1e-300)
        given = np.where(full, most, scale[..., None] * part)
        over = ~full & (given > most * (1 + 1e-12))
        if not over.any():
            return given
        full |= over


def _forecast(
    chosen: Window, spectrum: Spectrum, draws: int, rng: np.random.Generator | int
) -> Forecast:
    counts = chosen.counts
    (a, b), pruned = spectrum.window, ~counts.exempt
    log_start, log_end = (np.log(chosen.kept[:, n]).mean(axis=0) for n in (0, -1))
    network = np.log(chosen.network[:, [0, -1]]).mean(axis=0)
    log_rho = float(network[1] - network[0]) / (b - a)
    end = float(collapse_level(network[0], log_rho, a))
    theta = np.log(spectrum.eigenvalue.value)
    level = collapse_level(log_start, theta + log_rho, a)
    steady = b + flow_levels(np.exp(log_end), theta, log_rho, counts.exempt)
    ends, flow_ends = np.full((2, 2, len(level)), np.nan)
    if len(chosen.runs) > 1:
        drawn = spectrum.draws(draws, rng)
        ends = _seed_ends(collapse_level(log_start, drawn + log_rho, a))
        grown = np.minimum((b - a) * (drawn + log_rho), 0.0)  # no group gains weights
        reached = np.exp(log_start + grown)
        flow_ends = _seed_ends(b + flow_levels(reached, drawn, log_rho, counts.exempt))
    seen = _observed(chosen)
    outlook = np.where(level >= end, "not in sight", "collapses")
    outlook = np.where(np.isfinite(seen), "collapsed", outlook)
    level = np.where(level >= end, np.nan, level)
    # Past the end of the network there is no density.
    low, high, flow_low, flow_high = (
        np.where(value < end, value, np.nan) for value in (*ends, *flow_ends)
    )

    def density(levels: Floats) -> Floats:
        dense = np.log(counts.total.sum())
        return np.asarray(np.exp(network[0] - dense + log_rho * (levels - a)))[pruned]

    return Forecast(
        experiment_id=counts.experiment_id,
        label=counts.label,
        by=counts.by,
        window=(a, b),
        runs=spectrum.runs,
        names=tuple(np.array(counts.names)[pruned].tolist()),
        total=counts.total[pruned],
        kept=np.exp(log_end)[pruned],
        eigenvalue=spectrum.eigenvalue.value[pruned],
        verdict=tuple(v for v, flag in zip(spectrum.verdict, pruned, strict=True) if flag),
        level=Estimate(level[pruned], low[pruned], high[pruned]),
        density=Estimate(density(level), density(high), density(low)),
        flow_level=Estimate(
            np.where(np.isfinite(steady), steady, np.nan)[pruned],
            flow_low[pruned],
            flow_high[pruned],
        ),
        observed=seen[pruned],
        outlook=tuple(outlook[pruned].tolist()),
        end=end,
        notes=tuple(_forecast_notes(chosen, spectrum, level, outlook, steady - seen)),
    )


def _seed_ends(levels: Floats) -> Floats:
    # Levels may be infinite, between which nothing can be interpolated.
    return np.asarray(np.quantile(levels, (0.025, 0.975), axis=0, method="inverted_cdf"))


def _observed(chosen: Window) -> Floats:
    """Return the level of the first record without a weight, mean over runs; NaN unless in all."""
    counts = chosen.counts
    empty = (counts.kept[chosen.runs] == 0) & counts.recorded[chosen.runs][:, :, None]
    first = np.where(empty.any(axis=1), counts.levels[np.argmax(empty, axis=1)], np.nan)
    return np.asarray(first.mean(axis=0))


def _forecast_notes(
    chosen: Window,
    spectrum: Spectrum,
    level: Floats,
    outlook: NDArray[np.str_],
    late: Floats,
) -> list[str]:
    counts, notes = chosen.counts, list(chosen.notes)
    exempt = [name for name, flag in zip(counts.names, counts.exempt, strict=True) if flag]
    if exempt:
        notes.append(f"{', '.join(exempt)}: exempt from pruning, left out")
    if len(spectrum.runs) == 1:
        notes.append("one seed: points without interval, add --seeds")
    a, b = spectrum.window
    steady = np.array(counts.names)[(outlook == "not in sight") & ~counts.exempt]
    if len(steady):
        notes.append(
            f"{', '.join(steady)}: at this pace not before the whole network is gone; their share "
            "grows until they are all that is left"
        )
    ahead = np.nanmax(np.where(counts.exempt, np.nan, level), initial=b) - b
    if ahead > _FAR * (b - a):
        notes.append(
            f"forecasts reach {ahead:.0f} levels past the last one used, over {_FAR:g} times the "
            f"{b - a} that they rest on"
        )
    notes.append(
        "level: where one weight is left if eigenvalues stay; flow_level: if strengths relative to "
        "one another stay, which is sooner, since eigenvalues fall as strong groups take over"
    )
    on_record = late[np.isfinite(late)]
    if len(on_record):
        notes.append(
            f"against the record flow_level is late by {on_record.mean():.1f} levels in the mean, "
            f"{on_record.min():+.1f} to {on_record.max():+.1f}"
        )
    notes.append("intervals are those of seeds; that the flow will go on as it did is assumed")
    if spectrum.linear is not None and spectrum.linear.rejected:
        notes.append("growth is not constant over the window (rgtool eigen says more): both bend")
    return notes
