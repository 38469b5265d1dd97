"""A DuckDB connection with the views of one snapshot."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import duckdb

from ..schemas import record, views
from .broken import in_place
from .snapshot import Snapshot, strict_json

VIEWS = tuple(views.views())
RELATIONS = ("records", "descriptions")
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,  # a table is a view of the store, never a Python variable
}
_CATALOG = re.compile(r"(?i)\b(show|describe|summarize|information_schema|pg_catalog|duckdb_\w+)\b")


class SessionError(duckdb.Error):
    """The views cannot be made from these files: not an error of the query."""


def needs_files(sql: str) -> bool:
    """Tell whether a statement may read a view (or lists the views)."""
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    return not words.isdisjoint((*VIEWS, *RELATIONS)) or _CATALOG.search(sql) is not None


def open_session(snapshot: Snapshot | None) -> duckdb.DuckDBPyConnection:
    """Connect to a database in memory, with the views of `snapshot` if there is one.

    Raises
    ------
    SessionError
        A file of the snapshot is broken or gone.
    """
    connection = duckdb.connect(config=_CONFIG)
    if snapshot is not None:
        try:
            _create_views(connection, snapshot)
        except duckdb.Error as error:
            connection.close()
            raise SessionError(str(error)) from error
    return connection


def fence(connection: duckdb.DuckDBPyConnection, store: Path) -> None:
    """Shut a connection off from everything but the files of the store, for good."""
    connection.execute(f"SET allowed_directories = {sql_list([store])}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _create_views(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    # Paths and texts go in as variables: as literals, a hundred thousand would have to be parsed.
    texts = [strict_json(run.text) for run in snapshot.loose.values()]
    connection.execute("SET VARIABLE loose_records = ?", [snapshot.record_files])
    connection.execute("SET VARIABLE loose_descriptions = ?", [texts])
    connection.execute("CREATE SCHEMA store")
    records = [*_compact_records(connection, snapshot), *_loose_records(snapshot)]
    _create(connection, "records", views.record_columns(), records)
    descriptions = [*_compact_descriptions(connection, snapshot), *_loose_descriptions(snapshot)]
    _create(connection, "descriptions", views.description_columns(), descriptions)
    for name, select in views.views().items():
        connection.execute(f"CREATE VIEW {name} AS {select}")


def _create(
    connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, str], parts: list[str]
) -> None:
    body = " UNION ALL ".join(parts) or views.empty(columns)
    connection.execute(f"CREATE VIEW store.{name} AS {body}")


def _compact_records(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> list[str]:
    if not snapshot.manifest.runs:
        return []
    source = f"read_parquet({sql_list(snapshot.manifest.record_files)}, union_by_name = true)"
    select = known_columns(connection, source, views.record_columns(), {})
    return [f"{select} WHERE {_asked(snapshot)}"]


def _loose_records(snapshot: Snapshot) -> list[str]:
    if not snapshot.record_files:
        return []
    casts = ", ".join(f'"{n}"::{type_} AS "{n}"' for n, type_ in views.record_columns().items())
    # Neither a newer record nor one that was copied to a wrong place may be counted.
    return [
        f"SELECT {casts} FROM read_parquet(getvariable('loose_records'), filename = true) "
        f"WHERE (version <= {record.VERSION} AND {in_place('filename')}) "
        "OR error('broken record ''' || filename || '''')"
    ]


def _compact_descriptions(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> list[str]:
    file = snapshot.manifest.description_file
    if file is None or not snapshot.manifest.runs:
        return []
    source = f"read_parquet({sql_list([file])})"
    select = known_columns(connection, source, views.description_columns(), views.defaults())
    newer = [run_id for run_id in snapshot.loose if run_id in snapshot.manifest.runs]
    replaced = f" AND run_id NOT IN ({', '.join(map(quote, newer))})" if newer else ""
    return [f"{select} WHERE {_asked(snapshot)}{replaced}"]


def _loose_descriptions(snapshot: Snapshot) -> list[str]:
    return [described("unnest(getvariable('loose_descriptions'))")] if snapshot.loose else []


def described(text: str, *others: str) -> str:
    """Return SQL that turns the texts of `run.json` files into the columns of `runs`.

    Parameters
    ----------
    text : str
        SQL of a text a row.
    *others : str
        Further columns of the same rows, `<SQL> AS <name>`.
    """
    columns = views.description_json_columns().items()
    struct = ", ".join(f'"{name}" {type_}' for name, type_ in columns)
    names = [other.rpartition(" AS ")[2] for other in others]
    texts = f"SELECT {', '.join([f'{text} AS json', *others])}"
    # TRY_CAST, since a cast would refuse keys that a later version adds.
    cast = f"TRY_CAST(json::JSON AS STRUCT({struct})) AS description"
    parsed = f"SELECT {', '.join([cast, *names])} FROM ({texts})"
    fields = f"SELECT {', '.join(['unnest(description)', *names])} FROM ({parsed})"
    return views.description_select(f"({fields})", *names)


def known_columns(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    columns: dict[str, str],
    defaults: dict[str, str],
) -> str:
    """Return SQL that selects columns from compacted files, whichever rgtool wrote them.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Any.
    source : str
        The relation that the files make.
    columns : dict of str to str
        Names and types to select.
    defaults : dict of str to str
        What columns are that the writer did not know yet, as SQL; NULL where they are not named.
    """
    present = {row[0] for row in connection.execute(f"DESCRIBE FROM {source}").fetchall()}
    chosen = [
        f'"{name}"' if name in present else f'{defaults.get(name, "NULL")}::{type_} AS "{name}"'
        for name, type_ in columns.items()
    ]
    return f"SELECT {', '.join(chosen)} FROM {source}"


def _asked(snapshot: Snapshot) -> str:
    if snapshot.only is None:
        return "true"
    return f"run_id IN ({', '.join(map(quote, snapshot.manifest.runs))})"


def sql_list(paths: Iterable[Path | str]) -> str:
    """Write paths as a list in SQL; read as they are, wildcards have no meaning there."""
    return "[" + ", ".join(quote(str(path)) for path in paths) + "]"


def quote(text: str) -> str:
    """Write a string in SQL."""
    return "'" + text.replace("'", "''") + "'"
