"""Elastic tickets in earnest: tickets of one depth trained at another, with what bounds them.

The target finds its own ticket by the source's recipe, and the spectra of both rank the maps. Then
the source's tickets are trained at the target's depth by the maps that are asked for, and with them
their controls; runs that are there are not computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from ..analysis.elastic.draw import ALIKE, BlockCounts, matched_map, random_maps
from ..analysis.elastic.maps import MapKind, candidates
from ..analysis.elastic.match import match
from ..analysis.elastic.result import Match
from ..analysis.elastic.scores import ScoreName
from ..analysis.elastic.stretched import Line, Stretch, stretched_table
from ..analysis.named import StoreLike, open_store
from ..runner.plan import Plan
from ..runner.pruning import kept_series
from ..schemas.display import Row, Shown, Table
from ..schemas.errors import UsageError, choose
from ..schemas.recipe import CHOICES
from ..schemas.records.parents import Parent
from ..schemas.stack import Stack, stack_of
from ..schemas.transform import Transform
from ..store import Store
from ..store.catalogue.parents import parent_of
from ..store.catalogue.selection import Identified
from .children import plan
from .complete import Watch, complete, unwatched

RANDOM_MAP = "random-map"
CONTROLS = (RANDOM_MAP, *(name for name in CHOICES["control"] if name != "none"))
_LEVELS = (4, 8)  # where the source has them: densities of .41 and .17 at a prune of .2
_MORE = 6  # levels that the target prunes further than the source at most
_SPECTRUM = 3  # prunings from which on there is a spectrum to rank maps by


@dataclass(frozen=True)
class Ticket:
    """A ticket that is asked for.

    Attributes
    ----------
    name : str
        What it is there for, as in `Line`.
    transform : Transform
        The map that makes it.
    control : str
        What of it is drawn anew.
    """

    name: str
    transform: Transform
    control: str = "none"


@dataclass(frozen=True, eq=False)
class StretchPlan(Shown):
    """A stretch, checked, before anything is computed.

    Attributes
    ----------
    store : Store
        Where runs are.
    parent : Parent
        The source.
    own : Plan
        The target's own experiment.
    source, target : Stack
        Residual blocks of both.
    maps, controls : tuple of str
        What is asked for.
    at : tuple of int
        Levels whose tickets are trained.
    kind, score : str
        Maps that are ranked, and by what.
    seed : int
        Of the maps that are drawn.
    options : mapping
        How it is computed, for every plan alike.
    """

    store: Store
    parent: Parent
    own: Plan
    source: Stack
    target: Stack
    maps: tuple[str, ...]
    controls: tuple[str, ...]
    at: tuple[int, ...]
    kind: MapKind = "families"
    score: ScoreName = "w1"
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """How many experiments train tickets, at most: maps that are named twice are one."""
        every = len(candidates(self.source, self.target, self.kind))
        return sum(_drawn(one) or (every if one == "every" else 1) for one in self.maps) + len(
            self.controls
        )

    @property
    def label(self) -> str:
        """Source and target."""
        recipe = self.parent.recipe
        return f"{recipe.architecture}/{recipe.task} -> {self.own.recipe.architecture}"

    def table(self, measured: Sequence[Row] = ()) -> Table:
        """Return what is to be computed, and what was measured of it."""
        seeds, levels = len(self.own.seeds), len(self.at)
        rows: list[Row] = [
            ("source", f"{self.parent.experiment_id} ({self.parent.recipe.architecture})"),
            ("target", f"{self.own.recipe.experiment_id} ({self.own.recipe.architecture})"),
            ("seeds", ", ".join(map(str, self.own.seeds))),
            ("levels", ", ".join(map(str, self.at))),
            ("maps", ", ".join(self.maps)),
            ("controls", ", ".join(self.controls) or "none"),
            ("own records", f"{self.own.records}, of which {self.own.remaining()} are to compute"),
            ("records of tickets", f"{self.number * seeds * levels} at most"),
            *measured,
        ]
        return Table(("what", "value"), rows, title=f"{self.label}: nothing was computed")

    def child(self, ticket: Ticket) -> Plan:
        """Plan the experiment that trains a ticket; errors are those of `plan`."""
        return plan(
            self.own.network,
            self.own.task,
            parent=self.parent,
            transform=str(ticket.transform),
            control=ticket.control,
            seeds=self.own.seeds,
            at=self.at,
            store=self.store.path,
            **self.options,
        )

    @property
    def sample(self) -> Ticket:
        """A ticket as large as those that are asked for, known before maps are ranked."""
        given = [one for one in self.maps if one[:1].isdigit()]
        first = candidates(self.source, self.target, self.kind).transform(0)
        return Ticket("given", Transform.parse(given[0]) if given else first)

    def tickets(self) -> tuple[list[Ticket], list[str]]:
        """Choose the maps, once the target's own experiment is there; and say what is to be said.

        Raises
        ------
        RgtoolError
            The maps cannot be ranked.
        """
        rng = np.random.default_rng(self.seed)
        found: dict[Transform, Ticket] = {}
        for name, transform in self._maps(rng):
            found.setdefault(transform.resolve(self.source, self.target), Ticket(name, transform))
        tickets = [Ticket(one.name, transform) for transform, one in found.items()]
        first, notes = tickets[0], list[str]()
        if RANDOM_MAP in self.controls:
            blocks = self._blocks()
            drawn = matched_map(blocks, first.transform, list(found), rng)
            notes.append(_about_drawn(drawn, self))
            tickets += [Ticket("random map", drawn[0])] if drawn else []
        tickets += [
            Ticket(name, first.transform, name) for name in self.controls if name != RANDOM_MAP
        ]
        return tickets, notes

    def _maps(self, rng: np.random.Generator) -> Iterator[tuple[str, Transform]]:
        ranked = self._ranked() if {"first", "last", "every"} & {*self.maps} else None
        for one in self.maps:
            if (number := _drawn(one)) is not None:
                draws = random_maps(self.source.depths, self.target.depths, rng)
                yield from (("drawn", drawn) for drawn in islice(draws, number))
            elif ranked is None or one not in ("first", "last", "every"):
                yield "given", Transform.parse(one)
            elif one == "every":
                yield from (("map", transform) for transform in ranked.transforms)
            else:
                yield one, ranked.transforms[0 if one == "first" else -1]

    def _ranked(self) -> Match:
        return match(
            self.store,
            self.parent.experiment_id,
            self.own.recipe.experiment_id,
            maps=self.kind,
            score=self.score,
            draws=1,
            rng=self.seed,
        )

    def _blocks(self) -> BlockCounts:
        return _block_counts(self.store, self.parent, self.source, self.target, self.at)


def _about_drawn(drawn: tuple[Transform, float] | None, made: StretchPlan) -> str:
    if drawn is None:
        return (
            f"no other map leads from {made.source.name} to {made.target.name} than those that are "
            "trained: there is no random map beside; --controls random draws masks"
        )
    close = "as dense as" if drawn[1] <= ALIKE else "the nearest in density to"
    apart = f"log densities differ by {drawn[1]:.3f} at most"
    return f"the random map is {close} the first listed: {apart}"


def _block_counts(
    store: Store, parent: Parent, source: Stack, target: Stack, at: Sequence[int]
) -> BlockCounts:
    return BlockCounts.of(store.counts(parent.experiment_id, "block"), source, target, at)


def plan_stretch(
    store: StoreLike,
    source: str | Identified,
    target: str,
    *,
    maps: str | Sequence[str] = ("first",),
    controls: str | Sequence[str] = (RANDOM_MAP, "shuffle"),
    at: str | int | Sequence[int] | None = None,
    seeds: str | int | Sequence[int] | None = None,
    kind: MapKind = "families",
    score: ScoreName = "w1",
    seed: int = 0,
    **options: Any,
) -> StretchPlan:
    """Check a stretch and plan the target's own experiment; see `stretch` for the parameters."""
    opened = open_store(store)
    parent = parent_of(opened, source)
    wanted = _texts(maps)
    if not wanted:
        raise UsageError("no map is asked for: give one, or first")
    for one in wanted:
        if one not in ("first", "last", "every") and _drawn(one) is None:
            Transform.parse(one)
    chosen = tuple(choose("control", one, CONTROLS) for one in _texts(controls) if one != "none")
    levels = _levels(opened, parent, at)
    numbers = sorted(parent.runs) if seeds is None else seeds

    def own_to(last: int) -> Plan:
        return plan(
            target,
            parent.recipe.task,
            parent.recipe,
            seeds=numbers,
            levels=last,
            store=opened.path,
            **options,
        )

    least = max(levels[-1], _SPECTRUM)
    own = own_to(least)
    here = stack_of(parent.recipe.architecture, opened.counts(parent.experiment_id, "layer").layers)
    there = stack_of(own.recipe.architecture, own.layers)
    candidates(here, there, kind, [Transform.parse(one) for one in wanted if one[:1].isdigit()])
    sparsest = _block_counts(opened, parent, here, there, levels).sparsest[-1]
    last = _as_sparse(own, least, float(sparsest))
    return StretchPlan(
        store=opened,
        parent=parent,
        own=own if last == least else own_to(last),
        source=here,
        target=there,
        maps=wanted,
        controls=chosen,
        at=levels,
        kind=kind,
        score=score,
        seed=seed,
        options=options,
    )


def _texts(given: str | Sequence[str]) -> tuple[str, ...]:
    texts = [given] if isinstance(given, str) else list(given)
    return tuple(dict.fromkeys(filter(None, (text.strip() for text in texts))))


def _drawn(text: str) -> int | None:
    """Return how many maps `random:8` asks for; None: it is something else."""
    if not text.startswith("random"):
        return None
    number = text.removeprefix("random").removeprefix(":") or "1"
    if not number.isdecimal() or not 1 <= int(number) <= 1000:
        raise UsageError(f"map '{text}': random:8 draws eight maps; at most 1000 are drawn")
    return int(number)


def _levels(store: Store, parent: Parent, at: str | int | Sequence[int] | None) -> tuple[int, ...]:
    """Return the levels that are asked for, or those of `_LEVELS` that every run has."""
    if at is not None:
        from ..runner.arguments import levels_of

        return levels_of(0, at)
    counts = store.counts(parent.experiment_id, "layer")
    there = counts.levels[counts.recorded.all(axis=0)]
    wanted = tuple(level for level in _LEVELS if level in there)
    return wanted or (int(there[-1]),)


def _as_sparse(own: Plan, least: int, density: float) -> int:
    """Return the level from `least` on at which the target is as sparse as a density."""
    for last in range(least, least + _MORE):
        try:
            kept = kept_series(own.layers, own.recipe, last)
        except UsageError:  # nothing would be left to train
            return last - 1
        if kept[-1] <= density * kept[0]:
            return last
    return least + _MORE


def stretch(
    store: StoreLike,
    source: str | Identified,
    target: str,
    *,
    maps: str | Sequence[str] = ("first",),
    controls: str | Sequence[str] = (RANDOM_MAP, "shuffle"),
    at: str | int | Sequence[int] | None = None,
    seeds: str | int | Sequence[int] | None = None,
    kind: MapKind = "families",
    score: ScoreName = "w1",
    seed: int = 0,
    watch: Watch = unwatched,
    **options: Any,
) -> Stretch:
    """Train the tickets of an experiment at another depth, with controls and the target's own.

    What is in the store already is not computed again.

    Parameters
    ----------
    store : Store or path, or None
        Where the source is, and where all else goes.
    source : str
        The experiment whose tickets are stretched or squeezed.
    target : str
        Architecture of the same family, such as `resnet32w4`.
    maps : sequence of str
        Which maps make tickets: maps such as `0:0;1:1,2`; `first` and `last` of the ranking by
        `match`, or `every` one of it; `random:8`, drawn for every stage by itself.
    controls : sequence of str
        Of the ticket that is listed first: `random-map`, another map that makes it as dense;
        `shuffle`, `random`, `reinit`, `permute`, `copies` as in a recipe.
    at : sequence of int, optional
        Levels whose tickets are trained; by default 4 and 8, where the source has them.
    seeds : int, sequence of int or str, optional
        Those of the source by default.
    kind, score : str
        What is ranked for `first`, `last` and `every`, as `match` takes `maps` and `score`.
    seed : int
        Of the maps that are drawn.
    watch : callable
        Follows the training of each experiment, see `complete`.
    **options
        Fields of `Launch`, such as `device`, and `data`, the folder of data sets.

    Raises
    ------
    UsageError
        Something cannot be had: an experiment, a map that fits, a level, a seed.
    RgtoolError
        The source has not kept what tickets are made of, or seeds failed or were stopped.
    """
    made = plan_stretch(
        store,
        source,
        target,
        maps=maps,
        controls=controls,
        at=at,
        seeds=seeds,
        kind=kind,
        score=score,
        seed=seed,
        **options,
    )
    return carry_out(made, watch)


def carry_out(made: StretchPlan, watch: Watch = unwatched) -> Stretch:
    """Compute what is missing of a stretch, and gather it; errors are those of `stretch`."""
    made.child(made.sample)  # what cannot be is refused before hours of the target's own
    if not made.own.is_finished:
        complete(made.own, watch)
    tickets, notes = made.tickets()
    plans = [made.child(ticket) for ticket in tickets]
    for one in plans:
        if not one.is_finished:
            complete(one, watch)
    lines = [
        Line(ticket.name, one.recipe.experiment_id)
        for ticket, one in zip(tickets, plans, strict=True)
    ]
    return stretched_table(
        Store(made.store.path),
        made.label,
        made.parent.experiment_id,
        made.own.recipe.experiment_id,
        lines,
        levels=made.at,
        seeds=made.own.seeds,
        notes=notes,
    )
