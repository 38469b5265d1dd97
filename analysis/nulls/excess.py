"""What an experiment has beyond a null model: per group with intervals, and one p for all."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..stats.contrast import DRAWS, Contrast, one_sample
from ..stats.moderation import moderate


def excess(
    y: ArrayLike, null_y: ArrayLike, confidence: float = 0.95
) -> tuple[Floats, Floats, Floats]:
    """Return the mean over seeds of y - y(null), and its moderated t interval.

    Parameters
    ----------
    y, null_y : array, shape (S, G)
        Exponents over the window of every seed, and those of the null at the same seed's counts.
        NaN in one seed takes the group out.
    confidence : float
        Nominal coverage of the mean over the population of seeds.

    Returns
    -------
    centre, low, high : array, shape (G,)
        The interval is NaN where there is one seed. Variances over seeds are moderated over groups
        (Smyth 2004).
    """
    difference = np.asarray(y, np.float64) - np.asarray(null_y, np.float64)
    seeds = len(difference)
    centre = difference.mean(axis=0)
    if seeds < 2:
        nothing = np.full_like(centre, np.nan)
        return centre, nothing, nothing
    from scipy.special import stdtrit

    s2 = difference.var(axis=0, ddof=1)
    # A group whose difference is the same in all seeds (never pruned) has no variance to lend.
    moderated = moderate(np.where(s2 > 1e-20, s2, np.nan), seeds - 1)
    quantile = stdtrit(np.asarray(moderated.df), 0.5 + confidence / 2)
    half = quantile * np.sqrt(moderated.variance / seeds)
    return centre, centre - half, centre + half


def differs(
    theta: ArrayLike,
    null_theta: ArrayLike,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Contrast:
    """Test whether a spectrum is that of its null, up to a common factor.

    Parameters
    ----------
    theta, null_theta : array, shape (S, K)
        Mean log eigenvalue of S >= 2 seeds in K >= 2 groups that are pruned, and that of the null
        at the same seed's counts.
    rng : numpy.random.Generator
        Randomness of the draws.
    draws : int
        Draws of the parametric bootstrap.

    Raises
    ------
    ValueError
        Fewer than two seeds or groups, or seeds that are all alike.
    """
    return one_sample(np.subtract(theta, null_theta, dtype=np.float64), rng, draws)
