"""Error against density for networks of several sizes: from experiments, or from a table.

Every curve is read as `pruning_curve` reads one; what is here is about several sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...schemas.blocks import size_of
from ...schemas.errors import RgtoolError, UsageError
from ...schemas.tables import is_table
from ...store.counts import Counts
from ..arrays import Floats
from ..chance import chance_of
from ..named import Named, StoreLike, counts_of, look_up_all, open_store
from .curve import ABOVE_CHANCE, PruningCurve, curve_of_counts, make_curve
from .table import (
    ErrorColumns,
    check_chance,
    check_positive,
    check_zero,
    density_and_error,
    number_column,
    read_columns,
    seeds_of,
)

SIZES = ("width", "depth")
# Fields in which networks of several sizes may differ without a note.
_FREE = ("architecture", "prune", "rounding", "origin")


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


def family_of(
    store: StoreLike, experiments: Sequence[Named], *, chance: float | None = None
) -> Family:
    """Read the error curves of several sizes, of experiments or of one file.

    Error is 1 minus test accuracy, at the densities that all runs of an experiment have; width and
    depth come from the name of the architecture.

    Parameters
    ----------
    store : Store or path, or None
        Where experiments are.
    experiments : sequence of str or Counts
        Experiments or runs, or one CSV or Parquet file; see `named.look_up_all`.
    chance : float, optional
        Error of guessing, of a file.

    Raises
    ------
    UsageError
        An experiment is not found, its size unknown, or tasks or families differ.
    RgtoolError
        Two experiments have one size, or an experiment has no accuracies.
    """
    files = [name for name in experiments if isinstance(name, str) and is_table(name)]
    if files and len(experiments) > 1:
        raise UsageError(f"{files[0]} stands beside others: a file holds all sizes, give it alone")
    if files:
        return family_of_table(files[0], chance=chance)
    if chance is not None:
        raise UsageError("--chance goes with a file: of an experiment the classes are known")
    opened = open_store(store)
    found = look_up_all(opened, experiments) if experiments else []
    return _family_of_counts([counts_of(opened, one, "layer", "a collapse") for one in found])


def _family_of_counts(experiments: Sequence[Counts]) -> Family:
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
    curves = []
    for counts in experiments:
        _, width, depth = size_of(counts.recipe.architecture)
        curves.append(_sized(curve_of_counts(counts), counts.label, width, depth, notes))
    notes += _recipe_differences(experiments)
    first = experiments[0]
    chance = chance_of(first.recipe.task, first.layers[-1].shape[0])
    return _ordered_family(curves, first.recipe.task, chance, notes)


def _sized(
    curve: PruningCurve, label: str, width: float, depth: float, notes: list[str]
) -> ErrorCurve:
    """Keep the densities that all seeds have; seeds without the densest one are left out."""
    notes += curve.notes
    has = np.isfinite(curve.error)
    if not has.all(axis=0).any():
        raise RgtoolError(
            f"{curve.label}: its {curve.seeds} seeds have no density in common: errors of "
            "different seeds are compared at equal densities"
        )
    seeds = np.asarray(has[:, 0])
    if not seeds.all():
        notes.append(
            f"{label}: {(~seeds).sum()} of {len(seeds)} seeds are left out, they lack the error of "
            f"the densest network, at {curve.density[0]:.4g}"
        )
    levels = has[seeds].all(axis=0)
    if not levels.all():
        notes.append(
            f"{label}: {levels.sum()} of {len(levels)} densities are used, those of all seeds"
        )
    error = curve.error[np.ix_(seeds, levels)]
    check_zero(curve.label, curve.density[levels], error)
    return ErrorCurve(label, width, depth, curve.density[levels], error)


def _recipe_differences(experiments: Sequence[Counts]) -> list[str]:
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

    Columns density and error (or accuracy), fractions, width or depth or both, and seed where there
    are several; others are ignored. Rows may stand in any order.

    Raises
    ------
    UsageError
        The file or a column is missing.
    RgtoolError
        The file cannot be read, is empty, or holds what is no number in its range.
    """
    return family_of_columns(read_columns(Path(path)), chance=chance, where=str(path))


def family_of_columns(
    columns: ErrorColumns, *, chance: float | None = None, where: str = "the table"
) -> Family:
    """Read the error curves of columns; see `family_of_table`."""
    check_chance(chance)
    density, error = density_and_error(columns, where)
    if not set(SIZES) & set(columns):
        raise UsageError(
            f"{where}: neither a column 'width' nor 'depth', found {', '.join(columns)}: curves of "
            "one size cannot be told apart"
        )
    seed = seeds_of(columns, where)
    sizes = np.full((len(density), len(SIZES)), np.nan)
    for place, name in enumerate(SIZES):
        if name in columns:
            sizes[:, place] = number_column(columns, name, where)
            check_positive(where, name, sizes[:, place])
    notes: list[str] = []
    curves = []
    known = np.nan_to_num(sizes)
    for size in np.unique(known, axis=0):
        rows = np.flatnonzero((known == size).all(axis=1))
        width, depth = sizes[rows[0]].tolist()
        curve = make_curve(
            f"{where}: {_size_label(width, depth)}",
            density[rows],
            error[rows],
            None if seed is None else [seed[row] for row in rows],
        )
        curves.append(_sized(curve, _size_label(width, depth), width, depth, notes))
    return _ordered_family(curves, "", chance, notes)


def _size_label(width: float, depth: float) -> str:
    parts = zip(SIZES, (width, depth), strict=True)
    return ", ".join(f"{name} {value:g}" for name, value in parts if np.isfinite(value))


def _ordered_family(
    curves: Sequence[ErrorCurve], task: str, chance: float | None, notes: list[str]
) -> Family:
    ordered = sorted(curves, key=lambda c: (np.nan_to_num(c.width), np.nan_to_num(c.depth)))
    for one, other in zip(ordered, ordered[1:], strict=False):
        if _size_label(one.width, one.depth) == _size_label(other.width, other.depth):
            raise UsageError(
                f"two experiments have {_size_label(one.width, one.depth)} "
                f"({one.label}, {other.label}): give one experiment a size"
            )
    for curve in ordered:
        if curve.density[0] < 0.999:
            notes.append(
                f"{curve.label}: no dense network on record, the error at density "
                f"{curve.density[0]:.3g} stands for eps_np"
            )
    if chance is not None:
        above = sum(int((c.mean > ABOVE_CHANCE * chance).sum()) for c in ordered)
        if above:
            notes.append(
                f"{above} points have an error over {ABOVE_CHANCE:g} times that of chance, "
                f"{chance:.3g}: is it an accuracy, or another number of classes?"
            )
    return Family(tuple(ordered), task, chance, tuple(notes))
