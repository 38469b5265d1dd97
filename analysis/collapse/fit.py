"""The exponents under which curves collapse best, with two kinds of interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.errors import RgtoolError, UsageError
from ..arrays import Bools, Floats, Integers
from ..stats.simplex import minimise
from .quality import Curves, Scaling, quality_of_many, shift

ACCEPT = 1.3  # S up to which a collapse counts as one
LEAST = 10  # points that S must compare
OVERLAP = 0.5  # share of the points that a collapse must compare: curves pushed apart fit for free
_PLACES = 8  # places of the coarse grid that are followed to a minimum
_CLOUD = 60  # places an exponent that each replica is tried at
_FOLLOWED = 4  # of them that are followed to a minimum
_SCAN = 41  # values of one exponent at which the others are minimised anew
_POINTS_AT_ONCE = 400_000  # points times sets of exponents judged at once: about 50 MB


@dataclass(frozen=True, eq=False)
class CollapseFit:
    """The best collapse of some curves.

    Attributes
    ----------
    exponents : array, shape (E,)
        Where S is smallest; fixed ones hold their value.
    quality : float
        S there.
    points : int
        Number of points that S compares there.
    low, high : array, shape (E,)
        Where S, minimised over the other exponents, has risen by 1 (the rule of Houdayer &
        Hartmann); infinite where it does not as far as curves overlap, NaN for fixed ones.
    draws : array, shape (B, E)
        Exponents of resampled curves; B is 0 without any.
    boot_low, boot_high : array, shape (E,)
        The 95 % interval of these; NaN without draws and for fixed exponents.
    spread : float
        Mean square of y about its weighted mean, in units of sigma: about 1 for flat curves.
    bounded : bool array, shape (E,)
        Whether the minimum lies inside the box; False for one at its edge.
    """

    exponents: Floats
    quality: float
    points: int
    low: Floats
    high: Floats
    draws: Floats
    boot_low: Floats
    boot_high: Floats
    spread: float
    bounded: Bools

    @property
    def verdict(self) -> str:
        """`accepted`, or `refused: ` with the reason.

        S must be at most 1.3 over at least ten points, fewer make it a matter of chance (its own
        standard deviation is about sqrt(2/n)), S must rise by 1 on both sides of its minimum, and
        the curves must not be flat.
        """
        if self.spread <= ACCEPT:
            return "refused: the curves are flat within their errors, every shift fits"
        if self.quality > ACCEPT:
            return f"refused: S_min is over {ACCEPT:g}, curves do not fall on one"
        if self.points < LEAST:
            return f"refused: S compares {self.points} points, {LEAST} are the least"
        free = np.isfinite(self.exponents) & ~np.isnan(self.low)
        if not (self.bounded.all() and np.isfinite([self.low[free], self.high[free]]).all()):
            return "refused: S hardly rises as far as curves overlap, exponents are not determined"
        return "accepted"

    @property
    def accepted(self) -> bool:
        """Whether the exponents may be quoted."""
        return self.verdict == "accepted"


def best_collapse(
    curves: Curves,
    box: Sequence[tuple[float, float]],
    *,
    scaling: Scaling = shift,
    replicas: ArrayLike | None = None,
    overlap: float = OVERLAP,
    grid: int | None = None,
) -> CollapseFit:
    """Find the exponents that make S smallest.

    A grid over the box, simplices from its best places, and again for every replica from the
    minimum found.

    Parameters
    ----------
    curves : Curves
        What is to collapse.
    box : sequence of (low, high)
        Where each exponent is sought; low equal to high fixes it.
    scaling : callable
        `shift` or `critical`.
    replicas : array, shape (B, P), optional
        Other values of y as other seeds might have given them: a bootstrap over replicates.
    overlap : float
        Share of the points that must be compared, and each size with at least one of them.
    grid : int, optional
        Values an axis of the coarse grid.

    Raises
    ------
    UsageError
        The box is empty or not finite, or everything in it is fixed.
    RgtoolError
        There are fewer points than free exponents, or curves do not overlap anywhere in the box.
    """
    ends = np.asarray(box, np.float64)
    free = _check_box(ends)
    if len(curves.x) <= free.sum() + 1:
        raise RgtoolError(
            f"{len(curves.x)} points for {free.sum()} exponents: more points are needed"
        )
    problem = _Problem(curves, ends, free, scaling, overlap)
    starts = problem.grid(grid or {1: 201, 2: 41}.get(int(free.sum()), 15))
    found, values = minimise(problem, starts, problem.step)
    best = int(np.argmin(values))
    s_min, point = float(values[best]), found[best]
    low, high = _rise(problem, point, s_min)
    drawn = _replicas(problem, point, low[free], high[free], replicas)
    boot = np.full((2, len(ends)), np.nan)
    if len(drawn):
        boot[:, free] = np.quantile(drawn, (0.025, 0.975), axis=0)
    margin = 1e-3 * (ends[free, 1] - ends[free, 0])
    inside = (point > ends[free, 0] + margin) & (point < ends[free, 1] - margin)
    bounded = np.ones(len(ends), bool)
    bounded[free] = inside
    full = problem.full(point[None])
    compared = quality_of_many(curves, curves.y[None], full, scaling)[1]
    return CollapseFit(
        exponents=full[0],
        quality=s_min,
        points=round(float(compared[0]) * len(curves.x)),
        low=low,
        high=high,
        draws=problem.full(drawn),
        boot_low=boot[0],
        boot_high=boot[1],
        spread=_flatness(curves),
        bounded=bounded,
    )


def _flatness(curves: Curves) -> float:
    weight = curves.sigma**-2.0
    mean = (weight * curves.y).sum() / weight.sum()
    return float((weight * (curves.y - mean) ** 2).mean())


def _check_box(ends: Floats) -> Bools:
    if ends.ndim != 2 or ends.shape[1] != 2 or not np.isfinite(ends).all():
        raise UsageError("the box is a pair of finite numbers (low, high) for every exponent")
    if (ends[:, 0] > ends[:, 1]).any():
        raise UsageError("the box has a low end above its high end")
    free = ends[:, 0] < ends[:, 1]
    if not free.any():
        raise UsageError("all exponents are fixed (low equals high): nothing is left to find")
    return np.asarray(free)


class _Problem:
    """S as a function of the free exponents; infinite outside the box and without overlap."""

    def __init__(
        self,
        curves: Curves,
        ends: Floats,
        free: Bools,
        scaling: Scaling,
        overlap: float,
    ) -> None:
        self.curves, self.ends, self.free = curves, ends, free
        self.scaling, self.overlap = scaling, overlap
        self.y = curves.y[None]
        self.step = (ends[free, 1] - ends[free, 0]) / 40

    def full(self, points: Floats) -> Floats:
        """Put fixed exponents beside free ones: (B, E) from (B, free)."""
        out = np.tile(self.ends[:, 0], (len(points), 1))
        out[:, self.free] = points
        return out

    def __call__(self, points: Floats, problem: Integers) -> Floats:
        out = np.full(len(points), np.inf)
        low, high = self.ends[self.free].T
        inside = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
        chunk = max(1, _POINTS_AT_ONCE // len(self.curves.x))
        for part in np.array_split(inside, -(-len(inside) // chunk) or 1):
            y = self.y if len(self.y) == 1 else self.y[problem[part]]
            s, compared = quality_of_many(self.curves, y, self.full(points[part]), self.scaling)
            out[part] = np.where(compared >= self.overlap, s, np.inf)
        return out

    def grid(self, values: int) -> Floats:
        """Return the best places of a coarse grid, (at most _PLACES, free)."""
        low, high = self.ends[self.free].T
        axes = [np.linspace(*pair, values + 2)[1:-1] for pair in zip(low, high, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
        s = self(points, np.zeros(len(points), np.int64))
        order = np.argsort(s, kind="stable")[: 40 * _PLACES]
        order = order[np.isfinite(s[order])]
        if not len(order):
            raise RgtoolError(
                "the sizes do not overlap: for no exponents in the box does another size enclose "
                f"{self.overlap:.0%} of the points; measure each size over a wider range"
            )
        return points[_in_other_valleys(points[order], (high - low) / 20, order)]


def _in_other_valleys(points: Floats, distance: Floats, order: Integers) -> Integers:
    """Choose places that are not all in one valley, the best first."""
    chosen: list[int] = []
    for i, point in enumerate(points):
        if all((np.abs(point - points[j]) > distance).any() for j in chosen):
            chosen.append(i)
        if len(chosen) == _PLACES:
            break
    return order[chosen]


def _rise(problem: _Problem, point: Floats, s_min: float) -> tuple[Floats, Floats]:
    """Return where S rises by 1 along each exponent, the others minimised anew: (E,) twice."""
    ends = np.full((2, len(problem.ends)), np.nan)
    for axis, e in enumerate(np.flatnonzero(problem.free)):
        low, high = problem.ends[e]
        for side, bound in enumerate((low, high)):
            ends[side, e] = _rise_at(problem, axis, point, bound, s_min + 1)
    return ends[0], ends[1]


def _rise_at(problem: _Problem, axis: int, point: Floats, bound: float, level: float) -> float:
    """Return where the profile of S along one axis crosses a level first, or infinity.

    A coarse scan from the minimum to the edge of the box, and a fine one where it crosses.
    """
    inner, outer = float(point[axis]), float(bound)
    for _ in range(2):
        values = np.linspace(inner, outer, _SCAN)
        profile = _profile(problem, axis, point, values)
        above = np.flatnonzero(profile[1:] > level) + 1
        # Where curves cease to overlap S says nothing against the exponent.
        if not len(above) or not np.isfinite(profile[above[0]]):
            return float(np.sign(bound - point[axis]) * np.inf)
        inner, outer = float(values[above[0] - 1]), float(values[above[0]])
    return (inner + outer) / 2


def _profile(problem: _Problem, axis: int, point: Floats, values: Floats) -> Floats:
    others = [i for i in range(len(point)) if i != axis]

    def filled(rest: Floats, index: Integers) -> Floats:
        points = np.empty((len(rest), len(point)))
        points[:, others], points[:, axis] = rest, values[index]
        return problem(points, np.zeros(len(rest), np.int64))

    def from_place(rest: Floats, where: Integers) -> tuple[Floats, Floats]:
        step = problem.step[others] / 4
        return minimise(
            lambda points, at: filled(points, where[at]), rest, step, iterations=60, tol=0.02
        )

    everyone = np.arange(len(values))
    start = np.tile(point[others], (len(values), 1))
    if not others:
        return filled(start, everyone)
    found, s = from_place(start, everyone)
    # From a place without overlap a simplex cannot move: neighbours lend theirs.
    for before, after in pairwise(everyone):
        if not np.isfinite(s[after]):
            again = from_place(found[before][None], everyone[after : after + 1])
            found[after], s[after] = again[0][0], again[1][0]
    return s


def _replicas(
    problem: _Problem, point: Floats, low: Floats, high: Floats, replicas: ArrayLike | None
) -> Floats:
    """Minimise S for every replica: the best of a cloud of places, then a simplex.

    S has many small valleys, since neighbours change as curves move: a simplex alone would stay in
    the valley of the data's own minimum. The cloud fills the range of the rule S_min + 1.
    """
    if replicas is None:
        return np.empty((0, len(point)))
    y = np.asarray(replicas, np.float64)
    if y.ndim != 2 or y.shape[1] != len(problem.curves.x):
        raise UsageError(f"replicas of shape (B, {len(problem.curves.x)}) are due, not {y.shape}")
    ends = problem.ends[problem.free]
    low, high = (
        np.where(np.isfinite(rise), rise, bound)
        for rise, bound in zip((low, high), ends.T, strict=True)
    )
    if len(point) == 1:
        cloud = np.linspace(low, high, _CLOUD)
    else:
        cloud = np.random.default_rng(0).uniform(low, high, (len(point) * _CLOUD, len(point)))
    cloud = np.concatenate([point[None], cloud])
    problem.y = y
    index = np.repeat(np.arange(len(y)), len(cloud))
    s = problem(np.tile(cloud, (len(y), 1)), index).reshape(len(y), -1)
    start = cloud[np.argsort(s, axis=1)[:, :_FOLLOWED]].reshape(-1, len(point))
    rows = np.repeat(np.arange(len(y)), _FOLLOWED)
    found, values = minimise(
        lambda points, at: problem(points, rows[at]),
        start,
        (high - low) / 20,
        iterations=120,
        tol=0.02,
    )
    best = np.argmin(values.reshape(len(y), -1), axis=1) + _FOLLOWED * np.arange(len(y))
    found, values = found[best], values[best]
    problem.y = problem.curves.y[None]
    return np.asarray(found[np.isfinite(values)])
