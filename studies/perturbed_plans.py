"""What perturbed tickets take: the tickets as they are, and each group thinner and thicker."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..analysis.named import Stored, StoreLike, open_store
from ..analysis.response.perturbed import SIDES, Perturbed, Side
from ..analysis.window import choose_window
from ..runner.arguments import Seeds, in_known_case, pairs_of
from ..runner.plan import Plan
from ..schemas.blocks import GROUPINGS
from ..schemas.display import Table
from ..schemas.errors import UsageError, choose
from ..schemas.records.layout import RunFolder
from ..schemas.records.parents import Parent
from ..schemas.spelling import asked
from ..schemas.tickets.perturbation import CHOICES, Choice, Perturbation
from ..store import Store
from ..store.catalogue.parents import parent_of
from ..store.catalogue.selection import Identified
from .agenda import Plans
from .children import plan, refuse_of_tickets
from .complete import Watch, complete

FACTOR = 0.8


@dataclass(frozen=True)
class PerturbedPlan(Plans):
    """Runs of perturbed tickets.

    Attributes
    ----------
    store : Store
        Where they are.
    source : Parent
        The experiment whose tickets they train.
    by, factor, choice : str, float, str
        The grouping, what the count of a group is multiplied by (below 1; and its inverse), and
        which weights go and come.
    unperturbed : Plan
        The tickets as they are.
    children : mapping of (str, str) to Plan
        By group and side.
    refused : mapping of (str, str) to str
        Why a group cannot be perturbed on a side.
    seeds : tuple of int
        Replicates.
    levels : (int, int)
        The level of the tickets, and the last one to which they are pruned on.
    """

    store: Store
    source: Parent
    by: str
    factor: float
    choice: Choice
    unperturbed: Plan
    children: Mapping[tuple[str, Side], Plan]
    refused: Mapping[tuple[str, Side], str]
    seeds: tuple[int, ...]
    levels: tuple[int, int]

    what = "perturbed tickets"

    @property
    def own_is_there(self) -> bool:
        """Whether the source's own runs are those of the unperturbed tickets."""
        first, last = self.levels
        wanted = set(range(first, last + 1))
        folders = (RunFolder.of(self.store.path, self.source.runs[seed]) for seed in self.seeds)
        return self.source.recipe.origin is None and all(
            wanted <= {*folder.recorded_levels()} for folder in folders
        )

    @property
    def plans(self) -> Iterator[tuple[str, Plan]]:
        """All plans in their order, each with what it is called."""
        if not self.own_is_there:
            yield "unperturbed", self.unperturbed
        for (name, side), made in self.children.items():
            yield f"{name} {side}", made

    def table(self) -> Table:
        """Return what `--dry-run` prints: a row for every plan, and what cannot be perturbed."""
        found = super().table()
        lines = [
            f"{name} cannot be made {side}: {why}" for (name, side), why in self.refused.items()
        ]
        return Table(found.columns, found.rows, title=found.title, notes=(*found.notes, *lines))

    def carried_out(self, watch: Watch, window: tuple[int, int] | None) -> tuple[Store, Perturbed]:
        """Compute what is missing; return the store as it then is, and where everything is.

        Parameters
        ----------
        watch : callable
            Follows the training, see `complete.complete`.
        window : (int, int) or None
            Levels of the exponents that are to stand beside.

        Raises
        ------
        UsageError
            The source has no such window; nothing was computed.
        RgtoolError
            Seeds failed or were stopped.
        """
        if window is not None:
            choose_window(self.store.counts(self.source.experiment_id, self.by), window)
        for _, made in self.plans:
            if not made.is_finished:
                complete(made, watch)
        now = Store(self.store.path)
        source = Stored(
            now, self.source.experiment_id, runs=tuple(self.source.runs[s] for s in self.seeds)
        )
        return now, Perturbed(
            by=self.by,
            levels=self.levels,
            factor=self.factor,
            choice=self.choice,
            source=source,
            unperturbed=source if self.own_is_there else _runs_of(now, self.unperturbed),
            children={key: _runs_of(now, made) for key, made in self.children.items()},
            refused=self.refused,
        )


def _runs_of(store: Store, made: Plan) -> Stored:
    """Name the runs of a plan: the experiment may hold others."""
    runs = tuple(made.run_id(seed) for seed in made.seeds)
    return Stored(store, made.recipe.experiment_id, runs=runs)


def plan_perturbed(
    store: StoreLike,
    experiment: str | Identified,
    *,
    by: str,
    level: int,
    onward: int = 0,
    factor: float = FACTOR,
    choice: str = "next",
    seeds: Seeds | None = None,
    **options: Any,
) -> PerturbedPlan:
    """Resolve and check the runs of perturbed tickets.

    Parameters
    ----------
    store : Store or path, or None
        Where the experiment is.
    experiment : str
        What selects it.
    by : str
        The grouping.
    level : int
        Of the tickets.
    onward : int
        Prunings to go on from there; 0: the tickets alone are trained.
    factor : float
        What the count of a group is multiplied by, and divided by.
    choice : str
        `next` or `random`.
    seeds : as `run` takes them, optional
        Default those of the experiment.
    **options
        Fields of `Launch`, `data`, and `using`.

    Raises
    ------
    UsageError
        The experiment, grouping, level, factor or choice cannot be had, or no group can be
        perturbed.
    RgtoolError
        The experiment has not kept what tickets are made of.
    """
    opened, launch = open_store(store), in_known_case(options)
    refuse_of_tickets(launch)
    by = choose("grouping", by, GROUPINGS)
    choice = choose("choice", choice, CHOICES)
    _check_numbers(level, onward, factor)
    source = parent_of(opened, experiment)
    counts = opened.counts(source.experiment_id, by)
    groups = [name for name, out in zip(counts.names, counts.exempt, strict=True) if not out]
    pairs = pairs_of(seeds) if seeds is not None else {seed: seed for seed in sorted(source.runs)}
    _check_own(pairs)
    how: dict[str, Any] = {"at": (level,)}
    if onward:
        how = {"start": level, "levels": level + onward}
    child = partial(
        plan,
        model=source.recipe.architecture,
        task=source.recipe.task,
        seeds=pairs,
        parent=source,
        store=opened.path,
        **how,
        **launch,
    )
    unperturbed = child()  # before the perturbed ones: what it refuses is no matter of these
    smaller = min(factor, 1 / factor)
    child = partial(child, model=unperturbed.network, task=unperturbed.task)
    children, refused = _children(child, by, groups, smaller, choice)
    if not children:
        why = next(iter(refused.values()), f"{counts.label} prunes none")
        raise UsageError(f"no group by {by} can be perturbed at level {level}: {why}")
    return PerturbedPlan(
        store=opened,
        source=source,
        by=by,
        factor=smaller,
        choice=choice,
        unperturbed=unperturbed,
        children=children,
        refused=refused,
        seeds=tuple(pairs),
        levels=(level, level + onward),
    )


def _check_numbers(level: int, onward: int, factor: float) -> None:
    if level < 1:
        raise UsageError(
            f"{asked('level', level)}: tickets are perturbed of a level that is pruned, from 1 on"
        )
    if onward < 0:
        raise UsageError(f"{asked('levels', onward)}: a number of prunings, 1 or more, is needed")
    if not (math.isfinite(factor) and factor > 0 and factor != 1):
        raise UsageError(
            f"{asked('factor', factor)}: what the count of a group is multiplied by, and divided "
            f"by, as {FACTOR}: above 0 and not 1"
        )


def _check_own(pairs: Mapping[int, int]) -> None:
    crossed = [f"{seed}:{of}" for seed, of in pairs.items() if seed != of]
    if crossed:
        raise UsageError(
            f"{asked('seeds', ','.join(crossed))}: perturbed tickets are paired with the runs that "
            "found them, by equal seeds"
        )


def _children(
    child: partial[Plan], by: str, groups: Sequence[str], factor: float, choice: Choice
) -> tuple[dict[tuple[str, Side], Plan], dict[tuple[str, Side], str]]:
    """Plan every group on both sides; what cannot be perturbed is told with its reason."""
    children, refused = dict[tuple[str, Side], Plan](), dict[tuple[str, Side], str]()
    for name in groups:
        for side, by_factor in zip(SIDES, (factor, 1 / factor), strict=True):
            wanted = Perturbation(by, name, by_factor, choice)
            try:
                children[name, side] = child(transform=str(wanted))
            except UsageError as error:
                refused[name, side] = str(error)
    return children, refused
