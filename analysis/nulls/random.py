"""N0, random pruning: every eigenvalue is 1, and chance alone moves the shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats


def random_kept(start: ArrayLike, fixed: ArrayLike, network: ArrayLike) -> Floats:
    """Return the expected counts of groups after pruning at random.

    Parameters
    ----------
    start : array, shape (..., G)
        Weights kept in every group before.
    fixed : array, shape (G,)
        Weights of every group that are exempt from pruning.
    network : array, shape (...,)
        Weights that the network keeps afterwards, exempt ones included.

    Returns
    -------
    array, shape (..., G)
        Exempt weights, and of the others the share that the network keeps of all such weights.
    """
    exempt = np.asarray(fixed, np.float64)
    open_ = np.asarray(start, np.float64) - exempt
    left = np.asarray(network, np.float64) - exempt.sum()
    return np.asarray(exempt + open_ * (left / open_.sum(axis=-1))[..., None])


def random_log_variance(kept: ArrayLike, fixed: ArrayLike | None = None) -> Floats:
    """Return the variance of log M_i under random pruning, given the counts before.

    The survivors of a step are a draw without replacement, so counts are multivariate
    hypergeometric: Var N_i = N' M_i (1 - M_i) (N - N') / (N - 1) where N' of N weights stay and the
    group holds the share M_i (Johnson, Kotz & Balakrishnan 1997, chapter 39). A draw from a draw is
    again one draw: for a window pass its two ends alone. The variance of theta over T steps is
    this by T^2.

    Parameters
    ----------
    kept : array, shape (..., T, G)
        Counts at T levels; of each level but the first only the network's count is used.
    fixed : array, shape (G,), optional
        Weights of every group that are exempt from pruning.

    Returns
    -------
    array, shape (..., T-1, G)
        To first order in 1/N_i, so it says too little where few weights are left. 0 for groups that
        are exempt; NaN where the expected count is 0.
    """
    counts = np.asarray(kept, np.float64)
    exempt = np.zeros(counts.shape[-1]) if fixed is None else np.asarray(fixed, np.float64)
    pool = counts.sum(axis=-1) - exempt.sum()
    before, after = pool[..., :-1, None], pool[..., 1:, None]
    share = (counts[..., :-1, :] - exempt) / before
    variance = after * share * (1 - share) * (before - after) / np.maximum(before - 1, 1)
    expected = random_kept(counts[..., :-1, :], exempt, counts[..., 1:, :].sum(axis=-1))
    out = np.full(expected.shape, np.nan)
    np.divide(variance, expected**2, out=out, where=expected > 0)
    return out
