"""What a criterion says of pairs of experiments, and how spectra say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import RgtoolError
from ...schemas.notes import Note, Rank
from ...schemas.words import counted
from ..arrays import Bools, Floats, Integers
from ..spectrum.noise import ONE_SEED, PRINTED
from ..stats.contrast import centred
from ..stats.level import ALPHA
from ..stats.moderation import helmert, moderate
from .distances import clr_points, condensed, depth_distance, quantile_points
from .pairs import all_pairs, draws_for, pair_tests
from .printed import mean_noise, printed_test, quantile_test
from .subjects import Subject

Distances = Callable[[int, np.random.Generator], Iterator[Floats]]
_LEAST_DRAWS, _MOST_DRAWS = 999, 99_999  # draws of one test between printed or unmatched spectra
_ALL = 4_000_000  # draws of all tests of unmatched spectra together


class UnfitError(RgtoolError):
    """Some subjects lack what a criterion compares.

    Parameters
    ----------
    reasons : mapping of str to str
        By id, a sentence that names the subject.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__(f"{next(iter(reasons.values()))}, or leave it out")
        self.reasons = reasons


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a criterion says about the P pairs of E experiments, in condensed order.

    Attributes
    ----------
    distance : array, shape (P,)
        What classes are made from.
    p : array, shape (P,)
        Of a pair that is one class, not corrected; NaN where there is no test.
    same : bool array, shape (P,)
        Whether sameness is certified.
    draws : callable or None
        Takes a number and a generator, and yields that many drawn `distance`; None where the
        criterion has no draws, and classes then no stability.
    metric : str
        What the distance is, in words.
    columns : mapping of str to array, shape (P,)
        Further columns of the table of pairs.
    tested : bool
        Whether p decides if there is more than one class; without a test any distance does.
    notes : tuple of str
        What the numbers alone do not say.
    """

    distance: Floats
    p: Floats
    same: Bools
    draws: Distances | None
    metric: str
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    tested: bool = True
    notes: tuple[str, ...] = ()


def spectral(
    subjects: Sequence[Subject],
    thetas: Sequence[Floats],
    rng: np.random.Generator,
    notes: Sequence[str] = (),
) -> Evidence:
    """Compare spectra: group by group where names agree, else by their quantile functions.

    Parameters
    ----------
    subjects : sequence of Subject, length E
        Their names and whether they are printed.
    thetas : sequence of array, shapes (S_e, K_e)
        Log eigenvalues by seed; one row where they are printed.
    rng : numpy.random.Generator
        Randomness of the tests.
    notes : sequence of str
        To begin the notes with.
    """
    first, second = all_pairs(len(subjects))
    matched = len({subject.groups for subject in subjects}) == 1
    tests = _Tests(subjects, thetas, rng, len(first))
    tests.by_groups()
    tests.printed()
    tests.by_quantiles()
    means = [theta.mean(axis=0) for theta in thetas]
    columns: dict[str, NDArray[Any]] = {"norm": tests.norm, "bound": tests.bound}
    if (tests.widest != "").any():
        columns["widest"] = tests.widest
    if matched:
        variance = _common_variance(thetas)
        metric = "the clr-Mahalanobis distance, in standard deviations of one seed"
        distance = condensed(clr_points(np.array(means), variance), "euclidean")
    else:
        metric = "W1 between the quantile functions of theta"
        distance = condensed(quantile_points(means), "cityblock")
        pairs = zip(first, second, strict=True)
        columns["depth"] = np.array([depth_distance(means[a], means[b]) for a, b in pairs])

    def draws(number: int, rng: np.random.Generator) -> Iterator[Floats]:
        drawn = [
            mean + mean_noise(theta, number, rng, tests.known(i))
            for i, (mean, theta) in enumerate(zip(means, thetas, strict=True))
        ]
        for i in range(number):
            if matched:
                yield condensed(clr_points([one[i] for one in drawn], variance), "euclidean")
            else:
                yield condensed(quantile_points([one[i] for one in drawn]), "cityblock")

    return Evidence(
        distance=distance,
        p=tests.p,
        same=tests.same,
        draws=draws,
        metric=metric,
        columns=columns,
        notes=(*notes, *tests.notes),
    )


def _common_variance(thetas: Sequence[Floats]) -> Floats:
    """Return the variance of a seed's centred values, pooled over experiments: shape (K,)."""
    rows = np.concatenate([helmert(centred(theta)) for theta in thetas])
    groups = thetas[0].shape[1]
    if len(rows) < 1 or not rows.any():
        return np.full(groups, PRINTED * (1 - 1 / groups))
    return moderate((rows**2).mean(axis=0), len(rows)).variance


class _Tests:
    """Fills in p and sameness of all pairs, each by the test that it admits."""

    def __init__(
        self,
        subjects: Sequence[Subject],
        thetas: Sequence[Floats],
        rng: np.random.Generator,
        pairs: int,
    ) -> None:
        self._names = [subject.groups for subject in subjects]
        self._is_printed = np.array([subject.printed is not None for subject in subjects])
        self._thetas, self._rng = thetas, rng
        self._first, self._second = all_pairs(len(subjects))
        self._draws = draws_for(pairs)
        self.p, self.norm, self.bound = (np.full(pairs, np.nan) for _ in range(3))
        self.same = np.zeros(pairs, np.bool_)
        self.widest = np.full(pairs, "", object)
        self.notes: list[str] = []
        codes = {names: i for i, names in enumerate(dict.fromkeys(self._names))}
        self._code = np.array([codes[names] for names in self._names])
        self._matched = self._code[self._first] == self._code[self._second]

    def by_groups(self) -> None:
        """Test pairs of the store whose groups have the same names."""
        for code in np.unique(self._code[~self._is_printed]):
            members = np.flatnonzero((self._code == code) & ~self._is_printed)
            if len(members) < 2:
                continue
            found = pair_tests(
                [self._thetas[int(i)] for i in members], self._rng, draws=self._draws
            )
            where = self._condensed(members[found.first], members[found.second])
            self.p[where], self.norm[where] = found.p, found.norm
            self.bound[where], self.same[where] = found.bound, found.same
            # The last name stands where no group is the widest, at position -1.
            self.widest[where] = np.array([*self._names[members[0]][1:], ""], object)[found.widest]
            if found.pooled and len(members) > 2:
                self.notes.append(
                    f"{len(found.p):,} pairs are more than draws of their own can serve: pairs "
                    "with equal numbers of seeds that scatter in about the same ratio share draws, "
                    f"{found.draws:,} in all, and a p below 1/1000 continues them by a power law; "
                    "right on average, not for each pair"
                )
            untested = int(np.isnan(found.p).sum())
            if untested:
                text = (
                    f"{counted(untested, 'pair')} without a test: a lone seed, or seeds that are "
                    "all alike, tell nothing of how far seeds lie apart, and another experiment's "
                    "scatter is no substitute: it takes two seeds of each"
                )
                self.notes.append(Note(text, rank=Rank.WARNING))

    def printed(self) -> None:
        """Test pairs with a printed spectrum whose groups have the same names."""
        with_printed = self._is_printed[self._first] | self._is_printed[self._second]
        for i in np.flatnonzero(with_printed & self._matched):
            a, b = self._first[i], self._second[i]
            a, b = (a, b) if self._is_printed[b] else (b, a)
            one = self._thetas[a][0] if self._is_printed[a] else self._thetas[a]
            printed = self._thetas[b][0]
            self.p[i] = printed_test(one, printed, self._rng, min(self._draws[0], _MOST_DRAWS))[1]
            d = centred(np.atleast_2d(one)).mean(axis=0) - centred(printed)
            self.norm[i] = np.sqrt((d**2).sum())

    def by_quantiles(self) -> None:
        """Test pairs whose groups have other names by their quantile functions."""
        pairs = np.flatnonzero(~self._matched)
        if not len(pairs):
            return
        number = int(np.clip(_ALL // len(pairs), _LEAST_DRAWS, min(self._draws[0], _MOST_DRAWS)))
        noise: dict[int, Floats] = {}
        for i in pairs:
            a, b = int(self._first[i]), int(self._second[i])
            for e in (a, b):
                if e not in noise:
                    noise[e] = mean_noise(self._thetas[e], number, self._rng, self.known(e))
            one, other = (self._thetas[e].mean(axis=0) for e in (a, b))
            self.p[i] = quantile_test(one, other, noise[a], noise[b])
        self.notes.append(
            f"{counted(len(pairs), 'pair')} with other groups: quantile functions of what is "
            "compared stand for groups, which says nothing of single ones and never certifies "
            "`same`"
        )
        if number * ALPHA < len(self.p):
            self.notes.append(
                f"with {number:,} draws a p of such a pair is at least {1 / (number + 1):.1g}: too "
                f"large to be rejected among {len(self.p):,} pairs; classify one architecture at a "
                "time"
            )

    def known(self, e: int) -> float | None:
        """Return the variance of the mean of an experiment that has no seeds, or only one."""
        if self._is_printed[e]:
            return PRINTED
        return ONE_SEED if len(self._thetas[e]) < 2 else None

    def _condensed(self, a: Integers, b: Integers) -> Integers:
        size = len(self._names)
        return np.asarray(size * a - a * (a + 1) // 2 + b - a - 1)
