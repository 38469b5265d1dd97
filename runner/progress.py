"""An experiment at work, as a person sees it and ends it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType, TracebackType
from typing import Any, Self

from ..schemas.progress import Bar, bar
from .event import Event
from .plan import Plan
from .seeds import OnEvent

Tell = Callable[[str], None]


def ignore(told: object) -> None:
    """Show nothing of an event or a line."""


@contextmanager
def show_progress(
    made: Plan, unseen: OnEvent = ignore, tell: Tell = ignore, *, wanted: bool = True
) -> Iterator[tuple[OnEvent, Tell]]:
    """Show the events of an experiment while it runs, in a terminal and in a notebook.

    Parameters
    ----------
    made : Plan
        The experiment.
    unseen : callable
        Gets the events where neither is there.
    tell : callable
        Gets the lines that are no events where neither is there.
    wanted : bool
        Whether to show anything.

    Yields
    ------
    tuple
        What takes the events, and what takes lines that are no events.
    """
    with bar("levels") if wanted else nullcontext() as shown:
        tell = tell if shown is None else shown.say
        if made.is_finished:
            tell("nothing is to be computed: every level of every seed is recorded")
            yield unseen, tell
        else:
            yield unseen if shown is None else _Levels(made, shown), tell


class _Levels:
    """One bar over all levels of all seeds; epochs move it by fractions of a level."""

    def __init__(self, made: Plan, shown: Bar) -> None:
        self.epochs = made.recipe.whole_epochs
        self.total = max(1, made.remaining())
        self.bar = shown
        self.levels_done = 0
        self.partial: dict[int, float] = {}
        self.bar.show(made.recipe.architecture, 0, self.total)

    def __call__(self, event: Event) -> None:
        if event.kind == "epoch":
            self.partial[event.seed] = event.epoch / self.epochs
            text = (
                f"epoch {event.epoch}/{self.epochs}, density {event.density:.3f}, "
                f"training accuracy {event.accuracy:.3f}"
            )
        elif event.kind == "level":
            self.levels_done += 1
            self.partial[event.seed] = 0.0
            text = event.reached
        else:
            if event.message:
                self.bar.say(f"seed {event.seed}: {event.message}")
            return
        self.bar.show(
            f"seed {event.seed} level {event.level}: {text}",
            self.levels_done + sum(self.partial.values()),
            self.total,
        )


class Stop:
    """Ctrl-C and SIGTERM as a question that the runner asks; a second one ends at once.

    As a context manager it listens; outside the main thread, which alone gets signals, it does not.

    Parameters
    ----------
    tell : callable
        Is told that the experiment stops.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._number = 0
        self._told = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            numbers = (signal.SIGINT, signal.SIGTERM)
            self._before = {number: signal.signal(number, self._ask) for number in numbers}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        """Tell whether to stop."""
        if self._number and not self._told:  # here: a handler may not write, others may be at it
            self._told = True
            self._tell("stopping: saving the state inside the level (again to end at once) ...")
        return self._number != 0

    def pass_on(self) -> None:
        """Give the signal to those whom it would have reached before: it came, and is obeyed."""
        if self._number:
            signal.raise_signal(self._number)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._number:
            raise KeyboardInterrupt
        self._number = number
