"""`rgtool watch`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.display import Table, cells, numeric
from ...schemas.errors import RgtoolError, printable
from ...schemas.words import counted
from ..options import StoreOption, read_duration
from ..output import bars, print_table, say, warn_of
from ..terminal import is_terminal
from .status import AllOption, SelectionsArgument

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table as Board

    from ...store import Store
    from ...store.catalogue.standing import Standing

_SHARE = 0.1  # of a core, at most: runs train on the others
_SLICE = 0.1  # seconds, after which a pause looks whether Ctrl-C was pressed
_BETWEEN = 2  # characters between two columns
_WIDEST = 48  # characters of a cell
_OTHER_LINES = 4  # of the screen: title, names of the columns, what is hidden, the cursor
# What a narrow terminal goes without, the first one first.
_DISPENSABLE = ("seed", "held by", "density", "images/s", "last sign", "curve", "run", "epoch")


def watch(
    experiments: SelectionsArgument = None,
    every: Annotated[str, typer.Option(help="Pause between two looks: 2s, 1m.")] = "2s",
    all_: AllOption = False,
    store: StoreOption = None,
) -> None:
    """Watch runs while they train: level, epoch, accuracy, time left, and who is at work.

    It reads files alone, on any machine that sees the store. Ctrl-C ends it; runs go on. Into a
    pipe it prints once, as rgtool status does.

    Example: rgtool watch resnet20/cifar10 --every 10s
    """
    from ...store import Store

    seconds = read_duration(every, "--every") or 2.0
    watched = _Watched(Store(store), experiments or (), all_)
    found = watched.look()
    if not is_terminal() or _is_dumb():
        warn_of(watched.store.problems)
        print_table(found.table())
        say("printed once: only a terminal can be written over; rgtool status has other formats")
        return
    with _asked_to_end() as asked:
        _show(watched, found, seconds, asked)


def _is_dumb() -> bool:
    return os.environ.get("TERM") == "dumb"


class _Watched:
    """Runs that are watched: what was in sight once stays there when it is done."""

    def __init__(self, store: Store, selections: Sequence[str], every: bool) -> None:
        self.store, self.selections, self.every = store, selections, every
        self.seen = set[str]()
        self.spent = 0.0  # seconds of computing for the last look
        self.idle_since = ""  # when nothing was at work any more; empty: nothing has been so far

    def look(self) -> Standing:
        """Look how far they are."""
        from ...store.catalogue.standing import standing

        began = time.process_time()
        found = standing(self.store, self.selections, every=self.every, also=self.seen)
        self.spent = time.process_time() - began
        self.seen |= {one.run.run_id for one in found.stands}
        if found.of("at work"):
            self.idle_since = f"nothing is at work any more, since {found.taken_at:%H:%M:%S} UTC"
        return replace(found, bars=bars())


class _Asked:
    """Whether Ctrl-C was pressed; a second one ends what hangs, as on a disk that is gone."""

    def __init__(self) -> None:
        self.is_set = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Hear the signal."""
        if self.is_set:
            raise KeyboardInterrupt
        self.is_set = True

    def pause(self, seconds: float) -> None:
        """Wait, not beyond the moment at which it is pressed."""
        end = time.monotonic() + seconds
        while not self.is_set and (left := end - time.monotonic()) > 0:
            time.sleep(min(_SLICE, left))


@contextmanager
def _asked_to_end() -> Iterator[_Asked]:
    asked = _Asked()
    before = signal.signal(signal.SIGINT, asked.ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _show(watched: _Watched, found: Standing, seconds: float, asked: _Asked) -> None:
    """Draw again and again until Ctrl-C; a look that fails is said, and another one follows."""
    from rich.console import Console
    from rich.live import Live

    console, fault = Console(), ""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(_view(found, _below(watched, found, fault), console), refresh=True)
            asked.pause(max(seconds, watched.spent * (1 / _SHARE - 1)))
            if asked.is_set:
                return
            try:
                found, fault = watched.look(), ""
            except (RgtoolError, OSError) as error:
                fault = f"cannot be read now, and is tried again: {error}"


def _below(watched: _Watched, found: Standing, fault: str) -> list[str]:
    """Say what stands below the runs."""
    lines = [*found.table().notes]
    if left_out := sum(problem.is_left_out for problem in watched.store.problems):
        lines.append(f"{counted(left_out, 'file')} left out: rgtool doctor names them")
    if not found.of("at work"):
        done = found.stands and len(found.of("done")) == len(found.stands)
        so_far = "nothing is at work" if done else "nothing is at work so far"
        lines.append(watched.idle_since or so_far)
    return [*lines, *([fault] if fault else []), "Ctrl-C ends the watch; runs go on"]


def _view(found: Standing, below: Sequence[str], console: Console) -> Group:
    from rich.console import Group
    from rich.text import Text

    table = found.table()
    people, room = table.for_people(), console.height - _OTHER_LINES - len(below)
    hidden = len(people.rows) - max(1, room)
    if hidden > 0:
        below = [f"and {counted(hidden, 'run')} more, for which this window is too low", *below]
    said = (Text(printable(line), no_wrap=True, overflow="ellipsis") for line in below)
    return Group(
        Text(printable(table.title), no_wrap=True, overflow="ellipsis"),
        *_boards(replace(people, rows=people.rows[: max(1, room)]), console.width),
        *said,
    )


def _boards(people: Table, width: int) -> list[Board]:
    """Draw the runs, if there are any, without columns for which there is no room."""
    from rich.table import Table as Board
    from rich.text import Text

    right = numeric(people.columns, people.rows)
    names, *rows = lines = cells(people.columns, people.rows, people.formats)
    widths = [min(_WIDEST, max(map(len, column))) for column in zip(*lines, strict=True)]
    board = Board(box=None, padding=(0, _BETWEEN, 0, 0), pad_edge=False)
    places = _fitting(people.columns, widths, width)
    for i in places:
        board.add_column(
            Text(names[i]),
            justify="right" if right[i] else "left",
            max_width=_WIDEST,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        board.add_row(*(Text(row[i]) for i in places))
    return [board] if rows else []


def _fitting(names: Sequence[str], widths: Sequence[int], room: int) -> list[int]:
    """Return the places of the columns that are shown in a line of so many characters.

    Examples
    --------
    >>> _fitting(["run", "seed", "state"], [9, 4, 7], 22), _fitting(["run", "seed"], [9, 4], 15)
    ([0, 2], [0, 1])
    """
    places = list(range(len(names)))
    for name in _DISPENSABLE:
        if sum(widths[i] + _BETWEEN for i in places) - _BETWEEN <= room:
            break
        if name in names:
            places.remove(names.index(name))
    return places
