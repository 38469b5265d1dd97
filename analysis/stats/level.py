"""The level of all tests, Student's quantile, and the correction for many tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats

ALPHA = 0.05
CONFIDENCE = 0.95


def t_quantile(df: float, confidence: float) -> float:
    """Return the two-sided quantile of Student's t."""
    from scipy.special import stdtrit  # a tenth of the import time of scipy.stats

    return float(stdtrit(df, 0.5 + confidence / 2))


def holm(p: ArrayLike) -> Floats:
    """Adjust p-values for their number (Holm 1979); NaN takes no part.

    The tests hold it to `statsmodels.stats.multitest`, which takes milliseconds a call and two
    seconds to import.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, np.float64)
    taking = np.flatnonzero(np.isfinite(values))
    order = taking[np.argsort(values[taking], kind="stable")]
    adjusted = np.full(values.shape, np.nan)
    stepped = np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
