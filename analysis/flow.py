"""The flow of kept weights as arrays: shares, eigenvalues and exponents (eqs. 12 to 14).

`kept` is an array of shape (..., T, G): weights kept at T consecutive levels in G groups that
together make up all counted weights. Counts are the paper's case; sums of |w| work as well, except
that the bounds on eigenvalues and exponents are those of counts. Where a quantity does not exist
(a group that was empty already, no retention below 1) the arrays hold NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, Integers

UNIT = math.log(1 / 0.8)  # theta of a step that prunes 20 % is y times this


def shares(kept: ArrayLike) -> Floats:
    """Return M_i(n) = N_i(n) / sum_j N_j(n), eq. 13: shape (..., T, G)."""
    counts = np.asarray(kept, np.float64)
    return _ratio(counts, counts.sum(axis=-1, keepdims=True))


def retention(kept: ArrayLike) -> Floats:
    """Return rho_n = N(n+1) / N(n) of the whole network: shape (..., T-1)."""
    network = np.asarray(kept, np.float64).sum(axis=-1)
    return _ratio(network[..., 1:], network[..., :-1])


def eigenvalues(kept: ArrayLike) -> Floats:
    """Return lambda_i(n) = M_i(n+1) / M_i(n) of every step: shape (..., T-1, G).

    For counts sum_i M_i(n) lambda_i(n) = 1 and 0 <= lambda_i <= 1/rho, with equality above if and
    only if nothing was pruned in the group, and below if and only if all of it was.
    """
    return _ratio(_group_retention(kept), retention(kept)[..., None])


def log_eigenvalues(kept: ArrayLike) -> Floats:
    """Return log lambda_i(n) of every step, -inf where the group collapses: (..., T-1, G)."""
    return _log(eigenvalues(kept))


def exponents(kept: ArrayLike) -> Floats:
    """Return y_i(n) = ln lambda_i(n) / -ln rho_n <= 1 of every step: shape (..., T-1, G).

    NaN where the group collapses (its eigenvalue is 0) and where nothing was pruned (rho = 1). For
    counts only: where eigenvalues come from magnitudes, rho is still that of the counts.
    """
    log_rho = _log(retention(kept))[..., None]
    survival = _ratio(_finite(_log(_group_retention(kept))), np.where(log_rho < 0, log_rho, 0))
    # 1 - ln(N_i(n+1)/N_i(n)) / ln rho is ln lambda / -ln rho, and rounding cannot lift it above 1.
    return 1.0 - survival


def window_log_eigenvalues(kept: ArrayLike, start: int, end: int) -> Floats:
    """Return theta_i, the mean of log lambda_i over the steps from `start` to `end`: (..., G).

    The sum telescopes to log M_i(end) - log M_i(start), so the levels between do not enter, and
    sum_i M_i(start) exp(theta_i)^(end - start) = 1.

    Parameters
    ----------
    kept : array, shape (..., T, G)
        Kept weights.
    start, end : int
        Positions on the axis of levels, 0 <= start < end < T.

    Raises
    ------
    ValueError
        The window holds no step or reaches past the last level.
    """
    counts = _ends_of(kept, start, end)
    return log_eigenvalues(counts)[..., 0, :] / (end - start)


def window_exponents(kept: ArrayLike, start: int, end: int) -> Floats:
    """Return y_i = log(M_i(end)/M_i(start)) / log(N(start)/N(end)) over a window: (..., G).

    Unlike eigenvalues, exponents compare across sources that prune at different rates.
    """
    return exponents(_ends_of(kept, start, end))[..., 0, :]


def log_share_variance(kept: ArrayLike) -> Floats:
    """Return the variance of log M(end)/M(start) that the sampling of counts makes.

    What is kept is a binomial draw from what was kept before, and the network's count is fixed:
    (1/N(end) - 1/N(start)) (1 - M(end)).

    Parameters
    ----------
    kept : array, shape (..., 2, G)
        Counts at the two ends; no group is empty.

    Returns
    -------
    array, shape (..., G)

    Examples
    --------
    >>> log_share_variance([[100, 900], [10, 390]]).round(4).tolist()
    [0.0878, 0.0]
    """
    counts = np.asarray(kept, np.float64)
    start, end = (np.maximum(counts[..., at, :], 1) for at in (0, 1))
    share = counts[..., 1, :] / counts[..., 1, :].sum(axis=-1, keepdims=True)
    return np.asarray(np.maximum(1 / end - 1 / start, 0) * (1 - share))


def clr(share: ArrayLike) -> Floats:
    """Return the centred log-ratios log M_i - mean_j log M_j: shape (..., G).

    They are linear in the level exactly if M_i(n+1) is proportional to s_i M_i(n) with constant s.
    """
    logs = _finite(_log(np.asarray(share, np.float64)))
    centred: Floats = logs - logs.mean(axis=-1, keepdims=True)
    return centred


def group_index(groups: Sequence[str | None], names: Sequence[str]) -> Integers:
    """Return the position in `names` of every layer's group: shape (L,).

    Raises
    ------
    ValueError
        A layer belongs to none of the groups.
    """
    position = {name: i for i, name in enumerate(names)}
    unknown = [group for group in groups if group not in position]
    if unknown:
        raise ValueError(f"group {unknown[0]} is not among {', '.join(names)}")
    return np.array([position[str(group)] for group in groups], np.int64)


def group_sums(values: ArrayLike, index: Integers, groups: int) -> Floats:
    """Sum values of layers, shape (..., L), within groups: shape (..., G)."""
    membership = np.eye(groups)[index]
    return np.asarray(np.asarray(values, np.float64) @ membership)


def _ends_of(kept: ArrayLike, start: int, end: int) -> Floats:
    counts = np.asarray(kept, np.float64)
    if not 0 <= start < end < counts.shape[-2]:
        raise ValueError(f"no window {start}:{end} in {counts.shape[-2]} levels")
    return counts[..., [start, end], :]


def _group_retention(kept: ArrayLike) -> Floats:
    counts = np.asarray(kept, np.float64)
    return _ratio(counts[..., 1:, :], counts[..., :-1, :])


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    out = np.full(shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator != 0)
    return out


def _log(values: Floats) -> Floats:
    out = np.where(values == 0, -np.inf, np.nan)
    np.log(values, out=out, where=values > 0)
    return out


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)
