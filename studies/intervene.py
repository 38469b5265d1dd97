"""Does the network answer: tickets with one group thinner and thicker, trained and compared."""

from __future__ import annotations

from typing import Any

from ..analysis.named import StoreLike
from ..analysis.response.chi import MARGIN
from ..analysis.response.intervention import Intervention, measure_intervention
from ..runner.arguments import Seeds
from ..store.catalogue.selection import Identified
from .complete import Watch, unwatched
from .perturbed_plans import FACTOR, PerturbedPlan, plan_perturbed


def intervene(
    store: StoreLike,
    experiment: str | Identified,
    *,
    level: int,
    by: str = "block",
    factor: float = FACTOR,
    choice: str = "next",
    seeds: Seeds | None = None,
    window: tuple[int, int] | None = None,
    margin: float = MARGIN,
    watch: Watch = unwatched,
    **options: Any,
) -> Intervention:
    """Measure how the error of tickets answers where a group of weights is made sparser or denser.

    Every group in turn gets its count at a level times a factor, and divided by it, while the
    network keeps its count; these tickets are trained as the experiment trains its own. What is in
    the store already is not computed again, and what was interrupted goes on by the same call.

    Parameters
    ----------
    store : Store or path, or None
        Where the experiment is; the new runs come there too.
    experiment : str
        What selects it in the store.
    level : int
        Of the tickets.
    by : str
        The grouping.
    factor : float
        What counts are multiplied by, and divided by.
    choice : str
        `next`: weights go that the next prunings take, and come back that the last ones took.
        `random`: any weights of the group.
    seeds : int, sequence of int or str, optional
        Replicates, as `run` takes them; default those of the experiment.
    window : (int, int), optional
        Levels of the exponents that stand beside; default those of a spectrum.
    margin : float
        Half-width in chi within which an answer is flat.
    watch : callable
        Follows the training, see `complete.complete`.
    **options
        Fields of `Launch`, `data`, and `using`.

    Raises
    ------
    UsageError
        A name is unknown, runs lack what is needed, or no group can be perturbed.
    RgtoolError
        Seeds failed or were stopped.
    """
    made = plan_perturbed(
        store, experiment, by=by, level=level, factor=factor, choice=choice, seeds=seeds, **options
    )
    return finish_intervene(made, watch, window=window, margin=margin)


def finish_intervene(
    made: PerturbedPlan,
    watch: Watch = unwatched,
    *,
    window: tuple[int, int] | None = None,
    margin: float = MARGIN,
) -> Intervention:
    """Complete the runs and measure these; errors are those of `intervene`."""
    store, what = made.carried_out(watch, window)
    return measure_intervention(store, what, window=window, margin=margin)
