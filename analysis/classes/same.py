"""Do two experiments have the same spectrum? Group by group, all groups together, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.notes import Note, Rank
from ...schemas.words import counted
from ..arrays import Bools, Floats
from ..result import Column, ends
from ..spectrum.verdicts import MARGIN
from ..stats.contrast import DRAWS, Contrast, one_sample, sample, two_samples
from ..stats.level import ALPHA, holm

SameVerdict = Literal["same", "different", "undecided"]
# From benchmarks/statistics/contrast_size.py, power of nine independent groups.
TWO_SEEDS = (
    "next to nothing can be decided; a shift of two of nine groups by three times the scatter of "
    "seeds is found in 3 of 100 such pairs, and in 61 of 100 with three seeds each"
)
_LOUD = 3.0  # times the error of the median group from which on a group is called loud
_SHOW = 3  # groups that a note names


def difference_columns(step: str = "") -> tuple[Column, ...]:
    """Return the columns of `SameClass.values`; `step` says of what step an eigenvalue is."""
    unit = "log, a level"
    meaning = f"ln eigenvalue{step}, a minus b, centred over groups."
    return (
        Column("difference", meaning, unit, "+z.4f"),
        *ends("low", "high", "its 95 % interval", unit, "+z.4f"),
        Column("p", "Of no difference, adjusted over groups (Holm).", "", ".2g"),
        Column(
            "equivalent",
            "The difference is certified to lie within the margin; empty without a test.",
        ),
    )


@dataclass(frozen=True, eq=False)
class SameClass:
    """Comparison of two spectra over K groups.

    Without two seeds that differ in either there is no variance to compare with: all but d, delta
    and seeds is NaN then, and the verdict is `undecided`. Pairs of seeds whose differences are all
    the same have an error of 0 and no p.

    Attributes
    ----------
    d : array, shape (K,)
        Mean of a minus mean of b, both centred over groups, in units of theta.
    error : array, shape (K,)
        Standard error of d, from the variances of each experiment.
    low, high : array, shape (K,)
        95 % t intervals of d (Welch 1947).
    p_group : array, shape (K,)
        Two-sided p of every group, corrected after Holm for all K.
    reach : array, shape (K,)
        The farther end of the 90 % interval of d from 0: the smallest margin within which the
        group is certified equivalent at 5 % (two one-sided tests, Schuirmann 1987).
    delta : float
        The margin.
    q, p : float
        Statistic of all groups together, and its p.
    seeds : (int, int)
        Seeds of a and b that count: not one that is the same as another in every group.
    """

    d: Floats
    error: Floats
    low: Floats
    high: Floats
    p_group: Floats
    reach: Floats
    delta: float
    q: float
    p: float
    seeds: tuple[int, int]

    @property
    def equivalent(self) -> Bools:
        """Whether |d_i| < delta is certified at 5 %: shape (K,)."""
        return self.reach < self.delta

    @property
    def certified(self) -> list[bool | None]:
        """`equivalent` as a column; None without a test."""
        tests = zip(self.equivalent.tolist(), np.isfinite(self.reach), strict=True)
        return [found if tested else None for found, tested in tests]

    @property
    def verdict(self) -> SameVerdict:
        """`same` where every group is equivalent, `different` where p < .05, else `undecided`.

        `same` even if p is small: differences may be certain and negligible.
        """
        if self.equivalent.all():
            return "same"
        return "different" if self.p < ALPHA or self.certain else "undecided"

    @property
    def certain(self) -> bool:
        """Whether all pairs of seeds have the same difference, which no chance can have made."""
        return bool((self.error == 0).all())

    @property
    def tested(self) -> str:
        """The p in words, such as `p 0.24`."""
        return "no test" if np.isnan(self.p) else f"p {self.p:.2g}"

    def notes(self, names: Sequence[str], runs: tuple[int, int]) -> list[Note]:
        """Say what the verdict is and what it rests on.

        Parameters
        ----------
        names : sequence of str, length K
            The groups.
        runs : (int, int)
            Runs of a and b, of which some may be the same.
        """
        notes = [Note(f"{self.verdict}: {self._conclusion}", rank=Rank.CONCLUSION)]
        if runs != self.seeds:
            text = (
                f"of {runs[0]} and {runs[1]} runs {self.seeds[0]} and {self.seeds[1]} differ: one "
                "that is the same as another in every group counts once"
            )
            notes.append(Note(text, rank=Rank.WARNING))
        if self.verdict == "undecided" and min(self.seeds) > 1:
            notes += self._undecided(names)
        return notes

    def values(self) -> dict[str, Any]:
        """Return what stands in the columns of `difference_columns`."""
        return {
            "difference": self.d,
            "low": self.low,
            "high": self.high,
            "p": self.p_group,
            "equivalent": self.certified,
        }

    @property
    def _conclusion(self) -> str:
        if min(self.seeds) < 2:
            return (
                "there is no test: a lone seed tells nothing of how far its seeds lie apart, and "
                "another experiment's scatter is no substitute: it takes two seeds of each"
            )
        if self.certain:
            return (
                f"the difference is the same in all seeds, {np.abs(self.d).max():.2g} at most: no "
                "chance has made it"
            )
        if self.verdict == "same":
            certain = ", of which a difference is certain and as certainly smaller"
            return (
                f"every group is certified to lie within +-{self.delta:g}"
                f"{certain if self.p < ALPHA else ''}"
            )
        if self.verdict == "different":
            return f"the spectra differ, p {self.p:.2g}"
        return (
            f"neither a difference nor sameness within +-{self.delta:g} is certain: more seeds "
            "decide"
        )

    def _undecided(self, names: Sequence[str]) -> list[Note]:
        wide = sorted(np.flatnonzero(~self.equivalent).tolist(), key=lambda i: -self.reach[i])
        shown = ", ".join(f"{names[i]} ({self.reach[i]:.3f})" for i in wide[:_SHOW])
        more = f" and {counted(len(wide) - _SHOW, 'more group')}" if len(wide) > _SHOW else ""
        notes = [Note(f"not certain to lie within +-{self.delta:g}: {shown}{more}")]
        times = self.error / np.median(self.error)
        loud = [i for i in wide if times[i] > _LOUD]
        if loud:
            said = ", ".join(f"{names[i]} {times[i]:.0f} times" for i in loud[:_SHOW])
            notes.append(Note(f"loud: seeds scatter in {said} as far as in the median group"))
        if max(self.seeds) == 2:
            notes.append(Note(f"two seeds each: {TWO_SEEDS}", rank=Rank.WARNING))
        return notes


def same_class(
    theta_a: ArrayLike,
    theta_b: ArrayLike,
    rng: np.random.Generator,
    draws: int = DRAWS,
    delta: float = MARGIN,
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
    delta : float
        Margin of equivalence.

    Raises
    ------
    ValueError
        Fewer than two groups, or groups that differ.
    """
    a, b = sample(theta_a), sample(theta_b)
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"{len(a.mean)} groups and {len(b.mean)} cannot be compared")
    return _compared(two_samples(a, b, rng, draws), delta, (a.seeds, b.seeds))


def same_paired(
    theta_a: ArrayLike,
    theta_b: ArrayLike,
    rng: np.random.Generator,
    draws: int = DRAWS,
    delta: float = MARGIN,
) -> SameClass:
    """Compare two spectra seed by seed, where a seed of both begins with the same weights.

    Parameters and errors are those of `same_class`; rows of equal place have one seed. Differences
    that are the same in all of two seeds or more know no chance: they are certain, without a p.
    """
    difference = np.subtract(theta_a, theta_b, dtype=np.float64)
    one = sample(difference)
    if one.seeds < 2:
        error = np.full_like(one.mean, 0.0 if len(difference) > 1 else np.nan)
        return SameClass(
            d=one.mean,
            error=error,
            low=one.mean - error,
            high=one.mean + error,
            p_group=np.full_like(error, np.nan),
            reach=np.abs(one.mean) + error,
            delta=delta,
            q=np.nan,
            p=np.nan,
            seeds=(len(difference),) * 2,
        )
    return _compared(one_sample(difference, rng, draws), delta, (one.seeds, one.seeds))


def _compared(found: Contrast, delta: float, seeds: tuple[int, int]) -> SameClass:
    half = found.half_width(1 - ALPHA)
    return SameClass(
        d=found.centre,
        error=found.error,
        low=found.centre - half,
        high=found.centre + half,
        p_group=holm(found.p_values()),
        reach=np.abs(found.centre) + found.half_width(1 - 2 * ALPHA),
        delta=delta,
        q=found.q,
        p=found.p,
        seeds=seeds,
    )
