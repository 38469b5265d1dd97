"""A DuckDB connection with the views of one snapshot."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from ..schemas import record, views
from .broken import in_place
from .snapshot import Snapshot

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
    connection.execute(f"SET allowed_directories = [{_quote(str(store))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _create_views(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    # Paths and texts go in as variables: as literals, a hundred thousand would have to be parsed.
    loose = snapshot.record_files
    texts = [run.text for run in snapshot.loose.values()]
    connection.execute("SET VARIABLE loose_records = ?", [loose])
    connection.execute("SET VARIABLE loose_descriptions = ?", [texts])
    connection.execute("SET VARIABLE loose_runs = ?", [list(snapshot.loose)])
    connection.execute("CREATE SCHEMA store")
    _union(connection, "records", views.record_columns(), _records(snapshot))
    _union(connection, "descriptions", views.description_columns(), _descriptions(snapshot))
    for name, select in views.views().items():
        connection.execute(f"CREATE VIEW {name} AS {select}")


def _union(
    connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, str], parts: list[str]
) -> None:
    body = " UNION ALL ".join(parts) or views.empty(columns)
    connection.execute(f"CREATE VIEW store.{name} AS {body}")


def _records(snapshot: Snapshot) -> list[str]:
    parts = []
    if snapshot.manifest.record_files:
        names = ", ".join(f'"{name}"' for name in views.record_columns())
        files = [str(path) for path in snapshot.manifest.record_files]
        parts.append(f"SELECT {names} FROM read_parquet({_list(files)})")
    if snapshot.record_files:
        casts = ", ".join(f'"{n}"::{type_} AS "{n}"' for n, type_ in views.record_columns().items())
        # Neither a newer record nor one that was copied to a wrong place may be counted.
        parts.append(
            f"SELECT {casts} FROM read_parquet(getvariable('loose_records'), filename = true) "
            f"WHERE (version <= {record.VERSION} AND {in_place('filename')}) "
            "OR error('broken record ''' || filename || '''')"
        )
    return parts


def _descriptions(snapshot: Snapshot) -> list[str]:
    parts = []
    if (file := snapshot.manifest.description_file) is not None:
        names = ", ".join(f'"{name}"' for name in views.description_columns())
        parts.append(
            f"SELECT {names} FROM read_parquet({_list([str(file)])}) "
            "WHERE NOT list_contains(getvariable('loose_runs'), run_id)"
        )
    if snapshot.loose:
        columns = views.description_json_columns().items()
        struct = ", ".join(f'"{name}" {type_}' for name, type_ in columns)
        # TRY_CAST, since a cast would refuse keys that a later version adds.
        parts.append(
            views.description_select(
                f"(SELECT unnest(description) FROM (SELECT TRY_CAST(text AS STRUCT({struct})) "
                "AS description FROM "
                "(SELECT unnest(getvariable('loose_descriptions'))::JSON AS text)))"
            )
        )
    return parts


def _list(paths: list[str]) -> str:
    return "[" + ", ".join(_quote(path) for path in paths) + "]"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
