"""What an experiment has beyond a null model: per group with a verdict, and one p for all."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..flow import UNIT
from ..stats.contrast import DRAWS, Contrast, one_sample
from ..stats.level import ALPHA
from ..stats.seeds import SeedMean, seed_mean

AgainstNull = Literal["above", "below", "none", "undecided", ""]


def beyond(y: ArrayLike, null_y: ArrayLike, sampling: Floats | None = None) -> SeedMean:
    """Return the mean over seeds of y - y(null), G groups.

    Parameters
    ----------
    y, null_y : array, shape (S, G)
        Exponents over the window of every seed, and those of the null at the same seed's counts.
        NaN in one seed takes the group out.
    sampling : array, shape (S, G), optional
        Variance of `y` that the sampling of counts makes, where the null is an expectation.
    """
    return seed_mean(np.subtract(y, null_y, dtype=np.float64), sampling)


def against_null(found: SeedMean, margin: float) -> tuple[AgainstNull, ...]:
    """Judge what exponents have beyond a null: length G.

    Parameters
    ----------
    found : SeedMean
        y - y(null).
    margin : float
        Half-width of what counts as nothing, in log eigenvalue of a step that prunes 20 %.

    Returns
    -------
    tuple of str
        `none` where the difference is certified within the margin (two one-sided tests at 5 %,
        Schuirmann 1987), however certainly it is not 0; else `above` or `below` where the 95 %
        interval excludes 0; else `undecided`. Empty where there is no difference to judge.
    """
    width = margin / UNIT
    inner, outer = found.ends(1 - 2 * ALPHA), found.ends()
    columns = (found.value, *inner, *outer)
    return tuple(_judged(width, *map(float, row)) for row in zip(*columns, strict=True))


def _judged(
    width: float, value: float, inner_low: float, inner_high: float, low: float, high: float
) -> AgainstNull:
    if np.isnan(value):
        return ""
    if -width < inner_low and inner_high < width:
        return "none"
    if low > 0:
        return "above"
    return "below" if high < 0 else "undecided"


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
