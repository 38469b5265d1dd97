"""Error against density for networks of several sizes: from experiments, or from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..schemas.blocks import size_of
from ..schemas.errors import RgtoolError, UsageError, did_you_mean
from ..store.counts import Counts
from .pruning_curve import CHANCE, column_numbers, read_columns

if TYPE_CHECKING:
    from ..store import Store

Floats = NDArray[np.float64]
COLUMNS = ("density", "error", "width", "depth", "seed")
# Fields in which networks of several sizes may differ without a remark.
_FREE = ("architecture", "prune", "rounding", "origin")
_SAME = 1e-3  # relative difference of densities that seeds of one level may have


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Test error against density of one network size.

    Attributes
    ----------
    label : str
        Name for people.
    width, depth : float
        Size; NaN where unknown.
    density : array, shape (T,)
        Share of weights kept, falling.
    error : array, shape (S, T)
        Test error of S seeds, a fraction.
    """

    label: str
    width: float
    depth: float
    density: Floats
    error: Floats

    @property
    def mean(self) -> Floats:
        """Mean error over seeds, shape (T,)."""
        return np.asarray(self.error.mean(axis=0))

    @property
    def dense_error(self) -> float:
        """eps_np: mean error of the densest network on record."""
        return float(self.mean[0])


@dataclass(frozen=True, eq=False)
class Family:
    """Error curves of several sizes on one task.

    Attributes
    ----------
    curves : tuple of ErrorCurve
        By width and depth.
    task : str
        What they were trained for; empty where a table does not tell.
    chance : float or None
        Error of guessing, where it is known.
    notes : tuple of str
        What was left out, and what else differs.
    """

    curves: tuple[ErrorCurve, ...]
    task: str
    chance: float | None
    notes: tuple[str, ...]


def family_of(store: Store, experiments: Sequence[str]) -> Family:
    """Read the error curves of experiments of a store.

    Error is 1 minus test accuracy, at the levels that all runs of an experiment have; width and
    depth come from the name of the architecture.

    Raises
    ------
    UsageError
        An experiment is not found, its size unknown, or tasks or families differ.
    RgtoolError
        Two experiments have one size, or an experiment has no accuracies.
    """
    names = dict.fromkeys(store.find_experiment(name) for name in experiments)
    return family_of_counts([store.counts(name, "layer") for name in names])


def family_of_counts(experiments: Sequence[Counts]) -> Family:
    """Read the error curves of counts; errors are those of `family_of`."""
    if not experiments:
        raise UsageError("a collapse needs experiments of two sizes at least, none is given")
    for what, values in (
        ("task", [counts.recipe.task for counts in experiments]),
        ("family", [size_of(counts.recipe.architecture)[0] for counts in experiments]),
    ):
        if len(set(values)) > 1:
            raise UsageError(
                f"{what} is {' and '.join(dict.fromkeys(values))}: curves collapse over sizes of "
                f"one {what}, name experiments that share it"
            )
    notes: list[str] = []
    curves = [_curve(counts, notes) for counts in experiments]
    notes += _differences(experiments)
    task, classes = experiments[0].recipe.task, experiments[0].layers[-1].shape[0]
    return _family(curves, task, CHANCE.get(task) or 1 - 1 / classes, notes)


def _curve(counts: Counts, notes: list[str]) -> ErrorCurve:
    _, width, depth = size_of(counts.recipe.architecture)
    has = counts.recorded & np.isfinite(counts.accuracy)
    runs = np.flatnonzero(has[:, 0])
    if not len(runs):
        raise RgtoolError(
            f"{counts.label} ({counts.experiment_id}): no run has the accuracy of the dense "
            "network (level 0), which errors are compared with"
        )
    levels = np.flatnonzero(has[runs].all(axis=0))
    if len(runs) < len(has):
        notes.append(f"{counts.label}: {len(has) - len(runs)} runs without dense accuracy left out")
    if len(levels) < len(counts.levels):
        notes.append(
            f"{counts.label}: {len(levels)} of {len(counts.levels)} levels are used, those with an "
            "accuracy in every run"
        )
    kept = counts.kept[np.ix_(runs, levels)].sum(axis=-1).mean(axis=0)
    return ErrorCurve(
        label=counts.label,
        width=width,
        depth=depth,
        density=kept / counts.total.sum(),
        error=1 - counts.accuracy[np.ix_(runs, levels)],
    )


def _differences(experiments: Sequence[Counts]) -> list[str]:
    recipes = [counts.recipe.to_json() for counts in experiments]
    other = [
        field
        for field in recipes[0]
        if field not in _FREE and any(r.get(field) != recipes[0][field] for r in recipes)
    ]
    if not other:
        return []
    return [f"the experiments differ in {', '.join(other)} too: not in size alone"]


def family_of_table(path: str | Path, *, chance: float | None = None) -> Family:
    """Read the error curves of a CSV or Parquet file.

    Columns density and error, both fractions, width or depth or both, and seed where there are
    several; others are ignored. Rows may stand in any order.

    Raises
    ------
    UsageError
        The file is missing or neither CSV nor Parquet, or a column is missing.
    RgtoolError
        A value is not a number in its range, or stands twice.
    """
    path = Path(path)
    return family_of_columns(read_columns(path), chance=chance, where=path.name)


def family_of_columns(
    columns: Mapping[str, Sequence[object]],
    *,
    chance: float | None = None,
    where: str = "the table",
) -> Family:
    """Read the error curves of columns; see `family_of_table`."""
    if chance is not None and not 0 < chance <= 1:
        raise UsageError(f"chance is {chance}: the error of guessing is a fraction, .9 for ten")
    for name in ("density", "error"):
        if name not in columns:
            raise UsageError(
                f"{where}: column '{name}' is missing, found {', '.join(columns) or 'none'}: "
                f"{did_you_mean(name, columns or [name])}"
            )
    if not {"width", "depth"} & set(columns):
        raise UsageError(
            f"{where}: neither a column 'width' nor 'depth', found {', '.join(columns)}: curves of "
            "one size cannot be told apart"
        )
    numbers = {
        name: column_numbers(list(columns[name]), name, where)
        for name in COLUMNS
        if name in columns
    }
    length = len(numbers["density"])
    if not length:
        raise RgtoolError(f"{where}: no rows")
    _check_ranges(numbers, where)
    nothing = np.full(length, np.nan)
    sizes = np.column_stack([numbers.get(name, nothing) for name in ("width", "depth")])
    _, member = np.unique(np.nan_to_num(sizes), axis=0, return_inverse=True)
    notes: list[str] = []
    curves = [
        _table_curve({k: v[member.ravel() == size] for k, v in numbers.items()}, where, notes)
        for size in range(member.max() + 1)
    ]
    return _family(curves, "", chance, notes)


def _check_ranges(numbers: Mapping[str, Floats], where: str) -> None:
    fraction, positive = "a fraction from 0 to 1", "a positive number"
    for name, values in numbers.items():
        if name == "seed":
            continue
        low = 0.0 if name == "error" else np.nextafter(0.0, 1.0)
        high, expected = (np.inf, positive) if name in ("width", "depth") else (1.0, fraction)
        bad = np.flatnonzero((values < low) | (values > high))
        if len(bad):
            percent = ", perhaps a percentage: divide by 100" if values.max() > high else ""
            raise RgtoolError(
                f"{where}, row {bad[0] + 1}: {name} is {values[bad[0]]:g}, {expected} is "
                f"expected{percent}"
            )


def _table_curve(rows: Mapping[str, Floats], where: str, notes: list[str]) -> ErrorCurve:
    """Lay out the rows of one size by seed and density."""
    width, depth = (float(rows[name][0]) if name in rows else np.nan for name in ("width", "depth"))
    label = _label(width, depth)
    given = rows.get("seed", np.zeros(len(rows["density"])))
    seeds, seed = np.unique(given, return_inverse=True)
    order = np.argsort(-rows["density"], kind="stable")
    density = rows["density"][order]
    # Seeds may keep a weight more or less at a level: densities this close are one.
    fresh = np.concatenate([[True], density[1:] < density[:-1] * (1 - _SAME)])
    level = np.empty(len(order), np.int64)
    level[order] = np.cumsum(fresh) - 1
    cells = np.bincount(seed * (level.max() + 1) + level, minlength=len(seeds) * (level.max() + 1))
    if cells.max() > 1:
        place = int(np.argmax(cells))
        at = rows["density"][level == place % (level.max() + 1)][0]
        raise RgtoolError(
            f"{where}: {label}, seed {seeds[place // (level.max() + 1)]:g} has density {at:.4g} "
            "twice: one error a density and seed is expected, tell seeds apart by a column seed"
        )
    error = np.full((len(seeds), int(level.max()) + 1), np.nan)
    error[seed, level] = rows["error"]
    complete = np.isfinite(error).all(axis=0)
    if not complete.any():
        raise RgtoolError(
            f"{where}: {label}: its {len(seeds)} seeds have no density in common: errors of "
            "different seeds are compared at equal densities"
        )
    if not complete.all():
        notes.append(
            f"{label}: {complete.sum()} of {len(complete)} densities are used, those of all seeds"
        )
    return ErrorCurve(label, width, depth, density[fresh][complete], error[:, complete])


def _label(width: float, depth: float) -> str:
    parts = [("width", width), ("depth", depth)]
    return ", ".join(f"{name} {value:g}" for name, value in parts if np.isfinite(value))


def _family(
    curves: Sequence[ErrorCurve], task: str, chance: float | None, notes: list[str]
) -> Family:
    ordered = sorted(curves, key=lambda c: (np.nan_to_num(c.width), np.nan_to_num(c.depth)))
    for one, other in zip(ordered, ordered[1:], strict=False):
        if _label(one.width, one.depth) == _label(other.width, other.depth):
            raise UsageError(
                f"two experiments have {_label(one.width, one.depth)} ({one.label}, {other.label}):"
                " give one experiment a size"
            )
    for curve in ordered:
        if curve.density[0] < 0.999:
            notes.append(
                f"{curve.label}: no dense network on record, the error at density "
                f"{curve.density[0]:.3g} stands for eps_np"
            )
    if chance is not None:
        above = sum(int((c.mean > 1.05 * chance).sum()) for c in ordered)
        if above:
            notes.append(
                f"{above} points have an error over 1.05 times that of chance, {chance:.3g}: is "
                "it an accuracy, or another number of classes?"
            )
    return Family(tuple(ordered), task, chance, tuple(notes))
