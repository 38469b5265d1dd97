"""Files that are no records: found, remembered, left out of every query.

One broken Parquet file makes a query over all of them fail. Checking every file before every
query would cost more than the query; so queries run optimistically, the search starts when one
has failed, and what it finds is remembered in the store by name, size and time of change.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..schemas import record, views
from ..schemas.errors import RecordError
from ..schemas.files import write_atomic
from ..schemas.layout import RunFolder

if TYPE_CHECKING:
    import duckdb

MEMORY = ".left_out.json"
_CHUNK = 512  # files a query while searching: large enough to be quick, small enough to bisect


@dataclass(frozen=True)
class Problem:
    """A file that is left out, and why.

    Attributes
    ----------
    path : str
        The file.
    reason : str
        One line.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class LeftOut:
    """The files of a store that are left out.

    Parameters
    ----------
    store : Path
        The store; records found broken are remembered there, or only in this object where the
        store cannot be written.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._stamps: dict[str, list[int]] = {}
        self._reasons: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            for name, (*stamp, reason) in json.loads((store / MEMORY).read_bytes()).items():
                self._stamps[str(store / name)] = stamp
                self._reasons[str(store / name)] = reason
        self._seen: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was left out so far, in order of the paths."""
        return tuple(Problem(path, reason) for path, reason in sorted(self._seen.items()))

    def note(self, path: Path, reason: str) -> None:
        """Name a file that is left out this time."""
        self._seen[str(path)] = reason

    def knows(self, path: str) -> bool:
        """Tell whether a record is known to be broken, and name it if so."""
        stamp, reason = self._stamps.get(path), self._reasons.get(path)
        if stamp is None or reason is None:
            return False
        if _stamp(path) != stamp:  # repaired or gone: worth another try
            for known in (self._stamps, self._reasons, self._seen):
                known.pop(path, None)
            return False
        self._seen[path] = reason
        return True

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
            return self._search(files, error)

    def _search(self, files: Sequence[str], error: str) -> bool:
        named = set(re.findall(r"[\"'](/[^\"']+\.parquet)[\"']", error)).intersection(files)
        found = dict(_check_each(sorted(named)))
        if not found:
            found = dict(_check_all(files))
        for path, reason in found.items():
            self._reasons[path], self._stamps[path] = reason, _stamp(path)
        if found:
            self._remember()
        return bool(found)

    def _remember(self) -> None:
        values = {
            str(Path(path).relative_to(self._store)): [*stamp, self._reasons[path]]
            for path, stamp in sorted(self._stamps.items())
        }
        with contextlib.suppress(OSError):  # a store that cannot be written is remembered in memory
            write_atomic(self._store / MEMORY, (json.dumps(values, indent=1) + "\n").encode())


def _stamp(path: str) -> list[int]:
    try:
        status = Path(path).stat()
    except OSError:
        return [-1, -1]
    return [status.st_size, status.st_mtime_ns]


def _check_each(files: Sequence[str]) -> Iterator[tuple[str, str]]:
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
        yield from _check_each(files)
        return
    if not _sound(connection, files):
        middle = len(files) // 2
        yield from _bisect(connection, files[:middle])
        yield from _bisect(connection, files[middle:])


def _sound(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> bool:
    import duckdb

    try:
        flagged = connection.execute(
            f"SELECT count(*) FROM ({faults('read_parquet(?, filename = true)')})", [list(files)]
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
        OR NOT bool_and(kept BETWEEN 0 AND total AND (kept <= kept_prev) IS NOT FALSE)
        OR any_value(network_total) <> sum(total) OR any_value(network_kept) <> sum(kept)
        OR any_value(network_kept_prev) IS DISTINCT FROM sum(kept_prev)
        OR NOT bool_and({in_place("filename", "file")})"""


def in_place(filename: str, file: str) -> str:
    """Return SQL that is true where a record of the relation `file` lies where it belongs."""
    place = f"'/' || {file}.run_id || '/records/' || printf('%04d', {file}.level) || '.parquet'"
    return f"ends_with({filename}, {place})"
