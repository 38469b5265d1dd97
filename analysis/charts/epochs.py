"""Training inside the levels as charts: loss and accuracy of every epoch, a line a level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...schemas.errors import RgtoolError, printable
from ...schemas.records.epochs import PRETRAINING
from ...schemas.words import counted
from ...store.sql.relations import quote
from ..named import Named, Stored, StoreLike, look_up, open_store, unsuited
from . import theme
from .chart import Chart
from .layers import curves

if TYPE_CHECKING:
    import polars as pl

POINTS = 200  # of a line that are drawn
_BANDED = 6  # levels whose bands do not hide each other
_SQL = """\
SELECT level, epoch, avg({value}) AS {value}, min({value}) AS low, max({value}) AS high,
  avg(lr) AS lr, avg(images_per_second) AS images_per_second, count(*) AS runs
FROM epochs WHERE experiment_id = {id} AND {value} IS NOT NULL
GROUP BY level, epoch ORDER BY level, epoch"""


class _Quantity(NamedTuple):
    name: str
    title: str


_QUANTITIES = (
    _Quantity("loss", "training loss (nats)"),
    _Quantity("accuracy", "training accuracy"),
)


def epoch_charts(
    store: StoreLike = None, experiment: Named = None, *, points: int = POINTS
) -> tuple[Chart, ...]:
    """Draw loss and accuracy of the training batches against the epoch, a chart each.

    Parameters
    ----------
    store : Store or path, optional
        Where the runs are, at work or done.
    experiment : str, optional
        An experiment; see `named.look_up`.
    points : int
        Epochs of a level that are drawn: of more every k-th, and the last. The chart can be had
        with fewer (`Chart.fewer`).

    Raises
    ------
    UsageError
        The name cannot be had, or is of nothing that has epochs.
    RgtoolError
        No epoch is on record.
    """
    opened = open_store(store)
    found = look_up(opened, experiment)
    if not isinstance(found, Stored):
        raise unsuited(found, "epochs are those of runs")
    (entry,) = found.store.experiments(found.experiment_id)
    charts = []
    for quantity in _QUANTITIES:
        query = _SQL.format(value=quantity.name, id=quote(found.experiment_id))
        rows = found.store.query(query).polars()
        if len(rows):
            charts.append(_chart(quantity, printable(entry.label), found, rows, query, points))
    if not charts:
        raise RgtoolError(
            f"{entry.label} ({found.experiment_id}): no epoch is on record: imports have none, and "
            "runs of before epochs were written"
        )
    return tuple(charts)


def _chart(
    quantity: _Quantity, label: str, found: Stored, rows: pl.DataFrame, query: str, points: int
) -> Chart:
    drawn, step = thinned(rows, points)
    levels = drawn["level"].unique().sort().to_list()
    runs = int(drawn["runs"].to_numpy().max())
    banded = runs > 1 and len(levels) <= _BANDED
    return Chart(
        key=f"epochs-{quantity.name}",
        title=f"{label}: {quantity.title} by epoch",
        caption=_caption(quantity, levels, runs, banded, step),
        spec=_spec(quantity, drawn, levels, banded),
        data={"rows": drawn},
        alternative=f"Lines of the {quantity.title} of {label} against the epoch, for "
        f"{counted(len(levels), 'stretch', 'stretches')} of training.",
        query=query,
        of=found.experiment_id,
        fewer=lambda most: _chart(quantity, label, found, rows, query, min(most, points)),
    )


def thinned(rows: pl.DataFrame, points: int) -> tuple[pl.DataFrame, int]:
    """Keep every k-th epoch, and the last of each level; return also k, 1 where all are kept."""
    import polars as pl

    step = max(1, -(-int(rows.group_by("level").len()["len"].to_numpy().max()) // points))
    last = pl.col("epoch") == pl.col("epoch").max().over("level")
    return rows.filter((pl.col("epoch") % step == 0) | last), step


def _caption(quantity: _Quantity, levels: list[int], runs: int, banded: bool, step: int) -> str:
    said = [
        f"The {quantity.title.split(' (')[0]} of every epoch, on the batches as they were trained "
        "on; a line a level, which begins at the rewind point."
    ]
    if runs > 1:
        said.append(f"Lines are means over up to {runs} runs.")
    if banded:
        said.append("Bands reach from the lowest to the highest of them.")
    if PRETRAINING in levels:
        said.append("The dashed line is the training up to the rewind point.")
    if step > 1:
        said.append(f"Of the epochs one in {step} is drawn, and the last of each level.")
    return " ".join(said)


def _spec(
    quantity: _Quantity, rows: pl.DataFrame, levels: list[int], banded: bool
) -> dict[str, Any]:
    epochs, lowest = rows["epoch"].to_numpy(), rows["low"].to_numpy()
    ticks = theme.whole_ticks(int(epochs.min()), int(epochs.max()))
    x = {
        "field": "epoch",
        "type": "quantitative",
        "title": "epoch",
        "scale": {"zero": False, "nice": False},
        "axis": {"values": ticks, "format": "d"},
    }
    y: dict[str, Any] = {"field": quantity.name, "type": "quantitative", "title": quantity.title}
    if quantity.name == "loss" and lowest.min() > 0:
        y |= theme.log_scale([lowest.min(), rows["high"].to_numpy().max()])
    else:
        y["scale"] = {"zero": False}
    told = {"level": "level", "epoch": "epoch", quantity.name: quantity.title}
    told |= {"low": "lowest run", "high": "highest run", "lr": "learning rate at the end"}
    told |= {"images_per_second": "images per second", "runs": "runs"}
    layers = curves(x, y, _series(levels), told, rows, banded=banded, thin=True)
    return {"data": {"name": "rows"}, "height": 280, "layer": layers}


def _series(levels: list[int]) -> dict[str, Any]:
    """Return the channels of levels; a dash tells the training before the first of them."""
    before = "to the rewind point"
    names = [before if level == PRETRAINING else str(level) for level in levels]
    color = {
        "field": "level",
        "type": "ordinal",
        "scale": {"domain": levels, "scheme": theme.LEVELS},
        "legend": {
            "title": "level n",
            "labelExpr": f"datum.value < 0 ? '{before}' : datum.label",
            "symbolType": "circle",
            "symbolOpacity": 1,
            "symbolStrokeWidth": 0,
            "columns": theme.columns_of(names),
        },
    }
    dashed = {"test": f"datum.level == {PRETRAINING}", "value": [5, 3]}
    return {"color": color, "strokeDash": {"condition": dashed, "value": [1, 0]}}
