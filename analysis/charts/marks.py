"""Parts that charts of results share: series of points with intervals, tooltips, lines across."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ..plots.style import Style
from ..result import Column
from . import theme

Spec = dict[str, Any]
APART = {"color": "independent", "shape": "independent"}  # panels with legends of their own


@dataclass(frozen=True)
class Series:
    """Marks that a legend tells apart, and of which it lets some fade.

    Attributes
    ----------
    field : str
        The column that names the series of a row.
    styles : mapping of str to Style
        How each looks, in the order of the legend.
    told : sequence of dict
        What tooltips tell, see `tooltips`.
    title : str
        Of the legend.
    """

    field: str
    styles: Mapping[str, Style]
    told: Sequence[Spec]
    title: str

    @property
    def name(self) -> str:
        """What the choice by its legend is called."""
        return f"chosen_{self.field}"

    def points(self, place: Spec, *, chooses: bool = False, hollow: bool = False) -> Spec:
        """Return a layer of marks at x and y; of one layer of a chart the legend chooses."""
        layer = self._layer("point", place, "color", "shape")
        layer["mark"] |= {"filled": not hollow, "size": 90 if hollow else 50, "strokeWidth": 1.4}
        layer["encoding"]["tooltip"] = list(self.told)
        return layer | ({"params": [theme.choice(self.name, self.field)]} if chooses else {})

    def lines(self, place: Spec) -> Spec:
        """Return a layer of lines through the points."""
        layer = self._layer("line", place, "color", "strokeDash")
        layer["mark"] |= {"strokeWidth": 1.4}
        return layer

    def intervals(self, place: Spec, ends: tuple[str, str], along: str = "y") -> Spec:
        """Return a layer of bars from a lower to an upper end; where there is none, no bar."""
        low, high = ends
        layer = self._layer("rule", place | {along: {**place[along], "field": low}}, "color")
        layer["mark"] |= {"strokeWidth": 1.6}
        layer["encoding"][f"{along}2"] = {"field": high}
        return layer | {"transform": [has(low), has(high)]}

    def bands(self, place: Spec, ends: tuple[str, str]) -> Spec:
        """Return a layer of bands from a lower to an upper end of y."""
        low, high = ends
        layer = self._layer("area", place | {"y": {**place["y"], "field": low}}, "color")
        layer["encoding"] |= {
            "y2": {"field": high},
            "opacity": theme.faded(self.name, theme.BAND),
        }
        return layer | {"transform": [has(low), has(high)]}

    def _layer(self, mark: str, place: Spec, *channels: str) -> Spec:
        look = theme.series(self.field, [*self.styles], [*self.styles.values()], self.title)
        return {
            "mark": {"type": mark, "tooltip": None},
            "encoding": {
                **place,
                **{channel: look[channel] for channel in channels},
                "opacity": theme.faded(self.name),
            },
        }


def tooltips(rows: pl.DataFrame, columns: Iterable[Column] = ()) -> list[Spec]:
    """Return what a tooltip tells: all columns of the rows, numbers written as in tables."""
    formats = {column.name: column.format.replace("z", "") for column in columns}
    return [_told(name, kind, formats.get(name, "")) for name, kind in rows.schema.items()]


def _told(name: str, kind: pl.DataType, format: str) -> Spec:
    told: Spec = {"field": name, "title": name.replace("_", " ")}
    if not kind.is_numeric():
        return told | {"type": "nominal"}
    return told | {"type": "quantitative", "format": format or ".4~g"}


def number(field: str, title: str, **more: Any) -> Spec:
    """Return a quantitative channel; layers that share an axis have one title."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def known(rows: pl.DataFrame, field: str) -> bool:
    """Tell whether any row has a value."""
    return bool(rows[field].is_not_null().any())


def has(field: str) -> Spec:
    """Return the transform that leaves out rows without a value."""
    return {"filter": {"field": field, "valid": True}}


def among(field: str, values: Iterable[str]) -> Spec:
    """Return the transform that keeps rows with one of these values."""
    return {"filter": {"field": field, "oneOf": list(values)}}


def line_at(value: float, title: str, along: str = "y", **mark: Any) -> Spec:
    """Return a layer of one faint line across the panel, on the axis of this title."""
    return {
        "data": {"values": [{}]},
        "mark": {"type": "rule", "color": theme.FAINT, "tooltip": None, **mark},
        "encoding": {along: {"datum": value, "type": "quantitative", "title": title}},
    }


def without_legend(layer: Spec) -> Spec:
    """Return a layer whose series are in the legend of another panel."""
    bare = {
        name: {**channel, "legend": None} if "legend" in channel else channel
        for name, channel in layer["encoding"].items()
        if isinstance(channel, dict)
    }
    return {**layer, "encoding": {**layer["encoding"], **bare}}


def command(*words: str) -> str:
    """Return a command as a shell takes it.

    Examples
    --------
    >>> command("gamma", "a curve.csv")
    "rgtool gamma 'a curve.csv'"
    """
    return shlex.join(["rgtool", *words])


def unique(names: Sequence[str]) -> list[str]:
    """Tell equal names apart by a number.

    Examples
    --------
    >>> unique(["a", "b", "a"])
    ['a', 'b', 'a (2)']
    """
    return [
        f"{name} ({before + 1})" if (before := list(names[:i]).count(name)) else name
        for i, name in enumerate(names)
    ]
