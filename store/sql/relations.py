"""Compacted files as relations in SQL."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import duckdb

from ...schemas.records.parts import Part


def compacted(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    parts: Sequence[Part],
    columns: Mapping[str, str],
    defaults: Mapping[str, str] = MappingProxyType({}),
    *,
    groups: bool = False,
) -> list[str]:
    """Return SQL of what is read from parts, as SELECTs that end with a condition.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Any.
    folder : Path
        Where the parts lie.
    parts : sequence of Part
        Of one kind; what is hidden of them, or void, is left out.
    columns, defaults : mapping of str to str
        As `known_columns` takes them.
    groups : bool
        Read the counts of their blocks and stages instead.
    """
    paths = [folder / (part.groups if groups else part.file) for part in parts]
    whole, own = list[Path](), list[tuple[list[Path], str]]()
    for path, part in zip(paths, parts, strict=True):
        if part.hidden or part.void:
            own.append(([path], shown(part)))
        else:
            whole.append(path)
    alike = [(whole, "true")] if whole else []
    return [
        f"{known_columns(connection, parquet(files), columns, defaults)} WHERE {condition}"
        for files, condition in (*alike, *own)
    ]


def shown(part: Part) -> str:
    """Return the condition that leaves out what is hidden of a part, or void."""
    by_levels: dict[tuple[int, ...], list[str]] = {(): sorted(part.void)} if part.void else {}
    for run_id, levels in part.hidden.items():
        by_levels.setdefault(levels, []).append(run_id)
    hidden = [
        f"run_id IN ({', '.join(map(quote, runs))})"
        + (f" AND level IN ({', '.join(map(str, levels))})" if levels else "")
        for levels, runs in by_levels.items()
    ]
    return f"NOT ({' OR '.join(f'({one})' for one in hidden)})" if hidden else "true"


def known_columns(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    columns: Mapping[str, str],
    defaults: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return SQL that selects columns from compacted files, whichever rgtool wrote them.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Any.
    source : str
        The relation that the files make.
    columns : mapping of str to str
        Names and types to select.
    defaults : mapping of str to str
        What columns are that the writer did not know yet, as SQL; NULL where they are not named.
    """
    present = {row[0] for row in connection.execute(f"DESCRIBE FROM {source}").fetchall()}
    chosen = [
        f'"{name}"' if name in present else f'{defaults.get(name, "NULL")}::{type_} AS "{name}"'
        for name, type_ in columns.items()
    ]
    return f"SELECT {', '.join(chosen)} FROM {source}"


def parquet(files: Iterable[Path]) -> str:
    """Write compacted files as one relation in SQL."""
    return f"read_parquet({sql_list(literal(files))}, union_by_name = true)"


def literal(paths: Iterable[Path | str]) -> list[str]:
    """Write paths of files for a reader of DuckDB, which takes `[1]`, `*` and `?` as patterns.

    Examples
    --------
    >>> literal(["a[1]/0.parquet"])
    ['a[[]1]/0.parquet']
    """
    return [glob.escape(str(path)) for path in paths]


def sql_list(paths: Iterable[Path | str]) -> str:
    """Write paths as a list in SQL."""
    return "[" + ", ".join(quote(str(path)) for path in paths) + "]"


def quote(text: str) -> str:
    """Write a string in SQL."""
    return "'" + text.replace("'", "''") + "'"
