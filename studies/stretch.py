"""Elastic tickets in earnest: tickets of one depth trained at another, with what bounds them.

The target finds its own ticket by the source's recipe, and the spectra of both rank the maps. Then
the source's tickets are trained at the target's depth by the maps that are asked for, and with them
their controls; runs that are there are not computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..analysis.elastic.maps import MapKind
from ..analysis.elastic.scores import ScoreName
from ..analysis.elastic.stretched import Line, Stretch, stretched_table
from ..analysis.named import StoreLike
from ..runner.arguments import in_known_case
from ..store import Store
from ..store.catalogue.selection import Identified
from .children import refuse_of_tickets
from .complete import Watch, complete, unwatched
from .stretch_plans import RANDOM_MAP, StretchPlan, plan_stretch


def stretch(
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
    controls : sequence of str or str, or None
        Of the ticket that is listed first: `random-map`, another map that makes it as dense;
        `shuffle`, `random`, `reinit`, `permute`, `copies` as in a recipe; `"none"` or None.
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
        Fields of `Launch`, such as `device`, `data`, the folder of data sets, and `using`, where
        those of your own lie, as `npz:FILE`.

    Raises
    ------
    UsageError
        Something cannot be had: an experiment, a map that fits, a level, a seed.
    RgtoolError
        The source has not kept what tickets are made of, or seeds failed or were stopped.
    """
    refuse_of_tickets(in_known_case(options))
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
        runs={one.run_id(seed) for one in plans for seed in one.seeds},
        notes=notes,
    )
