"""A user's query: asked behind the fence, and read as a whole or part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import duckdb

from ...schemas.errors import QueryError, StoreError
from .connection import connect, interruptibly
from .fence import explain, fenced
from .reading import Reader
from .result import Result, distinct
from .session import SessionError, fence, mentioned
from .snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
Connection = duckdb.DuckDBPyConnection


@contextmanager
def asked(
    reader: Reader, query: str, begin: Callable[[Connection, str], T]
) -> Iterator[tuple[Connection, T]]:
    """Ask a user's query, and leave the connection open for what is still to be read of it.

    Parameters
    ----------
    reader : Reader
        Of the store.
    query : str
        As the user wrote it.
    begin : callable
        Takes a connection and the query as it may be executed, and reads the beginning; it may be
        called again, where a file turns out to be broken.

    Yields
    ------
    tuple
        The connection, and what `begin` has returned.

    Raises
    ------
    QueryError
        The query is empty, holds two statements, writes, or is wrong.
    StoreError
        The store cannot be read, or has changed while it was read.
    """
    with connect() as connection, _as_error_of(reader, query):
        wrapped = fenced(query, connection)
        wanted = mentioned(wrapped)

        def run(connection: Connection) -> tuple[Connection, T]:
            fence(connection, reader.path)
            return connection, begin(connection, wrapped)

        if not wanted:
            yield run(connection)
            return
        read: list[Snapshot] = []
        used, found = reader.attempt(
            run, wanted=wanted, connection=connection, keep_open=read.append
        )
        with used:
            yield used, found
        if read[0].is_outdated():
            raise StoreError(f"{reader.path}: a run was corrected while it was read: ask again")


@contextmanager
def _as_error_of(reader: Reader, query: str) -> Iterator[None]:
    try:
        yield
    except SessionError as error:
        raise StoreError(f"{reader.path}: {str(error).splitlines()[0]}") from error
    except duckdb.IOException as error:
        line = str(error).splitlines()[0]
        raise StoreError(f"{reader.path}: {line}; what was read of it is not all") from error
    except duckdb.Error as error:
        raise QueryError(*explain(error, query)) from None


def count(reader: Reader, query: str) -> int:
    """Count the rows of a query, see `Store.count`."""

    def begin(connection: Connection, sql: str) -> Result:
        return Result.of(connection, f"SELECT count(*) FROM ({sql})")

    with asked(reader, query, begin) as (_, found):
        return int(found.rows[0][0])


def stream(reader: Reader, query: str, size: int) -> Iterator[Result]:
    """Read a query part by part, see `Store.stream`."""

    def begin(connection: Connection, sql: str) -> Result:
        return Result.fetched(connection, lambda: connection.execute(sql).fetchmany(size))

    with asked(reader, query, begin) as (connection, part):
        yield part
        while len(part) == size:
            part = Result.fetched(connection, lambda: connection.fetchmany(size))
            if part.rows:
                yield part


def stream_arrow(reader: Reader, query: str, size: int) -> pa.RecordBatchReader:
    """Read a query as Arrow batches, see `Store.stream_arrow`."""
    import pyarrow as pa

    batches = _batches(reader, query, size)
    first = next(batches)
    schema = _schema(first)

    def fitting() -> Iterator[pa.RecordBatch]:
        yield _cast(first, schema)
        yield from (_cast(batch, schema) for batch in batches)

    return pa.RecordBatchReader.from_batches(schema, fitting())


def _batches(reader: Reader, query: str, size: int) -> Iterator[pa.RecordBatch]:
    """Yield the batches as DuckDB gives them; an empty one first where there are none."""
    import pyarrow as pa

    def begin(connection: Connection, sql: str) -> tuple[pa.RecordBatchReader, pa.RecordBatch]:
        found = interruptibly(connection, lambda: connection.sql(sql).to_arrow_reader(size))
        empty = pa.RecordBatch.from_pylist([], found.schema)
        return found, interruptibly(connection, lambda: next(found, empty))

    with asked(reader, query, begin) as (connection, (found, batch)):
        while batch is not None:
            yield batch
            batch = interruptibly(connection, lambda: next(found, None))


def _schema(first: pa.RecordBatch) -> pa.Schema:
    """Name columns apart, and make int64 of the 128 bits that DuckDB sums integers in."""
    import pyarrow as pa

    def type_of(column: pa.Array) -> pa.DataType:
        if column.type == pa.decimal128(38, 0):
            try:
                return column.cast(pa.int64()).type
            except pa.ArrowInvalid:
                pass
        return column.type

    return pa.schema(
        list(zip(distinct(first.schema.names), map(type_of, first.columns), strict=True))
    )


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    try:
        columns = [c.cast(f.type) for c, f in zip(batch.columns, schema, strict=True)]
    except pa.ArrowInvalid as error:
        raise QueryError(f"{error}: cast the sum in the query, to DOUBLE or VARCHAR") from None
    return pa.RecordBatch.from_arrays(columns, schema=schema)
