"""Completing the runs that a study needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from ..runner.event import Event
from ..runner.experiment import Outcome, execute
from ..runner.plan import Plan
from ..schemas.errors import RgtoolError

Watching = tuple[Callable[[Event], None], Callable[[], bool]]  # hears events, says when to stop
Watch = Callable[[Plan], AbstractContextManager[Watching]]  # for as long as a plan is computed


class Unfinished(RgtoolError):
    """Runs were stopped or failed: the same command goes on where they were."""

    exit_code = 3


@contextmanager
def unwatched(made: Plan) -> Iterator[Watching]:
    """Hear nothing of a plan and never stop it."""
    yield lambda event: None, lambda: False


def complete(made: Plan, watch: Watch = unwatched) -> Outcome:
    """Compute what is missing of a plan.

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
        Seeds failed or were stopped; doing the same again goes on where they were.
    """
    with watch(made) as (on_event, should_stop):
        outcome = execute(made, on_event=on_event, should_stop=should_stop)
    if left := outcome.seeds("failed", "stopped"):
        seeds = ", ".join(map(str, left))
        raise Unfinished(
            f"{made.recipe.architecture}/{made.recipe.task}: not finished (seeds {seeds}); "
            "the same command goes on where it was"
        )
    return outcome
