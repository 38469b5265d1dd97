"""Intervals for the mean log eigenvalue of one experiment (`statistics` of docs/spectra.md).

`steps` is an array of shape (S, T, G): log lambda_i(n) of S runs at T consecutive steps in G
groups; its mean over steps is theta, one value per run and group. The seed is the unit: only
methods that compare seeds cover the population's value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..stats.level import t_quantile
from ..stats.moderation import moderate, seed_variance, shrunk_correlation
from .bootstrap import WEIGHTS

Method = Literal["moderated", "hierarchical", "cluster", "block", "iid", "t", "paper"]
IntervalScope = Literal["population", "this run"]
CONFIDENCE = 0.95
# Below, noise lies in the levels and not in the steps: neighbouring ratios share an error of
# opposite sign, and their variance says little about that of their sum.
LEVEL_NOISE = -0.25
LEAST_SEEDS: dict[str, int] = {"hierarchical": 3, "cluster": 2, "t": 2}  # that a method needs
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

    def quantile(self, confidence: float) -> tuple[Floats, Floats]:
        """Return the t interval at another confidence, from variance and df; shape (G,) each."""
        half = t_quantile(self.df, confidence) * np.sqrt(self.variance / self.seeds)
        return self.centre - half, self.centre + half

    def p_values(self) -> Floats:
        """Return two-sided p-values of theta = 0 by Student's t; shape (G,)."""
        from scipy.special import stdtr

        error = np.sqrt(self.variance / self.seeds)
        t = np.divide(self.centre, error, out=np.full_like(error, np.nan), where=error > 0)
        return np.asarray(2 * stdtr(self.df, -np.abs(t)))


def estimate(
    steps: ArrayLike,
    method: Method = "moderated",
    *,
    confidence: float = CONFIDENCE,
    sampling: ArrayLike | None = None,
    draws: int = 9999,
    rng: np.random.Generator | int | None = 0,
) -> Interval:
    """Estimate theta with an interval.

    Parameters
    ----------
    steps : array, shape (S, T, G)
        log lambda_i(n). A group that is NaN throughout takes no part.
    method : str
        `moderated`: t over seeds with moderated, floored variances, the default; at S = 1 the t of
        detrended ratios. `t`: Student's over seeds, each group by itself. `hierarchical`: bootstrap
        of seeds, then of blocks of levels, S >= 3. `cluster`: of seeds. `block`, `iid`: of levels
        within runs, which covers this run and not the population. `paper`: mean +- standard
        deviation over levels, a spread.
    confidence : float
        Nominal coverage.
    sampling : array, shape (G,), optional
        Variance of theta that the finite number of weights alone makes; added to the floor.
    draws : int
        Resamples of a bootstrap.
    rng : generator or seed
        Of the bootstrap.

    Raises
    ------
    ValueError
        Too few seeds or steps for the method.
    """
    data = np.asarray(steps, np.float64)
    if data.ndim != 3 or 0 in data.shape:
        raise ValueError(f"steps of shape (seeds, steps, groups) are due, not {data.shape}")
    extra = None if sampling is None else np.asarray(sampling, np.float64)[None]
    (found,) = estimate_all(
        data[None], method, confidence=confidence, sampling=extra, draws=draws, rng=rng
    )
    return found


def estimate_all(
    steps: Floats,
    method: Method = "moderated",
    *,
    confidence: float = CONFIDENCE,
    sampling: Floats | None = None,
    draws: int = 9999,
    rng: np.random.Generator | int | None = 0,
) -> list[Interval]:
    """Estimate theta of many experiments, those of seeds and steps together; see `estimate`.

    Parameters
    ----------
    steps : array, shape (E, S, T, G)
        log lambda_i(n); groups that are NaN are so in all experiments.
    sampling : array, shape (E, G), optional
        As for `estimate`.
    """
    for what, found, least in zip(
        ("seeds", "steps"), steps.shape[1:], (LEAST_SEEDS, LEAST_STEPS), strict=False
    ):
        if found < least.get(method, 1):
            raise ValueError(f"method {method} needs {least[method]} {what}, not {found}")
    if method == "moderated" and steps.shape[1] > 1:
        return _moderated(steps, confidence, 0.0 if sampling is None else sampling)
    if method == "moderated":
        return [_one_run(one, confidence) for one in steps]
    if method == "paper":
        return [_paper_interval(one) for one in steps]
    if method == "t":
        return [_student(one, confidence) for one in steps]
    return [_bootstrap(one, method, confidence, draws, np.random.default_rng(rng)) for one in steps]


def _moderated(steps: Floats, confidence: float, sampling: ArrayLike) -> list[Interval]:
    variance, df = moderated_variances(steps, sampling)
    quantile = {value: t_quantile(value, confidence) for value in set(df.tolist())}
    return [
        _t_interval("moderated", theta, v, d, quantile[d])
        for theta, v, d in zip(steps.mean(axis=2), variance, df.tolist(), strict=True)
    ]


def moderated_variances(steps: ArrayLike, sampling: ArrayLike = 0.0) -> tuple[Floats, Floats]:
    """Return the variance of one seed's theta about the population's, and its degrees of freedom.

    Parameters
    ----------
    steps : array, shape (..., S, T, G)
        log lambda_i(n) of S >= 2 runs; leading axes are experiments whose NaN groups agree.
    sampling : array, shape (..., G)
        What is added to the floor.

    Returns
    -------
    variance : array, shape (..., G)
        Moderated over groups, and at least what the scatter of steps within runs makes; NaN where
        that is 0.
    df : array, shape (...,)
    """
    data = np.asarray(steps, np.float64)
    moderated = moderate(seed_variance(data.mean(axis=-2)), data.shape[-3] - 1)
    floored = moderated.floored(mean_variance(data) + np.asarray(sampling, np.float64))
    return _positive(floored.variance), floored.df


def _student(data: Floats, confidence: float) -> Interval:
    theta = data.mean(axis=1)
    df = len(data) - 1
    variance = _positive(seed_variance(theta))
    return _t_interval("t", theta, variance, df, t_quantile(df, confidence))


def _positive(variance: Floats) -> Floats:
    """Return the variance, NaN where it is 0: seeds that are all alike certify nothing."""
    return np.where(variance > 0, variance, np.nan)


def _t_interval(
    method: Method, theta: Floats, variance: Floats, df: float, quantile: float
) -> Interval:
    centre, seeds = theta.mean(axis=0), len(theta)
    half = quantile * np.sqrt(variance / seeds)
    return Interval(method, "population", centre, centre - half, centre + half, variance, df, seeds)


def _one_run(data: Floats, confidence: float) -> Interval:
    """Student's t of the detrended ratios: covers the value of this run, not the population's."""
    centre, steps = data[0].mean(axis=0), data.shape[1]
    if steps < 3:
        nothing = np.full_like(centre, np.nan)
        return Interval("moderated", "this run", centre, nothing, nothing, nothing, np.nan, 1)
    variance = mean_variance(data)
    half = t_quantile(steps - 2, confidence) * np.sqrt(variance)
    return Interval(
        "moderated", "this run", centre, centre - half, centre + half, variance, steps - 2.0, 1
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


def detrended(data: ArrayLike) -> Floats:
    """Return what is left of steps (..., T, G) about a straight line in the level.

    A flow drifts even when nothing is random, so scatter is taken about the line.
    """
    steps = np.asarray(data, np.float64)
    time = np.arange(steps.shape[-2]) - (steps.shape[-2] - 1) / 2
    centred = steps - steps.mean(axis=-2, keepdims=True)
    slope = np.einsum("t,...tg->...g", time, centred) / max(time @ time, 1e-300)
    return np.asarray(centred - time[:, None] * slope[..., None, :])


def mean_variance(data: ArrayLike) -> Floats:
    """Return the variance of theta that the scatter of steps within runs makes: shape (..., G).

    The innovation variance over T, pooled over runs. Where the noise lies in the levels (pooled
    lag-1 autocorrelation below -.25) neighbouring steps cancel: the long-run variance over T then.
    Zero where there are fewer than three steps.

    Parameters
    ----------
    data : array, shape (..., S, T, G)
        log lambda_i(n).
    """
    steps = np.asarray(data, np.float64)
    *_, seeds, length, groups = steps.shape
    if length < 3:
        return np.zeros((*steps.shape[:-3], groups))
    residual = detrended(steps)
    gamma0 = (residual**2).sum(axis=(-3, -2)) / (seeds * (length - 2))
    products = residual[..., 1:, :] * residual[..., :-1, :]
    gamma1 = products.sum(axis=(-3, -2)) / (seeds * (length - 2))
    taking = np.isfinite(gamma0) & (gamma0 > 0)
    ratio = np.divide(gamma1, gamma0, out=np.zeros_like(gamma0), where=taking)
    pooled = ratio.sum(axis=-1) / np.maximum(taking.sum(axis=-1), 1)
    in_levels = pooled - _autocorrelation_of_residuals(length) < LEVEL_NOISE
    # Two-step sums keep at least what independent noise in the levels leaves, gamma0 / T.
    long_run = np.maximum(gamma0 + 2 * (1 - 1 / length) * gamma1, gamma0 / length)
    return np.asarray(np.where(in_levels[..., None], long_run, gamma0) / length)


def sampling_variance(kept: ArrayLike, exempt: ArrayLike) -> Floats:
    """Return the variance of theta that finite numbers of weights make in small groups.

    A step that loses the share p of N weights at random moves log lambda by a variance of
    p / ((1 - p) N), that of a binomial count.

    Parameters
    ----------
    kept : array, shape (..., S, T + 1, G)
        Weights kept.
    exempt : bool array, shape (G,)
        Groups that are never pruned.

    Returns
    -------
    array, shape (..., G)
        0 for groups that keep `FEW_WEIGHTS` weights or more, and for exempt ones.
    """
    counts = np.asarray(kept, np.float64)
    steps = counts.shape[-2] - 1
    mean, network = counts.mean(axis=-3), counts.sum(axis=-1).mean(axis=-2)
    lost = np.clip(1 - network[..., 1:] / network[..., :-1], 0, 1 - 1e-9)
    per_step = (lost / (1 - lost))[..., None] / np.maximum(mean[..., :-1, :], 1)
    small = (mean[..., -1, :] < FEW_WEIGHTS) & ~np.asarray(exempt, np.bool_)
    return np.where(small, per_step.sum(axis=-2) / steps**2, 0.0)


def _autocorrelation_of_residuals(length: int) -> float:
    """Return the lag-1 autocorrelation that detrending alone makes of white noise.

    The residual is (I - H) noise with the hat matrix H of a straight line, so the expected lag-1
    product is minus the sum of H's first off-diagonal.
    """
    time = np.arange(length) - (length - 1) / 2
    hat = 1 / length + time[1:] * time[:-1] / (time @ time)
    return float(-hat.sum() / (length - 2))


def _bootstrap(
    data: Floats, method: Method, confidence: float, draws: int, rng: np.random.Generator
) -> Interval:
    seeds, length, groups = data.shape
    weights = WEIGHTS[method](rng, draws, seeds, length)
    means = weights.reshape(draws, -1) @ data.reshape(-1, groups)
    tail = (1 - confidence) / 2
    low, high, *inner = np.quantile(means, [tail, 1 - tail, 0.05, 0.95], axis=0)
    centre = data.mean(axis=(0, 1))
    nothing = np.full_like(centre, np.nan)
    scope: IntervalScope = "population" if method in ("hierarchical", "cluster") else "this run"
    ends = (inner[0], inner[1])
    return Interval(method, scope, centre, low, high, nothing, np.nan, seeds, ends)


def parametric_draws(
    interval: Interval,
    theta: ArrayLike,
    draws: int = 9999,
    rng: np.random.Generator | int | None = 0,
) -> Floats:
    """Draw spectra from what is known of one: shape (draws, G).

    Multivariate t about the centre, with the moderated variances and the shrunk correlation of the
    seeds. They are not projected on the constraint that shares sum to one; centre each draw where
    centred log-ratios are needed.

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
    error = np.sqrt(interval.variance[taking] / interval.seeds)
    out[:, taking] += normal * scale * error
    return out
