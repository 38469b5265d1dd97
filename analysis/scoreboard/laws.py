"""What a law says of an outcome: the logarithm of the probability it gave to it, and its interval.

Every outcome is a cell: a level, levels from one on where a run ended before (censored), a number
give or take its resolution, one of two that is better. So scores are logarithms of probabilities,
0 at best, and those of different laws of one outcome compare (Good 1952; proper: no law has a
higher expected score than the true one). A law leaves a share for anything when it is made, the
same for all who are scored; the score adds nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...schemas.errors import UsageError
from ...schemas.records.predictions import Chance, Law, Levels, Student
from ..arrays import Floats
from ..stats.level import CONFIDENCE

LEAST = 0.01  # share of a law that is left for anything
RESOLUTION = 0.01  # of an exponent, and of the logarithm of gamma: the width of an outcome's cell


@dataclass(frozen=True)
class Outcome:
    """What came: between `low` and `high`, both included where they are levels.

    Attributes
    ----------
    low, high : float
        Equal where a level is known; infinite where nothing bounds it. Of two that are compared
        1 where the first is better, 0 where the second is, and 1/2 of a tie.
    """

    low: float
    high: float


def cell(value: float) -> Outcome:
    """Return the cell of a number: as wide as the resolution."""
    return Outcome(value - RESOLUTION / 2, value + RESOLUTION / 2)


def levels_of(draws: Floats, first: int, last: int) -> Levels:
    """Turn draws into probabilities of the levels from `first` to `last`, and of all beyond.

    Parameters
    ----------
    draws : array, any shape
        Levels, whole or not, infinite where it never comes; the nearest whole one counts.
    first, last : int
        The grid. What lies before counts as its first level.

    Raises
    ------
    UsageError
        There are no draws, or one is no number.
    """
    values = np.ravel(draws)
    if not len(values) or np.isnan(values).any():
        raise UsageError("no draws tell a level")
    place = np.clip(np.floor(values + 0.5) - first, 0, last + 1 - first).astype(np.int64)
    share = np.bincount(place, minlength=last - first + 2) / len(values)
    mixed = (1 - LEAST) * share + LEAST / len(share)
    return Levels(first, tuple(np.round(mixed / mixed.sum(), 12).tolist()))


def any_level(first: int, last: int) -> Levels:
    """Return the law that holds every level of a grid, and what lies beyond, for equally likely."""
    number = last - first + 2
    return Levels(first, (1 / number,) * number)


def student_of(location: float, scale: float, df: float) -> Student:
    """Return Student's law, no narrower than the cell of an outcome.

    Raises
    ------
    UsageError
        A number is not finite.
    """
    return Student(float(location), float(max(scale, RESOLUTION)), float(df))


def chance_of(probability: float) -> Chance:
    """Return a chance that leaves a share for the other."""
    return Chance(float((1 - LEAST) * probability + LEAST / 2))


def log_score(law: Law, outcome: Outcome) -> float:
    """Return the logarithm of the probability that a law gave to what came; -inf where it is 0."""
    if isinstance(law, Chance):
        return _of_chance(law.probability, outcome.low)
    if isinstance(law, Levels):
        found = math.fsum(_within(law, outcome))
        return math.log(min(found, 1.0)) if found > 0 else -math.inf
    return _of_student(law, outcome)


def interval(law: Levels | Student) -> tuple[float, float]:
    """Return the central interval that holds 95 % at least; levels may have no upper end."""
    tail = (1 - CONFIDENCE) / 2
    if isinstance(law, Student):
        from scipy.special import stdtrit

        half = float(stdtrit(law.df, 1 - tail)) * law.scale
        return law.location - half, law.location + half
    sums = np.cumsum(law.probability)
    low, high = (int(np.searchsorted(sums, p - 1e-9)) for p in (tail, 1 - tail))
    beyond = len(sums) - 1
    return law.first + low, math.inf if high >= beyond else law.first + high


def meets(law: Law, outcome: Outcome) -> bool | None:
    """Tell whether the interval holds what came; None where that is open, or there is none."""
    if isinstance(law, Chance):
        return None
    low, high = interval(law)
    if isinstance(law, Student) and math.isfinite(outcome.high - outcome.low):
        return low <= (outcome.low + outcome.high) / 2 <= high
    if outcome.high < low or outcome.low > high:
        return False
    return True if low <= outcome.low and outcome.high <= high else None


def _of_chance(probability: float, better: float) -> float:
    parts = ((better, probability), (1 - better, 1 - probability))
    return math.fsum(
        share * (math.log(p) if p > 0 else -math.inf) for share, p in parts if share > 0
    )


def _within(law: Levels, outcome: Outcome) -> tuple[float, ...]:
    """Return the probabilities of an outcome's levels; those beyond the grid are one."""
    beyond = len(law.probability) - 1
    low = min(max(outcome.low - law.first, 0), beyond)
    high = min(outcome.high - law.first, beyond)
    return law.probability[int(low) : int(high) + 1] if high >= 0 else ()


def _of_student(law: Student, outcome: Outcome) -> float:
    from scipy import stats

    below, above = ((end - law.location) / law.scale for end in (outcome.low, outcome.high))
    if below > 0:  # by the lower tail, where differences keep their digits
        below, above = -above, -below
    found = float(stats.t.cdf(above, law.df) - stats.t.cdf(below, law.df))
    if found > 0:
        return math.log(found)
    width = above - below if math.isfinite(above - below) else 1.0
    return float(stats.t.logpdf(above, law.df)) + math.log(width)
