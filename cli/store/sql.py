"""`rgtool sql`."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import QueryError
from ..options import StoreOption
from ..output import Stream, output_options, warn_of

if TYPE_CHECKING:
    import pyarrow as pa

    from ...store.sql.result import Result


@output_options
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT, or - to read standard input.")],
    rows: Annotated[
        int, typer.Option(min=0, help="Rows shown as a table or with --md; 0: all.")
    ] = 1000,
    store: StoreOption = None,
) -> Stream:
    """Ask the store anything, in the SQL of DuckDB.

    Views: runs, levels, layers, flow, epochs, and the published_* figures of the literature.
    Nothing can be written. --csv, --json and --parquet write every row, in the memory of a few
    thousand.

    Example: rgtool sql "SELECT name, avg(eigenvalue) FROM flow WHERE grouping = 'stage' GROUP BY 1"
    """
    from ...store import Store

    opened = Store(store)
    text = _query_text(query)

    def parts() -> Generator[Result, None, None]:
        for number, part in enumerate(opened.stream(text)):
            if number == 0:
                warn_of(opened.problems)
            yield part

    def batches() -> pa.RecordBatchReader:
        found = opened.stream_arrow(text)
        warn_of(opened.problems)
        return found

    return Stream(parts, batches, lambda: opened.count(text), rows or None)


def _query_text(query: str) -> str:
    """Return the text of a query: itself, or what comes on standard input."""
    try:
        text = sys.stdin.read() if query == "-" else query
        if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
            return text
        return os.fsencode(text).decode()  # a locale of ASCII alone leaves UTF-8 undecoded
    except UnicodeError:
        raise QueryError("the query is not UTF-8 text") from None
