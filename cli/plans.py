"""What is said of plans that a study computes, one after the other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from ..schemas.errors import Unfinished
from ..schemas.words import counted
from .output import say, say_event

if TYPE_CHECKING:
    from ..runner.event import Event
    from ..runner.plan import Plan
    from ..studies.agenda import Plans
    from ..studies.complete import Watch, Watching

WORTH_A_PROBE = 3e12  # images x prunable weights: minutes rather than seconds on one core


class _Asked(KeyboardInterrupt):
    """SIGTERM came: no `Exception`, which code that is interrupted may take for one of its own."""


@contextmanager
def heeding_sigterm() -> Iterator[None]:
    """End in words on SIGTERM wherever a study is; while a plan is computed that saves its state.

    Raises
    ------
    Unfinished
        It came.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield
        return
    before = signal.signal(signal.SIGTERM, _ask)
    try:
        yield
    except _Asked:
        raise Unfinished("stopped before all was computed; the same command goes on") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _ask(number: int, frame: FrameType | None) -> NoReturn:
    raise _Asked


def announce(made: Plans) -> None:
    """Say how long plans take where that is minutes."""
    if made.work > WORTH_A_PROBE:
        say(made.table().notes[0])


def watch_plans() -> Watch:
    """Return what tells of every plan that is computed, and what its notes say once."""
    told = set[str]()

    @contextmanager
    def watch(made: Plan) -> Iterator[Watching]:
        from ..runner.progress import Stop, show_progress

        recipe = made.recipe
        what = "own tickets" if recipe.parent is None else f"tickets of {recipe.parent}"
        drawn = "" if recipe.control == "none" else f", control {recipe.control}"
        drawn += f", {recipe.transform}" if recipe.transform else ""
        drawn += f", pruned on from level {recipe.start}" if recipe.start is not None else ""
        left = counted(made.remaining(), "record")
        say(f"{recipe.architecture}/{recipe.task}: {what}{drawn}: {left} to compute")
        for note in made.notes:
            if note not in told:
                told.add(note)
                say(note)
        with show_progress(made, _quiet, say) as (on_event, tell), Stop(tell) as stop:
            yield on_event, stop

    return watch


def _quiet(event: Event) -> None:
    """Tell of what went wrong where no bar shows it; levels are in the table."""
    if event.kind != "level":
        say_event(event)
