"""A bar on one line: in a terminal it leaves nothing, in a notebook its end."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from rgtool.schemas import progress
from rgtool.schemas.progress import Bar, bar, place

posix = pytest.mark.skipif(os.name != "posix", reason="terminals as POSIX has them")


def screen(text: str) -> list[str]:
    """What a reader sees in the end: a carriage return goes back and writes over the line."""
    seen = []
    for line in text.replace("\r\n", "\n").split("\n"):
        cells = ""
        for part in line.split("\r"):
            cells = part + cells[len(part) :]
        seen.append(cells.rstrip())
    return seen


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Make a terminal of 60 columns standard error; gives all that was written to it."""
    master, slave = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setitem(progress._EVERY, "terminal", 0.0)
    os.set_blocking(master, False)

    parts: list[bytes] = []

    def written() -> str:
        while True:
            try:
                parts.append(os.read(master, 65536))
            except BlockingIOError:
                return b"".join(parts).decode()

    with os.fdopen(slave, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        yield written
    os.close(master)


class Notebook(io.StringIO):
    """Standard error of a kernel, as far as it can be told from others."""

    encoding = "UTF-8"


Notebook.__module__ = "ipykernel.iostream"


def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    stream = Notebook()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_nobody_watches_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    assert place() is None
    with bar() as shown:
        assert shown is None
    for other in (None, object()):
        monkeypatch.setattr(sys, "stderr", other)
        assert place() is None


@posix
def test_a_bar_is_one_line_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as written, bar("levels") as shown:
        assert place() == "terminal" and shown is not None
        shown.show("begins \x1b[31m", 0, 8)
        assert screen(written()) == [f"{'░' * 16}  0.0/8 levels  begins \\x1b[31m"]
        shown.show("is in the middle of what it does, and tells of it", 4, 8)
        (line,) = screen(written())
        assert line.startswith(f"{'█' * 8}{'░' * 8}  4.0/8 levels  is in the") and len(line) == 59
        shown.show("short", 6, 8)
        (line,) = screen(written())
        assert line.startswith(f"{'█' * 12}{'░' * 4}  6.0/8 levels, 0:0")
        assert line.endswith(" left  short")
        shown.say("a word\nof two lines")
        shown.show("ends", 8, 8)
        above = "a word\\nof two lines"
        assert screen(written()) == [above, f"{'█' * 16}  8.0/8 levels  ends"]
        shown.show("nobody knows how long")
        assert screen(written()) == [above, "nobody knows how long"]
        shown.close()
        assert screen(written()) == [above, ""]  # it is gone


@posix
def test_a_terminal_that_cannot_go_back_has_no_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with terminal(monkeypatch):
        assert place() == "terminal"
        monkeypatch.setenv("TERM", "dumb")
        assert place() is None


@posix
def test_a_terminal_of_ascii_has_a_bar_of_ascii(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with terminal(monkeypatch) as written:
        sys.stderr.reconfigure(encoding="ascii")  # type: ignore[union-attr]
        Bar("terminal").show("x", 1, 2)
        assert screen(written()) == ["########--------  x"]


@posix
def test_a_terminal_that_is_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        shown = Bar("terminal")
        shown.show("x", 1, 2)
        shown.say("y")
        shown.close()
        with pytest.raises(BrokenPipeError):
            stream.flush()  # what was written is still there
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def test_a_notebook_keeps_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = notebook(monkeypatch)
    assert place() == "notebook"
    with bar("levels") as shown:
        assert shown is not None
        shown.say("a note")
        for done in range(5):
            shown.show(f"level {done}", done, 4)
    seen = screen(stream.getvalue())
    assert seen == ["a note", f"{'█' * 16}  4.0/4 levels in 0:00  level 4", ""]
    assert stream.getvalue().count("level ") < 5  # not every state is drawn


def test_the_time_left_is_told_from_the_first_progress_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, stream = 100.0, notebook(monkeypatch)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    shown = Bar("notebook", "levels")
    now += 60  # processes start, which says nothing of what comes
    shown.show("", 1, 11)
    now += 10
    shown.show("", 2, 11)
    assert "left" not in stream.getvalue().partition("2.0/11")[0]
    assert stream.getvalue().rstrip().endswith("2.0/11 levels, 1:30 left")
    now += 3600
    shown.close()
    assert stream.getvalue().rstrip().endswith("2.0/11 levels in 1:01:10")
