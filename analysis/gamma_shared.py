"""Do several curves have one critical exponent? The test of the universality of gamma.

Every curve keeps its own error without pruning, its own onset and its own plateau; what may be common
is g. F compares the sum of squares of one common g with that of a g for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ..schemas.errors import RgtoolError, UsageError
from .critical import G_BOUNDS, LOG_G
from .critical_fit import Fit, fit
from .gamma import gamma_of, problem_of
from .gamma_gates import ALPHA
from .gamma_result import Gamma, Plateau, ends
from .profile import Least, Profile, least_sums, threshold_factor, walk
from .pruning_curve import PruningCurve, find_curve
from .tables import frame, html_table, text_table

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

    from ..store import Store

Floats = NDArray[np.float64]
SharedVerdict = Literal["accepted", "rejected", "not decidable"]
MARGIN = 1.5  # exponents within this factor of each other count as one
_GRID, _ROUNDS, _SHIFT = 65, 4, 1e-2


@dataclass(frozen=True, eq=False)
class SharedFit:
    """One exponent for K curves against one for each.

    Attributes
    ----------
    common : Profile
        Profile of the common g.
    own : array, shape (K,)
        g of every curve by itself.
    statistic, p : float
        F and its p.
    df : (int, int)
        K - 1, and points minus parameters of the separate fits.
    ratio_low, ratio_high : array, shape (K (K - 1) / 2,)
        90 % intervals of the ratios g_i / g_j, i < j, by profile; 0 and infinity where unbounded.
    """

    common: Profile
    own: Floats
    statistic: float
    p: float
    df: tuple[int, int]
    ratio_low: Floats
    ratio_high: Floats


@dataclass(frozen=True, eq=False)
class SharedGamma:
    """Whether curves have one critical exponent.

    Attributes
    ----------
    gammas : tuple of Gamma, length K
        The curves by themselves.
    found : SharedFit
        The comparison.
    margin : float
        Factor within which exponents count as one.
    verdict, reason : str
        `rejected` where p < .05; `accepted` where p >= .05, every exponent may be quoted and every
        ratio is certified within the margin at 5 % (two one-sided tests, Schuirmann 1987);
        else `not decidable`.
    notes : tuple of str
        What the numbers alone do not say.
    """

    gammas: tuple[Gamma, ...]
    found: SharedFit
    margin: float
    verdict: SharedVerdict
    reason: str
    notes: tuple[str, ...]

    @property
    def estimate(self) -> float:
        """The common g."""
        return self.found.common.estimate

    @property
    def low(self) -> float:
        """Lower end of its 95 % interval, 0 where it is unbounded."""
        return self.found.common.low

    @property
    def high(self) -> float:
        """Upper end of its 95 % interval, infinite where it is unbounded."""
        return self.found.common.high

    @property
    def p(self) -> float:
        """P of one exponent for all, against one for each."""
        return self.found.p

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return (
            f"universality of gamma {self.verdict}: {len(self.gammas)} curves, common gamma "
            f"{self.estimate:.3f} {ends(self.low, self.high)}, F({self.found.df[0]}, "
            f"{self.found.df[1]}) {self.found.statistic:.2f}, p {self.p:.2g}; {self.reason}"
        )

    def plot(self) -> Figure:
        """Draw data, fits and profiles, that of the common exponent too."""
        from .plot_gamma import plot_gamma

        return plot_gamma(self.gammas, self)

    def to_frame(self) -> pl.DataFrame:
        """Return a row per curve, the comparison repeated; what does not exist is null."""
        common = self.found.common
        shared = {
            "common": common.estimate,
            "common_low": common.low or np.nan,
            "common_high": common.high,
            "f": self.found.statistic,
            "df1": self.found.df[0],
            "df2": self.found.df[1],
            "p": self.found.p,
            "universality": self.verdict,
            "universality_reason": self.reason,
        }
        rows = [one.to_dict() | shared for one in self.gammas]
        return frame(
            {
                key: np.array([row[key] for row in rows], np.float64)
                if isinstance(value, float)
                else [row[key] for row in rows]
                for key, value in rows[0].items()
            }
        )

    def summary(self) -> str:
        """Return title, table and notes as plain text."""
        return "\n".join([self.title, text_table(self._columns()), *self.notes])

    def _repr_html_(self) -> str:
        return html_table(self.title, self._columns(), self.notes)

    def _columns(self) -> dict[str, list[str]]:
        return {
            "experiment": [one.name for one in self.gammas],
            "gamma": [f"{one.estimate:.3f}" for one in self.gammas],
            "interval": [ends(one.low, one.high) for one in self.gammas],
            "onset": [f"{one.onset:.3f}" for one in self.gammas],
            "verdict": [one.verdict for one in self.gammas],
        }


def shared_gamma(
    store: Store | None,
    experiments: Sequence[str],
    *,
    chance: float | None = None,
    plateau: Plateau = "chance",
    margin: float = MARGIN,
) -> SharedGamma:
    """Test whether experiments have one critical exponent.

    Parameters
    ----------
    store, experiments, chance, plateau
        As for `gamma`; two experiments at least.
    margin : float
        Factor within which exponents count as one.

    Raises
    ------
    UsageError
        There are fewer than two curves, one stands twice, or an option is wrong.
    RgtoolError
        A curve cannot be fitted; the message names it.
    """
    curves = [find_curve(store, name) for name in experiments]
    return shared_gamma_of(curves, chance=chance, plateau=plateau, margin=margin)


def shared_gamma_of(
    curves: Sequence[PruningCurve],
    *,
    chance: float | None = None,
    plateau: Plateau = "chance",
    margin: float = MARGIN,
) -> SharedGamma:
    """Test whether curves have one critical exponent; see `shared_gamma`."""
    _check(curves, chance, margin)
    gammas = tuple(gamma_of(c, chance=chance, plateau=plateau, draws=0) for c in curves)
    for one in gammas:
        if one.fit is None:
            raise RgtoolError(f"{one.name}: {one.reason}: it has no exponent to be compared")
    fits = [one.fit for one in gammas if one.fit is not None]
    sds = noise_scales(gammas)
    found = shared_exponent(fits, sds)
    verdict, reason = _judge(gammas, found, margin)
    notes = [note for one in gammas for note in one.notes]
    return SharedGamma(
        gammas=gammas,
        found=found,
        margin=margin,
        verdict=verdict,
        reason=reason,
        notes=tuple(dict.fromkeys([*notes, *_remarks(gammas, sds)])),
    )


def same_gamma(
    a: PruningCurve,
    b: PruningCurve,
    *,
    chance: float | None = None,
    plateau: Plateau = "chance",
) -> SharedFit:
    """Compare the exponents of two curves without judging them; see `shared_exponent`.

    Raises
    ------
    RgtoolError
        A curve has too few levels, or errors that cannot be.
    """
    fits = [fit(problem_of(curve, chance, plateau)) for curve in (a, b)]
    known = [c.relative_sd / np.sqrt(np.median(c.runs)) for c in (a, b)]
    usable = all(c.noise == "seeds" for c in (a, b)) and min(known) > 0
    return shared_exponent(fits, np.array(known) if usable else None)


def shared_exponent(fits: Sequence[Fit], noise: Floats | None = None) -> SharedFit:
    """Fit one exponent to several curves and test it against one for each.

    F = [(Q_common - Q_own) / (K - 1)] / [Q_own / (n - parameters)], Q the sum over curves of
    squared residuals over the squared noise of the curve.

    Parameters
    ----------
    fits : sequence of Fit, length K
        The separate fits, K >= 2.
    noise : array, shape (K,), optional
        Sd of the points of every curve, up to a common factor; by default all are equal.
    """
    from scipy.special import fdtrc

    scale = np.ones(len(fits)) if noise is None else 1 / np.asarray(noise) ** 2
    scale = scale / scale.mean()
    sums = [_scaled(one, float(factor)) for one, factor in zip(fits, scale, strict=True)]

    def least(values: Floats) -> Floats:
        return np.sum([one(values) for one in sums], axis=0)

    own = float(sum(one.ssr * factor for one, factor in zip(fits, scale, strict=True)))
    centre, common = _minimum(least, np.array([one.theta[LOG_G] for one in fits]))
    df = len(fits) - 1, sum(one.problem.df for one in fits)
    statistic = max(common - own, 0.0) / df[0] / max(own / df[1], 1e-300)
    # The common fit has as many residual degrees of freedom as the separate ones and K - 1 more.
    factor = threshold_factor(df[0] + df[1])
    bounds = float(np.log(G_BOUNDS[0])), float(np.log(G_BOUNDS[1]))
    ratios = [
        ratio_interval(sums[i], sums[j], (fits[i], fits[j]), own / df[1], df[1])
        for i, j in combinations(range(len(fits)), 2)
    ]
    return SharedFit(
        common=walk(least, centre, common, bounds, factor),
        own=np.exp([one.theta[LOG_G] for one in fits]),
        statistic=statistic,
        p=float(fdtrc(*df, statistic)),
        df=df,
        ratio_low=np.array([low for low, _ in ratios]),
        ratio_high=np.array([high for _, high in ratios]),
    )


def _scaled(one: Fit, factor: float) -> Least:
    sums = least_sums(one.problem, LOG_G, one.theta)
    return lambda values: factor * sums(values)


def _minimum(least: Least, near: Floats) -> tuple[float, float]:
    """Find the least value of a function of log g: on a grid, then ever finer around the best."""
    low, high = np.log(G_BOUNDS)
    values = np.sort(np.concatenate([np.linspace(low, high, _GRID // 2), near]))
    for _ in range(_ROUNDS):
        sums = least(values)
        best = int(sums.argmin())
        low, high = values[max(best - 1, 0)], values[min(best + 1, len(values) - 1)]
        centre, smallest = float(values[best]), float(sums[best])
        values = np.linspace(low, high, 17)
    return centre, smallest


def ratio_interval(
    a: Least, b: Least, fits: tuple[Fit, Fit], variance: float, df: int
) -> tuple[float, float]:
    """Return the 90 % profile interval of g_a / g_b, 0 and infinity where it is unbounded.

    For every ratio r the least sum of squares is min over g of Q_a(r g) + Q_b(g); both are taken
    from splines over log g.

    Parameters
    ----------
    a, b : callable
        Sums of squares as functions of log g.
    fits : pair of Fit
        The fits behind them.
    variance, df : float, int
        Residual variance and its degrees of freedom.
    """
    from scipy.interpolate import PchipInterpolator
    from scipy.special import fdtri

    low, high = np.log(G_BOUNDS)
    grid = np.linspace(low, high, _GRID)
    fine = np.arange(low, high, _SHIFT)
    curves = []
    for least, one in zip((a, b), fits, strict=True):
        near = one.theta[LOG_G] + np.array([-0.05, -0.02, 0.0, 0.02, 0.05])
        values = np.unique(np.clip(np.concatenate([grid, near]), low, high))
        curves.append(PchipInterpolator(values, least(values))(fine))
    # Row s of the table holds Q_a shifted by s steps: ratio exp(s _SHIFT).
    count = len(fine)
    padded = np.full(3 * count, np.inf)
    padded[count : 2 * count] = curves[0]
    shifted = np.lib.stride_tricks.sliding_window_view(padded, count)[1 : 2 * count]
    sums = (shifted + curves[1]).min(axis=1)
    inside = sums <= sums.min() + variance * float(fdtri(1, df, 1 - 2 * ALPHA))
    best = int(sums.argmin())
    ratios = np.exp((np.arange(1, 2 * count) - count) * _SHIFT)
    outside = np.flatnonzero(~inside)
    below, above = outside[outside < best], outside[outside > best]
    # Ratios that take an exponent to the end of its range have not been searched further.
    first = int(below[-1]) + 1 if len(below) else 0
    last = int(above[0]) - 1 if len(above) else 2 * count - 2
    ends = [_reaches(curves, shift - count + 1, sums[shift]) for shift in (first, last)]
    return (0.0 if ends[0] else float(ratios[first])), (np.inf if ends[1] else float(ratios[last]))


def _reaches(curves: list[Floats], shift: int, least: float) -> bool:
    """Tell whether the best exponents of a ratio stand at the end of the searched range."""
    count = len(curves[0])
    place = np.arange(max(0, -shift), min(count, count - shift))
    total = curves[0][place + shift] + curves[1][place]
    at = int(place[int(total.argmin())])
    return at in (0, count - 1) or at + shift in (0, count - 1)


def noise_scales(gammas: Sequence[Gamma]) -> Floats | None:
    """Return the noise of the means where the seeds of every curve tell it, else None."""
    known = all(one.curve.noise == "seeds" and one.curve.relative_sd > 0 for one in gammas)
    return np.array([one.noise.mean_sd for one in gammas]) if known else None


def _check(curves: Sequence[PruningCurve], chance: float | None, margin: float) -> None:
    if len(curves) < 2:
        raise UsageError("a shared exponent needs two curves at least: name another experiment")
    names = [curve.name for curve in curves]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UsageError(f"{twice[0]} stands twice: a shared exponent is tested on different curves")
    if margin <= 1:
        raise UsageError(f"margin {margin:g}: a factor above 1 is expected, such as 1.5")
    known = {curve.task: curve.chance for curve in curves if curve.chance is not None}
    if chance is not None and len(set(known.values())) > 1:
        told = ", ".join(f"{task} {value:g}" for task, value in known.items())
        raise UsageError(
            f"one --chance for tasks that differ in their error of guessing ({told}): leave it "
            "out, every curve then has its own"
        )


def _judge(
    gammas: Sequence[Gamma], found: SharedFit, margin: float
) -> tuple[SharedVerdict, str]:
    if found.p < ALPHA:
        return "rejected", "exponents differ"
    bad = [one for one in gammas if one.verdict != "quoted"]
    if bad:
        return "not decidable", f"{bad[0].name} is {bad[0].verdict}: {bad[0].reason}"
    low, high = float(found.ratio_low.min()), float(found.ratio_high.max())
    if low <= 1 / margin or high >= margin:
        return "not decidable", (
            f"ratios of exponents may be {ends(low, high)}, which a margin of {margin:g} does not "
            "hold: the curves do not tell"
        )
    return "accepted", f"ratios of exponents lie within {ends(low, high)}, a margin of {margin:g}"


def _remarks(gammas: Sequence[Gamma], sds: Floats | None) -> list[str]:
    notes = []
    tasks = dict.fromkeys(one.curve.task or "unknown" for one in gammas)
    if len(tasks) > 1:
        notes.append(
            f"tasks differ ({', '.join(tasks)}): every curve has the error of guessing of its own"
        )
    rms = np.array([one.rms for one in gammas])
    if sds is None:
        notes.append("seeds do not tell the noise of every curve: the test takes it to be equal")
    if sds is None and rms.max() > 2 * rms.min():
        notes.append(
            f"residuals differ by a factor of {rms.max() / rms.min():.1f} between curves: p is "
            "approximate"
        )
    return notes
