"""The epochs of finished runs on their way into compacted parts.

All of a level goes in once it is recorded: then no more of it comes. What is there of a level in a
part counts, and what is loose of it is left over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import duckdb

from ...schemas.files import read_file
from ...schemas.records import views
from ...schemas.records.epochs import PRETRAINING, read_epochs
from ...schemas.records.layout import RunFolder
from ...schemas.records.manifest import Manifest
from ...schemas.records.parts import Part
from ..sql.relations import compacted
from ..sql.session import loose_epochs
from ..sql.snapshot import LooseRun
from .staged import copy, gathered, unfinished

_EMPTY, _ROW = 1500, 32  # bytes of a part, and of an epoch in it, roughly


def has_more(manifest: Manifest, run_id: str, run: LooseRun) -> bool:
    """Tell whether loose epochs of a run belong to recorded levels and are not compacted."""
    levels = _missing(manifest, run_id)
    return bool(run.epochs) and any(
        epoch.level in levels for epoch in read_epochs(Path(run.epochs), run_id)
    )


def _missing(manifest: Manifest, run_id: str) -> set[int]:
    """Return the recorded levels of which no epoch is compacted."""
    return {PRETRAINING, *manifest.levels(run_id)}.difference(manifest.epoch_levels(run_id))


def with_epochs(
    connection: duckdb.DuckDBPyConnection, old: Manifest, merged: Mapping[str, LooseRun]
) -> Manifest:
    """Write the epochs of merged runs to a new part; return the manifest with it.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Any.
    old : Manifest
        With the records of the merged runs.
    merged : mapping of str to LooseRun
        The runs.

    Raises
    ------
    duckdb.Error, OSError
        A file is gone, or the disk is full or not writable.
    """
    levels = _take(connection, old, merged)
    rows = connection.execute("SELECT count(*) FROM fresh").fetchall()[0][0]
    again = [part for part in old.epochs if part.hidden or part.void]
    size = _EMPTY + _ROW * rows if rows else 0
    joined = gathered(old.folder, old.epochs, again, size)
    if not levels and not joined:
        return old
    for one in joined:
        for run_id in one.runs:
            levels.setdefault(run_id, set()).update(one.shown(run_id))
    runs = {run_id: tuple(sorted(found)) for run_id, found in levels.items()}
    part = Part.new("epochs", old.generation + 1, runs, joined)
    target, columns = unfinished(old, part.file), views.epoch_columns()
    sources = [*compacted(connection, old.folder, joined, columns), "FROM fresh"]
    every = f"FROM ({' UNION ALL '.join(sources)}) ORDER BY run_id, level, epoch"
    copy(connection, every, target, part)
    target.rename(old.folder / part.file)
    kept = [one for one in old.epochs if one not in joined]
    return dataclasses.replace(old, epochs=(*kept, part))


def _take(
    connection: duckdb.DuckDBPyConnection, manifest: Manifest, merged: Mapping[str, LooseRun]
) -> dict[str, set[int]]:
    """Put what is to go in into the table `fresh`; return its runs and their levels."""
    found = {run_id: run for run_id, run in merged.items() if run.epochs}
    pairs = [(run_id, level) for run_id in found for level in _missing(manifest, run_id)]
    files = [run.epochs for run in found.values()]
    told = f"{loose_epochs(connection, files)} AND (run_id, level) IN (FROM wanted)"
    connection.execute("CREATE OR REPLACE TABLE wanted (run_id VARCHAR, level INTEGER)")
    columns = [list(column) for column in zip(*pairs, strict=True)] or [[], []]
    connection.execute("INSERT INTO wanted SELECT unnest(?), unnest(?)", columns)
    select = told if files else views.empty(views.epoch_columns())
    connection.execute(f"CREATE OR REPLACE TABLE fresh AS {select}")
    # A run that went on since it was looked at may be training anew what comes before level 0.
    others = [run_id for run_id, run in found.items() if not _is_as_it_was(run)]
    connection.execute("DELETE FROM fresh WHERE list_contains(?, run_id)", [others])
    rows = connection.execute("SELECT run_id, list(DISTINCT level) FROM fresh GROUP BY run_id")
    return {run_id: {*levels} for run_id, levels in rows.fetchall()}


def _is_as_it_was(run: LooseRun) -> bool:
    try:
        return read_file(RunFolder(Path(run.epochs).parent).description) == run.text.encode()
    except OSError:
        return False


def drop(manifest: Manifest, folder: RunFolder) -> bool:
    """Remove the loose epochs of a run if all are compacted; tell whether none are left.

    Raises
    ------
    OSError
        The folder is not writable.
    """
    run_id = folder.path.name
    levels = {epoch.level for epoch in read_epochs(folder.epochs, run_id)}
    if not levels <= {*manifest.epoch_levels(run_id)}:
        return False
    folder.epochs.unlink(missing_ok=True)
    return True
