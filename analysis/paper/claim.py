"""One claim with its verdict, and the arithmetic of printed numbers: rounding propagated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Kind = Literal["recomputed", "consistency", "not checkable"]
ClaimVerdict = Literal["agrees", "disagrees", "contradiction inside the paper", "cannot be checked"]
Sign = Literal["relevant", "marginal", "irrelevant"]
CLAIM_VERDICTS: tuple[ClaimVerdict, ...] = get_args(ClaimVerdict)
HALF = 0.005  # eigenvalues are printed to two decimals
SHARE_HALF = 0.00005  # shares are printed to four
_EPS = 1e-9  # 1.01 - 1 is more than 0.01 in binary


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
        `agrees`, `disagrees`, `contradiction inside the paper`, `cannot be checked`.
    why : str
        The reason, with what limits it.
    """

    id: str
    source: str
    claim: str
    printed: str
    checked: str
    tolerance: str
    kind: Kind
    verdict: ClaimVerdict
    why: str


def numbers(values: ArrayLike, spec: str = ".3f") -> str:
    """Write numbers one after the other.

    Examples
    --------
    >>> numbers([1.15, 1.09], ".2f")
    '1.15 1.09'
    """
    return " ".join(format(float(value), spec) for value in np.ravel(np.asarray(values)))


def listed(values: Iterable[object]) -> str:
    """Write a set as `{1, 2}`."""
    return "{" + ", ".join(str(value) for value in values) + "}"


def agrees(true: bool) -> ClaimVerdict:
    """Turn a truth into `agrees` or `disagrees`."""
    return "agrees" if true else "disagrees"


def weighted_power(
    share: ArrayLike, eigenvalue: ArrayLike, steps: int, share_half: float = SHARE_HALF
) -> tuple[float, float, float]:
    """Return sum_i M_i lambda_i^T and the least and the most of it that rounding allows.

    The sum rises in every share and eigenvalue, so its ends are those of the rounding boxes.

    Parameters
    ----------
    share, eigenvalue : array, shape (G,)
        M_i at the start, and eigenvalues printed to two decimals.
    steps : int
        T.
    share_half : float
        Half a unit of the last digit of the shares; 0 for shares that are known exactly.
    """
    m, growth = np.asarray(share, np.float64), np.asarray(eigenvalue, np.float64)
    value, low, high = (
        float(((m + sign * share_half) * (growth + sign * HALF) ** steps).sum())
        for sign in (0, -1, 1)
    )
    return value, low, high


def replicator(share: ArrayLike, strength: ArrayLike, steps: int) -> tuple[Floats, Floats]:
    """Follow M_i(n+1) = M_i(n) s_i / sum_j M_j(n) s_j: the flow that keeps shares shares.

    Parameters
    ----------
    share, strength : array, shape (..., G)
        M_i at the start, and s_i.
    steps : int
        Ratios T to take.

    Returns
    -------
    mean, std : array, shape (..., G)
        Arithmetic mean of M(n+1)/M(n) over the steps, and its standard deviation (ddof 1).
    """
    m, s = np.asarray(share, np.float64), np.asarray(strength, np.float64)
    ratios = []
    for _ in range(steps):
        ratio = s / (m * s).sum(axis=-1, keepdims=True)
        ratios.append(ratio)
        m = m * ratio
    series = np.array(ratios)
    return series.mean(axis=0), series.std(axis=0, ddof=1)


def corners(eigenvalue: ArrayLike) -> Floats:
    """Return the corners of the box of eigenvalues that round to these: shape (2^G, G)."""
    centre = np.asarray(eigenvalue, np.float64)
    signs = np.array(np.meshgrid(*[(-1, 1)] * len(centre), indexing="ij"))
    return centre + HALF * signs.reshape(len(centre), -1).T


def std_half(std: ArrayLike) -> Floats:
    """Return half a unit of the last printed digit: .0005 for 0.002, .005 for 0.01."""
    values = np.asarray(std, np.float64)
    return np.where(np.isclose(np.round(values, 2), values, atol=_EPS), HALF, HALF / 10)


def signs(eigenvalue: ArrayLike, std: ArrayLike) -> tuple[Sign, ...]:
    """Judge printed numbers by the paper's rule: marginal where |lambda - 1| <= std."""
    return tuple(
        _sign(float(value), float(margin))
        for value, margin in zip(*np.broadcast_arrays(eigenvalue, std), strict=True)
    )


def _sign(value: float, margin: float) -> Sign:
    if abs(value - 1) <= margin + _EPS:
        return "marginal"
    return "relevant" if value > 1 else "irrelevant"


def certain(eigenvalue: ArrayLike, std: ArrayLike) -> NDArray[np.bool_]:
    """Tell whose sign is the same for all numbers that round to the printed ones: shape (G,).

    The boxes count as open: 1.02 +- 0.01 is relevant, for 1.015 +- 0.015 lies on their corner.
    """
    distance = np.abs(np.asarray(eigenvalue, np.float64) - 1)
    spread, half = np.asarray(std, np.float64), std_half(std)
    outside = distance - HALF >= spread + half - _EPS
    inside = distance + HALF <= spread - half + _EPS
    return outside | inside
