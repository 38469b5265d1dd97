"""What an analysis found: its columns, described once, and everything that is made of them.

A result states its columns and gives their values. The frame, the summary, the table of a notebook,
what the command line prints and writes, and the reference in `docs/` follow from these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from ..schemas.display import Shown, Table
from ..schemas.errors import UsageError
from ..schemas.notes import ranked

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

    from .charts.chart import Chart

Seen = Literal["always", "if any", "wide"]
LABEL = "Architecture and task, and what tells it from others of these in its store."
SIGNED = "+z.3f"  # the format of exponents, which may be of either sign


@dataclass(frozen=True)
class Column:
    """A column of a result.

    Attributes
    ----------
    name : str
        Unique in the result, the same in every form.
    meaning : str
        What its values say.
    unit : str
        Their unit; empty for words and pure numbers.
    format : str
        How people read a number, such as `.3f`; six digits where it is empty.
    shown : str
        To people: `always`; `if any`: unless no row has a value, a word or a flag; `wide`: never.
        Programs get every column.
    """

    name: str
    meaning: str
    unit: str = ""
    format: str = ""
    shown: Seen = "always"


def ends(
    low: str, high: str, of: str, unit: str = "", format: str = "", shown: Seen = "always"
) -> tuple[Column, Column]:
    """Describe the two columns of an interval."""
    return (
        Column(low, f"Lower end of {of}.", unit, format, shown),
        Column(high, "Upper end.", unit, format, shown),
    )


def columns_like(columns: Iterable[Column], names: str, **shown: Seen) -> tuple[Column, ...]:
    """Take some of the columns of another result by name, shown as there or as said."""
    known = {column.name: column for column in columns}
    return tuple(
        replace(known[name], shown=shown.get(name, known[name].shown)) for name in names.split()
    )


class Result(Shown):
    """What an analysis found: a title, a table, notes beside it.

    A result states `columns`, `rows` and `see`, defines `title` and `_values`, and has `notes` as a
    field, which is ranked here, or as a property that returns them `ranked`. Columns of which
    `_values` tells nothing are left out, those that are None there have no value in any row.

    Attributes
    ----------
    columns : tuple of Column
        All that it can have, in order.
    rows : str
        What it has a row for.
    see : str
        Page and section of `docs/` about it, where notes say no other.
    """

    columns: ClassVar[tuple[Column, ...]] = ()
    rows: ClassVar[str] = "a row"
    see: ClassVar[str] = ""

    if TYPE_CHECKING:  # at run time a property here would be in the way of a field there

        @property
        def title(self) -> str:
            """What it is, in a line."""

        @property
        def notes(self) -> Sequence[str]:
            """What the numbers alone do not say, what matters most first."""

    def __post_init__(self) -> None:
        """Rank the notes that a data class was given."""
        if "notes" in vars(self):
            object.__setattr__(self, "notes", ranked(self.notes, self.see))

    def _values(self) -> Mapping[str, Any]:
        """Return the values of the columns, each of one length."""
        raise NotImplementedError

    def to_frame(self) -> pl.DataFrame:
        """Return all columns as a frame; what does not exist is null."""
        values = self._values()
        names = [column.name for column in self.columns]
        unknown = values.keys() - names
        if unknown:
            raise KeyError(f"{type(self).__name__} does not describe {', '.join(sorted(unknown))}")
        length = max((len(column) for column in values.values() if column is not None), default=0)
        return frame(
            {
                name: [None] * length if values[name] is None else values[name]
                for name in names
                if name in values
            }
        )

    def shown(self, frame: pl.DataFrame | None = None) -> tuple[Column, ...]:
        """Return the columns that people see, of the frame where that is at hand."""
        found = self.to_frame() if frame is None else frame
        return tuple(
            column
            for column in self.columns
            if column.name in found.columns
            and (
                column.shown == "always"
                or (column.shown == "if any" and _tells(found[column.name]))
            )
        )

    def table(self) -> Table:
        """Return all columns with title and notes, and which of them people see."""
        found = self.to_frame()
        return Table(
            tuple(found.columns),
            found.rows(),
            title=self.title,
            notes=tuple(self.notes),
            formats={column.name: column.format for column in self.columns if column.format},
            shown=tuple(column.name for column in self.shown(found)),
        )

    def plot(self) -> Figure:
        """Draw it, as `rgtool.plot` does.

        Raises
        ------
        UsageError
            Results of this type have no figure.
        """
        return self.plot_together([self])

    @classmethod
    def plot_together(cls, results: Sequence[Self]) -> Figure:
        """Draw several results of this type in one figure.

        Raises
        ------
        UsageError
            No figure shows several, or one.
        """
        raise cls._undrawn("figure", cls.plot is not Result.plot, len(results))

    def chart(self) -> Chart:
        """Draw it as a chart that a page and a notebook let one look into.

        Raises
        ------
        UsageError
            Results of this type have no chart, or there is nothing to draw.
        """
        return self.chart_together([self])

    @classmethod
    def chart_together(cls, results: Sequence[Self]) -> Chart:
        """Draw several results of this type in one chart.

        Raises
        ------
        UsageError
            No chart shows several, or one.
        """
        raise cls._undrawn("chart", cls.chart is not Result.chart, len(results))

    @classmethod
    def _undrawn(cls, word: str, one_is_drawn: bool, number: int) -> UsageError:
        if one_is_drawn:
            return UsageError(f"no {word} shows {number} of {cls.__name__}: draw them one by one")
        return UsageError(f"{cls.__name__} has no {word}: to_frame() has its numbers")


def frame(columns: Mapping[str, Any]) -> pl.DataFrame:
    """Return a polars frame; what is not a finite number becomes null."""
    import polars as pl

    data = pl.DataFrame({name: _plain(values) for name, values in columns.items()}, strict=False)
    empty = [name for name, dtype in data.schema.items() if dtype == pl.Null]
    return data.with_columns(pl.col(name).cast(pl.Float64) for name in empty)


def _plain(values: Any) -> Any:
    import polars as pl

    if isinstance(values, np.ndarray):
        if values.dtype.kind != "f":
            return pl.Series(values)
        return pl.Series(np.where(np.isfinite(values), values, np.nan)).fill_nan(None)
    return [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]


def _tells(column: pl.Series) -> bool:
    """Tell whether any row has a value, a word or a flag."""
    import polars as pl

    if column.dtype == pl.Boolean:
        return bool(column.any())
    there = column.drop_nulls()
    return bool((there != "").any()) if column.dtype == pl.String else len(there) > 0
