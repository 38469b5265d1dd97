"""How well curves of several system sizes fall on one: Houdayer & Hartmann 2004, as arrays.

Curves are flat arrays over P points of K sizes; a scaling moves every curve as a whole, x by an
affine map and y by a factor. B sets of exponents are judged at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.errors import RgtoolError, UsageError
from ..arrays import Floats, Integers


@dataclass(frozen=True, eq=False)
class Curves:
    """Measured curves y(x) of K system sizes; `curves_of` checks and sorts them.

    Attributes
    ----------
    x, y, sigma : array, shape (P,)
        Control parameter, quantity and its standard error, by size, ascending in x within a size.
    start : integer array, shape (K + 1,)
        Points start[k] to start[k + 1] are those of size k.
    size : array, shape (K, D)
        The sizes: a length L, or width and depth.
    """

    x: Floats
    y: Floats
    sigma: Floats
    start: Integers
    size: Floats

    @property
    def member(self) -> Integers:
        """The size of every point, shape (P,)."""
        return np.repeat(np.arange(len(self.size)), np.diff(self.start))


@dataclass(frozen=True, eq=False)
class Affine:
    """A scaling of K curves for B sets of exponents: x -> x_factor x + x_shift, y -> y_factor y.

    Attributes
    ----------
    x_factor, x_shift, y_factor : array, shape (B, K)
        Factors are positive, so that a curve keeps its order.
    """

    x_factor: Floats
    x_shift: Floats
    y_factor: Floats


# Exponents (B, E) and sizes (K, D) to the scaling of every curve.
Scaling = Callable[[Floats, Floats], Affine]


def shift(exponents: Floats, size: Floats) -> Affine:
    """Scale x by powers of the sizes where x is a logarithm: x + sum_d e_d log size_d.

    With x = log density and sizes (width, depth) the exponents are psi and phi of the invariant
    m* = l^phi w^psi d (Rosenfeld et al. 2021).
    """
    moved = exponents @ np.log(size).T
    ones = np.ones_like(moved)
    return Affine(ones, moved, ones)


def critical(exponents: Floats, size: Floats) -> Affine:
    """Scale about a critical point: (x - x_c) L^(1/nu) and y L^(beta/nu).

    Exponents are 1/nu, beta/nu and x_c; a fixed one is held in the minimisation.
    """
    logs = np.log(size[:, 0])
    factor = np.exp(exponents[:, :1] * logs)
    return Affine(factor, -exponents[:, 2:3] * factor, np.exp(exponents[:, 1:2] * logs))


def curves_of(x: ArrayLike, y: ArrayLike, sigma: ArrayLike, size: ArrayLike) -> Curves:
    """Sort points into curves.

    Parameters
    ----------
    x, y, sigma : array, shape (P,)
        Points in any order, with standard errors.
    size : array, shape (P,) or (P, D)
        System size of every point.

    Raises
    ------
    UsageError
        Shapes differ, a number is not finite, or an error is not positive.
    RgtoolError
        There is one size only, or a size has fewer than two points or the same x twice.
    """
    columns = [np.asarray(values, np.float64) for values in (x, y, sigma)]
    sizes = np.asarray(size, np.float64)
    sizes = sizes[:, None] if sizes.ndim == 1 else sizes
    if len({len(values) for values in (*columns, sizes)}) != 1 or columns[0].ndim != 1:
        raise UsageError("x, y, sigma and size are due with equal lengths, one entry a point")
    for name, values in zip(("x", "y", "sigma", "size"), (*columns, sizes), strict=True):
        if not np.isfinite(values).all():
            raise UsageError(f"{name} holds {np.sum(~np.isfinite(values))} numbers not finite")
    if (columns[2] <= 0).any() or (sizes <= 0).any():
        raise UsageError("standard errors and sizes are positive numbers")
    distinct, member = np.unique(sizes, axis=0, return_inverse=True)
    if len(distinct) < 2:
        raise RgtoolError(
            f"{len(distinct)} system size: a collapse compares sizes, two are the least"
        )
    order = np.lexsort((columns[0], member.ravel()))
    start = np.searchsorted(member.ravel()[order], np.arange(len(distinct) + 1))
    sorted_x, sorted_y, sorted_sigma = (values[order] for values in columns)
    curves = Curves(sorted_x, sorted_y, sorted_sigma, start.astype(np.int64), distinct)
    _check_each_curve(curves)
    return curves


def _check_each_curve(curves: Curves) -> None:
    for k, (low, high) in enumerate(zip(curves.start, curves.start[1:], strict=False)):
        name = ", ".join(f"{value:g}" for value in curves.size[k])
        if high - low < 2:
            raise RgtoolError(f"size {name} has {high - low} point: a curve has two at least")
        if (np.diff(curves.x[low:high]) <= 0).any():
            raise RgtoolError(f"size {name} has the same x twice: average repeated points first")


def quality(
    curves: Curves, exponents: ArrayLike, scaling: Scaling = shift
) -> tuple[Floats, Floats]:
    """Return the quality S of collapses, and the share of points that it compares: (B,) each.

    S is the mean over points of (y - Y)^2 / (dy^2 + dY^2). The master curve Y at a point is the
    weighted straight line through, of every other size, the two neighbours that enclose the point
    after scaling; dY is its error (Houdayer & Hartmann 2004, Phys. Rev. B 70, 014418,
    appendix). S is about 1 where curves fall on one another within their errors. Points that no
    other size encloses are left out; S is infinite where all are.

    Parameters
    ----------
    curves : Curves
        What is to collapse.
    exponents : array, shape (B, E)
        Sets of exponents.
    scaling : callable
        `shift` or `critical`.
    """
    values = np.atleast_2d(np.asarray(exponents, np.float64))
    return quality_of_many(curves, np.broadcast_to(curves.y, (1, len(curves.y))), values, scaling)


def quality_of_many(
    curves: Curves, y: Floats, exponents: Floats, scaling: Scaling
) -> tuple[Floats, Floats]:
    """Return S and the share of points compared where every set of exponents has its own y.

    Parameters
    ----------
    curves : Curves
        Points, errors and sizes.
    y : array, shape (B, P) or (1, P)
        Values in place of `curves.y`.
    exponents : array, shape (B, E)
        Sets of exponents.
    scaling : callable
        `shift` or `critical`.
    """
    affine = scaling(exponents, curves.size)
    member = curves.member
    x = affine.x_factor[:, member] * curves.x + affine.x_shift[:, member]
    factor = affine.y_factor[:, member]
    scaled_y, sigma = y * factor, curves.sigma * factor
    weight = sigma**-2.0
    sums = np.zeros((5, *x.shape))
    for k in range(len(curves.size)):
        _add_neighbours(sums, k, curves, affine, x, scaled_y, weight)
    w, wx, wy, wxx, wxy = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        # The line at its origin, which lies at the point itself: intercept and variance.
        determinant = w * wxx - wx**2
        master = (wxx * wy - wx * wxy) / determinant
        terms = (scaled_y - master) ** 2 / (sigma**2 + wxx / determinant)
        compared = w > 0
        number = compared.sum(axis=1)
        total = np.where(compared, terms, 0.0).sum(axis=1)
        return np.where(number > 0, total / number, np.inf), number / x.shape[1]


def _add_neighbours(
    sums: Floats,
    k: int,
    curves: Curves,
    affine: Affine,
    x: Floats,
    y: Floats,
    weight: Floats,
) -> None:
    """Add to the sums of the line fits the two neighbours on curve k of all points of others."""
    low, high = int(curves.start[k]), int(curves.start[k + 1])
    own = curves.x[low:high]
    # A curve keeps its order, so points are looked up in its own, unscaled x.
    at = (x - affine.x_shift[:, k, None]) / affine.x_factor[:, k, None]
    left = np.searchsorted(own, at, side="right") - 1
    left[(left == len(own) - 1) & (at == own[-1])] -= 1
    inside = (left >= 0) & (left < len(own) - 1)
    inside[:, low:high] = False
    place = np.clip(left, 0, len(own) - 2) + low
    # Flat positions: looking up by rows and columns takes twice as long.
    flat = place + (x.shape[1] * np.arange(len(x)))[:, None]
    for neighbour in (flat, flat + 1):
        w = np.where(inside, weight.take(neighbour), 0.0)
        dx, value = x.take(neighbour) - x, y.take(neighbour)
        weighted = w * dx
        sums[0] += w
        sums[1] += weighted
        sums[2] += w * value
        sums[3] += weighted * dx
        sums[4] += weighted * value
