"""The same-class test of many pairs of experiments at once.

Pair by pair it is `same_class`: with few pairs every p comes from draws of its own, at least 40
times as many as there are pairs, since Holm can reject nothing with fewer. That ends where 1000
experiments make 499 500 pairs, each of which would need 20 million draws. Then pairs share a pool
of draws if their numbers of seeds are the same and about the same part of the variance is one
experiment's: draws of some of these pairs taken at random. Beyond the largest thousandth of them
the tail is continued by a power law (Hill 1975), which errs towards large p where the true tail
falls faster. Such a p is right on average over the pairs and not for each: it is too small for
pairs whose groups correlate more than is usual in the pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import AT_ONCE, Bools, Floats, Integers
from ..spectrum.verdicts import MARGIN
from ..stats.contrast import DRAWS, Sample, null_draws, sample, share_above, statistic
from ..stats.difference import KNOWN, difference_p, welch
from ..stats.level import ALPHA

PER_PAIR = 40  # draws for each pair in the family
MOST_DRAWS = 4_000_000  # of all pairs together; beyond, pairs share pools
POOL, POOL_PAIRS = 2_000_000, 200  # draws of all pools, and the pairs that one comes from
LEAST_POOL = 200_000  # draws of a pool, however many there are
_TAIL = 1000  # one in so many draws belongs to the tail
_PARTS = (0.25, 0.75)  # of the variance of a difference, between one pool and the next


@dataclass(frozen=True, eq=False)
class PairTests:
    """Comparisons of P pairs of experiments. NaN where either has no two seeds that differ.

    Attributes
    ----------
    first, second : integer array, shape (P,)
        Positions of the experiments of a pair.
    q, p : array, shape (P,)
        Statistic, and its p by itself, not corrected for the number of pairs.
    norm : array, shape (P,)
        Euclidean norm of the difference of the centred means.
    bound : array, shape (P,)
        The smallest margin within which all groups are certified equivalent: the largest `reach`.
    widest : integer array, shape (P,)
        Position of the group whose reach that is; -1 where there is none.
    delta : float
        The margin.
    draws : int
        Draws of every pair, or of all pools together.
    pooled : bool
        Whether pairs share their draws.
    """

    first: Integers
    second: Integers
    q: Floats
    p: Floats
    norm: Floats
    bound: Floats
    widest: Integers
    delta: float
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
    """Choose the draws of every pair or of all pools, and whether pairs are pooled.

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
    delta: float = MARGIN,
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
        Draws of every pair or of all pools, and whether pairs are pooled; default `draws_for`.
    delta : float
        Margin of equivalence.

    Raises
    ------
    ValueError
        The experiments do not have the same groups, or fewer than two.
    """
    samples = [sample(theta) for theta in thetas]
    groups = {len(one.mean) for one in samples}
    if len(groups) != 1:
        raise ValueError(f"experiments need the same groups, not {sorted(groups)} of them")
    first, second = all_pairs(len(samples)) if pairs is None else pairs
    number, pooled = draws_for(len(first)) if draws is None else draws
    many = _Many(samples, first, second)
    q, norm, bound, widest = many.statistics()
    p = np.full(len(first), np.nan)
    tested = np.flatnonzero(np.isfinite(q))
    if groups == {2}:
        p[tested] = many.in_one_dimension(tested)
    elif not pooled:
        p[tested] = [share_above(q[i], many.drawn(int(i), rng, number)) for i in tested]
    else:
        for cell in many.cells(tested):
            share = max(number * len(cell) // len(tested), min(number, LEAST_POOL))
            p[cell] = tail_p(q[cell], many.pool(cell, rng, share))
    return PairTests(first, second, q, p, norm, bound, widest, delta, number, pooled)


class _Many:
    """The pairs of some samples, and what is computed of all at once."""

    def __init__(self, samples: Sequence[Sample], first: Integers, second: Integers) -> None:
        self._samples, self._first, self._second = samples, first, second
        self._seeds = np.array([one.seeds for one in samples])
        self._mean = np.array([one.mean for one in samples])
        self._square = np.array([one.square for one in samples])
        self._error = np.array([one.error for one in samples])
        self._df = np.array([one.df for one in samples])

    def statistics(self) -> tuple[Floats, Floats, Floats, Integers]:
        """Return `q`, `norm`, `bound` and `widest` of all pairs: shape (P,) each."""
        pairs, groups = len(self._first), self._mean.shape[1]
        q, norm, bound = np.empty((3, pairs))
        widest = np.empty(pairs, np.int64)
        step = max(1, AT_ONCE // (8 * groups))  # of the arrays below, some eight at once
        for some in (slice(i, i + step) for i in range(0, pairs, step)):
            a, b = self._first[some], self._second[some]
            d = self._mean[a] - self._mean[b]
            norm[some] = np.sqrt((d**2).sum(axis=1))
            q[some] = statistic(d, self._square[a] + self._square[b])
            df = welch(self._error[a], self._df[a, None], self._error[b], self._df[b, None])
            error = np.hypot(self._error[a], self._error[b])
            reach = np.abs(d) + _t_quantiles(df, 1 - ALPHA) * error
            bound[some] = reach.max(axis=1)
            widest[some] = np.where(np.isnan(bound[some]), -1, reach.argmax(axis=1))
        return q, norm, bound, widest

    def cells(self, pairs: Integers) -> Iterator[Integers]:
        """Divide pairs into those whose statistics have about the same distribution."""
        a, b = self._first[pairs], self._second[pairs]
        seeds = np.stack([self._seeds[a], self._seeds[b]])
        square = self._square.mean(axis=1)
        fewer = np.where(seeds[0] < seeds[1], square[a], square[b])
        fewer = np.where(seeds[0] == seeds[1], np.maximum(square[a], square[b]), fewer)
        part = np.searchsorted(_PARTS, fewer / (square[a] + square[b]))
        code = np.stack([seeds.min(axis=0), seeds.max(axis=0), part])
        _, place = np.unique(code, axis=1, return_inverse=True)
        for value in range(place.max(initial=-1) + 1):
            yield pairs[place == value]

    def in_one_dimension(self, pairs: Integers) -> Floats:
        """Return p of pairs with two groups, whose differences are one number: shape (C,)."""
        a, b = self._first[pairs], self._second[pairs]
        d = (self._mean[a] - self._mean[b])[:, 0]
        error_a, error_b = self._error[a, 0], self._error[b, 0]
        df, place = np.unique(np.stack([self._df[a], self._df[b]]), axis=1, return_inverse=True)
        p = np.empty(len(pairs))
        for i, (df_a, df_b) in enumerate(df.T):
            some = place == i
            p[some] = difference_p(d[some], error_a[some], df_a, error_b[some], df_b)
        return p

    def drawn(self, pair: int, rng: np.random.Generator, draws: int) -> Floats:
        """Draw the statistic of a pair that is the same: shape (draws,)."""
        pair_of = (self._samples[self._first[pair]], self._samples[self._second[pair]])
        return null_draws(pair_of, rng, draws)

    def pool(self, cell: Integers, rng: np.random.Generator, draws: int) -> Floats:
        """Draw the statistic of some of the pairs of a cell: sorted, at least `draws`."""
        chosen = rng.choice(cell, min(len(cell), POOL_PAIRS), replace=False)
        each = -(-draws // len(chosen))
        return np.sort(np.concatenate([self.drawn(int(i), rng, each) for i in chosen]))


def _t_quantiles(df: Floats, level: float) -> Floats:
    """Return quantiles of Student's t, df >= 1, to seven digits: millions of them in a second."""
    inverse, values = _t_table(level)
    return np.interp(1 / df, inverse, values)


@cache
def _t_table(level: float) -> tuple[Floats, Floats]:
    from scipy.special import stdtrit

    inverse = np.linspace(0, 1, 2001)
    return inverse, np.asarray(stdtrit(1 / np.maximum(inverse, 1 / KNOWN), level))


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
