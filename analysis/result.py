"""Plain-text and HTML tables for the summaries of results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import polars as pl

Columns = Mapping[str, Sequence[str]]


def number(value: float, digits: int = 3) -> str:
    """Write a number with fixed decimals, or `-` where there is none."""
    return f"{value:z.{digits}f}" if math.isfinite(value) else "-"


def interval(low: float, high: float, digits: int = 3) -> str:
    """Write an interval, or `-` where there is none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "-"
    return f"[{low:z.{digits}f}, {high:z.{digits}f}]"


def text_table(columns: Columns) -> str:
    """Lay out columns of equal length: the first aligned left, the others right."""
    parts = []
    for i, (header, cells) in enumerate(columns.items()):
        width = max(len(cell) for cell in (header, *cells))
        align = str.rjust if i else str.ljust
        parts.append([align(cell, width) for cell in (header, *cells)])
    return "\n".join("  ".join(row).rstrip() for row in zip(*parts, strict=True))


def html_table(title: str, columns: Columns, notes: Sequence[str] = ()) -> str:
    """Return an HTML table with a caption, and the notes as a list below."""
    head = "".join(f"<th>{escape(header)}</th>" for header in columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in zip(*columns.values(), strict=True)
    )
    below = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>" + (f"<ul>{below}</ul>" if below else "")
    )


class Result:
    """What an analysis found, as people read it: a title, a table, lines below.

    A result defines `title`, `_columns` and, as a field or a property, `notes`; one that says more
    than its notes below the table defines `_below`.
    """

    if TYPE_CHECKING:  # at run time a property here would be in the way of a field there

        @property
        def title(self) -> str:
            """What it is, in a line."""

        @property
        def notes(self) -> Sequence[str]:
            """What a reader should know."""

    def summary(self) -> str:
        """Return title, table, and what is said below it, as plain text."""
        return "\n".join([self.title, text_table(self._columns()), *self._below()])

    def _repr_html_(self) -> str:
        return html_table(self.title, self._columns(), self._below())

    def _columns(self) -> Columns:
        raise NotImplementedError

    def _below(self) -> Sequence[str]:
        return self.notes


def frame(columns: Mapping[str, Any]) -> pl.DataFrame:
    """Return a polars frame; what is not a finite number becomes null."""
    import polars as pl

    data = pl.DataFrame({name: _plain(values) for name, values in columns.items()}, strict=False)
    empty = [name for name, dtype in data.schema.items() if dtype == pl.Null]
    return data.with_columns(pl.col(name).cast(pl.Float64) for name in empty)


def _plain(values: Any) -> Any:
    import polars as pl

    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return pl.Series(np.where(np.isfinite(values), values, np.nan)).fill_nan(None)
    return pl.Series(values) if isinstance(values, np.ndarray) else list(values)
