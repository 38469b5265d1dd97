"""Half-widths of intervals for the mean log eigenvalue of one experiment."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Method = Literal["t over seeds", "t of detrended ratios"]
Scope = Literal["population", "this run"]
CONFIDENCE = 0.95


def seeds_t(values: ArrayLike, confidence: float = CONFIDENCE) -> Floats:
    """Return the half-width of Student's t interval of a mean over seeds.

    Parameters
    ----------
    values : array, shape (S, G)
        One value per seed and group, S >= 2, such as the mean log eigenvalue over the window.
    confidence : float
        Nominal coverage of the population's mean.

    Returns
    -------
    array, shape (G,)
        t quantile with S - 1 degrees of freedom times the standard error.

    Raises
    ------
    ValueError
        There are fewer than two seeds.
    """
    data = np.asarray(values, np.float64)
    seeds = data.shape[0]
    if seeds < 2:
        raise ValueError(f"an interval over seeds needs two seeds, not {seeds}")
    error = data.std(axis=0, ddof=1) / np.sqrt(seeds)
    return np.asarray(_quantile(seeds - 1, confidence) * error)


def detrended_t(log_eigenvalues: ArrayLike, confidence: float = CONFIDENCE) -> Floats:
    """Return the half-width of the interval of one run's own mean log eigenvalue.

    The log eigenvalues drift along a flow even when nothing is random, so their scatter is taken
    about a straight line in the level. The interval covers the value of this run; about the
    population it says too little, since runs differ by more than their steps do.

    Parameters
    ----------
    log_eigenvalues : array, shape (T, G)
        log lambda_i(n) of T >= 3 consecutive steps.
    confidence : float
        Nominal coverage of this run's value.

    Returns
    -------
    array, shape (G,)
        t quantile with T - 2 degrees of freedom times the standard error.

    Raises
    ------
    ValueError
        There are fewer than three steps.
    """
    data = np.asarray(log_eigenvalues, np.float64)
    steps = data.shape[0]
    if steps < 3:
        raise ValueError(f"an interval within a run needs three steps, not {steps}")
    time = np.arange(steps) - (steps - 1) / 2
    centred = data - data.mean(axis=0)
    residual = centred - np.outer(time, time @ centred / (time @ time))
    error = np.sqrt((residual**2).sum(axis=0) / (steps - 2) / steps)
    return np.asarray(_quantile(steps - 2, confidence) * error)


def _quantile(df: int, confidence: float) -> float:
    from scipy.special import stdtrit  # a tenth of the import time of scipy.stats

    return float(stdtrit(df, 0.5 + confidence / 2))
