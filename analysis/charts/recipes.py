"""Recipes beside what they reach: parallel coordinates, a line an experiment."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...schemas.errors import RgtoolError, printable
from ...schemas.words import counted
from ...store.catalogue.apart import written
from ...store.catalogue.inventory import RECIPE_FIELDS
from ...store.counts import Counts
from ..arrays import Floats
from ..curves.matching import DEFINITION, Matching, matching_density
from ..plots.style import named_apart
from ..result import frame
from ..window import SLACK
from . import theme
from .chart import Chart
from .sql import is_stored, listed_ids

if TYPE_CHECKING:
    import polars as pl

_DIGITS = 4  # of a dense accuracy that are told
_SPAN = 4.0  # between the ends of the scale of colours, at least
_TICKS = 12  # values of an axis that have room for their names
_CHOSEN = "chosen"
_REACHED = 2  # axes of what was reached, which are the last
# As `matching_density` finds it: levels with an accuracy in every run that has a dense one.
_SQL = """\
WITH known AS (
  SELECT experiment_id, run_id, level, density, accuracy FROM levels JOIN runs USING (run_id)
  WHERE experiment_id IN ({ids}) AND isfinite(accuracy)),
used AS (SELECT * FROM known WHERE run_id IN (SELECT run_id FROM known WHERE level = 0)),
dense AS (
  SELECT experiment_id, avg(accuracy) AS dense_accuracy, count(*) AS seeds,
    coalesce(stddev_samp(accuracy), 0) AS sd
  FROM used WHERE level = 0 GROUP BY experiment_id),
curves AS (
  SELECT experiment_id, level, avg(density) AS density, avg(accuracy) AS accuracy,
    count(*) AS runs
  FROM used GROUP BY experiment_id, level),
reached AS (
  SELECT experiment_id, any_value(dense_accuracy) AS dense_accuracy,
    arg_max(density, level) AS matching_density
  FROM curves JOIN dense USING (experiment_id)
  WHERE runs = seeds AND (level = 0 OR accuracy >= dense_accuracy - sd) GROUP BY experiment_id)
SELECT experiment_id, {fields}any_value(dense_accuracy) AS dense_accuracy,
  any_value(matching_density) AS matching_density
FROM reached JOIN runs USING (experiment_id) GROUP BY experiment_id ORDER BY experiment_id"""


@dataclass(frozen=True)
class _Axis:
    """An axis of parallel coordinates.

    Attributes
    ----------
    title : str
        What it shows.
    texts : tuple of str
        The value of every experiment.
    places : tuple of float
        Where that stands, from 0 below to 1 above.
    """

    title: str
    texts: tuple[str, ...]
    places: tuple[float, ...]


def recipe_chart(experiments: Sequence[Counts]) -> Chart:
    """Draw the fields in which recipes differ, and the matching density that each reaches.

    Parameters
    ----------
    experiments : sequence of Counts
        Experiments; those without a dense accuracy have no matching density and are left out.

    Raises
    ------
    RgtoolError
        Fewer than two have one.
    """
    there = [counts for counts in experiments if _has_dense_accuracy(counts)]
    if len(there) < 2:
        raise RgtoolError(
            f"{counted(len(there), 'experiment')} with an accuracy of the dense network: recipes "
            "are compared where there are two"
        )
    found = [matching_density(None, counts) for counts in there]
    densities = _grouped(there, found)
    axes = [*_fields(there), *_reached(found, densities)]
    names = named_apart(there)
    out = len(experiments) - len(there)
    return Chart(
        key="recipes",
        title=f"{counted(len(there), 'recipe')} and the matching density of each",
        caption="A line an experiment, across the fields in which their recipes differ, to its "
        "accuracy when dense and its matching density, which the colour tells as well "
        f"({DEFINITION}). Values of a recipe stand at equal distances, in their order; densities "
        "within a twentieth of a step of the levels are one. A click on a point lets the others "
        "fade. The intervals of matching densities come of draws: `rgtool show` has them."
        + (f" Left out, without a dense accuracy: {counted(out, 'experiment')}." if out else ""),
        spec=_spec(axes, densities),
        data={"rows": _rows(there, names, found, axes), "ticks": _ticks(axes)},
        alternative=f"Lines of {counted(len(there), 'experiment')} across "
        f"{', '.join(axis.title for axis in axes)}.",
        query=_query(there, [axis.title for axis in axes[:-_REACHED]]),
        of=" ".join(one.experiment_id for one in there),
    )


def _query(experiments: Sequence[Counts], fields: Sequence[str]) -> str:
    """Return the fields and what was reached as SQL; published experiments are in no view."""
    if not all(map(is_stored, experiments)):
        return ""
    told = "".join(f"any_value({name}) AS {name}, " for name in fields)
    return _SQL.format(ids=listed_ids(experiments), fields=told)


def _has_dense_accuracy(counts: Counts) -> bool:
    return bool((counts.recorded[:, 0] & np.isfinite(counts.accuracy[:, 0])).any())


def _fields(experiments: Sequence[Counts]) -> list[_Axis]:
    """Return an axis for every field in which the recipes differ, values at equal distances."""
    axes = []
    for name in RECIPE_FIELDS:
        values = [written(getattr(counts.recipe, name)) for counts in experiments]
        order = sorted(set(values), key=_by_size)
        if len(order) > 1:
            places = [order.index(value) / (len(order) - 1) for value in values]
            texts = [_text(value) for value in values]
            axes.append(_Axis(name, tuple(texts), tuple(places)))
    return axes


def _by_size(value: Any) -> tuple[float, str]:
    """Return what orders values: the number that they begin with, as in `1000it`; below it texts.

    Examples
    --------
    >>> sorted(["1000it", "none", "500it", 0.2], key=_by_size)
    ['none', 0.2, '500it', '1000it']
    """
    text = str(value)
    number = re.match(r"\d+(\.\d+)?(e[-+]?\d+)?", text)
    return (float(number[0]) if number else -1.0, text)


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value))


def _grouped(experiments: Sequence[Counts], found: Sequence[Matching]) -> Floats:
    """Return matching densities; those that differ by less than levels can are the densest of them.

    Layers of other sizes round to other numbers of weights, so that one level of two networks is
    hardly ever of one density.
    """
    steps = [-math.log1p(-counts.recipe.prune) for counts in experiments]
    slack = SLACK * min(step for step in steps if step > 0) if any(steps) else 0.0
    logs = np.log([one.density.value for one in found])
    grouped = logs.copy()
    for place in np.argsort(-logs):  # densest first
        near = (logs <= logs[place]) & (logs >= logs[place] - slack) & (grouped == logs)
        if grouped[place] == logs[place]:
            grouped[near] = logs[place]
    return np.exp(grouped)


def _reached(found: Sequence[Matching], density: Floats) -> list[_Axis]:
    """Return the axes of what was reached: accuracy, and density by its logarithm, sparse above."""
    # What reads alike stands alike.
    dense = np.array([one.dense_accuracy for one in found]).round(_DIGITS)
    return [
        _Axis("dense accuracy", tuple(f"{v:.{_DIGITS}f}" for v in dense), _between_ends(dense)),
        _Axis("matching density", _percents(density), _between_ends(-np.log(density))),
    ]


def _percents(density: Floats) -> tuple[str, ...]:
    """Write densities with as few digits as tell them apart, two at least."""
    distinct = len(set(density.tolist()))
    for digits in range(2, 7):
        texts = tuple(theme.percent(float(value), digits) for value in density)
        if len(set(texts)) == distinct:
            break
    return texts


def _between_ends(values: Any) -> tuple[float, ...]:
    low, high = values.min(), values.max()
    if high == low:
        return (0.5,) * len(values)
    return tuple(((values - low) / (high - low)).tolist())


def _rows(
    experiments: Sequence[Counts],
    names: Sequence[str],
    found: Sequence[Matching],
    axes: Sequence[_Axis],
) -> pl.DataFrame:
    """Return a row per experiment and axis, experiments first."""
    count = len(axes)

    def each(values: Sequence[Any]) -> list[Any]:
        return [value for value in values for _ in range(count)]

    return frame(
        {
            "experiment_id": each([counts.experiment_id for counts in experiments]),
            "experiment": each(names),
            "axis": [axis.title for axis in axes] * len(names),
            "value": [axis.texts[i] for i in range(len(names)) for axis in axes],
            "place": [axis.places[i] for i in range(len(names)) for axis in axes],
            "density": each([one.density.value for one in found]),
            "low": each([one.density.low for one in found]),
            "high": each([one.density.high for one in found]),
            "interval": each([_interval(one) for one in found]),
            "level": each([one.level.value for one in found]),
            "dense_accuracy": each([one.dense_accuracy for one in found]),
        }
    )


def _interval(found: Matching) -> str:
    """Write an interval; a tooltip tells of one where there is none."""
    low, high = found.density.low, found.density.high
    return "none" if math.isnan(low) or math.isnan(high) else f"{low:.3g} to {high:.3g}"


def _ticks(axes: Sequence[_Axis]) -> pl.DataFrame:
    """Return which values are written at an axis: all, or some and the two ends."""
    rows = [
        (axis.title, place, text)
        for axis in axes
        for place, text in _spaced(dict(zip(axis.places, axis.texts, strict=True)))
    ]
    return frame(
        {
            "axis": [axis for axis, _, _ in rows],
            "place": [place for _, place, _ in rows],
            "value": [text for _, _, text in rows],
        }
    )


def _spaced(texts: Mapping[float, str]) -> list[tuple[float, str]]:
    """Leave out what would stand on another: places nearer than a tick to one that is written."""
    kept: list[tuple[float, str]] = []
    ends = min(texts), max(texts)
    for place in (*ends, *sorted(texts)):
        if all(abs(place - other) >= 1 / _TICKS for other, _ in kept):
            kept.append((place, texts[place]))
    return kept


def _spread(density: Floats) -> list[float]:
    """Return the ends of the scale of colours, which neighbours in density do not fill alone."""
    low, high = float(density.min()), float(density.max())
    widen = max(1.0, math.sqrt(_SPAN * low / high))
    return [low / widen, high * widen]


def _spec(axes: Sequence[_Axis], density: Floats) -> dict[str, Any]:
    position = {
        "x": {
            "field": "axis",
            "type": "nominal",
            "sort": [axis.title for axis in axes],
            "scale": {"type": "point", "padding": 0.3},
            "axis": {"title": None, "labelAngle": -30, "domain": False, "grid": True},
        },
        "y": {
            "field": "place",
            "type": "quantitative",
            "axis": None,
            "scale": {"domain": [0, 1]},
        },
    }
    color = {
        "field": "density",
        "type": "quantitative",
        "scale": {
            "type": "log",
            "scheme": theme.LEVELS,
            "reverse": True,
            "domain": _spread(density),
            "nice": False,
            "clamp": True,
        },
        "legend": None,  # the last axis tells
    }
    told = {
        "experiment": "experiment",
        "axis": "field",
        "value": "value",
        "density": "matching density",
        "interval": "its 95 % interval",
        "level": "level",
        "dense_accuracy": "dense accuracy",
    }
    shared = {**position, "color": color, "opacity": theme.faded(_CHOSEN, 0.9)}
    choice = {"name": _CHOSEN, "select": {"type": "point", "fields": ["experiment"]}}
    line = {
        "mark": {"type": "line", "strokeWidth": 1.8},
        "encoding": {**shared, "detail": {"field": "experiment_id"}},
    }
    points = {
        "mark": {"type": "point", "filled": True, "size": 50},
        "encoding": {**shared, "tooltip": theme.tooltips(told)},
        "params": [choice],
    }
    texts = {
        "data": {"name": "ticks"},
        "mark": {"type": "text", "align": "left", "dx": 5, "dy": -7, "limit": 110},
        "encoding": {**position, "text": {"field": "value"}},
    }
    return {"data": {"name": "rows"}, "height": 320, "layer": [line, points, texts]}
