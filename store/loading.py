"""From rows to the arrays of `Counts`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..schemas.blocks import GROUPINGS, Layer
from ..schemas.errors import StoreError, UsageError, did_you_mean
from .counts import Counts, Scales
from .inventory import recipe_of
from .result import Result

Query = Callable[[str], Result]

RUNS = "SELECT * FROM runs ORDER BY seed NULLS LAST, replicate, run_id"
LAYERS = """
    SELECT DISTINCT layer_index, layer, kind, shape, block, stage, exempt, total
    FROM layers ORDER BY layer_index, layer, total"""
ROWS = """
    SELECT run_id, level, layer_index, kept, magnitude, accuracy
    FROM store.records ORDER BY run_id, level, layer_index"""


def load_counts(query: Query, experiment: str, by: str) -> Counts:
    """Gather the counts of one experiment.

    Parameters
    ----------
    query : callable
        Runs SQL over the runs of this experiment alone.
    experiment : str
        The full id.
    by : str
        Grouping: `layer`, `block` or `stage`.

    Raises
    ------
    UsageError
        The grouping is unknown, or the architecture does not have it.
    StoreError
        There are no records, or the runs do not agree on their layers.
    """
    if by not in GROUPINGS:
        raise UsageError(f"grouping '{by}' is unknown: {did_you_mean(by, GROUPINGS)}")
    runs = query(RUNS).to_dicts()
    recipe = recipe_of(runs[0])
    rows = query(ROWS)
    if not rows.rows:
        raise StoreError(f"experiment {experiment} has no record yet: its first level is not done")
    layers, exempt = _layers(query(LAYERS), experiment)
    if any(layer.group(by) is None for layer in layers):
        raise UsageError(f"{recipe.architecture} has no stages: group by layer or block")
    run_ids = tuple(row["run_id"] for row in runs)
    kept, magnitude, accuracy, recorded = _dense(rows, run_ids, len(layers), experiment)
    names, member = _membership([str(layer.group(by)) for layer in layers])
    return Counts(
        experiment_id=experiment,
        recipe=recipe,
        by=by,
        names=names,
        runs=run_ids,
        seeds=tuple(row["seed"] for row in runs),
        levels=np.arange(recorded.shape[1]),
        recorded=recorded,
        kept=kept @ member,
        magnitude=magnitude @ member.astype(np.float64),
        accuracy=accuracy,
        total=np.array([layer.total for layer in layers]) @ member,
        exempt=np.array([exempt[member[:, g] > 0].all() for g in range(len(names))], np.bool_),
        layers=layers,
        exempt_layers=tuple(layer.name for layer, kept in zip(layers, exempt, strict=True) if kept),
        scales=tuple(_scales(row["scales"]) for row in runs),
    )


def _scales(text: str | None) -> Scales:
    """Read the scales of a run; what is no mapping of layers to numbers is left out."""
    found = json.loads(text) if text else {}
    return {
        name: {layer: float(v) for layer, v in scales.items() if isinstance(v, int | float)}
        for name, scales in (found.items() if isinstance(found, dict) else ())
        if isinstance(scales, dict)
    }


def _layers(found: Result, experiment: str) -> tuple[tuple[Layer, ...], NDArray[np.bool_]]:
    layers: list[Layer] = []
    for index, name, kind, shape, block, stage, _, total in found.rows:
        if index != len(layers):
            raise StoreError(
                f"the runs of experiment {experiment} do not agree on layer {index}, found as "
                f"'{name}' with {total} weights: they are not one experiment, import them apart"
            )
        layers.append(Layer(name, kind, tuple(shape), block, stage))
    return tuple(layers), np.array([row[6] for row in found.rows], np.bool_)


def _dense(
    rows: Result, runs: Sequence[str], layers: int, experiment: str
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Spread rows over arrays of shape (runs, levels, layers)."""
    columns: dict[str, Any] = dict(zip(rows.columns, zip(*rows.rows, strict=True), strict=True))
    position = {run_id: i for i, run_id in enumerate(runs)}
    run = np.array([position[run_id] for run_id in columns["run_id"]])
    level = np.array(columns["level"])
    layer = np.array(columns["layer_index"])
    shape = (len(runs), int(level.max()) + 1, layers)
    seen = np.zeros(shape, np.int64)
    np.add.at(seen, (run, level, layer), 1)
    recorded: NDArray[np.bool_] = seen.max(axis=2) > 0
    if (seen != recorded[:, :, None]).any():
        s, n, _ = np.argwhere(seen != recorded[:, :, None])[0]
        raise StoreError(
            f"run {runs[s]} of experiment {experiment}, level {n}: {int(seen[s, n].sum())} rows "
            f"where the experiment has {layers} layers: remove that record and record it again"
        )
    kept = np.zeros(shape, np.int64)
    kept[run, level, layer] = columns["kept"]
    magnitude, accuracy = np.full(shape, np.nan), np.full(shape[:2], np.nan)
    magnitude[run, level, layer] = np.array(columns["magnitude"], np.float64)
    accuracy[run, level] = np.array(columns["accuracy"], np.float64)
    return kept, magnitude, accuracy, recorded


def _membership(groups: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the groups by first appearance, and the 0/1 matrix of shape (layers, groups)."""
    names = tuple(dict.fromkeys(groups))
    return names, np.array([[int(group == name) for name in names] for group in groups])
