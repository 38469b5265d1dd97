"""A DuckDB connection with the views of one snapshot."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import duckdb

from ...schemas.published import PUBLISHED
from ...schemas.records import record, views
from ...schemas.records.manifest import Manifest
from ..figures import create_published
from .broken import in_place
from .connection import connect
from .relations import compacted, literal, quote, sql_list
from .snapshot import Snapshot, strict_json

VIEWS = tuple(views.views())
_NEEDS = {
    "runs": ("descriptions", "names"),
    "layers": ("records",),
    "levels": ("records",),
    "flow": ("records", "groups"),
    "epochs": ("descriptions",),
}
_RELATIONS = ("descriptions", "records", "groups", "names", "epochs")
_RECORDS = views.record_columns() | views.run_columns()
_GROUPS = views.group_columns()
_CATALOG = re.compile(r"(?i)\b(show|describe|summarize|information_schema|pg_catalog|duckdb_\w+)\b")


class SessionError(duckdb.Error):
    """The views cannot be made from these files: not an error of the query."""


def mentioned(sql: str) -> frozenset[str]:
    """Name the views and relations that a statement may read; all if it asks for the catalog."""
    if _CATALOG.search(sql):
        return frozenset((*VIEWS, *PUBLISHED))
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    return frozenset(words.intersection((*VIEWS, *PUBLISHED, *_RELATIONS)))


def open_session(
    snapshot: Snapshot,
    wanted: Collection[str] = VIEWS,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> duckdb.DuckDBPyConnection:
    """Return a connection to a database in memory with views of `snapshot`.

    Parameters
    ----------
    snapshot : Snapshot
        The files.
    wanted : collection of str
        The views, and relations behind them, that are made; each costs some milliseconds.
    connection : duckdb.DuckDBPyConnection, optional
        One that `connect` has opened and that holds nothing yet; a new one costs 16 ms.

    Raises
    ------
    SessionError
        A file of the snapshot is broken or gone.
    """
    connection = connection or connect()
    try:
        _create_views(connection, snapshot, wanted)
    except duckdb.Error as error:
        connection.close()
        raise SessionError(str(error)) from error
    return connection


def fence(connection: duckdb.DuckDBPyConnection, store: Path) -> None:
    """Shut a connection off from everything but the files of the store, for good."""
    named = dict.fromkeys((str(store), *literal([store])))  # what is asked for, and what is opened
    connection.execute(f"SET allowed_directories = {sql_list(named)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _create_views(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, wanted: Collection[str]
) -> None:
    # Paths and texts go in as variables: as literals, a hundred thousand would have to be parsed.
    manifest = snapshot.manifest
    texts = [strict_json(run.text) for run in snapshot.loose.values()]
    connection.execute("SET VARIABLE loose_records = ?", [literal(snapshot.record_files)])
    connection.execute("SET VARIABLE loose_descriptions = ?", [texts])
    if not snapshot.record_files:
        # Large files are bound several times before a query runs; of a hundred thousand small
        # ones the metadata would fill gigabytes.
        connection.execute("SET parquet_metadata_cache = true")
    connection.execute("CREATE SCHEMA store")
    needed = {*wanted, *(name for view in wanted for name in _NEEDS.get(view, ()))}
    changing = _changing(connection, snapshot)
    if "descriptions" in needed or changing:
        told = compacted(
            connection,
            manifest.folder,
            manifest.descriptions,
            views.description_columns(),
            views.defaults(),
        )
        parts = [*_compact(snapshot, told), *_loose_descriptions(snapshot)]
        _create(connection, "descriptions", views.description_columns(), parts)
    if "names" in needed:
        _create(connection, "names", views.name_columns(), _names(connection, snapshot))
    if changing:
        connection.execute(f"CREATE VIEW store.changing AS {changing}")
    if "records" in needed:
        told = compacted(connection, manifest.folder, manifest.records, _RECORDS)
        parts = _compact(snapshot, told)
        parts += ["SELECT * FROM store.changing"] if changing else []
        _create(connection, "records", _RECORDS, parts)
    if "groups" in needed:
        parts = _compact(snapshot, _group_rows(connection, manifest))
        parts += [views.grouped("store.changing")] if changing else []
        _create(connection, "groups", _GROUPS, parts)
    if "epochs" in needed:
        _create(connection, "epochs", views.epoch_columns(), _epochs(connection, snapshot))
    for name, select in views.views().items():
        if name in wanted:
            connection.execute(f"CREATE VIEW {name} AS {select}")
    create_published(connection, wanted)


def _create(
    connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, str], parts: list[str]
) -> None:
    body = " UNION ALL ".join(parts) or views.empty(columns)
    connection.execute(f"CREATE VIEW store.{name} AS {body}")


def _compact(snapshot: Snapshot, parts: list[str]) -> list[str]:
    """Restrict what compacted files hold to the runs whose description is compacted too."""
    if not snapshot.manifest.runs:
        return []
    return [f"{part} AND {_asked(snapshot)} AND {_not_reopened(snapshot)}" for part in parts]


def _names(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> list[str]:
    """Read what people call experiments and runs; nothing where they call none."""
    if not snapshot.names:
        return []
    rows = [(key, one.name, one.note, list(one.tags)) for key, one in snapshot.names.items()]
    columns = views.name_columns()
    for name, values in zip(columns, zip(*rows, strict=True), strict=True):
        connection.execute(f"SET VARIABLE names_{name} = ?", [list(values)])
    unnested = (
        f"unnest(getvariable('names_{name}'))::{type_} AS {name}" for name, type_ in columns.items()
    )
    return [f"SELECT {', '.join(unnested)}"]


def _group_rows(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> list[str]:
    """Read the counts of blocks and stages, or sum them where their file is damaged."""
    there = [part for part in manifest.records if manifest.has_groups(part)]
    missing = [part for part in manifest.records if not manifest.has_groups(part)]
    found = compacted(connection, manifest.folder, there, _GROUPS, groups=True)
    for records in compacted(connection, manifest.folder, missing, _RECORDS):
        found.append(f"SELECT * FROM ({views.grouped(f'({records})')}) WHERE true")
    return found


def _changing(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> str:
    """Read the records of runs that have a `run.json`; nothing where there are none.

    What the rows repeat of the run stands there, and not yet in any compacted file.
    """
    parts = [*_reopened_records(connection, snapshot), *_loose_records(snapshot)]
    if not parts:
        return ""
    # A left join, since an inner one would drop a record in a wrong place before it is noticed.
    return (
        f"SELECT * FROM ({' UNION ALL '.join(parts)}) LEFT JOIN "
        f"(SELECT run_id, {', '.join(views.RUN_COLUMNS)} FROM store.descriptions) USING (run_id)"
    )


def _reopened_records(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> list[str]:
    if not _reopened(snapshot):
        return []
    manifest = snapshot.manifest
    parts = compacted(connection, manifest.folder, manifest.records, views.record_columns())
    return [f"{part} AND NOT {_not_reopened(snapshot)}" for part in parts]


def _loose_records(snapshot: Snapshot) -> list[str]:
    if not snapshot.record_files:
        return []
    # The key comes from the name of the file: DuckDB then opens only the files that a filter on
    # run or level leaves over. That their rows say the same is checked below.
    key = {
        "run_id": "split_part(filename, '/', -3)",
        "level": "split_part(split_part(filename, '/', -1), '.', 1)",
    }
    casts = ", ".join(
        f'({key.get(name, f"file.{name}")})::{type_} AS "{name}"'
        for name, type_ in views.record_columns().items()
    )
    # Neither a newer record nor one that was copied to a wrong place may be counted.
    return [
        f"SELECT {casts} FROM read_parquet(getvariable('loose_records'), filename = true) AS file "
        f"WHERE (file.version <= {record.VERSION} AND {in_place('filename', 'file')}) "
        "OR error('broken record ''' || filename || '''')"
    ]


def _epochs(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> list[str]:
    """Read the epochs of runs: of a level that is compacted, from there alone."""
    manifest, columns = snapshot.manifest, views.epoch_columns()
    parts = compacted(connection, manifest.folder, manifest.epochs, columns)
    parts = [f"{part} AND {_asked(snapshot)}" for part in parts]
    if not snapshot.epoch_files:
        return parts
    twice = {run_id: manifest.epoch_levels(run_id) for run_id in snapshot.loose}
    there = [
        f"(run_id = {quote(run_id)} AND level IN ({', '.join(map(str, levels))}))"
        for run_id, levels in twice.items()
        if levels
    ]
    told = loose_epochs(connection, snapshot.epoch_files)
    return [*parts, f"{told} AND NOT ({' OR '.join(there) or 'false'})"]


def loose_epochs(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> str:
    """Return SQL of the epochs in loose files, as a SELECT that ends with a condition."""
    connection.execute("SET VARIABLE loose_epochs = ?", [literal(files)])
    options = "ignore_errors = true, filename = true"
    lines = f"read_ndjson_objects(getvariable('loose_epochs'), {options})"
    return views.epoch_select(f"(SELECT json AS line, filename FROM {lines})")


def _reopened(snapshot: Snapshot) -> list[str]:
    """List the compacted runs that have a `run.json` of their own again."""
    manifest = snapshot.manifest
    return [run for run in snapshot.loose if run in manifest.runs or run in manifest.lost]


def _not_reopened(snapshot: Snapshot) -> str:
    reopened = _reopened(snapshot)
    return f"(run_id NOT IN ({', '.join(map(quote, reopened))}))" if reopened else "true"


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


def _asked(snapshot: Snapshot) -> str:
    if snapshot.only is None and not snapshot.manifest.lost:
        return "true"
    return f"run_id IN ({', '.join(map(quote, snapshot.manifest.runs))})"
