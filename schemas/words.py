"""Numbers with their nouns, for messages."""

from __future__ import annotations


def counted(number: int, singular: str, plural: str = "") -> str:
    """Write a number and what it counts.

    Examples
    --------
    >>> counted(1, "seed"), counted(2, "seed"), counted(2, "process", "processes")
    ('1 seed', '2 seeds', '2 processes')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
