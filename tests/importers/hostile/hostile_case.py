"""What a hostile case is, and the ways to show that one does harm."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hostile_victim import DEADLINE, Outcome, ask

Write = Callable[[Path, Path], None]
Fires = Callable[[Path, Path], bool]
EVERY_LEVEL = frozenset(range(4))


@dataclass(frozen=True)
class Case:
    """A folder that looks like somebody's run and is not.

    Attributes
    ----------
    id, mechanism : str
        Unique name; what makes it hostile.
    layout : str
        The format whose run it poses as.
    write : callable
        `write(folder, marker)` lays it under `folder`; a payload that runs creates `marker`.
    fires : callable
        `fires(folder, marker)`: whether a loader without guards comes to harm.
    culprit : str
        Name of the file that a message must name; empty where the name itself is hostile.
    executes : bool
        Whether it runs code.
    may_import : bool
        Whether the rest of the run is sound, so that an importer may take it.
    sound_levels : frozenset of int
        The levels that may be taken then.
    """

    id: str
    mechanism: str
    layout: str
    write: Write
    fires: Fires
    culprit: str
    executes: bool = False
    may_import: bool = False
    sound_levels: frozenset[int] = frozenset()


def reading(
    loader: str, place: str, harm: Callable[[Outcome], bool], deadline: float = DEADLINE
) -> Fires:
    """Show harm by what the naive `loader` makes of the file at `place`."""
    return lambda folder, marker: harm(ask(loader, folder / place, deadline=deadline))


def executing(loader: str, place: str) -> Fires:
    """Show that the naive `loader` creates the marker."""

    def fires(folder: Path, marker: Path) -> bool:
        ask(loader, folder / place)
        # A payload may leave the work to a process of its own.
        end = time.monotonic() + 3
        while not marker.exists() and time.monotonic() < end:
            time.sleep(0.01)
        return marker.exists()

    return fires


def crashed(outcome: Outcome) -> bool:
    return outcome.crashed


def exhausted(outcome: Outcome) -> bool:
    return outcome.exhausted


def hung(outcome: Outcome) -> bool:
    return outcome.timed_out


def wrong(outcome: Outcome) -> bool:
    """A number that cannot be was read, and nobody said so."""
    return bool(outcome.result.get("wrong"))


def miscounted(outcome: Outcome) -> bool:
    """The sum of a mask is not the number of weights it keeps, or there was none at all."""
    result = outcome.result
    return crashed(outcome) or float(result["sum"]) != result["ones"] or result["others"] > 0


def counted(number: int) -> Callable[[Outcome], bool]:
    """Ones were counted that the sound run does not have."""
    return lambda outcome: not outcome.crashed and outcome.result["ones"] != number


def any_of(*harms: Callable[[Outcome], bool]) -> Callable[[Outcome], bool]:
    return lambda outcome: any(harm(outcome) for harm in harms)


def without(level: int) -> frozenset[int]:
    """The levels that are left when one counts as missing."""
    return EVERY_LEVEL - {level}
