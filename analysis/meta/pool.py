"""Random-effects means of groups over studies, and for which assumed scatter what is said changes.

The variance between studies is that of Paule & Mandel 1982; intervals are those of Hartung & Knapp
2001, whose factor is 1 at that estimate and is never taken below 1 (Knapp & Hartung 2003).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bools, Floats
from ..stats.difference import same_mean_p
from ..stats.level import holm, t_quantile
from ..values import Estimate

LEAST, MOST = 0.0005, 0.1  # assumed sds of a log eigenvalue between which answers are looked for
_STEP = 2**0.25  # of sd: two changes of an answer that lie closer together are not seen
_BISECTIONS = 12

Words = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Pooled:
    """Random-effects means of K groups over E studies.

    Attributes
    ----------
    mean, error : array, shape (K,)
        Mean over the population of studies, and its standard error.
    tau : array, shape (K,)
        Standard deviation between studies, beyond what each study's own error makes.
    i2 : array, shape (K,)
        Share of the variance that lies between studies, max(0, 1 - (E - 1)/Q).
    q : array, shape (K,)
        Cochran's Q.
    p : array, shape (K,)
        Of studies that differ by their errors alone, errors of few seeds being uncertain
        (`same_mean_p`), adjusted over groups after Holm.
    weight : array, shape (E, K)
        Weights of the studies; they sum to 1.
    """

    mean: Floats
    error: Floats
    tau: Floats
    i2: Floats
    q: Floats
    p: Floats
    weight: Floats

    @property
    def studies(self) -> int:
        """Number of studies E."""
        return len(self.weight)

    def interval(self, confidence: float = 0.95) -> Estimate[Floats]:
        """Return the mean with its t interval of E - 1 degrees of freedom."""
        half = t_quantile(self.studies - 1, confidence) * self.error
        return Estimate(self.mean, self.mean - half, self.mean + half)

    def prediction(self, confidence: float = 0.95) -> Estimate[Floats]:
        """Return where the value of a further study lies: t, E - 2 degrees of freedom.

        After Higgins, Thompson & Spiegelhalter 2009; NaN for two studies, whose t has no degree of
        freedom.
        """
        half = t_quantile(self.studies - 2, confidence) * np.hypot(self.tau, self.error)
        return Estimate(self.mean, self.mean - half, self.mean + half)


def pool(effect: Floats, variance: Floats, df: Floats) -> Pooled:
    """Pool the effects of studies, each group by itself.

    Parameters
    ----------
    effect, variance : array, shape (E, K)
        Effects of E >= 2 studies in K groups, and the positive variances of these effects.
    df : array, shape (E,)
        Degrees of freedom of the variances; infinite where they are known.
    """
    # It imports pandas and takes seconds to load.
    from statsmodels.stats.meta_analysis import combine_effects

    with np.errstate(divide="ignore"):  # its own I^2, where all studies are equal
        found = [
            combine_effects(own, own_variance, method_re="pm")
            for own, own_variance in zip(effect.T, variance.T, strict=True)
        ]
    q = np.array([one.q for one in found])
    square = [max(one.var_hksj_re, one.var_eff_w_re) for one in found]
    return Pooled(
        mean=np.array([one.mean_effect_re for one in found]),
        error=np.sqrt(square),
        tau=np.sqrt([one.tau2 for one in found]),
        i2=np.maximum(0, 1 - (len(effect) - 1) / np.maximum(q, 1e-300)),
        q=q,
        p=holm(same_mean_p(effect, variance, df)),
        weight=np.array([one.weights_rel_re for one in found]).T,
    )


def signs(found: Pooled, margin: float, words: tuple[str, str, str, str]) -> Words:
    """Say of every group on which side of 0 its mean lies.

    Parameters
    ----------
    found : Pooled
        The means.
    margin : float
        Within +-margin of 0 a mean counts as 0 where that is certain (two one-sided tests at 5 %,
        Schuirmann 1987); NaN: that is never said.
    words : (str, str, str, str)
        For above, below, within the margin, and not known: shape (K,) of them is returned.
    """
    outer, inner = found.interval(), found.interval(0.9)
    within = (inner.low > -margin) & (inner.high < margin)
    above, below, near, unknown = words
    return np.select([outer.low > 0, outer.high < 0, within], [above, below, near], unknown)


def steady_range(
    answer: Callable[[Floats], Words], sd: float, groups: int
) -> tuple[Floats, Floats]:
    """Find the assumed sds around `sd` between which the answers of groups stay what they are.

    Parameters
    ----------
    answer : callable
        From sds, shape (K,), one a group, to answers, shape (K,).
    sd : float
        The sd that is assumed.
    groups : int
        K.

    Returns
    -------
    low, high : array, shape (K,)
        NaN where nothing changes down to `LEAST`, or up to `MOST`.
    """
    here = answer(np.full(groups, sd))

    def changed(at: Floats) -> Bools:
        return np.asarray(answer(at) != here)

    down = _first_change(changed, sd, min(LEAST, sd), groups)
    return down, _first_change(changed, sd, max(MOST, sd), groups)


def _first_change(
    changed: Callable[[Floats], Bools], start: float, end: float, groups: int
) -> Floats:
    """Step from `start` to `end` until an answer changes, then halve: shape (K,)."""
    steps = int(np.ceil(abs(np.log(end / start)) / np.log(_STEP)))
    same, other = np.full(groups, start), np.full(groups, np.nan)
    for at in np.geomspace(start, end, steps + 1)[1:]:
        searching = np.isnan(other)
        if not searching.any():
            break
        moved = changed(np.full(groups, at)) & searching
        other[moved] = at
        same[searching & ~moved] = at
    for _ in range(_BISECTIONS if np.isfinite(other).any() else 0):
        middle = np.sqrt(same * other)
        moved = changed(np.where(np.isnan(middle), start, middle))
        other = np.where(moved, middle, other)
        same = np.where(moved, same, middle)
    return np.where(np.isnan(other), np.nan, np.sqrt(same * other))
