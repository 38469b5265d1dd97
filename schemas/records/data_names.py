"""Names of data sets that are made of others: `permuted:digits:7`, `low-pass:cifar10:8`.

Such a name says what is made, of which data set, and by which number, a seed or a cutoff. They
nest; where two orders would mean one data set, or one of them nothing, the order of `KINDS` is the
only one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError, known_name

SEED, CUTOFF = "SEED", "CUTOFF"
# What stands behind each, from the inside out: what replaces images first, what moves pixels last.
KINDS = {"noise": SEED, "low-pass": CUTOFF, "random-labels": SEED, "permuted": SEED}
_PATTERNS = {SEED: re.compile("[0-9]{1,19}"), CUTOFF: re.compile(r"[0-9]{1,4}(\.[0-9]{1,4})?")}
_MEANING = {
    SEED: "a seed, a whole number from 0 to 2^63 - 1, as {}:digits:0",
    CUTOFF: "a cutoff in cycles an image, from 1 on, as {}:digits:2",
}
_MOST = 2**63


@dataclass(frozen=True)
class Wrapper:
    """One thing that is made of a data set.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    number : int or float
        The seed, or the cutoff.
    """

    kind: str
    number: int | float

    def name(self, inner: str) -> str:
        """Return what is called that it makes of a data set of this name."""
        return f"{self.kind}:{inner}:{self.number}"


def pattern(kind: str) -> str:
    """Say how a data set of a kind is named.

    Examples
    --------
    >>> pattern("permuted")
    'permuted:DATASET:SEED'
    """
    return f"{kind}:DATASET:{KINDS[kind]}"


def wraps(text: str) -> bool:
    """Tell whether a text means a data set made of another, as its beginning says."""
    return _kind(text) is not None


def unwrapped(text: str) -> tuple[str, tuple[Wrapper, ...]]:
    """Take the name of a data set apart.

    Returns
    -------
    tuple of str and tuple of Wrapper
        What stands inside, as it was written, and what is made of it, innermost first; none where
        the text does not mean a data set made of another.

    Raises
    ------
    UsageError
        A number is missing or out of range, nothing stands inside, or the order is not that of
        `KINDS`; the message says how it is written.

    Examples
    --------
    >>> unwrapped("Permuted:low-pass:npz:my.npz:3.0:07")[0]
    'npz:my.npz'
    >>> [str(one.number) for one in unwrapped("Permuted:low-pass:npz:my.npz:3.0:07")[1]]
    ['3', '7']
    """
    inner, found = text, list[Wrapper]()
    while (kind := _kind(inner)) is not None:
        inner, number = _parts(inner, kind)
        found.insert(0, Wrapper(kind, number))
    _check_order(text, inner, found)
    return inner, tuple(found)


def wrapped_name(inner: str, wrappers: Sequence[Wrapper]) -> str:
    """Return what a data set is called after all that is made of it, innermost first."""
    for wrapper in wrappers:
        inner = wrapper.name(inner)
    return inner


def innermost(name: str) -> str:
    """Return the name of the data set that others are made of; of any other name itself.

    Examples
    --------
    >>> innermost("permuted:random-labels:svhn:1:2"), innermost("cifar10"), innermost("noise:x")
    ('svhn', 'cifar10', 'noise:x')
    """
    try:
        return unwrapped(name)[0]
    except UsageError:  # an import's, which is free to call its data set anything
        return name


def _kind(text: str) -> str | None:
    head, colon, _ = text.partition(":")
    return known_name(head, KINDS) if colon else None


def _parts(text: str, kind: str) -> tuple[str, int | float]:
    """Split a name that begins with a kind into what stands inside and the number."""
    inner, colon, written = text.partition(":")[2].rpartition(":")
    asked = KINDS[kind]
    number = _number(written, asked)
    if number is None:
        meaning = _MEANING[asked].format(kind)
        raise UsageError(f"data set '{text}': '{written}' is not {meaning}")
    if not colon or not inner:
        raise UsageError(f"data set '{text}' names none inside: write {pattern(kind)}")
    return inner, number


def _number(text: str, asked: str) -> int | float | None:
    """Read a seed or a cutoff; None where it is none."""
    if not _PATTERNS[asked].fullmatch(text):
        return None
    if asked == SEED:
        return seed if (seed := int(text)) < _MOST else None
    cutoff = float(text)
    if cutoff < 1:
        return None
    return int(cutoff) if cutoff.is_integer() else cutoff


def _check_order(text: str, inner: str, found: Sequence[Wrapper]) -> None:
    kinds = [wrapper.kind for wrapper in found]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise UsageError(f"data set '{text}': {kind} stands there twice: once is all it can do")
    ordered = sorted(found, key=lambda one: list(KINDS).index(one.kind))
    if ordered != [*found]:
        raise UsageError(
            f"data set '{text}': the order is another, write {wrapped_name(inner, ordered)}"
        )
