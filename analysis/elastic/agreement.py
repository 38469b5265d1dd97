"""How far scores of maps agree with the accuracies that their tickets reached."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...schemas.notes import Note, Rank
from ..arrays import AT_ONCE, Floats, Integers
from ..result import Column, Result, ends
from ..stats.level import ALPHA
from ..stats.seeds import seed_mean
from ..values import NOTHING, Estimate
from .kendall import kendall, relabellings
from .scores import SCORES, TIE, Scoring, scores
from .tickets import Tickets, whole

LEAST_MAPS = 8  # below, two maps that change places move tau by more than a quarter
LEAST_VALUES = 3  # of a score: of two, one comparison is all that there is
LEAST_SEEDS = 3  # of two, taus may agree by chance, and the t interval has one degree of freedom
MEASURED = "measured density"  # a score that needs no spectrum
AGAINST = ("accuracy", "difference")


@dataclass(frozen=True)
class Tau:
    """One score against what the tickets of one level reached.

    Attributes
    ----------
    score : str
        `w1`, `position`, `signature`, `density`, or the measured density of the tickets.
    level : int
        Level of the source.
    against : str
        `accuracy`, or `difference` to the target's own ticket at equal density.
    maps, values, seeds : int
        Maps with all seeds, different values of the score among them, and seeds.
    tau : Estimate
        Mean over seeds of Kendall's tau-b; positive where the better score is the more accurate.
    of_means : float
        Tau-b against the mean over seeds.
    p : float
        Share of relabellings of the source's blocks with a tau at least as large; NaN for what does
        not come from a spectrum.
    least_p : float
        Share of those that order the maps as the true one does: p is never below it.
    relabelled : int
        Number of relabellings, the true one among them.
    refused : str
        Why there is no tau; empty where there is one.
    """

    score: str
    level: int
    against: str
    maps: int
    values: int
    seeds: int
    tau: Estimate[float] = field(default_factory=lambda: NOTHING)
    of_means: float = math.nan
    p: float = math.nan
    least_p: float = math.nan
    relabelled: int = 0
    refused: str = ""

    def notes(self) -> Iterator[Note]:
        """Say what was found, or why nothing can be."""
        what = f"{self.score} against {self.against} at level {self.level}"
        if self.refused:
            yield Note(f"no tau of {what}: {self.refused}", rank=Rank.CONCLUSION)
            return
        tau = self.tau
        interval = f" [{tau.low:+.2f}, {tau.high:+.2f}]" if math.isfinite(tau.low) else ""
        chance = f", p {self.p:.3g} of {self.relabelled:,} relabellings" if self.relabelled else ""
        yield Note(
            f"Kendall's tau of {what}: {tau.value:+.2f}{interval}, {self.maps} maps, "
            f"{self.seeds} seeds{chance}",
            rank=Rank.CONCLUSION,
        )
        if self.least_p > ALPHA:
            yield Note(
                f"{self.least_p:.3g} of the {self.relabelled} ways to relabel the source's blocks "
                f"order these maps by {self.score} as the true one does: no p below that is "
                "possible; a deeper source, or maps of more different blocks, can have one",
                rank=Rank.WARNING,
            )
        if self.seeds < LEAST_SEEDS:
            yield Note(
                f"{self.seeds} seeds give tau no interval: three are needed", rank=Rank.WARNING
            )
        if self.values < self.maps:
            yield Note(f"{self.maps} maps share {self.values} values of {self.score}")


@dataclass(frozen=True, eq=False)
class Agreement(Result):
    """Kendall's tau of every score at every level that was trained.

    Attributes
    ----------
    label : str
        Source and target.
    taus : tuple of Tau
        By level, what is held to, and score.
    notes : tuple of str
        What the numbers alone do not say.
    """

    label: str
    taus: tuple[Tau, ...]
    notes: tuple[str, ...] = ()

    columns = (
        Column("level", "Level of the source whose tickets were trained."),
        Column("against", "accuracy, or difference to the target's own ticket at equal density."),
        Column("score", "What the maps are ordered by; measured density needs no spectrum."),
        Column("maps", "Maps that have all seeds."),
        Column("values", "Different values of the score among them."),
        Column("seeds", "Seeds."),
        Column("tau", "Mean over seeds of Kendall's tau-b; 1: the best first.", "", "+z.2f"),
        *ends("tau_low", "tau_high", "its 95 % interval, over seeds", "", "+z.2f", "if any"),
        Column("of_means", "Tau-b against the means over seeds.", "", "+z.2f"),
        Column("p", "Of blocks that could as well be each other's.", "", ".3g", "if any"),
        Column("least_p", "What p is never below with these maps.", "", ".3g", "if any"),
        Column("relabelled", "Ways to exchange blocks.", shown="wide"),
        Column("refused", "Why there is no tau.", shown="if any"),
    )
    rows = "a row for every level, what is held to, and score"
    see = "elastic.md#scores-and-accuracies"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return f"{self.label}: scores of maps against accuracies of their tickets"

    def find(self, score: str, level: int, against: str = "accuracy") -> Tau:
        """Return the tau of a score."""
        wanted = (score, level, against)
        return next(t for t in self.taus if (t.score, t.level, t.against) == wanted)

    def _values(self) -> dict[str, Any]:
        names = ("level", "against", "score", "maps", "values", "seeds")
        values: dict[str, Any] = {name: [getattr(t, name) for t in self.taus] for name in names}
        values |= {
            "tau": [t.tau.value for t in self.taus],
            "tau_low": [t.tau.low for t in self.taus],
            "tau_high": [t.tau.high for t in self.taus],
        }
        for name in ("of_means", "p", "least_p", "relabelled", "refused"):
            values[name] = [getattr(t, name) for t in self.taus]
        return values


@dataclass(frozen=True, eq=False)
class Spectra:
    """What scores are made of.

    Attributes
    ----------
    source, target : tuple of array, a stage each, shapes (k,) and (K,)
        theta of both.
    feeds : tuple of integer array, a stage each, shape (C, K)
        The maps.
    weights : sequence of int
        Weights of a normal block of every stage.
    """

    source: tuple[Floats, ...]
    target: tuple[Floats, ...]
    feeds: tuple[Integers, ...]
    weights: Sequence[int]

    def costs(self, scoring: Scoring, orders: Sequence[Integers]) -> Floats:
        """Return what maps cost where the source's blocks stand in other orders: shape (R, C)."""
        step = max(1, AT_ONCE // sum(feeds.size for feeds in self.feeds))
        parts = []
        for first in range(0, len(orders[0]), step):
            theta = [
                stage[order[first : first + step]]
                for stage, order in zip(self.source, orders, strict=True)
            ]
            goal = [stage[None] for stage in self.target]
            parts.append(scoring.cost(scores(scoring, theta, goal, self.feeds, self.weights)))
        return np.asarray(np.round(np.concatenate(parts) / TIE))


def agreement(
    label: str, spectra: Spectra, scoring: Scoring, tickets: Tickets, rng: np.random.Generator
) -> Agreement:
    """Hold every score to the tickets of every level.

    Parameters
    ----------
    label : str
        Source and target, for the title.
    spectra : Spectra
        What scores are made of; its C maps are those of the tickets.
    scoring : Scoring
        Choices of the scores.
    tickets : Tickets
        What was trained.
    rng : numpy Generator
        Draws relabellings where there are many.
    """
    orders = relabellings([len(stage) for stage in spectra.source], rng)
    costs = {name: spectra.costs(replace(scoring, score=name), orders) for name in SCORES}
    taus = []
    for n, level in enumerate(tickets.levels):
        for against in AGAINST:
            reached = getattr(tickets, against)[:, :, n]
            taus += [_tau(name, level, against, cost, reached) for name, cost in costs.items()]
            sparse = -tickets.density[:, :, n].T
            taus.append(_tau(MEASURED, level, against, sparse, reached, by_seed=True))
    return Agreement(label, tuple(taus))


def _tau(
    score: str, level: int, against: str, costs: Floats, reached: Floats, *, by_seed: bool = False
) -> Tau:
    """Hold costs (R, C), or of every seed its own (S, C), to what was reached (C, S)."""
    maps, seeds = whole(reached)
    values, costs = reached[np.ix_(maps, seeds)].T, costs[:, maps]
    if by_seed:
        costs = costs[seeds]
    distinct = len(np.unique(costs[0])) if len(costs) else 0
    found = Tau(score, level, against, int(maps.sum()), distinct, len(values))
    refused = _refusal(found)
    if refused:
        return replace(found, refused=refused)
    taus = kendall(-costs, values)
    own = np.diag(taus) if by_seed else taus[0]
    if not np.isfinite(own).all():
        return replace(found, refused="all maps of a seed are equally accurate")
    cost = costs.mean(axis=0) if by_seed else costs[0]
    of_means = float(kendall([-cost], [values.mean(axis=0)])[0, 0])
    found = replace(found, tau=_over_seeds(own), of_means=of_means)
    if by_seed:
        return found
    # Relabelled, a score may have one value for all maps, which orders nothing.
    relabelled = np.nan_to_num(taus).mean(axis=1)
    alike = kendall(costs, costs[:1])[:, 0] >= 1 - TIE
    return replace(
        found,
        p=float((relabelled >= relabelled[0] - TIE).mean()),
        least_p=float(alike.mean()),
        relabelled=len(costs),
    )


def _over_seeds(taus: Floats) -> Estimate[float]:
    """Return the mean of the taus of seeds (S,), with Student's interval."""
    estimate = seed_mean(taus[:, None]).estimate
    if len(taus) < LEAST_SEEDS:
        return Estimate(float(estimate.value[0]), math.nan, math.nan)
    low, high = (float(np.clip(end[0], -1, 1)) for end in (estimate.low, estimate.high))
    return Estimate(float(estimate.value[0]), low, high)


def _refusal(found: Tau) -> str:
    if not found.seeds:
        return "no seed was trained with most of the maps"
    if found.maps < LEAST_MAPS:
        return f"{found.maps} maps have all seeds, and {LEAST_MAPS} are needed"
    if found.values < LEAST_VALUES:
        return f"the maps have {found.values} values of it, and {LEAST_VALUES} are needed"
    return ""
