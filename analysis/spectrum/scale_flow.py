"""The flow of an experiment in effective scales, in which an untrained network stands still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...schemas.blocks import GROUPINGS, Layer, groups_of
from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.notes import Note, Rank
from ...schemas.words import counted, listed
from .. import flow, scales
from ..arrays import Bools, Floats, Integers
from ..named import Named, StoreLike, counts_of
from ..nulls.initial import DistributionName
from ..nulls.known import weight_law
from ..result import Column, Result, ends
from ..stats.seeds import SeedMean, seed_mean
from ..values import Estimate
from ..window import Window, choose_window
from .intervals import IntervalScope

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..charts.chart import Chart

WHOLE = 0.999  # share kept above which a layer says nothing of its scale
# Of the motion of shares, below which that of scales is clearly less and pruning makes the rest.
CLEARLY_LESS = 0.5
SEE = "spectra.md#canonical-and-anomalous"


@dataclass(frozen=True)
class Travel:
    """How far groups move between the ends of a window: root mean squares over groups and runs.

    Attributes
    ----------
    share : float
        In the centred log-ratios of their shares.
    scale : float
        In their effective scales: what is left when the kinematics of pruning are taken off.
    chance : float
        What the sampling of counts alone would make of `scale`.
    """

    share: float
    scale: float
    chance: float


@dataclass(frozen=True, eq=False)
class ScaleFlow(Result):
    """Effective scales of G groups, and their drift. NaN for groups that have none.

    s_l = -log x_l with q(x_l) the share that layer l keeps, q that of the initialiser's
    distribution, is the logarithm of the layer's scale in units of the threshold; centred over
    layers with weights N_l / N it is constant for an untrained network, at every density. A group
    has the mean of its layers with the same weights.

    Attributes
    ----------
    experiment_id, label, by : str
        Experiment, its architecture and task, and the grouping.
    distribution : str
        The distribution of initial weights that scales are read off by.
    window : (a, b)
        Levels that are used.
    runs : tuple of str, length S
        The runs used.
    names : tuple of str, length G
        Groups in the order of the forward pass.
    layers : tuple of Layer
        The counted layers.
    total : integer array, shape (G,)
        Weights of the dense groups.
    density : array, shape (S, T + 1)
        Share of all weights that is kept.
    scale : array, shape (S, T + 1, G)
        Centred effective scales.
    start, end : Estimate, shape (G,)
        At the ends of the window, mean over runs.
    drift : Estimate, shape (G,)
        eta = -ds / dln d by least squares over the window, d the density; mean over runs.
    travel : Travel
        How far the groups move.
    notes : tuple of str
        What was left out, and what the numbers alone do not say.
    """

    experiment_id: str
    label: str
    by: str
    distribution: DistributionName
    window: tuple[int, int]
    runs: tuple[str, ...]
    names: tuple[str, ...]
    layers: tuple[Layer, ...]
    total: Integers
    density: Floats
    scale: Floats
    start: Estimate[Floats]
    end: Estimate[Floats]
    drift: Estimate[Floats]
    travel: Travel
    notes: tuple[str, ...]

    columns = (
        Column("name", "The group."),
        Column("total", "Weights of the dense group.", "weights"),
        Column("scale", "Effective scale s at the first level, centred.", "log", "+z.4f"),
        *ends("scale_low", "scale_high", "its 95 % interval", "log", "+z.4f", "wide"),
        Column("scale_end", "The same at the last level.", "log", "+z.4f"),
        *ends("scale_end_low", "scale_end_high", "its 95 % interval", "log", "+z.4f", "wide"),
        Column("drift", "eta = -ds/dln d, d the density: 0 without training.", "", "+z.4f"),
        *ends("drift_low", "drift_high", "its 95 % interval", "", "+z.4f", "if any"),
        Column("scope", "What intervals cover: population (of seeds), or this run.", shown="wide"),
    )
    rows = "a row for every group"
    see = SEE

    @property
    def scope(self) -> IntervalScope:
        """What the intervals cover: the `population` of seeds, or `this run`."""
        return "population" if len(self.runs) > 1 else "this run"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        (a, b), seeds = self.window, len(self.runs)
        of = "the population of seeds" if seeds > 1 else "this run"
        known = np.isfinite(self.drift.low).any()
        return (
            f"{self.label} ({self.experiment_id}) by {self.by} in effective scales of "
            f"{self.distribution} weights: {counted(seeds, 'seed')}, levels {a}:{b}, "
            + (f"95 % intervals of {of}" if known else "no intervals")
        )

    def _values(self) -> dict[str, Any]:
        return {
            "name": self.names,
            "total": self.total,
            "scale": self.start.value,
            "scale_low": self.start.low,
            "scale_high": self.start.high,
            "scale_end": self.end.value,
            "scale_end_low": self.end.low,
            "scale_end_high": self.end.high,
            "drift": self.drift.value,
            "drift_low": self.drift.low,
            "drift_high": self.drift.high,
            "scope": [self.scope] * len(self.names),
        }

    @classmethod
    def plot_together(cls, results: Sequence[Self]) -> Figure:
        """Draw several in one figure."""
        from ..plots.flow import plot_scale_flow

        return plot_scale_flow(results)

    def chart(self) -> Chart:
        """Draw it as a chart."""
        from ..charts.flow import scale_flow_chart

        return scale_flow_chart(self)


def scale_flow(
    store: StoreLike = None,
    experiment: Named = None,
    *,
    by: str | None = None,
    window: tuple[int, int] | None = None,
) -> ScaleFlow:
    """Compute effective scales of an experiment and their drift.

    Parameters
    ----------
    store, experiment
        As for `eigen`; counts must be those of layers.
    by : str, optional
        `layer`, `block`, `stage` or `role`; default `block`.
    window : (a, b), optional
        Levels that are used; see `choose_window` for the default.

    Raises
    ------
    RgtoolError
        There are too few levels, or fewer than two groups have a scale.
    UsageError
        The experiment, the grouping or the window is not to be had.
    """
    counts = counts_of(store, experiment, "layer", "a flow in effective scales")
    if counts.by != "layer":
        raise UsageError(
            f"effective scales are those of layers, and these counts are by {counts.by}: take "
            'counts by layer, and by="stage" for groups of them'
        )
    return scales_of_window(choose_window(counts, window).distinct, by or "block")


def scales_of_window(chosen: Window, by: str) -> ScaleFlow:
    """Compute effective scales over a window of counts by layer; see `scale_flow`."""
    counts = chosen.counts
    by = choose("grouping", by, GROUPINGS)
    groups = groups_of(counts.layers, by, counts.recipe.architecture)
    names = tuple(dict.fromkeys(groups))
    known, (distribution, assumed) = have_scales(chosen), weight_law(counts)
    found = Course(chosen, known, flow.group_index(groups, names)[known], distribution)
    total = flow.group_sums(counts.total, flow.group_index(groups, names), len(names))
    start, end = found.at(0), found.at(-1)
    return ScaleFlow(
        experiment_id=counts.experiment_id,
        label=counts.label,
        by=by,
        distribution=distribution,
        window=chosen.levels,
        runs=chosen.run_ids,
        names=names,
        layers=counts.layers,
        total=total.astype(np.int64),
        density=chosen.network / counts.total.sum(),
        scale=found.spread(found.scale, len(names)),
        start=found.estimate(start, len(names)),
        end=found.estimate(end, len(names)),
        drift=found.estimate(found.drift, len(names)),
        travel=found.travel,
        notes=(
            *chosen.notes,
            *assumed,
            *_without_scales(chosen, known, groups),
            _kinematics(chosen, found.travel),
        ),
    )


def have_scales(chosen: Window) -> Bools:
    """Tell which layers have a scale at every level of the window: shape (L,).

    Raises
    ------
    RgtoolError
        Fewer than two layers have one.
    """
    counts = chosen.counts
    whole = (chosen.kept / counts.total).max(axis=(0, 1)) > WHOLE
    known = scales.usable(chosen.kept, counts.total, counts.exempt) & ~whole
    if known.sum() < 2:
        raise RgtoolError(
            f"{counts.label}: fewer than two layers have an effective scale over levels "
            f"{chosen.start}:{chosen.end}, where {WHOLE:.1%} kept at most and {scales.LEAST} "
            "weights kept and pruned are needed: take another --window"
        )
    return np.asarray(known)


class Course:
    """Scales of the groups of known layers, at the levels of a window.

    Parameters
    ----------
    chosen : Window
        Counts by layer.
    known : bool array, shape (L,)
        `have_scales`.
    index : integer array
        Group of every known layer.
    distribution : str
        That of initial weights.

    Attributes
    ----------
    scale : array, shape (S, T + 1, K)
        Centred effective scales of the K groups that have known layers.
    places : integer array, shape (K,)
        Those groups among all.

    Raises
    ------
    RgtoolError
        One group alone has a known layer.
    """

    def __init__(
        self, chosen: Window, known: Bools, index: Integers, distribution: DistributionName
    ) -> None:
        self.kept = chosen.kept[..., known]  # (S, T + 1, K)
        self.total = chosen.counts.total[known].astype(np.float64)
        self.places, self.index = np.unique(index, return_inverse=True)
        if len(self.places) < 2:
            raise RgtoolError(
                f"{chosen.counts.label}: one group alone has layers with an effective scale, and "
                "scales are those of one group against another: take a finer grouping (--by)"
            )
        self.group_total = self._sums(self.total)
        of = (self.index, len(self.places))
        found = scales.group_scales(self.kept, self.total, *of, distribution)
        self.scale = scales.centred(found, self.group_total)
        self._covariance = scales.scale_covariance(self.kept, self.total, distribution)
        time = -np.log(chosen.network)
        time = time - time.mean(axis=-1, keepdims=True)
        self._slope = time / (time**2).sum(axis=-1, keepdims=True)  # (S, T + 1)

    def _sums(self, values: Floats) -> Floats:
        return flow.group_sums(values, self.index, len(self.places))

    def contrast(self, weights: Floats) -> tuple[Floats, Floats]:
        """Combine levels with weights (S, T + 1): values of groups and their variances, (S, G)."""
        value = (weights[..., None] * self.scale).sum(axis=1)
        own = scales.contrast_variance(self._covariance, weights[:, None, :])
        mean = self._sums(self.total**2 * own) / self.group_total**2
        return value, scales.centred_variance(mean, self.group_total)

    def mean(self, weights: Floats) -> SeedMean:
        """Return the mean over runs of a contrast; of one run with the sampling of its counts."""
        value, variance = self.contrast(weights)
        if len(value) > 1:
            return seed_mean(value, variance)
        return SeedMean(value[0], np.sqrt(variance[0]), np.inf)

    def at(self, level: int) -> SeedMean:
        """Return the scales at a level of the window."""
        weights = np.zeros(self._slope.shape)
        weights[:, level] = 1.0
        return self.mean(weights)

    @property
    def drift(self) -> SeedMean:
        """Slope of the scales over -ln d."""
        return self.mean(self._slope)

    @property
    def travel(self) -> Travel:
        """How far groups move from the first to the last level."""
        weights = np.zeros(self._slope.shape)
        weights[:, 0], weights[:, -1] = -1.0, 1.0
        moved, variance = self.contrast(weights)
        ratios = flow.clr(self._sums(self.kept[:, [0, -1]]))
        shares = ratios[:, 1] - ratios[:, 0]
        rms = (np.sqrt((x**2).mean()) for x in (shares, moved, np.sqrt(variance)))
        return Travel(*map(float, rms))

    def spread(self, values: Floats, groups: int) -> Floats:
        """Put values of the groups (..., known) in their places among all: (..., groups)."""
        out = np.full((*values.shape[:-1], groups), np.nan)
        out[..., self.places] = values
        return out

    def estimate(self, found: SeedMean, groups: int) -> Estimate[Floats]:
        """Return a mean with its interval, in the places of all groups."""
        return Estimate(*(self.spread(x, groups) for x in (found.value, *found.ends())))


def _without_scales(chosen: Window, known: Bools, groups: Sequence[str]) -> list[Note]:
    """Say which layers of which groups have no scale, and why."""
    counts = chosen.counts
    whole = (chosen.kept / counts.total).max(axis=(0, 1)) > WHOLE
    few = f"fewer than {scales.LEAST} weights kept or pruned at a level of the window"
    reasons = {
        "never pruned": counts.exempt,
        f"over {WHOLE:.1%} kept": whole & ~counts.exempt,
        few: ~known & ~whole & ~counts.exempt,
    }
    said = [
        f"{listed(_parts(groups, counts.names, flags))} ({why})"
        for why, flags in reasons.items()
        if flags.any()
    ]
    if not said:
        return []
    return [Note(f"left out, without an effective scale: {'; '.join(said)}", SEE, Rank.WARNING)]


def _parts(groups: Sequence[str], layers: Sequence[str], flags: Bools) -> list[str]:
    """Name groups that have flagged layers, and those layers where they are a part of a group."""
    said = []
    for group in dict.fromkeys(groups):
        own = [i for i, name in enumerate(groups) if name == group]
        found = [layers[i] for i in own if flags[i]]
        if found and len(found) < len(own):
            said.append(f"{len(found)} of {len(own)} layers of {group}: {listed(found, 2)}")
        elif found:
            said.append(group)
    return said


def _kinematics(chosen: Window, travel: Travel) -> Note:
    """Say how far groups move in either coordinate, and whether pruning alone explains it."""
    text = (
        f"from level {chosen.start} to level {chosen.end} groups move by {travel.share:.2g} rms in "
        f"the centred log-ratios of their shares and by {travel.scale:.2g} in effective scales, "
        f"where chance in the counts alone makes about {travel.chance:.1g}"
    )
    recipe = chosen.counts.recipe
    if recipe.pruner != "magnitude" or recipe.scope != "global":
        text += (
            "; one threshold for the magnitudes of all layers would leave scales where they are, "
            f"and this is pruner {recipe.pruner} with scope {recipe.scope}"
        )
    elif travel.scale < CLEARLY_LESS * travel.share:
        text += ": the rest is the kinematics of pruning, which an untrained network has too"
    return Note(text, SEE, Rank.CONCLUSION)
