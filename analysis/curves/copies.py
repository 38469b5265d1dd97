"""What counts once: rows that are written again, and seeds that are one run under two names.

Loggers that are resumed or fill forward write rows again, and folders are copied; noise, weights
and degrees of freedom follow from runs, not from how often they were written down.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...schemas.words import counted
from ..arrays import Floats, Integers

_SAME_NUMBER = 1e-6  # difference of errors that are one number, written as float32 or as float64
_DECIMALS = (3, 4, 5)  # numbers of digits that errors may have been rounded to
_LEAST_COPY = 4  # levels that a seed has in common with another one to be its copy


def distinct_rows(rows: Integers, density: Floats, error: Floats) -> Integers:
    """Return the places of rows that stand for the first time, in order."""
    _, first = np.unique(np.column_stack([rows, density, error]), axis=0, return_index=True)
    return np.sort(first)


def originals_of(errors: Floats) -> Integers:
    """Return the seeds, of errors (S, T), that are no copy of another.

    Seeds of one run under two names, or of a run and its beginning, have one error at every level
    of the shorter, to the digits of the coarser. With few levels equal errors are chance. Of copies
    the longest is kept, of equally long ones the one with most digits.
    """
    has = np.isfinite(errors)
    rounding = np.array([_half_unit(one[at]) for one, at in zip(errors, has, strict=True)])
    kept: list[int] = []
    for seed in np.lexsort((rounding, -has.sum(axis=1))).tolist():
        at = has[seed]
        within = _SAME_NUMBER + np.maximum(rounding[kept], rounding[seed])[:, None]
        same = np.abs(errors[np.ix_(kept, at)] - errors[seed, at]) < within
        if at.sum() < _LEAST_COPY or not same.all(axis=1).any():
            kept.append(seed)
    return np.sort(kept)


def _half_unit(errors: Floats) -> float:
    """Return half a unit of the last digit of errors that were rounded, else 0."""
    for digits in _DECIMALS:
        if (np.abs(errors - errors.round(digits)) < _SAME_NUMBER).all():
            return 0.5 * 10.0**-digits
    return 0.0


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
