"""Which depth of a family feeds which best: stretches and squeezes between several experiments."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from ...schemas.errors import RgtoolError, UsageError, choose
from ...schemas.notes import LeftOut, Note, Rank
from ...schemas.tickets.stack import same_family
from ...schemas.tickets.transform import Transform
from ...store import PublishedSpectrum, published_names
from ...store.counts import Counts
from ..arrays import Floats
from ..named import Named, Stored, StoreLike, look_up_all, look_up_each, open_store
from ..result import Column, Result
from .blocks import (
    NormalBlocks,
    Stages,
    check_window,
    differences,
    normal_blocks,
    of_counts,
    of_published,
    own_notes,
)
from .maps import Candidates, MapKind, candidates
from .match import MAP_DRAWS, about_draws, affordable, block_weights, drawn_costs, no_draws
from .result import MOST, SCORE_COLUMNS
from .scores import LEVEL, MARGIN, TIE, ScoreName, Scoring, first_share, scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...store import Store


@dataclass(frozen=True, eq=False)
class Pair:
    """The best transform from one experiment to another.

    Attributes
    ----------
    source, target : int
        Positions among the experiments.
    transform : Transform
        The map that scores best; the first of those that tie.
    family, published : str
        As in `Candidates`.
    tried : int
        Number of maps it is the best of.
    value : float
        Its score.
    rank : int
        Of the source among all sources of the target, by that score; ties share the best.
    probability : float
        How often the source is first among them over draws, each with its best map in every draw;
        NaN where there are no draws.
    """

    source: int
    target: int
    transform: Transform
    family: str
    published: str
    tried: int
    value: float
    rank: int
    probability: float


@dataclass(frozen=True, eq=False)
class MatchAll(Result):
    """Pairs of experiments of one family and task, by target and rank.

    Attributes
    ----------
    experiments : tuple of NormalBlocks
        Shallow to deep.
    scoring : Scoring
        What pairs are ranked by.
    maps : str
        Which were tried.
    pairs : tuple of Pair
        By target, best source first.
    draws : int
        Behind the probabilities; 0 where there are none.
    notes : tuple of str
        What the numbers alone do not say.
    """

    experiments: tuple[NormalBlocks, ...]
    scoring: Scoring
    maps: MapKind
    pairs: tuple[Pair, ...]
    draws: int
    notes: tuple[str, ...]

    columns = (
        Column("target", "Where tickets are to be used."),
        Column("source", "Where they are found."),
        Column("rank", "Of the source among those of the target; ties share the best."),
        *SCORE_COLUMNS,
        Column("probability", "Share of draws that put the source first.", "", ".3f", "if any"),
        Column("transform", "The best map."),
        Column("family", "Kind of map."),
        Column("published", "Its name in Chen et al. 2021c.", shown="if any"),
        Column("maps", "Maps that it is the best of."),
    )
    rows = "a row for every pair, by target; of the scores the one that pairs are ranked by"
    see = "elastic.md#which-depth-feeds-which"
    most = MOST

    @property
    def names(self) -> tuple[str, ...]:
        """A short unique name for each experiment."""
        labels = [one.label for one in self.experiments]
        return tuple(
            label if labels.count(label) == 1 else f"{label} {one.name.removeprefix('published:')}"
            for label, one in zip(labels, self.experiments, strict=True)
        )

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return (
            f"{len(self.pairs)} stretches and squeezes between {len(self.experiments)} experiments "
            f"({self.maps}) by {self.scoring.score}"
        )

    @property
    def matrix(self) -> Floats:
        """Best score from every source (rows) to every target; NaN where nothing leads: (E, E)."""
        out = np.full((len(self.experiments),) * 2, np.nan)
        for pair in self.pairs:
            out[pair.source, pair.target] = pair.value
        return out

    def _values(self) -> dict[str, Any]:
        names = self.names
        return {
            "target": [names[pair.target] for pair in self.pairs],
            "source": [names[pair.source] for pair in self.pairs],
            "rank": [pair.rank for pair in self.pairs],
            self.scoring.score: [pair.value for pair in self.pairs],
            "probability": [pair.probability for pair in self.pairs],
            "transform": [str(pair.transform) for pair in self.pairs],
            "family": [pair.family for pair in self.pairs],
            "published": [pair.published or None for pair in self.pairs],
            "maps": [pair.tried for pair in self.pairs],
        }

    def plot(self) -> Figure:
        """Draw it, as `rgtool.plot` does."""
        from ..plots.match import plot_match_all

        return plot_match_all(self)


def match_all(
    store: StoreLike = None,
    experiments: Sequence[Named | NormalBlocks] = (),
    *,
    published: bool = False,
    maps: MapKind = "families",
    score: ScoreName = "w1",
    margin: float = MARGIN,
    level: int = LEVEL,
    window: tuple[int, int] | None = None,
    draws: int = MAP_DRAWS,
    rng: np.random.Generator | int = 0,
    exclude: Sequence[Named] = (),
) -> MatchAll:
    """Rank the sources of every target among experiments of one family and task.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are.
    experiments : sequence of str
        Experiments or runs of the store or `published:NAME`, see `named.look_up`; default all of
        the store that have residual blocks.
    published : bool
        Take the spectra of the literature instead of those of the store.
    maps, score, margin, level, window, draws, rng
        As in `match`.
    exclude : sequence of str
        Experiments to leave out of the store or of the literature.

    Raises
    ------
    StoreError
        The store is empty.
    UsageError
        No two experiments are of one family and task and of different depths, or a name or choice
        is not to be had.
    """
    if published and experiments:
        raise UsageError(
            "published takes every spectrum of the literature: leave the names out, or name some "
            "as published:NAME and leave published out"
        )
    if exclude and experiments:
        raise UsageError("exclude takes experiments out of all of them: leave the names out")
    scoring, maps = Scoring(score, margin, level), choose("maps", maps, get_args(MapKind))
    members, notes = _members(open_store(store), experiments, published, window, exclude)
    check_window(window, members)
    return _match_all(members, scoring, maps, draws, rng, notes)


def _match_all(
    experiments: Sequence[NormalBlocks],
    scoring: Scoring,
    maps: MapKind,
    draws: int,
    rng: np.random.Generator | int,
    notes: Sequence[str],
) -> MatchAll:
    if draws < 1:
        raise UsageError(f"draws is {draws}: at least 1 is needed")
    members = sorted(experiments, key=lambda one: (one.label, one.name))
    members.sort(key=lambda one: sum(one.stack.depths))
    between = {
        (source, target): candidates(one.stack, other.stack, maps)
        for target, other in enumerate(members)
        for source, one in enumerate(members)
        if _comparable(one, other)
    }
    if not between:
        labels = ", ".join(dict.fromkeys(one.label for one in members)) or "none"
        raise UsageError(
            f"no two of the {len(members)} experiments with normal blocks ({labels}) are of one "
            "family and task and of different depths, such as resnet20/cifar10 and resnet32/cifar10"
        )
    used = sorted({place for pair in between for place in pair})
    count = min(affordable(draws, found) for found in between.values())
    drawn = _member_draws(
        [members[i] if i in used else None for i in range(len(members))], count, rng
    )
    pairs: list[Pair] = []
    for target in used:
        pairs += _sources(target, members, between, scoring, drawn)
    sides = [members[i] for i in used]
    known = any(np.isfinite(pair.probability) for pair in pairs)
    return MatchAll(
        experiments=tuple(sides),
        scoring=scoring,
        maps=maps,
        pairs=tuple(_renumbered(pair, used) for pair in pairs),
        draws=count if known else 0,
        notes=(
            "a pair has the score of its best map: where more maps lead, the best of more is taken",
            *dict.fromkeys(note for found in between.values() for note in found.notes),
            *(about_draws(sides, count, draws, "source") if known else []),
            *([] if all(one.can_draw for one in sides) else [no_draws(sides)]),
            *(note for one in sides for note in own_notes(one)),
            *differences(sides),
            *notes,
        ),
    )


def _members(
    store: Store,
    names: Sequence[Named | NormalBlocks],
    literature: bool,
    window: tuple[int, int] | None,
    exclude: Sequence[Named],
) -> tuple[list[NormalBlocks], list[Note]]:
    """Return the experiments that are meant, and which were left out."""
    if names:
        meant = [one for name in names for one in _each(store, name)]
        found = [normal_blocks(store, one, window) for one in meant]
        return list({one.name: one for one in found}.values()), []
    members: list[NormalBlocks] = []
    left_out: list[Note] = []
    every = look_up_all(store, published_names() if literature else (), exclude)
    stored = [one.experiment_id for one in every if isinstance(one, Stored)]
    printed = [(one.name, one) for one in every if isinstance(one, PublishedSpectrum)]
    for name, one in (*store.counts_of(stored, by="block"), *printed):
        try:
            if isinstance(one, RgtoolError):
                raise one
            members.append(of_counts(one, window) if isinstance(one, Counts) else of_published(one))
        except RgtoolError as error:
            left_out.append(LeftOut(f"left out: {name}: {error}", MatchAll.see, Rank.WARNING))
    if literature and left_out:
        said = f"left out: {len(left_out)} published spectra that are not of residual blocks"
        left_out = [Note(said, MatchAll.see, Rank.WARNING)]
    return members, left_out


def _each(store: Store, name: Named | NormalBlocks) -> Sequence[Named | NormalBlocks]:
    """Return all that a name means; one that means nothing gets the words of `normal_blocks`."""
    if isinstance(name, str):
        with contextlib.suppress(UsageError):
            return look_up_each(store, name)
    return [name]


def _comparable(source: NormalBlocks, target: NormalBlocks) -> bool:
    depths = source.stack.depths, target.stack.depths
    return (
        source.task == target.task
        and depths[0] != depths[1]
        and all(map(all, depths))
        and same_family(source.stack, target.stack)
    )


def _member_draws(
    members: Sequence[NormalBlocks | None], count: int, rng: np.random.Generator | int
) -> list[Stages | None]:
    generator = np.random.default_rng(rng)
    return [one.draws(count, generator) if one and one.can_draw else None for one in members]


def _sources(
    target: int,
    members: Sequence[NormalBlocks],
    between: dict[tuple[int, int], Candidates],
    scoring: Scoring,
    drawn: Sequence[Stages | None],
) -> list[Pair]:
    """Rank the sources of one target."""
    sources = [source for source, other in between if other == target]
    weights, goal = block_weights(members[target]), members[target].theta
    best, values, least = [], [], []
    for source in sources:
        found = between[source, target]
        scored = scores(scoring, members[source].theta, goal, found.feeds, weights)
        place = int(np.argmin(np.round(scoring.cost(scored) / TIE)))
        best.append(place)
        values.append(float(scored[place]))
        one, other = drawn[source], drawn[target]
        if one is not None and other is not None:
            costs = drawn_costs(scoring, one, other, found, weights)
            least.append(np.concatenate([part.min(axis=-1) for part in costs]))
    nothing = np.full(len(sources), np.nan)
    complete = len(least) == len(sources) > 0
    shares = first_share(np.stack(least, axis=-1)) if complete else nothing
    costs_ = scoring.cost(np.array(values))
    ranks = (costs_[:, None] > costs_ + TIE).sum(axis=-1) + 1
    pairs = [
        Pair(
            source=source,
            target=target,
            transform=between[source, target].transform(place),
            family=between[source, target].family[place],
            published=between[source, target].published[place],
            tried=len(between[source, target]),
            value=value,
            rank=int(rank),
            probability=float(share),
        )
        for source, place, value, rank, share in zip(
            sources, best, values, ranks, shares, strict=True
        )
    ]
    return sorted(pairs, key=lambda pair: (pair.rank, pair.source))


def _renumbered(pair: Pair, used: Sequence[int]) -> Pair:
    return replace(pair, source=used.index(pair.source), target=used.index(pair.target))
