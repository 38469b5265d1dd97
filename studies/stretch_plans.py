"""What a stretch takes: the target's own tickets, the source's by some maps, and controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from ..analysis.elastic.blocks import normal_blocks
from ..analysis.elastic.draw import ALIKE, BlockCounts, matched_map, random_maps
from ..analysis.elastic.maps import MapKind, candidates
from ..analysis.elastic.match import match
from ..analysis.elastic.result import Match
from ..analysis.elastic.scores import ScoreName
from ..analysis.named import StoreLike, open_store
from ..runner.arguments import controls_of, levels_of, pairs_of
from ..runner.plan import Plan
from ..runner.pruning import kept_series
from ..schemas.display import Row, Shown, Table
from ..schemas.errors import RgtoolError, UsageError, choose
from ..schemas.recipe import CHOICES
from ..schemas.records.parents import Parent
from ..schemas.tickets.stack import Stack, stack_of
from ..schemas.tickets.transform import Transform
from ..store import Store
from ..store.catalogue.parents import parent_of
from ..store.catalogue.selection import Identified
from .children import plan

RANDOM_MAP = "random-map"
CONTROLS = (RANDOM_MAP, *(name for name in CHOICES["control"] if name != "none"))
RANKED = ("first", "last", "every")  # maps that are told by their place in the ranking
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
    model : str
        What the target is called.
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
    model: str
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
            self.model,
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
    def work(self) -> float:
        """Images to be trained on times weights, at most: what the duration grows with."""
        return self.own.work + self.number * self.child(self.sample).work

    @property
    def sample(self) -> Ticket:
        """A ticket as large as those that are asked for, known before maps are ranked."""
        given = [one for one in self.maps if one[:1].isdigit()]
        first = candidates(self.source, self.target, self.kind).transform(0)
        return Ticket("given", Transform.parse(given[0]) if given else first)

    def check(self) -> None:
        """Rank the source, plan a ticket and its controls: what cannot be is refused before hours.

        Raises
        ------
        RgtoolError
            The source has not kept what tickets are made of, a control has nothing to draw, or the
            source has no spectrum that maps could be ranked by.
        """
        if self.ranks:
            self._check_ranked()
        for control in ("none", *(name for name in self.controls if name != RANDOM_MAP)):
            self.child(replace(self.sample, control=control))

    @property
    def ranks(self) -> bool:
        """Whether maps are asked for that are told by their place in the ranking."""
        return bool({*RANKED} & {*self.maps})

    def _check_ranked(self) -> None:
        try:
            normal_blocks(self.store, self.parent.experiment_id)
        except RgtoolError as error:
            raise UsageError(
                f"{self.label}: no spectrum of {self.parent.experiment_id} ranks the maps "
                f"({error}): give maps, such as --map '{self.sample.transform}'"
            ) from None

    def tickets(self) -> tuple[list[Ticket], list[str]]:
        """Choose the maps, once the target's own experiment is there; and say what is to be said.

        Raises
        ------
        RgtoolError
            The maps cannot be ranked.
        """
        found: dict[Transform, Ticket] = {}
        for name, transform in self._chosen():
            fitting = transform.resolve(self.source, self.target)
            found.setdefault(fitting, Ticket(name, fitting))
        tickets = list(found.values())
        first, notes = tickets[0], list[str]()
        if RANDOM_MAP in self.controls:
            rng = np.random.default_rng([self.seed, 1])  # whatever else is drawn
            drawn = matched_map(self._blocks(), first.transform, list(found), rng)
            notes.append(_about_drawn(drawn, self))
            tickets += [Ticket("random map", drawn[0])] if drawn else []
        tickets += [
            Ticket(name, first.transform, name) for name in self.controls if name != RANDOM_MAP
        ]
        return tickets, notes

    def _chosen(self) -> Iterator[tuple[str, Transform]]:
        rng = np.random.default_rng(self.seed)
        ranked = self._ranked() if self.ranks else None
        for one in self.maps:
            if (number := _drawn(one)) is not None:
                draws = random_maps(self.source.depths, self.target.depths, rng)
                yield from (("drawn", drawn) for drawn in islice(draws, number))
            elif ranked is None or one not in RANKED:
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
    controls: str | Sequence[str] | None = (RANDOM_MAP, "shuffle"),
    at: str | int | Sequence[int] | None = None,
    seeds: str | int | Sequence[int] | None = None,
    kind: MapKind = "families",
    score: ScoreName = "w1",
    seed: int = 0,
    **options: Any,
) -> StretchPlan:
    """Check a stretch and plan the target's own experiment; see `stretch`."""
    opened = open_store(store)
    parent = parent_of(opened, source)
    wanted, chosen, those = _maps(maps), _controls(controls), _seeds(parent, seeds)
    levels = _levels(opened, parent, at)
    least = max(levels[-1], _SPECTRUM)
    own = partial(
        plan,
        target,
        parent.recipe.task,
        parent.recipe,
        seeds=those,
        store=opened.path,
        **options,
    )
    first = own(levels=least)
    here = stack_of(parent.recipe.architecture, opened.counts(parent.experiment_id, "layer").layers)
    there = stack_of(first.recipe.architecture, first.layers)
    candidates(here, there, kind, [Transform.parse(one) for one in wanted if one[:1].isdigit()])
    blocks = _block_counts(opened, parent, here, there, levels)
    last = _as_sparse(first, least, float(blocks.sparsest[-1]))
    made = StretchPlan(
        store=opened,
        parent=parent,
        own=first if last == least else own(levels=last),
        model=target,
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
    made.check()
    return made


def _seeds(parent: Parent, given: str | int | Sequence[int] | None) -> list[int]:
    """Return the seeds that are asked for, which source and target share."""
    if given is None:
        return sorted(parent.runs)
    pairs = pairs_of(given)
    there = ",".join(map(str, sorted(parent.runs)))
    if apart := [f"{seed}:{of}" for seed, of in pairs.items() if seed != of]:
        raise UsageError(
            f"seeds {apart[0]}: a stretched ticket is held to the target's own of the same seed: "
            f"none are paired here, choose from {there}"
        )
    if lacking := [seed for seed in pairs if seed not in parent.runs]:
        raise UsageError(
            f"{parent.experiment_id} has no run of seed {lacking[0]}: choose from {there}"
        )
    return [*pairs]


def _maps(given: str | Sequence[str]) -> tuple[str, ...]:
    """Read which maps are asked for; whether they fit is held later."""
    wanted = _texts(given)
    if not wanted:
        raise UsageError("no map is asked for: give one, or first")
    for one in wanted:
        if one not in RANKED and _drawn(one) is None:
            Transform.parse(one)
    return wanted


def _controls(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(choose("control", one, CONTROLS) for one in controls_of(given)))


def _texts(given: str | Sequence[str]) -> tuple[str, ...]:
    texts = [given] if isinstance(given, str) else list(given)
    return tuple(dict.fromkeys(filter(None, (text.strip() for text in texts))))


def _drawn(text: str) -> int | None:
    """Return how many maps `random:8` asks for; None: it is something else."""
    if not text.startswith("random"):
        return None
    if text == "random":
        return 1
    number = text.removeprefix("random:")
    if not number.isdecimal() or not 1 <= int(number) <= 1000:
        raise UsageError(f"map '{text}': random:8 draws eight maps; at most 1000 are drawn")
    return int(number)


def _levels(store: Store, parent: Parent, at: str | int | Sequence[int] | None) -> tuple[int, ...]:
    """Return the levels that are asked for, or those of `_LEVELS` that every run has."""
    if at is not None:
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
