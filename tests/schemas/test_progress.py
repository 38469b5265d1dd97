"""A bar on one line: in a terminal it leaves nothing, in a notebook its end."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rgtool.runner.event import Event
from rgtool.runner.plan import Plan, plan
from rgtool.runner.progress import Stop, show_progress
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


# An experiment at work.


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    """Two seeds of two levels, two epochs each."""
    return plan("lenet", "digits", "quick", seeds=2, levels=1, epochs=2, store=tmp_path / "s")


def test_all_levels_of_all_seeds_are_one_bar(made: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(progress._EVERY, "notebook", 0.0)
    stream = notebook(monkeypatch)
    with show_progress(made) as (on_event, tell):
        assert "0.0/4 levels" in stream.getvalue() and "lenet" in stream.getvalue()
        for event, counts in (
            (Event(kind="epoch", seed=0, epoch=1, accuracy=0.5, density=1.0), "0.5/4"),
            (Event(kind="epoch", seed=1, epoch=1, accuracy=0.5, density=1.0), "1.0/4"),
            (Event(kind="epoch", seed=0, epoch=2, accuracy=0.5, density=1.0), "1.5/4"),
            (Event(kind="level", seed=0, accuracy=0.75, density=1.0), "1.5/4"),
            (Event(kind="epoch", seed=0, level=1, epoch=1, density=0.8), "2.0/4"),
            (Event(kind="level", seed=1, accuracy=0.125, density=1.0), "2.5/4"),
        ):
            on_event(event)
            last = screen(stream.getvalue())[-1]
            assert f"  {counts} levels" in last
            assert f"seed {event.seed} level {event.level}: " in last
        assert last.endswith("accuracy 0.1250, density 1.0000")
        on_event(Event(kind="failed", seed=1, message="why"))
        on_event(Event(kind="done", seed=0))
        tell("a note")
    assert screen(stream.getvalue())[:2] == ["seed 1: why", "a note"]


def test_where_nobody_watches_others_get_events_and_lines(made: Plan) -> None:
    events: list[Event] = []
    lines: list[str] = []
    with show_progress(made, events.append, lines.append) as (on_event, tell):
        on_event(Event(kind="done", seed=0))
        tell("a note")
    assert (events, lines) == ([Event(kind="done", seed=0)], ["a note"])


def test_a_bar_that_is_not_wanted_is_none(made: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = notebook(monkeypatch)
    with show_progress(made, wanted=False) as (on_event, tell):
        on_event(Event(kind="failed", seed=0, message="why"))
        tell("a note")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_ends(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    said: list[str] = []
    with Stop(said.append) as stop:
        assert not stop()
        stop.pass_on()
        signal.raise_signal(number)
        assert said == []  # a handler may not write
        assert stop() and stop() and len(said) == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_that_was_obeyed_is_passed_on() -> None:
    with Stop(print) as stop:
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        stop.pass_on()


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    found = []

    def work() -> None:
        with Stop(print) as stop:
            found.append((stop(), signal.getsignal(signal.SIGINT)))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(False, before)]
