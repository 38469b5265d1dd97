"""How far something is, on one line that is written over itself: in a terminal or a notebook."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TextIO

from .errors import printable

Place = Literal["terminal", "notebook"]
_EVERY = {"terminal": 0.1, "notebook": 0.5}  # seconds: every line of a notebook is kept in its file
_NOTEBOOK_WIDTH = 120  # characters
_LENGTH = 16  # of the bar


def place() -> Place | None:
    """Tell where a person watches standard error; None where it goes to a file or a pipe."""
    stream = sys.stderr
    if stream is None:
        return None
    if type(stream).__module__.partition(".")[0] == "ipykernel":
        return "notebook"
    is_terminal = getattr(stream, "isatty", bool)()  # what others put there may not know
    return "terminal" if is_terminal and os.environ.get("TERM") != "dumb" else None


class Bar:
    """A bar with what is done, what is left and a text.

    Parameters
    ----------
    where : str
        As `place` tells it. At its end a bar vanishes from a terminal and stays in a notebook.
    unit : str
        What is counted, in the plural; empty: the numbers are not shown.
    """

    def __init__(self, where: Place, unit: str = "") -> None:
        self.where, self.unit = where, unit
        self._stream: TextIO = sys.stderr
        self._began = time.monotonic()
        self._first: tuple[float, float] | None = None  # when anything was done first, and how much
        self._drawn_at = float("-inf")
        self._state = (0.0, 0.0, "")
        self._written = 0  # characters that the next line must cover

    def show(self, text: str, done: float = 0.0, total: float = 0.0) -> None:
        """Tell how far it is; `total` 0: nobody knows.

        It is not drawn more often than eyes can follow.
        """
        self._state = (done, total, printable(text))
        now = time.monotonic()
        if done and self._first is None:
            self._first = now, done
        if now - self._drawn_at >= _EVERY[self.where]:
            self._drawn_at = now
            self._draw(self._left())

    def say(self, text: str) -> None:
        """Write a line that stays, above the bar."""
        self._cover()
        self._write(f"{printable(text)}\n")
        self._drawn_at = float("-inf")

    def close(self) -> None:
        """Take the bar from a terminal; leave its last state in a notebook."""
        if self.where == "notebook" and self._state[1]:
            self._draw(f" in {_clock(time.monotonic() - self._began)}")
            self._write("\n")
        else:
            self._cover()

    def _left(self) -> str:
        """Write the time that is left: what came before the first progress was preparation."""
        done, total, _ = self._state
        if self._first is None or not self._first[1] < done < total:
            return ""
        since, before = self._first
        return f", {_clock((time.monotonic() - since) / (done - before) * (total - done))} left"

    def _draw(self, time_: str) -> None:
        done, total, text = self._state
        parts = [text]
        if total:
            counts = f"{done:.1f}/{total:.0f} {self.unit}" if self.unit else ""
            parts = [_drawn(done / total, self._stream), f"{counts}{time_}", text]
        line = "  ".join(part for part in parts if part)[: self._width()]
        self._write(f"\r{line}{' ' * (self._written - len(line))}")
        self._written = len(line)

    def _cover(self) -> None:
        if self._written:
            self._write(f"\r{' ' * self._written}\r")
            self._written = 0

    def _width(self) -> int:
        if self.where == "notebook":
            return _NOTEBOOK_WIDTH
        return shutil.get_terminal_size().columns - 1

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more: nothing is lost
            self._stream.write(text)
            self._stream.flush()


@contextmanager
def bar(unit: str = "") -> Iterator[Bar | None]:
    """Show a bar for as long as something takes; None where nobody watches."""
    where = place()
    if where is None:
        yield None
        return
    shown = Bar(where, unit)
    try:
        yield shown
    finally:
        shown.close()


def _drawn(share: float, stream: TextIO) -> str:
    full, empty = "█", "░"
    try:
        (full + empty).encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        full, empty = "#", "-"
    length = round(_LENGTH * min(max(share, 0.0), 1.0))
    return full * length + empty * (_LENGTH - length)


def _clock(seconds: float) -> str:
    """Write a duration as `0:42` or `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
