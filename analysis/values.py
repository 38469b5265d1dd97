"""Small values that results are made of: an estimate with its interval, and a refusal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", float, NDArray[np.float64])


@dataclass(frozen=True, eq=False)
class Estimate(Generic[Value]):
    """A number, or an array of numbers, with the ends of its interval; NaN where there is none.

    Attributes
    ----------
    value, low, high : float, or array of one shape
        The estimate, and the lower and the upper end of its 95 % interval.
    """

    value: Value
    low: Value
    high: Value

    def __eq__(self, other: object) -> bool:
        """Tell whether all numbers are equal; NaN is equal to NaN."""
        return isinstance(other, Estimate) and all(
            np.array_equal(getattr(self, name), getattr(other, name), equal_nan=True)
            for name in ("value", "low", "high")
        )


NOTHING: Estimate[float] = Estimate(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class Refusal:
    """Why a result cannot be given.

    Attributes
    ----------
    reason : str
        In words, as a part of a sentence.
    """

    reason: str


def is_positive(value: object) -> bool:
    """Tell whether something is a finite number above 0.

    Examples
    --------
    >>> is_positive(0.02), is_positive(0), is_positive("x"), is_positive(float("inf"))
    (True, False, False, False)
    """
    if not isinstance(value, int | float | np.floating):
        return False
    return bool(math.isfinite(value) and value > 0)
