"""Loose records on their way into compacted parts: checked, and written as files of whole runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from ...schemas import sums
from ...schemas.errors import StoreError
from ...schemas.records import parts, views
from ...schemas.records.manifest import Manifest
from ...schemas.records.parts import Part
from ..sql.broken import LeftOut, faults
from ..sql.connection import connect
from ..sql.relations import literal, quote
from ..sql.snapshot import LooseRun

UNFINISHED = ".part"  # the end of names that a killed compaction leaves
_MERGE_BELOW = 2.0  # an older file joins if it is smaller than this many times the newer ones
_FILES_TOGETHER = 1000  # files of whole runs that are read and checked together
_ROW_GROUP = 122_880  # rows; DuckDB's own size, a unit of its parallel reading


def stage(
    folder: Path, changed: Mapping[str, LooseRun], left_out: LeftOut
) -> tuple[list[Path], dict[str, LooseRun]]:
    """Read and check the loose records of some runs, chunk by chunk.

    Returns
    -------
    files : list of Path
        Files of whole runs in `folder`, whose names end in `UNFINISHED`.
    merged : dict of str to LooseRun
        The runs that are in them: those whose records are sound.

    Raises
    ------
    StoreError
        The records cannot be read together, whichever are left out.
    """

    def one(numbered: tuple[int, dict[str, LooseRun]]) -> tuple[Path, dict[str, LooseRun]]:
        part = folder / f".staged-{numbered[0]:05d}{UNFINISHED}"
        return part, _stage_chunk(part, numbered[1], left_out)

    # One thread a connection: DuckDB's own threads get in each other's way over small files.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        done = list(pool.map(one, enumerate(_chunks(changed))))
    merged = {run_id: run for _, runs in done for run_id, run in runs.items()}
    return [part for part, _ in done if part.exists()], merged


def _chunks(changed: Mapping[str, LooseRun]) -> Iterator[dict[str, LooseRun]]:
    chunk: dict[str, LooseRun] = {}
    size = 0
    for run_id, run in changed.items():
        chunk[run_id] = run
        size += len(run.records)
        if size >= _FILES_TOGETHER:
            yield chunk
            chunk, size = {}, 0
    if chunk:
        yield chunk


def _stage_chunk(part: Path, runs: dict[str, LooseRun], left_out: LeftOut) -> dict[str, LooseRun]:
    """Write the records of some runs to `part`; return those of the runs that are sound."""
    casts = ", ".join(f'"{n}"::{type_} AS "{n}"' for n, type_ in views.record_columns().items())
    while files := [path for run in runs.values() for path in run.records.values()]:
        failure = "records contradict the schema"
        with connect(threads=1) as connection:
            try:
                connection.execute(
                    f"CREATE TABLE part AS SELECT filename, {casts} "
                    "FROM read_parquet(?, filename = true)",
                    [literal(files)],
                )
                if not connection.execute(faults("part")).fetchall():
                    rows = "SELECT * EXCLUDE (filename) FROM part"
                    copy(connection, f"{rows} ORDER BY run_id, level, layer_index", part)
                    return runs
            except duckdb.Error as error:
                failure = str(error)
        if not left_out.search(files, failure):
            raise StoreError(f"{part.parent.parent}: {failure.splitlines()[0]}: nothing is lost")
        runs = {
            run_id: run
            for run_id, run in runs.items()
            if not any(left_out.knows(path) for path in run.records.values())
        }
    return runs


def gathered(folder: Path, able: Sequence[Part], joined: Sequence[Part], size: int) -> list[Part]:
    """Choose the older parts to merge in, so that their number grows as the logarithm of rows.

    Parameters
    ----------
    folder : Path
        Where the parts lie.
    able : sequence of Part
        Those that may be merged into others.
    joined : sequence of Part
        Those among them that are to be.
    size : int
        Bytes of what is new.
    """
    chosen, sizes = [*joined], {part.name: (folder / part.file).stat().st_size for part in able}
    size += sum(sizes[part.name] for part in chosen)
    for part in sorted(able, key=lambda part: sizes[part.name]):
        if part in chosen:
            continue
        if not size or sizes[part.name] > _MERGE_BELOW * size:
            break
        size += sizes[part.name]
        chosen.append(part)
    return chosen


def unfinished(manifest: Manifest, name: str) -> Path:
    """Return where a file is written that is to get this name."""
    return manifest.folder / f".{name}{UNFINISHED}"


def copy(
    connection: duckdb.DuckDBPyConnection, select: str, target: Path, part: Part | None = None
) -> None:
    """Write a query to a Parquet file, down to the disk; a part with what it says of itself."""
    says = json.dumps(part.to_json()) if part else ""
    connection.execute("SET VARIABLE says = ?", [says])
    connection.execute(
        f"COPY ({select}) TO {quote(str(target))} (FORMAT parquet, COMPRESSION zstd, "
        f"ROW_GROUP_SIZE {_ROW_GROUP}, "
        f"KV_METADATA {{{parts.KEY}: getvariable('says'), {sums.KEY}: '{sums.FOOTER_PLACE}'}})"
    )
    sums.seal_file(target)
