"""How far may a ticket be pruned and still transfer? A hypothesis from the distance of spectra.

If tickets transfer until the flows have moved apart by a fixed amount tau in centred log-ratios,
the sparsest level that transfers is n* = tau / ||Delta clr||, the Euclidean norm of the difference
of centred log eigenvalues of a step that keeps .8. tau comes from the published transfers whose
source and target both have a published spectrum: four values, two levels. Where spectra may be
equal, or n* lies where no transfer was ever measured, there is no prediction. What the rule is
worth stands in `analysis.scoreboard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...store.figures import figure_rows
from ...store.literature import PREFIX, PublishedSpectrum, published, published_names
from ..arrays import Floats
from ..named import Named, StoreLike, look_up
from ..result import Column, Result, ends
from ..scoreboard.line import SCORE_COLUMNS, Line, score_values
from ..spectrum.noise import ONE_SEED, PRINTED
from ..stats.contrast import DRAWS, centred
from ..stats.level import ALPHA
from ..values import NOTHING, Estimate
from .compare import check_groups
from .evidence import spectral
from .printed import mean_noise
from .subjects import Subject, gather, refuse_twice
from .theta import run_exponents


@dataclass(frozen=True, eq=False)
class Anchor:
    """A published transfer that tau is taken from.

    Attributes
    ----------
    source, target : str
        Published spectra.
    level : int
        Sparsest matching level of the transferred ticket.
    norm : float
        ||Delta clr|| of the two spectra.
    """

    source: str
    target: str
    level: int
    norm: float

    @property
    def tau(self) -> float:
        """Level times norm."""
        return self.level * self.norm


@dataclass(frozen=True, eq=False)
class Prediction(Result):
    """Predicted minimal transferable density of a pair: a hypothesis.

    Attributes
    ----------
    experiments, labels : (str, str)
        Source and target.
    verdict : str
        Of the spectra: `same`, `different` or `undecided`.
    p : float
        Of equal spectra; NaN where there are too few seeds.
    norm : Estimate
        ||Delta clr||, and its 95 % interval; 0 below where noise alone may make the difference,
        NaN without a test.
    tau : Estimate
        Mean of the published values, and the 95 % interval for another one.
    refused : str
        Why there is no prediction; empty where there is one.
    level : Estimate
        n*, and its 95 % interval from both. NaN without a prediction, and for an end that lies
        where no transfer was ever measured.
    density : Estimate
        .8^n*, and the interval.
    drawn : array, shape (B,)
        Draws of the level, infinite where the distance may be none.
    notes : tuple of str
        What the numbers alone do not say.
    scores : tuple of Line
        What the rule was worth where it was held to outcomes, the most telling first.
    registered : str
        Id of the prediction, where it was written down.
    """

    experiments: tuple[str, str]
    labels: tuple[str, str]
    verdict: str
    p: float
    norm: Estimate[float]
    tau: Estimate[float]
    refused: str
    level: Estimate[float]
    density: Estimate[float]
    drawn: Floats
    notes: tuple[str, ...]
    scores: tuple[Line, ...] = ()
    registered: str = ""

    columns = (
        Column("a", "Where tickets are found."),
        Column("b", "Where they are to be used."),
        Column("verdict", "Of the spectra: same, different or undecided."),
        Column("p", "Of equal spectra.", "", ".3g"),
        Column("norm", "||Delta clr||, the distance of the spectra.", "log, a level", ".3g"),
        *ends("norm_low", "norm_high", "its 95 % interval", "log, a level", ".3g"),
        Column("tau", "Mean over the published transfers.", "log", ".3g", "wide"),
        *ends("tau_low", "tau_high", "the 95 % interval of another", "log", ".3g", "wide"),
        Column("level", "n* = tau / norm.", "levels", ".3g", "if any"),
        *ends("level_low", "level_high", "its 95 % interval", "levels", ".3g", "if any"),
        Column("density", "0.8^n*, the smallest at which tickets transfer.", "", ".3g", "if any"),
        *ends("density_low", "density_high", "its 95 % interval", "", ".3g", "if any"),
        *SCORE_COLUMNS,
        Column("registered", "Id of the prediction that was written down.", shown="if any"),
        Column("refused", "Why there is no prediction.", shown="if any"),
    )
    rows = "one row"
    see = "classes.md#how-far-may-tickets-transfer"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        (a, b), density = self.experiments, self.density
        if self.refused:
            return f"no prediction of how far tickets of {a} transfer to {b}: {self.refused}"
        low, high = (f"{end:.2g}" if end == end else "?" for end in (density.low, density.high))
        return (
            f"hypothesis: tickets of {a} transfer to {b} down to density {density.value:.2g} "
            f"[{low}, {high}]; spectra: {self.verdict}"
        )

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {
            "a": [self.experiments[0]],
            "b": [self.experiments[1]],
            "verdict": [self.verdict],
            "p": [self.p],
        }
        for name in ("norm", "tau", "level", "density"):
            found: Estimate[float] = getattr(self, name)
            values |= {
                name: [found.value],
                f"{name}_low": [found.low],
                f"{name}_high": [found.high],
            }
        last = {"registered": [self.registered], "refused": [self.refused]}
        return values | score_values(self.scores, 1) | last


def anchors() -> tuple[Anchor, ...]:
    """Return the published transfers whose source and target both have a published spectrum.

    Examples
    --------
    >>> [round(anchor.tau, 2) for anchor in anchors()]
    [0.79, 0.57, 0.68, 0.71]
    """
    known, found = set(published_names()), []
    for row in figure_rows("published_transfers"):
        if row["ticket"] != "transfer" or not row["matching"] or row["level"] is None:
            continue
        source = f"{PREFIX}resnet50-{row['weights_from']}-imagenet"
        target = f"{PREFIX}resnet50-{row['weights_from']}-{row['task']}"
        if {source, target} <= known and source != target:
            a, b = (centred(np.log(published(name).eigenvalue)) for name in (source, target))
            found.append(Anchor(source, target, row["level"], float(np.sqrt(((a - b) ** 2).sum()))))
    return tuple(found)


def measured_levels() -> tuple[int, int]:
    """Return the least and the greatest level at which a published transfer matched.

    Examples
    --------
    >>> measured_levels()
    (2, 15)
    """
    levels = [
        int(row["level"])
        for row in figure_rows("published_transfers")
        if row["ticket"] == "transfer" and row["matching"] and row["level"] is not None
    ]
    return min(levels), max(levels)


def predict_transfer(
    store: StoreLike,
    a: Named,
    b: Named,
    *,
    by: str | None = None,
    rng: np.random.Generator | int = 0,
    draws: int = DRAWS,
    known: Sequence[Anchor] | None = None,
) -> Prediction:
    """Say what the rule says, whatever it is worth; `scoreboard.predict` has its score beside.

    Parameters
    ----------
    store : Store or path, or None
        Where the records are.
    a, b : str
        Source and target: experiments, runs, or `published:NAME`, see `named.look_up`.
    by : str, optional
        `layer`, `block`, `stage` or `role`; default the coarsest that both have.
    rng : numpy.random.Generator or int
        Randomness of the draws, or its seed.
    draws : int
        Draws behind test and intervals.
    known : sequence of Anchor, optional
        Transfers that tau is taken from; default `anchors()`.

    Raises
    ------
    UsageError
        A name or grouping cannot be had, the groups differ, or both are one experiment.
    RgtoolError
        An experiment gives no spectrum.
    """
    found = [look_up(store, name) for name in (a, b)]
    refuse_twice(found)
    printed = [isinstance(one, PublishedSpectrum) for one in found]
    if by is None:
        by = next((one.by for one in found if isinstance(one, PublishedSpectrum)), None)
    (one, other), _, notes = gather(store, found, by)
    if printed == [True, False]:
        one, other = other, one  # published spectra come last
    known = anchors() if known is None else known
    return _predict(one, other, np.random.default_rng(rng), draws, notes, known)


def _predict(
    a: Subject,
    b: Subject,
    rng: np.random.Generator,
    draws: int,
    notes: tuple[str, ...],
    known: Sequence[Anchor],
) -> Prediction:
    thetas = [run_exponents(a), run_exponents(b)]
    if a.groups != b.groups:
        a, b, thetas, about = _narrowed(a, b, thetas)
        notes = (*notes, about)
    evidence = spectral([a, b], thetas, rng)
    p, same = float(evidence.p[0]), bool(evidence.same[0])
    verdict = "same" if same else "different" if p < ALPHA else "undecided"
    norm = float(evidence.columns["norm"][0])
    norms = _norms([a, b], thetas, rng, draws)
    norm_ends = _middle_95(norms) if np.isfinite(p) else (np.nan, np.nan)
    values = np.array([anchor.tau for anchor in known])
    taus = drawn_like(values, rng, draws)
    with np.errstate(divide="ignore"):
        levels, level = taus / norms, float(np.divide(values.mean(), norm))
    refused = _refusal(verdict, p, norms, level)
    n_star = NOTHING if refused else _within(level, *_middle_95(levels))
    return Prediction(
        experiments=(a.id, b.id),
        labels=(a.label, b.label),
        verdict=verdict,
        p=p,
        norm=Estimate(norm, *norm_ends),
        tau=Estimate(float(values.mean()), *_middle_95(taus)),
        refused=refused,
        level=n_star,
        density=Estimate(0.8**n_star.value, 0.8**n_star.high, 0.8**n_star.low),
        drawn=levels,
        notes=(*notes, *evidence.notes),
    )


def _refusal(verdict: str, p: float, norms: Floats, level: float) -> str:
    """Say why there is no prediction, or nothing."""
    least, most = measured_levels()
    if verdict != "different":
        if verdict == "same":
            return "their spectra are the same within the margin, so no distance sets a level"
        why = f"not certainly different (p {p:.2g})" if np.isfinite(p) else "not tested"
        return f"their spectra are {why}, so it is open whether any distance sets a level"
    if not _middle_95(norms)[0] > 0:
        return "the distance of their spectra may be noise alone, so it sets no level"
    if not least <= level <= most:
        return (
            f"the rule would say level {level:.3g}, and no transfer was measured but at levels "
            f"{least} to {most}"
        )
    return ""


def _within(level: float, low: float, high: float) -> Estimate[float]:
    """Return the level without the ends that lie where no transfer was measured."""
    least, most = measured_levels()
    return Estimate(
        level, low if low >= least else float("nan"), high if high <= most else float("nan")
    )


def _narrowed(
    a: Subject, b: Subject, thetas: list[Floats]
) -> tuple[Subject, Subject, list[Floats], str]:
    """Narrow an experiment and a published spectrum to the groups that both have."""
    both = tuple(name for name in a.names if name in b.names)
    if (a.printed is None and b.printed is None) or len(both) < 2 or a.by != b.by:
        check_groups(a, b)
    columns = [[s.names.index(name) for name in both] for s in (a, b)]
    narrowed = [theta[:, some] for theta, some in zip(thetas, columns, strict=True)]
    note = f"compared in the groups that both have: {', '.join(both)}"
    return replace(a, names=both), replace(b, names=both), narrowed, note


def _norms(
    subjects: list[Subject], thetas: list[Floats], rng: np.random.Generator, draws: int
) -> Floats:
    """Draw the norm of the difference, freed of what noise adds to its square: shape (B,)."""
    means, noises = [], []
    for subject, theta in zip(subjects, thetas, strict=True):
        known = PRINTED if subject.printed is not None else ONE_SEED if len(theta) < 2 else None
        means.append(centred(theta.mean(axis=0)))
        noises.append(centred(mean_noise(theta, draws, rng, known)))
    noise = noises[0] - noises[1]
    square = ((means[0] - means[1] + noise) ** 2).sum(axis=1)
    # The square of the estimate is too large by the variance, and that of a draw by twice that.
    return np.asarray(np.sqrt(np.maximum(square - 2 * (noise**2).sum(axis=1).mean(), 0)))


def drawn_like(values: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """Draw another value like some: log-normal about their mean, t with few degrees of freedom."""
    spread = np.log(values).std(ddof=1) * np.sqrt(1 + 1 / len(values))
    return np.asarray(values.mean() * np.exp(spread * rng.standard_t(len(values) - 1, draws)))


def _middle_95(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975], method="nearest")
    return float(low), float(high)


def rule_notes(found: Prediction) -> list[str]:
    """Say what is to be known of the rule, where it predicts something."""
    values, level = np.array([anchor.tau for anchor in anchors()]), found.level
    shown = " ".join(f"{value:.2f}" for value in values)
    notes = [
        f"a hypothesis: n* = tau / ||Delta clr|| with tau {values.mean():.2f} from four published "
        f"transfers ({shown}) of one architecture"
    ]
    if level.value == level.value and not (level.low == level.low and level.high == level.high):
        least, most = measured_levels()
        notes.append(
            f"the interval is open where it leaves levels {least} to {most}: no transfer was "
            "measured there"
        )
    notes.append("equal spectra are not equal tickets, and the distance knows no direction")
    return notes
