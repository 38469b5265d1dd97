"""Maps drawn at random: what a chosen map is held against, as dense as it, and designs for tau.

The density of a stretched ticket follows from the counts of its source: nothing is trained, and no
mask is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...schemas.errors import RgtoolError
from ...schemas.tickets.stack import Stack
from ...schemas.tickets.transform import Transform
from ...store.counts import Counts
from ..arrays import Floats, Integers
from .maps import as_transform, feeds_of

ALIKE = 0.02  # most that log densities of two maps differ that are called equally dense
_TRIED = 2000


@dataclass(frozen=True, eq=False)
class BlockCounts:
    """What blocks of a source keep, and how many weights they have, means over its runs.

    Attributes
    ----------
    target : Stack
        The network that is made of them.
    kept : tuple of array, a stage each, shape (k, L)
        Weights that every normal block keeps at L levels.
    fixed : array, shape (L,)
        Weights that all else keeps: stem, head, and block 0 of every stage.
    total : int
        Weights of the target.
    """

    target: Stack
    kept: tuple[Floats, ...]
    fixed: Floats
    total: int

    @classmethod
    def of(cls, counts: Counts, source: Stack, target: Stack, levels: Sequence[int]) -> BlockCounts:
        """Take them from counts by block.

        Raises
        ------
        RgtoolError
            No run has a record of one of the levels.
        """
        missing = [n for n in levels if n >= len(counts.levels) or not counts.recorded[:, n].any()]
        if missing:
            raise RgtoolError(f"{counts.label} has no record of level {missing[0]}")
        there = counts.recorded[:, levels, None]
        kept = (counts.kept[:, levels] * there).sum(axis=0) / there.sum(axis=0)  # (L, G)
        place = {name: i for i, name in enumerate(counts.names)}
        stages = [[place[name] for name in stage.names] for stage in source.stages]
        normal = [i for stage in stages for i in stage]
        others = [i for i in range(len(counts.names)) if i not in normal]
        repeated = sum(stage.depth * stage.weights for stage in target.stages)
        return cls(
            target,
            tuple(kept[:, stage].T for stage in stages),
            kept[:, others].sum(axis=1),
            int(counts.total[others].sum()) + repeated,
        )

    def density(self, transform: Transform) -> Floats:
        """Return the density of the target with the ticket that a map makes: shape (L,)."""
        feeds = feeds_of(transform, len(self.kept))
        parts = [
            kept[np.array(one, np.int64) - 1].sum(axis=0)
            for kept, one in zip(self.kept, feeds, strict=True)
        ]
        return np.asarray((self.fixed + sum(parts)) / self.total)

    @property
    def sparsest(self) -> Floats:
        """What no map is sparser than, the block that keeps least everywhere: shape (L,)."""
        depths = self.target.depths
        least = sum(k * kept.min(axis=0) for k, kept in zip(depths, self.kept, strict=True))
        return np.asarray((self.fixed + least) / self.total)


def random_maps(
    source: Sequence[int], target: Sequence[int], rng: np.random.Generator
) -> Iterator[Transform]:
    """Draw maps without end, every stage by itself.

    A squeeze keeps blocks at random, a stretch all of them and more at random; in any order.

    Parameters
    ----------
    source, target : sequence of int
        Normal blocks of every stage.
    rng : numpy Generator
        Source of randomness.
    """
    while True:
        yield as_transform(
            [_random_feeds(k, goal, rng).tolist() for k, goal in zip(source, target, strict=True)]
        )


def _random_feeds(source: int, target: int, rng: np.random.Generator) -> Integers:
    if target <= source:
        return np.asarray(1 + rng.permutation(source)[:target])
    more = rng.integers(source, size=target - source)
    return np.asarray(1 + rng.permutation(np.concatenate([np.arange(source), more])))


def matched_map(
    blocks: BlockCounts, chosen: Transform, others: Sequence[Transform], rng: np.random.Generator
) -> tuple[Transform, float] | None:
    """Draw a map that is as dense as a chosen one, and another one than that.

    Parameters
    ----------
    blocks : BlockCounts
        Of the source.
    chosen : Transform
        What it is to match at all levels.
    others : sequence of Transform
        Further maps that it must not be.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    tuple or None
        The first drawn that lies within `ALIKE`, else the nearest of `_TRIED`; and by how much log
        density differs at most. None where no other map was drawn.
    """
    goal, stages = np.log(blocks.density(chosen)), len(blocks.kept)
    taken = {feeds_of(one, stages) for one in (chosen, *others)}
    best: tuple[Transform, float] | None = None
    depths = [len(kept) for kept in blocks.kept]
    draws = random_maps(depths, blocks.target.depths, rng)
    for _, drawn in zip(range(_TRIED), draws, strict=False):
        if feeds_of(drawn, stages) in taken:
            continue
        apart = float(np.abs(np.log(blocks.density(drawn)) - goal).max())
        if best is None or apart < best[1]:
            best = drawn, apart
        if apart <= ALIKE:
            break
    return best
