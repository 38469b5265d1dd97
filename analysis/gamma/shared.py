"""Do several curves have one exponent? The test of the universality of gamma."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ...schemas.errors import RgtoolError, UsageError
from ...schemas.notes import Note, Rank
from ..curves.curve import PruningCurve, curve_of
from ..named import Named, StoreLike
from ..result import Column, Result, ends
from ..stats.level import ALPHA
from ..values import Estimate
from .common import CommonExponent, common_exponent
from .estimate import gamma
from .parameters import Parameters
from .result import Fitted, Gamma, Plateau, bounds_text, by_column

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SharedVerdict = Literal["accepted", "rejected", "not decidable"]
_NARROW = ("experiment", "estimate", "low", "high", "unbounded", "onset", "signal", "verdict")
RATIO_MARGIN = 1.5  # exponents within this factor of each other count as one


@dataclass(frozen=True, eq=False)
class SharedGamma(Result):
    """Whether curves have one exponent.

    Attributes
    ----------
    gammas : tuple of Gamma, length K
        The curves by themselves.
    found : CommonExponent
        The comparison.
    margin : float
        Factor within which exponents count as one.
    verdict, reason : str
        `not decidable` where an exponent may not be quoted; else `rejected` where p < .05,
        `accepted` where p >= .05 and every ratio is certified within the margin at 5 % (two
        one-sided tests, Schuirmann 1987), `not decidable` otherwise.
    notes : tuple of str
        Verdict and reason, and what the numbers alone do not say.
    """

    gammas: tuple[Gamma, ...]
    found: CommonExponent
    margin: float
    verdict: SharedVerdict
    reason: str
    notes: tuple[str, ...]

    columns = (
        *(
            replace(one, shown=one.shown if one.name in _NARROW else "wide")
            for one in Gamma.columns
        ),
        Column("common", "The exponent that all have in common.", "", ".3f", "wide"),
        *ends("common_low", "common_high", "its 95 % interval", "", ".3f", "wide"),
        Column("f", "Welch's F of one exponent for all against one for each.", "", ".2f", "wide"),
        Column("df1", "Its degrees of freedom.", shown="wide"),
        Column("df2", "Its degrees of freedom, of the variances.", "", ".1f", "wide"),
        Column("p", "Its p.", "", ".2g", "wide"),
        Column("universality", "accepted, rejected or not decidable.", shown="wide"),
        Column("universality_reason", "Why.", shown="wide"),
    )
    rows = "a row for every curve, the comparison repeated"
    see = "critical.md#one-exponent-for-several-curves"

    @property
    def estimate(self) -> Estimate[float]:
        """The common g with its 95 % interval."""
        return self.found.exponent

    @property
    def p(self) -> float:
        """P of one exponent for all, against one for each."""
        return self.found.p

    @property
    def title(self) -> str:
        """One line that says what this is."""
        common, (df1, df2) = self.estimate, self.found.df
        return (
            f"universality of gamma {self.verdict}: {len(self.gammas)} curves, common gamma "
            f"{common.value:.3f} {bounds_text(common.low, common.high)}, F({df1}, {df2:.1f}) "
            f"{self.found.statistic:.2f}, p {self.p:.2g}"
        )

    def _values(self) -> dict[str, Any]:
        common, (df1, df2) = self.estimate, self.found.df
        shared = {
            "common": common.value,
            "common_low": common.low,
            "common_high": common.high,
            "f": self.found.statistic,
            "df1": df1,
            "df2": df2,
            "p": self.found.p,
            "universality": self.verdict,
            "universality_reason": self.reason,
        }
        return by_column([one.to_row() | shared for one in self.gammas])

    def plot(self) -> Figure:
        """Draw it, as `rgtool.plot` does."""
        from ..plots.gamma import plot_gamma

        return plot_gamma(self.gammas, self)


def shared_gamma(
    store: StoreLike,
    experiments: Sequence[Named | PruningCurve],
    *,
    chance: float | None = None,
    plateau: Plateau = "chance",
    margin: float = RATIO_MARGIN,
) -> SharedGamma:
    """Test whether experiments have one exponent.

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
    curves = [curve_of(store, name, "a shared exponent") for name in experiments]
    _check_curves(curves, chance)
    gammas = [gamma(None, curve, chance=chance, plateau=plateau) for curve in curves]
    return compare_gammas(gammas, margin)


def same_gamma(a: Gamma, b: Gamma, margin: float = RATIO_MARGIN) -> SharedGamma:
    """Compare two exponents that are already estimated; see `compare_gammas`."""
    return compare_gammas((a, b), margin)


def compare_gammas(gammas: Sequence[Gamma], margin: float = RATIO_MARGIN) -> SharedGamma:
    """Test whether exponents that are already estimated are one.

    Parameters
    ----------
    gammas : sequence of Gamma
        Two at least, of method seeds.
    margin : float
        Factor within which exponents count as one.

    Raises
    ------
    UsageError
        There are fewer than two, one stands twice, or the margin is no factor above 1.
    RgtoolError
        A curve was not fitted; the message names it.
    """
    _check_gammas(gammas, margin)
    found = common_exponent([known for one in gammas if (known := _parameters_of(one)) is not None])
    verdict, reason = _judge(gammas, found, margin)
    return SharedGamma(
        gammas=tuple(gammas),
        found=found,
        margin=margin,
        verdict=verdict,
        reason=reason,
        notes=(
            Note(f"{verdict}: {reason}", rank=Rank.CONCLUSION),
            *(note for one in gammas for note in one.notes),
            *_task_notes(gammas),
        ),
    )


def _parameters_of(one: Gamma) -> Parameters | None:
    return one.fitted.parameters if isinstance(one.fitted, Fitted) else None


def _check_gammas(gammas: Sequence[Gamma], margin: float) -> None:
    if len(gammas) < 2:
        raise UsageError("a shared exponent needs two curves at least: name another experiment")
    names = [one.name for one in gammas]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UsageError(f"{twice[0]} stands twice: name different curves")
    if margin <= 1:
        raise UsageError(f"margin {margin:g}: a factor above 1 is expected, such as 1.5")
    for one in gammas:
        if _parameters_of(one) is None:
            raise RgtoolError(f"{one.name}: {one.reason}: it has no exponent to be compared")


def _check_curves(curves: Sequence[PruningCurve], chance: float | None) -> None:
    if len(curves) < 2:
        raise UsageError("a shared exponent needs two curves at least: name another experiment")
    known = {curve.task: curve.chance for curve in curves if curve.chance is not None}
    if chance is not None and len(set(known.values())) > 1:
        told = ", ".join(f"{task} {value:g}" for task, value in known.items())
        raise UsageError(
            f"one --chance for tasks that differ in their error of guessing ({told}): leave it "
            "out, every curve then has its own"
        )


def _judge(
    gammas: Sequence[Gamma], found: CommonExponent, margin: float
) -> tuple[SharedVerdict, str]:
    bad = [one for one in gammas if one.verdict != "quoted"]
    if bad:  # what may not be quoted decides nothing, either way
        return "not decidable", f"{bad[0].name}: {bad[0].verdict}: {bad[0].reason}"
    if found.p < ALPHA:
        return "rejected", "exponents differ by more than their intervals allow"
    low, high = float(found.ratio_low.min()), float(found.ratio_high.max())
    ratios = bounds_text(low, high)
    if low <= 1 / margin or high >= margin:
        return "not decidable", (
            f"ratios of exponents may be {ratios}, which a margin of {margin:g} does not hold: the "
            "curves do not tell"
        )
    return "accepted", f"ratios of exponents lie within {ratios}, a margin of {margin:g}"


def _task_notes(gammas: Sequence[Gamma]) -> list[str]:
    tasks = dict.fromkeys(one.curve.task or "unknown" for one in gammas)
    if len(tasks) == 1:
        return []
    return [f"tasks differ ({', '.join(tasks)}): every curve has the error of guessing of its own"]
