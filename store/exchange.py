"""The folder of a run takes the place of another: readers meet the one or the other, never both.

Where the system cannot exchange two folders in one step the new one goes to `.corrected/` of the
store. From then on it is the run: whoever asks for the run looks there before looking into `runs/`.
What a process that was killed has left there is moved to its place by the next that writes.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from ..schemas.files import exchange, flush_path
from ..schemas.records.layout import CORRECTED, RUNS, RunFolder

_OLD = ".old-"  # begins the names of folders whose places are taken


def take_place(store: Path, run_id: str, new: Path) -> None:
    """Put a folder in the place of a run's folder; what is compacted of the run counts no more.

    The caller holds the lock of the run.

    Parameters
    ----------
    store : Path
        The store.
    run_id : str
        A run that lies in it.
    new : Path
        The whole run, flushed to the disk, on the same file system; afterwards the old folder lies
        there, or nothing.

    Raises
    ------
    OSError
        The store cannot be written: the run is as it was.
    """
    RunFolder(new).mark_anew()
    if not exchange(new, store / RUNS / run_id):
        waiting = store / CORRECTED
        waiting.mkdir(exist_ok=True)
        new.rename(waiting / run_id)
        flush_path(waiting)
        finish(store)
    flush_path(store / RUNS)


def finish(store: Path) -> None:
    """Move what waits in `.corrected/` to its place in `runs/`; mostly there is nothing."""
    waiting = store / CORRECTED
    if not waiting.is_dir():
        return
    _clear(waiting)
    for new in [path for path in waiting.iterdir() if not path.name.startswith(".")]:
        place = store / RUNS / new.name
        if place.exists():
            place.rename(waiting / f"{_OLD}{new.name}")
        new.rename(place)
    _clear(waiting)
    with contextlib.suppress(OSError):  # whatever else is there stays
        waiting.rmdir()


def _clear(waiting: Path) -> None:
    for old in waiting.glob(f"{_OLD}*"):
        shutil.rmtree(old, ignore_errors=True)
