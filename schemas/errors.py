"""The errors that rgtool raises on purpose.

Everything a user can cause ends in one of these: a message of one or two lines that says what is
wrong, where, what was found against what was expected, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RgtoolError(Exception):
    """Something failed; the command line ends with `exit_code` and the message, no traceback."""

    exit_code = 1


class UsageError(RgtoolError):
    """The request itself is wrong: an unknown name, a value out of range, options that clash."""

    exit_code = 2


class RecordError(RgtoolError):
    """A record or a description on disk is not what the schema says."""


class StoreError(RgtoolError):
    """The store cannot be opened, read or written."""


class QueryError(UsageError):
    """A SQL query that the store refuses or cannot parse."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Name the nearest known names, as the end of an error message.

    Returns
    -------
    str
        `"did you mean a or b?"`, or `"choose from a, b, c"` where nothing is near.

    Examples
    --------
    >>> did_you_mean("resnet2O", ["resnet20", "lenet"])
    'did you mean resnet20?'
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"choose from {', '.join(names)}"
