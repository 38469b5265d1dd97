"""What predictions were worth: gains over a constant and over N1, and how often intervals held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from ...schemas.errors import UsageError, printable
from ..plots.style import BLUE, VERMILLION, Style
from ..stats.level import CONFIDENCE
from . import theme
from .chart import Chart
from .marks import (
    Series,
    Spec,
    among,
    command,
    each_told,
    has,
    has_number,
    known,
    line_at,
    number,
    tooltips,
)

if TYPE_CHECKING:
    from ..scoreboard.result import Score

WORTH = {
    "better": Style(BLUE, "^", "-"),
    "undecided": Style(theme.FAINT, "s", "-"),
    "worse": Style(VERMILLION, "v", "-"),
    "no test": Style(theme.FAINT, "X", "-"),
}
CONSTANT, NULL = "a constant", "N1"
_AGAINST = {CONSTANT: ("", "constant"), NULL: ("_null", "null")}  # ends of columns; their scores
_ROW = 26  # pixels


def score_chart(found: Score) -> Chart:
    """Draw what every kind of prediction gains over a constant and over N1, and the coverage.

    Raises
    ------
    UsageError
        No prediction was scored.
    """
    rows = _named(found.to_frame())
    gains = pl.concat(_gains(rows, null) for null in _AGAINST)
    if not len(gains):
        raise UsageError("no prediction was scored: nothing to draw; rgtool score tells what waits")
    met = rows.filter(pl.col("prediction").is_in(gains["prediction"].to_list()))
    names, told = met["prediction"].to_list(), tooltips(gains, found.columns)
    there = gains["worth"].to_list()
    styles = {worth: style for worth, style in WORTH.items() if worth in there}
    series = Series("worth", styles, told, "worth", gains)
    panels = [
        _gain_panel(series, null, names) for null in _AGAINST if null in gains["against"].to_list()
    ]
    if known(met, "coverage"):
        panels.append(_coverage_panel(met, names, tooltips(met, found.columns)))
    panels = [panels[0], *map(_unnamed, panels[1:])]
    return Chart(
        key="score",
        title=found.title,
        caption=_caption(met, gains),
        spec={"hconcat": panels, "spacing": 16},
        data={"rows": met, "gains": gains},
        alternative=_alternative(gains),
        query=command("score", "--csv"),
    )


def _named(table: pl.DataFrame) -> pl.DataFrame:
    """Name every line by its kind, and by what it is of, which is told apart by it."""
    names = [f"{printable(a)} ({printable(b)})" for a, b in table.select("kind", "of").rows()]
    return table.select(pl.Series("prediction", names, pl.String), pl.all())


def _gains(rows: pl.DataFrame, null: str) -> pl.DataFrame:
    """Return the gains over one of the predictors that are beside, a row a kind."""
    suffix, beside = _AGAINST[null]
    numbers = {
        "log_score": "log_score",
        beside: "of_that",
        f"gain{suffix}": "gain",
        f"gain{suffix}_low": "gain_low",
        f"gain{suffix}_high": "gain_high",
    }
    return rows.select(
        "prediction",
        pl.lit(null).alias("against"),
        pl.col(f"worth{suffix}").cast(pl.String).alias("worth"),
        "scored",
        pl.col("experiments").cast(pl.Float64),
        *(pl.col(name).cast(pl.Float64).alias(said) for name, said in numbers.items()),
    ).filter(pl.col("gain").is_not_null())


def _gain_panel(series: Series, null: str, names: list[str]) -> Spec:
    title = f"gain over {null} (nats)"
    place = {"x": number("gain", title), "y": _rows_axis(names)}
    return {
        "data": {"name": "gains"},
        "transform": [among("against", [null])],
        "width": 190,
        "height": {"step": _ROW},
        "layer": [
            line_at(0.0, title, "x"),
            *series.intervals(place, ("gain_low", "gain_high"), "x"),
            *series.points(place, chooses=null == next(iter(_AGAINST))),
        ],
    }


def _coverage_panel(rows: pl.DataFrame, names: list[str], told: list[Spec]) -> Spec:
    title = "outcomes in 95 % intervals"
    x = number("coverage", title, scale={"domain": [0, 1]}, axis={"format": "~%", "tickCount": 3})
    place = {"x": x, "y": _rows_axis(names)}
    ends = {**place, "x": {**x, "field": "coverage_low"}, "x2": {"field": "coverage_high"}}
    bare: Spec = {"color": theme.INK, "tooltip": None}
    return {
        "data": {"name": "rows"},
        "transform": [has("coverage")],
        "width": 120,
        "height": {"step": _ROW},
        "layer": [
            line_at(CONFIDENCE, title, "x", strokeDash=[3, 3]),
            *(
                [{"mark": {"type": "rule", **bare}, "encoding": ends}]
                if known(rows, "coverage_low")
                else []
            ),
            *each_told(
                {
                    "mark": {"type": "point", "filled": True, "size": 50, "opacity": 1, **bare},
                    "encoding": {**place, "tooltip": told},
                },
                rows.filter(has_number(rows, "coverage")),
            ),
        ],
    }


def _rows_axis(names: list[str]) -> Spec:
    return {
        "field": "prediction",
        "type": "nominal",
        "title": None,
        "scale": {"domain": names},
        "axis": {"labelLimit": 260, "domain": False, "ticks": False},
    }


def _unnamed(panel: Spec) -> Spec:
    """Take the names off the rows of a panel, which stand beside the first."""
    bare = {"labels": False, "ticks": False, "domain": False}
    layers = [
        {**one, "encoding": {**one["encoding"], "y": {**one["encoding"]["y"], "axis": bare}}}
        if "y" in one["encoding"]
        else one
        for one in panel["layer"]
    ]
    return {**panel, "layer": layers}


def _caption(rows: pl.DataFrame, gains: pl.DataFrame) -> str:
    parts = [
        "Gain: mean log of the probability that was given to what came, less that of a constant "
        "predictor, in nats, with its 95 % interval over experiments; right of 0 the predictions "
        "were worth more."
    ]
    if NULL in gains["against"].to_list():
        parts.append("Beside it the gain over N1, what initial scales alone foretell.")
    if known(rows, "coverage"):
        parts.append(
            "At the right the share of outcomes that lie in the 95 % intervals, with what it could "
            "be where that cannot be told; the dashed line is 95 %."
        )
    return " ".join([*parts, "Colour and mark tell the worth; the legend lets others fade."])


def _alternative(gains: pl.DataFrame) -> str:
    said = (
        f"{name} over {null} {gain:+.2f} nats ({worth})"
        for name, null, gain, worth in gains.select("prediction", "against", "gain", "worth").rows()
    )
    return f"Gains of predictions. {'; '.join(said)}."
