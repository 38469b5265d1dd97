"""The published figures that come with the package: reading them, and their views."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..schemas.errors import StoreError
from ..schemas.published import PUBLISHED, Column

if TYPE_CHECKING:
    import duckdb

FOLDER = Path(__file__).with_name("published")


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is not finite")
    return value


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text]


def _integers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


_READ: dict[str, Callable[[str], Any]] = {
    "VARCHAR": str,
    "DOUBLE": _real,
    "INTEGER": int,
    "BOOLEAN": _truth,
    "INTEGER[]": _integers,
}


@functools.cache
def figures(view: str) -> tuple[tuple[Any, ...], ...]:
    """Read the rows of a published view, in the order in which the literature prints them.

    Parameters
    ----------
    view : str
        A name of `schemas.published.PUBLISHED`.

    Raises
    ------
    StoreError
        The file is not what the schema says: the installation is damaged.

    Examples
    --------
    >>> figures("published_gammas")[0][:4]
    ('resnet50', 'none', 'cifar10', -0.14)
    """
    return read_figures(FOLDER / f"{view}.csv", PUBLISHED[view])


def figure_rows(view: str) -> list[dict[str, Any]]:
    """Return the rows of a published view by column name.

    Examples
    --------
    >>> figure_rows("published_gammas")[0]["gamma"]
    -0.14
    """
    names = [column.name for column in PUBLISHED[view]]
    return [dict(zip(names, row, strict=True)) for row in figures(view)]


def read_figures(path: Path, columns: tuple[Column, ...]) -> tuple[tuple[Any, ...], ...]:
    """Read a CSV file of exactly these columns; an empty cell is a missing value.

    Raises
    ------
    StoreError
        The file is missing, or another column, a type or a gap stands in it.
    """
    import csv

    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.reader(file, strict=True)
            expected, found = [column.name for column in columns], next(lines, [])
            if found != expected:
                raise ValueError(f"columns are {found}, expected {expected}")
            return tuple(
                tuple(_parsed(c, text) for c, text in zip(columns, line, strict=True))
                for line in lines
            )
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise StoreError(f"{path} is damaged ({error}): install rgtool again") from None


def _parsed(column: Column, text: str) -> Any:
    if text == "":
        if column.null:
            return None
        raise ValueError(f"no {column.name} in a row")
    return _READ[column.type](text)


def create_published(connection: duckdb.DuckDBPyConnection, wanted: Collection[str]) -> None:
    """Make those of the published views that are wanted; each costs two or three milliseconds.

    The figures go in as values, since a query may read no file outside the store.
    """
    chosen = [view for view in PUBLISHED if view in wanted]
    if chosen:
        connection.execute("CREATE SCHEMA IF NOT EXISTS store")
    for view in chosen:
        columns = [f'unnest(?::{c.type}[]) AS "{c.name}"' for c in PUBLISHED[view]]
        values = [list(column) for column in zip(*figures(view), strict=True)]
        connection.execute(f"CREATE TABLE store.{view} AS SELECT {', '.join(columns)}", values)
        connection.execute(f"CREATE VIEW {view} AS FROM store.{view}")
