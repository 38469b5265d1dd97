"""Universality classes: the tree beside the distances of all pairs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ...schemas.blocks import GROUPINGS
from ...schemas.errors import printable
from ...schemas.published import PREFIX
from ...schemas.words import counted
from ..arrays import Integers
from ..plots.style import Style, series_styles
from ..result import frame
from . import theme
from .chart import Chart
from .marks import APART, Spec, among, command, each_told, number, tooltips, unique

if TYPE_CHECKING:
    from ..classes.result import Classes

_CELL, _ALL, _LEAST = 28, 420, 8  # pixels: a cell at most, all of them about, a cell at least
_MARKED = 12  # pixels of a cell with room for the mark of its verdict
_TREE, _STRIP = 120, 22  # pixels
_CHOSEN = "chosen_class"  # the parameter that the legend of classes sets
_MARKS = {
    "different": theme.shape(Style(theme.INK, "X", "-")),
    "same": theme.shape(Style(theme.INK, "o", "-")),
}


def classes_chart(classes: Classes) -> Chart:
    """Draw the tree of experiments beside their distances, in the order of its leaves."""
    from ..plots.classes import plot_classes

    names = unique([printable(name.removeprefix(PREFIX)) for name in classes.names])
    tree, order = _tree(classes)
    leaves = [names[i] for i in order]
    rows = _pairs(classes, names)
    cell = max(_LEAST, min(_CELL, _ALL // len(names)))
    height = cell * len(names)
    return Chart(
        key="classes",
        title=classes.title,
        caption=_caption(classes, cell),
        spec={
            "hconcat": [
                _tree_panel(len(names), height),
                _class_panel(classes, leaves, height),
                _heat_panel(rows, leaves, cell, classes),
            ],
            "spacing": 6,
            "resolve": {"scale": APART},
        },
        data={"rows": rows, "tree": tree, "members": _members(classes, names, order)},
        alternative=_alternative(classes, names),
        query=_command(classes),
        of=" ".join(classes.experiments),
        figure=lambda: plot_classes(classes),
    )


def _tree(classes: Classes) -> tuple[pl.DataFrame, list[int]]:
    """Return the corners of the tree, four a merge, and the leaves from the top.

    `place` is where a branch stands: i + 1/2 is leaf i.
    """
    from scipy.cluster.hierarchy import dendrogram

    if len(classes.experiments) < 2:
        nothing = {"merge": pl.Int64, "corner": pl.Int64, "distance": pl.Float64}
        return pl.DataFrame(schema=nothing | {"place": pl.Float64}), [0]
    found = dendrogram(classes.clusters.linkage, no_plot=True)
    place, distance = np.array(found["icoord"]) / 10, np.array(found["dcoord"])
    merges = len(place)
    tree = {
        "merge": np.repeat(np.arange(merges), 4),
        "corner": np.tile(np.arange(4), merges),
        "distance": distance.ravel(),
        "place": place.ravel(),
    }
    return frame(tree), list(found["leaves"] or ())


def _pairs(classes: Classes, names: list[str]) -> pl.DataFrame:
    """Return what is known of all pairs, with the names that are drawn and their classes."""
    pairs, sure = classes.pairs, classes.certainty
    labels: Integers = classes.clusters.labels
    together = None if sure is None else sure.together[pairs.first, pairs.second]
    drawn = frame(
        {
            "name_a": [names[i] for i in pairs.first],
            "name_b": [names[i] for i in pairs.second],
            "class_a": labels[pairs.first],
            "class_b": labels[pairs.second],
            "together": [None] * len(pairs.first) if together is None else together,
        }
    )
    return pl.concat([drawn, classes.pair_table.to_frame()], how="horizontal")


def _members(classes: Classes, names: list[str], order: list[int]) -> pl.DataFrame:
    sure = classes.certainty
    return frame(
        {
            "name": [names[i] for i in order],
            "class": [str(classes.clusters.labels[i]) for i in order],
            "experiment": [classes.experiments[i] for i in order],
            "seeds": classes.seeds[order],
            "levels": [classes.levels[i] for i in order],
            "stability": [None if sure is None else float(sure.stability[i]) for i in order],
        }
    )


def _tree_panel(size: int, height: int) -> Spec:
    return {
        "data": {"name": "tree"},
        "width": _TREE,
        "height": height,
        "mark": {"type": "line", "color": theme.INK, "strokeWidth": 1.2, "tooltip": None},
        "encoding": {
            "x": number("distance", "distance", scale={"reverse": True}, axis={"tickCount": 3}),
            "y": number("place", "", scale={"domain": [0, size], "reverse": True}, axis=None),
            "order": {"field": "corner"},
            "detail": {"field": "merge"},
        },
    }


def _class_panel(classes: Classes, leaves: list[str], height: int) -> Spec:
    """Return a strip that names the class of every leaf."""
    numbers = [str(i + 1) for i in range(classes.clusters.number)]
    styles = dict(zip(numbers, series_styles(len(numbers)), strict=True))
    y = {"field": "name", "type": "nominal", "scale": {"domain": leaves}, "axis": None}
    colour = theme.series("class", numbers, [*styles.values()], "class")["color"]
    fades = theme.faded(_CHOSEN)
    return {
        "data": {"name": "members"},
        "width": _STRIP,
        "height": height,
        "layer": [
            {
                "params": [theme.choice(_CHOSEN, "class")],
                "mark": {"type": "rect", "tooltip": None},
                "encoding": {"y": y, "color": colour, "opacity": fades},
            },
            {
                "mark": {"type": "text", "color": "white", "fontWeight": "bold", "tooltip": None},
                "encoding": {"y": y, "text": {"field": "class"}},
            },
        ],
    }


def _heat_panel(rows: pl.DataFrame, leaves: list[str], cell: int, classes: Classes) -> Spec:
    """Return both halves of the matrix of distances, with marks of verdicts where there is room."""
    told = tooltips(rows, classes.pair_table.columns)
    layers = []
    for row, column in (("a", "b"), ("b", "a")):
        place = {
            "y": _leaves(f"name_{row}", leaves, {"orient": "right", "labelLimit": 260}),
            "x": _leaves(f"name_{column}", leaves, {"labels": False}),
        }
        layers += each_told(_cells(place, row, told), rows)
        if cell >= _MARKED:
            layers += [_verdict_marks(place, verdict) for verdict in _MARKS]
    return {
        "data": {"name": "rows"},
        "width": {"step": cell},
        "height": {"step": cell},
        "layer": layers,
    }


def _cells(place: Spec, row: str, told: list[Spec]) -> Spec:
    colour = number(
        "distance", "distance", scale={"scheme": "viridis"}, legend={"direction": "horizontal"}
    )
    return {
        "transform": [{"calculate": f"toString(datum.class_{row})", "as": "class"}],
        "mark": {"type": "rect", "tooltip": None},
        "encoding": {
            **place,
            "color": colour,
            "opacity": theme.faded(_CHOSEN),
            "tooltip": told,
        },
    }


def _verdict_marks(place: Spec, verdict: str) -> Spec:
    look = {"shape": _MARKS[verdict], "size": 40, "fill": "white", "stroke": "black"}
    return {
        "transform": [among("verdict", [verdict])],
        "mark": {"type": "point", "strokeWidth": 0.6, "opacity": 1, "tooltip": None, **look},
        "encoding": place,
    }


def _leaves(field: str, leaves: list[str], axis: Spec) -> Spec:
    return {
        "field": field,
        "type": "nominal",
        "title": None,
        "scale": {"domain": leaves},
        "axis": {"domain": False, "ticks": False, **axis},
    }


def _caption(classes: Classes, cell: int) -> str:
    metric = re.split(r",| between", classes.metric.removeprefix("the "))[0]
    parts = [
        f"The tree joins experiments at their distance ({metric}, average linkage); the matrix "
        "shows the distance of every pair, rows and columns in the order of its leaves, and the "
        "strip between them the class."
    ]
    if classes.clusters.number == 1:
        parts.append("There is one class, which is no evidence that all are the same.")
    if cell >= _MARKED and classes.tested:
        parts.append(
            "A cross marks a pair that is different (Holm 5 %), a dot one that is certified the "
            "same; all others are undecided, which is not the same."
        )
    if classes.certainty is not None:
        parts.append(
            f"Tooltips tell the share of {classes.certainty.draws} draws in which two experiments "
            "fall into one class (together)."
        )
    return " ".join(parts)


def _alternative(classes: Classes, names: list[str]) -> str:
    labels = classes.clusters.labels
    members = (
        f"class {number}: "
        + ", ".join(n for n, k in zip(names, labels, strict=True) if k == number)
        for number in range(1, classes.clusters.number + 1)
    )
    return f"Tree and distances of {counted(len(names), 'experiment')}. {'; '.join(members)}."


def _command(classes: Classes) -> str:
    return command(
        *("classify", *classes.experiments, "--by", classes.by),
        *(("--grouping", classes.grouping) if classes.grouping in GROUPINGS else ()),
        *(() if classes.weighting == "count" else ("--weighting", classes.weighting)),
        *("--pairs", "--csv"),
    )
