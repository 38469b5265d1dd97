"""What the folder of a run tells of who is at work in it, by reading alone.

Where locks reach, they tell. On a disk that other machines share they may not: then a process that
has signed the lock file, and has not let go of it, is held to be at work for as long as the run
shows signs of life. A run at work saves its state every half minute.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from dataclasses import dataclass
from pathlib import Path

from ...schemas.files import open_file
from ...schemas.lock import Holder, holder, signed
from ...schemas.records.epochs import FILE, Epoch
from ...schemas.records.layout import RunFolder

ALIVE = 300.0  # seconds since the last sign of life of a run that another machine may be at work on
_TAIL = 1 << 16  # bytes of the file of epochs that are read: some hundred epochs
# What changes while a run is at work. A folder changes whenever a file gets its name there.
_CHANGING = ("", "lock", "run.json", FILE, "checkpoint.safetensors", "records", "masks", "weights")


@dataclass(frozen=True)
class Signs:
    """What the folder of a run tells of who is at work.

    Attributes
    ----------
    holder : Holder or None
        The process that is at work; None where none is.
    is_locked : bool
        Whether its lock says so, which is certain; else signs of life do.
    epochs : tuple of Epoch
        The last ones that were written, of one level, in their order.
    seen : datetime or None
        When it gave its last sign of life, UTC, without zone.
    """

    holder: Holder | None
    is_locked: bool
    epochs: tuple[Epoch, ...]
    seen: dt.datetime | None

    @classmethod
    def of(cls, folder: RunFolder) -> Signs:
        """Read the folder of a run; one that is gone tells nothing."""
        lock = folder.path / "lock"
        held = holder(lock)
        last = _changed(folder.path)
        who = held or _seen_elsewhere(lock, last)
        seen = None if last is None else dt.datetime.fromtimestamp(last, dt.UTC)
        return cls(
            who,
            held is not None,
            _last_epochs(folder.epochs, folder.path.name),
            None if seen is None else seen.replace(tzinfo=None, microsecond=0),
        )


def _seen_elsewhere(lock: Path, last: float | None) -> Holder | None:
    """Return who signed a lock on another machine, where the run has lived of late."""
    if last is None or time.time() - last > ALIVE:
        return None
    who = signed(lock)
    return None if who is None or who.is_here else who


def _changed(folder: Path) -> float | None:
    """Return when anything in the folder of a run was changed last."""
    times = []
    for name in _CHANGING:
        try:
            times.append(os.stat(folder / name).st_mtime)  # noqa: PTH116 (the quicker one)
        except OSError:
            continue
    return max(times, default=None)


def _last_epochs(path: Path, run_id: str) -> tuple[Epoch, ...]:
    """Read the last epochs of one level; a torn line, or one of another run, is passed over."""
    try:
        with open_file(path) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            lines = file.read(_TAIL).splitlines()
    except OSError:
        return ()
    found = [one for one in map(Epoch.parse, lines) if one is not None and one.run_id == run_id]
    return tuple(one for one in found if one.level == found[-1].level)
