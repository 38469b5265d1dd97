"""At which level a layer runs empty: the draws of `forecast` as laws, and their test.

N1 is the forecast of the same network at its initial scales, which do not move; the constant holds
every level for equally likely that is still to come.
"""

from __future__ import annotations

import math

import numpy as np

from ...schemas.errors import RgtoolError, UsageError
from ...schemas.records.description import OWN, RECORDED
from ...schemas.records.predictions import Levels, Meant, Registered, Statement
from ...store import Store
from ...store.catalogue.predictions import Witness
from ...store.counts import Counts
from ..arrays import Floats
from ..named import Named, Stored, StoreLike, look_up, unsuited
from ..nulls.untrained import layer_scales, null_groups
from ..spectrum.emptying import empty_levels, still
from ..spectrum.forecast import ahead_of, forecast
from ..window import choose_window
from .drafts import Draft, by_experiment, counts_of_witnesses
from .laws import Outcome, any_level, levels_of
from .line import Outcomes

_MOST = 60  # levels of a law


def collapse_draft(
    store: StoreLike,
    experiment: Named,
    *,
    draws: int = 2000,
    rng: np.random.Generator | int = 0,
) -> Draft:
    """Predict at which level every layer of an experiment has lost its last weight.

    From all levels that are recorded; layers that are empty by then are left out.

    Raises
    ------
    RgtoolError
        As `forecast` does; or a run is named, whose layers are predicted with its experiment's.
    """
    found = look_up(store, experiment)
    if not isinstance(found, Stored):
        raise unsuited(found, "levels to come are those of an experiment of the store")
    if found.run_id is not None:
        raise UsageError(
            f"{found.run_id} is a run: a collapse is predicted of all runs of an experiment, name "
            f"{found.experiment_id}"
        )
    counts = found.store.counts(found.experiment_id, "layer")
    rng = np.random.default_rng(rng)
    told = forecast(found.store, counts, draws=draws, rng=rng)
    first, last = told.window[1] + 1, told.window[1] + _MOST
    last = max(first, min(last, math.ceil(told.end)))
    null = _untrained_draws(counts, draws, rng)
    empty = _first_empty(counts)
    statements = tuple(
        Statement(
            name,
            levels_of(told.drawn[:, :, place], first, last),
            any_level(first, last),
            levels_of(null[name], first, last) if name in null else None,
        )
        for place, name in enumerate(told.names)
        if not np.isfinite(empty[:, counts.names.index(name)]).any()
    )
    return Draft(
        kind="collapse",
        source=found.experiment_id,
        target=found.experiment_id,
        labels=(counts.label, counts.label),
        meant=Meant(experiment=found.experiment_id),
        statements=statements,
        settings={"window": f"{told.window[0]}:{told.window[1]}", "draws": str(draws)},
        refused="" if statements else "every layer that is pruned is empty in some run",
        notes=told.notes,
        untested=_untested(counts),
    )


def _untested(counts: Counts) -> str:
    """Say why no run tests when layers of an experiment run empty; empty where one can."""
    recipe = counts.recipe
    if counts.is_child:
        return (
            f"{counts.label} has the masks of {recipe.parent}, whose layers run empty: predict that"
        )
    if counts.source in (OWN, RECORDED):
        return ""
    return f"{counts.label} is an import, and nothing tells when levels of an import were trained"


def _first_empty(counts: Counts) -> Floats:
    """Return the level of the first record without a weight, infinite without one: (S, G)."""
    empty = (counts.kept == 0) & counts.recorded[:, :, None]
    return np.where(empty.any(axis=1), counts.levels[np.argmax(empty, axis=1)], np.inf)


def _untrained_draws(counts: Counts, draws: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Draw the levels of N1 from where the runs are: (D, S) by layer, empty where it is unknown."""
    chosen = choose_window(counts, through_collapse=True).distinct
    own = counts.select(chosen.runs.tolist())
    try:
        kept, _ = null_groups(own, chosen.network[:, -1:], own.scales)
        _, law = layer_scales(own, own.scales)
    except UsageError:
        return {}
    pruned = ~counts.exempt
    ahead = ahead_of(chosen)
    total = counts.total[pruned].astype(np.float64)
    gains = still(int(pruned.sum())).gains(ahead.times, draws, len(kept), rng)
    found = empty_levels(kept[:, 0][:, pruned], total, ahead.left, gains, draws, rng, law)
    levels = chosen.end + found
    return {name: levels[..., i] for i, name in enumerate(np.array(counts.names)[pruned])}


def collapse_outcomes(store: Store, one: Registered, witnesses: list[Witness]) -> Outcomes:
    """Return the level at which each layer ran empty in each run, or that it has not yet.

    Levels that were there when the prediction was made tell nothing, nor do runs that end before
    it begins; a layer that ran empty before that, in a new run, counts as empty at its beginning.
    """
    found: dict[str, list[Outcome]] = {each.name: [] for each in one.statements}
    for experiment, runs in by_experiment(witnesses).items():
        try:
            counts = counts_of_witnesses(store, experiment, runs)
        except RgtoolError:
            continue
        for each in one.statements:
            if each.name in counts.names and isinstance(each.model, Levels):
                place = counts.names.index(each.name)
                found[each.name] += _of_layer(counts, place, each.model.first)
    return found


def _of_layer(counts: Counts, place: int, first: int) -> list[Outcome]:
    outcomes = []
    for kept, recorded in zip(counts.kept[:, :, place], counts.recorded, strict=True):
        levels = counts.levels[recorded]
        empty = levels[kept[recorded] == 0]
        alive = levels[kept[recorded] > 0]
        last = int(alive[alive < empty[0]].max() if len(empty) else levels.max())
        if not len(empty) and last < first:
            continue
        low = max(last + 1, first)
        outcomes.append(Outcome(low, max(int(empty[0]), first) if len(empty) else math.inf))
    return outcomes
