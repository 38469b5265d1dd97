"""Progress of an experiment: a bar on a terminal, a line per level elsewhere."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from ..schemas.errors import printable
from .output import say

if TYPE_CHECKING:
    from rich.progress import Progress

    from ..runner.event import Event
    from ..runner.plan import Plan


@contextmanager
def show_progress(made: Plan) -> Iterator[Callable[[Event], None]]:
    """Show the events of an experiment while it runs."""
    if not sys.stderr.isatty():
        yield _print_event
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.1f}/{task.total:.0f} levels"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(made, progress)


def show_draws() -> AbstractContextManager[Callable[[int, int], None] | None]:
    """Show that pairs are tested, and then the draws as they are done; on a terminal alone."""
    return show_count("pairs of experiments", "draws of classes")


@contextmanager
def show_count(before: str, counted: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show what is done of how many, on a terminal alone.

    Parameters
    ----------
    before, counted : str
        What is done before the first is, and what is counted.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(before, total=None)
        yield lambda done, total: progress.update(
            bar, description=counted, completed=done, total=total
        )


class _Bar:
    """One bar over all levels of all seeds; epochs move it by fractions of a level."""

    def __init__(self, made: Plan, progress: Progress) -> None:
        self.epochs = made.recipe.whole_epochs
        self.progress = progress
        self.levels_done = 0
        self.partial: dict[int, float] = {}
        self.bar = progress.add_task(made.recipe.architecture, total=max(1, made.remaining()))

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
            text = f"accuracy {event.accuracy:.4f}, density {event.density:.3f}"
        else:
            if event.message:
                self.progress.console.print(
                    printable(f"seed {event.seed}: {event.message}"), markup=False
                )
            return
        self.progress.update(
            self.bar,
            description=f"seed {event.seed} level {event.level}: {text}",
            completed=self.levels_done + sum(self.partial.values()),
        )


def _print_event(event: Event) -> None:
    if event.kind == "level":
        say(
            f"seed {event.seed} level {event.level}: accuracy {event.accuracy:.4f}, "
            f"density {event.density:.4f}"
        )
    elif event.message:
        say(f"seed {event.seed}: {event.message}")


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question that the runner asks; a second one ends at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        say("stopping: saving the state inside the level (again to end at once) ...")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
