"""Is it an eigenfunction at all? Tests of a flow against constant growth.

Constant growth rates other than 1 cannot be (shares sum to 1); what can be constant is the growth
of the centred log-ratios clr_i = log M_i - mean_j log M_j, the replicator flow. Growth is taken in
units of retention, u_n = -ln rho_n / ln 1.25, so that steps that prune more do not look like
another growth; time runs in the same units, at the middle of every step. An untrained network does
not grow at a constant rate either, so its growth is taken off first: what is tested is the bend
that it does not have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from .. import flow
from ..arrays import Bools, Floats, Integers
from ..stats.contrast import centred, one_sample, repeated
from ..stats.level import ALPHA, holm
from ..window import LEAST_WEIGHTS
from .steps import StepNoise

DRAWS = 999
LEAST_STEPS, LEAST_OF_ONE, LEAST_OF_CHANGE = 3, 4, 5  # steps: of seeds, of one run, of a change


@dataclass(frozen=True, eq=False)
class Growth:
    """Growth of S runs at T steps in G groups, centred over groups.

    Attributes
    ----------
    rate : array, shape (S, T, G)
        Delta log M_i a unit of retention: theta of a step that prunes 20 %.
    null : array, shape (S, T, G), or None
        That of the untrained network at the same counts, where it is known.
    time : array, shape (S, T)
        Middle of every step, in units of retention from the middle of the window.
    sampling : array, shape (S, T, G)
        Variance of `rate` that the sampling of counts alone makes.
    at : integer array, shape (T,)
        Positions of the steps in the window: where some run prunes nothing there is no growth.
    known : bool array, shape (G,)
        Groups that keep enough weights to tell how their growth changes.
    span : float
        Length of the window in units of retention, mean over runs.
    """

    rate: Floats
    null: Floats | None
    time: Floats
    sampling: Floats
    at: Integers
    known: Bools
    span: float

    @property
    def beyond(self) -> Floats:
        """Growth beyond that of the null, if one is known: shape (S, T, G)."""
        return self.rate if self.null is None else self.rate - self.null

    def of_known(self) -> Growth:
        """Return the same of the groups that are known, centred over them."""
        rate, sampling = centred(self.rate[..., self.known]), self.sampling[..., self.known]
        null = None if self.null is None else centred(self.null[..., self.known])
        return replace(self, rate=rate, null=null, sampling=sampling, known=self.known[self.known])

    def of_runs(self, runs: Integers) -> Growth:
        """Return the same of some runs alone, given by their positions."""
        null = None if self.null is None else self.null[runs]
        rate, time, sampling = self.rate[runs], self.time[runs], self.sampling[runs]
        return replace(self, rate=rate, null=null, time=time, sampling=sampling)

    def slopes(self, rate: Floats) -> Floats:
        """Return the least-squares slopes of rates (S, T, G) on time: shape (S, G)."""
        products = (self.time[..., None] * rate).sum(axis=-2)
        return np.asarray(products / (self.time**2).sum(axis=-1)[..., None])


def growth_of(
    weights: ArrayLike,
    network: ArrayLike,
    null: ArrayLike | None = None,
    counts: ArrayLike | None = None,
) -> Growth:
    """Compute growth in units of retention.

    Parameters
    ----------
    weights : array, shape (S, T + 1, G)
        What shares are made of, kept weights by default, of groups that are pruned; above 0.
    network : array, shape (S, T + 1)
        Weights that the whole network keeps.
    null : array, shape (S, T + 1, G), optional
        Weights that the untrained network would keep.
    counts : array, shape (S, T + 1, G), optional
        Kept weights, where `weights` are something else.
    """
    size = np.log(np.asarray(network, np.float64))
    unit = -np.diff(size, axis=-1) / flow.UNIT
    moving = np.flatnonzero((unit > 0).all(axis=0))
    time = np.cumsum(unit, axis=-1) - unit / 2
    unit, time = unit[:, moving], time[:, moving]
    values = np.asarray(weights, np.float64)
    kept = values if counts is None else np.asarray(counts, np.float64)
    lost = 1 / kept[:, 1:] - 1 / kept[:, :-1]  # variance of the logarithm of a binomial count

    def rate(values: ArrayLike) -> Floats:
        steps = np.diff(np.log(np.asarray(values, np.float64)), axis=1)[:, moving]
        return centred(steps / unit[..., None])

    return Growth(
        # The mean of log(k + 1/2) is the log of the mean of k, that of log k lies 1/(2k) below: a
        # group that runs empty would bend.
        rate=rate(values + 0.5 if counts is None else values),
        null=None if null is None else rate(null),
        time=time - time.mean(axis=-1, keepdims=True),
        sampling=np.maximum(lost, 0)[:, moving] / unit[..., None] ** 2,
        at=moving,
        known=(kept.mean(axis=0) >= LEAST_WEIGHTS).all(axis=0),
        span=float(unit.sum(axis=-1).mean()),
    )


@dataclass(frozen=True, eq=False)
class Linearity:
    """Whether clr grows at a constant rate; G groups, of a spectrum those that are pruned.

    Groups that keep fewer than ten weights take no part and are NaN.

    Attributes
    ----------
    slope, low, high : array, shape (G,)
        Change of growth a unit of retention beyond that of the untrained network, mean over runs,
        and its 95 % interval.
    canonical : array, shape (G,) or None
        Slope of the untrained network's own growth; None where it is not known, and then `slope`
        holds it.
    span : float
        Length of the window in units of retention: a slope times it is a bend.
    p : array, shape (G,)
        Of a slope of 0, adjusted over groups after Holm.
    p_all : float
        Of slopes of 0 in all groups together: the decision.
    correction : array, shape (G,)
        c/b of clr = a + b n + c n^2 about the middle of the window, in units of retention: the
        leading nonlinear correction of the flow (Raju et al. 2019), that of the untrained network
        included; NaN where growth is constant.
    change : int
        Steps of the window before the most likely change of growth.
    change_p : float
        Its p; NaN for fewer than five steps.
    """

    slope: Floats
    low: Floats
    high: Floats
    canonical: Floats | None
    span: float
    p: Floats
    p_all: float
    correction: Floats
    change: int
    change_p: float

    @property
    def bend(self) -> Floats:
        """Change of growth over the window beyond that of the untrained network: (G,)."""
        return self.slope * self.span

    @property
    def canonical_bend(self) -> Floats:
        """Change of the untrained network's growth over the window, NaN where unknown: (G,)."""
        if self.canonical is None:
            return np.full_like(self.slope, np.nan)
        return self.canonical * self.span

    @property
    def rejected(self) -> bool:
        """Whether growth is not constant beyond the untrained network's, at 5 %."""
        return self.p_all < ALPHA


def linearity(
    growth: Growth, *, draws: int = DRAWS, rng: np.random.Generator | int | None = 0
) -> Linearity | None:
    """Test that growth beyond that of the null does not change along the flow.

    Over seeds: slopes of the runs, Q with a parametric bootstrap (`contrast.one_sample`). Of one
    run: the same Q of its slopes over their variances about its lines, against draws of AR(1) steps
    and sampling noise.

    Parameters
    ----------
    growth : Growth
        Of S runs; those that are the same count once.
    draws : int
        Bootstrap samples.
    rng : generator or seed
        Source of randomness.

    Returns
    -------
    Linearity or None
        None where two groups, three steps, or four of one run, are not to be had.
    """
    generator, known = np.random.default_rng(rng), growth.known
    steps = len(growth.at)
    if known.sum() < 2 or steps < LEAST_STEPS:
        return None
    growth = growth.of_known()
    growth = growth.of_runs(np.flatnonzero(~repeated(growth.slopes(growth.beyond))))
    slopes = growth.slopes(growth.beyond)
    slope, one = slopes.mean(axis=0), len(slopes) == 1
    if one and steps < LEAST_OF_ONE:
        return None
    if one:
        half, p, p_all = _of_one_run(growth, slope, draws, generator)
    else:
        found = one_sample(slopes, generator, draws)
        half, p, p_all = found.half_width(), found.p_values(), found.p
    change, change_p = change_point(growth, draws=draws, rng=generator)
    total = growth.slopes(growth.rate).mean(axis=0)
    mean = growth.rate.mean(axis=(0, 1))
    # Growth is b + 2 c (time - middle): its slope is 2 c, its mean b.
    ratio = np.divide(total / 2, mean, out=np.full_like(mean, np.nan), where=mean != 0)

    def placed(values: Floats) -> Floats:
        return np.where(known, values[np.cumsum(known) - 1], np.nan)

    return Linearity(
        slope=placed(slope),
        low=placed(slope - half),
        high=placed(slope + half),
        canonical=None if growth.null is None else placed(growth.slopes(growth.null).mean(axis=0)),
        span=growth.span,
        p=placed(holm(p)),
        p_all=p_all,
        correction=placed(ratio if p_all < ALPHA else np.full_like(ratio, np.nan)),
        change=change,
        change_p=change_p,
    )


def _of_one_run(
    growth: Growth, slope: Floats, draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats, float]:
    """Return half-widths and p of the slopes (G,), and p of all, from draws of one run's steps."""
    (time,) = growth.time
    noise = StepNoise.of(growth.beyond, time, growth.sampling)
    t = _ratios(growth.beyond[0], time)
    drawn = np.concatenate([_ratios(part[:, 0], time) for part in noise.drawn(rng, draws)])
    above = (np.abs(drawn) >= np.abs(t)).sum(axis=0)
    larger = ((drawn**2).sum(axis=-1) >= (t**2).sum()).sum()
    error = np.divide(slope, t, out=np.full_like(t, np.nan), where=t != 0)
    half = np.quantile(np.abs(drawn), 1 - ALPHA, axis=0) * error
    return half, (1 + above) / (draws + 1), float((1 + larger) / (draws + 1))


def _ratios(rate: Floats, time: Floats) -> Floats:
    """Return slopes over their standard errors about the lines: (..., T, G) to (..., G)."""
    square = (time**2).sum()
    slope = np.einsum("t,...tg->...g", time, rate) / square
    left = rate - rate.mean(axis=-2, keepdims=True) - time[:, None] * slope[..., None, :]
    variance = (left**2).sum(axis=-2) / (len(time) - 2) / square
    return np.asarray(slope / np.sqrt(np.maximum(variance, 1e-300)))


def odd_first_step(first: ArrayLike, later: ArrayLike) -> Floats:
    """Return z of the step 0 -> 1 against the later increments: shape (G,).

    The normal score of Student's t of one more step (a prediction), T - 1 degrees of freedom; NaN
    where the later steps do not scatter.

    Parameters
    ----------
    first : array, shape (S, G)
        Growth of the step 0 -> 1.
    later : array, shape (S, T, G)
        That of the window, T >= 2.
    """
    from scipy.special import ndtri, stdtr

    a, b = np.asarray(first, np.float64), np.asarray(later, np.float64)
    centre = b.mean(axis=(0, 1))
    # Over seeds: the mean first step against what one step of the mean over seeds scatters by.
    length = b.shape[1]
    scatter = b.mean(axis=0).std(axis=0, ddof=1) * np.sqrt(1 + 1 / length)
    t = np.divide(
        a.mean(axis=0) - centre, scatter, out=np.full_like(centre, np.nan), where=scatter > 0
    )
    # A few later steps know their scatter badly: the normal score of Student's t is honest there.
    z = -ndtri(np.maximum(stdtr(length - 1, -np.abs(t)), 1e-300))
    return np.asarray(np.sign(t) * z)


def change_point(
    growth: Growth, *, draws: int = DRAWS, rng: np.random.Generator | int | None = 0
) -> tuple[int, float]:
    """Look for the step after which growth is another, and how surprising the best one is.

    What a straight line explains is no change: that is what `linearity` tests, and seeds have bends
    of their own. The statistic is the largest sum over groups of squared CUSUMs of the mean growth
    beyond the null about its line, whitened by the variance of its steps; its distribution comes
    from draws of AR(1) steps and sampling noise, whitened by their own scatter as the data are.

    Parameters
    ----------
    growth : Growth
        Of at least five steps.
    draws : int
        Bootstrap samples.
    rng : generator or seed
        Source of randomness.

    Returns
    -------
    tuple of (int, float)
        Steps of the window before the change, and its p; 0 and NaN for fewer steps.
    """
    beyond, time = growth.beyond, growth.time.mean(axis=0)
    if len(time) < LEAST_OF_CHANGE:
        return 0, np.nan
    noise = StepNoise.of(beyond, time, growth.sampling)
    (place,), (statistic,) = _cusum(noise.whitened(beyond[None]))
    generator, larger = np.random.default_rng(rng), 0
    for part in noise.drawn(generator, draws):
        larger += int((_cusum(noise.whitened(part))[1] >= statistic).sum())
    return int(growth.at[place]) + 1, (1 + larger) / (draws + 1)


def _cusum(white: Floats) -> tuple[Integers, Floats]:
    """Return place and size of the largest squared CUSUM of (R, T, G)."""
    length = white.shape[1]
    sums = np.cumsum(white - white.mean(axis=1, keepdims=True), axis=1)[:, :-1]
    here = np.arange(1, length)
    weight = length / (here * (length - here))
    statistic = (sums**2).sum(axis=2) * weight
    return statistic.argmax(axis=1), statistic.max(axis=1)
