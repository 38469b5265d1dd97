"""Does the network answer where a group is perturbed: chi of every group, with y beside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...schemas.errors import UsageError
from ...schemas.notes import Note, Rank
from ...schemas.words import counted, listed
from ..arrays import Floats, Integers
from ..chance import worth_of_image
from ..named import StoreLike
from ..result import SIGNED, Column, Result, ends
from ..transfer.arms import image_of
from ..values import NOTHING, Estimate, is_positive
from . import chi as answers
from .chi import MARGIN, Judged
from .perturbed import Perturbed, Runs, described, exponents_beside, read_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGE, _FEW = 0.5, 50  # share, and number of weights, that a note tells of
_SIDED = {(True, True): "both", (True, False): "thinner", (False, True): "thicker"}


@dataclass(frozen=True, eq=False)
class Intervention(Result):
    """The answer of the error where groups are made sparser and denser; arrays are of K groups.

    Attributes
    ----------
    what : str
        Experiment, grouping, level, factor and seeds, in words.
    names : tuple of str
        Groups.
    kept : integer array, shape (K,)
        Weights at the level, mean over seeds.
    share : array, shape (K,)
        Among all groups that are pruned.
    error, error_thinner, error_thicker : array, shape (K,)
        Geometric mean over seeds of the test error: of the unperturbed tickets, and with the group
        thinner, thicker; NaN where it cannot be.
    sides : tuple of str
        `both`, or the one on which the group can be perturbed.
    by_seed : array, shape (S, K)
        chi of every seed.
    chi : Estimate, shape (K,)
        Mean over seeds.
    judged : Judged
        Verdicts, and p.
    exponent : Estimate, shape (K,)
        y over the window.
    window : str
        Its levels; empty where there is no y.
    tau : Estimate
        Kendall's tau of chi and y.
    closure : Estimate
        What is 0 to first order; NaN where a group is missing.
    notes : tuple of str
        What the numbers alone do not say.
    """

    what: str
    names: tuple[str, ...]
    kept: Integers
    share: Floats
    error: Floats
    error_thinner: Floats
    error_thicker: Floats
    sides: tuple[str, ...]
    by_seed: Floats
    chi: Estimate[Floats]
    judged: Judged
    exponent: Estimate[Floats]
    window: str
    tau: Estimate[float]
    closure: Estimate[float]
    notes: tuple[str, ...]

    columns = (
        Column("name", "The group."),
        Column("kept", "Weights that it keeps at the level, mean over seeds.", "weights"),
        Column("share", "Among all groups that are pruned.", "", ".4f"),
        Column("error", "Test error of the tickets as they are, geometric mean.", "fraction",
               ".4f", "wide"),
        Column("error_thinner", "With the group thinner.", "fraction", ".4f"),
        Column("error_thicker", "With the group thicker.", "fraction", ".4f"),
        Column("sides", "On which sides the group can be perturbed.", shown="wide"),
        Column("chi", "d ln error / d ln share of the group, the network's count held.",
               format=SIGNED),
        *ends("chi_low", "chi_high", "its 95 % interval over seeds", "", SIGNED, "if any"),
        Column("answer", "The error falls where the group gains weights, or rises; flat: within "
               "the margin; undecided."),
        Column("p", "Of chi = 0, corrected for the number of groups.", "", ".3g", "wide"),
        Column("exponent", "y, the growth of its share in the experiment's own flow.",
               format=SIGNED, shown="if any"),
        *ends("exponent_low", "exponent_high", "its 95 % interval", "", SIGNED, "wide"),
    )  # fmt: skip
    rows = "a row for every group"
    see = "relevance.md#chi"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return f"answers of {self.what}"

    def _values(self) -> dict[str, Any]:
        return {
            "name": self.names,
            "kept": self.kept,
            "share": self.share,
            "error": self.error,
            "error_thinner": self.error_thinner,
            "error_thicker": self.error_thicker,
            "sides": self.sides,
            "chi": self.chi.value,
            "chi_low": self.chi.low,
            "chi_high": self.chi.high,
            "answer": self.judged.verdict,
            "p": self.judged.p,
            "exponent": self.exponent.value,
            "exponent_low": self.exponent.low,
            "exponent_high": self.exponent.high,
        }

    def plot(self) -> Figure:
        """Draw chi against y, a point for every group."""
        from ..plots.response import plot_intervention

        return plot_intervention(self)


def measure_intervention(
    store: StoreLike,
    what: Perturbed,
    *,
    window: tuple[int, int] | None = None,
    margin: float = MARGIN,
) -> Intervention:
    """Measure how the error answers where groups are perturbed.

    Parameters
    ----------
    store : Store or path, or None
        Where the runs are.
    what : Perturbed
        The runs.
    window : (int, int), optional
        Levels of y; by default those of a spectrum.
    margin : float
        Half-width in chi within which an answer is flat.

    Raises
    ------
    UsageError
        The margin is no positive number.
    RgtoolError
        No group is perturbed, or no seed has all runs.
    """
    if not is_positive(margin):
        raise UsageError(f"margin is {margin}: a positive number is needed, such as {MARGIN}")
    runs = read_runs(store, what)
    every = np.concatenate([runs.accuracy.ravel(), runs.reached.ravel()])
    unit = worth_of_image(runs.source) or image_of(every)
    error = answers.log_error(runs.reached[..., 0], unit)
    count = np.log(_own_counts(runs))
    chi = answers.susceptibility(error, count)
    found = answers.mean_of(chi, answers.rounding(error, count, unit))
    share = runs.kept[:, 0] / runs.open[:, None]
    y, levels, missing = exponents_beside(runs, window)
    both = np.isfinite(chi).all(axis=0) & np.isfinite(y.value)
    judged = answers.judge(found, margin)
    tau = answers.rank_agreement(chi[:, both], y.value[both])
    closure = NOTHING if runs.others else answers.closure(chi, share)
    base = answers.log_error(runs.accuracy[:, 0], unit)
    thinner, thicker = (np.exp(error[..., at].mean(axis=0)) for at in (0, 1))
    return Intervention(
        what=described(runs, what),
        names=runs.names,
        kept=np.rint(runs.kept[:, 0].mean(axis=0)).astype(np.int64),
        share=share.mean(axis=0),
        error=np.full(len(runs.names), np.exp(base.mean())),
        error_thinner=np.where(runs.sides[:, 0], thinner, np.nan),
        error_thicker=np.where(runs.sides[:, 1], thicker, np.nan),
        sides=tuple(_SIDED[bool(a), bool(b)] for a, b in runs.sides),
        by_seed=chi,
        chi=found.estimate,
        judged=judged,
        exponent=y,
        window=levels,
        tau=tau,
        closure=closure,
        notes=(
            *_conclusions(runs.names, judged, tau, int(both.sum()), levels),
            *runs.notes,
            *missing,
            *_cautions(runs, base, unit, closure, share.mean(axis=0)),
        ),
    )


def _own_counts(runs: Runs) -> Floats:
    """Return what every perturbed group keeps, on both sides: shape (S, K, 2)."""
    groups = np.arange(len(runs.names))
    return np.asarray(np.moveaxis(runs.moved[:, groups, :, 0, groups], 0, 1))


def _conclusions(
    names: Sequence[str], judged: Judged, tau: Estimate[float], groups: int, window: str
) -> list[Note]:
    said = {
        verdict: [n for n, one in zip(names, judged.verdict, strict=True) if one == verdict]
        for verdict in ("falls", "rises", "flat", "undecided")
    }
    words = {
        "falls": "the error falls where weights come in",
        "rises": "it rises",
        "flat": "flat",
        "undecided": "undecided",
    }
    parts = [f"{words[verdict]}: {listed(of, 6)}" for verdict, of in said.items() if of]
    notes = [Note("; ".join(parts), rank=Rank.CONCLUSION)] if parts else []
    if math.isfinite(tau.value):
        interval = f" [{tau.low:+.2f}, {tau.high:+.2f}]" if math.isfinite(tau.low) else ""
        chance = 2 / math.factorial(groups)
        beside = f"; {groups} groups are ordered alike or in reverse by chance in {chance:.2g}"
        notes.append(
            Note(
                f"Kendall's tau of chi and y (levels {window}): {tau.value:+.2f}{interval}, mean "
                f"over seeds{beside if chance > 0.01 else ''}; below 0: the error answers to "
                "groups of large y as to what it needs",
                "relevance.md#chi-and-y",
                Rank.CONCLUSION,
            )
        )
    return notes


def _cautions(
    runs: Runs, base: Floats, unit: float, closure: Estimate[float], share: Floats
) -> list[Note]:
    notes = []
    if len(runs.seeds) < 2:
        notes.append(Note(f"one seed has no interval: {runs.source.more('seeds')}"))
    if not math.isfinite(unit):
        text = "all accuracies are one number, so what a test image is worth is not known"
        notes.append(Note(text, rank=Rank.WARNING))
    elif len(runs.seeds) > 1 and np.exp(base).std() < unit:
        text = (
            "seeds err in the same number of images within one: rounding to whole images does not "
            "average out over them, and intervals are too narrow"
        )
        notes.append(Note(text, "relevance.md#sizes", Rank.WARNING))
    if closure.low > 0 or closure.high < 0:
        text = (
            f"the sum of (1 - share) chi is {closure.value:+.3f} [{closure.low:+.3f}, "
            f"{closure.high:+.3f}], and 0 where the error answers linearly: this perturbation is "
            "too large for that, or seeds are too few"
        )
        notes.append(Note(text, "relevance.md#chi", Rank.WARNING))
    large = [n for n, of in zip(runs.names, share, strict=True) if of > _LARGE]
    if large:
        text = (
            f"{listed(large, 4)} has more than half of the weights, so that the others move "
            "further than it does: a factor nearer to 1 keeps to the slope"
        )
        notes.append(Note(text, "relevance.md#chi"))
    few = [
        n for n, kept in zip(runs.names, runs.kept[:, 0].mean(axis=0), strict=True) if kept < _FEW
    ]
    if few:
        text = (
            f"few weights ({listed(few, 4)}: below {_FEW}): their perturbations are a handful each"
        )
        notes.append(Note(text))
    notes.append(
        Note(
            f"{counted(int(runs.sides.sum()), 'perturbed ticket')} a seed, trained from the same "
            "rewind weights in the same order of the data; intervals are 95 % each",
            rank=Rank.DETAIL,
        )
    )
    return notes
