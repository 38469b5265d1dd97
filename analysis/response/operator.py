"""The linear operator of a flow, from runs that begin beside each other: J, as arrays.

z are logarithms of shares (or effective scales) in isometric log-ratio coordinates (Egozcue et al.
2003): orthonormal contrasts of groups, which a common factor does not move. Runs that begin at
perturbed masks at level n and prune on to level n + m give z(n + m) = J z(n) + b by least squares,
b a constant of every seed: the unperturbed run is one of its points, and what all runs of a seed
share, its own noise included, falls out. One run alone tells no J.

The seed is the unit: every seed has an operator of its own. An eigenvalue of their mean J moves
with J as w* dJ v / w* v, w and v its left and right eigenvectors (Wilkinson 1965), so that each
seed has a value of it whose mean is the eigenvalue, and Student's t serves. That fails where
eigenvalues lie within their errors of each other: noise pushes them apart, into complex pairs too.
Their mean does not suffer (it is the trace of J on their common subspace; Kato 1966, II.2), so that
what lies so near is one cluster, which has one value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from ..arrays import Bools, Floats
from ..stats.contrast import DRAWS, one_sample
from ..stats.level import ALPHA, CONFIDENCE, t_quantile

Complexes = np.ndarray[tuple[int, ...], np.dtype[np.complex128]]
Verdict = Literal["relevant", "irrelevant", "marginal", "indeterminate", ""]
LEAST_SEEDS = 2
MARGIN = 0.1  # an eigenvalue that lies so near to 1 is marginal
SAME = 1e-9  # by which numbers differ that are computed of the same counts
_APART = 0.98  # confidence with which two eigenvalues are apart that are not one cluster


def contrasts(groups: int) -> Floats:
    """Return orthonormal contrasts of K groups: shape (K, K - 1); z @ contrasts is ilr.

    Examples
    --------
    >>> contrasts(2).round(4).ravel().tolist()
    [0.7071, -0.7071]
    """
    k = np.arange(1, groups)
    rows = np.tril(np.ones((groups - 1, groups)))
    rows[np.arange(groups - 1), k] = -k
    return np.asarray((rows / np.sqrt(k * (k + 1))[:, None]).T)


def operators(start: Floats, end: Floats) -> Floats:
    """Return J of every seed by least squares with a constant of its own: shape (S, d, d).

    Parameters
    ----------
    start, end : array, shape (S, R, d)
        Coordinates of R runs, the unperturbed one among them, at both levels.

    Raises
    ------
    ValueError
        The starts of a seed do not span the space.
    """
    x, y = (z - z.mean(axis=1, keepdims=True) for z in (start, end))
    rank = np.linalg.matrix_rank(x)
    if (rank < x.shape[-1]).any():
        raise ValueError(f"starts span {rank.min()} of {x.shape[-1]} dimensions")
    return np.asarray(np.swapaxes(np.linalg.pinv(x) @ y, -1, -2))


def mean_eigenvalue(operator: Floats) -> Floats:
    """Return the trace of J over its dimension, of every seed: (S, d, d) to (S,)."""
    return np.asarray(np.trace(operator, axis1=1, axis2=2) / operator.shape[-1])


@dataclass(frozen=True, eq=False)
class Eigen:
    """Eigenvalues of the mean of S operators in d dimensions, the largest modulus first.

    Attributes
    ----------
    values : complex array, shape (d,)
        Eigenvalues.
    right : complex array, shape (d, d)
        Right eigenvectors in its columns, of length 1.
    seeds : complex array, shape (S, d)
        What each seed tells of every eigenvalue; the mean over seeds is the eigenvalue.
    loadings : complex array, shape (S, d, d)
        What each tells of the eigenvectors, orthogonal deviations to first order.
    """

    values: Complexes
    right: Complexes
    seeds: Complexes
    loadings: Complexes

    @cached_property
    def error(self) -> Floats:
        """Standard errors of the eigenvalues in the complex plane, NaN of one seed: shape (d,)."""
        apart = np.abs(self.seeds - self.values) ** 2
        number = len(self.seeds)
        if number < LEAST_SEEDS:
            return np.full(len(self.values), np.nan)
        return np.asarray(np.sqrt(apart.sum(axis=0) / (number * (number - 1))))

    @cached_property
    def clusters(self) -> list[list[int]]:
        """Positions of eigenvalues that cannot be told apart, complex conjugates together."""
        near = self._near()
        left, found = set(range(len(self.values))), list[list[int]]()
        while left:
            cluster, waiting = set[int](), {min(left)}
            while waiting:
                one = waiting.pop()
                cluster.add(one)
                waiting |= set(np.flatnonzero(near[one]).tolist()) - cluster
            left -= cluster
            found.append(sorted(cluster))
        return found

    @property
    def _quantile(self) -> float:
        """Standard errors of a difference within which two eigenvalues may be one."""
        return t_quantile(2 * (len(self.seeds) - 1), _APART)

    def _near(self) -> Bools:
        distance = np.abs(self.values[:, None] - self.values)
        near = ~(distance > self._quantile * np.hypot(self.error[:, None], self.error))
        scale = 1e-9 * max(float(np.abs(self.values).max()), 1e-300)
        conjugate = np.abs(self.values[:, None] - self.values.conj()) <= scale
        return np.asarray(near | conjugate)

    def is_pair(self, cluster: list[int]) -> bool:
        """Tell whether a cluster is a pair of complex eigenvalues, and surely no two real ones."""
        if len(cluster) != 2:
            return False
        one, other = self.values[cluster]
        apart = self._quantile * np.sqrt(2) * self.error[cluster[0]]
        return bool(one.imag != 0 and np.isclose(one, other.conj()) and 2 * abs(one.imag) > apart)

    def told(self, cluster: list[int]) -> Floats:
        """Return what each seed tells of a cluster: its mean eigenvalue, of a pair the modulus."""
        if self.is_pair(cluster):
            one = self.values[cluster[0]]
            return np.asarray((one.conj() * self.seeds[:, cluster[0]]).real / abs(one))
        return np.asarray(self.seeds[:, cluster].real.mean(axis=1))


def eigen_of(operator: Floats) -> Eigen:
    """Decompose the mean of the operators of seeds.

    Parameters
    ----------
    operator : array, shape (S, d, d)
        One for each seed.
    """
    from scipy.linalg import eig

    mean = operator.mean(axis=0)
    values, left, right = eig(mean, left=True, right=True)
    order = np.lexsort((-values.imag, -values.real, -np.abs(values).round(12)))
    values, left, right = values[order], left[:, order], right[:, order]
    overlap = (left.conj() * right).sum(axis=0)
    # w_j* (J_s - J) v_k / w_j* v_j: how seeds move eigenvalues (j = k) and mix eigenvectors.
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = (left.conj().T @ (operator - mean) @ right) / overlap[:, None]
        gap = values[None, :] - values[:, None]
        mixed = np.where(gap == 0, 0, moved / np.where(gap == 0, 1, gap))
    away = right @ mixed
    away -= right * (right.conj() * away).sum(axis=1, keepdims=True)
    seeds = values + np.diagonal(moved, axis1=-2, axis2=-1)
    return Eigen(values, right, seeds, right + away)


@dataclass(frozen=True)
class Interval:
    """A number that seeds tell, with Student's interval.

    Attributes
    ----------
    value, error : float
        Mean over seeds, and its standard error; NaN of one seed.
    df : int
        Degrees of freedom of the error.
    """

    value: float
    error: float
    df: int

    def half(self, confidence: float = CONFIDENCE) -> float:
        """Return the half-width of the interval."""
        return t_quantile(self.df, confidence) * self.error

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - self.half()

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + self.half()

    def p_below(self, bound: float) -> float:
        """Return the one-sided p of a number that is not below a bound."""
        from scipy.special import stdtr

        with np.errstate(divide="ignore", invalid="ignore"):
            return float(stdtr(self.df, np.divide(self.value - bound, self.error)))

    def p_of(self, value: float) -> float:
        """Return the two-sided p of a value."""
        below = self.p_below(value)
        return 2 * min(below, 1 - below)

    @property
    def p_contracts(self) -> float:
        """One-sided p of a modulus that is not below 1."""
        return max(self.p_below(1.0), 1 - self.p_below(-1.0))


def interval_of(told: Floats) -> Interval:
    """Return what seeds tell of a number: shape (S,)."""
    seeds, error = len(told), float("nan")
    if seeds >= LEAST_SEEDS and np.ptp(told) > SAME:  # seeds that are all alike certify nothing
        error = float(told.std(ddof=1)) / np.sqrt(seeds)
    return Interval(float(told.mean()), error, seeds - 1)


def verdict_of(found: Interval, margin: float = MARGIN) -> Verdict:
    """Say whether deviations grow (relevant), fade (irrelevant) or stay (marginal).

    Parameters
    ----------
    found : Interval
        An eigenvalue, or the modulus of a pair.
    margin : float
        Of `marginal`: the 90 % interval lies within it on both sides of 1.
    """
    if not np.isfinite(found.error):
        return ""
    if found.low > 1 or found.high < -1:
        return "relevant"
    if found.low > -1 and found.high < 1:
        return "irrelevant"
    inner = found.half(1 - 2 * ALPHA)
    near = 1 - margin < found.value - inner and found.value + inner < 1 + margin
    return "marginal" if near else "indeterminate"


def identity_p(operator: Floats, rng: np.random.Generator, draws: int = DRAWS) -> float:
    """Return p of J = 1, as it is where shares grow by constant factors; NaN of too few seeds.

    The entries of V (J - 1) V', V the contrasts, are those of a matrix with vanishing row sums, so
    that the test of centred means (`stats.contrast`) applies to them as they are. One number is
    tested by Student's t.

    Parameters
    ----------
    operator : array, shape (S, d, d)
        One for each seed.
    rng : numpy.random.Generator
        Of the draws behind p.
    draws : int
        Number of draws.
    """
    seeds, dimension = operator.shape[:2]
    if seeds < LEAST_SEEDS:
        return float("nan")
    if dimension == 1:
        return interval_of(operator[:, 0, 0]).p_of(1.0)
    basis = contrasts(dimension + 1)
    apart = basis @ (operator - np.eye(dimension)) @ basis.T
    try:
        return one_sample(apart.reshape(seeds, -1), rng, draws).p
    except ValueError:  # seeds that are all alike
        return float("nan")
