"""Figures of stretched and squeezed spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...schemas.errors import UsageError
from ..arrays import Floats
from . import style as plot_style
from .style import BLUE, DOUBLE, FAINT, INK, SMALL, VERMILLION, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..elastic.match_all import MatchAll
    from ..elastic.result import Match

_SOURCE, _TARGET = Style(BLUE, "o", "-"), Style(VERMILLION, "s", "-")
_BARS = 2  # standard errors either way


def plot_match(found: Match) -> Figure:
    """Draw the source's stages at the left, the target's at the right, with what the map makes.

    Raises
    ------
    UsageError
        The target has no spectrum and the maps are not ranked: there is nothing beside the source.
    """
    if not (found.ranked or found.target.theta):
        raise UsageError(
            f"{found.target.name} has no spectrum and no map is ranked: nothing to draw beside the "
            "source; rank by density, or name a target with a spectrum"
        )
    stages = found.source.stack.stages
    figure, panels = plot_style.new_figure(
        len(stages), 2, (DOUBLE, 0.6 + 1.7 * len(stages)), sharey="row"
    )
    made = found.pushed() if found.ranked else None
    for row, stage in enumerate(stages):
        left, right = panels[2 * row], panels[2 * row + 1]
        _points(left, found.source.theta[row], found.source.sd[row], _SOURCE, "source")
        if found.target.theta:
            _points(right, found.target.theta[row], found.target.sd[row], _TARGET, "target")
        if made is not None:
            _pushed(right, made[row], _feeds(found, row))
        for axes, stack in ((left, found.source.stack), (right, found.target.stack)):
            _dress(axes, stack.stages[row].names)
        left.set_ylabel(
            rf"$\lambda_i$, stage {plot_style.plain(stage.name)}", fontsize=plot_style.LABEL
        )
    panels[0].set_title(
        plot_style.plain(found.source.title), fontsize=SMALL + 1, loc="left", color=INK
    )
    panels[1].set_title(
        plot_style.plain(found.target.title), fontsize=SMALL + 1, loc="left", color=INK
    )
    handles, labels = panels[1].get_legend_handles_labels()
    first = panels[0].get_legend_handles_labels()
    plot_style.legend(
        figure,
        loc="outside lower left",
        handles=[*first[0], *handles],
        labels=[*first[1], *labels],
        ncols=1 if made is not None and len(str(found.best)) > 60 else 3,
    )
    return figure


def _feeds(found: Match, stage: int) -> tuple[int, ...]:
    maps = found.best.stages
    return maps[stage if len(maps) > 1 else 0].feeds


def _points(axes: Axes, theta: Floats, sd: Floats, style: Style, label: str) -> None:
    places, middle = np.arange(1, len(theta) + 1), np.exp(theta)
    known = np.isfinite(sd)
    low, high = middle - np.exp(theta - _BARS * sd), np.exp(theta + _BARS * sd) - middle
    axes.errorbar(
        places[known],
        middle[known],
        yerr=[low[known], high[known]],
        fmt="none",
        ecolor=style.colour,
        elinewidth=0.8,
        capsize=1.6,
        zorder=2,
    )
    bars = f" (bars: {_BARS} standard errors)" if known.any() else ""
    axes.plot(
        places,
        middle,
        linestyle="none",
        marker=style.marker,
        color=style.colour,
        markersize=3.6,
        label=label + bars,
        zorder=3,
    )


def _pushed(axes: Axes, made: Floats, feeds: tuple[int, ...]) -> None:
    """Mark what the first map makes, each with the number of its source block."""
    places = np.arange(1, len(made) + 1) + 0.22
    axes.plot(
        places,
        made,
        linestyle="none",
        marker=_SOURCE.marker,
        markersize=5,
        markerfacecolor="none",
        markeredgecolor=_SOURCE.colour,
        markeredgewidth=0.9,
        label="source through the first map, with the source's block",
        zorder=3,
    )
    for x, y, block in zip(places, made, feeds, strict=True):
        axes.annotate(
            str(block),
            (x, y),
            xytext=(3.2, 0),
            textcoords="offset points",
            fontsize=SMALL - 0.5,
            va="center",
            color=_SOURCE.colour,
        )


def _dress(axes: Axes, names: tuple[str, ...]) -> None:
    axes.axhline(1.0, color=FAINT, linewidth=0.6, zorder=1)
    plot_style.dress(axes)
    axes.set_xticks(range(1, len(names) + 1), list(map(plot_style.plain, names)))
    axes.set_xlim(0.4, len(names) + 0.8)
    if len(names) > 10:
        axes.tick_params(axis="x", labelrotation=90, labelsize=SMALL)


def plot_match_all(found: MatchAll) -> Figure:
    """Draw the matrix of best scores, sources down, targets across, each with its number."""
    matrix = found.matrix
    size = 1.6 + 0.62 * len(matrix)
    figure, (axes,) = plot_style.new_figure(1, 1, (size + 0.8, size))
    shown = -matrix if found.scoring.score == "density" else matrix
    # Pale is near: numbers stay legible in ink, and in a grey print.
    axes.imshow(shown, cmap="Blues", vmax=np.nanmax(shown) + np.ptp(shown[np.isfinite(shown)]))
    for (row, column), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            first = any(
                (pair.source, pair.target, pair.rank) == (row, column, 1) for pair in found.pairs
            )
            axes.text(
                column,
                row,
                f"{value:.4f}",
                ha="center",
                va="center",
                fontsize=SMALL,
                color=INK,
                fontweight="bold" if first else "normal",
            )
    plot_style.dress(axes, x="target", y="source")
    places = range(len(matrix))
    names = list(map(plot_style.plain, found.names))
    axes.set_xticks(places, names, rotation=30, ha="right")
    axes.set_yticks(places, names)
    axes.set_title(
        f"{found.scoring.score}, best map; bold: first source", fontsize=SMALL + 1, loc="left"
    )
    return figure
