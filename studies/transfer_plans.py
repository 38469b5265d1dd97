"""What a transfer, or a matrix of them, takes: the target's own tickets, the source's, controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..analysis.transfer.conditions import CONDITIONS, OWN, TRANSFERRED
from ..analysis.transfer.matrix_estimate import check_one_network
from ..runner.arguments import Seeds, levels_of, pairs_of
from ..runner.plan import Plan, plan
from ..runner.tickets.child import PastTheEnd
from ..schemas.errors import UsageError, choose
from ..schemas.recipe import Recipe
from ..schemas.records.layout import RunFolder
from ..schemas.records.parents import Parent
from ..schemas.spelling import asked
from ..schemas.words import counted, listed
from ..store import Store
from ..store.catalogue.parents import parent_of
from ..store.catalogue.selection import Identified
from .agenda import Plans

CONTROLS = ("shuffle", "random", "reinit")
_EVERY = 4  # levels from one ticket to the next where none are asked for


@dataclass(frozen=True)
class Tickets:
    """How tickets are trained on a target; see `transfer.transfer`.

    Attributes
    ----------
    pairs : dict of int to int
        Seeds, each with that of the source's run whose ticket it trains.
    at : tuple of int
        Levels.
    controls : tuple of str
        Controls.
    schedule : str or None
        Where they enter the target's schedule.
    fresh : sequence of str or str
        Layers that are drawn anew.
    launch : mapping of str to Any
        How runs are computed.
    """

    pairs: Mapping[int, int]
    at: tuple[int, ...]
    controls: tuple[str, ...]
    schedule: str | None
    fresh: str | Sequence[str]
    launch: Mapping[str, Any]


@dataclass(frozen=True)
class TransferPlan(Plans):
    """Runs of a transfer.

    Attributes
    ----------
    source : Parent
        The experiment that the tickets come from.
    own : Plan
        The target's own tickets; those of the source where it is its own task.
    children : dict of str to Plan
        By condition.
    pairs : dict of int to int
        Seeds, each with that of the source's run whose ticket it trains.
    """

    source: Parent
    own: Plan
    children: Mapping[str, Plan]
    pairs: Mapping[int, int]

    what = "transfer"

    @property
    def plans(self) -> Iterator[tuple[str, Plan]]:
        """All plans in their order, each with what it is called."""
        yield f"{self.own.recipe.task}, {OWN}", self.own
        for name, made in self.children.items():
            yield f"{self.source.recipe.task} to {self.own.recipe.task}, {name}", made

    @property
    def at(self) -> tuple[int, ...]:
        """Levels of the tickets."""
        return self.children[TRANSFERRED].at


@dataclass(frozen=True)
class MatrixPlan(Plans):
    """Runs of a matrix of transfers.

    Attributes
    ----------
    transfers : dict of (int, int) to TransferPlan
        By positions of source and target.
    """

    transfers: Mapping[tuple[int, int], TransferPlan]

    what = "matrix of transfers"

    @property
    def plans(self) -> Iterator[tuple[str, Plan]]:
        """All plans in their order, own tickets first and once."""
        owns = {one.own.recipe.experiment_id: one for one in self.transfers.values()}
        for one in owns.values():
            yield next(one.plans)
        for one in self.transfers.values():
            yield from list(one.plans)[1:]


def plan_transfer(
    store: Store,
    source: str | Identified,
    task: str,
    *,
    at: str | Sequence[int] | None = None,
    controls: Sequence[str] = CONTROLS,
    seeds: Seeds | None = None,
    schedule: str | None = None,
    fresh: str | Sequence[str] = (),
    launch: Mapping[str, Any],
    **changes: Any,
) -> TransferPlan:
    """Resolve and check the runs of a transfer; parameters are those of `transfer.transfer`."""
    parent = parent_of(store, source)
    pairs = _pairs([parent], seeds)
    levels = _levels(store, [parent], pairs, at)
    how = Tickets(pairs, levels, _known(controls, levels), schedule, fresh, launch)
    own = plan(
        parent.recipe.architecture,
        task,
        parent.recipe,
        seeds=list(pairs),
        levels=levels[-1],
        store=store.path,
        **launch,
        **changes,
    )
    return _with_children(store, parent, own, how)


def plan_matrix(
    store: Store,
    experiments: Sequence[str | Identified],
    *,
    at: str | Sequence[int] | None = None,
    controls: Sequence[str] = CONTROLS,
    seeds: Seeds | None = None,
    schedule: str | None = None,
    fresh: str | Sequence[str] = (),
    launch: Mapping[str, Any],
) -> MatrixPlan:
    """Resolve and check the runs of a matrix; parameters are those of `transfer.transfer_all`."""
    parents = [parent_of(store, one) for one in experiments]
    ids = [one.experiment_id for one in parents]
    if len(ids) < 2 or len(set(ids)) < len(ids):
        twice = next((f"{one} is named twice" for one in ids if ids.count(one) > 1), "")
        found = twice or counted(len(ids), "experiment")
        raise UsageError(f"{found}: a matrix is of two or more different experiments")
    check_one_network([one.recipe.architecture for one in parents])
    pairs = _pairs(parents, seeds)
    levels = _levels(store, parents, pairs, at)
    how = Tickets(pairs, levels, _known(controls, levels), schedule, fresh, launch)
    owns = [_own(store, one, list(pairs), levels, launch) for one in parents]
    return MatrixPlan(
        {
            (a, b): _of_pair(store, one, owns[b], how)
            for a, one in enumerate(parents)
            for b in range(len(parents))
            if a != b
        }
    )


def _of_pair(store: Store, source: Parent, own: Plan, how: Tickets) -> TransferPlan:
    """Plan one transfer of a matrix; what refuses it says which one, and what a matrix can do."""
    pair = f"{_called(source.recipe)} to {_called(own.recipe)}"
    try:
        return _with_children(store, source, own, how)
    except PastTheEnd as error:
        raise UsageError(
            f"{pair}: {error.reason}: {error.restart}, would do, or another target, of "
            f"{error.epochs} epochs or more"
        ) from None
    except UsageError as error:
        raise UsageError(f"{pair}: {error}") from None


def _called(recipe: Recipe) -> str:
    return f"{recipe.experiment_id} ({recipe.architecture}/{recipe.task})"


def _own(
    store: Store,
    one: Parent,
    seeds: Sequence[int],
    levels: Sequence[int],
    launch: Mapping[str, Any],
) -> Plan:
    """Plan what is missing of an experiment of the store.

    Raises
    ------
    UsageError
        It would become another experiment, as of an import.
    """
    recipe = one.recipe
    made = plan(
        recipe.architecture,
        recipe.task,
        recipe,
        seeds=seeds,
        levels=levels[-1],
        store=store.path,
        **launch,
    )
    if made.recipe.experiment_id != one.experiment_id:
        raise UsageError(
            f"experiment {one.experiment_id} ({recipe.architecture}/{recipe.task}) is none that "
            "rgtool finds tickets in by itself (an import, or a child), so it cannot be a target; "
            "rgtool transfer takes its tickets to the task of another"
        )
    return made


def _known(controls: Sequence[str], at: Sequence[int]) -> tuple[str, ...]:
    """Return the controls that are asked for, each once, where a mask is there to be drawn."""
    known = [name for name in CONDITIONS if name not in (OWN, TRANSFERRED)]
    wanted = tuple(choose("control", name, known) for name in dict.fromkeys(controls))
    if wanted and not any(at):
        raise UsageError(
            f"{asked('at', ','.join(map(str, at)))}: the dense network has no mask, of which "
            f"controls are: {asked('controls', 'none')}, or name a level that is pruned"
        )
    return wanted


def _with_children(store: Store, source: Parent, own: Plan, how: Tickets) -> TransferPlan:
    """Plan the children: tickets at all levels, and controls of those that are pruned."""
    pruned = [level for level in how.at if level > 0]

    def child(at: Sequence[int], **of: Any) -> Plan:
        return plan(
            own.network,
            own.task,
            own.recipe,
            seeds=how.pairs,
            at=at,
            parent=source,
            fresh=how.fresh,
            schedule=how.schedule,
            store=store.path,
            **how.launch,
            **of,
        )

    children = {TRANSFERRED: child(how.at)}
    for name in how.controls:
        if name == "pixels":
            children[name] = child(pruned, transform=_pixels(source.recipe, own.recipe))
        else:
            children[name] = child(pruned, control=name)
    return TransferPlan(source, own, children, how.pairs)


def _pixels(source: Recipe, own: Recipe) -> str:
    """Return the transformation that permutes tickets along with the pixels of a twin.

    Raises
    ------
    UsageError
        The target is no twin of the source's task.
    """
    kind, _, rest = own.task.partition(":")
    task, _, seed = rest.rpartition(":")
    if kind != "permuted" or task != source.task:
        raise UsageError(
            f"control pixels permutes tickets as pixels are: it is for permuted:{source.task}:SEED,"
            f" and the target is {own.task}"
        )
    return f"pixels:{seed}"


def _pairs(parents: Sequence[Parent], seeds: Seeds | None) -> dict[int, int]:
    """Return seeds with those of the source; by default equal ones, that all sources have.

    Raises
    ------
    UsageError
        There are none.
    """
    if seeds is not None:
        return pairs_of(seeds)
    common = sorted(set.intersection(*(set(one.runs) for one in parents)))
    if not common:
        told = [f"{one.experiment_id}: {_said(sorted(one.runs))}" for one in parents]
        raise UsageError(
            "the experiments have no seed in common, by which tickets are transferred: "
            + "; ".join(told)
        )
    return {seed: seed for seed in common}


def _said(seeds: Sequence[int]) -> str:
    return listed([str(seed) for seed in seeds])


def _levels(
    store: Store,
    parents: Sequence[Parent],
    pairs: Mapping[int, int],
    at: str | Sequence[int] | None,
) -> tuple[int, ...]:
    """Return the levels that are asked for, or every fourth that all runs have."""
    if at is not None:
        return levels_of(0, at)
    runs = [one.runs[seed] for one in parents for seed in pairs.values() if seed in one.runs]
    there = [RunFolder.of(store.path, run).recorded_levels() for run in runs]
    last = min((found[-1] for found in there if found), default=0)
    return tuple(range(0, last + 1, _EVERY)) if last >= _EVERY else tuple(sorted({0, last}))
