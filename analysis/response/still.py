"""What a flow of weights that stand still makes of perturbed tickets: the null of a response.

At the first level layer l keeps the share d_l of weights that have one law, so that its threshold
lies at x_l = q^-1(d_l) in units of its scale (`nulls.initial`). Weights that stand still are pruned
on by one threshold over all layers, u x_l in these units, which rises until the network keeps its
count. Where weights went at random a random part of what lies above x_l is missing, and where they
came back at random a part of what lies below is there, and goes first. Where it was those that go
`next` the layer merely has another threshold to begin with.

What does not compare magnitudes across layers, a random pruner or layerwise scope, takes the same
share of every layer, whatever was made of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...schemas.errors import RgtoolError
from ...schemas.recipe import Recipe
from ...store.counts import Counts
from ..arrays import Bools, Floats
from ..named import StoreLike, counts_of_all
from ..nulls.initial import DISTRIBUTIONS, DistributionName
from ..nulls.known import PRUNING, assumptions, blindness, weight_law
from ..spectrum.law import present_law
from ..window import choose_window
from .perturbed import SIDES, Perturbed, Runs

_FARTHEST = 30.0  # |ln u| within which the threshold is looked for
_HALVINGS = 60
_HALF = 0.5  # of a weight, by which no layer is whole or empty


@dataclass(frozen=True, eq=False)
class Still:
    """What weights that stand still keep at the last level.

    Attributes
    ----------
    kept : array, shape (S, R, K), or None
        Of every run, the unperturbed first, in the groups of the runs; None where nothing tells it.
    why : str
        Why not; empty where it is known.
    notes : tuple of str
        What is assumed.
    """

    kept: Floats | None
    why: str = ""
    notes: tuple[str, ...] = ()


def still_kept(
    first: Floats,
    total: Floats,
    network: Floats,
    choice: str,
    distribution: DistributionName = "gaussian",
) -> Floats:
    """Return what layers keep later if weights stand still under one threshold: (S, R, L).

    Parameters
    ----------
    first : array, shape (S, R, L)
        What R runs of S seeds keep at first, the unperturbed ticket before the perturbed ones.
    total : array, shape (L,)
        Weights of the dense layers.
    network : array, shape (S, R)
        What the layers together keep later.
    choice : str
        `next` or `random`: which weights went and came back.
    distribution : str
        Law of the weights, a name in `nulls.initial.DISTRIBUTIONS`.
    """
    above = _above_random if choice == "random" else _above_next
    low = np.full(network.shape, -_FARTHEST)
    high = -low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = above(first, total, np.exp(middle)[..., None], distribution)
        more = found.sum(axis=-1) > network
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return above(first, total, np.exp(low)[..., None], distribution)


def _above_random(
    first: Floats, total: Floats, threshold: Floats, distribution: DistributionName
) -> Floats:
    """Return what lies above a threshold, 1 that of the first level, of tickets changed at random.

    What is left of the weights above the first threshold is spread as they were, and what came back
    as those below it.
    """
    law, own = DISTRIBUTIONS[distribution], first[:, :1]
    share = _share(own, total)
    x = law.inverse(share)
    kept = law.kept(threshold * x)
    stayed = np.minimum(first, own) * np.minimum(kept / share, 1)
    back = np.maximum(first - own, 0) * np.maximum(kept - share, 0) / (1 - share)
    return np.asarray(stayed + back)


def _above_next(
    first: Floats, total: Floats, threshold: Floats, distribution: DistributionName
) -> Floats:
    """Return the same of tickets whose layers have another threshold to begin with."""
    law = DISTRIBUTIONS[distribution]
    kept = law.kept(threshold * law.inverse(_share(first[:, :1], total)))
    return np.clip(kept * (total + 1) - _HALF, 0, first)


def _share(kept: Floats, total: Floats) -> Floats:
    """Return kept shares with half a weight added on either side: shape (S, R, L)."""
    return np.asarray((kept + _HALF) / (total + 1))


def still_network(
    store: StoreLike, what: Perturbed, runs: Runs, window: tuple[int, int] | None = None
) -> Still:
    """Return what the groups would keep at the last level if weights stood still.

    Parameters
    ----------
    store : Store or path, or None
        Where the runs are.
    what : Perturbed
        The runs.
    runs : Runs
        What was read of them: its groups and seeds.
    window : (int, int), optional
        Levels by which the law of the weights is told; by default those of a spectrum.
    """
    recipe = runs.source.recipe
    if why := _untold(recipe):
        return Still(None, why)
    source, *every = _layered(store, what, runs)
    rows = [[one.seeds.index(seed) for seed in runs.seeds] for one in every]
    first, last = (
        np.stack([one.kept[at, level] for one, at in zip(every, rows, strict=True)], axis=1).astype(
            np.float64
        )
        for level in what.levels
    )
    open_ = ~every[0].exempt
    first, total = first[..., open_], every[0].total[open_].astype(np.float64)
    network = np.asarray(last[..., open_].sum(axis=-1))
    if blindness(recipe):
        later = first * (network / first.sum(axis=-1))[..., None]
        notes = assumptions(source, PRUNING)
    else:
        law, notes = _law(source, runs, window)
        later = still_kept(first, total, network, what.choice, law)
    kept = later @ _members(every[0], open_, what.by, runs.names)
    if not (kept > 0).all():
        return Still(None, "weights that stand still leave a group empty at the last level", notes)
    return Still(kept, notes=notes)


def _untold(recipe: Recipe) -> str:
    """Say why a recipe has no network whose weights stand still; empty where it has one."""
    if recipe.score_from != "previous":
        return "masks that are pruned from the dense network each time know nothing of one before"
    if recipe.pruner == "magnitude" or blindness(recipe):
        return ""
    return f"what pruner {recipe.pruner} does follows from more than magnitudes"


def _layered(store: StoreLike, what: Perturbed, runs: Runs) -> list[Counts]:
    """Read the source and all runs by layer, in the order of the runs; counts are as they are."""
    children = [
        what.children[runs.names[group], SIDES[side]]
        for group, side in np.argwhere(runs.sides).tolist()
    ]
    names = [what.source, what.unperturbed, *children]
    return counts_of_all(store, names, "layer", "a perturbation")


def _members(counts: Counts, open_: Bools, by: str, names: tuple[str, ...]) -> Floats:
    """Tell which layer is of which group: shape (L, K)."""
    of: list[str | None] = list(counts.names)
    if counts.by == "layer":
        group = {layer.name: layer.group(by) for layer in counts.layers}
        of = [group[name] for name in counts.names]
    inside = [[one == name for name in names] for one in of]
    return np.asarray(inside, np.float64)[open_]


def _law(
    source: Counts, runs: Runs, window: tuple[int, int] | None
) -> tuple[DistributionName, tuple[str, ...]]:
    """Return the law of the weights, as the flow of the source tells it, and what is assumed."""
    chosen = [i for i, seed in enumerate(source.seeds) if seed in runs.seeds]
    try:
        return present_law(choose_window(source.select(chosen) if chosen else source, window))
    except RgtoolError:  # too few levels for a window
        return weight_law(source)
