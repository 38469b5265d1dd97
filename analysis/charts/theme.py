"""How charts look: what is common to all, on a light page, a dark one and in print.

Text, axes and what figures draw in black take the colour of the page's text (`currentColor`), which
an SVG follows while it is shown. Series have the colours of figures (`plots.style`); a marker or a
dash tells whatever a colour tells.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..plots.style import BLUE, COLOURS, DENSITY_TICKS, MARKERS, Style

INK = "currentColor"  # of the page's text
FAINT = "#8a8a8a"  # at least 3 : 1 beside white and beside a dark page
BAND = 0.18  # opacity of bands
UNCHOSEN = 0.12  # of series that a legend does not choose
PHONE = 300  # pixels that a legend may be wide
_BLACK = "#000000"
# Without its ends, which a light page and a dark one swallow.
LEVELS: Mapping[str, Any] = {"name": "viridis", "extent": [0.08, 0.9]}
_FEWEST, _MOST = 3, 6  # ticks of density; a telephone has room for six
_FINE = (1.0, *(float(f"{digit}e{power}") for power in (-1, -2, -3) for digit in range(9, 0, -1)))
_NEAR = 1.005  # a level as dense as a tick, but for rounding
_LETTER, _SYMBOL = 6.2, 30  # pixels of a letter of a legend, and of the symbol before it
# Paths in a square from -1 to 1; others are names that Vega knows.
_SHAPES = {
    "o": "circle",
    "^": "triangle-up",
    "s": "square",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "*": "M0,-1L.22,-.31L.95,-.31L.36,.12L.59,.81L0,.38L-.59,.81L-.36,.12L-.95,-.31L-.22,-.31Z",
    "X": "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z",
    "p": "M0,-1L.95,-.31L.59,.81L-.59,.81L-.95,-.31Z",
}
SHAPES = tuple(_SHAPES[marker] for marker in MARKERS)
_TEXT = {"labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 12}
CONFIG: Mapping[str, Any] = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif",
    "view": {"stroke": None},
    "axis": {
        **_TEXT,
        "titleFontWeight": "normal",
        "domainColor": INK,
        "domainOpacity": 0.6,
        "tickColor": INK,
        "tickOpacity": 0.6,
        "gridColor": INK,
        "gridOpacity": 0.1,
        "labelFlush": False,
        "labelSeparation": 5,
    },
    "legend": {
        **_TEXT,
        "titleFontWeight": "normal",
        "orient": "bottom",
        "direction": "horizontal",
        "labelLimit": 0,  # names that read alike are none
        "symbolLimit": 0,
        "symbolBaseFillColor": INK,
        "symbolBaseStrokeColor": INK,
        "gradientStrokeColor": None,
    },
    "header": _TEXT,
    "title": {"color": INK, "subtitleColor": INK, "anchor": "start", "fontSize": 13},
    "text": {"color": INK, "fill": INK},
    "rule": {"color": INK},
    "bar": {"color": BLUE},
    "line": {"color": BLUE},
    "point": {"color": BLUE},
    "range": {
        "category": [INK if colour == _BLACK else colour for colour in COLOURS],
        "symbol": list(SHAPES),
        "ramp": {"scheme": "viridis"},
        "heatmap": {"scheme": "viridis"},
        "ordinal": {"scheme": "viridis"},
    },
}


def colour(style: Style) -> str:
    """Return the colour of a style as CSS writes it; black becomes that of the page's text."""
    found = style.colour
    if not isinstance(found, str):
        found = "#" + "".join(f"{round(255 * part):02x}" for part in found)
    return INK if found == _BLACK else found


def shape(style: Style) -> str:
    """Return the marker of a style as Vega names or draws it."""
    return _SHAPES[style.marker]


def dash(style: Style) -> list[float]:
    """Return the dashes of a style's line, in pixels; a whole line has a gap of none."""
    return [1, 0] if style.line == "-" else [1.6 * part for part in style.line[1]]


def series(
    field: str, names: Sequence[str], styles: Sequence[Style], title: str
) -> dict[str, dict[str, Any]]:
    """Return the channels color, shape and strokeDash of series, which share one legend.

    Parameters
    ----------
    field : str
        The column that names the series of a row.
    names : sequence of str
        All series, in the order of the legend.
    styles : sequence of Style, of the same length
        How each looks.
    title : str
        Of the legend; one entry needs none.
    """
    shared = {"field": field, "type": "nominal", "sort": None}
    # Whole, whatever mark the legend takes its symbols from.
    whole = {"symbolOpacity": 1, "symbolStrokeWidth": 0}
    legend = {"title": title, "columns": columns_of(names), **whole, **_wrapped(names)}
    ranges = {
        "color": [colour(style) for style in styles],
        "shape": [shape(style) for style in styles],
        "strokeDash": [dash(style) for style in styles],
    }
    return {
        channel: {
            **shared,
            "scale": {"domain": list(names), "range": values},
            "legend": legend,
        }
        for channel, values in ranges.items()
    }


def _wrapped(names: Sequence[str]) -> dict[str, Any]:
    """Return how a legend breaks names that a telephone has no room for, so that none is cut."""
    letters = int((PHONE - _SYMBOL) // _LETTER)
    if max(map(len, names), default=0) <= letters:
        return {}
    lines = f"regexp('.{{1,{letters}}}(?: |$)|.{{{letters}}}', 'g')"
    return {"labelExpr": f"split(replace(datum.label, {lines}, '$&\\n'), '\\n')"}


def columns_of(names: Sequence[str]) -> int:
    """Return how many columns of a legend a telephone has room for."""
    longest = max(map(len, names), default=0)
    return max(1, min(len(names), int(PHONE // (_LETTER * longest + _SYMBOL))))


def log_scale(values: ArrayLike) -> dict[str, Any]:
    """Return scale and axis of positive numbers: logarithmic, plain ticks at 1, 2 and 5."""
    known = _positive(values)
    if not known.size:
        return {"scale": {"type": "log"}}
    decades = range(math.floor(math.log10(known.min())), math.ceil(math.log10(known.max())) + 1)
    ticks = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5)]
    return {"scale": {"type": "log", "nice": False}, "axis": {"values": ticks, "format": "~g"}}


def whole_ticks(first: int, last: int, most: int = 10) -> list[int]:
    """Return round whole numbers of a range, at most so many.

    Examples
    --------
    >>> whole_ticks(0, 6), whole_ticks(1, 160)
    ([0, 1, 2, 3, 4, 5, 6], [20, 40, 60, 80, 100, 120, 140, 160])
    """
    step = next(
        digit * 10**power
        for power in itertools.count()
        for digit in (1, 2, 5)
        if last // (digit * 10**power) - (first - 1) // (digit * 10**power) <= most
    )
    return list(range(-(-first // step) * step, last + 1, step))


def density_axis(densities: ArrayLike, drawn: ArrayLike | None = None) -> dict[str, Any]:
    """Return scale and axis of density: logarithmic, falling to the right, as pruning goes.

    Parameters
    ----------
    densities : array
        Those of levels, which have ticks where round ones are fewer than three.
    drawn : array, optional
        All that is drawn on the axis, if that is more.
    """
    low, high = _ends(densities if drawn is None else drawn)
    return {
        "title": "density",
        "scale": {"type": "log", "nice": False, "reverse": True, "domain": [low, high]},
        "axis": {"values": density_ticks(densities), "format": ".2~p"},
    }


def density_ticks(densities: ArrayLike) -> list[float]:
    """Return ticks of density: round ones, or where fewer than three are among them, of levels.

    Where there are fewer than three levels either, the ticks are at all round percentages.

    Examples
    --------
    >>> density_ticks([1.0, 0.1]), density_ticks([1.0, 0.8, 0.64])
    ([1.0, 0.5, 0.2, 0.1], [1.0, 0.8, 0.64])
    """
    known = np.unique(_positive(densities))[::-1]
    if not known.size:
        return []
    near = [t for t in DENSITY_TICKS if known[-1] / _NEAR <= t <= known[0] * _NEAR]
    if len(near) >= _FEWEST:
        return near
    gap = max(_NEAR, float(known[0] / known[-1]) ** (0.5 / _MOST))
    apart = [float(known[0])]
    for density in known[1:].tolist():
        if density * gap <= apart[-1]:
            apart.append(density)
    places = np.unique(np.linspace(0, len(apart) - 1, _MOST).round().astype(int))
    levels = [apart[place] for place in places]
    round_ = [t for t in _FINE if known[-1] / _NEAR <= t <= known[0] * _NEAR]
    return round_ if len(levels) < _FEWEST <= len(round_) else levels


def _positive(values: ArrayLike) -> NDArray[np.float64]:
    known = np.asarray(values, np.float64)
    return known[np.isfinite(known) & (known > 0)]


def _ends(values: ArrayLike) -> tuple[float, float]:
    """Return the ends of a logarithmic axis, which is an octave long where all is one value."""
    known = _positive(values)
    if not known.size:
        return 0.5, 1.0
    low, high = float(known.min()), float(known.max())
    return (low, high) if low < high else (low / 2**0.5, high * 2**0.5)


def choice(name: str, field: str) -> dict[str, Any]:
    """Return the parameter that choosing series in the legend sets; a click elsewhere frees it."""
    return {"name": name, "select": {"type": "point", "fields": [field]}, "bind": "legend"}


def faded(name: str, opacity: float = 1.0) -> dict[str, Any]:
    """Return the channel opacity that lets series fade which the parameter does not choose."""
    return {"condition": {"param": name, "value": opacity}, "value": UNCHOSEN * opacity}


def tooltips(titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the channel tooltip: columns and what they are called, in this order."""
    return [{"field": field, "title": title} for field, title in titles.items()]


def percent(density: float, digits: int = 2) -> str:
    """Write a density as a percentage of two digits, or of more."""
    return f"{float(f'{100 * density:.{digits}g}'):g} %"
