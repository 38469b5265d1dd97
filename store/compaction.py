"""Merging finished runs into few large files.

Everything is written first and takes effect in one rename, that of the manifest; what it makes
superfluous is removed afterwards. A process killed on the way leaves files that nobody reads and
that the next compaction removes.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ..schemas import views
from ..schemas.description import Description
from ..schemas.errors import StoreError
from ..schemas.layout import RunFolder
from ..schemas.lock import Locked, lock
from ..schemas.manifest import FOLDER, Manifest
from .broken import LeftOut, faults
from .connection import connect
from .session import described, known_columns, parquet, quote, sql_list
from .snapshot import LooseRun, Snapshot, strict_json, take

_CHUNK = 1000  # files of whole runs that are read and checked together
_ROW_GROUP = 122_880  # rows; DuckDB's own size, a unit of its parallel reading
_MERGE_BELOW = 2.0  # an older file joins if it is smaller than this many times the newer ones


@dataclass(frozen=True)
class Compaction:
    """What a compaction did.

    Attributes
    ----------
    runs : int
        Runs that were merged, or whose description was.
    records : int
        Records that were merged.
    loose : int
        Runs that stay loose: not finished, or with a broken record.
    files : tuple of str
        The files that now hold the compacted runs.
    """

    runs: int
    records: int
    loose: int
    files: tuple[str, ...]


def compact(store: Path, left_out: LeftOut, finished: Collection[str]) -> Compaction:
    """Merge the loose records and descriptions of finished runs.

    Parameters
    ----------
    store : Path
        The store.
    left_out : LeftOut
        Notes broken records; their runs stay loose.
    finished : collection of str
        Ids of the finished runs.

    Raises
    ------
    Locked
        Another compaction of this store is under way.
    StoreError
        The store cannot be written, or the disk is full; the store is as it was.
    """
    if not finished:
        return Compaction(runs=0, records=0, loose=len(take(store, left_out).loose), files=())
    folder = store / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        with lock(folder / "lock", f"the compaction of {store}"):
            return _locked(store, left_out, finished)
    except OSError as error:
        raise StoreError(f"{store} cannot be compacted ({error}): nothing is lost") from None
    except duckdb.Error as error:
        raise StoreError(
            f"{store} cannot be compacted ({str(error).splitlines()[0]}): nothing is lost"
        ) from None


def _locked(store: Path, left_out: LeftOut, finished: Collection[str]) -> Compaction:
    snapshot = take(store, left_out)
    old = snapshot.manifest
    _clean(old)
    texts = _compacted_texts(snapshot)
    changed = {
        run_id: run
        for run_id, run in snapshot.loose.items()
        if run_id in finished
        and snapshot.levels(run_id) == list(range(len(snapshot.levels(run_id))))
        and (run.records or run.text != texts.get(run_id))
    }
    manifest, merged = old, dict[str, LooseRun]()
    if changed:
        try:
            manifest, merged = _merge(old, changed, texts, left_out)
            if merged:
                manifest.write()
        except BaseException:
            # Not `old`: the manifest may have taken effect although its flushing failed.
            _clean(Manifest.read(store))
            raise
    texts |= {run_id: run.text for run_id, run in merged.items()}
    removed = [
        run_id
        for run_id in snapshot.loose
        if run_id in manifest.runs and _remove(manifest, run_id, texts[run_id])
    ]
    return Compaction(
        runs=len(merged),
        records=sum(len(run.records) for run in merged.values()),
        loose=len(snapshot.loose) - len(removed),
        files=tuple(str(file) for file in manifest.files),
    )


def _clean(manifest: Manifest) -> None:
    """Remove what an earlier compaction replaced, or left behind when it was killed."""
    kept = {*manifest.files, manifest.folder / "manifest.json", manifest.folder / "lock"}
    for path in manifest.folder.iterdir():
        if path not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _compacted_texts(snapshot: Snapshot) -> dict[str, str]:
    """Return the compacted descriptions of runs that have a loose one too."""
    file = snapshot.manifest.description_file
    twice = [run_id for run_id in snapshot.loose if run_id in snapshot.manifest.runs]
    if file is None or not twice:
        return {}
    with connect() as connection:
        rows = connection.execute(
            f"SELECT run_id, text FROM read_parquet({sql_list([file])}) "
            "WHERE list_contains(?, run_id)",
            [twice],
        ).fetchall()
    return dict(rows)


def _merge(
    old: Manifest,
    changed: Mapping[str, LooseRun],
    texts: Mapping[str, str],
    left_out: LeftOut,
) -> tuple[Manifest, dict[str, LooseRun]]:
    """Write the files of the next generation; return its manifest and the runs that went in."""
    parts, merged = _stage(old.folder, changed, left_out)
    if not merged:
        return old, merged
    moved = any(
        _repeated(texts[run_id]) != _repeated(merged[run_id].text)
        for run_id in merged
        if run_id in texts
    )
    joined = list(old.parts) if moved else _joined(old, parts)
    manifest = _following(old, merged, joined, bool(parts or joined))
    with connect() as connection:
        connection.execute(f"SET temp_directory = {quote(str(old.folder / '.spill'))}")
        _copy_descriptions(connection, old, merged, manifest)
        if parts or joined:
            dissolved = [file for file in old.record_files if file not in manifest.record_files]
            _copy_counts(connection, [*dissolved, *parts], manifest)
    for part in parts:
        part.unlink()
    return manifest, merged


def _repeated(text: str) -> tuple[object, ...]:
    """Return what every row repeats of a run with this description."""
    found = Description.parse(text, "compacted description")
    return found.experiment_id, found.recipe.architecture, found.recipe.task, found.seed


def _following(
    old: Manifest, merged: Mapping[str, LooseRun], joined: Collection[int], records: bool
) -> Manifest:
    """Return the manifest after a merge, in which the parts `joined` are dissolved."""
    generation = old.generation + 1
    kept = [part for part in old.parts if part not in joined]
    last = {
        run_id: len(old.levels(run_id)) + len(run.records) - 1 for run_id, run in merged.items()
    }
    return dataclasses.replace(
        old,
        generation=generation,
        parts=(*kept, generation) if records else tuple(kept),
        descriptions=generation,
        runs=dict(sorted({**old.runs, **last}.items())),
    )


def _joined(old: Manifest, parts: Sequence[Path]) -> list[int]:
    """Choose the older parts to merge in, so that their number grows as the logarithm of rows."""
    size, joined = sum(part.stat().st_size for part in parts), list[int]()
    for number, file in reversed([*zip(old.parts, old.record_files, strict=True)]):
        if not parts or file.stat().st_size > _MERGE_BELOW * size:
            break
        size += file.stat().st_size
        joined.append(number)
    return joined


def _stage(
    folder: Path, changed: Mapping[str, LooseRun], left_out: LeftOut
) -> tuple[list[Path], dict[str, LooseRun]]:
    """Read and check the loose records, chunk by chunk, into files of whole runs."""

    def stage(numbered: tuple[int, dict[str, LooseRun]]) -> tuple[Path, dict[str, LooseRun]]:
        part = folder / f".part-{numbered[0]:05d}.parquet"
        return part, _stage_chunk(part, numbered[1], left_out)

    # One thread a connection: DuckDB's own threads get in each other's way over small files.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        done = list(pool.map(stage, enumerate(_chunks(changed))))
    merged = {run_id: run for _, runs in done for run_id, run in runs.items()}
    return [part for part, _ in done if part.exists()], merged


def _chunks(changed: Mapping[str, LooseRun]) -> Iterator[dict[str, LooseRun]]:
    chunk: dict[str, LooseRun] = {}
    size = 0
    for run_id, run in changed.items():
        chunk[run_id] = run
        size += len(run.records)
        if size >= _CHUNK:
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
                    [files],
                )
                if not connection.execute(faults("part")).fetchall():
                    rows = "SELECT * EXCLUDE (filename) FROM part"
                    _copy(connection, f"{rows} ORDER BY run_id, level, layer_index", part)
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


def _copy(connection: duckdb.DuckDBPyConnection, select: str, target: Path) -> None:
    """Write a query to a Parquet file, down to the disk."""
    connection.execute(
        f"COPY ({select}) TO {quote(str(target))} "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
    )
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _copy_descriptions(
    connection: duckdb.DuckDBPyConnection,
    old: Manifest,
    merged: Mapping[str, LooseRun],
    manifest: Manifest,
) -> None:
    texts = [run.text for run in merged.values()]
    connection.execute("SET VARIABLE runs = ?", [list(merged)])
    connection.execute("SET VARIABLE texts = ?", [texts])
    connection.execute("SET VARIABLE json = ?", [[strict_json(text) for text in texts]])
    select = described("unnest(getvariable('json'))", "unnest(getvariable('texts')) AS text")
    if old.description_file is not None:
        columns = {**views.description_columns(), "text": "VARCHAR"}
        source = parquet([old.description_file])
        before = known_columns(connection, source, columns, views.defaults())
        select += f" UNION ALL {before} WHERE NOT list_contains(getvariable('runs'), run_id)"
    assert manifest.description_file is not None
    _copy(connection, f"FROM ({select}) ORDER BY run_id", manifest.description_file)


def _copy_counts(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[Path], manifest: Manifest
) -> None:
    """Write records, and their blocks and stages, with what they repeat of their runs."""
    assert manifest.description_file is not None
    records, groups = manifest.record_files[-1], manifest.group_files[-1]
    select = known_columns(connection, parquet(sources), views.record_columns())
    runs = f"SELECT run_id, {', '.join(views.RUN_COLUMNS)} FROM"
    _copy(
        connection,
        f"FROM ({select}) JOIN ({runs} {parquet([manifest.description_file])}) USING (run_id) "
        "ORDER BY run_id, level, layer_index",
        records,
    )
    _verify(connection, sources, records)
    _copy(
        connection,
        f"FROM ({views.grouped(parquet([records]))}) ORDER BY grouping, run_id, level, name",
        groups,
    )


def _verify(connection: duckdb.DuckDBPyConnection, sources: Sequence[Path], target: Path) -> None:
    """Hold merged records to what they were merged from, before anything depends on them."""
    sums = "SELECT count(*), sum(kept), sum(network_kept), sum(level), sum(layer_index) FROM"
    found = connection.execute(f"{sums} read_parquet({sql_list([target])})").fetchone()
    right = connection.execute(f"{sums} read_parquet({sql_list(sources)})").fetchone()
    if found != right:
        raise StoreError(
            f"{target}: holds {found} where {right} were written: nothing is lost, check the disk"
        )


def _remove(manifest: Manifest, run_id: str, text: str) -> bool:
    """Remove what is compacted from the folder of a run; False where something stays."""
    folder = RunFolder.of(manifest.store, run_id)
    try:
        # The runner holds the same lock: a run that is being extended is left alone.
        with lock(folder.path / "lock", f"run {run_id}"):
            for level in folder.loose_levels():
                if level in manifest.levels(run_id):
                    folder.record(level).unlink()
            if folder.loose_levels() or folder.description.read_text("utf-8") != text:
                return False
            folder.description.unlink()
            return True
    except (Locked, OSError):
        return False
