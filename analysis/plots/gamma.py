"""Error against density with its fit, and the profile of the critical exponent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...schemas.errors import RgtoolError
from ..arrays import Floats
from ..gamma.fit import Fit
from ..gamma.power_law import curve_and_jacobian, log_error
from ..gamma.profile import Profile
from ..gamma.result import Fitted, Gamma
from ..stats.level import t_quantile
from . import style as plot_style
from .style import DOUBLE, FAINT, INK, SMALL, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..gamma.shared import SharedGamma

_HEIGHT = 2.6  # of the profile's panel, in thresholds


def plot_gamma(results: Sequence[Gamma], shared: SharedGamma | None = None) -> Figure:
    """Draw data, fits with their 95 % bands, and the profiles of g.

    Left, log error against log density: points are means, bars one standard error of the noise that
    the gates use, the band is that of the fitted curve. Right, the sum of squares of every profile
    from its minimum (0) to its threshold (1): the interval is where it lies below the line.

    Raises
    ------
    RgtoolError
        There is nothing to draw.
    """
    if not results:
        raise RgtoolError("a figure of critical exponents needs one curve at least")
    figure, (left, right) = plot_style.new_figure(1, 2, (DOUBLE, 2.8))
    styles = plot_style.series_styles(len(results))
    profiles: list[Profile] = []
    for result, style in zip(results, styles, strict=True):
        _draw_data(left, result, style)
        if isinstance(result.fitted, Fitted):
            _draw_fit(left, result.curve.density, result.fitted, style)
            if result.fitted.profile is not None:
                profiles.append(result.fitted.profile)
                _draw_profile(right, profiles[-1], style)
    if shared is not None:
        common = shared.found.common
        _draw_profile(right, common, Style(INK, "", ":"), f"common: {common.estimate:.2f}")
    _finish_curves(left, right, profiles)
    _curve_legend(figure, left, right)
    return figure


def band(fit: Fit, log_density: Floats) -> tuple[Floats, Floats]:
    """Return the 95 % band of the fitted log error, by the delta method: two arrays (n,)."""
    middle, slopes = curve_and_jacobian(log_density, fit.theta)
    variance = np.einsum("ni,ij,nj->n", slopes, fit.covariance(), slopes)
    half = t_quantile(fit.problem.df, 0.95) * np.sqrt(np.maximum(variance, 0))
    return middle - half, middle + half


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
    axes.plot(
        np.exp(x),
        np.exp(log_error(x, fitted.theta)),
        color=style.colour,
        linestyle=style.line,
        linewidth=1.0,
    )
    if fitted.fit is not None:
        low, high = band(fitted.fit, x)
        axes.fill_between(
            np.exp(x), np.exp(low), np.exp(high), color=style.colour, alpha=0.18, linewidth=0
        )
    if np.exp(ends[1]) < fitted.onset.value <= 1:
        axes.axvline(fitted.onset.value, color=style.colour, linewidth=0.6, linestyle=(0, (1, 2)))


def _draw_profile(axes: Axes, profile: Profile, style: Style, label: str = "") -> None:
    height = _height(profile)
    shown = height <= 4 * _HEIGHT  # a point beyond the panel, where the line leaves it
    axes.plot(
        profile.value[shown],
        height[shown],
        color=style.colour,
        linestyle=style.line,
        linewidth=1.2 if label else 1.0,
        marker="" if label else style.marker,
        markersize=2.4,
        label=label or None,
    )


def _height(profile: Profile) -> Floats:
    """Return sums of squares as shares of the way from the least one to the threshold."""
    least = float(profile.ssr.min())
    return np.asarray((profile.ssr - least) / max(profile.threshold - least, 1e-300))


def _finish_curves(left: Axes, right: Axes, profiles: Sequence[Profile]) -> None:
    plot_style.dress(left, x="density", y="test error")
    plot_style.density_axis(left)
    plot_style.share_axis(left, fine=True)
    plot_style.dress(right, x=r"$|\gamma|$", y="sum of squares (0 best, 1 end)")
    if not profiles:
        right.set_axis_off()
        return
    seen = np.concatenate([p.value[_height(p) <= _HEIGHT] for p in profiles])
    right.set_xlim(seen.min() / 1.05, seen.max() * 1.05)
    right.set_ylim(-0.1, _HEIGHT)
    right.axhline(1, color=FAINT, linewidth=0.6)
    right.annotate(
        "95 %",
        (1.0, 1.0),
        xycoords=("axes fraction", "data"),
        fontsize=SMALL,
        color=INK,
        ha="right",
        va="bottom",
    )
    if seen.max() > 5 * seen.min():
        _logarithmic(right)


def _curve_legend(figure: Figure, left: Axes, right: Axes) -> None:
    # Above the panels, where it hides nothing.
    found = [axes.get_legend_handles_labels() for axes in (left, right)]
    handles, labels = (found[0][i] + found[1][i] for i in (0, 1))
    plot_style.legend(
        figure,
        loc="outside upper left",
        handles=handles,
        labels=labels,
        ncols=2,
        handlelength=1.2,
    )


def _logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
