"""The flow as figures: shares or scales against level, and the paper's slices (Fig. 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, cycle
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import UsageError
from ...store.counts import Counts
from .. import flow
from ..arrays import Floats
from . import style as plot_style
from .style import DENSITY_TICKS, DOUBLE, FAINT, INK, LABEL, MARKERS, SINGLE, SMALL, TICK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    from ..spectrum.scale_flow import ScaleFlow

MARKED, NAMED = 14, 32  # groups that can carry markers, and that can be named one by one


class Flowing(plot_style.Grouped, plot_style.Named, Protocol):
    """What a flow is of: groups of an experiment."""


@dataclass(frozen=True, eq=False)
class Course:
    """How the groups of an experiment run, shape (T, G): mean, lowest and highest over runs.

    Attributes
    ----------
    of : Counts or ScaleFlow
        The experiment.
    levels : integer array, shape (T,)
        Levels on record.
    mean, low, high : array, shape (T, G)
        Of what is drawn.
    density : array, shape (T,)
        Share of all weights that is kept, mean over runs.
    runs : integer array, shape (T,)
        Runs that have the level.
    """

    of: Flowing
    levels: NDArray[np.int64]
    mean: Floats
    low: Floats
    high: Floats
    density: Floats
    runs: NDArray[np.int64]


def plot_flow(experiments: Sequence[Counts]) -> Figure:
    """Draw M_i(n) against the level n for every group, a panel per experiment.

    Lines are means over the runs that have the level; bands, where they do not hide each other,
    reach from the lowest to the highest run. Groups of one stage share a colour, which lightens
    with depth.
    """
    courses = [share_course(counts) for counts in experiments]
    return _draw_panels(courses, "share of kept weights $M_i$", plot_style.share_axis)


def plot_scale_flow(flows: Sequence[ScaleFlow]) -> Figure:
    """Draw effective scales against the level as `plot_flow` draws shares.

    An untrained network has horizontal lines. Groups without a scale are left out.
    """
    courses = [scale_course(one) for one in flows]
    return _draw_panels(courses, "effective scale $s_i$", lambda axes: None)


def _draw_panels(courses: Sequence[Course], y: str, dress_axis: Callable[[Axes], object]) -> Figure:
    count, groups = len(courses), max(len(course.of.names) for course in courses)
    columns = count if count <= 3 else 2 if count == 4 else 3
    rows = -(-count // columns)
    width = DOUBLE if columns > 1 else SINGLE if groups <= MARKED else 1.4 * SINGLE
    height = 2.6 if groups <= MARKED else 3.9
    figure, panels = plot_style.new_figure(rows, columns, (width, height * rows), sharey=True)
    titles = plot_style.names_of([course.of for course in courses])
    for place, (axes, course) in enumerate(zip(panels, courses, strict=False)):
        _draw_course(axes, course)
        dress_axis(axes)
        plot_style.dress(axes, x="level $n$", y="" if place % columns else y, title=titles[place])
    # Labels stand where the shared limits put the ends of the lines.
    for axes, course in zip(panels, courses, strict=False):
        _name_lines(axes, course)
    for axes in panels[count:]:
        axes.remove()
    return figure


def plot_slices(
    experiments: Sequence[Counts], pairs: Sequence[tuple[str, str]] | None = None
) -> Figure:
    """Draw the flow in planes (M_i, M_j), points coloured by level, a marker per experiment.

    Points are means over runs; a single experiment has a thin line per run as well.

    Parameters
    ----------
    experiments : sequence of Counts
        Experiments with the same groups.
    pairs : sequence of (str, str), optional
        Groups on the two axes of every panel; by default all pairs of the three groups whose share
        moves most in the first experiment.

    Raises
    ------
    UsageError
        The experiments differ in their groups, or have one group only.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    check_groups(experiments)
    pairs = pairs or liveliest_pairs(experiments[0])
    columns = min(len(pairs), 3)
    rows = -(-len(pairs) // columns)
    size = (SINGLE if columns == 1 else DOUBLE, (2.9 if columns == 1 else 2.5) * rows)
    figure, panels = plot_style.new_figure(rows, columns, size)
    last = max(int(counts.levels[-1]) for counts in experiments)
    scale = ScalarMappable(Normalize(0, last), "viridis")
    for axes, pair in zip(panels, pairs, strict=False):
        for counts, marker in zip(experiments, cycle(MARKERS), strict=False):
            _draw_slice(axes, counts, pair, marker, scale, alone=len(experiments) == 1)
        x, y = (f"share of {experiments[0].by} {plot_style.plain(name)}" for name in pair)
        plot_style.dress(axes, x=x, y=y)
        axes.margins(0.08)
        axes.locator_params(axis="x", nbins=4)
        axes.locator_params(axis="y", nbins=5)
    for axes in panels[len(pairs) :]:
        axes.remove()
    bar = figure.colorbar(
        scale, ax=panels[: len(pairs)], pad=0.02, aspect=30, ticks=MaxNLocator(integer=True)
    )
    bar.set_label("level $n$", fontsize=LABEL, color=INK)
    bar.ax.tick_params(labelsize=TICK, width=0.6, length=3)
    bar.outline.set_linewidth(0.6)
    handles = [
        Line2D([], [], linestyle="none", marker=marker, markersize=4, color=FAINT, label=text)
        for marker, text in zip(cycle(MARKERS), plot_style.names_of(experiments), strict=False)
    ]
    plot_style.legend(
        figure,
        loc="outside upper left",
        handles=handles,
        ncols=1 if columns == 1 else 3,
        handlelength=1.2,
    )
    return figure


def mean_shares(counts: Counts) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """Return the levels on record, and mean, lowest and highest share over runs: each (T, G)."""
    there = _levels_with_weights(counts)
    share = flow.shares(counts.kept[:, there])
    share[~counts.recorded[:, there]] = np.nan
    return (
        counts.levels[there],
        np.nanmean(share, axis=0),
        np.nanmin(share, axis=0),
        np.nanmax(share, axis=0),
    )


def share_course(counts: Counts) -> Course:
    """Return how the shares of groups run; an empty group has none (NaN)."""
    levels, mean, low, high = mean_shares(counts)
    there = _levels_with_weights(counts)
    network = np.where(counts.recorded, counts.kept.sum(axis=-1), np.nan)[:, there]
    density = np.nanmean(network, axis=0) / counts.total.sum()
    runs = counts.recorded[:, there].sum(axis=0)
    # On a logarithmic axis an empty group has no place.
    return Course(counts, levels, np.where(mean > 0, mean, np.nan), low, high, density, runs)


def scale_course(found: ScaleFlow) -> Course:
    """Return how effective scales of groups run over the window."""
    first, last = found.window
    scale = found.scale
    return Course(
        found,
        np.arange(first, last + 1),
        scale.mean(axis=0),
        scale.min(axis=0),
        scale.max(axis=0),
        found.density.mean(axis=0),
        np.full(last - first + 1, len(found.runs)),
    )


def _levels_with_weights(counts: Counts) -> NDArray[np.bool_]:
    return np.asarray((counts.recorded & (counts.kept.sum(axis=-1) > 0)).any(axis=0))


def _draw_course(axes: Axes, course: Course) -> None:
    few = len(course.of.names) <= MARKED
    for group, style in enumerate(plot_style.group_styles(course.of)):
        if few and len(course.of.runs) > 1:
            axes.fill_between(
                course.levels,
                course.low[:, group],
                course.high[:, group],
                color=style.colour,
                alpha=0.2,
                linewidth=0,
            )
        axes.plot(
            course.levels,
            course.mean[:, group],
            color=style.colour,
            linestyle=style.line,
            linewidth=1.0 if few else 0.8,
            marker=style.marker if few else None,
            markersize=2.6,
            label=plot_style.plain(course.of.names[group]),
        )
    axes.margins(x=0.015, y=0.03)
    plot_style.integer_levels(axes)
    _density_on_top(axes, course)


def _density_on_top(axes: Axes, course: Course) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    density = course.density
    shown = [tick for tick in DENSITY_TICKS if density[-1] <= tick <= density[0]]
    # np.interp wants rising abscissae.
    places = np.interp(np.log(shown), np.log(density[::-1]), course.levels[::-1])
    top = axes.secondary_xaxis("top")
    top.xaxis.set_major_locator(FixedLocator(list(places)))
    top.xaxis.set_minor_locator(NullLocator())
    top.set_xticks(places, [plot_style.percent(tick) for tick in shown])
    top.tick_params(labelsize=SMALL, width=0.6, length=2, color=FAINT, labelcolor=INK, pad=1)
    axes.annotate(
        "density",
        (1.0, 1.0),
        (6, 4.5),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=SMALL,
        color=INK,
    )
    top.spines["top"].set_linewidth(0.4)
    top.spines["top"].set_color(FAINT)


def _name_lines(axes: Axes, course: Course) -> None:
    of, last = course.of, course.mean[-1]
    family = plot_style.families(of)
    named = [int(group) for group in np.flatnonzero(np.isfinite(last))]
    if len(named) > NAMED:  # the first and last of every stage; lightness tells those between
        named = [
            g for g in named if family[g] not in family[:g] or family[g] not in family[g + 1 :]
        ]
    styles, base = plot_style.group_styles(of), plot_style.family_styles(of)
    plot_style.label_ends(
        axes,
        [float(last[group]) for group in named],
        [plot_style.plain(of.names[group]) for group in named],
        [styles[group].colour for group in named],
        [base[group].colour for group in named],
    )


def check_groups(experiments: Sequence[Counts]) -> None:
    """See that slices of experiments can be drawn together.

    Raises
    ------
    UsageError
        They differ in their groups, or have one group only.
    """
    first = experiments[0]
    for other in experiments[1:]:
        if other.names != first.names:
            raise UsageError(
                f"{other.label} has {len(other.names)} {other.by}s, {first.label} has "
                f"{len(first.names)}: slices need the same groups in all experiments"
            )
    if len(first.names) < 2:
        raise UsageError(f"{first.label} has one {first.by} only: a slice needs two groups")


def liveliest_pairs(counts: Counts) -> list[tuple[str, str]]:
    """Return all pairs of the three groups whose share moves most."""
    _, mean, _, _ = mean_shares(counts)
    moved = mean.max(axis=0) - mean.min(axis=0)
    chosen = sorted(np.argsort(-moved, kind="stable")[:3])
    return list(combinations([counts.names[group] for group in chosen], 2))


def _draw_slice(
    axes: Axes,
    counts: Counts,
    pair: tuple[str, str],
    marker: str,
    scale: ScalarMappable,
    alone: bool,
) -> None:
    levels, mean, _, _ = mean_shares(counts)
    i, j = (counts.names.index(name) for name in pair)
    if alone and len(counts.runs) > 1:
        for run, recorded in zip(flow.shares(counts.kept), counts.recorded, strict=True):
            axes.plot(run[recorded, i], run[recorded, j], color=FAINT, linewidth=0.4, zorder=1)
    else:  # the runs of several experiments would hide each other
        axes.plot(mean[:, i], mean[:, j], color=FAINT, linewidth=0.4, zorder=1)
    axes.scatter(
        mean[:, i],
        mean[:, j],
        color=scale.to_rgba(levels),
        marker=marker,
        s=14,
        edgecolors=INK,
        linewidths=0.3,
        zorder=2,
    )
