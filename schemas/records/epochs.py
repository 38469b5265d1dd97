"""The curve of a run inside its levels: a line of JSON an epoch, in a file of the run's folder.

`COLUMNS` is the only place where the columns stand. All of them are measured: they tell how
training went, and belong to no identity, sum or comparison. So whatever is wrong with the file is
passed over: a line that a killed process has torn, one of another run or program. Of two lines of
one level and epoch the last one counts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from ..files import flush_path, read_file, write_atomic
from .record import Column

T = TypeVar("T")
FILE = "epochs.jsonl"
PRETRAINING = -1  # the level of training before the rewind point, which is no level's
# The times that count, of all that ISO 8601 has: those that every parser reads as the same.
TIME = r"\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?"

COLUMNS: tuple[Column, ...] = (
    Column("run_id", "string", "", "key", "The run."),
    Column(
        "level",
        "int32",
        "prunings",
        "key",
        "Prunings applied; -1 is the training up to the rewind point.",
    ),
    Column(
        "epoch",
        "int32",
        "epochs",
        "key",
        "Epochs done of the schedule, at the end of this one; a level that begins at the rewind "
        "point goes on from there.",
    ),
    Column("loss", "float64", "nats", "epoch", "Mean over its training batches.", True, True),
    Column(
        "accuracy",
        "float64",
        "fraction",
        "epoch",
        "On its training batches, as they were trained on.",
        True,
        True,
    ),
    Column("lr", "float64", "", "epoch", "Learning rate of its last step.", True, True),
    Column("images_per_second", "float64", "1/s", "epoch", "Speed of training.", True, True),
    Column("ended_at", "timestamp", "UTC", "epoch", "When it ended.", True, True),
)


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """An epoch of training; its attributes are the columns.

    Attributes
    ----------
    run_id, level, epoch : str, int, int
        Which it is.
    loss, accuracy, lr, images_per_second : float or None
        How it went.
    ended_at : datetime or None
        In UTC.
    """

    run_id: str
    level: int
    epoch: int
    loss: float | None = None
    accuracy: float | None = None
    lr: float | None = None
    images_per_second: float | None = None
    ended_at: datetime | None = None

    def line(self) -> bytes:
        """Return it as it is written."""
        values = dataclasses.asdict(self)
        values |= {name: _number(values[name]) for name in _NUMBERS}
        if self.ended_at is not None:
            values["ended_at"] = self.ended_at.isoformat(timespec="milliseconds")
        return f"{json.dumps(values)}\n".encode()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Epoch:
        """Make one of a row of a table, whose times have no zone."""
        return cls(**{**row, "ended_at": _in_utc(row["ended_at"])})

    @classmethod
    def parse(cls, line: bytes) -> Epoch | None:
        """Read a line; None where it is torn or something else."""
        try:
            # Of a key that is there twice the first counts, as it does in SQL.
            values = json.loads(
                line.decode(), object_pairs_hook=lambda pairs: dict(reversed(pairs))
            )
            numbers = {name: _number(values.get(name)) for name in _NUMBERS}
            return cls(
                run_id=_held(values["run_id"], str),
                level=_counted(values["level"], PRETRAINING),
                epoch=_counted(values["epoch"], 1),
                ended_at=_time(values.get("ended_at")),
                **numbers,
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None  # RecursionError: brackets within brackets


NAMES = tuple(c.name for c in COLUMNS)
_NUMBERS = [c.name for c in COLUMNS if c.type == "float64"]
_MOST = 2**31 - 1  # of a column of int32


def _held(value: Any, kind: type[T]) -> T:
    if type(value) is not kind:
        raise TypeError
    return value


def _counted(value: Any, least: int) -> int:
    """Return a whole number that a column holds; ValueError for any other."""
    if not least <= _held(value, int) <= _MOST:
        raise ValueError
    return int(value)


def _number(value: Any) -> float | None:
    """Return a number; nothing for what is none, or not finite, which no other parser reads."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # JSON has whole numbers of any length
        return None
    return number if math.isfinite(number) else None


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str) or not re.fullmatch(TIME, value, re.ASCII):
        return None
    try:
        return _in_utc(datetime.fromisoformat(value))
    except (ValueError, OverflowError):  # the last: beyond the calendar in UTC
        return None


def _in_utc(time: datetime | None) -> datetime | None:
    if time is None:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def read_epochs(path: Path, run_id: str) -> list[Epoch]:
    """Read the epochs of a run, in the order of the file; there need be no file.

    Of one that is there twice the last line counts.

    Parameters
    ----------
    path : Path
        `RunFolder.epochs`.
    run_id : str
        The run: lines of others are passed over.
    """
    return list({(epoch.level, epoch.epoch): epoch for _, epoch in _lines(path, run_id)}.values())


def write_epochs(path: Path, epochs: Iterable[Epoch], *, flush: bool = True) -> None:
    """Write the epochs of a run; none make no file.

    Raises
    ------
    OSError
        The disk is full or the folder is not writable.
    """
    if data := b"".join(epoch.line() for epoch in epochs):
        write_atomic(path, data, flush=flush)


def by_level(epochs: Iterable[Epoch]) -> dict[int, list[Epoch]]:
    """Return epochs by their level."""
    found: dict[int, list[Epoch]] = {}
    for epoch in epochs:
        found.setdefault(epoch.level, []).append(epoch)
    return found


def joined(ours: Iterable[Epoch], theirs: Iterable[Epoch]) -> list[Epoch]:
    """Return the epochs of two holdings of a run, level by level: of each the longer curve's."""
    one, other = by_level(ours), by_level(theirs)
    levels = sorted(one.keys() | other.keys())
    chosen = (max(one.get(n, []), other.get(n, []), key=len) for n in levels)
    return [epoch for curve in chosen for epoch in curve]


def _lines(path: Path, run_id: str) -> Iterator[tuple[bytes, Epoch]]:
    for line in _bytes(path).splitlines(keepends=True):
        epoch = Epoch.parse(line)
        if epoch is not None and epoch.run_id == run_id:
            yield line, epoch


def _bytes(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError:
        return b""


class EpochLog:
    """The file of a run at work, which holds every epoch once.

    Nothing that goes wrong here is raised: a run goes on without its curve.

    Parameters
    ----------
    path : Path
        `RunFolder.epochs`; who writes it holds the lock of the run.
    run_id : str
        The run.
    """

    def __init__(self, path: Path, run_id: str) -> None:
        self.path, self.run_id = path, run_id
        self._at = (PRETRAINING, 0)  # level and epoch that come before the next
        self._is_torn = self._is_stale = False

    def enter(self, level: int, done: int) -> None:
        """Enter a level after some epochs: what is written of it beyond them is written anew.

        Parameters
        ----------
        level : int
            The level.
        done : int
            Epochs that will not be trained again.
        """
        self._at = (level, done)
        before = _bytes(self.path)
        kept = b"".join(
            line.rstrip() + b"\n"
            for line, epoch in _lines(self.path, self.run_id)
            if epoch.level != level or epoch.epoch <= done
        )
        self._is_torn = False
        # Nothing is appended to what is no file: a pipe would be waited for.
        self._is_stale = self.path.exists() and not self.path.is_file()
        if self._is_stale or kept == before:
            return
        try:
            write_atomic(self.path, kept)
        except OSError:
            self._is_stale = True  # what is there of this level stays, and is not written twice

    def add(self, epoch: Epoch) -> None:
        """Write an epoch that has ended; one that is trained again takes the place of the first."""
        if (epoch.level, epoch.epoch) <= self._at or epoch.level != self._at[0]:
            self.enter(epoch.level, epoch.epoch - 1)
        self._at = (epoch.level, epoch.epoch)
        if self._is_stale:
            return
        line = (b"\n" if self._is_torn else b"") + epoch.line()
        try:
            with self.path.open("ab", buffering=0) as file:
                self._is_torn = file.write(line) != len(line)
        except OSError:
            self._is_torn = True

    def flush(self) -> None:
        """Bring what is written to the disk."""
        with contextlib.suppress(OSError):
            flush_path(self.path)
