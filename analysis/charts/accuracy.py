"""Accuracy against density as a chart, with matching densities and what guessing gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...schemas.errors import RgtoolError, printable
from ...schemas.words import counted
from ...store.counts import Counts
from ..chance import guessing
from ..curves.matching import DEFINITION, matching_density
from ..plots.accuracy import accuracy_curve, plot_accuracy
from ..plots.style import named_apart, series_styles
from ..result import frame
from . import theme
from .chart import Chart
from .layers import CHOSEN, curves
from .marks import each_told, has, known
from .sql import is_stored, listed_ids

if TYPE_CHECKING:
    import polars as pl

_BANDED = 8  # experiments whose bands do not hide each other
_SQL = """\
SELECT experiment_id, level, avg(density) AS density, avg(accuracy) AS accuracy,
  stddev_samp(accuracy) AS sd, count(*) AS runs
FROM levels JOIN runs USING (run_id)
WHERE experiment_id IN ({ids}) AND accuracy IS NOT NULL
GROUP BY experiment_id, level ORDER BY experiment_id, level"""
_MATCHING = {
    "experiment": "experiment",
    "density": "matching density",
    "low": "lower end (95 %)",
    "high": "upper end (95 %)",
    "level": "level",
    "accuracy": "accuracy",
    "dense": "dense accuracy",
}


def accuracy_chart(experiments: Sequence[Counts]) -> Chart:
    """Draw mean test accuracy against density; children follow what has its own tickets.

    Raises
    ------
    RgtoolError
        No experiment has an accuracy on record.
    """
    there = _with_accuracy(experiments)
    full = named_apart(there)
    names, shared = without_shared(full)
    rows = _rows(there, names)
    density = rows["density"].to_numpy()
    data = {"rows": rows, "matching": _matching(there, names), "guessing": _guessing(there, rows)}
    return Chart(
        key="accuracy",
        title=f"{full[0] if len(names) == 1 else counted(len(names), 'experiment')}: "
        "test accuracy against density",
        caption=_caption(rows, data, len(names), shared),
        spec=_spec(names, rows, data),
        data={name: found for name, found in data.items() if len(found)},
        alternative="Lines of mean test accuracy against density, from "
        f"{density.max():.3g} down to {density.min():.3g}, of "
        f"{counted(len(names), 'experiment')}: {'; '.join(names[:5])}"
        f"{'; ...' if len(names) > 5 else ''}.",
        query=_SQL.format(ids=listed_ids(there)) if all(map(is_stored, there)) else "",
        of=" ".join(one.experiment_id for one in there),
        figure=lambda: plot_accuracy(there),
    )


def without_shared(names: Sequence[str]) -> tuple[list[str], str]:
    """Leave out of names the words at their beginning and end that all share; return these too.

    Examples
    --------
    >>> without_shared(["a/b lr=1, 2 seeds", "a/b lr=2, 2 seeds"])
    (['lr=1', 'lr=2'], 'a/b, 2 seeds')
    >>> without_shared(["a/b, 2 seeds", "a/b lr=2, 2 seeds"])
    (['a/b', 'a/b lr=2'], '2 seeds')
    """
    labels, seeds = zip(*(name.rsplit(", ", 1) for name in names), strict=True)
    if len(names) < 2:
        return list(names), ""
    tail = [seeds[0]] if len(set(seeds)) == 1 else []
    words = [label.split(" ") for label in labels]
    same = [len(set(column)) == 1 for column in zip(*words, strict=False)]
    head = (same + [False]).index(False)
    if min(map(len, words)) == head:  # nothing would be left of one
        head = 0
    short = [" ".join(one[head:]) for one in words]
    if not tail:
        short = [f"{name}, {end}" for name, end in zip(short, seeds, strict=True)]
    return short, ", ".join([" ".join(words[0][:head])] * bool(head) + tail)


def _with_accuracy(experiments: Sequence[Counts]) -> list[Counts]:
    there = [c for c in experiments if (c.recorded & np.isfinite(c.accuracy)).any()]
    if not there:
        raise RgtoolError(
            "no experiment has an accuracy on record: there is nothing to draw against density"
        )
    return sorted(there, key=lambda counts: counts.recipe.parent is not None)


def _rows(experiments: Sequence[Counts], names: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    return pl.concat(_curve(*both) for both in zip(experiments, names, strict=True))


def _curve(counts: Counts, name: str) -> pl.DataFrame:
    has = counts.recorded & np.isfinite(counts.accuracy)
    density, mean, std = accuracy_curve(counts)
    return frame(
        {
            "experiment_id": [counts.experiment_id] * len(mean),
            "experiment": [name] * len(mean),
            "level": counts.levels[has.any(axis=0)],
            "density": density,
            "accuracy": mean,
            "low": mean - std,
            "high": mean + std,
            "sd": std,
            "runs": has.sum(axis=0)[has.any(axis=0)],
        }
    )


def _matching(experiments: Sequence[Counts], names: Sequence[str]) -> pl.DataFrame:
    """Return matching densities; what has no dense accuracy has nothing to match."""
    found = {}
    for counts, name in zip(experiments, names, strict=True):
        if counts.recorded[:, 0].any() and np.isfinite(counts.accuracy[:, 0]).any():
            found[name] = matching_density(None, counts)
    return frame(
        {
            "experiment": list(found),
            "level": [one.level.value for one in found.values()],
            "density": [one.density.value for one in found.values()],
            "low": [one.density.low for one in found.values()],
            "high": [one.density.high for one in found.values()],
            "accuracy": [one.accuracy for one in found.values()],
            "dense": [one.dense_accuracy for one in found.values()],
        }
    )


def _guessing(experiments: Sequence[Counts], rows: pl.DataFrame) -> pl.DataFrame:
    """Return the accuracies of guessing on the tasks, each once, that curves come near to."""
    accuracy = rows["accuracy"].to_numpy()
    low, high = float(accuracy.min()), float(accuracy.max())
    found = {(c.recipe.task, guessing(c)): None for c in experiments}
    # Else most of the chart would be empty.
    near = [(task, guess) for task, guess in found if guess is not None and guess > 2 * low - high]
    return frame(
        {
            "task": [printable(task) for task, _ in near],
            "guessing": [guess for _, guess in near],
        }
    )


def _caption(rows: pl.DataFrame, data: dict[str, pl.DataFrame], count: int, shared: str) -> str:
    said = ["Mean test accuracy of every level against the share of weights that is kept there."]
    if shared:
        said.append(f"All experiments: {shared}.")
    if rows["sd"].is_not_null().any():
        said.append(
            "Bands are one standard deviation over seeds."
            if count <= _BANDED
            else f"Bands are left out, since those of more than {_BANDED} experiments hide each "
            "other; tooltips tell the standard deviation over seeds."
        )
    if len(data["matching"]):
        said.append(
            f"Rings are matching densities with their 95 % intervals ({DEFINITION}); an interval "
            "needs two seeds. Where a ring lies at the last level on record, a network may match "
            "at lower densities too."
        )
    if len(data["guessing"]):
        said.append("Dotted lines are what guessing gives.")
    return " ".join(said)


def _spec(
    names: Sequence[str], rows: pl.DataFrame, data: dict[str, pl.DataFrame]
) -> dict[str, Any]:
    series = theme.series("experiment", names, series_styles(len(names)), "experiment")
    deviates = bool(rows["sd"].is_not_null().any())
    x = {"field": "density", "type": "quantitative", **theme.density_axis(rows["density"])}
    y = {
        "field": "accuracy",
        "type": "quantitative",
        "title": "test accuracy",
        "scale": {"zero": False},
    }
    told = {
        "experiment": "experiment",
        "level": "level",
        "density": "density",
        "accuracy": "test accuracy",
        **({"sd": "sd over seeds"} if deviates else {}),
        "runs": "runs",
    }
    guess = {
        "data": {"name": "guessing"},
        "mark": {"type": "rule", "strokeDash": [2, 3], "color": theme.FAINT},
        "encoding": {
            "y": {"field": "guessing", "type": "quantitative"},
            "tooltip": theme.tooltips({"task": "task", "guessing": "accuracy of guessing"}),
        },
    }
    layers = curves(x, y, series, told, rows, banded=deviates and len(names) <= _BANDED)
    if len(data["matching"]):
        layers += _rings(x, y, series, data["matching"])
    if len(data["guessing"]):
        layers.insert(0, guess)
    return {"data": {"name": "rows"}, "height": 320, "layer": layers}


def _rings(
    x: dict[str, Any], y: dict[str, Any], series: dict[str, Any], rows: pl.DataFrame
) -> list[dict[str, Any]]:
    shared = {"y": y, "color": series["color"], "opacity": theme.faded(CHOSEN)}
    shared["tooltip"] = theme.tooltips(_MATCHING)
    interval = {
        "mark": {"type": "rule", "strokeWidth": 2},
        "transform": [has("low"), has("high")],
        "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, **shared},
    }
    ring = {
        "mark": {"type": "point", "filled": False, "size": 160, "shape": "circle"},
        "encoding": {"x": x, **shared},
    }
    layers = [*([interval] if known(rows, "low") else []), *each_told(ring, rows)]
    return [{"data": {"name": "matching"}, **layer} for layer in layers]
