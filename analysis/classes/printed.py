"""Tests where the same-class test has no seeds or no matching groups to work with.

A published spectrum has no seeds: its values scatter by what seeds and steps do elsewhere (.008)
and by the rounding to two decimals (.01/sqrt 12 = .0029). Spectra with different groups have no
differences d_i; their quantile functions are compared instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..spectrum.intervals import estimate, parametric_draws
from ..spectrum.noise import ONE_SEED, PRINTED
from ..stats.contrast import Known, centred, sample, two_samples
from .distances import quantile_points, union_edges


def mean_noise(
    theta: ArrayLike, number: int, rng: np.random.Generator, variance: ArrayLike | None = None
) -> Floats:
    """Draw how far the mean of an experiment's seeds may lie from the population's.

    Parameters
    ----------
    theta : array, shape (S, K)
        Log eigenvalues of its seeds.
    number : int
        Draws B.
    rng : numpy.random.Generator
        Randomness.
    variance : array, shape (K,) or (), optional
        Variance of the mean where it is known otherwise; needed for one seed. Without it the
        draws are a multivariate t with moderated variances and shrunk correlation.

    Returns
    -------
    array, shape (B, K)
    """
    data = np.asarray(theta, np.float64)
    if variance is not None:
        return np.asarray(np.sqrt(variance) * rng.standard_normal((number, data.shape[1])))
    interval = estimate(data[:, None, :], "moderated")
    return parametric_draws(interval, data, number, rng) - interval.centre


def printed_test(
    a: ArrayLike, b: ArrayLike, rng: np.random.Generator, draws: int
) -> tuple[float, float]:
    """Compare an experiment, or a published spectrum, with a published spectrum.

    Q is that of `stats.contrast`; the variance of the published spectrum is taken to be known.

    Parameters
    ----------
    a : array, shape (S, K) or (K,)
        Log eigenvalues of the seeds of an experiment, matched with those of b; or, with one
        dimension, a published spectrum.
    b : array, shape (K,)
        Logarithms of published eigenvalues.
    rng : numpy.random.Generator
        Randomness of the draws; two published spectra need none.
    draws : int
        Draws of the parametric bootstrap.

    Returns
    -------
    q, p : float
        For two published spectra, and for one seed (or seeds that are all alike), whose scatter is
        taken to be that of published ones, Q is chi-square with K - 1 degrees of freedom.
    """
    from scipy.special import chdtrc

    other = Known(centred(b), PRINTED)
    one = sample(np.atleast_2d(a))
    if one.seeds > 1:
        found = two_samples(one, other, rng, draws)
        return found.q, found.p
    variance = (PRINTED if np.ndim(a) == 1 else ONE_SEED) + PRINTED
    q = float(((one.mean - other.mean) ** 2).sum() / variance)
    return q, float(chdtrc(len(one.mean) - 1, q))


def quantile_test(a: ArrayLike, b: ArrayLike, noise_a: Floats, noise_b: Floats) -> float:
    """Test whether some quantile function explains two spectra with different groups.

    A group of K stands for a part 1/K of the function, and its value for the mean over that part:
    two spectra of one function differ even without noise. So the hypothesis is the function that
    fits both best, and W1 under it is not zero. Few groups fix a function badly: the test finds
    spectra that no function explains, and little else.

    Parameters
    ----------
    a, b : array, shapes (K_a,) and (K_b,)
        Mean log eigenvalues.
    noise_a, noise_b : array, shapes (B, K_a) and (B, K_b)
        Draws of `mean_noise`.

    Returns
    -------
    float
        p: the share of draws about the fit whose W1 is at least that of the data.
    """
    observed = np.abs(np.subtract(*quantile_points([a, b]))).sum()
    scale = [noise.std(axis=0).mean() for noise in (noise_a, noise_b)]
    common = common_function(a, b, *scale)
    drawn = [c + noise for c, noise in zip(common, (noise_a, noise_b), strict=True)]
    points = quantile_points(drawn)
    null = np.abs(points[:, 0] - points[:, 1]).sum(axis=-1)
    return float((1 + (null >= observed - 1e-15).sum()) / (len(null) + 1))


def common_function(a: ArrayLike, b: ArrayLike, sd_a: float, sd_b: float) -> list[Floats]:
    """Fit one rising function to two spectra; return its means over K_a and over K_b equal parts.

    Least squares over all functions that rise and are constant between the multiples of 1/K_a and
    of 1/K_b: no other distinctions are seen. The jumps are non-negative (Lawson & Hanson 1974).

    Parameters
    ----------
    a, b : array, shapes (K_a,) and (K_b,)
        Spectra, in any order.
    sd_a, sd_b : float
        Standard deviations of their values; where both are 0 they weigh alike.
    """
    from scipy.optimize import nnls

    spectra = [np.sort(np.asarray(theta, np.float64)) for theta in (a, b)]
    edges = union_edges([len(theta) for theta in spectra])
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    rise = np.tri(len(middle))  # jumps to values; the first column is the level
    means = []
    for theta in spectra:
        part = np.minimum((middle * len(theta)).astype(np.int64), len(theta) - 1)
        means.append((np.eye(len(theta))[:, part] * width * len(theta)) @ rise)
    weights = [1 / max(sd, 1e-12) for sd in (sd_a, sd_b)]
    low = min(theta[0] for theta in spectra) - 1.0  # below any fit, so that the level is positive
    rows = np.concatenate([m * w for m, w in zip(means, weights, strict=True)])
    goal = np.concatenate([(t - low) * w for t, w in zip(spectra, weights, strict=True)])
    jumps, _ = nnls(rows / max(weights), goal / max(weights))
    return [np.asarray(m @ jumps + low) for m in means]
