"""Figures of tickets on other tasks: accuracy by condition, and losses of a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...schemas.errors import UsageError
from ..arrays import Floats
from ..transfer.conditions import OWN, TRANSFERRED
from . import style as plot_style
from .style import DOUBLE, FAINT, INK, SINGLE, SMALL, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..transfer.matrix import TransferMatrix
    from ..transfer.result import Transfer


def plot_transfer(found: Transfer) -> Figure:
    """Draw mean accuracy against density, a line per condition, with 95 % intervals."""
    figure, (axes,) = plot_style.new_figure(1, 1, (SINGLE, 2.7))
    conditions = list(dict.fromkeys(cell.condition for cell in found.cells))
    styles = plot_style.series_styles(len(conditions))
    for condition, style in zip(conditions, styles, strict=True):
        _draw_condition(axes, found, condition, style)
    plot_style.dress(
        axes,
        x="density",
        y="test accuracy (mean, 95 % interval)",
        title=plot_style.plain(f"tickets of {found.source_label} on {found.task}"),
    )
    plot_style.density_axis(axes)
    plot_style.legend(axes, loc="lower left")
    return figure


def _draw_condition(axes: Axes, found: Transfer, condition: str, style: Style) -> None:
    cells = found.of(condition)
    density = np.array([cell.density for cell in cells])
    accuracy = [cell.accuracy for cell in cells]
    value, low, high = (
        np.array([getattr(one, end) for one in accuracy]) for end in ("value", "low", "high")
    )
    axes.errorbar(
        density,
        value,
        yerr=np.nan_to_num([value - low, high - value]),
        color=style.colour,
        marker=style.marker,
        linestyle=style.line,
        linewidth=1.0,
        elinewidth=0.7,
        capsize=1.6,
        markersize=3.4,
        markerfacecolor="white" if condition == OWN else style.colour,
        label=condition,
    )


def plot_matrix(found: TransferMatrix) -> Figure:
    """Draw losses of every pair against the distance of its spectra, and as a matrix.

    Where no spectra are compared the matrix stands alone.

    Raises
    ------
    UsageError
        No loss was measured.
    """
    loss = found.loss
    if not np.isfinite(loss).any():
        raise UsageError("no loss is known: nothing to draw")
    if np.isfinite(found.spectra.distance).all():
        figure, (left, right) = plot_style.new_figure(1, 2, (DOUBLE, 3.1))
        _scatter(left, found, loss)
        plot_style.legend(figure, loc="outside upper left", ncols=len(found.levels))
    else:
        figure, (right,) = plot_style.new_figure(1, 1, (SINGLE, 3.1))
    _heat(right, found, found.mean_loss)
    return figure


def _scatter(axes: Axes, found: TransferMatrix, loss: Floats) -> None:
    """Mark every pair and level; density is told by the marker."""
    styles = plot_style.series_styles(len(found.levels))
    for at, (level, style) in enumerate(zip(found.levels, styles, strict=True)):
        has = np.isfinite(loss[..., at])
        axes.plot(
            found.spectra.distance[has],
            loss[..., at][has],
            linestyle="none",
            marker=style.marker,
            markersize=3.4,
            color=style.colour,
            label=f"density {_density(found, level):.2g}",
        )
    axes.axhline(0.0, color=FAINT, linewidth=0.6, zorder=1)
    plot_style.dress(
        axes, x=r"distance of spectra, $\|\Delta\,\mathrm{clr}\|$", y="loss of transferred tickets"
    )


def _density(found: TransferMatrix, level: int) -> float:
    """Return the mean density of transferred tickets at a level."""
    cells = [cell for one in found.transfers.values() for cell in one.of(TRANSFERRED)]
    return float(np.mean([cell.density for cell in cells if cell.level == level]))


def _heat(axes: Axes, found: TransferMatrix, loss: Floats) -> None:
    """Draw mean losses, sources down, targets across, each with its number.

    A dash is a pair without one, most often since the target's own networks guess.
    """
    # Pale is little: numbers stay legible in ink, and in a grey print.
    top = max(float(np.nanmax(loss)), 1e-6)
    axes.imshow(loss, cmap="Blues", vmin=min(0.0, float(np.nanmin(loss))), vmax=2 * top)
    for (row, column), value in np.ndenumerate(loss):
        if row == column:
            continue
        text = f"{value:+.3f}".replace("0.", ".", 1) if np.isfinite(value) else "\N{EN DASH}"
        axes.text(column, row, text, ha="center", va="center", fontsize=SMALL, color=INK)
    told = (
        "mean loss"
        if np.isfinite(loss[~np.eye(len(loss), dtype=np.bool_)]).all()
        else ("mean loss (\N{EN DASH}: none is told)")
    )
    plot_style.dress(axes, x="target", y="source", title=told)
    names, places = list(map(plot_style.plain, found.names)), range(len(found.names))
    axes.set_xticks(places, names, rotation=30, ha="right")
    axes.set_yticks(places, names)
