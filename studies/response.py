"""What becomes of a deviation: runs that prune on from perturbed tickets, and their operator."""

from __future__ import annotations

from typing import Any

from ..analysis.named import StoreLike
from ..analysis.response.estimate import check_asked, measure_response
from ..analysis.response.operator import MARGIN
from ..analysis.response.response import Coordinates, Response
from ..runner.arguments import Seeds
from ..schemas.errors import UsageError
from ..schemas.spelling import asked
from ..store.catalogue.selection import Identified
from .complete import Watch, unwatched
from .perturbed_plans import FACTOR, PerturbedPlan, plan_perturbed

LEVELS = 2  # prunings after which deviations are read


def response(
    store: StoreLike,
    experiment: str | Identified,
    *,
    level: int,
    levels: int = LEVELS,
    by: str = "block",
    factor: float = FACTOR,
    choice: str = "random",
    seeds: Seeds | None = None,
    coordinates: Coordinates = "share",
    window: tuple[int, int] | None = None,
    margin: float = MARGIN,
    watch: Watch = unwatched,
    rng: int = 0,
    **options: Any,
) -> Response:
    """Measure the operator of a flow: what perturbations of a ticket become while it is pruned on.

    Every group in turn gets its count at a level times a factor, and divided by it, while the
    network keeps its count; from there runs prune on by themselves. What is in the store already is
    not computed again, and what was interrupted goes on by the same call.

    Parameters
    ----------
    store, experiment, level, by, factor, seeds, watch
        As for `intervene.intervene`.
    choice : str
        `random`: any weights of a group go and come. `next`: those that the next prunings take, so
        that pruning on undoes it whatever the network does.
    levels : int
        Prunings after which deviations are read.
    coordinates : str
        `share`: logarithms of shares; `scale`: effective scales, by layer.
    window : (int, int), optional
        Levels of the exponents that stand beside; default those of a spectrum.
    margin : float
        Half-width about 1 within which an eigenvalue is marginal.
    rng : int
        Seed of the draws behind p of J = 1.
    **options
        Fields of `Launch`, `data`, and `using`.

    Raises
    ------
    UsageError
        A name is unknown, runs lack what is needed, or no group can be perturbed.
    RgtoolError
        Seeds failed or were stopped, or fewer than two groups tell anything.
    """
    made = plan_response(
        store,
        experiment,
        level=level,
        levels=levels,
        by=by,
        factor=factor,
        choice=choice,
        seeds=seeds,
        **options,
    )
    return finish_response(
        made, watch, coordinates=coordinates, window=window, margin=margin, rng=rng
    )


def plan_response(
    store: StoreLike, experiment: str | Identified, *, level: int, levels: int, **how: Any
) -> PerturbedPlan:
    """Resolve and check the runs; parameters and errors are those of `response`."""
    if levels < 1:
        raise UsageError(
            f"{asked('levels', levels)}: deviations are read after a number of prunings, 1 or more"
        )
    return plan_perturbed(store, experiment, level=level, onward=levels, **how)


def finish_response(
    made: PerturbedPlan,
    watch: Watch = unwatched,
    *,
    coordinates: Coordinates = "share",
    window: tuple[int, int] | None = None,
    margin: float = MARGIN,
    rng: int = 0,
) -> Response:
    """Complete the runs and measure these; errors are those of `response`."""
    check_asked(made.by, coordinates, margin)  # before anything is trained
    store, what = made.carried_out(watch, window)
    return measure_response(
        store, what, coordinates=coordinates, window=window, margin=margin, rng=rng
    )
