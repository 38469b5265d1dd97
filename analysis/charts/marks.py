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
    rows : polars.DataFrame
        What is drawn, for layers and tooltips of values that only some rows have.
    """

    field: str
    styles: Mapping[str, Style]
    told: Sequence[Spec]
    title: str
    rows: pl.DataFrame

    @property
    def name(self) -> str:
        """What the choice by its legend is called."""
        return f"chosen_{self.field}"

    def points(self, place: Spec, *, chooses: bool = False) -> list[Spec]:
        """Return layers of marks at x and y; of one place of a chart the legend chooses."""
        layer = self.marks(place, filled=True, size=50)
        choice = {"params": [theme.choice(self.name, self.field)]} if chooses else {}
        return each_told(layer | choice, self.rows)

    def marks(self, place: Spec, *, filled: bool, size: int) -> Spec:
        """Return a layer of marks at x and y, which tells all columns of all rows."""
        layer = self._layer("point", place, "color", "shape")
        layer["mark"] |= {"filled": filled, "size": size, "strokeWidth": 1.4}
        layer["encoding"]["tooltip"] = list(self.told)
        return layer

    def lines(self, place: Spec) -> Spec:
        """Return a layer of lines through the points."""
        layer = self._layer("line", place, "color", "strokeDash")
        layer["mark"] |= {"strokeWidth": 1.4}
        return layer

    def intervals(self, place: Spec, ends: tuple[str, str], along: str = "y") -> list[Spec]:
        """Return layers of bars from a lower to an upper end; where there is none, no bar.

        A bar that has one end only reaches to the edge of the panel, where an arrow says so.
        """
        low, high = ends
        there = has_number(self.rows, low), has_number(self.rows, high)
        layers = []
        if any(there[0] & there[1]):
            bar = self._bar(place, low, along)
            bar["encoding"][f"{along}2"] = {"field": high}
            layers.append(bar | {"transform": [has(low), has(high)]})
        for end, other, only in (
            (low, high, there[0] & ~there[1]),
            (high, low, there[1] & ~there[0]),
        ):
            if any(only):
                layers += self._open(place, (end, other), along, upwards=end == low)
        return layers

    def _bar(self, place: Spec, field: str, along: str) -> Spec:
        layer = self._layer("rule", place | {along: {**place[along], "field": field}}, "color")
        layer["mark"] |= {"strokeWidth": 1.6}
        return layer

    def _open(self, place: Spec, ends: tuple[str, str], along: str, *, upwards: bool) -> list[Spec]:
        """Return bars from their only end to the edge, upwards or downwards, and the arrows there.

        Of an axis that is reversed the larger values are at the left, or below.
        """
        end, other = ends
        reverse = bool(place[along].get("scale", {}).get("reverse"))
        first = (along == "y") == (upwards != reverse)  # at the left, or above
        edge: Spec = {"value": 0 if first else {"x": "width", "y": "height"}[along]}
        bar = self._bar(place, end, along)
        bar["encoding"][f"{along}2"] = edge
        arrow = self._layer("point", place | {along: edge}, "color")
        shapes = {"x": ("left", "right"), "y": ("up", "down")}[along]
        arrow["mark"] |= {"shape": f"triangle-{shapes[not first]}", "filled": True, "size": 60}
        there = {"transform": [has(end), lacks(other)]}
        return [bar | there, arrow | there]

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
    """Return what a tooltip tells: all columns with a value, numbers written as in tables."""
    formats = {column.name: column.format.replace("z", "") for column in columns}
    return [
        _told(name, kind, formats.get(name, ""))
        for name, kind in rows.schema.items()
        if known(rows, name)
    ]


def _told(name: str, kind: pl.DataType, format: str) -> Spec:
    told: Spec = {"field": name, "title": name.replace("_", " ")}
    if not kind.is_numeric():
        return told | {"type": "nominal"}
    return told | {
        "type": "quantitative",
        "format": format or (",d" if kind.is_integer() else ".4~g"),
    }


def each_told(layer: Spec, rows: pl.DataFrame) -> list[Spec]:
    """Split a layer by which columns of its tooltip have a value: no tooltip tells of others.

    Parameters
    ----------
    layer : dict
        A layer; what is chosen in it (`params`) stays with the first part.
    rows : polars.DataFrame
        What it draws.
    """
    told = layer["encoding"]["tooltip"]
    fields = [one["field"] for one in told if one["field"] in rows.columns]
    absent = rows.select(pl.Series(name, ~has_number(rows, name)) for name in fields)
    absent = absent.select(name for name in fields if absent[name].any()).unique()
    if not absent.width:
        return [layer]
    parts: list[Spec] = []
    for pattern in absent.sort(absent.columns).to_dicts():
        kept = [one for one in told if not pattern.get(one["field"])]
        which = [lacks(name) if gone else has(name) for name, gone in pattern.items()]
        parts.append(
            {
                **{name: value for name, value in layer.items() if name != "params" or not parts},
                "transform": [*layer.get("transform", ()), *which],
                "encoding": {**layer["encoding"], "tooltip": kept},
            }
        )
    return parts


def number(field: str, title: str, **more: Any) -> Spec:
    """Return a quantitative channel; layers that share an axis have one title."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def known(rows: pl.DataFrame, field: str) -> bool:
    """Tell whether any row has a value."""
    return bool(has_number(rows, field).any())


def has_number(rows: pl.DataFrame, field: str) -> pl.Series:
    """Tell which rows have a value, as a page has it: an infinite number is none."""
    column = rows[field]
    there = column.is_not_null()
    return there & column.is_finite().fill_null(False) if column.dtype.is_float() else there


def has(field: str) -> Spec:
    """Return the transform that leaves out rows without a value."""
    return {"filter": {"field": field, "valid": True}}


def lacks(field: str) -> Spec:
    """Return the transform that keeps the rows without a value."""
    return {"filter": {"not": {"field": field, "valid": True}}}


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
