"""Intervals for the mean log eigenvalue of one experiment (`statistics` of docs/spectra.md).

`steps` is an array of shape (S, T, G): log lambda_i(n) of S runs at T consecutive steps in G
groups; its mean over steps is theta, one value per run and group. The seed is the unit: only
methods that compare seeds cover the population's value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..stats.contrast import OWN
from ..stats.level import ALPHA, CONFIDENCE, t_quantile
from ..stats.moderation import LENDERS, lent, seed_variance, shrunk_correlation
from .bootstrap import WEIGHTS, widening
from .innovations import Scatter, innovations

Method = Literal["moderated", "t", "bootstrap", "hierarchical", "cluster", "block", "iid", "paper"]
IntervalScope = Literal["population", "this run"]
# Seeds that a method needs: of two, a bootstrap knows three means.
LEAST_SEEDS: dict[str, int] = {"bootstrap": 3, "hierarchical": 3, "cluster": 2, "t": 2}
LEAST_STEPS: dict[str, int] = {
    "iid": 3,
    "block": 3,
}  # resamples of one or two steps know no scatter
FEW_WEIGHTS = (
    2500  # weights below which the sampling of one step alone moves an eigenvalue by over 1 %
)


@dataclass(frozen=True, eq=False)
class Interval:
    """Estimates with an interval, and what it is made of. Logarithms of eigenvalues.

    Attributes
    ----------
    method : str
        How it was made.
    scope : str
        What it covers: the `population` of seeds, or `this run`.
    centre, low, high : array, shape (G,)
        Mean over seeds, and the ends of the interval; NaN where there is none.
    variance : array, shape (G,)
        Variance of one seed's theta about the population's; NaN for bootstraps and spreads.
    df : float
        Degrees of freedom of the t interval; NaN for bootstraps and spreads.
    seeds : int
        S.
    inner : pair of array, shape (G,), or None
        Ends of the 90 % interval of a bootstrap.
    innovation : Scatter or None
        What the steps alone scatter theta by; the interval is at least as wide as theirs.
    sampling : Scatter or None
        What the sampling of counts alone scatters theta by; likewise.
    """

    method: Method
    scope: IntervalScope
    centre: Floats
    low: Floats
    high: Floats
    variance: Floats
    df: float
    seeds: int
    inner: tuple[Floats, Floats] | None = None
    innovation: Scatter | None = None
    sampling: Scatter | None = None

    @property
    def name(self) -> str:
        """The method in words: `moderated` lends variances, or is plain t."""
        if self.method != "moderated" or self.innovation is not None:
            return self.method
        own = "Student's t of its steps"
        return "moderated: Student's t of each group" if self.seeds > 1 else own

    def half_width(self, confidence: float) -> Floats:
        """Return the half-width of the t interval at a confidence, shape (G,)."""
        half = t_quantile(self.df, confidence) * np.sqrt(self.variance / self.seeds)
        for least in self._least:
            half = np.maximum(half, least.half_width(self.seeds, confidence))
        return half

    def quantile(self, confidence: float) -> tuple[Floats, Floats]:
        """Return the t interval at another confidence; shape (G,) each."""
        half = self.half_width(confidence)
        return self.centre - half, self.centre + half

    def p_values(self) -> Floats:
        """Return two-sided p-values of theta = 0: an interval of 1 - p ends there. Shape (G,)."""
        p = _p_value(self.centre, self.variance / self.seeds, self.df)
        for least in self._least:
            p = np.fmax(p, _p_value(self.centre, least.variance / self.seeds, least.df))
        return np.where(np.isnan(self.variance), np.nan, p)

    @property
    def _least(self) -> list[Scatter]:
        return [one for one in (self.innovation, self.sampling) if one is not None]


def _p_value(centre: Floats, square: Floats, df: float) -> Floats:
    """Return two-sided p-values of Student's t; NaN where the squared error is 0."""
    from scipy.special import stdtr

    error = np.sqrt(square)
    t = np.divide(centre, error, out=np.full_like(error, np.nan), where=error > 0)
    return np.asarray(2 * stdtr(df, -np.abs(t)))


def estimate(
    steps: ArrayLike,
    method: Method = "moderated",
    *,
    confidence: float = CONFIDENCE,
    draws: int = 9999,
    rng: np.random.Generator | int | None = 0,
    sampling: Floats | None = None,
) -> Interval:
    """Estimate theta with an interval.

    Parameters
    ----------
    steps : array, shape (S, T, G)
        log lambda_i(n). A group that is NaN throughout takes no part.
    method : str
        `moderated`, the default: `t` from five seeds on and for two groups; with fewer seeds a t
        with variances that groups lend each other (`lent`), no narrower than the innovations of
        the steps alone make it; at S = 1 the t of detrended ratios. `t`: Student's over seeds, each
        group by itself. `bootstrap`: of seeds, S >= 3, as wide as few seeds need it. The others are
        for comparison and cover too little or too much: `hierarchical`, bootstrap of seeds, then of
        blocks of levels, S >= 3; `cluster`, of seeds; `block`, `iid`, of levels within runs;
        `paper`, mean +- standard deviation over levels, a spread.
    confidence : float
        Nominal coverage.
    draws : int
        Resamples of a bootstrap.
    rng : generator or seed
        Of the bootstrap.
    sampling : array, shape (S, G), optional
        Variance of theta that the sampling of counts makes: `moderated`, `t` and `bootstrap` are no
        narrower over seeds.

    Raises
    ------
    ValueError
        Too few seeds or steps for the method.
    """
    data = np.asarray(steps, np.float64)
    if data.ndim != 3 or 0 in data.shape:
        raise ValueError(f"steps of shape (seeds, steps, groups) are due, not {data.shape}")
    floor = None if sampling is None else sampling[None]
    (found,) = estimate_all(
        data[None], method, confidence=confidence, draws=draws, rng=rng, sampling=floor
    )
    return found


def estimate_all(
    steps: Floats,
    method: Method = "moderated",
    *,
    confidence: float = CONFIDENCE,
    draws: int = 9999,
    rng: np.random.Generator | int | None = 0,
    sampling: Floats | None = None,
) -> list[Interval]:
    """Estimate theta of many experiments, those of seeds and steps together; see `estimate`.

    Parameters
    ----------
    steps : array, shape (E, S, T, G)
        log lambda_i(n); groups that are NaN are so in all experiments.
    sampling : array, shape (E, S, G), optional
        Variance of theta that the sampling of counts makes.
    """
    for what, found, least in zip(
        ("seeds", "steps"), steps.shape[1:], (LEAST_SEEDS, LEAST_STEPS), strict=False
    ):
        if found < least.get(method, 1):
            raise ValueError(f"method {method} needs {least[method]} {what}, not {found}")
    if method == "t" or (method == "moderated" and steps.shape[1] > 1):
        return _over_seeds(steps, method, confidence, sampling)
    if method == "moderated":
        return [_one_run(one, confidence) for one in steps]
    if method == "paper":
        return [_paper_interval(one) for one in steps]
    return [
        _bootstrap(one, least, method, confidence, draws, np.random.default_rng(rng))
        for one, least in zip(steps, _sampled(sampling, len(steps)), strict=True)
    ]


def _sampled(sampling: Floats | None, experiments: int) -> list[Scatter | None]:
    """Return what the sampling of counts scatters theta by, an experiment each."""
    if sampling is None:
        return [None] * experiments
    return [Scatter(own.mean(axis=0), np.inf) for own in sampling]


def _over_seeds(
    steps: Floats, method: Method, confidence: float, sampling: Floats | None
) -> list[Interval]:
    theta = steps.mean(axis=2)
    seeds = theta.shape[1]
    centre = theta.mean(axis=1)
    lends = method == "moderated" and seeds < OWN and _groups(theta) >= LENDERS
    if lends:
        moderated, innovation = lent(theta), innovations(steps)
        variance, df = moderated.variance, moderated.df.tolist()
    else:
        variance, df = seed_variance(theta), [seeds - 1.0] * len(steps)
    # Seeds that are all alike certify nothing.
    variance = np.where(variance > 0, variance, np.nan)
    found = []
    for one, counts in enumerate(_sampled(sampling, len(steps))):
        own = Scatter(innovation.variance[one], innovation.df) if lends else None
        nothing = np.full_like(centre[one], np.nan)
        bare = Interval(
            method,
            "population",
            centre[one],
            nothing,
            nothing,
            variance[one],
            df[one],
            seeds,
            innovation=own,
            sampling=counts,
        )
        low, high = bare.quantile(confidence)
        found.append(replace(bare, low=low, high=high))
    return found


def _groups(theta: Floats) -> int:
    """Count the groups of (E, S, G) that take part."""
    return int(np.isfinite(theta).all(axis=(0, 1)).sum())


def _one_run(data: Floats, confidence: float) -> Interval:
    """Student's t of the detrended ratios: covers the value of this run, not the population's."""
    centre, steps = data[0].mean(axis=0), data.shape[1]
    if steps < 3:
        nothing = np.full_like(centre, np.nan)
        return Interval("moderated", "this run", centre, nothing, nothing, nothing, np.nan, 1)
    found = innovations(data)
    half = found.half_width(1, confidence)
    return Interval(
        "moderated", "this run", centre, centre - half, centre + half, found.variance, found.df, 1
    )


def _paper_interval(data: Floats) -> Interval:
    ratios = np.exp(data)
    mean, spread = paper_numbers(ratios)
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = np.log(np.maximum(mean - spread, 0)), np.log(mean + spread)
    nothing = np.full_like(mean, np.nan)
    return Interval("paper", "this run", np.log(mean), low, high, nothing, np.nan, len(data))


def paper_numbers(ratios: Floats) -> tuple[Floats, Floats]:
    """Return mean of eigenvalues (S, T, G), and sd over levels, mean over seeds: (G,) each."""
    mean = ratios.mean(axis=(0, 1))
    if ratios.shape[1] < 2:
        return mean, np.full(ratios.shape[2], np.nan)
    return mean, np.asarray(ratios.std(axis=1, ddof=1).mean(axis=0))


def _bootstrap(
    data: Floats,
    least: Scatter | None,
    method: Method,
    confidence: float,
    draws: int,
    rng: np.random.Generator,
) -> Interval:
    seeds, length, groups = data.shape
    weights = WEIGHTS[method](rng, draws, seeds, length)
    centre = data.mean(axis=(0, 1))
    away = weights.reshape(draws, -1) @ data.reshape(-1, groups) - centre

    def ends(level: float) -> tuple[Floats, Floats]:
        low, high = np.quantile(away, [(1 - level) / 2, (1 + level) / 2], axis=0)
        if method == "bootstrap":
            half = 0.0 if least is None else least.half_width(seeds, level)
            wider = widening(seeds, level)
            low, high = np.minimum(wider * low, -half), np.maximum(wider * high, half)
        return centre + low, centre + high

    nothing = np.full_like(centre, np.nan)
    if method in ("bootstrap", "cluster"):  # seeds that are all alike certify nothing
        away = np.where(seed_variance(data.mean(axis=1)) > 0, away, np.nan)
    scope: IntervalScope = "this run" if method in ("block", "iid") else "population"
    return Interval(
        method, scope, centre, *ends(confidence), nothing, np.nan, seeds, ends(1 - 2 * ALPHA)
    )


def parametric_draws(
    interval: Interval,
    theta: ArrayLike,
    draws: int = 9999,
    rng: np.random.Generator | int | None = 0,
) -> Floats:
    """Draw spectra from what is known of one: shape (draws, G).

    Multivariate t about the centre with the degrees of freedom of the interval, its width and the
    shrunk correlation of the seeds. They are not projected on the constraint that shares sum to
    one; centre each draw where centred log-ratios are needed.

    Parameters
    ----------
    interval : Interval
        A t interval (`moderated` or `t`).
    theta : array, shape (S, G)
        Values of the runs.
    draws : int
        Number of draws.
    rng : generator or seed
        Source of randomness.

    Raises
    ------
    ValueError
        The interval is no t interval.
    """
    if not np.isfinite(interval.df):
        raise ValueError(f"draws need a t interval, not the method {interval.method}")
    generator = np.random.default_rng(rng)
    values = np.asarray(theta, np.float64)
    taking = np.isfinite(interval.variance)
    # Runs that are pairwise alike have a singular correlation, which has a symmetric root.
    squares, vectors = np.linalg.eigh(shrunk_correlation(values[:, taking]))
    root = (vectors * np.sqrt(np.maximum(squares, 0))) @ vectors.T
    normal = generator.standard_normal((draws, int(taking.sum()))) @ root
    scale = np.sqrt(interval.df / generator.chisquare(interval.df, draws))[:, None]
    out = np.tile(interval.centre, (draws, 1))
    # The scale at which 95 % of the draws lie inside the interval, whichever noise made it.
    error = interval.half_width(CONFIDENCE)[taking] / t_quantile(interval.df, CONFIDENCE)
    out[:, taking] += normal * scale * error
    return out
