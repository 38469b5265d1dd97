"""From rows to the arrays of `Counts`, of one experiment or of many."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from ..schemas.blocks import GROUPINGS, Layer, groups_of
from ..schemas.errors import RgtoolError, StoreError, choose
from ..schemas.recipe import Recipe
from ..schemas.records.description import assumed_fields, study_of
from .catalogue.inventory import recipe_of
from .counts import NOT_NESTED, Counts, Scales, never_pruned
from .sql.reading import Reader
from .sql.result import Result

RUNS = "SELECT * FROM runs ORDER BY experiment_id, seed NULLS LAST, replicate, run_id"
# What a run's layers are is said by the records without a level before them, of a child, which may
# begin anywhere, by all; every other record must have as many rows.
LAYERS = """
    SELECT DISTINCT experiment_id, layer_index, layer, kind, shape, block, stage, exempt, total
    FROM store.records
    WHERE kept_prev IS NULL OR run_id IN (SELECT run_id FROM runs WHERE parent IS NOT NULL)
    ORDER BY experiment_id, layer_index, layer, total"""
ROWS = "SELECT run_id, level, layer_index, kept, magnitude, accuracy FROM store.records"

Described = tuple[tuple[Layer, ...], NDArray[np.bool_]]  # counted layers, and which are exempt


def load_counts(connection: duckdb.DuckDBPyConnection, by: str) -> dict[str, Counts | RgtoolError]:
    """Gather the counts of every experiment of a session, or say why one has none.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Of a session over the runs of these experiments alone, with `runs` and `records`.
    by : str
        Grouping: `layer`, `block`, `stage` or `role`.

    Raises
    ------
    UsageError
        The grouping is unknown.
    """
    by = choose("grouping", by, GROUPINGS)
    runs: dict[str, list[dict[str, Any]]] = {}
    for row in Result.of(connection, RUNS).to_dicts():
        runs.setdefault(row["experiment_id"], []).append(row)
    layers = _layers(Result.of(connection, LAYERS))
    grids = _grids(connection, {name: [row["run_id"] for row in runs[name]] for name in runs})
    found: dict[str, Counts | RgtoolError] = {}
    for name, rows in runs.items():
        try:
            found[name] = _counts(name, rows, layers.get(name, []), grids.get(name), by)
        except RgtoolError as error:
            found[name] = error
    return found


def counts_of(
    reader: Reader,
    runs: Mapping[str, Sequence[str]],
    by: str,
    chunk: int,
    apart: Mapping[str, str],
) -> Iterator[tuple[str, Counts | RgtoolError]]:
    """Load the counts of many experiments, `chunk` at once, in little memory.

    Parameters
    ----------
    reader : Reader
        Of the store.
    runs : mapping of str to sequence of str
        Experiments and their runs.
    apart : mapping of str to str
        What tells experiments from others of the same architecture and task.
    by, chunk
        As `Store.counts_of` takes them, which says what is yielded.
    """
    names = list(runs)
    for first in range(0, len(names), chunk):
        part = names[first : first + chunk]
        found = reader.run(
            lambda connection: load_counts(connection, by),
            [run for name in part for run in runs[name]],
            wanted=("runs", "records"),
        )
        for name in part:
            if isinstance(one := found.get(name), Counts):
                yield name, replace(one, apart=apart.get(name, ""))
            elif one is not None:
                yield name, one


@dataclass(frozen=True, eq=False)
class _Grid:
    """Rows of one experiment spread over (runs, levels, layers); `seen` counts them."""

    seen: NDArray[np.int64]
    kept: NDArray[np.int64]
    magnitude: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def _counts(
    experiment: str, rows: list[dict[str, Any]], found: list[Any], grid: _Grid | None, by: str
) -> Counts:
    if grid is None:
        raise StoreError(f"experiment {experiment} has no record yet: its first level is not done")
    layers, exempt = _agreed(experiment, found)
    recipe = recipe_of(rows[0])
    groups = groups_of(layers, by, recipe.architecture)
    runs = tuple(row["run_id"] for row in rows)
    recorded = _levels_of_all(experiment, runs, grid.seen, len(layers))
    total = np.array([layer.total for layer in layers])
    if recipe.origin is not None:  # nothing else may tell
        exempt = exempt | never_pruned(grid.kept, total, recorded)
    names, member = _membership(groups)
    return Counts(
        experiment_id=experiment,
        recipe=recipe,
        by=by,
        names=names,
        runs=runs,
        seeds=tuple(row["seed"] for row in rows),
        levels=np.arange(recorded.shape[1]),
        recorded=recorded,
        kept=(grid.kept @ member).astype(np.int64),  # exact below 2^53
        magnitude=_sums(grid.magnitude, member),
        accuracy=grid.accuracy,
        total=(total @ member).astype(np.int64),
        exempt=~exempt @ member == 0,
        layers=layers,
        exempt_layers=tuple(layer.name for layer, flag in zip(layers, exempt, strict=True) if flag),
        scales=tuple(_scales(row["scales"]) for row in rows),
        assumed=_assumed(rows, recipe),
        study=study_of(rows[0]["recipe_name"]),
        source=rows[0]["source"],
        notes=(NOT_NESTED,) if recipe.score_from == "dense" else (),
    )


def _assumed(rows: list[dict[str, Any]], recipe: Recipe) -> tuple[str, ...]:
    """Name the fields of the recipe that nothing tells of some run."""
    fields = (
        assumed_fields(row["source"], row["told"] or (), recipe, row["recipe_name"]) for row in rows
    )
    return tuple(dict.fromkeys(name for names in fields for name in names))


def _sums(values: NDArray[np.float64], member: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over the layers of every group; NaN where one of its own layers has no finite value."""
    known = np.isfinite(values)  # a run that diverged may have infinite sums
    if known.all():
        return values @ member
    return np.where(~known @ member > 0, np.nan, np.where(known, values, 0.0) @ member)


def _scales(text: str | None) -> Scales:
    """Read the scales of a run; what is no mapping of layers to numbers is left out."""
    found = json.loads(text) if text else {}
    return {
        name: _float_scales(scales)
        for name, scales in (found.items() if isinstance(found, dict) else ())
        if isinstance(scales, dict)
    }


def _float_scales(scales: dict[str, Any]) -> dict[str, float]:
    if set(map(type, scales.values())) == {float}:  # as rgtool writes them, and quick to tell
        return scales
    return {layer: float(v) for layer, v in scales.items() if isinstance(v, int | float)}


def _layers(found: Result) -> dict[str, list[Any]]:
    layers: dict[str, list[Any]] = {}
    for experiment, *rest in found.rows:
        layers.setdefault(experiment, []).append(rest)
    return layers


def _agreed(experiment: str, found: list[Any]) -> Described:
    for position, (index, name, *_, total) in enumerate(found):
        if index != position:
            raise StoreError(
                f"the runs of experiment {experiment} do not agree on layer {index}, found as "
                f"'{name}' with {total} weights: they are not one experiment, import them apart"
            )
    layers = tuple(
        Layer(name, kind, tuple(shape), block, stage)
        for _, name, kind, shape, block, stage, _, _ in found
    )
    return layers, np.array([row[6] for row in found], np.bool_)


def _levels_of_all(
    experiment: str, runs: Sequence[str], seen: NDArray[np.int64], layers: int
) -> NDArray[np.bool_]:
    """Return which levels every run has, shape (S, T), all of them whole."""
    recorded: NDArray[np.bool_] = seen.max(axis=2) > 0
    wanted = np.arange(seen.shape[2]) < layers
    wrong = np.argwhere(seen != (recorded[:, :, None] & wanted))
    if len(wrong):
        s, n, _ = wrong[0]
        raise StoreError(
            f"run {runs[s]} of experiment {experiment}, level {n}: {int(seen[s, n].sum())} rows "
            f"where the experiment has {layers} layers: remove that record and record it again"
        )
    return recorded


def _grids(
    connection: duckdb.DuckDBPyConnection, experiments: dict[str, list[str]]
) -> dict[str, _Grid]:
    """Spread the rows of many experiments at once: millions of rows take no Python each."""
    table = connection.sql(ROWS).to_arrow_table()
    if not len(table):
        return {}
    runs = table["run_id"].combine_chunks().dictionary_encode()
    of_run = {run: name for name, members in experiments.items() for run in members}
    order = {run: i for members in experiments.values() for i, run in enumerate(members)}
    present = runs.dictionary.to_pylist()
    numbers = {name: i for i, name in enumerate(experiments)}
    experiment = np.array([numbers[of_run[run]] for run in present])
    within = np.array([order[run] for run in present])
    row = runs.indices.to_numpy()
    level, layer, kept, magnitude, accuracy = (
        table[name].to_numpy() for name in ("level", "layer_index", "kept", "magnitude", "accuracy")
    )
    at = experiment[row]
    levels, layers = (_extents(at, values, len(numbers)) for values in (level, layer))
    seeds = np.array([len(members) for members in experiments.values()])
    ends = np.cumsum(seeds * levels * layers)
    cell = (ends - seeds * levels * layers)[at] + layer
    cell += (within[row] * levels[at] + level) * layers[at]
    seen = np.bincount(cell, minlength=ends[-1])
    flat = {"kept": np.zeros(ends[-1], np.int64)}
    flat |= {name: np.full(ends[-1], np.nan) for name in ("magnitude", "accuracy")}
    for name, values in flat.items():
        values[cell] = table[name].to_numpy()
    grids = {}
    for name, i in numbers.items():
        shape = (seeds[i], levels[i], layers[i])
        if levels[i]:
            part = slice(ends[i] - seeds[i] * levels[i] * layers[i], ends[i])
            count, *parts = (x[part].reshape(shape) for x in (seen, *flat.values()))
            grids[name] = _Grid(count, parts[0], parts[1], parts[2][:, :, 0])
    return grids


def _extents(at: NDArray[np.int64], values: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Return one more than the largest value of each of `number` members, 0 where it has none."""
    width = int(values.max()) + 1
    present = np.bincount(at * width + values, minlength=number * width).reshape(number, width) > 0
    return np.where(present.any(axis=1), width - present[:, ::-1].argmax(axis=1), 0)


def _membership(groups: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the groups by first appearance, and the 0/1 matrix of shape (layers, groups)."""
    position = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    return tuple(position), np.eye(len(position))[[position[group] for group in groups]]
