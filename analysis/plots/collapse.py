"""Error curves of several sizes, before and after they are moved together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Floats
from . import style as plot_style
from .style import DOUBLE, INK, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..collapse.result import Collapse


def plot_collapse(found: Collapse) -> Figure:
    """Draw error against density, and against the invariant, a marker per size.

    Filled markers are the points that are collapsed, with their standard errors; open ones lie
    below the bar.
    """
    figure, panels = plot_style.new_figure(1, 2, (DOUBLE, 2.9), sharey=True)
    _draw(panels[0], found, np.zeros(len(found.names)))
    _draw(panels[1], found, found.fit.exponents)
    plot_style.dress(panels[0], x="density $d$", y="test error", title="before")
    plot_style.dress(panels[1], x=_invariant(found), title="after")
    plot_style.density_axis(panels[0])
    panels[1].set_xscale("log")
    panels[1].xaxis.set_inverted(True)
    for axes in panels:
        plot_style.share_axis(axes)
    plot_style.legend(panels[0], loc="lower right")
    quality = f"$S_{{min}}$ = {found.fit.quality:.2f}, {found.verdict.partition(':')[0]}"
    panels[1].annotate(
        quality, (0.02, 0.95), xycoords="axes fraction", fontsize=SMALL + 0.5, color=INK, va="top"
    )
    return figure


def _draw(axes: Axes, found: Collapse, exponents: Floats) -> None:
    styles, start = plot_style.series_styles(len(found.curves)), 0
    for curve, style in zip(found.curves, styles, strict=True):
        size = np.log([getattr(curve, name) for name in found.over])
        has = curve.mean > 0
        x = curve.density[has] * np.exp(size @ exponents)
        error, stop = curve.mean[has], start + int(has.sum())
        sigma, start = found.noise.sigma[start:stop], stop
        above = error > found.above * curve.dense_error
        axes.plot(x, error, color=style.colour, linestyle=style.line, linewidth=0.7, alpha=0.6)
        for part, face in ((above, style.colour), (~above, "white")):
            # Standard errors are those of log error: the bars are lengths on its axis.
            low, high = (error * (1 - np.exp(-sigma)))[part], (error * np.expm1(sigma))[part]
            axes.errorbar(
                x[part],
                error[part],
                yerr=[low, high],
                linestyle="none",
                color=style.colour,
                marker=style.marker,
                markersize=3.2,
                markerfacecolor=face,
                markeredgewidth=0.7,
                elinewidth=0.6,
                label=plot_style.plain(curve.label) if face != "white" else None,
            )


def _invariant(found: Collapse) -> str:
    letters = {"width": "w", "depth": "l"}
    powers = [
        f"{letters[name]}^{{{value:.2f}}}"
        for name, value in zip(found.over, found.fit.exponents, strict=True)
    ]
    return f"${' '.join(powers)}\\, d$"
