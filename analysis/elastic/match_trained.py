"""Scores of maps beside what their tickets reached, where these were trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...schemas.errors import RgtoolError, UsageError
from ...schemas.notes import LeftOut, Rank, noted
from ...schemas.tickets.transform import Transform
from ..arrays import Integers
from ..named import Named, Stored, StoreLike, look_up
from ..result import Column, Result, columns_like, ends
from ..transfer.differences import mean_of, paired
from .agreement import AGAINST, Agreement, Spectra, agreement
from .maps import MapKind, feeds_of
from .match import MAP_DRAWS, block_weights, match
from .result import Match
from .scores import LEVEL, MARGIN, ScoreName
from .tickets import Tickets, absent, children_of, means, seed_columns, tickets_of, whole


@dataclass(frozen=True, eq=False)
class MatchTrained(Result):
    """The maps between two experiments that were trained, best first, at one level.

    Attributes
    ----------
    match : Match
        All maps and their scores.
    places : integer array, shape (C,)
        Where the trained ones stand there.
    tickets : Tickets
        What they reached, in this order.
    level : int
        The level that is shown.
    agreement : Agreement
        Kendall's tau of every score at every level.
    notes : tuple of str
        What the numbers alone do not say.
    """

    match: Match
    places: Integers
    tickets: Tickets
    level: int
    agreement: Agreement
    notes: tuple[str, ...]

    columns = (
        *columns_like(Match.columns, "rank transform family published"),
        *columns_like(Match.columns, "w1 position signature density probability"),
        Column("experiment", "The experiment that trained it.", shown="wide"),
        Column("seeds", "Seeds that were trained."),
        Column("kept", "Density of the target with the ticket, mean over seeds.", "", ".4f"),
        Column("accuracy", "Mean test accuracy.", "fraction", ".4f"),
        *ends("accuracy_low", "accuracy_high", "its 95 % interval", "fraction", ".4f", "wide"),
        Column("difference", "To the own ticket at equal density.", "fraction", "+z.4f", "if any"),
        *ends(
            "difference_low", "difference_high", "its 95 % interval", "fraction", "+z.4f", "if any"
        ),
    )
    rows = "a row for every map that was trained, best first"
    see = "elastic.md#scores-and-accuracies"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return (
            f"{self.match.title}: {len(self.places)} trained, those of level {self.level} beside "
            "what they reached"
        )

    def _values(self) -> dict[str, Any]:
        ranked = self.match.to_frame()[self.places]
        values: dict[str, Any] = ranked.to_dict(as_series=False)
        found = self.tickets.narrow([self.level])
        return values | {
            "experiment": found.experiments,
            "seeds": np.isfinite(found.accuracy).sum(axis=1).ravel(),
            "kept": means(found.density),
            **seed_columns("accuracy", found.accuracy, mean_of, found.unit),
            **seed_columns("difference", found.difference, paired, found.unit),
        }


def match_trained(
    store: StoreLike,
    source: Named,
    target: Named,
    *,
    maps: MapKind = "families",
    transforms: Sequence[str | Transform] = (),
    at: int | None = None,
    score: ScoreName = "w1",
    margin: float = MARGIN,
    level: int = LEVEL,
    window: tuple[int, int] | None = None,
    draws: int = MAP_DRAWS,
    rng: np.random.Generator | int = 0,
) -> MatchTrained:
    """Hold the scores of maps to the accuracies of the tickets that were trained by them.

    Parameters
    ----------
    store : Store or path, or None
        Where the records are, of the children that `stretch` or `run` made, too.
    source, target : str
        Experiments of the store: where tickets were found, and what the target finds itself.
    maps, transforms, score, margin, level, window, draws
        As `match` takes them; what was trained is ranked too.
    at : int, optional
        Level of the source whose tickets are shown; by default the last that most maps have.
    rng : numpy.random.Generator or int
        Randomness of draws and relabellings, or its seed.

    Raises
    ------
    UsageError
        As of `match`; or one of the two is no experiment of the store.
    RgtoolError
        No map between them was trained.
    """
    one, other = (_stored(store, name) for name in (source, target))
    recipe = one.store.experiments(other.experiment_id)[0].recipe
    children, notes = children_of(one.store, one.experiment_id, recipe.architecture, recipe.task)
    if not children:
        raise RgtoolError(
            f"no ticket of {one.name} was trained as {recipe.architecture}/{recipe.task}: rgtool "
            f"stretch {one.name} {recipe.architecture} trains some"
        )
    found = tickets_of(one.store, [c.experiment_id for c in children], other.experiment_id)
    generator = np.random.default_rng(rng)
    ranked = match(
        one.store,
        one,
        other,
        maps=maps,
        transforms=(*transforms, *found.transforms),
        score=score,
        margin=margin,
        level=level,
        window=window,
        draws=draws,
        rng=generator,
    )
    return _beside(ranked, found, at, generator, notes)


def _stored(store: StoreLike, name: Named) -> Stored:
    found = look_up(store, name)
    if not isinstance(found, Stored):
        raise UsageError(
            f"{found.name if hasattr(found, 'name') else name}: what was trained is told of "
            "experiments of the store"
        )
    return found


def _beside(
    ranked: Match,
    tickets: Tickets,
    at: int | None,
    rng: np.random.Generator,
    notes: Sequence[str],
) -> MatchTrained:
    """Put what was trained in the order of the ranking, and hold the scores to it."""
    stages = len(ranked.source.stack.stages)
    place = {feeds_of(t, stages): i for i, t in enumerate(ranked.transforms)}
    places = np.array([place[feeds_of(t, stages)] for t in tickets.transforms])
    order = np.argsort(places, kind="stable")
    tickets = tickets.take(order)
    feeds = zip(*(feeds_of(t, stages) for t in tickets.transforms), strict=True)
    spectra = Spectra(
        ranked.source.theta,
        ranked.target.theta,
        tuple(np.array(stage, np.int64) for stage in feeds),
        block_weights(ranked.target),
    )
    label = f"{ranked.source.title} -> {ranked.target.title}"
    held = agreement(label, spectra, ranked.scoring, tickets, rng)
    level = _last(tickets) if at is None else tickets.levels[tickets.at(at)]
    said = [
        note
        for against in AGAINST
        for note in held.find(ranked.scoring.score, level, against).notes()
    ]
    about = noted(absent(tickets, level), MatchTrained.see, Rank.WARNING)
    return MatchTrained(
        ranked,
        places[order],
        tickets,
        level,
        held,
        (*said, *map(LeftOut, notes), *tickets.notes, *about, *ranked.notes),
    )


def _last(tickets: Tickets) -> int:
    """Return the last level among those that most maps have with all seeds."""
    counts = [int(whole(tickets.accuracy[:, :, n])[0].sum()) for n in range(len(tickets.levels))]
    return max(zip(counts, tickets.levels, strict=True))[1]
