"""The rows that a query gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ...schemas.display import Shown, Table
from ...schemas.errors import RgtoolError
from .connection import interruptibly

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow as pa

_ARROW = {
    "BOOLEAN": "bool",
    "TINYINT": "int8",
    "SMALLINT": "int16",
    "INTEGER": "int32",
    "BIGINT": "int64",
    "UBIGINT": "uint64",
    "FLOAT": "float",
    "DOUBLE": "double",
    "VARCHAR": "string",
    "JSON": "string",
    "DATE": "date32",
}
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, eq=False)
class Result(Shown):
    """A table: what a query gives, or a part of it.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns.
    types : tuple of str
        Their DuckDB types, such as `BIGINT` or `DOUBLE`.
    rows : list of tuple
        Python values, a tuple a row.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    most: ClassVar[int] = 50
    whole: ClassVar[str] = "polars(), arrow() and pandas() have all"

    @classmethod
    def of(
        cls, connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = ()
    ) -> Self:
        """Run SQL and read its rows to the end."""
        return cls.fetched(connection, lambda: connection.execute(sql, list(parameters)).fetchall())

    @classmethod
    def fetched(
        cls, connection: duckdb.DuckDBPyConnection, fetch: Callable[[], list[tuple[Any, ...]]]
    ) -> Self:
        """Fetch rows of what a connection executes; Ctrl-C ends it."""
        rows = interruptibly(connection, fetch)
        columns = connection.description or []
        return cls(tuple(c[0] for c in columns), tuple(str(c[1]) for c in columns), rows)

    def __len__(self) -> int:
        return len(self.rows)

    def table(self) -> Table:
        """Return all rows, as `rgtool sql` prints them."""
        return Table(self.columns, self.rows)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return a dictionary a row."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def arrow(self) -> pa.Table:
        """Return an Arrow table; sums of integers are int64 wherever they fit."""
        import pyarrow as pa

        values: list[tuple[Any, ...]] = list(zip(*self.rows, strict=True))
        columns = [
            _arrow_column(list(values[i]) if values else [], type_)
            for i, type_ in enumerate(self.types)
        ]
        return pa.Table.from_arrays(columns, names=distinct(self.columns))

    def polars(self) -> pl.DataFrame:
        """Return a polars frame; sums of integers are Int64 wherever they fit."""
        import polars as pl

        frame = pl.from_arrow(self.arrow())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def pandas(self) -> Any:
        """Return a `pandas.DataFrame`, of the types that an Arrow table becomes there.

        Raises
        ------
        RgtoolError
            There is no pandas here.
        """
        try:
            import_module("pandas")
        except ImportError:
            raise RgtoolError(
                "pandas is not installed: pip install pandas, or take polars() or arrow()"
            ) from None
        return self.arrow().to_pandas()


def _arrow_column(values: list[Any], type_: str) -> pa.Array:
    import pyarrow as pa

    name = (
        "BIGINT" if type_ == "HUGEINT" and all(v is None or v in _INT64 for v in values) else type_
    )
    if name in _ARROW:
        return pa.array(values, pa.type_for_alias(_ARROW[name]))
    if name == "TIMESTAMP":
        return pa.array(values, pa.timestamp("us"))
    if match := re.fullmatch(r"(\w+)\[\]", name):
        item = _ARROW.get(match[1])
        if item is not None:
            return pa.array(values, pa.list_(pa.type_for_alias(item)))
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):  # types without a counterpart travel as text
        return pa.array([None if v is None else str(v) for v in values], pa.string())


def distinct(names: Sequence[str]) -> list[str]:
    """Make names distinct as DuckDB does: Arrow takes repeated ones and polars does not."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        count = seen[name] = seen.get(name, -1) + 1
        distinct.append(f"{name}_{count}" if count else name)
    return distinct
