"""Accuracy against density, with the matching density where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...schemas.errors import RgtoolError
from ...store.counts import Counts
from ..arrays import Floats
from ..curves.matching import matching_density
from . import style as plot_style
from .style import INK, SINGLE, SMALL, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_accuracy(experiments: Sequence[Counts]) -> Figure:
    """Draw mean test accuracy against density, all experiments in one panel.

    Bands are one standard deviation over seeds. Above the panel stand the matching densities with
    their 95 % intervals, a row per experiment.

    Raises
    ------
    RgtoolError
        An experiment has no accuracy on record.
    """
    figure, (axes,) = plot_style.new_figure(1, 1, (SINGLE, 2.5))
    styles = plot_style.series_styles(len(experiments))
    names = plot_style.names_of(experiments)
    for row, (counts, style) in enumerate(zip(experiments, styles, strict=True)):
        _draw_curve(axes, counts, style, names[row])
        _draw_matching(axes, counts, style, len(experiments) - 1 - row)
    plot_style.dress(axes, x="density", y="test accuracy")
    plot_style.density_axis(axes)
    plot_style.legend(axes, loc="lower left")
    return figure


def accuracy_curve(counts: Counts) -> tuple[Floats, Floats, Floats]:
    """Return density, mean accuracy and its std over seeds at the levels on record: each (T,).

    The std is NaN where fewer than two runs have the level.

    Raises
    ------
    RgtoolError
        No level has an accuracy.
    """
    has = counts.recorded & np.isfinite(counts.accuracy)
    there = has.any(axis=0)
    if not there.any():
        raise RgtoolError(
            f"{counts.label} ({counts.experiment_id}): no accuracy is on record, there is nothing "
            "to draw against density"
        )
    accuracy = np.where(has, counts.accuracy, np.nan)[:, there]
    network = np.where(has, counts.kept.sum(axis=-1), np.nan)[:, there]
    runs = has[:, there].sum(axis=0)
    mean = np.nanmean(accuracy, axis=0)
    squares = np.nansum((accuracy - mean) ** 2, axis=0)
    std = np.sqrt(squares / np.where(runs > 1, runs - 1, np.nan))
    return np.nanmean(network, axis=0) / counts.total.sum(), mean, std


def _draw_curve(axes: Axes, counts: Counts, style: Style, name: str) -> None:
    density, mean, std = accuracy_curve(counts)
    if np.isfinite(std).any():
        axes.fill_between(
            density, mean - std, mean + std, color=style.colour, alpha=0.22, linewidth=0
        )
    axes.plot(
        density,
        mean,
        color=style.colour,
        linestyle=style.line,
        linewidth=1.0,
        marker=style.marker,
        markersize=2.8,
        label=f"{name} (mean, sd)" if np.isfinite(std).any() else name,
    )


def _draw_matching(axes: Axes, counts: Counts, style: Style, row: int) -> None:
    try:
        found = matching_density(None, counts)
    except RgtoolError:  # without a dense accuracy there is nothing to match
        return
    at = found.density
    lengths = np.nan_to_num([[at.value - at.low], [at.high - at.value]])
    axes.errorbar(
        [at.value],
        [1.05 + 0.05 * row],
        xerr=lengths,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        color=style.colour,
        marker=style.marker,
        markersize=3.6,
        markerfacecolor="white",
        linewidth=1.2,
        capsize=1.8,
    )
    if row == 0:
        axes.annotate(
            "matching density",
            (0.01, 1.05),
            xycoords="axes fraction",
            va="center",
            fontsize=SMALL + 0.5,
            color=INK,
        )
