"""Figures of perturbed tickets: chi against y, and the operator of a flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Floats
from ..response.operator import contrasts
from . import style as plot_style
from .style import BLUE, DOUBLE, FAINT, INK, SINGLE, SMALL, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..response.intervention import Intervention
    from ..response.response import Response


def plot_intervention(found: Intervention) -> Figure:
    """Draw chi against y with their 95 % intervals, each group named; without y against its place.

    Hollow points are groups of which nothing is certain.
    """
    figure, (axes,) = plot_style.new_figure(1, 1, (SINGLE, 2.8))
    known = np.isfinite(found.exponent.value)
    x = found.exponent.value if known.any() else np.arange(len(found.names), dtype=np.float64)
    for i, name in enumerate(found.names):
        certain = found.judged.verdict[i] in ("falls", "rises", "flat")
        colour = BLUE if found.judged.verdict[i] == "falls" else VERMILLION
        axes.errorbar(
            x[i],
            found.chi.value[i],
            xerr=_bars(found.exponent.value[i], found.exponent.low[i], found.exponent.high[i]),
            yerr=_bars(found.chi.value[i], found.chi.low[i], found.chi.high[i]),
            color=colour if certain else INK,
            marker="o",
            markersize=4,
            markerfacecolor=colour if certain else "white",
            linewidth=0.8,
            capsize=1.6,
        )
        axes.annotate(
            plot_style.plain(name),
            (x[i], found.chi.value[i]),
            (4, 4),
            textcoords="offset points",
            fontsize=SMALL,
            color=INK,
        )
    axes.axhline(0.0, color=FAINT, linewidth=0.6, zorder=1)
    if known.any():
        axes.axvline(0.0, color=FAINT, linewidth=0.6, zorder=1)
    plot_style.dress(
        axes,
        x="growth of the share, $y$" if known.any() else "group",
        y=r"answer of the error, $\chi$",
        title=plot_style.plain(found.what),
    )
    return figure


def _bars(value: float, low: float, high: float) -> Floats:
    """Return the arms of an error bar, none where there is no interval: shape (2, 1)."""
    return np.asarray(np.nan_to_num([[value - low], [high - value]]))


def plot_response(found: Response) -> Figure:
    """Draw eigenvalues in the complex plane beside the circle of modulus 1, and J by groups.

    Filled points are what clusters tell, with 95 % intervals; hollow ones single eigenvalues.
    """
    figure, (left, right) = plot_style.new_figure(1, 2, (DOUBLE, 3.1))
    _plane(left, found)
    _heat(right, found)
    plot_style.legend(figure, loc="outside lower left", ncols=2, handlelength=1.2)
    return figure


def _plane(axes: Axes, found: Response) -> None:
    turn = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(turn), np.sin(turn), color=FAINT, linewidth=0.6, zorder=1)
    values = found.eigen.values
    axes.plot(
        values.real, values.imag, "o", color=INK, markerfacecolor="white", markersize=3.6,
        label="eigenvalues",
    )  # fmt: skip
    for cluster, told in zip(found.eigen.clusters, found.intervals, strict=True):
        pair = found.eigen.is_pair(cluster)
        toward = values[cluster[0]] / abs(values[cluster[0]]) if pair else 1.0 + 0j
        ends = np.array([told.low, told.high]) * toward
        axes.plot(ends.real, ends.imag, color=BLUE, linewidth=1.0, zorder=2)
        at = told.value * toward
        axes.plot([at.real], [at.imag], "s", color=BLUE, markersize=3.6, zorder=3)
    axes.plot([], [], "s-", color=BLUE, markersize=3.6, label="of a cluster, 95 %")
    axes.set_aspect("equal", adjustable="datalim")
    plot_style.dress(axes, x="real part", y="imaginary part", title=plot_style.plain(found.what))


def _heat(axes: Axes, found: Response) -> None:
    """Draw J less what it is where deviations stay, in centred log shares, each entry written."""
    size = len(found.names)
    basis = contrasts(size)
    apart = basis @ (found.operator.mean(axis=0) - np.eye(size - 1)) @ basis.T
    top = max(float(np.abs(apart).max()), 1e-6)
    axes.imshow(apart, cmap="RdBu_r", vmin=-2 * top, vmax=2 * top)
    if size <= 10:
        for (row, column), value in np.ndenumerate(apart):
            axes.text(
                column, row, f"{value:+.2f}", ha="center", va="center", fontsize=SMALL, color=INK
            )
    names, places = list(map(plot_style.plain, found.names)), range(size)
    plot_style.dress(axes, x="group that is moved", y="group that answers", title="$J - 1$")
    axes.set_xticks(places, names, rotation=30, ha="right")
    axes.set_yticks(places, names)
