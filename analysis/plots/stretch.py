"""The figure of tickets on another depth: what they reach, and beside the target's own ticket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...schemas.errors import UsageError
from ...schemas.words import counted
from ..arrays import Floats
from . import style as plot_style
from .style import DOUBLE, FAINT, INK, SINGLE, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..elastic.stretched import Stretch

_DRAWN = ("drawn", "map")  # tickets of which there may be too many to tell apart
_FAINT, _OWN = Style(FAINT, ".", "-"), Style(INK, ".", "-")
_LONGEST = 28  # letters of a map in the legend


@dataclass(frozen=True, eq=False)
class _Series:
    """Values of one ticket, falling density first, with the ends of their intervals."""

    label: str
    style: Style | None  # None of the own ticket
    density: Floats
    value: Floats
    low: Floats
    high: Floats


def plot_stretch(found: Stretch) -> Figure:
    """Draw accuracy against density, a line per ticket, and its difference to the own ticket.

    Lines are means over seeds with 95 % intervals; maps that were drawn are faint. Where the
    target has no ticket of its own at these densities the first panel stands alone.

    Raises
    ------
    UsageError
        No ticket has an accuracy.
    """
    frame = found.to_frame()
    values = {name: frame[name].to_numpy() for name in frame.columns}
    if not np.isfinite(values["accuracy"]).any():
        raise UsageError("no ticket has an accuracy of every seed: nothing to draw")
    compared = bool(np.isfinite(values["difference"]).any())
    size = (DOUBLE, 2.9) if compared else (SINGLE, 2.7)
    figure, panels = plot_style.new_figure(1, 1 + compared, size)
    for one in (*_own(values), *_series(found, values, "accuracy")):
        _draw(panels[0], one)
    _dress(panels[0], "test accuracy (mean, 95 % interval)", plot_style.plain(found.label))
    if compared:
        for one in _series(found, values, "difference"):
            _draw(panels[1], one)
        panels[1].axhline(0.0, color=INK, linewidth=0.6, zorder=1)
        _dress(panels[1], "accuracy minus the own ticket's", "by seed, at equal density")
    plot_style.legend(panels[0], loc="lower left")
    return figure


def _dress(axes: Axes, y: str, title: str) -> None:
    plot_style.dress(axes, x="density of the target", y=y, title=title)
    plot_style.density_axis(axes)


def _series(found: Stretch, values: dict[str, Any], name: str) -> list[_Series]:
    """Return a column of every ticket, C of L levels each."""
    shape = (len(found.lines), len(found.tickets.levels))
    columns = [np.reshape(values[key], shape) for key in ("density", name)]
    columns += [np.reshape(values[f"{name}_{end}"], shape) for end in ("low", "high")]
    return [
        _falling(label, style, *(column[at] for column in columns))
        for at, (label, style) in enumerate(zip(_labels(found), _styles(found), strict=True))
    ]


def _own(values: dict[str, Any]) -> list[_Series]:
    """Return what the target's own tickets reach at the densities of the others, if any."""
    density, first = np.unique(values["density"], return_index=True)
    accuracy = values["own"][first]
    known = np.isfinite(accuracy)
    if not known.any():
        return []
    of = (density[known], *[accuracy[known]] * 3)
    return [_falling("the target's own", None, *of)]


def _falling(label: str, style: Style | None, density: Floats, *columns: Floats) -> _Series:
    order = np.argsort(-density)
    return _Series(label, style, density[order], *(column[order] for column in columns))


def _labels(found: Stretch) -> list[str]:
    """Name tickets as the table does, given maps by themselves, and those drawn together."""
    names = [line.ticket for line in found.lines]
    labels = []
    for at, (name, transform) in enumerate(zip(names, found.tickets.transforms, strict=True)):
        if name in _DRAWN:
            several = counted(sum(one in _DRAWN for one in names), "other map")
            labels.append("" if any(one in _DRAWN for one in names[:at]) else several)
        else:
            labels.append(_shortened(str(transform)) if name == "given" else name)
    return labels


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _styles(found: Stretch) -> Sequence[Style]:
    """Return a style of every ticket; those that were drawn share a faint one."""
    told = iter(plot_style.series_styles(len(found.lines)))
    return [_FAINT if line.ticket in _DRAWN else next(told) for line in found.lines]


def _draw(axes: Axes, one: _Series) -> None:
    style, faint = one.style or _OWN, one.style is _FAINT
    ends = np.nan_to_num([one.value - one.low, one.high - one.value])
    axes.errorbar(
        one.density,
        one.value,
        yerr=ends if ends.any() and not faint else None,
        color=style.colour,
        marker=style.marker,
        linestyle=style.line,
        linewidth=0.6 if faint else 1.0,
        elinewidth=0.7,
        capsize=1.6,
        markersize=3.4,
        label=one.label or "_",
        zorder=1.5 if faint else 2.5,
    )
