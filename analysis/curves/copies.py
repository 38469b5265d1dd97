"""What counts once: rows that are written again, and seeds that are one run under two names.

Loggers that are resumed or fill forward write rows again, and folders are copied; noise, weights
and degrees of freedom follow from runs, not from how often they were written down.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...schemas.words import counted
from ..arrays import Floats, Integers

_SAME_NUMBER = 1e-12  # difference of errors that are one number
_LEAST_COPY = 4  # levels that a seed has in common with another one to be its copy


def distinct_rows(rows: Integers, density: Floats, error: Floats) -> Integers:
    """Return the places of rows that stand for the first time, in order."""
    _, first = np.unique(np.column_stack([rows, density, error]), axis=0, return_index=True)
    return np.sort(first)


def originals_of(errors: Floats) -> Integers:
    """Return the seeds, of errors (S, T), that are no copy of another.

    Seeds of one run under two names, or of a run and its beginning, have one error at every level
    of the shorter. With few levels equal errors are chance.
    """
    has = np.isfinite(errors)
    kept: list[int] = []
    for seed in np.argsort(-has.sum(axis=1), kind="stable").tolist():
        at = has[seed]
        apart = [~(np.abs(errors[k, at] - errors[seed, at]) < _SAME_NUMBER) for k in kept]
        if at.sum() < _LEAST_COPY or all(one.any() for one in apart):
            kept.append(seed)
    return np.sort(kept)


def repeat_notes(name: str, number: int) -> list[str]:
    """Say how many rows were written again."""
    if not number:
        return []
    return [f"{name}: {counted(number, 'row')} written again: every one counts once"]


def copy_notes(name: str, labels: Sequence[object], originals: Integers) -> list[str]:
    """Name the seeds that are copies: all but those at the places of `originals`."""
    copies = [str(label) for n, label in enumerate(labels) if n not in originals]
    if not copies:
        return []
    return [
        f"{name}: errors of another seed at every level, as copies of one run have: seed "
        f"{', '.join(copies)}: such runs count once"
    ]
