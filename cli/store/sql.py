"""`rgtool sql`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..options import StoreOption
from ..output import Table, output_options, warn_of


@output_options
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT, or - to read standard input.")],
    store: StoreOption = None,
) -> Table:
    """Ask the store anything, in the SQL of DuckDB.

    Views: runs, levels, layers, flow, and the published_* figures of the literature. Nothing can be
    written.

    Example: rgtool sql "SELECT name, avg(eigenvalue) FROM flow WHERE grouping = 'stage' GROUP BY 1"
    """
    from ...store import Store

    opened = Store(store)
    result = opened.sql(sys.stdin.read() if query == "-" else query)
    warn_of(opened.problems)
    return Table(result.columns, result.rows)
