"""The errors that rgtool raises on purpose.

Everything a user can cause ends in one of these: a message of one or two lines that says what is
wrong, where, what was found against what was expected, and what to do next.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from typing import TypeVar

Name = TypeVar("Name", bound=str)


class RgtoolError(Exception):
    """Something failed; the command line ends with `exit_code` and the message, no traceback.

    Parameters
    ----------
    *lines : str
        The message, a line each: a name from a file that holds a line break makes no other one.
    """

    exit_code = 1

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        """Return the lines as one text."""
        return "\n".join(self.lines)

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the message is all there is to know."""
        return [f"{type(self).__name__}: {self}"]


class UsageError(RgtoolError):
    """The request itself is wrong: an unknown name, a value out of range, options that clash."""

    exit_code = 2


class Unfinished(RgtoolError):
    """Runs were stopped or failed: the same command goes on where they were."""

    exit_code = 3


class RecordError(RgtoolError):
    """A record or a description on disk is not what the schema says."""


class StoreError(RgtoolError):
    """The store cannot be opened, read or written."""


class QueryError(UsageError):
    """A SQL query that the store refuses or cannot parse."""


def printable(text: str) -> str:
    r"""Return a text on one line; every character that is no sign is escaped as Python writes it.

    Controls, marks that turn the direction of writing and whatever else is not seen are no signs.
    A text that is printable already stays as it is.

    Examples
    --------
    >>> print(printable("red \x1b[31m, turned \u202e"))
    red \x1b[31m, turned \u202e
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class Unreadable(RgtoolError):
    """A file is cut off, empty, no file or not what its format says: it counts as missing."""


class Refused(RgtoolError):
    """A file is dangerous, or files contradict one another: nothing of the run is imported."""


def choose(what: str, value: str, known: Iterable[Name], problem: str = "is unknown") -> Name:
    """Return the one of the known names that a value is, in whatever case it is written.

    Raises
    ------
    UsageError
        It is none of them; the message names the nearest.

    Examples
    --------
    >>> choose("fan", "FAN_IN", ("fan_in", "fan_out"))
    'fan_in'
    """
    names = tuple(known)
    if (name := known_name(value, names)) is not None:
        return name
    raise UsageError(f"{what} '{value}' {problem}: {did_you_mean(value, names)}")


def known_name(name: str, known: Iterable[Name]) -> Name | None:
    """Return the known name that a text is; its case matters only where two names need it.

    Examples
    --------
    >>> known_name("CIFAR10", ["cifar10", "cifar100"])
    'cifar10'
    """
    names = tuple(known)
    for other in names:
        if other == name:
            return other
    found = [other for other in names if other.casefold() == name.casefold()]
    return found[0] if len(found) == 1 else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Name the nearest known names, as the end of an error message.

    Returns
    -------
    str
        `"did you mean a or b?"`, or `"choose from a, b, c"` where nothing is near.

    Examples
    --------
    >>> did_you_mean("resnet2O", ["resnet20", "resnet92", "vgg16"])
    'did you mean resnet20 or resnet92?'
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=len(names) or 1, cutoff=0.6)
    # Among equally similar names the one that begins alike: resnet20 before resnet92.
    near.sort(key=lambda other: (-_similarity(name, other), -_common_start(name, other), other))
    if near:
        return f"did you mean {' or '.join(near[:3])}?"
    return f"choose from {', '.join(names)}"


def _similarity(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, one).ratio()


def _common_start(one: str, other: str) -> int:
    return len(os.path.commonprefix([one, other]))
