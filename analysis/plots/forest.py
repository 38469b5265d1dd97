"""Rows of groups with their intervals: a meta-analysis, and levels at which groups run empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Floats
from ..stats.level import CONFIDENCE, t_quantile
from ..values import Estimate
from . import style as plot_style
from .style import FAINT, INK, SINGLE, SMALL, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..meta.result import Meta
    from ..spectrum.forecast import Forecast

POOLED = Style(INK, "D", "-")
_ROW_SHARE = 0.6  # of a row, for the studies of a group


def plot_meta(found: Meta) -> Figure:
    """Draw the exponents of studies with their intervals, and below them the mean over studies.

    A row is a group. Hollow marks are studies whose error is assumed; thin lines are where the
    value of a further study lies, from three studies on.
    """
    studies = found.studies
    figure, axes = _named_rows(studies.names, "exponent $y_i$", len(studies.ids) + 1)
    rows = np.arange(len(studies.names), dtype=np.float64)
    places = np.linspace(-_ROW_SHARE / 2, _ROW_SHARE / 2, len(studies.ids) + 1)
    half = t_quantile(np.inf, CONFIDENCE) * np.sqrt(studies.variance(studies.exponent, found.sd))
    styles = plot_style.series_styles(len(studies.ids))
    for study, (name, style) in enumerate(zip(studies.ids, styles, strict=True)):
        middle, own = studies.exponent.mean[study], half[study]
        hollow = bool(studies.assumed[study])
        own_ends = Estimate(middle, middle - own, middle + own)
        label = f"{name} (sd assumed)" if hollow else name
        _draw_intervals(axes, rows + places[study], own_ends, style, label, hollow)
    further = found.exponent.prediction()
    axes.hlines(rows + places[-1], further.low, further.high, color=INK, linewidth=0.5)
    _draw_intervals(axes, rows + places[-1], found.exponent.interval(), POOLED, "mean over studies")
    axes.axvline(0, color=FAINT, linewidth=0.6, zorder=1)
    plot_style.legend(figure, loc="outside upper left", ncols=1, handlelength=1.2)
    return figure


def plot_forecast(found: Forecast) -> Figure:
    """Draw the levels at which groups lose their last weight, with their 95 % intervals.

    A cross is the level on record. An interval without an upper end reaches the level at which
    nothing is left to prune, the dashed line; a group that is not in sight is named so.
    """
    figure, axes = _named_rows(found.names, "first level without a weight", 1)
    rows = np.arange(len(found.names), dtype=np.float64)
    level = found.level
    open_ = np.isfinite(level.low) & np.isnan(level.high)
    ends = Estimate(level.value, level.low, np.where(open_, found.end, level.high))
    _draw_intervals(axes, rows, ends, POOLED, "forecast")
    seen = np.isfinite(found.observed)
    if seen.any():
        axes.plot(found.observed[seen], rows[seen], "x", color=INK, markersize=5, label="record")
    axes.axvline(found.end, color=FAINT, linewidth=0.6, linestyle="--", label="nothing is left")
    axes.axvline(found.window[1], color=FAINT, linewidth=0.6, label="counts known up to here")
    for row, outlook in zip(rows, found.outlook, strict=True):
        if outlook == "not in sight":
            axes.annotate(
                outlook,
                (found.window[1], row),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL,
            )
    plot_style.legend(figure, loc="outside upper left", ncols=2, handlelength=1.2)
    return figure


def _named_rows(names: tuple[str, ...], what: str, lines: int) -> tuple[Figure, Axes]:
    """Make a panel with a row for every group, the first one on top."""
    height = 1.2 + len(names) * max(0.18, 0.12 * lines)
    figure, (axes,) = plot_style.new_figure(1, 1, (SINGLE, height))
    axes.set_yticks(range(len(names)), [plot_style.plain(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    plot_style.dress(axes, x=what)
    return figure, axes


def _draw_intervals(
    axes: Axes,
    rows: Floats,
    found: Estimate[Floats],
    style: Style,
    label: str,
    hollow: bool = False,
) -> None:
    known = np.isfinite(found.low) & np.isfinite(found.high)
    axes.hlines(rows[known], found.low[known], found.high[known], color=style.colour, linewidth=0.9)
    axes.plot(
        found.value,
        rows,
        linestyle="none",
        marker=style.marker,
        color=style.colour,
        markerfacecolor="white" if hollow else style.colour,
        markersize=3.6,
        label=plot_style.plain(label),
        zorder=3,
    )
