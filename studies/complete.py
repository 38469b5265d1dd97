"""Completing the runs that a study needs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from ..runner.event import Event
from ..runner.experiment import Outcome, execute
from ..runner.plan import Plan
from ..schemas.errors import Unfinished
from ..schemas.lock import holder

Watching = tuple[Callable[[Event], None], Callable[[], bool]]  # hears events, says when to stop
Watch = Callable[[Plan], AbstractContextManager[Watching]]  # for as long as a plan is computed

_PAUSE = 0.2  # seconds between two looks at what other processes are at work on


@contextmanager
def unwatched(made: Plan) -> Iterator[Watching]:
    """Hear nothing of a plan and never stop it."""
    yield lambda event: None, lambda: False


def complete(made: Plan, watch: Watch = unwatched) -> Outcome:
    """Compute what is missing of a plan; seeds that another process computes are waited for.

    What such a process leaves unfinished, stopped or killed, is computed here.

    Parameters
    ----------
    made : Plan
        What to compute.
    watch : callable
        Gets the plan and returns a context manager, entered for as long as it is computed, of two
        functions: one gets every `Event`, the other is asked whether to stop.

    Raises
    ------
    Unfinished
        Seeds failed, or all was to stop; doing the same again goes on where they were.
    """
    with watch(made) as (on_event, should_stop):
        outcome = _with_others(made, on_event, should_stop)
        stopped = should_stop()
    what = f"{made.recipe.architecture}/{made.recipe.task}"
    if made.recipe.transform is not None:  # one of several children, which the rest follow
        what += f", {made.recipe.transform}"
    if left := outcome.seeds("failed", "stopped"):
        seeds = ", ".join(map(str, left))
        raise Unfinished(
            f"{what}: not finished (seeds {seeds}); the same command goes on where it was"
        )
    if stopped:
        raise Unfinished(f"{what}: finished, and stopped there; the same command goes on")
    return outcome


def _with_others(
    made: Plan, on_event: Callable[[Event], None], should_stop: Callable[[], bool]
) -> Outcome:
    """Compute a plan, and once more what was in the hands of others when they let go of it."""
    told = set[int]()

    def hear(event: Event) -> None:
        if not event.elsewhere:
            on_event(event)
        elif event.seed not in told:
            told.add(event.seed)
            text = "at work in another process: waiting"
            on_event(Event(kind="warning", seed=event.seed, message=text))

    ends: dict[int, Event] = {}
    part = made
    while part.seeds:
        ends |= execute(part, on_event=hear, should_stop=should_stop).ends
        left = tuple(seed for seed in part.seeds if ends[seed].elsewhere)
        if left and not _wait(made, left, should_stop):
            ends |= {seed: Event(kind="stopped", seed=seed) for seed in left}
            break
        part = dataclasses.replace(made, seeds=left)
    return Outcome.of(made, {seed: ends[seed] for seed in made.seeds})


def _wait(made: Plan, seeds: Sequence[int], should_stop: Callable[[], bool]) -> bool:
    """Wait until one of the seeds is in nobody's hands; false where all is to stop before."""
    locks = [[part.folder.path / "lock" for part in made.parts(seed)] for seed in seeds]
    while not should_stop() and (made.deadline is None or time.time() < made.deadline):
        time.sleep(_PAUSE)  # first: who holds a run for a moment only need not be asked again
        if any(all(holder(path) is None for path in held) for held in locks):
            return True
    return False
