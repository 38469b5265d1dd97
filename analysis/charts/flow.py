"""The flow as charts: shares or effective scales of groups against the level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...schemas.errors import printable
from ...schemas.words import counted
from ...store.counts import Counts
from ..plots.flow import MARKED, Course, plot_flow, plot_scale_flow, scale_course, share_course
from ..plots.style import group_styles, named_apart
from ..result import frame
from . import theme
from .chart import Chart
from .layers import curves
from .sql import is_stored, listed_ids

if TYPE_CHECKING:
    import polars as pl

    from ..spectrum.scale_flow import ScaleFlow

_SQL = """\
SELECT name, level, avg(density) AS density, avg(share) AS share, min(share) AS low,
  max(share) AS high, count(*) AS runs
FROM flow WHERE experiment_id = {id} AND grouping = '{by}' AND share IS NOT NULL
GROUP BY name, level ORDER BY level, name"""


def flow_chart(counts: Counts) -> Chart:
    """Draw the share of every group of an experiment against the level (eq. 13)."""
    course = share_course(counts)
    ends, rows = np.concatenate([course.low, course.high]), _rows(course, "share")
    return Chart(
        key="flow",
        title=f"{_named(course)}: share of kept weights, by {counts.by}",
        caption=f"Share M of all kept weights that lies in each {counts.by}, after every pruning, "
        f"on a logarithmic axis. {_means(course)} Groups of one stage share a colour, which "
        "lightens with depth; a click on a name in the legend lets the others fade.",
        spec=_spec(course, rows, "share", "share of kept weights M", theme.log_scale(ends)),
        data={"rows": rows},
        alternative=f"Lines of the share of kept weights of {_said(course)}.",
        query=_query(counts),
        of=counts.experiment_id,
        figure=lambda: plot_flow([counts]),
    )


def scale_flow_chart(found: ScaleFlow) -> Chart:
    """Draw the effective scale of every group of an experiment against the level."""
    course = scale_course(found)
    rows = _rows(course, "scale")
    return Chart(
        key="flow-scale",
        title=f"{_named(course)}: effective scales, by {found.by}",
        caption=f"Effective scale s of each {found.by}: the logarithm of the scale at which an "
        "untrained layer would keep the same share. An untrained network has horizontal lines, at "
        f"every density; what moves them is training. {_means(course)}{_without(course, rows)} "
        "The command prints where each begins and ends, and its drift.",
        spec=_spec(course, rows, "scale", "effective scale s", {"scale": {"zero": False}}),
        data={"rows": rows},
        alternative=f"Lines of the effective scale of {_said(course)}.",
        query=f"rgtool eigen {found.experiment_id} --coordinates scale --by {found.by}",
        of=found.experiment_id,
        figure=lambda: plot_scale_flow([found]),
    )


def _without(course: Course, rows: pl.DataFrame) -> str:
    """Name the groups that have no scale at any level: they have no line."""
    there = rows["name"].filter(rows["scale"].is_not_null()).to_list()
    out = [name for name in map(printable, course.of.names) if name not in there]
    return f" Left out, without a scale: {', '.join(out)}." if out else ""


def _query(counts: Counts) -> str:
    return _SQL.format(id=listed_ids([counts]), by=counts.by) if is_stored(counts) else ""


def _named(course: Course) -> str:
    return named_apart([course.of])[0]


def _means(course: Course) -> str:
    """Say what lines and bands are."""
    if len(course.of.runs) == 1:
        return "Lines are those of one run."
    means = f"Lines are means over {len(course.of.runs)} runs"
    if len(course.of.names) > MARKED:
        return f"{means}."
    return f"{means}, bands reach from the lowest to the highest of them."


def _said(course: Course) -> str:
    first, last = int(course.levels[0]), int(course.levels[-1])
    of = counted(len(course.of.names), course.of.by)
    return (
        f"{of} of {_named(course)}, against the level, from {first} to {last} (density "
        f"{course.density[0]:.3g} to {course.density[-1]:.3g})"
    )


def _rows(course: Course, value: str) -> pl.DataFrame:
    """Return a row per level and group, levels first; null where there is no value."""
    levels, groups = course.mean.shape
    return frame(
        {
            "name": [printable(name) for name in course.of.names] * levels,
            "level": np.repeat(course.levels, groups),
            "density": np.repeat(course.density, groups),
            value: course.mean.ravel(),
            "low": course.low.ravel(),
            "high": course.high.ravel(),
            "runs": np.repeat(course.runs, groups),
        }
    )


def _spec(
    course: Course, rows: pl.DataFrame, value: str, title: str, axis: dict[str, Any]
) -> dict[str, Any]:
    there = set(rows["name"].filter(rows[value].is_not_null()))
    looks = zip(map(printable, course.of.names), group_styles(course.of), strict=True)
    styles = {name: style for name, style in looks if name in there}
    several, few = len(course.of.runs) > 1, len(course.of.names) <= MARKED
    told = {"name": course.of.by, "level": "level", "density": "density", value: title}
    drawn = rows.filter(rows[value].is_not_null())
    layers = curves(
        {"field": "level", "type": "quantitative", **level_axis(course)},
        {"field": value, "type": "quantitative", "title": title, **axis},
        theme.series("name", [*styles], [*styles.values()], course.of.by),
        told | ({"low": "lowest run", "high": "highest run"} if several else {}) | {"runs": "runs"},
        drawn,
        banded=several and few,
        thin=not few,
    )
    return {"data": {"name": "rows"}, "height": 320, "layer": layers}


def level_axis(course: Course) -> dict[str, Any]:
    """Return scale and axis of whole levels, with the density that is left below each."""
    first, last = int(course.levels[0]), int(course.levels[-1])
    at = dict(zip(course.levels.tolist(), course.density.tolist(), strict=True))
    known = [f"'{theme.percent(at[level])}'" if level in at else "''" for level in range(last + 1)]
    axis = {
        "title": "level n, and density",
        "values": list(range(first, last + 1)),
        "format": "d",
        "labelExpr": f"[datum.label, [{','.join(known)}][datum.value]]",
    }
    return {"scale": {"domain": [first, last], "nice": False}, "axis": axis}
