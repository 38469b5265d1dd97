"""Means over seeds and their t intervals, one value of every seed being all that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..values import Estimate
from .contrast import OWN
from .level import CONFIDENCE, t_quantile
from .moderation import lent, seed_variance


@dataclass(frozen=True, eq=False)
class SeedMean:
    """Means of G groups over seeds.

    Attributes
    ----------
    value : array, shape (G,)
        The means.
    error : array, shape (G,)
        Their standard errors; NaN where there are none.
    df : float
        Degrees of freedom of the errors; infinite where they are known otherwise.
    floor : array, shape (G,), or None
        Standard errors that the sampling of counts alone makes; no interval is narrower than they.
    """

    value: Floats
    error: Floats
    df: float
    floor: Floats | None = None

    def ends(self, confidence: float = CONFIDENCE) -> tuple[Floats, Floats]:
        """Return the t interval; NaN where there is no error."""
        half = t_quantile(self.df, confidence) * self.error
        if self.floor is not None:
            half = np.maximum(half, t_quantile(np.inf, confidence) * self.floor)
        return self.value - half, self.value + half

    @property
    def estimate(self) -> Estimate[Floats]:
        """The means with their 95 % intervals."""
        return Estimate(self.value, *self.ends())


def seed_mean(values: ArrayLike, sampling: Floats | None = None) -> SeedMean:
    """Return the mean over seeds, each group with its own variance from five seeds on.

    Below, the other groups lend as much as one seed is worth (`moderation.lent`).

    Parameters
    ----------
    values : array, shape (S, G)
        One row per seed; NaN takes a group out. A group that is the same in all seeds knows no
        error, and lends none.
    sampling : array, shape (S, G), optional
        Variance of every value that the sampling of counts alone makes: few weights may agree over
        seeds by chance.
    """
    data = np.asarray(values, np.float64)
    seeds = len(data)
    centre = data.mean(axis=0)
    if seeds < 2:
        return SeedMean(centre, np.full_like(centre, np.nan), np.nan)
    taking = np.where(seed_variance(data) > 0, data, np.nan)
    if seeds < OWN:
        found = lent(taking)
        variance, df = found.variance, float(found.df)
    else:
        variance, df = seed_variance(taking), seeds - 1.0
    floor = None if sampling is None else np.sqrt(sampling.mean(axis=0) / seeds)
    return SeedMean(centre, np.sqrt(np.asarray(variance) / seeds), df, floor)
