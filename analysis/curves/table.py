"""Columns of density and error: reading them from a file, and checks that name the row.

Experiments, published curves and files pass the same checks, whether one curve is asked for or a
family of several sizes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...schemas.errors import RgtoolError, UsageError, did_you_mean
from ...schemas.tables import label, number, open_table, shown
from ..arrays import Floats

ErrorColumns = Mapping[str, Sequence[Any]]
_CURVE_COLUMNS = ("density", "error", "accuracy", "seed", "width", "depth")  # others are ignored


def read_columns(path: Path) -> dict[str, list[Any]]:
    """Read the columns of a CSV or Parquet file that curves have; names in lower case.

    Raises
    ------
    UsageError
        There is no such file, or a column is missing.
    RgtoolError
        It cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"no file {path}: give a CSV or Parquet file, or an experiment")
    table = open_table(path)
    _hold_columns(table.names, str(path))
    columns: dict[str, list[Any]] = {name: [] for name in _CURVE_COLUMNS if name in table.names}
    for row in table.rows(columns):
        for name, cells in columns.items():
            cells.append(row[name])
    return columns


def _hold_columns(names: Collection[str], where: str) -> None:
    if "density" not in names or not {"error", "accuracy"} & set(names):
        missing = "density" if "density" not in names else "error"
        raise UsageError(
            f"{where}: no column '{missing}', found {', '.join(names) or 'none'}: density, error "
            f"and seed are expected; {did_you_mean(missing, names or [missing])}"
        )


def density_and_error(columns: ErrorColumns, where: str) -> tuple[Floats, Floats]:
    """Return the columns density and error, or 1 - accuracy, as fractions: each shape (N,).

    Raises
    ------
    UsageError
        A column is missing.
    RgtoolError
        There are no rows, columns differ in length, or a value is no fraction.
    """
    _hold_columns(columns, where)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise RgtoolError(
            f"{where}: columns differ in length ({told}): one value a row is expected"
        )
    if not lengths["density"]:
        raise RgtoolError(f"{where}: no rows, columns density, error and seed are expected")
    density = number_column(columns, "density", where)
    check_fractions(where, "density", density)
    given = "error" if "error" in columns else "accuracy"
    values = number_column(columns, given, where)
    check_fractions(where, given, values)
    return density, values if given == "error" else 1 - values


def seeds_of(columns: ErrorColumns, where: str) -> list[str] | None:
    """Return the labels of the column seed, or None where there is no such column.

    Raises
    ------
    RgtoolError
        A row has none.
    """
    if "seed" not in columns:
        return None
    labels = [label(value) for value in columns["seed"]]
    for row, name in enumerate(labels, start=1):
        if not name:
            raise RgtoolError(
                f"{where}, row {row}: seed is nothing, a number or a name is expected: complete "
                "the row or leave it out"
            )
    return labels


def number_column(columns: ErrorColumns, name: str, where: str) -> Floats:
    """Return a column as finite numbers, shape (N,).

    Raises
    ------
    RgtoolError
        A value is none.
    """
    out = []
    for row, value in enumerate(columns[name], start=1):
        try:
            found = number(value)
        except (ValueError, TypeError, OverflowError):
            found = None
        if found is None:
            raise RgtoolError(
                f"{where}, row {row}: {name} is {shown(value)}, a number is expected: complete "
                "the row or leave it out"
            )
        out.append(found)
    return np.array(out, np.float64)


def check_fractions(where: str, what: str, values: Floats) -> None:
    """Refuse what is no fraction from 0 to 1, and a density of 0.

    Raises
    ------
    RgtoolError
        The first such row, and whether the column looks like percentages.
    """
    wrong = ~((values >= 0) & (values <= 1))
    if what == "density":
        wrong |= values == 0
    if wrong.any():
        row = int(wrong.argmax())
        percent = values.max() > 2 and values.min() >= 0  # one 1.2 is a slip
        cure = "mend the data"
        if percent:
            cure = f"these look like percentages: divide by 100, or head the column '{what} (%)'"
        raise RgtoolError(
            f"{where}, row {row + 1}: {what} is {values[row]:g}, a fraction of 1 is expected: "
            f"{cure}"
        )


def check_positive(where: str, what: str, values: Floats) -> None:
    """Refuse sizes that are not positive.

    Raises
    ------
    RgtoolError
        The first such row.
    """
    wrong = values <= 0
    if wrong.any():
        row = int(wrong.argmax())
        raise RgtoolError(
            f"{where}, row {row + 1}: {what} is {values[row]:g}, a positive number is expected: "
            "mend the data"
        )


def check_zero(where: str, density: Floats, errors: Floats) -> None:
    """Refuse levels without a single error in any seed: errors of shape (S, T), NaN where missing.

    Raises
    ------
    RgtoolError
        The densest such level.
    """
    none = np.flatnonzero(np.nanmax(errors, axis=0) == 0)
    if len(none):
        raise RgtoolError(
            f"{where}: the error is 0 at density {density[none[0]]:.4g} in every seed, which has "
            "no logarithm: leave that level out, or test on more images"
        )


def check_chance(chance: float | None) -> None:
    """Refuse an error of guessing that is no fraction.

    Raises
    ------
    UsageError
        It is not in (0, 1].
    """
    if chance is not None and not 0 < chance <= 1:
        percent = f", {chance / 100:g} perhaps" if 1 < chance <= 100 else ""
        raise UsageError(f"chance {chance:g}: an error of guessing is a fraction of 1{percent}")
