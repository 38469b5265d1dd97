"""Tickets of one experiment on the task of another: missing runs are completed, then measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ..analysis.named import Stored, StoreLike, open_store
from ..analysis.transfer.estimate import measure_transfer
from ..analysis.transfer.matrix import TransferMatrix
from ..analysis.transfer.matrix_estimate import measure_matrix
from ..analysis.transfer.result import Transfer
from ..runner.arguments import Seeds, controls_of, in_known_case, names_of
from ..runner.launch import Launch
from ..runner.plan import Plan
from ..schemas.errors import UsageError
from ..store import Store
from ..store.catalogue.selection import Identified
from .children import refuse_of_tickets
from .complete import Watch, complete, unwatched
from .transfer_plans import CONTROLS, MatrixPlan, TransferPlan, plan_matrix, plan_transfer


def transfer(
    store: StoreLike,
    source: str | Identified,
    task: str,
    *,
    at: str | Sequence[int] | None = None,
    controls: str | Sequence[str] | None = CONTROLS,
    seeds: Seeds | None = None,
    schedule: str | None = None,
    fresh: str | Sequence[str] = (),
    watch: Watch = unwatched,
    rng: int = 0,
    **options: Any,
) -> Transfer:
    """Train tickets of an experiment on another task, beside the target's own and controls.

    What is in the store already is not computed again, and what was interrupted goes on by the
    same call.

    Parameters
    ----------
    store : Store or path, or None
        Where the source is; the new runs come there too.
    source : str
        Experiment whose tickets are taken: what selects it in the store.
    task : str
        Data set that they are trained on.
    at : sequence of int or str, optional
        Levels of the tickets, `"0,4,8"`; default every fourth that the source has.
    controls : sequence of str or str, or None
        Any of `shuffle`, `random`, `reinit`, `permute`, and `pixels` for a permuted twin of the
        source's task, see `analysis.transfer.conditions.CONDITIONS`; `"none"` or None for none.
    seeds : int, sequence of int, mapping of int to int, or str, optional
        Replicates, as `run` takes them; default those of the source. `{5: 0, 6: 1}` (`"5:0,6:1"`)
        trains tickets of its seeds 0 and 1 beside the target's own of seeds 5 and 6.
    schedule : str, optional
        Where tickets enter the target's schedule: `continue` at the source's rewind point,
        `restart` at its beginning; default as the source.
    fresh : sequence of str or str
        Layers that are drawn anew and left dense; those whose shapes differ are in any case.
    watch : callable
        Follows the training, see `complete.complete`.
    rng : int
        Seed of tests and intervals.
    **options
        Fields of `Launch`, `data`, `using`, and fields of `Recipe` in which the target's training
        differs from the source's, as `train_size`.

    Raises
    ------
    UsageError
        A name is unknown, or runs lack what is needed: a seed, a level, weights.
    RgtoolError
        Seeds failed or were stopped.
    """
    opened = open_store(store)
    launch, changes = split_options(options)
    made = plan_transfer(
        opened,
        source,
        task,
        at=at,
        controls=controls_of(controls),
        seeds=seeds,
        schedule=schedule,
        fresh=fresh,
        launch=launch,
        **changes,
    )
    return finish_transfer(opened, made, watch, rng)


def transfer_all(
    store: StoreLike,
    experiments: str | Sequence[str | Identified],
    *,
    at: str | Sequence[int] | None = None,
    controls: str | Sequence[str] | None = CONTROLS,
    seeds: Seeds | None = None,
    schedule: str | None = None,
    fresh: str | Sequence[str] = (),
    watch: Watch = unwatched,
    rng: int = 0,
    **options: Any,
) -> TransferMatrix:
    """Train tickets of every experiment on the task of every other, by that one's recipe.

    Parameters
    ----------
    experiments : sequence of str
        Of one network; four at least for the tests of what tells the loss beforehand.
    store, at, controls, seeds, schedule, fresh, watch, rng
        As for `transfer`; seeds by default those that all experiments have.
    **options
        Fields of `Launch`, `data`, and `using`.

    Raises
    ------
    UsageError
        A name is unknown, networks differ, or runs lack what is needed.
    RgtoolError
        Seeds failed or were stopped.
    """
    opened = open_store(store)
    launch, changes = split_options(options)
    if changes:
        raise UsageError(f"{next(iter(changes))} is that of each experiment: a matrix changes none")
    made = plan_matrix(
        opened,
        names_of(experiments),
        at=at,
        controls=controls_of(controls),
        seeds=seeds,
        schedule=schedule,
        fresh=fresh,
        launch=launch,
    )
    return finish_matrix(opened, made, watch, rng)


def finish_transfer(store: Store, made: TransferPlan, watch: Watch, rng: int) -> Transfer:
    """Complete the runs of a transfer and measure these."""
    _complete(made, watch)
    now = Store(store.path)
    source, own = _sources_of(now, made), _runs_of(now, made.own)
    children = {name: _runs_of(now, one) for name, one in made.children.items()}
    return measure_transfer(now, source, own, children, at=made.at, tickets=made.pairs, rng=rng)


def finish_matrix(store: Store, made: MatrixPlan, watch: Watch, rng: int) -> TransferMatrix:
    """Complete the runs of a matrix and measure these."""
    _complete(made, watch)
    now, first = Store(store.path), next(iter(made.transfers.values()))
    sources = {a: _sources_of(now, one) for (a, _), one in made.transfers.items()}
    owns = {b: _runs_of(now, one.own) for (_, b), one in made.transfers.items()}
    children = {
        pair: {name: _runs_of(now, child) for name, child in one.children.items()}
        for pair, one in made.transfers.items()
    }
    return measure_matrix(
        now,
        [sources[place] for place in sorted(sources)],
        children,
        owns=[owns[place] for place in sorted(owns)],
        at=first.at,
        tickets=first.pairs,
        rng=rng,
    )


def _runs_of(store: Store, made: Plan) -> Stored:
    """Name the runs of a plan: the experiment may hold others, of other seeds and other tickets."""
    runs = tuple(made.run_id(seed) for seed in made.seeds)
    return Stored(store, made.recipe.experiment_id, runs=runs)


def _sources_of(store: Store, made: TransferPlan) -> Stored:
    """Name the runs whose tickets are trained."""
    runs = tuple(made.source.runs[seed] for seed in dict.fromkeys(made.pairs.values()))
    return Stored(store, made.source.experiment_id, runs=runs)


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part keywords into how runs are computed, with where data lie, and the rest.

    Raises
    ------
    UsageError
        One is a field of children, which the study makes itself.
    """
    known = {field.name for field in fields(Launch)} | {"data", "using"}
    found = in_known_case(dict(options))
    refuse_of_tickets(found)
    launch = {name: value for name, value in found.items() if name in known}
    return launch, {name: value for name, value in found.items() if name not in known}


def _complete(made: TransferPlan | MatrixPlan, watch: Watch) -> None:
    for _, one in made.plans:
        if not one.is_finished:
            complete(one, watch)
