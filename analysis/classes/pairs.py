"""Do two experiments have the same spectrum? The test of one pair, and of many pairs at once.

`pair_tests` is pair by pair `same_class`: with few pairs every p comes from draws of its own, at
least 40 times as many as there are pairs, since Holm can reject nothing with fewer. That ends where
1000 experiments make 499 500 pairs, each of which would need 20 million draws. Then pairs with
equal degrees of freedom share one null distribution: draws of some pairs taken at random, pooled.
Beyond the largest thousandth of them the tail is continued by a power law (Hill 1975), which errs
towards large p where the true tail falls faster. Such a p is right on average over the pairs and
not for each: it is too small for pairs whose groups correlate more than is usual in the pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import AT_ONCE, Bools, Floats, Integers
from ..spectrum.verdicts import MARGIN
from ..stats.contrast import (
    DRAWS,
    centred,
    contrast,
    moderated_rows,
    null_draws,
    share_above,
    statistic,
)
from ..stats.level import ALPHA, holm
from ..stats.moderation import helmert

PER_PAIR = 40  # draws for each pair in the family
MOST_DRAWS = 4_000_000  # of all pairs together; beyond, pairs share a pool
POOL, POOL_PAIRS = 2_000_000, 200  # draws of a pool, and the pairs they come from
_TAIL = 1000  # one in so many draws belongs to the tail

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
        Margin of equivalence; default `verdicts.MARGIN`.

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
        delta = MARGIN
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


@dataclass(frozen=True, eq=False)
class PairTests:
    """Comparisons of P pairs of experiments. NaN where a pair has fewer than four seeds.

    Attributes
    ----------
    first, second : integer array, shape (P,)
        Positions of the experiments of a pair.
    q, p : array, shape (P,)
        Statistic, and its p by itself, not corrected for the number of pairs.
    norm : array, shape (P,)
        Euclidean norm of the difference of the centred means.
    bound : array, shape (P,)
        Largest end of the 90 % intervals of |d_i|: the smallest margin within which all groups
        are certified equivalent.
    delta : array, shape (P,)
        The margin.
    draws : int
        Draws of every pair, or of every pool.
    pooled : bool
        Whether pairs share their draws.
    """

    first: Integers
    second: Integers
    q: Floats
    p: Floats
    norm: Floats
    bound: Floats
    delta: Floats
    draws: int
    pooled: bool

    @property
    def same(self) -> Bools:
        """Whether every group is certified equivalent: shape (P,)."""
        return self.bound < self.delta


def all_pairs(experiments: int) -> tuple[Integers, Integers]:
    """Return the positions of all pairs in the order of SciPy's condensed distances."""
    first, second = np.triu_indices(experiments, 1)
    return first.astype(np.int64), second.astype(np.int64)


def draws_for(pairs: int) -> tuple[int, bool]:
    """Choose the draws of every pair or pool, and whether pairs are pooled.

    Examples
    --------
    >>> draws_for(3), draws_for(300), draws_for(499_500)
    ((9999, False), (12000, False), (2000000, True))
    """
    own = max(DRAWS, PER_PAIR * pairs)
    return (own, False) if pairs * own <= MOST_DRAWS else (POOL, True)


def pair_tests(
    thetas: Sequence[ArrayLike],
    rng: np.random.Generator,
    *,
    pairs: tuple[Integers, Integers] | None = None,
    draws: tuple[int, bool] | None = None,
    delta: float | None = None,
) -> PairTests:
    """Compare experiments with the same K groups, pair by pair.

    Parameters
    ----------
    thetas : sequence of array, shapes (S_e, K)
        Mean log eigenvalue of every seed and group of every experiment, as for `same_class`.
    rng : numpy.random.Generator
        Randomness of the draws.
    pairs : pair of integer array, optional
        Positions to compare; default all pairs.
    draws : (int, bool), optional
        Draws of every pair or pool, and whether pairs are pooled; default `draws_for`.
    delta : float, optional
        Margin of equivalence; default `verdicts.MARGIN`.

    Raises
    ------
    ValueError
        The experiments do not have the same groups, or fewer than two.
    """
    data = [centred(theta) for theta in thetas]
    groups = {theta.shape[1] for theta in data}
    if len(groups) != 1 or groups == {1}:
        raise ValueError(f"experiments need two or more groups, the same in all, not {groups}")
    first, second = all_pairs(len(data)) if pairs is None else pairs
    number, pooled = draws_for(len(first)) if draws is None else draws
    seeds = np.array([len(theta) for theta in data], np.int64)
    means = np.array([theta.mean(axis=0) for theta in data])
    q, bound, norm = (np.full(len(first), np.nan) for _ in range(3))
    cells = _Cells(data, seeds)
    for some in cells.chunks(first, second):
        a, b = first[some], second[some]
        d = means[a] - means[b]
        norm[some] = np.sqrt((d**2).sum(axis=1))
        q[some], bound[some] = _bounds(d, cells.noise(a, b), 1 / seeds[a] + 1 / seeds[b])
    df = seeds[first] + seeds[second] - 2
    p = np.full(len(first), np.nan)
    for freedom in np.unique(df[np.isfinite(q)]):
        cell = np.flatnonzero((df == freedom) & np.isfinite(q))
        fill = _by_pooled_draws if pooled else _by_own_draws
        p[cell] = fill(q[cell], first[cell], second[cell], cells, rng, number)
    return PairTests(
        first=first,
        second=second,
        q=q,
        p=p,
        norm=norm,
        bound=bound,
        delta=np.full(len(first), MARGIN if delta is None else delta),
        draws=number,
        pooled=pooled,
    )


class _Cells:
    """Rows of noise of all experiments, handed out for pairs with equal numbers of seeds."""

    def __init__(self, data: Sequence[Floats], seeds: Integers) -> None:
        self._seeds, self._groups = seeds, data[0].shape[1]
        self._rows: dict[int, Floats] = {}
        self._place = np.zeros(len(data), np.int64)
        for number in np.unique(seeds).tolist():
            members = np.flatnonzero(seeds == number)
            self._place[members] = np.arange(len(members))
            self._rows[number] = np.array([helmert(data[int(i)]) for i in members])

    def chunks(self, first: Integers, second: Integers) -> Iterator[Integers]:
        """Yield positions of pairs that can be done at once; pairs with too few seeds are not."""
        code = self._seeds[first] * (self._seeds.max() + 1) + self._seeds[second]
        for value in np.unique(code):
            cell = np.flatnonzero(code == value)
            rows = int(self._seeds[first[cell[0]]] + self._seeds[second[cell[0]]])
            step = max(1, AT_ONCE // (rows * self._groups))
            for start in range(0, len(cell) if rows >= 4 else 0, step):
                yield cell[start : start + step]

    def noise(self, first: Integers, second: Integers) -> Floats:
        """Return rows of mean 0 of pairs with equal numbers of seeds: shape (C, D, K)."""
        parts = [
            self._rows[int(self._seeds[side[0]])][self._place[side]] for side in (first, second)
        ]
        return np.concatenate(parts, axis=1)


def _bounds(d: Floats, noise: Floats, factor: Floats) -> tuple[Floats, Floats]:
    """Return statistic and bound of pairs; NaN where all seeds are alike. Shapes (C,)."""
    from scipy.special import stdtrit

    found = statistic(d, noise, factor)
    half = stdtrit(found.df, 1 - ALPHA)[:, None] * found.error
    alike = ~(noise != 0).any(axis=(1, 2))
    bound = (np.abs(d) + half).max(axis=1)
    return np.where(alike, np.nan, found.q), np.where(alike, np.nan, bound)


def _drawn(first: int, second: int, cells: _Cells, rng: np.random.Generator, draws: int) -> Floats:
    (noise,) = cells.noise(np.array([first]), np.array([second]))
    return null_draws(noise, moderated_rows(noise).variance, rng, draws)


def _by_own_draws(
    q: Floats,
    first: Integers,
    second: Integers,
    cells: _Cells,
    rng: np.random.Generator,
    draws: int,
) -> Floats:
    """Return p of every pair from draws of its own, the data counted among the draws."""
    return np.array(
        [
            share_above(value, _drawn(a, b, cells, rng, draws))
            for value, a, b in zip(q, first, second, strict=True)
        ]
    )


def _by_pooled_draws(
    q: Floats,
    first: Integers,
    second: Integers,
    cells: _Cells,
    rng: np.random.Generator,
    draws: int,
) -> Floats:
    """Return p of pairs with equal degrees of freedom from one pool of draws."""
    chosen = rng.choice(len(q), min(len(q), POOL_PAIRS), replace=False)
    each = -(-draws // len(chosen))
    pool = np.concatenate([_drawn(first[i], second[i], cells, rng, each) for i in chosen])
    return tail_p(q, np.sort(pool))


def tail_p(q: ArrayLike, pool: Floats) -> Floats:
    """Return the p of statistics from a sorted pool of draws under the null.

    Within the pool p is the share of draws at least as large, the statistic counted among them.
    Beyond the `_TAIL`-th part of the draws, P(Q > q) = p_t (t / q)^a with the threshold t and a
    from the mean of log(Q / t) over the draws above it (Hill 1975).

    Parameters
    ----------
    q : array, shape (P,)
        Statistics.
    pool : array, shape (B,)
        Draws, ascending.
    """
    values, size = np.asarray(q, np.float64), len(pool)
    p = (1 + size - np.searchsorted(pool, values, side="left")) / (size + 1)
    count = size // _TAIL
    if count < 100:
        return p
    threshold = pool[-count - 1]
    index = 1 / np.log(pool[-count:] / threshold).mean()
    beyond = values > threshold
    p[beyond] = count / size * (threshold / values[beyond]) ** index
    return p
