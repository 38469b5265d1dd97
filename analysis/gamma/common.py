"""One exponent for several curves against one for each: the array core.

Welch's comparison of means with variances of their own (Welch 1951), of log g: the variance of
every curve is that over its seeds, or of its one curve with correlated levels. So neither levels
that go together nor seeds with exponents of their own make exponents differ. The common exponent
is the plain mean of log g: with weights from the variances of three seeds its interval covers .80
to .93, without .93 to .97.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..arrays import Floats
from ..stats.level import ALPHA, t_quantile
from ..values import Estimate
from .parameters import Parameters
from .power_law import LOG_G


@dataclass(frozen=True, eq=False)
class CommonExponent:
    """One exponent for K curves against one for each.

    Attributes
    ----------
    exponent : Estimate
        The common g, the geometric mean, with its 95 % interval.
    own : array, shape (K,)
        g of every curve by itself.
    statistic, p : float
        Welch's F and its p.
    df : (int, float)
        K - 1, and those of the variances.
    ratio_low, ratio_high : array, shape (K (K - 1) / 2,)
        90 % intervals of the ratios g_i / g_j, i < j.
    """

    exponent: Estimate[float]
    own: Floats
    statistic: float
    p: float
    df: tuple[int, float]
    ratio_low: Floats
    ratio_high: Floats


def common_exponent(curves: Sequence[Parameters]) -> CommonExponent:
    """Compare the exponents of several curves.

    F = [sum w_k (l_k - l)^2 / (K - 1)] / [1 + 2 (K - 2) h / (K^2 - 1)] with l_k = log g_k, w_k one
    over its variance, l their weighted mean, h = sum (1 - w_k / W)^2 / df_k, W the sum of w_k;
    degrees of freedom K - 1 and (K^2 - 1) / (3 h).

    Parameters
    ----------
    curves : sequence of Parameters, length K >= 2
        What is known of every curve.
    """
    from scipy.special import fdtrc

    logs = np.array([one.theta[LOG_G] for one in curves])
    variance = np.maximum([one.error(LOG_G) ** 2 for one in curves], 1e-18)
    df = np.array([one.df for one in curves])
    count, weight = len(logs), 1 / variance
    share = weight / weight.sum()
    middle = float(share @ logs)
    spread = float(((1 - share) ** 2 / df).sum())
    statistic = float(weight @ (logs - middle) ** 2) / (count - 1)
    statistic /= 1 + 2 * (count - 2) * spread / (count**2 - 1)
    below = (count**2 - 1) / (3 * spread)
    plain, half = float(logs.mean()), _half_width(variance / count**2, df, 1 - ALPHA)
    ratios = np.array(
        [
            _ratio_interval(logs[[i, j]], variance[[i, j]], df[[i, j]])
            for i, j in combinations(range(count), 2)
        ]
    )
    return CommonExponent(
        exponent=Estimate(*np.exp([plain, plain - half, plain + half]).tolist()),
        own=np.exp(logs),
        statistic=statistic,
        p=float(fdtrc(count - 1, below, statistic)),
        df=(count - 1, below),
        ratio_low=ratios[:, 0],
        ratio_high=ratios[:, 1],
    )


def _ratio_interval(logs: Floats, variance: Floats, df: Floats) -> tuple[float, float]:
    """Return the 90 % interval of a ratio of two exponents."""
    half = _half_width(variance, df, 1 - 2 * ALPHA)
    low, high = np.exp(logs[0] - logs[1] + np.array([-half, half])).tolist()
    return low, high


def _half_width(variance: Floats, df: Floats, confidence: float) -> float:
    """Return the half-width of t for a sum of independent terms (Welch 1938, Satterthwaite)."""
    total = float(variance.sum())
    freedom = total**2 / float((variance**2 / df).sum())
    return t_quantile(freedom, confidence) * float(np.sqrt(total))
