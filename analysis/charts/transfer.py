"""Tickets on other tasks: accuracy by condition, and losses of a matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ...schemas.errors import UsageError, printable
from ...store.sql.relations import quote
from ..plots.style import series_styles
from ..result import frame
from ..transfer.conditions import CONDITIONS, TRANSFERRED
from . import theme
from .chart import Chart
from .marks import (
    APART,
    Series,
    Spec,
    each_told,
    has,
    has_number,
    known,
    lacks,
    line_at,
    number,
    tooltips,
)

if TYPE_CHECKING:
    from ..transfer.matrix import TransferMatrix
    from ..transfer.result import Cell, Transfer

_BESIDE = 1.12  # times the largest density: room for the arrows of open intervals
_CELL, _WIDTH = 46, 440  # pixels
_SQL = """\
SELECT experiment_id, level, avg(density) AS density, avg(accuracy) AS accuracy, count(*) AS runs
FROM levels JOIN runs USING (run_id)
WHERE experiment_id IN ({ids}) AND level IN ({levels})
GROUP BY ALL ORDER BY ALL"""


def transfer_chart(found: Transfer) -> Chart:
    """Draw accuracy by density and condition, what it is less the target's own, and matching."""
    from ..plots.transfer import plot_transfer

    rows = found.to_frame()
    matching = (
        rows.unique("condition", keep="first", maintain_order=True)
        .select("condition", "matching", "matching_low", "matching_high")
        .cast({name: pl.Float64 for name in ("matching", "matching_low", "matching_high")})
    )
    return Chart(
        key="transfer",
        title=f"tickets of {printable(found.source_label)} on {printable(found.task)}",
        caption=_caption(rows, matching),
        spec={"vconcat": _panels(found, rows, matching)},
        data={"rows": rows, "matching": matching},
        alternative=_alternative(found),
        query=_query(found.cells),
        of=f"{found.source} {found.own}",
        figure=lambda: plot_transfer(found),
    )


def _panels(found: Transfer, rows: pl.DataFrame, matching: pl.DataFrame) -> list[Spec]:
    conditions = list(dict.fromkeys(cell.condition for cell in found.cells))
    styles = dict(zip(conditions, series_styles(len(conditions)), strict=True))
    series = Series("condition", styles, tooltips(rows, found.columns), "condition", rows)
    data: Spec = {"data": {"name": "rows"}, "width": _WIDTH}
    ends: Spec = {"data": {"name": "matching"}, "width": _WIDTH}
    density = rows["density"]
    drawn = [*density, _BESIDE * max(density)]
    x = {"field": "density", "type": "quantitative", **theme.density_axis(density, drawn)}
    accuracy = {"x": x, "y": number("accuracy", "test accuracy", scale={"zero": False})}
    upper = [
        *series.intervals(accuracy, ("accuracy_low", "accuracy_high")),
        series.lines(accuracy),
        *series.points(accuracy, chooses=True),
    ]
    panels = [{**data, "height": 240, "layer": upper}]
    if known(rows, "to_own"):
        panels.append({**data, "height": 120, "layer": _differences(series, x)})
    if known(matching, "matching"):
        panels.append({**ends, "layer": _matching(series, x, matching)})
    return panels


def _differences(series: Series, x: Spec) -> list[Spec]:
    title = "less own"
    place = {"x": x, "y": number("to_own", title)}
    return [
        line_at(0.0, title),
        *series.intervals(place, ("to_own_low", "to_own_high")),
        series.lines(place) | {"transform": [has("to_own")]},
        *series.points(place),
    ]


def _matching(series: Series, x: Spec, rows: pl.DataFrame) -> list[Spec]:
    told = Series(series.field, series.styles, tooltips(rows), series.title, rows)
    place = {
        "x": {**x, "field": "matching", "title": "matching density"},
        "y": {"field": "condition", "type": "nominal", "sort": [*series.styles], "title": None},
    }
    layers = [*told.intervals(place, ("matching_low", "matching_high"), "x"), *told.points(place)]
    if not has_number(rows, "matching").all():
        layers.append(
            {
                "transform": [lacks("matching")],
                "mark": {"type": "text", "align": "left", "dy": -6, "fontSize": 9, "tooltip": None},
                "encoding": {"x": {"value": 8}, "y": place["y"], "text": {"value": "none"}},
            }
        )
    return layers


def _caption(rows: pl.DataFrame, matching: pl.DataFrame) -> str:
    names = dict.fromkeys(rows["condition"].to_list())
    meant = "; ".join(f"{name}: {CONDITIONS[name]}" for name in names if name in CONDITIONS)
    parts = [
        f"Test accuracy, mean over runs with 95 % intervals, against the density of the network. "
        f"Conditions: {meant}."
    ]
    if known(rows, "to_own"):
        parts.append(
            "Below: accuracy less that of the target's own tickets at the same density, with its "
            "95 % interval over pairs of equal seeds."
        )
    if known(matching, "matching"):
        parts.append(
            "At the bottom: the least density at which a condition matches the target's own dense "
            "network, with its 95 % interval; a bar with an arrow has no end on record there."
            + ("" if has_number(matching, "matching").all() else " None: no level matches.")
        )
    return " ".join([*parts, "A click on a condition in the legend lets others fade."])


def _alternative(found: Transfer) -> str:
    last = {cell.condition: cell for cell in found.cells}
    said = ", ".join(
        f"{name} {cell.accuracy.value:.3f} at density {cell.density:.3g}"
        for name, cell in last.items()
    )
    return f"Lines of accuracy against density, a condition each. At their ends: {said}."


def _query(cells: Iterable[Cell]) -> str:
    """Return SQL of the means: the command trains what is missing, so that it is not named."""
    ids = dict.fromkeys(cell.experiment_id for cell in cells)
    return _SQL.format(
        ids=", ".join(map(quote, ids)),
        levels=", ".join(map(str, sorted({cell.level for cell in cells}))),
    )


def matrix_chart(found: TransferMatrix) -> Chart:
    """Draw losses of every pair against the distance of its spectra, and as a matrix.

    Raises
    ------
    UsageError
        No loss was measured.
    """
    from ..plots.transfer import plot_matrix

    table = found.to_frame()
    rows = table.with_columns(
        pl.Series(name, list(map(printable, table[name]))) for name in ("source", "target")
    )
    if not known(rows, "loss"):
        raise UsageError("no loss is known: nothing to draw")
    names = list(map(printable, found.names))
    levels = _losses(found, names)
    panels = [_heat(rows, names, found)]
    if known(levels, "distance"):
        panels.insert(0, _scatter(levels))
    return Chart(
        key="transfer-matrix",
        title=found.title,
        caption=_matrix_caption(rows, levels, len(names)),
        spec={"hconcat": panels, "resolve": {"scale": APART}},
        data={"rows": rows, "levels": levels},
        alternative=_matrix_alternative(rows),
        query=_query([cell for one in found.transfers.values() for cell in one.cells]),
        of=" ".join(found.experiments),
        figure=lambda: plot_matrix(found),
    )


def _losses(found: TransferMatrix, names: list[str]) -> pl.DataFrame:
    """Return a row for every source, target and level that tells a loss."""
    loss = found.loss
    rows = [
        {
            "source": names[a],
            "target": names[b],
            "level": level,
            "density": cell.density,
            "distance": float(found.spectra.distance[a, b]),
            "overlap": float(found.overlap[a, b, at]),
            "loss": float(loss[a, b, at]),
        }
        for (a, b), transfer in found.transfers.items()
        for at, level in enumerate(found.levels)
        for cell in transfer.of(TRANSFERRED)
        if cell.level == level and np.isfinite(loss[a, b, at])
    ]
    return frame({name: [row[name] for row in rows] for name in rows[0]})


def _scatter(rows: pl.DataFrame) -> Spec:
    """Mark every pair and level against the distance of spectra; colour and mark tell the level."""
    levels = [str(level) for level in rows["level"].unique().sort()]
    styles = dict(zip(levels, series_styles(len(levels)), strict=True))
    series = Series("at", styles, tooltips(rows), "level", rows)
    title = "loss of transferred tickets"
    place = {"x": number("distance", "distance of spectra"), "y": number("loss", title)}
    return {
        "data": {"name": "levels"},
        "transform": [{"calculate": "toString(datum.level)", "as": "at"}],
        "width": 300,
        "height": 260,
        "layer": [line_at(0.0, title), *series.points(place, chooses=True)],
    }


def _heat(rows: pl.DataFrame, names: list[str], found: TransferMatrix) -> Spec:
    """Draw mean losses, sources down, targets across, each with its number."""
    place: Spec = {
        channel: {
            "field": channel_of,
            "type": "nominal",
            "title": channel_of,
            "scale": {"domain": names},
            "axis": {"domain": False, "ticks": False, "labelLimit": 160, **more},
        }
        for channel, channel_of, more in (
            ("x", "target", {"labelAngle": -40}),
            ("y", "source", {}),
        )
    }
    # Twice as wide as the losses: numbers stay legible on all colours.
    reach = 2 * max(float(rows["loss"].abs().max()), 1e-6)  # type: ignore[arg-type]
    colour = number(
        "loss",
        "mean loss",
        scale={"scheme": "blueorange", "domain": [-reach, reach]},
        legend=None,
    )
    cells = {"mark": {"type": "rect", "tooltip": None}, "transform": [has("loss")]}
    told = {"tooltip": tooltips(rows, found.columns)}
    known_losses = rows.filter(has_number(rows, "loss"))
    return {
        "data": {"name": "rows"},
        "width": {"step": _CELL},
        "height": {"step": _CELL},
        "layer": [
            *each_told({**cells, "encoding": {**place, "color": colour, **told}}, known_losses),
            {
                "mark": {"type": "text", "color": "black", "fontSize": 11, "tooltip": None},
                "transform": [has("loss")],
                "encoding": {**place, "text": number("loss", "", format="+.3f")},
            },
        ],
    }


def _matrix_caption(rows: pl.DataFrame, levels: pl.DataFrame, size: int) -> str:
    parts = [
        "Loss: accuracy of the target's own tickets less that of transferred ones at the same "
        "density. The matrix shows its mean over the levels that tell one, sources down, targets "
        "across: orange is lost, blue gained."
    ]
    if known(levels, "distance"):
        parts.append(
            "Beside it every pair and level against the distance of the two spectra; colour and "
            "mark tell the level, of which the legend lets some fade."
        )
    if len(rows.drop_nulls("loss")) < size * (size - 1):
        parts.append("Pairs without a number tell no loss.")
    return " ".join(parts)


def _matrix_alternative(rows: pl.DataFrame) -> str:
    told = rows.drop_nulls("loss").select("source", "target", "loss").rows()
    return "Mean losses. " + ", ".join(f"{a} on {b} {loss:+.3f}" for a, b, loss in told) + "."
