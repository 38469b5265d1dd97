"""How many seeds and levels it takes to tell an eigenvalue from 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...schemas.errors import UsageError
from ...schemas.notes import Note, Rank
from ..arrays import AT_ONCE, Bools, Floats
from ..named import Named, StoreLike
from ..result import Column, Result
from ..stats.contrast import OWN
from ..stats.moderation import LENDERS, effective_groups, lent
from .noise import SpectrumNoise, measured_noise

SEEDS = (2, 3, 4, 5, 6, 8, 10)
LEVELS = (6, 8, 12, 16, 20)
SEED_SD, STEP_SD = 0.006, 0.0144
_QUANTILES = (np.arange(200) + 0.5) / 200


@dataclass(frozen=True, eq=False)
class Power(Result):
    """Power of the t test of one group over a grid of designs.

    Attributes
    ----------
    eigenvalue : float
        The true eigenvalue of the tested group; the other groups have 1.
    seed_sd, step_sd : float
        Standard deviations of log lambda: between seeds, and between steps of one run.
    groups : int
        Groups G, which lend each other variance where there are fewer than five seeds.
    alpha, wanted : float
        Two-sided size, and the power that a design should have.
    holm : bool
        Whether all groups are tested together by Holm's method.
    seeds : tuple of int, length S
        Numbers of seeds.
    levels : tuple of int, length L
        Numbers of prunings; the window goes from level 1, so a run has one step fewer.
    analytic, simulated : array, shape (S, L)
        Probability of finding the group different from 1.
    simulations : int
        Simulated experiments behind every entry of `simulated`.
    notes : tuple of str
        The smallest adequate design, where the noise comes from, and what is assumed.
    """

    eigenvalue: float
    seed_sd: float
    step_sd: float
    groups: int
    alpha: float
    wanted: float
    holm: bool
    seeds: tuple[int, ...]
    levels: tuple[int, ...]
    analytic: Floats
    simulated: Floats
    simulations: int
    notes: tuple[str, ...] = ()

    columns = (
        Column("seeds", "Seeds to run."),
        Column("levels", "Prunings of each.", "levels"),
        Column("steps", "Steps of the window, which begins at level 1.", "levels"),
        Column("networks", "Networks to train: seeds times levels and one."),
        Column("analytic", "Power by the noncentral t.", "probability", ".3f"),
        Column("simulated", "Power by simulation.", "probability", ".3f"),
        Column("adequate", "Both reach the power that is wanted."),
    )
    rows = "a row for every design"
    see = "spectra.md#how-many-seeds"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        holm = f", Holm over {self.groups} groups" if self.holm else ""
        return (
            f"power to tell {self.eigenvalue:g} from 1: {self.groups} "
            f"{'group' if self.groups == 1 else 'groups'}, seed sd "
            f"{self.seed_sd:.4g}, step sd {self.step_sd:.4g}, alpha {self.alpha:g}{holm}"
        )

    @property
    def smallest(self) -> tuple[int, int] | None:
        """Seeds and levels of the adequate design that trains fewest networks, or None.

        Adequate means that analysis and simulation both reach the power that is wanted; a design
        of S seeds and n prunings trains S (n + 1) networks.
        """
        enough = np.argwhere(np.minimum(self.analytic, self.simulated) >= self.wanted)
        designs = [(self.seeds[i], self.levels[j]) for i, j in enough]
        return min(designs, key=lambda d: (d[0] * (d[1] + 1), d[0])) if designs else None

    def _values(self) -> dict[str, Any]:
        i, j = (index.ravel() for index in np.indices(self.analytic.shape))
        seeds, levels = np.array(self.seeds)[i], np.array(self.levels)[j]
        return {
            "seeds": seeds,
            "levels": levels,
            "steps": levels - 1,
            "networks": seeds * (levels + 1),
            "analytic": self.analytic.ravel(),
            "simulated": self.simulated.ravel(),
            "adequate": np.minimum(self.analytic, self.simulated).ravel() >= self.wanted,
        }


def power(
    eigenvalue: float = 1.02,
    *,
    seed_sd: float | None = None,
    step_sd: float | None = None,
    groups: int | None = None,
    seeds: Sequence[int] = SEEDS,
    levels: Sequence[int] = LEVELS,
    alpha: float = 0.05,
    power: float = 0.8,
    holm: bool = False,
    store: StoreLike = None,
    like: Named = None,
    by: str = "block",
    simulations: int = 4000,
    rng: np.random.Generator | int = 0,
) -> Power:
    """Compute how surely an eigenvalue is told from 1 by the default interval over seeds.

    A seed's mean log eigenvalue over T steps scatters with variance seed_sd^2 + step_sd^2 / T.
    The test: theta +- t sqrt(s~^2 / S) leaves out 0, with s~^2 and the degrees of freedom of `lent`
    below five seeds, and those of the group alone from five on. It has no floor at the innovations
    within runs, so with two to four seeds it is slightly stronger than the interval.

    Parameters
    ----------
    eigenvalue : float
        True eigenvalue of the group that is tested.
    seed_sd, step_sd : float, optional
        Noise of log lambda between seeds and between steps; by default .006 and .0144, or as
        measured in the experiment `like`.
    groups : int, optional
        Groups of the spectrum; by default 9, or those of `like`.
    seeds, levels : sequence of int
        Designs: numbers of seeds, at least 2, and of prunings, at least 2.
    alpha, power : float
        Two-sided size, and the power that is wanted.
    holm : bool
        Test all groups and adjust by Holm's method; the other groups have eigenvalue 1.
    store, like, by : optional
        Measure the noise in this experiment of a store, in this grouping.
    simulations : int
        Experiments to simulate per design.
    rng : Generator or int
        Source of randomness, or its seed.

    Raises
    ------
    UsageError
        A value is out of range, or `like` is not to be had; the message says which.
    RgtoolError
        The experiment has too few seeds or levels to measure its noise.

    Examples
    --------
    >>> power(1.02, seeds=(2, 3, 5), levels=(8, 16), simulations=500).smallest
    (3, 8)
    """
    noise = _noise(store, like, by)
    between = noise.seed_sd if seed_sd is None else seed_sd
    within = noise.step_sd if step_sd is None else step_sd
    number_of = noise.groups if groups is None else groups
    _check_values(eigenvalue, between, within, number_of, alpha, power, simulations)
    _check_designs(seeds, levels)
    draw = np.random.default_rng(rng)
    analytic, simulated = np.empty((2, len(seeds), len(levels)))
    for i, s in enumerate(seeds):
        for j, n in enumerate(levels):
            scatter = math.hypot(between, within / math.sqrt(n - 1))
            effect = math.log(eigenvalue) / max(scatter, 1e-6)  # beyond it is certain anyway
            analytic[i, j] = analytic_power(
                effect, s, number_of, alpha / number_of if holm else alpha
            )
            simulated[i, j] = simulated_power(
                effect, s, number_of, alpha, holm=holm, simulations=simulations, rng=draw
            )
    found = Power(
        eigenvalue=eigenvalue,
        seed_sd=between,
        step_sd=within,
        groups=number_of,
        alpha=alpha,
        wanted=power,
        holm=holm,
        seeds=tuple(seeds),
        levels=tuple(levels),
        analytic=analytic,
        simulated=simulated,
        simulations=simulations,
        notes=(*noise.notes, *_power_notes(simulations, holm)),
    )
    return replace(found, notes=(Note(_smallest(found), rank=Rank.CONCLUSION), *found.notes))


def analytic_power(effect: float, seeds: int, groups: int, alpha: float) -> float:
    """Return the power of the t test of the default interval, without its floor.

    From five seeds on, and for fewer than three groups, that of Student's t: the noncentral t,
    exact. With fewer seeds variances are lent: where all groups scatter alike the prior is worth
    one seed and rests on all of them, so it is taken as known, and the power is averaged over the
    group's own variance, which is chi-square.

    Parameters
    ----------
    effect : float
        log eigenvalue over the standard deviation of a seed's mean.
    seeds, groups : int
        S >= 2 and G >= 1.
    alpha : float
        Two-sided size.
    """
    from scipy.special import digamma, gammaincinv, ndtr, stdtrit

    d, shift = seeds - 1, effect * math.sqrt(seeds)
    if seeds >= OWN or groups < LENDERS:
        return _noncentral_t(np.array([float(d)]), shift, alpha)
    # As `lent` with d0 = 1: equal variances look like draws of a prior with one degree of freedom.
    prior = math.exp(float(digamma(0.5)) - math.log(0.5))
    independent = float(effective_groups(np.eye(groups)))
    df = max(1 / (1 / seeds + 1 / (seeds**2 * independent * d)), d)
    own = 2 * gammaincinv(d / 2, _QUANTILES) / d
    bound = stdtrit(df, 1 - alpha / 2) * np.sqrt((prior + d * own) / seeds)
    return float((ndtr(shift - bound) + ndtr(-shift - bound)).mean())


def _noncentral_t(df: Floats, shift: float, alpha: float) -> float:
    from scipy.special import nctdtr, ndtr, stdtrit

    bound = stdtrit(df, 1 - alpha / 2)
    found = 1 - nctdtr(df, shift, bound) + nctdtr(df, shift, -bound)
    # Far out the series of the noncentral t gives NaN; there the normal approximation is exact
    # to many digits (Abramowitz & Stegun 26.7.10).
    with np.errstate(invalid="ignore", over="ignore"):  # a bound may be infinite
        near = ndtr((abs(shift) - bound * (1 - 1 / (4 * df))) / np.sqrt(1 + bound**2 / (2 * df)))
    return float(np.where(np.isfinite(found), found, near).mean())


def simulated_power(
    effect: float,
    seeds: int,
    groups: int,
    alpha: float,
    *,
    holm: bool = False,
    simulations: int = 4000,
    rng: np.random.Generator | int = 0,
) -> float:
    """Return the share of simulated experiments whose first group is found different from 1.

    Parameters
    ----------
    effect : float
        log eigenvalue of the first group over the standard deviation of a seed's mean; the other
        groups have none.
    seeds, groups : int
        S >= 2 and G >= 1.
    alpha : float
        Two-sided size, of the whole family with Holm.
    holm : bool
        Reject by Holm's step-down method over all groups.
    simulations : int
        Experiments.
    rng : Generator or int
        Source of randomness, or its seed.
    """
    generator = np.random.default_rng(rng)
    chunk = max(1, AT_ONCE // (seeds * groups))
    found = 0
    for first in range(0, simulations, chunk):
        draws = generator.standard_normal((min(chunk, simulations - first), seeds, groups))
        draws[..., 0] += effect
        found += int(_detected(draws, alpha, holm).sum())
    return found / simulations


def _detected(draws: Floats, alpha: float, holm: bool) -> Bools:
    """Tell in which of the experiments (N, S, G) the first group is found different from 0."""
    from scipy.special import stdtr

    seeds, groups = draws.shape[1:]
    if seeds < OWN:
        found = lent(draws)
        variance, df = found.variance, found.df[:, None]
    else:
        variance, df = draws.var(axis=1, ddof=1), np.array(seeds - 1.0)
    t = draws.mean(axis=1) / np.sqrt(variance / seeds)
    p = 2 * stdtr(df, -np.abs(t))
    if not holm:
        return np.asarray(p[:, 0] < alpha)
    order = np.sort(p, axis=-1)
    passes = order < alpha / np.arange(groups, 0, -1)
    rejected = np.minimum.accumulate(passes, axis=-1).sum(axis=-1)
    return np.asarray((p[:, :1] > p).sum(axis=-1) < rejected)


def _noise(store: StoreLike, like: Named, by: str) -> SpectrumNoise:
    if like is None:
        return SpectrumNoise(SEED_SD, STEP_SD, 9)
    return measured_noise(store, like, by)


def _check_values(
    eigenvalue: float,
    seed_sd: float,
    step_sd: float,
    groups: int,
    alpha: float,
    wanted: float,
    simulations: int,
) -> None:
    if not (math.isfinite(eigenvalue) and eigenvalue > 0):
        raise UsageError(f"eigenvalue is {eigenvalue}: it is a positive number such as 1.02")
    if eigenvalue == 1:
        raise UsageError("eigenvalue 1 cannot be told from 1: give the least that matters, as 1.02")
    for name, value in (("seed sd", seed_sd), ("step sd", step_sd)):
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"{name} is {value}: a standard deviation is 0 or more, such as 0.006")
    if seed_sd == 0 and step_sd == 0:
        raise UsageError("seed sd and step sd are both 0: without noise one seed is enough")
    for name, value in (("alpha", alpha), ("power", wanted)):
        if not 0 < value < 1:
            raise UsageError(f"{name} is {value}: it is a probability between 0 and 1")
    if wanted <= alpha:
        raise UsageError(f"power {wanted} is no more than alpha {alpha}: chance alone reaches it")
    if groups < 1 or simulations < 1:
        raise UsageError(f"{groups} groups, {simulations} simulations: at least one of each")


def _check_designs(seeds: Sequence[int], levels: Sequence[int]) -> None:
    if not seeds or not levels:
        raise UsageError("no design is given: seeds and levels need one number each at least")
    if min(seeds) < 2:
        raise UsageError(
            f"{min(seeds)} seed has no variance between seeds: a power needs two seeds or more"
        )
    if min(levels) < 2:
        raise UsageError(
            f"{min(levels)} level leaves no step after level 1: a power needs two levels or more"
        )


def _smallest(found: Power) -> str:
    """Name the smallest adequate design."""
    if found.smallest is None:
        return (
            f"no design of this table reaches power {found.wanted:g}: the best has "
            f"{found.simulated.max():.2f}: ask for more seeds"
        )
    seeds, levels = found.smallest
    return (
        f"{seeds} seeds of {levels} levels are the smallest design with power "
        f"{found.wanted:g}: {seeds * (levels + 1)} networks to train"
    )


def _power_notes(simulations: int, holm: bool) -> tuple[str, ...]:
    notes = [
        f"cells: analytic/simulated ({simulations} experiments, error up to "
        f"{0.5 / math.sqrt(simulations):.3f}); at two seeds trust the simulation",
        "all groups have one noise, which is independent between them",
    ]
    if holm:
        notes.append("with Holm the analytic power is that of Bonferroni: the other groups have 1")
    return tuple(notes)
