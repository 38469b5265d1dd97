"""DuckDB databases in memory that keep quiet and keep to themselves."""

from __future__ import annotations

import duckdb

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,  # a table is a view of the store, never a Python variable
}


def connect(threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """Open an empty database in memory.

    Parameters
    ----------
    threads : int, optional
        Threads it may use; by default a thread a core.
    """
    connection = duckdb.connect(config=_CONFIG | ({"threads": threads} if threads else {}))
    # In an interactive Python it would draw a bar; no configuration takes this, a SET does.
    connection.execute("SET enable_progress_bar = false")
    return connection
