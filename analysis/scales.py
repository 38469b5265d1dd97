"""Effective scales of layers: the coordinates in which an untrained network stands still.

Of weights of scale tau_l that a threshold t prunes the share q(x) is kept, x = t / tau_l, q that of
their distribution (`nulls.initial`): erfc(x / sqrt 2) of Gaussian ones, 1 - x / sqrt 3 of uniform
ones. So s_l = -log x_l = log tau_l - log t is the logarithm of the layer's scale, up to a constant
that all layers share at a level and that centring takes off. Whatever the scales are and however
sparse the network, s of an untrained one is constant, if q is that of its initialiser; what moves
it is training. eta_l = -d s_l / d ln d is its drift, d the density of the network.

Counts have half a weight added on either side, q = (k + 1/2) / (N + 1), so that s is finite
everywhere; its bias stays below a tenth of its standard deviation where `usable` says so, or is
1 / 2N at every density (uniform weights) and no drift.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import flow
from .arrays import Bools, Floats, Integers
from .nulls.initial import DISTRIBUTIONS, DistributionName

LEAST = 4  # weights kept, and pruned, below which a layer's scale is not known


class Drift(NamedTuple):
    """Drift of centred scales, and what the sampling of counts adds to its variance.

    Attributes
    ----------
    eta : array, shape (..., G)
        Slope of the centred scales over time.
    variance : array, shape (..., G)
        Sampling variance of `eta`.
    """

    eta: Floats
    variance: Floats


def usable(kept: ArrayLike, total: ArrayLike, exempt: ArrayLike = False) -> Bools:
    """Tell which layers have a scale: at least 4 weights kept and 4 pruned, at every level given.

    Parameters
    ----------
    kept : array, shape (..., G)
        Kept weights; leading axes are seeds, levels and the like.
    total : array, shape (G,)
        Weights of the dense layers.
    exempt : bool array, shape (G,), optional
        Layers that are never pruned, which have none.

    Returns
    -------
    bool array, shape (G,)

    Examples
    --------
    >>> usable([[100, 50, 9], [80, 3, 9]], [200, 200, 9]).tolist()
    [True, False, False]
    """
    counts, totals = np.asarray(kept, np.float64), np.asarray(total, np.float64)
    enough = (counts >= LEAST) & (totals - counts >= LEAST)
    every = enough.reshape(-1, enough.shape[-1]).all(axis=0)
    return np.asarray(every & ~np.asarray(exempt, bool))


def effective_scales(
    kept: ArrayLike, total: ArrayLike, distribution: DistributionName = "gaussian"
) -> Floats:
    """Return s = -log x with q(x) the kept share, half counts added: shape (..., G).

    Parameters
    ----------
    kept : array, shape (..., G)
        Kept weights of layers.
    total : array, shape (G,)
        Weights of the dense layers.
    distribution : str
        That of initial weights, a name in `nulls.initial.DISTRIBUTIONS`.

    Examples
    --------
    >>> tau = np.array([1.0, 2.0])
    >>> kept = 10**6 * np.array([0.045500264, 0.317310508])  # of N(0, tau^2), |w| > 2
    >>> np.diff(effective_scales(kept, [10**6] * 2)).round(4).tolist()  # log 2
    [0.6931]
    """
    q, _ = _half_counted(kept, total)
    return np.asarray(-np.log(DISTRIBUTIONS[distribution].inverse(q)))


def centred(scales: ArrayLike, total: ArrayLike) -> Floats:
    """Take off the mean over layers with the fixed weights N_l / N: shape (..., G).

    Equal weights would spread the noise of the smallest layer over all.
    """
    values, weights = np.asarray(scales, np.float64), _fixed_weights(total)
    return np.asarray(values - (values @ weights)[..., None])


def scale_covariance(
    kept: ArrayLike, total: ArrayLike, distribution: DistributionName = "gaussian"
) -> Floats:
    """Return the sampling covariance of scales over levels, before centring.

    The weights kept later are among those kept before, so shares of two levels have covariance
    q_late (1 - q_early) / N, and |ds/dq| = 1 / (x f(x)), f the density of |w| / tau: of Gaussian
    weights sqrt(pi/2) exp(x^2/2) / x.

    Parameters
    ----------
    kept : array, shape (..., L, G)
        Kept weights at L levels.
    total : array, shape (G,)
        Weights of the dense layers.
    distribution : str
        As in `effective_scales`.

    Returns
    -------
    array, shape (..., G, L, L)
        That of centred scales follows with the weights of `centred`; layers are independent up to
        the common threshold, which centring takes off.
    """
    q, p = (np.moveaxis(share, -1, -2) for share in _half_counted(kept, total))
    x = np.exp(-effective_scales(kept, total, distribution))
    slope = np.moveaxis(DISTRIBUTIONS[distribution].slope(x), -1, -2)
    late = np.minimum(q[..., :, None], q[..., None, :])
    pruned_early = np.minimum(p[..., :, None], p[..., None, :])
    number = np.asarray(total, np.float64)[:, None, None]
    return np.asarray(slope[..., :, None] * slope[..., None, :] * late * pruned_early / number)


def scale_drift(
    kept: ArrayLike,
    total: ArrayLike,
    time: ArrayLike,
    distribution: DistributionName = "gaussian",
) -> Drift:
    """Return the drift of centred scales by ordinary least squares, and its sampling variance.

    Weights from the same counts would bias it, by a standard deviation in a layer of 72 weights.

    Parameters
    ----------
    kept : array, shape (..., L, G)
        Kept weights of usable layers at L >= 2 levels.
    total : array, shape (G,)
        Weights of the dense layers.
    time : array, shape (L,) or (..., L)
        -ln d for eta as it is defined; levels for the drift a level.
    distribution : str
        As in `effective_scales`.
    """
    about = np.asarray(time, np.float64)
    about = about - about.mean(axis=-1, keepdims=True)
    contrast = about / (about**2).sum(axis=-1, keepdims=True)
    scales = centred(effective_scales(kept, total, distribution), total)
    eta = (contrast[..., :, None] * scales).sum(axis=-2)
    covariance = scale_covariance(kept, total, distribution)
    variance = contrast_variance(covariance, contrast[..., None, :])
    return Drift(eta, centred_variance(variance, total))


def contrast_variance(covariance: Floats, contrast: Floats) -> Floats:
    """Return c' C c over the last axes: (..., L, L) and (..., L) to (...)."""
    return np.asarray(np.einsum("...i,...ij,...j->...", contrast, covariance, contrast))


def centred_variance(variance: Floats, total: ArrayLike) -> Floats:
    """Turn variances of independent layers into those after `centred`: shape (..., G)."""
    weights = _fixed_weights(total)
    common = (variance @ weights**2)[..., None]
    return np.asarray((1 - 2 * weights) * variance + common)


def group_scales(
    kept: ArrayLike,
    total: ArrayLike,
    index: Integers,
    groups: int,
    distribution: DistributionName = "gaussian",
) -> Floats:
    """Return scales of groups of layers.

    The mean of the layers' own scales with weights N_l / N_B. The share of a group as a whole would
    not do: layers of unequal scale do not run through the curve of one.

    Parameters
    ----------
    kept : array, shape (..., L)
        Kept weights of usable layers.
    total : array, shape (L,)
        Weights of the dense layers.
    index : integer array, shape (L,)
        Group of every layer.
    groups : int
        Number of groups, each with a layer.
    distribution : str
        As in `effective_scales`.

    Returns
    -------
    array, shape (..., groups)
    """
    totals = np.asarray(total, np.float64)
    own = effective_scales(kept, totals, distribution)
    sums = flow.group_sums(totals * own, index, groups)
    return np.asarray(sums / flow.group_sums(totals, index, groups))


def _half_counted(kept: ArrayLike, total: ArrayLike) -> tuple[Floats, Floats]:
    """Return the shares kept and pruned, neither of them 0."""
    counts, totals = np.asarray(kept, np.float64), np.asarray(total, np.float64)
    return (counts + 0.5) / (totals + 1), (totals - counts + 0.5) / (totals + 1)


def _fixed_weights(total: ArrayLike) -> Floats:
    totals = np.asarray(total, np.float64)
    return np.asarray(totals / totals.sum())
