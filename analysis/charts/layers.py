"""Layers that several kinds of charts have: a band, a line and its points for every series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import theme
from .marks import each_told

if TYPE_CHECKING:
    import polars as pl

CHOSEN = "chosen"  # the parameter that the legend sets


def curves(
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    series: Mapping[str, Mapping[str, Any]],
    tooltips: Mapping[str, str],
    rows: pl.DataFrame,
    *,
    banded: bool,
    thin: bool = False,
) -> list[dict[str, Any]]:
    """Return the layers of curves, which the legend chooses from.

    Parameters
    ----------
    x, y : mapping
        Channels of position.
    series : mapping
        Channels of the series: color, and shape and strokeDash where they tell it too.
    tooltips : mapping of str to str
        Columns that a point tells, and what they are called.
    rows : polars.DataFrame
        What is drawn: a tooltip leaves out what its row does not have.
    banded : bool
        Whether bands reach from column `low` to column `high`.
    thin : bool
        Whether lines are many.
    """
    position = {"x": x, "y": y}
    band = {
        "mark": {"type": "area", "tooltip": None},
        "encoding": {
            "x": x,
            "y": {**y, "field": "low"},
            "y2": {"field": "high"},
            "color": series["color"],
            "opacity": theme.faded(CHOSEN, theme.BAND),
        },
    }
    dash = {"strokeDash": series["strokeDash"]} if "strokeDash" in series else {}
    shape = {"shape": series["shape"]} if "shape" in series else {}
    line = {
        "mark": {"type": "line", "strokeWidth": 1.2 if thin else 1.6},
        "encoding": {
            **position,
            "color": series["color"],
            **dash,
            "opacity": theme.faded(CHOSEN),
        },
        "params": [theme.choice(CHOSEN, series["color"]["field"])],
    }
    points = {
        "mark": {"type": "point", "filled": True, "size": 16 if thin else 28},
        "encoding": {
            **position,
            "color": series["color"],
            **shape,
            "opacity": theme.faded(CHOSEN),
            "tooltip": theme.tooltips(tooltips),
        },
    }
    return [*([band] if banded else []), line, *each_told(points, rows)]
