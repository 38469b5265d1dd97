"""What a level costs by the share of the weights that it keeps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from ..plan import Plan
from ..pruners import erk, magnitude, random
from ..pruners.scoring import Scheme, Scoring, no_images
from ..pruning import LayerWeights, Mask, Scores, dense_mask, density, next_mask
from ..replicas.randomness import generator
from ..replicas.replica_parts import ReplicaParts
from ..replicas.sparse_training import SparseTrainer
from ..replicas.step_seconds import StepSeconds, timing_seconds
from .probe import speed

# Pruners that look at weights alone.
_OF_WEIGHTS = {"random": random.scores, "erk": erk.scores}


@dataclass(frozen=True)
class Point:
    """Training speed of one replica at a density.

    Attributes
    ----------
    level : int
        The level that has it.
    density : float
        Share of the weights that are kept.
    sparse : float
        Images a second with sparse kernels, by the time that a processor worked for it.
    lists : float
        Seconds of a processor to list the kept weights, once a level.
    """

    level: int
    density: float
    sparse: float
    lists: float = 0.0


class Beginning(NamedTuple):
    """Seconds that pass before the first step of a level.

    Attributes
    ----------
    choosing : float
        To time both kinds of steps, for the seed that comes first.
    lists : float
        To list the kept weights, for every seed.
    """

    choosing: float
    lists: float


@dataclass(frozen=True)
class ByDensity:
    """Training speed of one replica on one thread at the densities of a plan.

    Attributes
    ----------
    clock : float
        Images a second with dense kernels, at whatever density.
    dense : float
        The same by processor time, as in `Point`: other programs do not count.
    points : tuple of Point
        Measured with sparse kernels, ascending levels; none where every level trains dense.
    densities : tuple of float
        Of every level of the plan.
    is_measured : bool
        Whether a level takes the faster kernels; else it takes the sparse ones.
    """

    clock: float
    dense: float
    points: tuple[Point, ...]
    densities: tuple[float, ...]
    is_measured: bool = True

    def sparse(self, kept: float) -> float:
        """Return images a second with sparse kernels at a density.

        The time of a step grows with the products that are computed, so it is interpolated between
        the points along the density.
        """
        return 1 / self._between(kept, [1 / point.sparse for point in self.points])

    def lists(self, kept: float) -> float:
        """Return the seconds of a processor to list the kept weights at a density."""
        return self._between(kept, [point.lists for point in self.points])

    def _between(self, kept: float, values: Sequence[float]) -> float:
        densities = [point.density for point in self.points]
        return float(np.interp(kept, densities[::-1], values[::-1]))

    def gains(self, dense: float | None = None) -> list[float]:
        """Return how many times as fast as dense steps every level trains.

        Parameters
        ----------
        dense : float, optional
            Images a second of dense steps with more threads, by the clock; sparse ones have one.
        """
        if not self.points:
            return [1.0] * len(self.densities)
        lead = 1.0 if dense is None else dense / self.clock
        gains = [self.sparse(kept) / self.dense / lead for kept in self.densities]
        return [max(1.0, gain) for gain in gains] if self.is_measured else gains

    def beginning(self, kept: float, steps: int, images: float) -> Beginning:
        """Return what a level takes before its first step.

        Parameters
        ----------
        kept : float
            Its density.
        steps : int
            Its steps.
        images : float
            Of a step.
        """
        if not self.points or not steps:
            return Beginning(0.0, 0.0)
        lists, disturbed = self.lists(kept), self.dense / self.clock
        step = StepSeconds(images / self.dense, images / self.sparse(kept))
        choosing = timing_seconds(step, lists, steps) if self.is_measured else 0.0
        shared = step.sharing(lists, steps)
        is_sparse = shared.sparse < shared.dense or not self.is_measured
        return Beginning(disturbed * choosing, disturbed * lists * is_sparse)


def by_density(
    made: Plan,
    one: ReplicaParts,
    seconds: float,
    most: int,
    dense: tuple[float, float] | None = None,
) -> ByDensity:
    """Measure one replica of a plan at `most` of its densities, on one thread.

    Parameters
    ----------
    made, one : Plan, ReplicaParts
        The plan, and what a replica of it computes with; its weights are pruned.
    seconds : float
        Time for each density.
    most : int
        Densities, at most.
    dense : tuple of float, optional
        What `speed` says of dense steps on one thread, where they have been measured.

    Notes
    -----
    The masks are drawn: those that the recipe's pruner finds in the initial weights, or where it
    looks at more than weights, that their magnitudes tell. Training finds others of the same sizes.
    """
    dense = dense or speed(made, [one], seconds)
    densities = tuple(kept / made.kept[0] for kept in made.kept)
    if not made.kernels.sparse:
        return ByDensity(*dense, (), densities)
    levels = sorted({round(x) for x in np.linspace(0, made.levels, most)})
    points = tuple(
        Point(
            level,
            density(mask),
            speed(made, [one], seconds, mask=mask, sparse=True)[1],
            _list_seconds(one, mask),
        )
        for level, mask in _drawn_masks(made, one, levels)
    )
    return ByDensity(*dense, points, densities, made.kernels.choice == "auto")


def _list_seconds(one: ReplicaParts, mask: Mask) -> float:
    """Measure what it takes until the first sparse step can be made."""
    began = time.process_time()
    SparseTrainer(one.module, one.recipe, one.loader, mask).prepare()
    return time.process_time() - began


def _drawn_masks(
    made: Plan, one: ReplicaParts, levels: Sequence[int]
) -> Iterator[tuple[int, Mask]]:
    """Yield masks of some levels of a plan, ascending."""
    initial = one.initial("init")
    weights = {layer.name: initial[f"{layer.name}.weight"] for layer in made.layers}
    scheme = _OF_WEIGHTS.get(made.recipe.pruner, magnitude.scores)
    recipe, mask = replace(made.recipe, score_steps=1), dense_mask(made.layers)
    for level in range(made.levels + 1):
        if level:
            score = partial(_score, scheme, one, weights, level)
            mask = next_mask(score, weights, mask, made.layers, recipe, level)
        if level in levels:
            yield level, mask


def _score(
    scheme: Scheme,
    one: ReplicaParts,
    weights: LayerWeights,
    level: int,
    mask: Mask,
    step: int,
    density: float,
) -> Scores:
    images = one.images
    return scheme(
        Scoring(
            weights=weights,
            rewind=weights,
            mask=mask,
            network=lambda: one.module,
            batches=no_images,
            classes=images.classes,
            input_shape=images.input_shape,
            generator=generator(one.seed, "prune", level),
            density=density,
        )
    )
