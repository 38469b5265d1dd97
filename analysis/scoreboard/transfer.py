"""How far tickets transfer: the rule of the distance of spectra, as a law of levels, and its test.

The constant is the level of the published transfers that tau is taken from, spectra not looked at.
N1 says nothing: an untrained network knows no task, so it is as far from source as from target.
"""

from __future__ import annotations

import math

import numpy as np

from ...schemas.errors import RgtoolError
from ...schemas.records.predictions import Levels, Meant, Registered, Statement
from ...store import Store
from ...store.catalogue.predictions import Witness
from ...store.counts import Counts
from ...store.literature import PREFIX
from ..arrays import Floats, Integers
from ..chance import guessing, images_of, learned_nothing
from ..classes.predict import Prediction, anchors, drawn_like
from ..stats.contrast import DRAWS
from ..transfer.differences import seed_pairs
from ..transfer.pairings import one_a_seed
from .drafts import Draft, by_experiment, counts_of_witnesses
from .laws import Outcome, levels_of
from .line import Outcomes

LAST = 40  # level from which on all are one: density 1.3e-4
NAME = "level"


def transfer_draft(found: Prediction, by: str | None, rng: np.random.Generator) -> Draft:
    """Turn what the rule says into a prediction that can be written down."""
    (source, target), (_, label) = found.experiments, found.labels
    stored = not any(name.startswith(PREFIX) for name in found.experiments)
    architecture, _, task = label.split(" ")[0].partition("/")
    fields = {"architecture": architecture, "task": task, "control": "none"}
    law = None if found.refused else levels_of(found.drawn, 0, LAST)
    return Draft(
        kind="transfer",
        source=source,
        target=target,
        labels=found.labels,
        meant=Meant(parent=source, fields=fields) if stored else None,
        statements=() if law is None else (Statement(NAME, law, constant_law(rng)),),
        settings={"by": by or "coarsest"},
        refused=found.refused,
        notes=found.notes,
    )


def constant_law(rng: np.random.Generator, levels: Floats | None = None) -> Levels:
    """Return the law of a level like those of other transfers: by default the anchors."""
    known = np.array([one.level for one in anchors()], float) if levels is None else levels
    return levels_of(drawn_like(known, rng, DRAWS), 0, LAST)


def transfer_outcomes(store: Store, one: Registered, witnesses: list[Witness]) -> Outcomes:
    """Return the sparsest level at which every child of the source matches the target's own.

    It matches where its mean accuracy over seeds is within one seed std of the target's dense
    network; between two levels that were trained nothing tells, and beyond the last, nor where the
    dense network itself guesses.
    """
    try:
        own = store.counts(one.target, "layer")
    except RgtoolError:
        return {}
    found = []
    for experiment, runs in by_experiment(witnesses).items():
        try:
            child, _ = one_a_seed(store, counts_of_witnesses(store, experiment, runs))
            found += _of_child(child, own)
        except RgtoolError:
            continue
    return {NAME: found}


def _of_child(child: Counts, own: Counts) -> list[Outcome]:
    """Return the cell of one child, of the seeds that pair; of all where none do."""
    known = np.isfinite(own.accuracy[:, 0])
    pairs = [(i, j) for i, j in seed_pairs(child.seeds, own.seeds) if known[j]]
    dense, tickets = own.accuracy[known, 0], child.accuracy
    if pairs:
        mine, theirs = map(list, zip(*pairs, strict=True))
        dense, tickets = own.accuracy[theirs, 0], child.accuracy[mine]
    if not len(dense) or not len(tickets) or _guesses(own, dense):
        return []
    bar = dense.mean() - (dense.std(ddof=1) if len(dense) > 1 else 0.0)
    return matching_cell(child.levels, tickets, float(bar))


def _guesses(own: Counts, dense: Floats) -> bool:
    """Tell whether the dense networks of a target know nothing of it: whatever matches is none."""
    guess = guessing(own)
    return guess is not None and bool(
        learned_nothing(dense[:, None], guess, images_of(own.recipe.task))
    )


def matching_cell(levels: Integers, accuracy: Floats, bar: float) -> list[Outcome]:
    """Return between which levels the sparsest matching one lies; empty without a pruned level.

    Parameters
    ----------
    levels : integer array, shape (T,)
        Levels; those of accuracy in every run count.
    accuracy : array, shape (S, T)
        Of tickets, NaN where there is none.
    bar : float
        What matches.

    Examples
    --------
    >>> matching_cell(np.array([0, 4, 8]), np.array([[0.9, 0.9, 0.7]]), 0.88)
    [Outcome(low=4.0, high=7.0)]
    """
    there = np.isfinite(accuracy).all(axis=0) & (levels > 0)
    known, mean = levels[there], accuracy[:, there].mean(axis=0)
    if not len(known):
        return []
    matching = np.flatnonzero(mean >= bar)
    at = int(matching[-1]) if len(matching) else -1
    low = float(known[at]) if at >= 0 else -math.inf
    high = float(known[at + 1]) - 1 if at + 1 < len(known) else math.inf
    return [Outcome(low, high)]
