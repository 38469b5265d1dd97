"""The flow in planes of two shares, as the paper's Fig. 2 shows it: a chart a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...schemas.errors import printable
from ...store.counts import Counts
from ...store.sql.relations import quote
from .. import flow
from ..plots.flow import check_groups, liveliest_pairs, mean_shares, plot_slices
from ..plots.style import named_apart, series_styles
from ..result import frame
from . import theme
from .chart import Chart
from .layers import CHOSEN
from .sql import is_stored, listed_ids

if TYPE_CHECKING:
    import polars as pl

_SQL = """\
SELECT experiment_id, level, avg(one.density) AS density, avg(one.share) AS x,
  avg(other.share) AS y, count(*) AS runs
FROM flow AS one JOIN flow AS other USING (run_id, experiment_id, level, grouping)
WHERE experiment_id IN ({ids}) AND grouping = {by}
  AND one.name = {x} AND other.name = {y} AND one.share IS NOT NULL
GROUP BY experiment_id, level ORDER BY experiment_id, level"""


def slice_charts(
    experiments: Sequence[Counts], pairs: Sequence[tuple[str, str]] | None = None
) -> tuple[Chart, ...]:
    """Draw the flow in planes (M_i, M_j), a chart for each of them, points coloured by level.

    Parameters
    ----------
    experiments : sequence of Counts
        Experiments with the same groups.
    pairs : sequence of (str, str), optional
        Groups on the two axes; by default all pairs of the three groups whose share moves most in
        the first experiment.

    Raises
    ------
    UsageError
        The experiments differ in their groups, or have one group only.
    """
    check_groups(experiments)
    chosen = pairs or liveliest_pairs(experiments[0])
    return tuple(_slice_chart(experiments, pair, place) for place, pair in enumerate(chosen))


def _slice_chart(experiments: Sequence[Counts], pair: tuple[str, str], place: int) -> Chart:
    names = named_apart(experiments)
    first, runs = experiments[0], len(experiments) == 1 and len(experiments[0].runs) > 1
    x, y = map(printable, pair)
    rows = [_means(counts, name, pair) for counts, name in zip(experiments, names, strict=True)]
    return Chart(
        key=f"slice-{place}",
        title=f"{first.by} {x} and {first.by} {y}: shares of kept weights",
        caption=f"The flow of {', '.join(names)} in the plane of two shares. Points are means over "
        "runs, their colour tells the level; thin lines are "
        f"{'single runs' if runs else 'the paths of the means'}.",
        spec=_spec(names, f"share of {first.by} {x}", f"share of {first.by} {y}", runs),
        data={"rows": _stacked(rows), **({"paths": _single_runs(first, pair)} if runs else {})},
        alternative=f"Paths of {', '.join(names)} in the plane of the shares of {first.by} {x} and "
        f"{first.by} {y}, by level.",
        query=_query(experiments, pair),
        of=" ".join(one.experiment_id for one in experiments),
        figure=lambda: plot_slices(experiments, [pair]),
    )


def _query(experiments: Sequence[Counts], pair: tuple[str, str]) -> str:
    if not all(map(is_stored, experiments)):
        return ""
    ids, by = listed_ids(experiments), quote(experiments[0].by)
    return _SQL.format(ids=ids, by=by, x=quote(pair[0]), y=quote(pair[1]))


def _stacked(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    import polars as pl

    return pl.concat(frames)


def _means(counts: Counts, name: str, pair: tuple[str, str]) -> pl.DataFrame:
    levels, mean, _, _ = mean_shares(counts)
    recorded = counts.recorded[:, levels]
    density = np.where(recorded, counts.kept[:, levels].sum(axis=-1), np.nan) / counts.total.sum()
    x, y = (mean[:, counts.names.index(group)] for group in pair)
    return frame(
        {
            "experiment_id": [counts.experiment_id] * len(levels),
            "experiment": [name] * len(levels),
            "level": levels,
            "density": np.nanmean(density, axis=0),
            "x": x,
            "y": y,
            "runs": recorded.sum(axis=0),
        }
    )


def _single_runs(counts: Counts, pair: tuple[str, str]) -> pl.DataFrame:
    share = flow.shares(counts.kept)
    run, level = np.nonzero(counts.recorded & (counts.kept.sum(axis=-1) > 0))
    x, y = (share[run, level, counts.names.index(group)] for group in pair)
    names = [counts.runs[i] for i in run]
    return frame({"run": names, "level": counts.levels[level], "x": x, "y": y})


def _spec(names: Sequence[str], x: str, y: str, runs: bool) -> dict[str, Any]:
    position = {
        "x": {"field": "x", "type": "quantitative", "title": x, "scale": {"zero": False}},
        "y": {"field": "y", "type": "quantitative", "title": y, "scale": {"zero": False}},
    }
    paths = {
        "data": {"name": "paths" if runs else "rows"},
        "mark": {"type": "line", "strokeWidth": 0.8, "color": theme.FAINT, "tooltip": None},
        "encoding": {
            **position,
            "detail": {"field": "run" if runs else "experiment"},
            "order": {"field": "level", "type": "quantitative"},
        },
    }
    told = {"experiment": "experiment", "level": "level", "density": "density", "x": x, "y": y}
    points: dict[str, Any] = {
        "mark": {"type": "point", "filled": True, "size": 60, "strokeWidth": 0.6, "opacity": 1},
        "encoding": {
            **position,
            "fill": {
                "field": "level",
                "type": "quantitative",
                "scale": {"scheme": theme.LEVELS, "domainMin": 0},
                "legend": {
                    "title": "level n",
                    "format": "d",
                    "tickMinStep": 1,
                    "orient": "top",
                    "gradientLength": 160,
                },
            },
            "stroke": {"value": theme.INK},
            "tooltip": theme.tooltips({**told, "runs": "runs"}),
        },
    }
    if len(names) > 1:
        series = theme.series("experiment", names, series_styles(len(names)), "experiment")
        points["encoding"] |= {"shape": series["shape"], "opacity": theme.faded(CHOSEN)}
        points["params"] = [theme.choice(CHOSEN, "experiment")]
    return {"data": {"name": "rows"}, "height": 280, "layer": [paths, points]}
