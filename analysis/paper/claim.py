"""One claim of the paper with its verdict, and how what a check found is put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Literal, get_args

import numpy as np

ClaimKind = Literal["recomputed", "consistency", "not checkable"]
ClaimVerdict = Literal[
    "agrees",
    "disagrees",
    "contradiction inside the paper",
    "cannot be checked",
    "remark of rgtool",
]
CLAIM_VERDICTS: tuple[ClaimVerdict, ...] = get_args(ClaimVerdict)
REMARK: ClaimVerdict = "remark of rgtool"


@dataclass(frozen=True)
class Claim:
    """One claim of a paper, what it prints, and what is found.

    Attributes
    ----------
    id : str
        Unique name.
    source : str
        Table, figure, equation or section.
    claim : str
        What is claimed.
    printed : str
        The numbers that the paper prints.
    checked : str
        The numbers that were recomputed, or held against them.
    tolerance : str
        How far the two may lie apart, and from what that follows.
    kind : str
        `recomputed` from printed numbers, block maps or the null; `consistency` of printed
        numbers with each other; `not checkable` where the data are not printed.
    verdict : str
        `agrees`, `disagrees`, `contradiction inside the paper`, `cannot be checked`; `remark of
        rgtool` where the paper does not make the claim, so that it counts neither for nor against.
    why : str
        The reason, with what limits it.
    """

    id: str
    source: str
    claim: str
    printed: str
    checked: str
    tolerance: str
    kind: ClaimKind
    verdict: ClaimVerdict
    why: str


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    holds : bool or None
        Whether the claim does; None where printed numbers cannot tell.
    values : mapping of str to anything
        What the texts of the claim name: numbers, arrays, words.
    case : str or None
        Which of several reasons applies; None: the one named as the verdict.
    """

    holds: bool | None
    values: Mapping[str, Any] = field(default_factory=dict)
    case: str | None = None


def finding(holds: bool | None, case: str | None = None, /, **values: Any) -> Finding:
    """Return a finding with the values that the texts name."""
    return Finding(holds, values, case)


def decided(outcomes: Sequence[bool]) -> bool | None:
    """Return what all outcomes say, or None where they differ: what is unknown decides."""
    return outcomes[0] if len(set(outcomes)) == 1 else None


class _Words(Formatter):
    """`str.format` that writes an array as `1.15 1.09` and a sequence of arrays with `; `."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, np.ndarray):
            return " ".join(format(one, format_spec) for one in value.tolist())
        if isinstance(value, tuple | list):
            return "; ".join(self.format_field(one, format_spec) for one in value)
        return format(value, format_spec)


def in_words(template: str, values: Mapping[str, Any]) -> str:
    """Put values into a text.

    Examples
    --------
    >>> in_words("{x:.2f} of {n}", {"x": (np.array([1.15, 1.09]), np.array([1.02])), "n": 3})
    '1.15 1.09; 1.02 of 3'
    """
    return _Words().vformat(template, (), values)
