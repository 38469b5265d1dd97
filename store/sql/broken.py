"""Files that are no records: found, remembered, left out of every query.

One broken Parquet file makes a query over all of them fail. A file whose bytes have changed is
found when it is new to the store, see `trust`. Holding every record to the schema before every
query would cost more than the query; so queries run optimistically, the search starts when one has
failed, and what it finds is remembered in the store by name, size, times and inode.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb

from ...schemas import sums
from ...schemas.display import Shown, Table
from ...schemas.errors import RecordError
from ...schemas.files import read_file, write_atomic
from ...schemas.records import record, views
from ...schemas.records.layout import RunFolder
from ...schemas.records.manifest import Manifest, loss, some
from ...schemas.records.parts import Part
from . import doubles
from .relations import literal
from .trust import Stamp, Trust, rot

MEMORY = ".left_out.json"
_DIFFERS = "differs from the compacted record of this run and level, which counts"
_SUMMED = "the counts of blocks and stages are summed from the records"
_REBUILT = "it was made again from the parts, nothing is lost; rgtool compact writes it"
_CHUNK = 512  # files a query while searching: large enough to be quick, small enough to bisect


@dataclass(frozen=True)
class Problem:
    """A file that is left out, or was made again, and why.

    Attributes
    ----------
    path : str
        The file.
    reason : str
        One line.
    is_left_out : bool
        False where nothing of the store is missing in an answer.
    """

    path: str
    reason: str
    is_left_out: bool = True

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class Problems(tuple[Problem, ...], Shown):
    """Files that are left out, or were made again, a row each where they are shown."""

    most, whole = 100, "the tuple has all"

    def table(self) -> Table:
        """Return what `rgtool doctor --deep` prints."""
        return Table(("file", "problem"), [(one.path, one.reason) for one in self])


class File(NamedTuple):
    """A file as it was when a folder was listed: path, and size, times and inode."""

    path: str
    stamp: Stamp


class LeftOut:
    """The files of a store that are left out.

    Parameters
    ----------
    store : Path
        The store; files found broken or sound are remembered there, or only in this object where
        the store cannot be written.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._stamps: dict[str, list[int]] = {}
        self._reasons: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            for name, (*stamp, reason) in json.loads(read_file(store / MEMORY)).items():
                self._stamps[str(store / name)] = stamp
                self._reasons[str(store / name)] = reason
        self._seen: dict[str, str] = {}
        self._trust = Trust(store)
        self._lock = threading.RLock()

    @property
    def problems(self) -> Problems:
        """What was left out so far, in order of the paths."""
        return Problems(
            Problem(path, reason, not reason.endswith(_REBUILT))
            for path, reason in sorted(self._seen.items())
        )

    def note(self, path: Path, reason: str) -> None:
        """Name a file that is left out this time."""
        self._seen[str(path)] = reason

    def knows(self, path: str) -> bool:
        """Tell whether a file is known to be broken, and name it if so."""
        stamp, reason = self._stamps.get(path), self._reasons.get(path)
        if stamp is None or reason is None:
            return False
        if _stamp(path) != stamp:  # repaired or gone: worth another try
            for known in (self._stamps, self._reasons, self._seen):
                known.pop(path, None)
            return False
        self._seen[path] = reason
        return True

    def trusted(self, run_id: str, records: Sequence[File]) -> set[str]:
        """Return the paths of a run's records that are sound; each is read when it is new.

        Parameters
        ----------
        run_id : str
            The run.
        records : sequence of File
            Its loose records.
        """
        sound = [file for file in records if not self.knows(file.path)]
        stamps = [file.stamp for file in sound]
        if not sound or self._trust.knows(f"runs/{run_id}", stamps):
            return {file.path for file in sound}
        with self._lock:
            found = {file.path: reason for file in sound if (reason := rot(file.path))}
            self._add(found)
            self._trust.add(f"runs/{run_id}", [f.stamp for f in sound if f.path not in found])
            return {file.path for file in sound if not self.knows(file.path)}

    def sound(self, manifest: Manifest) -> Manifest:
        """Return what can be read of the compacted files; each is read when it is new."""
        broken: list[tuple[Part, str]] = []
        while damaged := self._damaged(manifest):
            without = {*manifest.without, *damaged}
            broken += [(p, damaged[p.file]) for p in manifest.parts if p.file in damaged]
            for name, reason in damaged.items():
                if name.startswith("groups-"):
                    self.note(manifest.folder / name, f"{reason}; {_SUMMED}")
            manifest = Manifest.read(manifest.store, without)
        for part, reason in broken:
            self.note(manifest.folder / part.file, f"{reason}; {_loss(manifest, part)}")
        for path, reason in manifest.notes:
            self.note(path, reason)
        return manifest

    def _damaged(self, manifest: Manifest) -> dict[str, str]:
        found = {}
        for file in manifest.files:
            path = str(file)
            if self.knows(path):
                found[file.name] = self._reasons[path]
                continue
            with contextlib.suppress(FileNotFoundError):  # replaced; the query finds out
                stamp = sums.stamp(file.stat())
                if self._trust.knows(f"compact/{file.name}", [stamp]):
                    continue
                with self._lock:
                    if reason := rot(path):
                        self._add({path: reason})
                        found[file.name] = reason
                    else:
                        self._trust.add(f"compact/{file.name}", [stamp])
        return found

    def compare(self, manifest: Manifest, twice: Sequence[tuple[str, int, File]]) -> None:
        """Name what stands in the store twice and is not the same; it counts once.

        Parameters
        ----------
        manifest : Manifest
            Of the whole store.
        twice : sequence of (run, level, File)
            Loose records of levels that are compacted too.
        """
        parts = [p for p in (*manifest.records, *manifest.idle) if p.kind == "records"]
        stamps = [part.file for part in manifest.records]
        for part in parts:
            name = f"twice {part.file} {stamps}"
            if not part.hidden or self._trust.knows(name, []):
                continue
            with contextlib.suppress(duckdb.Error):  # gone meanwhile: another time
                if reason := doubles.differing_part(manifest, part):
                    self.note(manifest.folder / part.file, reason)
                else:
                    self._trust.add(name, [])
        new = [
            (file.path, run_id, level)
            for run_id, level, file in twice
            if not self.knows(file.path)
            and not self._trust.knows(f"twice runs/{run_id}/{level}", [file.stamp])
        ]
        if new:
            with contextlib.suppress(duckdb.Error):
                self._add(dict.fromkeys(doubles.differing_loose(manifest, new), _DIFFERS))
                for run_id, level, file in twice:
                    if not self.knows(file.path):
                        self._trust.add(f"twice runs/{run_id}/{level}", [file.stamp])
        self._trust.save()

    def is_double(self, run_id: str, level: int, path: str) -> bool:
        """Tell whether a loose record is known to be the same as the compacted one."""
        stamp = sums.stamp(Path(path).stat())
        return self._trust.knows(f"twice runs/{run_id}/{level}", [stamp])

    def name_lost(self, manifest: Manifest, loose: Collection[str]) -> None:
        """Name what the compacted files lack: a description, or the manifest itself."""
        lost = manifest.lost.difference(loose)
        if lost:
            reason = "records of {} compacted runs have no description and are left out: {}"
            self.note(manifest.folder, reason.format(len(lost), some(lost)))
        if manifest.rebuilt and not manifest.runs <= {*loose}:
            self.note(manifest.folder / "manifest.json", f"{manifest.rebuilt}: {_REBUILT}")

    def blame(self, path: Path, reason: str) -> None:
        """Leave out a file that made a query fail, until it changes."""
        with self._lock:
            self._add({str(path): reason})

    def search(self, files: Sequence[str], error: str) -> bool:
        """Look for broken records after a query has failed.

        Parameters
        ----------
        files : sequence of str
            The records that the query read.
        error : str
            Message of the failure; a file that it names is looked at first.

        Returns
        -------
        bool
            Whether any was found; all that were are left out from now on.
        """
        with self._lock:
            named = set(re.findall(r"[\"'](/[^\"']+\.parquet)[\"']", error)).intersection(files)
            found = dict(check_each(sorted(named))) or dict(_check_all(files))
            self._add(found)
            return bool(found)

    def _add(self, found: Mapping[str, str]) -> None:
        """Remember broken files, here and in the store."""
        for path, reason in found.items():
            self._reasons[path], self._stamps[path] = reason, _stamp(path)
        if not found:
            return
        values = {
            str(Path(path).relative_to(self._store)): [*stamp, self._reasons[path]]
            for path, stamp in sorted(self._stamps.items())
        }
        with contextlib.suppress(OSError):  # a store that cannot be written is remembered in memory
            write_atomic(self._store / MEMORY, (json.dumps(values, indent=1) + "\n").encode())


def _loss(manifest: Manifest, part: Part) -> str:
    """Say what is lost with a damaged part, in a manifest that does without it."""
    if part.kind == "descriptions":
        return loss(part, [run_id for run_id in part.runs if run_id not in manifest.runs])
    there = manifest.epoch_levels if part.kind == "epochs" else manifest.levels
    lost = [run for run, levels in part.runs.items() if not {*levels} <= {*there(run)}]
    return loss(part, lost)


def _stamp(path: str) -> list[int]:
    try:
        return [*sums.stamp(Path(path).stat())]
    except OSError:
        return [-1, -1, -1, -1]


def check_each(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Hold records to the schema, one by one: yield the path and the fault of each broken one."""
    for path in files:
        try:
            table = record.read_record(Path(path))
        except RecordError as error:
            if Path(path).exists():
                yield path, str(error).removeprefix(f"{path}: ")
            continue
        run_id, level = table["run_id"][0].as_py(), table["level"][0].as_py()
        if path != str(RunFolder(Path(path).parents[1].with_name(run_id)).record(level)):
            yield path, f"holds level {level} of run {run_id}, which does not belong there"


def _check_all(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    from .connection import connect

    with connect() as connection:
        for start in range(0, len(files), _CHUNK):
            yield from _bisect(connection, files[start : start + _CHUNK])


def _bisect(
    connection: duckdb.DuckDBPyConnection, files: Sequence[str]
) -> Iterator[tuple[str, str]]:
    if len(files) <= 2:
        yield from check_each(files)
        return
    if not _sound(connection, files):
        middle = len(files) // 2
        yield from _bisect(connection, files[:middle])
        yield from _bisect(connection, files[middle:])


def _sound(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> bool:
    try:
        flagged = connection.execute(
            f"SELECT count(*) FROM ({faults('read_parquet(?, filename = true)')})", [literal(files)]
        ).fetchone()
    except duckdb.Error:
        return False
    return flagged == (0,)


def faults(source: str) -> str:
    """Return SQL that names the records of a relation which break the schema.

    It holds files to what `record.validate` demands, many at a time; the words for what it finds
    come from there.

    Parameters
    ----------
    source : str
        A relation with the columns of the record and `filename`.
    """
    casts = ", ".join(f'"{n}"::{type_} AS "{n}"' for n, type_ in views.record_columns().items())
    required = " AND ".join(f'"{c.name}" IS NOT NULL' for c in record.COLUMNS if not c.null)
    # Every column is read, so that one that is missing or unreadable shows.
    differs = " OR ".join(
        f'min("{name}") <> max("{name}") OR count("{name}") NOT IN (0, count(*))'
        for name in ("run_id", *record.columns("level"))
    )
    others = ", ".join(f'count("{name}")' for name in record.columns("layer"))
    return f"""
    SELECT filename, {others} FROM (SELECT filename, {casts} FROM {source}) AS file
    GROUP BY filename
    HAVING NOT bool_and(version <= {record.VERSION} AND {required}) OR {differs}
        OR NOT bool_and(kept BETWEEN 0 AND total)
        OR NOT bool_and((network_kept <= network_kept_prev) IS NOT FALSE)
        OR any_value(network_total) <> sum(total) OR any_value(network_kept) <> sum(kept)
        OR any_value(network_kept_prev) IS DISTINCT FROM sum(kept_prev)
        OR NOT bool_and({in_place("filename", "file")})"""


def in_place(filename: str, file: str) -> str:
    """Return SQL that is true where a record of the relation `file` lies where it belongs."""
    place = f"'/' || {file}.run_id || '/records/' || printf('%04d', {file}.level) || '.parquet'"
    return f"ends_with({filename}, {place})"
