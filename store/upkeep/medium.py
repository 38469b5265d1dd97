"""What the file system under a store can do, tried out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...schemas.files import flush_path, write_atomic
from ...schemas.lock import Locked, NoLocks, lock
from ...schemas.sums import stamp


@dataclass(frozen=True)
class Trial:
    """One thing that a store needs of its file system.

    Attributes
    ----------
    what, found : str
        The thing, and what came of it in words.
    works : bool
        Whether it does what it should.
    """

    what: str
    found: str
    works: bool


def try_out(store: Path) -> tuple[Trial, ...]:
    """Try locks, renaming and flushing where the store is, or will be; nothing stays behind.

    Parameters
    ----------
    store : Path
        The store; where it does not exist yet, its nearest parent is tried.
    """
    folder = next(path for path in (store, *store.parents) if path.is_dir())
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=folder) as name:
            return tuple(_trial(what, trial, Path(name)) for what, trial in _TRIALS.items())
    except OSError as error:
        found = f"cannot be written ({error.strerror}): it can be read, nothing more"
        return (Trial("writing", found, False),)


def _trial(what: str, trial: Callable[[Path], str], folder: Path) -> Trial:
    try:
        fault = trial(folder)
    except OSError as error:
        fault = f"fails ({error.strerror})"
    except NoLocks:
        fault = "are missing: what is here can be read, and neither run, import nor compact writes"
    return Trial(what, fault or "works", not fault)


def _locks(folder: Path) -> str:
    with lock(folder / "lock", "the trial"):
        try:
            with lock(folder / "lock", "the trial"):
                return "do not keep others out: let one process at a time work on this store"
        except Locked:
            return ""


def _rename(folder: Path) -> str:
    path = folder / "renamed"
    for text in (b"old", b"new"):
        write_atomic(path, text, flush=False)
    left = sorted(entry.name for entry in folder.iterdir() if entry.name != "lock")
    return "" if (path.read_bytes(), left) == (b"new", ["renamed"]) else "does not replace a file"


def _fsync(folder: Path) -> str:
    write_atomic(folder / "renamed", b"flushed")
    if flush_path(folder):
        return ""
    return "works for files alone: a power cut may lose the newest ones whole, it tears none"


def _changes(folder: Path) -> str:
    """Change a file as a restored copy is: same size, same time of its data."""
    path = folder / "changed"
    path.write_bytes(b"a")
    before = path.stat()
    write_atomic(path, b"b", flush=False)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    if stamp(path.stat()) == stamp(before):
        return "are not seen where size and time stay: rgtool doctor --deep reads every file"
    return ""


_TRIALS: dict[str, Callable[[Path], str]] = {
    "locks": _locks,
    "rename": _rename,
    "fsync of files and folders": _fsync,
    "changes of files": _changes,
}
