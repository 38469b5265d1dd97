"""Perturbed tickets: a group of layers gets or loses weights, and the others lose or get as many.

A perturbation stays near to what the flow itself does: what a layer loses is what the next pruning
takes from it, and what it gets back is what the last one took. Where one pruning has taken too few
the pool reaches to the one after (before) it, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ...schemas.blocks import Layer
from ...schemas.errors import UsageError
from ...schemas.recipe import Recipe
from ...schemas.tickets.perturbation import Perturbation
from ...schemas.words import counted
from ..pruning import Mask
from ..replicas.randomness import generator
from .source import Source

Counts = NDArray[np.int64]
Far = NDArray[np.int16]  # of the shape of a weight, prunings between a level and another one


class Move(NamedTuple):
    """What becomes of a layer.

    Attributes
    ----------
    change : int
        How many weights come back; below 0 how many go.
    far : integer array, of the shape of the weight
        Prunings from the level to the one that takes a weight, or took it: 1, 2, ...; 0 for weights
        that stay what they are.
    """

    change: int
    far: Far


@dataclass(frozen=True)
class Exchange:
    """A perturbation of the mask that a run has at a level.

    Attributes
    ----------
    source, level : Source, int
        The run and the level.
    wanted : Perturbation
        What is changed.
    layers : sequence of Layer
        The layers that exchange weights: those that are pruned.
    """

    source: Source
    level: int
    wanted: Perturbation
    layers: Sequence[Layer]

    def mask(self, seed: int) -> Mask:
        """Return the mask with the count of one group changed; errors are those of `moves`.

        Parameters
        ----------
        seed : int
            What draws among equals follow from. They are the same for all factors: what a smaller
            change takes is among what a larger one does.
        """
        found = dict(self._mask)
        for name, move in self.moves().items():
            rng = generator(seed, "perturb", self.level, name)
            ranks: Counts = torch.randperm(move.far.size, generator=rng).numpy()
            found[name] = found[name] ^ _nearest(move, ranks)
        return found

    def moves(self) -> dict[str, Move]:
        """Return how many weights of which layers change sides.

        Raises
        ------
        UsageError
            The level, or a group, has too few weights to give or to get back.
        RgtoolError
            A mask is damaged.
        """
        inside = [layer.name for layer in self.layers if self.wanted.holds(layer)]
        outside = [layer.name for layer in self.layers if not self.wanted.holds(layer)]
        if not inside or not outside:
            does = "is never pruned" if not inside else "is all that is pruned"
            raise self._refuse(f"{self._group} {does}, so it has nothing to exchange with others")
        if self.level == 0:
            raise self._refuse("level 0 is dense, no group can get weights: perturb a later level")
        change = self._change(int(self._kept(inside).sum()))
        moved = self._side(inside, change, self._group)
        return moved | self._side(outside, -change, "the others")

    def kept(self) -> dict[str, int]:
        """Count what the layers keep then; errors are those of `moves`."""
        moves = self.moves()
        return {name: int(self._mask[name].sum()) + move.change for name, move in moves.items()}

    @cached_property
    def _mask(self) -> Mask:
        return self.source.mask(self.level)

    @property
    def _group(self) -> str:
        return f"{self.wanted.by} {self.wanted.name}"

    def _refuse(self, text: str) -> UsageError:
        return UsageError(f"{self.wanted}, run {self.source.name}: {text}")

    def _kept(self, names: Sequence[str]) -> Counts:
        return np.array([np.count_nonzero(self._mask[name]) for name in names])

    def _change(self, kept: int) -> int:
        """Return what the group gets back, below 0 what it gives; refuse nothing and all."""
        then = round(self.wanted.factor * kept)
        if then != kept and then > 0:
            return then - kept
        raise self._refuse(
            f"{self._group} keeps {counted(kept, 'weight')} at level {self.level} and would keep "
            f"{'as many' if then else 'none'}: it is too small for this factor; an earlier level "
            "or a larger group may do"
        )

    def _side(self, names: Sequence[str], change: int, who: str) -> dict[str, Move]:
        """Return what layers get back (`change` above 0) or give, in proportion to their counts."""
        back, amount, kept = change > 0, abs(change), self._kept(names)
        pool = {name: ~self._mask[name] if back else self._mask[name] for name in names}
        if self.wanted.choice == "random":
            far = {name: there.astype(np.int16) for name, there in pool.items()}
        else:
            far = self._distances(pool, portions(amount, kept, _sizes(pool)), -1 if back else 1)
        there = _sizes(far)
        if there.sum() < amount:
            can = f"{who} can {'get back' if back else 'give'} {there.sum():,} weights"
            raise self._refuse(self._too_few(can, amount, back))
        counts = portions(amount, kept, there).tolist()
        sign = 1 if back else -1
        return {
            name: Move(sign * count, far[name]) for name, count in zip(names, counts, strict=True)
        }

    def _distances(self, pool: Mask, shares: Counts, step: int) -> dict[str, Far]:
        """Count the prunings to where weights are on the other side, as far as shares need it."""
        far = {name: np.zeros(there.shape, np.int16) for name, there in pool.items()}
        other = self.level + step
        while other >= 0 and self.source.has_mask(other) and (_sizes(far) < shares).any():
            mask = self.source.mask(other) if other else {}  # all is kept at level 0
            for name, there in pool.items():
                kept = mask.get(name, np.True_)
                crossed = there & (far[name] == 0) & (kept if step < 0 else ~kept)
                far[name][crossed] = abs(other - self.level)
            other += step
        return far

    def _too_few(self, can: str, amount: int, back: bool) -> str:
        """Say that layers cannot change by as many as they would have to."""
        found = f"{can} of {amount:,} at level {self.level}"
        neighbour = self.level + (-1 if back else 1)
        if self.wanted.choice == "random":
            return f"{found}, and the network's count must not change: a factor nearer to 1 may do"
        if not self.source.has_mask(neighbour):
            return (
                f"{found}: there is no mask of level {neighbour}, which tells which; "
                f"{self.wanted}:random takes any"
            )
        return (
            f"{found}, and the network's count must not change: a factor nearer to 1 may do, or "
            f"{self.wanted}:random, which takes any"
        )


def exchanging(layers: Sequence[Layer], recipe: Recipe) -> list[Layer]:
    """Return the counted layers of a child that are pruned, and are the parent's."""
    return [one for one in layers if one.name not in (*recipe.exempt, *recipe.fresh)]


def _nearest(move: Move, ranks: Counts) -> NDArray[np.bool_]:
    """Mark the weights that change sides: the nearest in prunings, of equal ones by their ranks."""
    far = move.far.ravel()
    candidates = np.flatnonzero(far)
    order = np.lexsort((ranks[candidates], far[candidates]))
    marked = np.zeros(far.shape, np.bool_)
    marked[candidates[order[: abs(move.change)]]] = True
    return marked.reshape(move.far.shape)


def _sizes(pools: Mapping[str, NDArray[Any]]) -> Counts:
    return np.array([np.count_nonzero(pool) for pool in pools.values()])


def portions(amount: int, weights: Counts, most: Counts) -> Counts:
    """Divide a number in proportion to weights, no part above its most.

    Largest remainders are rounded up, the first of equal ones; what is above the most of one part
    is divided among the others.

    Parameters
    ----------
    amount : int
        What is divided; all of `most` where that is less.
    weights, most : integer array, shape (K,)
        Weights, and the largest value of every part.

    Returns
    -------
    integer array, shape (K,)

    Examples
    --------
    >>> portions(10, np.array([1, 2, 4]), np.array([9, 9, 3])).tolist()
    [2, 5, 3]
    """
    given = np.zeros_like(most)
    while (left := min(amount, int(most.sum())) - int(given.sum())) > 0:
        has_room = given < most
        shares = np.where(has_room, weights, 0)
        if not shares.any():  # only parts of no weight have room
            shares = has_room.astype(np.int64)
        part, rest = np.divmod(left * shares, shares.sum())
        part[np.argsort(-rest, kind="stable")[: left - int(part.sum())]] += 1
        given = np.minimum(given + part, most)
    return given
