"""Merging finished runs into few large files.

Everything is written first, each part whole under a name of its own; the loose files that it makes
superfluous are removed after the manifest lists it. A process killed on the way leaves parts that
say the same as what they were made from, and unfinished files that the next compaction removes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ...schemas.display import Shown, Table
from ...schemas.errors import StoreError
from ...schemas.files import read_file
from ...schemas.lock import Locked, check_locks, lock
from ...schemas.records import views
from ...schemas.records.description import Description
from ...schemas.records.layout import RunFolder
from ...schemas.records.manifest import FOLDER, Manifest, some
from ...schemas.records.parts import Part
from ..sql.broken import LeftOut
from ..sql.connection import connect
from ..sql.doubles import same
from ..sql.relations import compacted, known_columns, parquet, quote
from ..sql.session import described
from ..sql.snapshot import LooseRun, Snapshot, strict_json, take
from .epochs import drop, has_more, with_epochs
from .removal import sweep
from .staged import UNFINISHED, copy, gathered, stage, unfinished

_LEFT_BY_0_1 = ".part-*.parquet"
_SPILL = ".spill"


@dataclass(frozen=True)
class Compaction(Shown):
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
    dropped : tuple of str
        Removed runs, whose rows are in these files no more.
    """

    runs: int
    records: int
    loose: int
    files: tuple[str, ...]
    dropped: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What went, or why nothing was merged."""
        if self.dropped:
            return (f"rows of removed runs are dropped: {some(self.dropped)}",)
        if self.runs:
            return ()
        why = ": no loose run is finished (one that does not start at level 0 stays loose)"
        return (f"nothing to merge{why if self.loose else ''}",)

    def table(self) -> Table:
        """Return what `rgtool compact` prints."""
        row = (self.runs, self.records, self.loose, list(self.files))
        return Table(("runs", "records", "loose", "files"), [row], notes=self.notes)


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
    folder = store / FOLDER
    if not finished and not folder.exists():
        return Compaction(runs=0, records=0, loose=len(take(store, left_out).loose), files=())
    try:
        check_locks(store)
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
    in_the_way = store / FOLDER / "manifest.json"
    if in_the_way.is_dir():
        raise StoreError(
            f"{in_the_way} is a folder where a file is due: move it away and compact again, the "
            "manifest is made again from the parts and nothing is lost"
        )
    snapshot = take(store, left_out)
    old = snapshot.manifest
    _clean(old)
    sweep(store)
    texts = _compacted_texts(snapshot)
    stuck = _stuck(old)
    changed = {
        run_id: run
        for run_id, run in snapshot.loose.items()
        if run_id in finished
        and run_id not in stuck
        and (run.records or run.text != texts.get(run_id) or has_more(old, run_id, run))
    }
    manifest, merged = old, dict[str, LooseRun]()
    twice = any(part.hidden for part in (*old.records, *old.epochs))
    if changed or not old.is_written or old.void or twice:
        try:
            manifest, merged = _merge(old, changed, texts, left_out)
            if manifest is not old or not old.is_written:
                manifest = manifest.write().less(stuck)
        finally:
            _sweep(old.folder)
        _remove_old(old, manifest)
    for run_id, run in snapshot.loose.items():
        if run.anew and run_id not in stuck:
            _unmark(RunFolder.of(store, run_id), run.anew)
    texts |= {run_id: run.text for run_id, run in merged.items()}
    removed = [
        run_id
        for run_id in snapshot.loose
        if run_id in manifest.runs
        and _remove(manifest, run_id, texts[run_id], merged.get(run_id), left_out)
    ]
    return Compaction(
        runs=len(merged),
        records=sum(len(run.records) for run in merged.values()),
        loose=len(snapshot.loose) - len(removed),
        files=tuple(str(file) for file in manifest.files),
        dropped=tuple(sorted(snapshot.gone - stuck)),
    )


def _clean(manifest: Manifest) -> None:
    """Remove what an earlier compaction replaced, or left behind when it was killed.

    Nothing else: a file that no part replaces, and that no other repeats row by row, may be all
    that there is of a run, whether the manifest lists it or not.
    """
    _sweep(manifest.folder)
    read = {path.name for path in manifest.files}
    parts = (*manifest.records, *manifest.descriptions, *manifest.epochs)
    gone = {f"{part.kind}-{name}.parquet" for part in parts for name in part.replaces}
    repeated = {
        part.file
        for part in manifest.idle
        if part.kind == "epochs" or (part.kind == "records" and same(manifest, part))
    }
    superfluous = {*gone, *repeated} - read
    for name in superfluous & manifest.names:
        (manifest.folder / name).unlink(missing_ok=True)
    left = manifest.names - superfluous
    for name in manifest.names:
        if name.startswith("groups-") and name.replace("groups", "records", 1) not in left:
            (manifest.folder / name).unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove what a compaction has not finished."""
    for path in folder.glob(".*"):
        if path.name == _SPILL:
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix == UNFINISHED or path.match(_LEFT_BY_0_1):
            path.unlink(missing_ok=True)


def _remove_old(old: Manifest, manifest: Manifest) -> None:
    """Remove the parts of rgtool 0.1.0 that went into new ones: their names tell nothing."""
    kept = {(part.kind, part.name) for part in (*manifest.records, *manifest.descriptions)}
    for part in (*old.records, *old.descriptions):
        if part.is_old and (part.kind, part.name) not in kept:
            (old.folder / part.file).unlink(missing_ok=True)
            if part.kind == "records":
                (old.folder / part.groups).unlink(missing_ok=True)


def _stuck(old: Manifest) -> frozenset[str]:
    """Return the runs whose rows in some part do not count and stay in it all the same."""
    if not old.void:
        return frozenset()
    able = {part.file for part in _able(old, old.runs)} if old.descriptions else set[str]()
    parts = (part for part in (*old.records, *old.idle) if part.kind != "epochs")
    return frozenset[str]().union(*(part.void for part in parts if part.file not in able))


def _unmark(folder: RunFolder, mark: str) -> None:
    """Take the mark from a run of which no earlier one is compacted any more."""
    with contextlib.suppress(Locked, OSError), lock(folder.path / "lock", folder.path.name):
        if folder.anew.read_text() == mark:
            folder.anew.unlink()


def _compacted_texts(snapshot: Snapshot) -> dict[str, str]:
    """Return the compacted descriptions of runs that have a loose one too."""
    manifest = snapshot.manifest
    twice = [run_id for run_id in snapshot.loose if run_id in manifest.runs]
    if not twice:
        return {}
    with connect() as connection:
        columns = {"run_id": "VARCHAR", "text": "VARCHAR"}
        parts = compacted(connection, manifest.folder, manifest.descriptions, columns)
        rows = connection.execute(
            f"FROM ({' UNION ALL '.join(parts)}) WHERE list_contains(?, run_id)", [twice]
        ).fetchall()
    return dict(rows)


def _merge(
    old: Manifest,
    changed: Mapping[str, LooseRun],
    texts: Mapping[str, str],
    left_out: LeftOut,
) -> tuple[Manifest, dict[str, LooseRun]]:
    """Write the parts of the next generation; return its manifest and the runs that went in."""
    staged, merged = stage(old.folder, changed, left_out)
    moved = {
        run_id
        for run_id in merged
        if run_id in texts and _repeated(texts[run_id]) != _repeated(merged[run_id].text)
    }
    joined = _joined(old, staged, moved, old.runs.union(merged))
    manifest = old
    with connect() as connection:
        connection.execute(f"SET temp_directory = {quote(str(old.folder / _SPILL))}")
        if merged or len(old.descriptions) > 1 or any(p.is_old or p.void for p in old.descriptions):
            manifest = _with_descriptions(connection, manifest, merged)
        if (staged or joined) and manifest.descriptions:
            manifest = _with_records(connection, manifest, joined, staged, merged)
        manifest = with_epochs(connection, manifest, merged)
    if manifest is not old:
        manifest = dataclasses.replace(manifest, generation=old.generation + 1)
    return manifest, merged


def _repeated(text: str) -> tuple[object, ...]:
    """Return what every row repeats of a run with this description."""
    found = Description.parse(text, "compacted description")
    return found.experiment_id, found.recipe.architecture, found.recipe.task, found.seed


def _joined(
    old: Manifest, staged: Sequence[Path], moved: Collection[str], described: Collection[str]
) -> list[Part]:
    """Choose the older parts to merge in, see `gathered`.

    Besides, those that rgtool 0.1.0 wrote, that repeat others, that hold a run which has moved to
    another experiment, or rows that do not count.
    """
    able = _able(old, described)
    joined = [
        p for p in able if p.is_old or p.hidden or p.void or not p.runs.keys().isdisjoint(moved)
    ]
    size = sum(path.stat().st_size for path in staged)
    return gathered(old.folder, able, joined, size)


def _able(old: Manifest, described: Collection[str]) -> list[Part]:
    """Return the parts that may be merged into others.

    What differs from what others say of the same run stays where it is, and so does what no
    description makes sense of.
    """
    return [
        part
        for part in old.records
        if all(run_id in described for run_id in part.runs) and (not part.hidden or same(old, part))
    ]


def _with_descriptions(
    connection: duckdb.DuckDBPyConnection, old: Manifest, merged: Mapping[str, LooseRun]
) -> Manifest:
    """Write all compacted descriptions, those of the merged runs as they are now, to a new part."""
    runs = dict.fromkeys((*old.runs, *merged), ())
    part = Part.new("descriptions", old.generation + 1, runs, old.descriptions)
    texts = [run.text for run in merged.values()]
    connection.execute("SET VARIABLE runs = ?", [list(merged)])
    connection.execute("SET VARIABLE texts = ?", [texts])
    connection.execute("SET VARIABLE json = ?", [[strict_json(text) for text in texts]])
    columns = {**views.description_columns(), "text": "VARCHAR"}
    before = compacted(connection, old.folder, old.descriptions, columns, views.defaults())
    selects = [f"{select} AND NOT list_contains(getvariable('runs'), run_id)" for select in before]
    if merged:
        selects.append(
            described("unnest(getvariable('json'))", "unnest(getvariable('texts')) AS text")
        )
    target = unfinished(old, part.file)
    copy(connection, f"FROM ({' UNION ALL '.join(selects)}) ORDER BY run_id", target, part)
    target.rename(old.folder / part.file)
    return dataclasses.replace(old, descriptions=(part,))


def _with_records(
    connection: duckdb.DuckDBPyConnection,
    old: Manifest,
    joined: Sequence[Part],
    staged: Sequence[Path],
    merged: Mapping[str, LooseRun],
) -> Manifest:
    """Write records, and their blocks and stages, with what they repeat of their runs.

    The records take their name last: where they are, all that belongs to them is too.
    """
    levels = {run_id: {*run.records} for run_id, run in merged.items() if run.records}
    for one in joined:
        for run_id in one.runs:
            levels.setdefault(run_id, set()).update(one.shown(run_id))
    runs = {run_id: tuple(sorted(found)) for run_id, found in levels.items()}
    part = Part.new("records", old.generation + 1, runs, joined)
    records, groups = unfinished(old, part.file), unfinished(old, part.groups)
    sources = compacted(connection, old.folder, joined, views.record_columns())
    if staged:
        sources.append(known_columns(connection, parquet(staged), views.record_columns()))
    source = " UNION ALL ".join(sources)
    told = parquet([old.folder / one.file for one in old.descriptions])
    repeated = f"SELECT run_id, {', '.join(views.RUN_COLUMNS)} FROM {told}"
    order = "ORDER BY run_id, level, layer_index"
    copy(connection, f"FROM ({source}) JOIN ({repeated}) USING (run_id) {order}", records, part)
    _verify(connection, source, records)
    grouped = views.grouped(parquet([records]))
    copy(connection, f"FROM ({grouped}) ORDER BY grouping, run_id, level, name", groups)
    groups.rename(old.folder / part.groups)
    records.rename(old.folder / part.file)
    kept = [one for one in old.records if one not in joined]
    return dataclasses.replace(old, records=(*kept, part))


def _verify(connection: duckdb.DuckDBPyConnection, source: str, target: Path) -> None:
    """Hold merged records to what they were merged from, before anything depends on them."""
    totals = "SELECT count(*), sum(kept), sum(network_kept), sum(level), sum(layer_index) FROM"
    found = connection.execute(f"{totals} {parquet([target])}").fetchone()
    right = connection.execute(f"{totals} ({source})").fetchone()
    if found != right:
        raise StoreError(
            f"{target}: holds {found} where {right} were written: nothing is lost, check the disk"
        )


def _remove(
    manifest: Manifest, run_id: str, text: str, merged: LooseRun | None, left_out: LeftOut
) -> bool:
    """Remove what is compacted from the folder of a run; False where something stays.

    A record goes if it was merged just now, or says the same as the compacted one.
    """
    folder = RunFolder.of(manifest.store, run_id)
    levels = {*manifest.levels(run_id)}
    try:
        # The runner holds the same lock: a run that is being extended is left alone.
        with lock(folder.path / "lock", f"run {run_id}"):
            if folder.anew.exists():  # what was merged is that of an earlier one by now
                return False
            is_same = read_file(folder.description) == text.encode()
            just = merged.records if merged and is_same else {}
            for level in folder.loose_levels():
                path = str(folder.record(level))
                if level in levels and (level in just or left_out.is_double(run_id, level, path)):
                    folder.record(level).unlink()
            if folder.loose_levels() or not is_same or not drop(manifest, folder):
                return False
            folder.description.unlink()
            return True
    except (Locked, OSError):
        return False
