"""At which level and density the layers of an experiment will have lost their last weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.blocks import GROUPINGS, groups_of
from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.notes import Note, Rank
from ...store.counts import Counts
from .. import flow
from ..arrays import Bools, Floats, Integers
from ..named import Named, StoreLike, counts_of
from ..result import Column, Result, ends
from ..values import Estimate
from ..window import SLACK, Window, choose_window
from .emptying import LEAST_STEPS, empty_levels, motion, still
from .law import log_time, present_law

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Forecast(Result):
    """When the groups of one experiment run empty. Arrays hold NaN where there is no value.

    Attributes
    ----------
    experiment_id, label, by : str
        Experiment, its architecture and task, and the grouping.
    window : (a, b)
        Levels that were looked at: the counts of level b, and drift over the last steps up to it.
    runs : tuple of str
        The runs used.
    names : tuple of str, length G
        Groups without exempt layers, in the order of the forward pass.
    total : integer array, shape (G,)
        Weights of the dense groups.
    kept : array, shape (G,)
        Weights kept at level b, mean over runs.
    level : Estimate, shape (G,)
        Level whose record is the first without a weight, mean over the runs, and its 95 % interval;
        NaN where that is not in sight (`outlook`), and for the ends with too few levels.
    run : Estimate, shape (G,)
        The same of one run alone.
    density : Estimate, shape (G,)
        Density of the network at these levels: the low end is that of the high level.
    observed : array, shape (G,)
        Level at which the group is recorded empty first, mean over runs; NaN unless all runs are.
    outlook : tuple of str
        `collapses`; `collapsed` where it has on record; `not in sight` where it lasts to the end.
    end : float
        The level at which all weights that may be pruned are gone.
    drawn : array, shape (D, S, G)
        Draws of the level of every run, infinite where it is not reached; NaN of what is empty.
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
    level: Estimate[Floats]
    run: Estimate[Floats]
    density: Estimate[Floats]
    observed: Floats
    outlook: tuple[str, ...]
    end: float
    drawn: Floats
    notes: tuple[str, ...]

    columns = (
        Column("name", "The group."),
        Column("total", "Weights of the dense group.", "weights", shown="wide"),
        Column("kept", "Weights at the last level of the window, mean.", "weights", ".0f"),
        Column("level", "Level of the first record without a weight.", "levels", ".1f", "if any"),
        *ends("level_low", "level_high", "its 95 % interval", "levels", ".1f", "if any"),
        *ends("run_low", "run_high", "that of one run alone", "levels", ".1f", "wide"),
        Column("density", "Density of the network there.", "", ".5f", "if any"),
        *ends("density_low", "density_high", "its interval", "", ".5f", "wide"),
        Column("observed", "That level on record.", "levels", ".1f", "if any"),
        Column(
            "outlook",
            "collapses; collapsed, on record; not in sight: lasts until nothing is left to prune.",
        ),
    )
    rows = "a row for every group that is pruned"
    see = "collapse.md#when-will-a-layer-have-lost-its-last-weight"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        (_, b), seeds = self.window, len(self.runs)
        return (
            f"forecast for {self.label} ({self.experiment_id}) by {self.by}: {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'}, from the counts of level {b}; nothing is left "
            f"that may be pruned at level {self.end:.0f}"
        )

    def _values(self) -> dict[str, Any]:
        return {
            "name": self.names,
            "total": self.total,
            "kept": self.kept,
            "level": self.level.value,
            "level_low": self.level.low,
            "level_high": self.level.high,
            "run_low": self.run.low,
            "run_high": self.run.high,
            "density": self.density.value,
            "density_low": self.density.low,
            "density_high": self.density.high,
            "observed": self.observed,
            "outlook": self.outlook,
        }

    def plot(self) -> Figure:
        """Draw it, as `rgtool.plot` does."""
        from ..plots.forest import plot_forecast

        return plot_forecast(self)


def forecast(
    store: StoreLike = None,
    experiment: Named = None,
    *,
    by: str = "layer",
    window: tuple[int, int] | None = None,
    draws: int = 1000,
    rng: np.random.Generator | int = 0,
) -> Forecast:
    """Forecast the level and density at which each group of an experiment loses its last weight.

    One threshold prunes all layers; layers keep the effective scales (`analysis.scales`) that they
    have at the last level, and about half of the drift of the last six steps (`emptying`). A group
    is empty when all of its layers are.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are.
    experiment : str or Counts, optional
        An experiment or a run, see `named.look_up`; counts are those of layers.
    by : str
        `layer`, `block`, `stage` or `role`.
    window : (a, b), optional
        Levels that are looked at; default from level 1 to the last one that all runs have.
    draws : int
        Draws behind levels and intervals.
    rng : Generator or int
        Source of randomness, or its seed.

    Raises
    ------
    RgtoolError
        There are too few levels, nothing was pruned, nothing is left to prune, all layers are
        exempt, or it is not one threshold that prunes them.
    UsageError
        The experiment, the grouping or the window is not to be had.
    """
    by = choose("grouping", by, GROUPINGS)
    counts = counts_of(store, experiment, "layer", "a forecast")
    _check_pruner(counts)
    chosen = choose_window(counts, window, through_collapse=True).distinct
    ahead = ahead_of(chosen)
    levels, uncertain = _drawn_levels(chosen, ahead, draws, np.random.default_rng(rng))
    return _told(chosen, ahead, _grouped(counts, by), levels, uncertain)


@dataclass(frozen=True)
class Ahead:
    """What the network keeps after the window.

    Attributes
    ----------
    rate : float
        -log retention of a level.
    left : array, shape (H, S)
        Weights of layers that are pruned, 1, 2, ... levels on.
    end : float
        The level at which they are gone.
    notes : tuple of str
        What is said of the rate.
    """

    rate: float
    left: Floats
    end: float
    notes: tuple[str, ...]

    @property
    def times(self) -> Floats:
        """Fall of the log density until these levels, shape (H,)."""
        return np.asarray(self.rate * np.arange(1, len(self.left) + 1))


@dataclass(frozen=True, eq=False)
class _Groups:
    """Groups without exempt layers: grouping, names, and whose layers which are, shape (G, L)."""

    by: str
    names: tuple[str, ...]
    members: Bools

    def sums(self, layers: NDArray[Any]) -> NDArray[Any]:
        """Sum over the layers of every group."""
        return layers @ self.members.T

    def last(self, levels: Floats) -> Floats:
        """Return the level at which the last of a group's layers is empty."""
        return np.stack([levels[..., one].max(axis=-1) for one in self.members], axis=-1)


def _check_pruner(counts: Counts) -> None:
    """Refuse what is not pruned by one threshold over layers."""
    recipe = counts.recipe
    if counts.by != "layer":
        raise UsageError(
            f"{counts.label}: these are counts by {counts.by}, and it is layers that run empty: "
            "give counts by layer, the forecast groups them"
        )
    if counts.exempt.all():
        raise RgtoolError(f"{counts.label}: all layers are exempt from pruning, none runs empty")
    if recipe.pruner != "magnitude" or recipe.scope != "global":
        instead = "there scores, not magnitudes, set what a layer keeps"
        if recipe.pruner == "random" or recipe.scope == "layerwise":
            instead = "there every layer keeps about the share that the network keeps"
        raise RgtoolError(
            f"{counts.label}: a forecast rests on one threshold for the magnitudes of all layers, "
            f"and this recipe has pruner {recipe.pruner} and scope {recipe.scope}: {instead}"
        )


def ahead_of(chosen: Window) -> Ahead:
    """Go on at the retention that was seen until nothing is left that may be pruned.

    Raises
    ------
    RgtoolError
        Nothing is left already, or the last step pruned nothing.
    """
    counts, network = chosen.counts, chosen.network
    fixed = float(counts.total[counts.exempt].sum())
    now = network[:, -1]
    if now.min() < fixed + 1:
        raise RgtoolError(
            f"{counts.label}: at level {chosen.end} nothing is left that may be pruned: end the "
            f"window before (--window {chosen.start}:{chosen.end - 1})"
        )
    rate, notes = _rate(chosen)
    levels = max(int(np.log(now.max() / (fixed + 1)) / rate), 1)
    left = now * np.exp(-rate * np.arange(1, levels + 1))[:, None] - fixed
    end = chosen.end + float(np.log(now / (fixed + 1)).mean()) / rate
    return Ahead(rate, left, end, notes)


def _rate(chosen: Window) -> tuple[float, tuple[str, ...]]:
    """Return -log retention of a level: that of all steps, of the last one where they differ."""
    steps = -np.log(flow.retention(chosen.kept)).mean(axis=0)
    rounding = 2 / chosen.network[:, -1].min()
    if np.ptp(steps) <= SLACK * steps.mean() + rounding:
        return float(steps.mean()), ()
    low, high, last = (float(np.exp(-step)) for step in (steps.max(), steps.min(), steps[-1]))
    if not steps[-1] > 0:
        raise RgtoolError(
            f"{chosen.counts.label}: nothing was pruned in the step to level {chosen.end}, which "
            "tells nothing of the steps ahead: choose another window (--window)"
        )
    note = (
        f"a step keeps {low:.2f} to {high:.2f} of the weights in this window: levels go on at that "
        f"of its last step, {last:.2f}; densities hold for any"
    )
    return float(steps[-1]), (note,)


def _drawn_levels(
    chosen: Window, ahead: Ahead, draws: int, rng: np.random.Generator
) -> tuple[Floats, bool]:
    """Draw the level at which each layer is empty first, (draws, S, L), and tell if with noise.

    What is empty at the end of the window has its level on record; exempt layers never are.
    """
    counts, runs = chosen.counts, len(chosen.runs)
    pruned = ~counts.exempt  # what is whole yet runs empty too
    kept, total = chosen.kept[..., pruned], counts.total[pruned].astype(np.float64)
    law, _ = present_law(chosen)
    moving = motion(kept, total, log_time(chosen), law)
    gains = (moving or still(len(total))).gains(ahead.times, draws, runs, rng)
    found = chosen.end + empty_levels(kept[:, -1], total, ahead.left, gains, draws, rng, law)
    out = np.full((draws, runs, len(pruned)), np.inf)
    out[..., pruned] = np.where(kept[:, -1] > 0, found, _first_empty(chosen)[:, pruned])
    return out, moving is not None


def _first_empty(chosen: Window) -> Floats:
    """Return the level of the first record without a weight, infinite without one: (S, L)."""
    counts = chosen.counts
    empty = (counts.kept[chosen.runs] == 0) & counts.recorded[chosen.runs][:, :, None]
    return np.where(empty.any(axis=1), counts.levels[np.argmax(empty, axis=1)], np.inf)


def _grouped(counts: Counts, by: str) -> _Groups:
    of_layer = groups_of(counts.layers, by, counts.recipe.architecture)
    names = np.array(list(dict.fromkeys(of_layer)))
    members = names[:, None] == np.array(of_layer)
    pruned = ~(members & counts.exempt).any(axis=1)
    return _Groups(by, tuple(names[pruned].tolist()), members[pruned])


def _told(chosen: Window, ahead: Ahead, groups: _Groups, layers: Floats, noisy: bool) -> Forecast:
    counts, end = chosen.counts, chosen.end
    seen = groups.last(_first_empty(chosen))
    observed = np.where(np.isfinite(seen).all(axis=0), seen.mean(axis=0), np.nan)
    kept = groups.sums(chosen.kept[:, -1].mean(axis=0))
    drawn = np.where(kept > 0, groups.last(layers), np.nan)  # what is empty is not forecast
    level = _of_draws(drawn.mean(axis=1), noisy)
    outlook = np.where(np.isnan(level.value), "not in sight", "collapses")
    outlook = np.where(np.isfinite(observed), "collapsed", outlook)

    def density(levels: Floats) -> Floats:
        return np.asarray(chosen.density[-1] * np.exp(-ahead.rate * (levels - end)))

    found = Forecast(
        experiment_id=counts.experiment_id,
        label=counts.label,
        by=groups.by,
        window=chosen.levels,
        runs=chosen.run_ids,
        names=groups.names,
        total=groups.sums(counts.total),
        kept=kept,
        level=level,
        run=_of_draws(drawn.reshape(-1, len(kept)), noisy),
        density=Estimate(density(level.value), density(level.high), density(level.low)),
        observed=observed,
        outlook=tuple(outlook.tolist()),
        end=ahead.end,
        drawn=drawn,
        notes=(*chosen.notes, *ahead.notes),
    )
    return replace(found, notes=(*found.notes, *_notes(found, chosen, noisy)))


def _of_draws(levels: Floats, noisy: bool) -> Estimate[Floats]:
    """Return median and middle 95 % of draws (D, G); NaN where they lie beyond the end."""
    # Levels may be infinite, between which nothing can be interpolated.
    low, middle, high = np.quantile(levels, (0.025, 0.5, 0.975), axis=0, method="inverted_cdf")
    low, middle, high = (np.where(np.isfinite(v), v, np.nan) for v in (low, middle, high))
    none = np.full(middle.shape, np.nan)
    return Estimate(middle, low if noisy else none, high if noisy else none)


def _notes(found: Forecast, chosen: Window, noisy: bool) -> list[str]:
    law, assumed = present_law(chosen)
    notes = [*_first_to_go(found), *assumed, *_about_exempt(chosen.counts)]
    if not noisy:
        text = (
            f"no interval: it takes {LEAST_STEPS} steps in the window, and two layers with enough "
            "weights, to tell how scales move"
        )
        notes.append(Note(text, rank=Rank.WARNING))
    elif len(found.runs) == 1:
        text = "one seed: intervals are those of this run, not of another one"
        notes.append(Note(text, rank=Rank.WARNING))
    late = (found.level.value - found.observed)[np.isfinite(found.level.value - found.observed)]
    if len(late):
        notes.append(
            f"forecast less record: {late.mean():+.1f} levels in the mean, {late.min():+.1f} to "
            f"{late.max():+.1f}"
        )
    steady = [n for n, out in zip(found.names, found.outlook, strict=True) if out == "not in sight"]
    if steady:
        lasting = f"not before level {found.end:.0f}, where nothing is left to prune"
        notes.append(f"{', '.join(steady)}: {lasting}")
    if (np.isfinite(found.level.low) & np.isnan(found.level.high)).any():
        notes.append(f"no upper end: past level {found.end:.0f}, where nothing is left to prune")
    text = (
        f"rests on one threshold for all layers, scales of {law} weights as they are at the last "
        "level, half of their drift"
    )
    return [*notes, Note(text, rank=Rank.DETAIL)]


def _first_to_go(found: Forecast) -> list[str]:
    """Say in a sentence which group is the first to go."""
    if not np.isfinite(found.level.value).any():
        return []
    first = int(np.nanargmin(found.level.value))
    low, high = found.level.low[first], found.level.high[first]
    interval = f" [{low:.1f}, {high:.1f}]" if np.isfinite(high - low) else ""
    text = (
        f"{found.names[first]} is the next to run empty, at level "
        f"{found.level.value[first]:.1f}{interval}, density {found.density.value[first]:.3g}"
    )
    return [Note(text, rank=Rank.CONCLUSION)]


def _about_exempt(counts: Counts) -> list[str]:
    if not counts.exempt.any():
        return []
    share = counts.total[counts.exempt].sum() / counts.total.sum()
    return [
        f"{', '.join(counts.exempt_layers)}: exempt from pruning, left out; densities below "
        f"{share:.3g}, its share, do not exist"
    ]
