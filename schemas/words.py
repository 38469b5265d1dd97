"""Numbers with their nouns, lists, and shares that grow: for messages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.:-=+*#"


def counted(number: int, singular: str, plural: str = "") -> str:
    """Write a number and what it counts.

    Examples
    --------
    >>> counted(1, "seed"), counted(2, "seed"), counted(2, "process", "processes")
    ('1 seed', '2 seeds', '2 processes')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Write names one after the other, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b"]), listed(["a", "b", "c"], 1)
    ('a, b', 'a and 2 more')
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def either(names: Sequence[str]) -> str:
    """Write what may be chosen.

    Examples
    --------
    >>> either(["layer"]), either(["layer", "block"]), either(["layer", "block", "stage"])
    ('layer', 'layer or block', 'layer, block or stage')
    """
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def spelled(value: Any, nothing: Any = None) -> Any:
    """Return a value as people read it: a list as its parts, and `nothing` where there is none.

    Examples
    --------
    >>> spelled(("fc",)), spelled(()), spelled(0.2)
    ('fc', 'none', 0.2)
    """
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return nothing if value is None else value


def shares_that(
    names: Sequence[str], words: Sequence[str], meaning: Mapping[str, str], first: str = "the share"
) -> str:
    """Say what the shares of groups do, groups with one word together.

    Parameters
    ----------
    names, words : sequence of str, of one length
        Groups, and the word of each.
    meaning : mapping of str to str
        What a word says, in the order in which it is said; groups with another word are left out.
    first : str
        What the first of them is called.

    Examples
    --------
    >>> says = {"up": "grows", "down": "shrinks"}
    >>> shares_that(["1", "2", "3"], ["up", "down", "up"], says)
    'the share of 1, 3 grows, that of 2 shrinks'
    """
    found = [
        (says, [name for name, word in zip(names, words, strict=True) if word == known])
        for known, says in meaning.items()
    ]
    return ", ".join(
        f"{'that' if place else first} of {listed(those)} {says}"
        for place, (says, those) in enumerate((s, t) for s, t in found if t)
    )


def growing_shares(names: Sequence[str], eigenvalues: Iterable[float]) -> str:
    """Say which shares grow and which shrink, by eigenvalues above and below 1.

    Examples
    --------
    >>> growing_shares(["1", "2"], [1.1, 0.9])
    'the share of 1 grows, that of 2 shrinks'
    """
    does = ("stays", "grows", "shrinks")
    words = [does[(value > 1) - (value < 1)] for value in eigenvalues]
    return shares_that(names, words, {word: word for word in ("grows", "shrinks", "stays")})


def spans(values: Mapping[str, Any]) -> str:
    """Write what holds from level to level, equal neighbours together.

    Examples
    --------
    >>> spans({"rewind": "eager", "0": "eager", "1": "sparse", "2": "sparse", "3": "eager"})
    'eager rewind-0; sparse 1-2; eager 3'
    """
    runs = [(value, list(keys)) for value, keys in groupby(values, key=values.__getitem__)]
    return "; ".join(
        f"{value} {keys[0]}-{keys[-1]}" if len(keys) > 1 else f"{value} {keys[0]}"
        for value, keys in runs
    )


def size(count: float) -> str:
    """Write a number of bytes as people do.

    Examples
    --------
    >>> size(34_000)
    '34 kB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def duration(seconds: float) -> str:
    """Write a duration as people do.

    Examples
    --------
    >>> duration(42), duration(600), duration(9000), duration(0.2)
    ('42 s', '10 min', '2.5 h', 'a second')
    """
    if 0 < seconds < 1.5:
        return "a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def sparkline(values: Sequence[float], bars: str = BARS) -> str:
    """Draw numbers as bars between their own minimum and maximum, eight heights in `bars`.

    Examples
    --------
    >>> sparkline([0.0, 0.5, 1.0]), sparkline([0.0, 0.5, 1.0], ASCII_BARS)
    ('▁▅█', '_=#')
    """
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return ""
    low, width = min(finite), max(finite) - min(finite)
    return "".join(
        " " if not math.isfinite(v) else bars[round((v - low) / width * 7)] if width else bars[3]
        for v in values
    )
