"""How far apart spectra are, as points whose distances SciPy computes: clr or quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..stats.contrast import centred


def clr_points(theta: ArrayLike, variance: ArrayLike) -> Floats:
    """Return points whose Euclidean distance is the Mahalanobis distance of the statistic Q.

    Parameters
    ----------
    theta : array, shape (..., E, K)
        Log eigenvalues of E experiments with the same groups; a common factor does not count.
    variance : array, shape (K,)
        Of one seed's centred log eigenvalues, common to all experiments. Correlations are left
        out, as they are in Q.

    Returns
    -------
    array, shape (..., E, K)
        Distances are in standard deviations of one seed.
    """
    return np.asarray(centred(theta) / np.sqrt(np.asarray(variance, np.float64)))


def quantile_points(thetas: Sequence[ArrayLike]) -> Floats:
    """Return points whose city-block distance is the Wasserstein-1 distance of spectra.

    The spectrum of K groups is the distribution with a share 1/K at each of its values; W1 is the
    area between the quantile functions of two. They are constant between the multiples of 1/K, so
    on the union of all these multiples the area is a finite sum and exact.

    Parameters
    ----------
    thetas : sequence of array, shapes (..., K_e)
        Log eigenvalues; numbers of groups may differ, leading shapes may not.

    Returns
    -------
    array, shape (..., E, N)

    Examples
    --------
    >>> points = quantile_points([[0.0, 1.0], [0.0, 1.0, 1.0]])
    >>> round(float(abs(points[0] - points[1]).sum()), 6)
    0.166667
    """
    data = [np.sort(np.asarray(theta, np.float64), axis=-1) for theta in thetas]
    edges = union_edges([theta.shape[-1] for theta in data])
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    columns = [
        theta[..., np.minimum((middle * theta.shape[-1]).astype(np.int64), theta.shape[-1] - 1)]
        for theta in data
    ]
    return np.stack(columns, axis=-2) * width


def depth_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Return the L2 distance of spectra as functions of depth.

    Group k of K sits at x = (k - 1/2)/K; between groups theta(x) is linear, outside it is that of
    the first and the last. Exact: the squared difference is a parabola between the nodes, and
    Simpson's rule integrates parabolas.

    Parameters
    ----------
    a, b : array, shapes (K_a,) and (K_b,)
        Log eigenvalues in the order of the forward pass.

    Examples
    --------
    >>> depth_distance([0.0, 0.0], [1.0, 1.0, 1.0])
    1.0
    """
    values = [np.asarray(theta, np.float64) for theta in (a, b)]
    depths = [(np.arange(len(theta)) + 0.5) / len(theta) for theta in values]
    nodes = np.unique(np.concatenate([*depths, [0.0, 1.0]]))
    every = np.sort(np.concatenate([nodes, (nodes[1:] + nodes[:-1]) / 2]))
    curves = [np.interp(every, x, theta) for x, theta in zip(depths, values, strict=True)]
    square = (curves[0] - curves[1]) ** 2
    simpson = (square[:-1:2] + 4 * square[1::2] + square[2::2]) / 6
    return float(np.sqrt((simpson * np.diff(nodes)).sum()))


def condensed(points: Floats, metric: Literal["euclidean", "cityblock"]) -> Floats:
    """Return distances of all pairs of points (E, N), in SciPy's condensed order: shape (P,)."""
    from scipy.spatial.distance import pdist

    return np.asarray(pdist(points, metric))


def union_edges(sizes: Sequence[int]) -> Floats:
    """Return the multiples of 1/K between 0 and 1 of all numbers K: shape (N + 1,)."""
    fractions = {(i // (g := np.gcd(i, k)), k // g) for k in set(sizes) for i in range(k + 1)}
    return np.sort(np.array([a / b for a, b in fractions]))
