"""Tests of few seeds of K groups: their mean is zero, or that of other seeds.

Spectra are compared up to a common factor, so everything is centred over the groups (Aitchison
1982). The statistic is Q = sum_i d_i^2 / v_i: d the mean of the centred values, or the difference
of two means, and v_i its variance. Every experiment has its own: variances pooled over experiments
reject a true hypothesis nine times in ten where the one with few seeds is the loud one. They are
moderated over groups (Smyth 2004), the other groups counting as two degrees of freedom at most.

Seeds are few and groups correlate, so no table gives the distribution of Q; it is drawn. Drawn
seeds are normal, with the larger of moderated and own variance and a correlation, shrunk, that all
experiments tell together, each scaled by its own deviations, or its own seeds where they tell a
stronger one: a factor in one experiment only would be thinned by the others. Every draw is
moderated as the data were. How far the seeds of an experiment scatter is itself known from few, so
its draws are scaled by sqrt(f / chi2_f), f = K_eff (S - 1). That cancels from a variance of three
seeds, which are all scaled; with two it is applied to their mean alone. Where a correlation is an
experiment's own, its variance is scaled by the power K_eff / K_eff(together) of it, less the more
it is alone with its factor: what the other experiment adds to the variance of the difference then
keeps the scale from cancelling in the data.

Two groups are one dimension, where Student's t, Welch's and that of Behrens and Fisher serve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import AT_ONCE, Bools, Floats
from .difference import KNOWN, difference_p, welch
from .moderation import (
    correlation_about_zero,
    effective_groups,
    helmert,
    lent,
    moderate,
    seed_variance,
    square_root,
)

DRAWS = 9999
OWN = 5  # seeds from which on a group's interval is made with its own variance
_LENT = 2.0  # degrees of freedom that the other groups lend to a variance in Q, at most
_FLOOR = 1e-6  # of the mean variance: a group whose seeds agree by chance has a variance then
_ALIKE = 1e-13  # largest difference of centred values that are equal but for rounding


@dataclass(frozen=True, eq=False)
class Told:
    """What is known of how K groups of an experiment move together.

    Attributes
    ----------
    correlation : array, shape (K, K)
        Of its groups.
    cancels : float
        Power of a common scale that its variance takes: 1 where the correlation is that of all
        experiments.
    """

    correlation: Floats
    cancels: float = 1.0


@dataclass(frozen=True, eq=False)
class Sample:
    """What S seeds of an experiment tell of the mean of K centred groups.

    Attributes
    ----------
    seeds : int
        S: those that are not the same as an earlier one in every group. A lone seed has no
        variance: all but its mean is NaN.
    mean : array, shape (K,)
        Over seeds; sums to zero.
    square : array, shape (K,)
        Variance of the mean in Q.
    error : array, shape (K,)
        Standard error of the mean in intervals.
    df : float
        Its degrees of freedom.
    deviation : array, shape (K,)
        Standard deviation of a drawn seed.
    rows : array, shape (S - 1, K)
        Independent rows of mean 0, scaled to a mean square of 1 in every group (`helmert`).
    """

    seeds: int
    mean: Floats
    square: Floats
    error: Floats
    df: float
    deviation: Floats
    rows: Floats

    def drawn(self, told: Told, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
        """Draw `mean` where the true one is 0, and `square` as it then is: shapes (draws, K)."""
        groups = len(self.mean)
        root = square_root(told.correlation) * self.deviation
        # One product of two matrices is several times as fast as one for every draw.
        rows = rng.standard_normal((draws * self.seeds, groups)) @ centred(root)
        z = rows.reshape(draws, self.seeds, groups)
        mean = z.mean(axis=1)
        squares = np.einsum("bsk,bsk->bk", z, z) - self.seeds * mean**2
        square = _moderated_square(squares / (self.seeds - 1), self.seeds)
        df = float(effective_groups(told.correlation)) * (self.seeds - 1)
        scale = np.sqrt(df / rng.chisquare(df, draws))[:, None]
        return mean * scale, square * scale ** (2 * told.cancels if self.seeds > 2 else 0)


@dataclass(frozen=True, eq=False)
class Known:
    """Centred means of K groups without seeds, whose variance is taken from elsewhere.

    Attributes
    ----------
    mean : array, shape (K,)
        They sum to zero.
    variance : float
        Of a mean before centring, the same in all groups and independent.
    """

    mean: Floats
    variance: float

    @property
    def square(self) -> Floats:
        """Variance of the mean in Q: shape (K,)."""
        groups = len(self.mean)
        return np.full(groups, self.variance * (1 - 1 / groups))

    @property
    def error(self) -> Floats:
        """Standard error of the mean: shape (K,)."""
        return np.sqrt(self.square)

    @property
    def df(self) -> float:
        """Degrees of freedom of the error."""
        return KNOWN

    @property
    def rows(self) -> Floats:
        """Rows that tell a correlation, of which there are none: shape (0, K)."""
        return np.empty((0, len(self.mean)))

    def drawn(self, told: Told, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
        """Draw `mean` where the true one is 0, independent whatever is told; `square`."""
        z = np.sqrt(self.variance) * rng.standard_normal((draws, len(self.mean)))
        return centred(z), self.square


@dataclass(frozen=True, eq=False)
class Contrast:
    """Centred means of K groups, and the test that all of them are zero.

    Attributes
    ----------
    centre : array, shape (K,)
        d_i; they sum to zero.
    error : array, shape (K,)
        Standard errors: moderated below five seeds, else from a group's own variance.
    df : array, shape (K,)
        Degrees of freedom of centre / error.
    q : float
        The statistic.
    p : float
        Share of draws with a statistic at least as large, the data counted among the draws; that
        of a t distribution where there are two groups.
    """

    centre: Floats
    error: Floats
    df: Floats
    q: float
    p: float

    def half_width(self, confidence: float = 0.95) -> Floats:
        """Return the half-width of the t interval of every centre: shape (K,)."""
        from scipy.special import stdtrit

        return np.asarray(stdtrit(self.df, 0.5 + confidence / 2) * self.error)

    def p_values(self) -> Floats:
        """Return the two-sided p of every group alone, not corrected for their number: (K,)."""
        from scipy.special import stdtr

        return np.asarray(2 * stdtr(self.df, -np.abs(self.centre / self.error)))


def centred(values: ArrayLike) -> Floats:
    """Return values minus their mean over groups, the last axis: clr of their exponentials."""
    data = np.asarray(values, np.float64)
    return np.asarray(data - data.mean(axis=-1, keepdims=True))


def repeated(values: ArrayLike) -> Bools:
    """Tell which seeds are the same as an earlier one in every group, up to a factor: (S,).

    Parameters
    ----------
    values : array, shape (S, K)
        One row per seed. A run that is written twice tells nothing twice.
    """
    data = centred(values)
    alike = (np.abs(data[:, None] - data) <= _ALIKE).all(axis=-1)
    return np.asarray(np.tril(alike, -1).any(axis=1))


def sample(values: ArrayLike) -> Sample:
    """Summarise the seeds of an experiment.

    Parameters
    ----------
    values : array, shape (S, K)
        One row per seed; a common factor of their exponentials does not count.

    Raises
    ------
    ValueError
        There are fewer than two groups.
    """
    data = centred(values)
    if data.ndim != 2 or data.shape[1] < 2:
        raise ValueError(f"a contrast needs seeds of two groups or more, not shape {data.shape}")
    data = data[~repeated(data)]
    seeds, mean = len(data), data.mean(axis=0)
    if seeds < 2:
        nothing = np.full_like(mean, np.nan)
        return Sample(seeds, mean, nothing, nothing, np.nan, nothing, data[:0])
    own = seed_variance(data)
    square = _moderated_square(own, seeds)
    few = lent(data) if seeds < OWN else None
    variance = _floored(own if few is None else few.variance)
    rows = helmert(data)
    return Sample(
        seeds=seeds,
        mean=mean,
        square=square,
        error=np.sqrt(variance / seeds),
        df=seeds - 1.0 if few is None else float(few.df),
        deviation=np.sqrt(np.maximum(square * seeds, own)),
        rows=rows / np.sqrt(_floored((rows**2).mean(axis=0))),
    )


def _moderated_square(variance: Floats, seeds: int) -> Floats:
    """Return the variance of the mean in Q from those over seeds, shape (..., K)."""
    return np.asarray(moderate(_floored(variance), seeds - 1, _LENT).variance / seeds)


def _floored(variance: Floats) -> Floats:
    return np.asarray(np.maximum(variance, _FLOOR * variance.mean(axis=-1, keepdims=True)))


def one_sample(values: ArrayLike, rng: np.random.Generator, draws: int = DRAWS) -> Contrast:
    """Test whether the centred means of an experiment are all zero.

    Parameters
    ----------
    values : array, shape (S, K)
        One row per seed.
    rng : numpy.random.Generator
        Randomness of the draws.
    draws : int
        Number of draws; p is at least 1 / (draws + 1).

    Raises
    ------
    ValueError
        There are fewer than two groups, or than two seeds that differ.
    """
    one = sample(values)
    if one.seeds < 2:
        alike = "all seeds are alike" if len(np.asarray(values)) > 1 else "two seeds are needed"
        raise ValueError(f"{alike}: there is no variance to compare with")
    q = statistic(one.mean, one.square)
    if len(one.mean) == 2:
        p = float(difference_p(one.mean[:1], one.error[:1], one.df, [0.0], KNOWN)[0])
    else:
        p = share_above(float(q), null_draws([one], rng, draws))
    return Contrast(one.mean, one.error, np.full(len(one.mean), one.df), float(q), p)


def two_samples(
    a: Sample, b: Sample | Known, rng: np.random.Generator, draws: int = DRAWS
) -> Contrast:
    """Test whether two experiments have the same centred means.

    Parameters
    ----------
    a, b : Sample or Known
        With the same K groups. With a lone seed there is no test: error, df, q and p are NaN.
    rng : numpy.random.Generator
        Randomness of the draws.
    draws : int
        Number of draws; p is at least 1 / (draws + 1).
    """
    d = a.mean - b.mean
    q = float(statistic(d, a.square + b.square))
    if np.isnan(q):
        p = np.nan
    elif len(d) == 2:
        p = float(difference_p(d[:1], a.error[:1], a.df, b.error[:1], b.df)[0])
    else:
        p = share_above(q, null_draws([a, b], rng, draws))
    return Contrast(d, np.hypot(a.error, b.error), welch(a.error, a.df, b.error, b.df), q, p)


def statistic(d: Floats, square: Floats) -> Floats:
    """Return Q of centred means, or differences of them, and their variances: (..., K) to (...)."""
    return np.asarray((d**2 / square).sum(axis=-1))


def share_above(q: float, drawn: Floats) -> float:
    """Return the share of draws that are at least q, the data counted among the draws."""
    return float((1 + (drawn >= q).sum()) / (len(drawn) + 1))


def null_draws(samples: Sequence[Sample | Known], rng: np.random.Generator, draws: int) -> Floats:
    """Draw Q of one experiment whose means are zero, or of two that have the same: (draws,)."""
    told = told_of(samples)
    seeds = sum(len(one.rows) + 1 for one in samples)
    chunk = max(1, AT_ONCE // (seeds * len(samples[0].mean)))
    parts = []
    for first in range(0, draws, chunk):
        size = min(chunk, draws - first)
        drawn = [one.drawn(own, rng, size) for one, own in zip(samples, told, strict=True)]
        mean = drawn[0][0] - drawn[1][0] if len(drawn) > 1 else drawn[0][0]
        parts.append(statistic(mean, np.asarray(sum(square for _, square in drawn))))
    return np.concatenate(parts)


def told_of(samples: Sequence[Sample | Known]) -> list[Told]:
    """Tell what each experiment is drawn with: the stronger of its own and the common correlation.

    Two seeds tell none of their own.
    """
    common = common_correlation(samples)
    together = float(effective_groups(common))

    def told(one: Sample | Known) -> Told:
        own = common_correlation([one])
        if (own**2).sum() <= (common**2).sum():
            return Told(common)
        return Told(own, float(effective_groups(own)) / together)

    return [told(one) for one in samples]


def common_correlation(samples: Sequence[Sample | Known]) -> Floats:
    """Return the correlation of groups that experiments tell together: shape (K, K).

    Each experiment's rows are scaled by its own deviations, so that a loud one does not speak for
    all. One row has no correlation, and scaled by itself it would feign one.
    """
    groups = len(samples[0].mean)
    rows = [one.rows for one in samples if len(one.rows) > 1]
    return correlation_about_zero(np.concatenate([np.empty((0, groups)), *rows]))
