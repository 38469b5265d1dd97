"""Numbers in files of strangers."""

from __future__ import annotations

from typing import Any

from .found import Unreadable


def number(value: Any, what: str) -> float:
    """Return a number, or the one number of an array, as a float.

    Raises
    ------
    Unreadable
        It is no number, several, or larger than any float.
    """
    try:
        return float(value)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise Unreadable(f"{what} that is no number ({type(error).__name__})") from None
