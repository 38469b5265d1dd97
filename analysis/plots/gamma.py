"""Error against density with its fit, and the exponents with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...schemas.errors import RgtoolError
from ..arrays import Floats
from ..gamma.power_law import G_BOUNDS, LOG_G, log_error
from ..values import Estimate, Refusal
from . import style as plot_style
from .style import DOUBLE, INK, SMALL, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..gamma.result import Fitted, Gamma
    from ..gamma.shared import SharedGamma


def plot_gamma(results: Sequence[Gamma], shared: SharedGamma | None = None) -> Figure:
    """Draw data, fits with their 95 % bands, and the exponents with their intervals.

    Left, log error against log density: points are means, bars one standard error of the noise that
    the gates use, the band is that of the fitted curve. Right, a row for every curve: the 95 %
    interval of g, its seeds as small points, and as a thin line the profile interval, which takes
    the levels of the mean curve as independent.

    Raises
    ------
    RgtoolError
        There is nothing to draw.
    """
    if not results:
        raise RgtoolError("a figure of exponents needs one curve at least")
    figure, (left, right) = plot_style.new_figure(1, 2, (DOUBLE, 2.8))
    styles = plot_style.series_styles(len(results))
    for row, (result, style) in enumerate(zip(results, styles, strict=True)):
        _draw_data(left, result, style)
        if not isinstance(result.fitted, Refusal):
            _draw_fit(left, result.curve.density, result.fitted, style)
            _draw_exponent(right, -row, result.fitted, style)
    if shared is not None:
        _draw_bar(right, -len(results), shared.estimate, Style(INK, "D", ":"))
        right.annotate(
            f"common {shared.estimate.value:.2f}",
            (shared.estimate.value, -len(results)),
            xytext=(0, 5),
            textcoords="offset points",
            fontsize=SMALL,
            color=INK,
            ha="center",
        )
    _dress_both(left, right, len(results) + (shared is not None))
    plot_style.legend(
        figure,
        loc="outside upper left",
        handles=left.get_legend_handles_labels()[0],
        labels=left.get_legend_handles_labels()[1],
        ncols=2,
        handlelength=1.2,
    )
    return figure


def _draw_data(axes: Axes, result: Gamma, style: Style) -> None:
    mean, noise = result.curve.mean, result.noise.mean_sd
    name = result.curve.label if result.name == result.curve.label else _short(result)
    axes.errorbar(
        result.curve.density,
        mean,
        yerr=mean * noise if np.isfinite(noise) else None,
        color=style.colour,
        linestyle="none",
        marker=style.marker,
        markersize=3.2,
        elinewidth=0.8,
        label=f"{plot_style.plain(name)}: {_said(result)}",
        zorder=3,
    )


def _short(result: Gamma) -> str:
    return result.name.removeprefix("published:") if ":" in result.name else result.curve.label


def _said(result: Gamma) -> str:
    if not np.isfinite(result.gamma):
        return result.verdict
    ends = (result.estimate.low, result.estimate.high)
    low, high = (f"{v:.2f}" if 0 < v < np.inf else "unbounded" for v in ends)
    return f"$\\gamma$ {result.gamma:.2f} [{low}, {high}]"


def _draw_fit(axes: Axes, density: Floats, fitted: Fitted, style: Style) -> None:
    ends = np.log(density[[0, -1]])
    x = np.linspace(ends[1] - 0.3, ends[0], 200)
    known = fitted.parameters
    middle = log_error(x, fitted.theta) if known is None else known.curve(x)
    axes.plot(
        np.exp(x),
        np.exp(middle),
        color=style.colour,
        linestyle=style.line,
        linewidth=1.0,
    )
    if known is not None:
        low, high = known.band(x)
        axes.fill_between(
            np.exp(x), np.exp(low), np.exp(high), color=style.colour, alpha=0.18, linewidth=0
        )
    if np.exp(ends[1]) < fitted.onset.value <= 1:
        axes.axvline(fitted.onset.value, color=style.colour, linewidth=0.6, linestyle=(0, (1, 2)))


def _draw_exponent(axes: Axes, row: int, fitted: Fitted, style: Style) -> None:
    _draw_bar(axes, row, fitted.exponent, style)
    if fitted.profile is not None:
        ends = _drawn_ends(fitted.profile.low, fitted.profile.high)
        axes.plot(ends, [row - 0.22] * 2, color=style.colour, linewidth=0.7)
    if fitted.parameters is not None:
        seeds = np.exp(fitted.parameters.seeds[:, LOG_G])
        axes.plot(
            seeds,
            np.full(len(seeds), row + 0.22),
            color=style.colour,
            linestyle="none",
            marker=".",
            markersize=3,
        )


def _draw_bar(axes: Axes, row: int, found: Estimate[float], style: Style) -> None:
    axes.plot(_drawn_ends(found.low, found.high), [row] * 2, color=style.colour, linewidth=2.0)
    axes.plot([found.value], [row], color=style.colour, marker=style.marker, markersize=4)


def _drawn_ends(low: float, high: float) -> tuple[float, float]:
    """Return the ends of an interval; one that is unbounded ends where the search did."""
    return max(low, G_BOUNDS[0]), min(high, G_BOUNDS[1])


def _dress_both(left: Axes, right: Axes, rows: int) -> None:
    plot_style.dress(left, x="density", y="test error")
    plot_style.density_axis(left)
    plot_style.share_axis(left, fine=True)
    plot_style.dress(right, x=r"$|\gamma|$", y="")
    if not right.lines:
        right.set_axis_off()
        return
    right.set_ylim(0.6 - rows, 0.6)
    right.set_yticks([])
    drawn = np.concatenate([np.asarray(line.get_xdata(), np.float64) for line in right.lines])
    right.set_xlim(drawn.min() / 1.05, drawn.max() * 1.05)
    if drawn.max() > 5 * drawn.min():
        _logarithmic(right)


def _logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
