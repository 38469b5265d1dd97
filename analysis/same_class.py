"""Do two experiments have the same spectrum? Three answers: same, different, undecided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Bools, Floats
from .spectrum.verdicts import ALPHA, default_margin, holm
from .stats.contrast import DRAWS, centred, contrast, helmert

SameVerdict = Literal["same", "different", "undecided"]


@dataclass(frozen=True, eq=False)
class SameClass:
    """Comparison of two spectra over K groups.

    Attributes
    ----------
    d : array, shape (K,)
        Mean of a minus mean of b, both centred over groups, in units of theta.
    low, high : array, shape (K,)
        95 % t intervals of d.
    p_group : array, shape (K,)
        Two-sided p of every group, corrected after Holm for all K.
    equivalent : bool array, shape (K,)
        Whether |d_i| < delta is certified at 5 %: the 90 % interval lies within +-delta (two
        one-sided tests, Schuirmann 1987).
    delta : float
        The margin.
    q, p : float
        Statistic of all groups together, and its p from the parametric bootstrap.
    df : float
        Degrees of freedom of the intervals.
    verdict : str
        `same` where every group is equivalent, even if p is small: differences may be certain
        and negligible. Otherwise `different` where p < .05, else `undecided`.
    """

    d: Floats
    low: Floats
    high: Floats
    p_group: Floats
    equivalent: Bools
    delta: float
    q: float
    p: float
    df: float
    verdict: SameVerdict


def same_class(
    theta_a: ArrayLike,
    theta_b: ArrayLike,
    rng: np.random.Generator,
    draws: int = DRAWS,
    delta: float | None = None,
) -> SameClass:
    """Compare the spectra of two experiments with the same groups.

    Parameters
    ----------
    theta_a, theta_b : array, shapes (S_a, K) and (S_b, K)
        Mean log eigenvalue of every seed and group, or y ln(1/.8) where retention differs; only
        groups that are pruned. A common factor of all eigenvalues does not count.
    rng : numpy.random.Generator
        Randomness of the draws.
    draws : int
        Draws of the parametric bootstrap.
    delta : float, optional
        Margin of equivalence; default `verdicts.default_margin` of the fewer seeds.

    Raises
    ------
    ValueError
        Fewer than two groups, groups that differ, S_a + S_b < 4, or seeds that are all alike.
    """
    a, b = centred(theta_a), centred(theta_b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"spectra of shapes {a.shape} and {b.shape} cannot be compared")
    if min(len(a), len(b)) < 1 or len(a) + len(b) < 4:
        raise ValueError(f"{len(a)} and {len(b)} seeds: at least four are needed in all")
    if delta is None:
        delta = default_margin(min(len(a), len(b)))
    found = contrast(
        a.mean(axis=0) - b.mean(axis=0),
        np.concatenate([helmert(a), helmert(b)]),
        1 / len(a) + 1 / len(b),
        rng,
        draws,
    )
    half = found.half_width(1 - ALPHA)
    equivalent = np.abs(found.centre) + found.half_width(1 - 2 * ALPHA) < delta
    verdict: SameVerdict = "different" if found.p < ALPHA else "undecided"
    return SameClass(
        d=found.centre,
        low=found.centre - half,
        high=found.centre + half,
        p_group=holm(found.p_values()),
        equivalent=equivalent,
        delta=delta,
        q=found.q,
        p=found.p,
        df=found.df,
        verdict="same" if equivalent.all() else verdict,
    )
