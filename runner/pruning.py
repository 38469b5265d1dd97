"""Which weights go: exact counts, ties broken by magnitude, then by position."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..schemas.blocks import Layer
from ..schemas.errors import UsageError
from ..schemas.recipe import Recipe

Mask = dict[str, NDArray[np.bool_]]
LayerWeights = Mapping[str, NDArray[np.float32]]
Numbers = NDArray[np.float32] | NDArray[np.float64]
Scores = Mapping[str, Numbers]  # of every layer, in the shape of its weight
Score = Callable[[Mask, int, float], Scores]


def density(mask: Mask) -> float:
    """Return the share of the weights that a mask keeps."""
    return sum(int(m.sum()) for m in mask.values()) / sum(m.size for m in mask.values())


def dense_mask(layers: Sequence[Layer]) -> Mask:
    """Return the mask of level 0, which keeps every weight."""
    return {layer.name: np.ones(layer.shape, dtype=np.bool_) for layer in layers}


def kept_of(mask: Mask, names: Sequence[str]) -> NDArray[np.int64]:
    """Count what a mask keeps of every layer, shape (L,)."""
    return np.array([int(mask[name].sum()) for name in names])


def kept_after(total: int, kept: int, level: int, prune: float, rounding: str) -> int:
    """Count the weights that survive the pruning which leads to `level`.

    Parameters
    ----------
    total, kept : int
        Weights of the dense network and of the level before.
    level : int
        Number of prunings including this one.
    prune : float
        Share removed.
    rounding : str
        `exact`: round(total (1 - prune)^level). `openlth`: ceil(prune kept) + 1 go, since OpenLTH
        keeps what is strictly above the threshold. `round`: round(prune kept) go
        (torch.nn.utils.prune).

    Examples
    --------
    >>> [kept_after(270896, 270896, 1, 0.2, r) for r in ("exact", "openlth", "round")]
    [216717, 216715, 216717]
    """
    if rounding == "exact":
        return min(kept, round(total * (1 - prune) ** level))
    if rounding == "openlth":
        return max(0, kept - math.ceil(prune * kept) - 1)
    return kept - round(prune * kept)


def magnitude_of(weights: LayerWeights, mask: Mask, names: Sequence[str]) -> NDArray[np.float64]:
    """Sum the magnitudes of what a mask keeps of every layer, shape (L,)."""
    return np.array([np.abs(weights[n].astype(np.float64))[mask[n]].sum() for n in names])


def emptied(names: Sequence[str], before: NDArray[np.int64], kept: NDArray[np.int64]) -> list[str]:
    """Name the layers that have run empty between two counts of what is kept, shape (L,)."""
    return [name for name, had, has in zip(names, before, kept, strict=True) if had and not has]


@dataclass(frozen=True)
class Beginning:
    """What a run begins with that prunes by itself.

    Attributes
    ----------
    level : int
        Its first level.
    kept : mapping of layer name to int
        What each counted layer keeps there.
    """

    level: int
    kept: Mapping[str, int]

    @classmethod
    def dense(cls, layers: Sequence[Layer]) -> Beginning:
        """Return level 0, which keeps every weight."""
        return cls(0, {layer.name: layer.total for layer in layers})

    @classmethod
    def of(cls, level: int, mask: Mask) -> Beginning:
        """Return what a mask begins with."""
        return cls(level, {name: int(array.sum()) for name, array in mask.items()})

    def kept_after(
        self, part: Sequence[str], total: int, kept: int, level: int, recipe: Recipe
    ) -> int:
        """Count the weights that survive the pruning which leads to `level`, see `kept_after`.

        A part that begins with as many weights as `total` leaves at that level is pruned as if from
        `total` on; another count (of a perturbed or an imported ticket, or with fresh layers) is
        itself what shares are taken of.

        Parameters
        ----------
        part : sequence of str
            Layers that are ranked together.
        total, kept : int
            Their weights, dense and at the level before.
        level : int
            Number of prunings including this one.
        recipe : Recipe
            Share and rounding.
        """
        begun = sum(self.kept[name] for name in part)
        past = self.level
        if begun == kept_after(total, total, self.level, recipe.prune, "exact"):
            begun, past = total, 0
        return kept_after(begun, kept, level - past, recipe.prune, recipe.rounding)


def kept_series(
    layers: Sequence[Layer], recipe: Recipe, levels: int, began: Beginning | None = None
) -> list[int]:
    """Count the kept weights of the whole network at levels up to `levels`, before any training.

    They begin at level 0, or with the first level of `began`.

    Raises
    ------
    UsageError
        Nothing would be left to train; the message says how many levels there can be.
    """
    began = began or Beginning.dense(layers)
    names = [layer.name for layer in layers]
    fixed = sum(began.kept[name] for name in names if name in recipe.exempt)
    parts = [[name] for name in names if name not in recipe.exempt]
    total = {layer.name: layer.total for layer in layers}
    shares = [began.kept[name] for part in parts for name in part]
    series = [fixed + sum(shares)]
    for level in range(began.level + 1, levels + 1):
        if recipe.scope == "global":
            # The exempt layers count in the target, as in OpenLTH; the others make up for them.
            whole = began.kept_after(names, sum(total.values()), series[-1], level, recipe)
            shares = [whole - fixed]
        else:
            shares = [
                began.kept_after(part, total[part[0]], kept, level, recipe)
                for part, kept in zip(parts, shares, strict=True)
            ]
        if sum(shares) < 1:
            raise UsageError(
                f"level {level} would have no weight left to train: "
                f"level {level - 1} is the last for {recipe.architecture} at prune "
                f"{recipe.prune}"
            )
        series.append(fixed + sum(shares))
    return series


def next_mask(
    score: Score,
    weights: LayerWeights,
    mask: Mask,
    layers: Sequence[Layer],
    recipe: Recipe,
    level: int,
    began: Beginning | None = None,
) -> Mask:
    """Prune once, in the steps of the recipe.

    Parameters
    ----------
    score : callable
        Gets the mask that is left, the number of the step (from 1) and the density that the step
        leaves of the whole network; returns scores, of which the smallest go.
    weights : mapping of layer name to float32 array
        The weights that are scored: of equal scores the smaller weight goes first, then the one
        that comes first.
    mask : mapping of layer name to boolean array
        The mask of the level before.
    layers : sequence of Layer
        The counted layers.
    recipe : Recipe
        Scope, share, rounding, exempt layers, steps, and what they begin from.
    level : int
        The level that the new mask is for.
    began : Beginning, optional
        What the run began with; by default with the dense network.

    Returns
    -------
    Mask
        A subset of `mask`, or with `score_from="dense"` of the whole network, with exactly the
        count that `began` tells, exempt layers excepted: they stay whole even where that is
        more.
    """
    parts = _parts(mask, layers, recipe, level, began or Beginning.dense(layers))
    left = dense_mask(layers) if recipe.score_from == "dense" else mask
    begin = [part.kept(left) for part in parts]
    total = sum(layer.total for layer in layers)
    fixed = sum(layer.total for layer in layers if layer.name in recipe.exempt)
    for step in range(1, recipe.score_steps + 1):
        share = step / recipe.score_steps
        counts = [_between(n, p.count, share) for n, p in zip(begin, parts, strict=True)]
        scores = score(left, step, (fixed + sum(counts)) / total)
        left = _keep_largest(scores, weights, left, parts, counts)
    return left


def ranked_together(layers: Sequence[Layer], recipe: Recipe) -> list[tuple[str, ...]]:
    """Return the layers that are pruned, in parts within which scores are compared."""
    names = tuple(layer.name for layer in layers if layer.name not in recipe.exempt)
    return [names] if recipe.scope == "global" else [(name,) for name in names]


@dataclass(frozen=True)
class _Part:
    """Layers whose weights are ranked together, and how many of these stay."""

    names: tuple[str, ...]
    count: int

    def kept(self, mask: Mask) -> int:
        return sum(int(mask[name].sum()) for name in self.names)


def _parts(
    mask: Mask, layers: Sequence[Layer], recipe: Recipe, level: int, began: Beginning
) -> list[_Part]:
    """Return what is ranked together, and the counts of the level that follows a mask."""
    counted = tuple(layer.name for layer in layers) if recipe.scope == "global" else None
    parts = []
    for part in ranked_together(layers, recipe):
        population = counted or part
        kept = sum(int(mask[name].sum()) for name in population)
        total = sum(mask[name].size for name in population)
        remove = kept - began.kept_after(population, total, kept, level, recipe)
        here = sum(int(mask[name].sum()) for name in part)
        parts.append(_Part(part, max(0, here - remove)))
    return parts


def _between(begin: int, end: int, share: float) -> int:
    """Count what is kept after a share of the steps, in equal ratios as those of SynFlow."""
    if share == 1 or begin == 0:
        return end
    return max(end, round(begin * math.pow(max(end, 0.5) / begin, share)))


def _keep_largest(
    scores: Scores, weights: LayerWeights, mask: Mask, parts: Sequence[_Part], counts: Sequence[int]
) -> Mask:
    new = {name: array.copy() for name, array in mask.items()}
    for part, count in zip(parts, counts, strict=True):
        chosen = [mask[name].ravel() for name in part.names]
        candidates, sizes = (
            np.concatenate([of[n].ravel()[m] for n, m in zip(part.names, chosen, strict=True)])
            for of in (scores, weights)
        )
        survives = ~smallest(candidates, len(candidates) - count, np.abs(sizes))
        bounds = np.cumsum([int(m.sum()) for m in chosen])[:-1]
        for name, kept_here in zip(part.names, np.split(survives, bounds), strict=True):
            flat = new[name].reshape(-1)
            flat[flat] = kept_here
    return new


def smallest(scores: Numbers, count: int, ties: Numbers | None = None) -> NDArray[np.bool_]:
    """Mark the `count` smallest scores.

    Parameters
    ----------
    scores : float array, shape (N,)
    count : int
        0 to N.
    ties : float array, shape (N,), optional
        Of equal scores those with the smallest of these come first; then those that stand first.

    Returns
    -------
    bool array, shape (N,)
        Exactly `count` entries are true.
    """
    marked = np.zeros(scores.shape, dtype=np.bool_)
    if count <= 0:
        return marked
    threshold = np.partition(scores, count - 1)[count - 1]
    marked[scores < threshold] = True
    equal, wanted = np.flatnonzero(scores == threshold), count - int(marked.sum())
    if ties is not None and wanted < len(equal):
        equal = equal[smallest(ties[equal], wanted)]
    marked[equal[:wanted]] = True
    return marked
