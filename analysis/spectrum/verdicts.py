"""What an eigenvalue says about its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.errors import UsageError
from ..arrays import Bools, Floats
from ..stats.level import ALPHA, holm
from ..values import is_positive
from .intervals import Interval

Verdict = Literal["relevant", "irrelevant", "marginal", "indeterminate", "exempt", "whole"]
Rule = Literal["tost", "paper"]
# Of log lambda at a retention of .8, for every number of seeds: a margin that shrank with seeds
# would certify less the more is known.
MARGIN = 0.02


@dataclass(frozen=True, eq=False)
class Judgement:
    """Verdicts of one spectrum.

    Attributes
    ----------
    verdict : tuple of str, length G
        `relevant` or `irrelevant` where the interval excludes an eigenvalue of 1, `marginal` where
        it is certified to lie within the margin of 1, else `indeterminate`; `exempt`, `whole`.
    strong : bool array, shape (G,)
        The whole interval lies outside the margin.
    within : bool array, shape (G,)
        Certified within the margin (two one-sided tests at 5 %), whatever the verdict.
    p : array, shape (G,)
        Of an eigenvalue of 1, adjusted over groups after Holm; NaN where there is no test.
    margin : float
        Half-width of the margin in log lambda; NaN under the paper's rule.
    """

    verdict: tuple[Verdict, ...]
    strong: Bools
    within: Bools
    p: Floats
    margin: float


def check_margin(margin: float | None) -> None:
    """Refuse a margin that certifies nothing.

    Raises
    ------
    UsageError
        The margin is not a positive number.
    """
    if margin is not None and not is_positive(margin):
        raise UsageError(
            f"margin is {margin}: it is a positive log eigenvalue, such as .01 for one per cent"
        )


def judge(
    interval: Interval, exempt: ArrayLike, margin: float | None = None, whole: ArrayLike = False
) -> Judgement:
    """Judge by the interval against 0 and by equivalence within the margin.

    Parameters
    ----------
    interval : Interval
        Of log eigenvalues.
    exempt : bool array, shape (G,)
        Groups that are never pruned, without a verdict.
    margin : float, optional
        Half-width in log lambda; default `MARGIN`.
    whole : bool array, shape (G,), optional
        Groups of which nothing was pruned in these levels, without a verdict.

    Raises
    ------
    UsageError
        The margin is not positive.
    """
    check_margin(margin)
    width = MARGIN if margin is None else margin
    left = np.logical_or(exempt, whole)
    low, high = np.where(left, np.nan, interval.low), np.where(left, np.nan, interval.high)
    if np.isfinite(interval.df):
        # Two one-sided tests at 5 % are the 90 % interval inside the margin (Schuirmann 1987).
        inner_low, inner_high = interval.quantile(1 - 2 * ALPHA)
        p = holm(np.where(left, np.nan, interval.p_values()))
    else:
        inner_low, inner_high = interval.inner or (low, high)
        p = np.full(len(low), np.nan)
    certain = interval.method != "paper"  # a spread certifies nothing
    within = certain & ~left & (inner_low > -width) & (inner_high < width)
    verdict = tuple(
        _verdict_of(float(a), float(b), bool(w)) for a, b, w in zip(low, high, within, strict=True)
    )
    verdict = _without(verdict, exempt, whole)
    return Judgement(verdict, (low > width) | (high < -width), within, p, width)


def _without(
    verdict: Sequence[Verdict], exempt: ArrayLike, whole: ArrayLike
) -> tuple[Verdict, ...]:
    """Put what groups without a verdict are in its place."""
    words = np.where(exempt, "exempt", np.where(whole, "whole", verdict))
    return tuple(words.tolist())


def _verdict_of(low: float, high: float, within: bool) -> Verdict:
    if low > 0:
        return "relevant"
    if high < 0:
        return "irrelevant"
    return "marginal" if within else "indeterminate"


def judge_as_paper(
    mean: ArrayLike, spread: ArrayLike, exempt: ArrayLike, whole: ArrayLike = False
) -> Judgement:
    """Judge by the paper's rule (Table 2): marginal within one standard deviation of 1.

    The rule knows no error bar. The spread over levels holds deterministic drift and does not
    shrink with more seeds, so a true 0.985 is called marginal about half the time.

    Parameters
    ----------
    mean, spread : array, shape (G,)
        Arithmetic mean of the eigenvalues over levels, and their standard deviation over levels.
    exempt, whole : bool array, shape (G,)
        As for `judge`.
    """
    verdict = tuple(
        _paper_verdict(float(m), float(s))
        for m, s in zip(np.asarray(mean), np.asarray(spread), strict=True)
    )
    nothing = np.zeros(len(verdict), np.bool_)
    unknown = np.full(len(verdict), np.nan)
    return Judgement(_without(verdict, exempt, whole), nothing, nothing, unknown, np.nan)


def _paper_verdict(mean: float, spread: float) -> Verdict:
    if not np.isfinite(spread):
        return "indeterminate"
    if abs(mean - 1) <= spread + 1e-12:  # printed 1.01 +- .01 lies on the edge, not beyond
        return "marginal"
    return "relevant" if mean > 1 else "irrelevant"
