"""Which stretches and squeezes there are between two depths, and which of them have names.

A stage of k normal blocks is mapped to one of K: a stretch (K > k) repeats blocks and drops none, a
squeeze (K < k) drops blocks and repeats none. Arrays hold, for every target block, the source block
(1, 2, ...) that it is made from: shape (maps, K).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal, get_args

import numpy as np

from ...schemas.errors import UsageError, choose
from ...schemas.tickets.stack import Stack, check_family
from ...schemas.tickets.transform import StageMap, Transform
from ...store.figures import figure_rows
from ..arrays import Integers

Feeds = tuple[int, ...]
MapKind = Literal["published", "families", "all"]
LIMIT = 100_000  # maps that are enumerated
UNNAMED, IDENTITY = "other", "identity"


@dataclass(frozen=True, eq=False)
class Candidates:
    """Transforms from one network to another, as arrays.

    Attributes
    ----------
    feeds : tuple of integer array, a stage each, shape (C, K)
        Source block of every target block.
    family : tuple of str, length C
        `append`, `interpolate`, `consecutive`, `interval`, `identity` or `other`.
    published : tuple of str, length C
        Name of the transform in Chen et al. 2021c; empty where it has none there.
    notes : tuple of str
        What was left out.
    """

    feeds: tuple[Integers, ...]
    family: tuple[str, ...]
    published: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.family)

    @property
    def uniform(self) -> bool:
        """Whether every transform maps all stages alike."""
        return all(np.array_equal(self.feeds[0], feeds) for feeds in self.feeds[1:])

    def transform(self, place: int) -> Transform:
        """Return the transform at a place as a value."""
        return as_transform([feeds[place].tolist() for feeds in self.feeds])


def as_transform(feeds: Iterable[Sequence[int]]) -> Transform:
    """Return the transform of one mapping a stage, in its one spelling."""
    stages = tuple(StageMap(tuple(one)) for one in feeds)
    return Transform(stages[:1] if len(set(stages)) == 1 else stages)


def order_preserving(source: int, target: int) -> Iterator[Feeds]:
    """Go through the maps between two depths that keep the order of blocks.

    A stretch repeats every source block at least once, next to itself; a squeeze keeps a choice of
    them. `count_order_preserving` says how many there are.

    Examples
    --------
    >>> list(order_preserving(2, 3)), list(order_preserving(3, 2))
    ([(1, 2, 2), (1, 1, 2)], [(1, 2), (1, 3), (2, 3)])
    """
    if target <= source:
        yield from combinations(range(1, source + 1), target)
    elif source:
        for cuts in combinations(range(1, target), source - 1):
            ends = zip((0, *cuts), (*cuts, target), strict=True)
            yield tuple(i for i, (a, b) in enumerate(ends, start=1) for _ in range(b - a))


def count_order_preserving(source: int, target: int) -> int:
    """Count the order-preserving maps: binomial (k, K) of a squeeze, (K-1, k-1) of a stretch.

    Examples
    --------
    >>> count_order_preserving(8, 4), count_order_preserving(4, 8)
    (70, 35)
    """
    if target <= source:
        return math.comb(source, target)
    return math.comb(target - 1, source - 1) if source else 0


@functools.cache
def families(source: int, target: int) -> dict[Feeds, str]:
    """Return the maps between two depths that have names, in the words of Chen et al. 2021c.

    A stretch repeats some neighbouring blocks equally often: `append` B1 B2 B1 B2, `interpolate`
    B1 B1 B2 B2 (which keeps the order; of one block both are the same). A squeeze drops
    neighbouring blocks, `consecutive`, or several equally long groups of them at equal distances,
    `interval`.

    Examples
    --------
    >>> families(2, 4)[(1, 2, 1, 2)], families(4, 2)[(2, 4)]
    ('append', 'interval')
    """
    if source == target:
        return {tuple(range(1, source + 1)): IDENTITY}
    if target > source:
        return dict(_stretches(source, target - source)) if source else {}
    blocks = range(1, source + 1)
    return {
        tuple(block for block in blocks if block not in dropped): name
        for name, dropped in _drops(source, source - target)
    }


def _stretches(source: int, extra: int) -> Iterator[tuple[Feeds, str]]:
    for several in range(1, source + 1):
        if extra % several:
            continue
        copies = 1 + extra // several
        for first in range(1, source - several + 2):
            some = tuple(range(first, first + several))
            before, after = tuple(range(1, first)), tuple(range(first + several, source + 1))
            beside = tuple(block for block in some for _ in range(copies))
            yield (*before, *beside, *after), "interpolate"
            if several > 1:
                yield (*before, *(some * copies), *after), "append"


def _drops(source: int, drop: int) -> Iterator[tuple[str, frozenset[int]]]:
    for first in range(1, source - drop + 2):
        yield "consecutive", frozenset(range(first, first + drop))
    for length in range(1, drop // 2 + 1):
        groups, rest = divmod(drop, length)
        for gap in range(1, (source - drop) // (groups - 1) + 1) if not rest else ():
            for first in range(1, source - drop - (groups - 1) * gap + 2):
                starts = (first + i * (length + gap) for i in range(groups))
                yield "interval", frozenset(s + i for s in starts for i in range(length))


def published_maps(source: Stack, target: Stack) -> dict[Feeds, str]:
    """Return the maps that Chen et al. 2021c tried between these depths, with their names.

    They map all stages alike, so there are none where stages differ in depth.
    """
    found = {}
    if len({*source.depths}) == len({*target.depths}) == 1:
        for row in figure_rows("published_elastic_mappings"):
            depths = [_depth(row[key]) for key in ("from_architecture", "architecture")]
            if depths == [source.depths[0], target.depths[0]]:
                found[Transform.parse(row["mapping"]).stages[0].feeds] = str(row["transform"])
    return found


def _depth(architecture: str) -> int:
    # CIFAR ResNets have 6 n + 2 layers and n blocks a stage, one of them block 0.
    return (int(architecture.removeprefix("resnet")) - 2) // 6 - 1


def candidates(
    source: Stack, target: Stack, kind: MapKind = "families", own: Sequence[Transform] = ()
) -> Candidates:
    """Return the transforms from one network to another that are to be ranked.

    Stages of equal depths are mapped alike; where depths differ between stages (ResNet-18 and -34),
    all combinations of the stages' maps are taken.

    Parameters
    ----------
    source, target : Stack
        Networks of one family.
    kind : str
        `published` (those of Chen et al. 2021c), `families`, or `all`: the families and the
        order-preserving ones. More than `LIMIT` are not enumerated; the families are taken instead.
    own : sequence of Transform
        Further ones.

    Raises
    ------
    UsageError
        The networks are of different families, a transform of `own` does not fit, or there is none.
    """
    kind = choose("maps", kind, get_args(MapKind))
    check_family(source, target)
    _check_blocks(source, target)
    pairs = tuple(zip(source.depths, target.depths, strict=True))
    distinct = tuple(dict.fromkeys(pairs))
    known, notes = published_maps(source, target), []
    if kind == "published":
        options = [list(known)] * len(distinct)
    else:
        options = [list(families(*pair)) for pair in distinct]
        if kind == "all":
            count = math.prod(count_order_preserving(*pair) for pair in distinct)
            if count <= LIMIT:
                options = [_every(*pair) for pair in distinct]
            else:
                notes.append(_too_many(source, target, count, options))
    if not own and not all(options):
        raise UsageError(
            f"no published maps from {source.name} to {target.name}: take --maps families, or all"
        )
    _check_number(source, target, math.prod(map(len, options)))
    stages = [distinct.index(pair) for pair in pairs]
    rows = [tuple(choice[i] for i in stages) for choice in product(*options)]
    rows += [feeds_of(one.resolve(source, target), len(pairs)) for one in own]
    rows = list(dict.fromkeys(rows))
    return Candidates(
        feeds=tuple(np.array(stage, np.int64) for stage in zip(*rows, strict=True)),
        family=tuple(_family(row, source.depths) for row in rows),
        published=tuple(known.get(row[0], "") if len({*row}) == 1 else "" for row in rows),
        notes=tuple(notes),
    )


def _every(source: int, target: int) -> list[Feeds]:
    return list(dict.fromkeys([*families(source, target), *order_preserving(source, target)]))


def feeds_of(transform: Transform, stages: int) -> tuple[Feeds, ...]:
    """Return the source block of every target block, stage by stage."""
    maps = transform.stages if len(transform.stages) == stages else transform.stages * stages
    return tuple(one.feeds for one in maps)


def _family(row: tuple[Feeds, ...], depths: tuple[int, ...]) -> str:
    """Name the family of a transform: that of all its stages but those that stay as they are."""
    names = {
        families(depth, len(feeds)).get(feeds, UNNAMED)
        for depth, feeds in zip(depths, row, strict=True)
    }
    names = names - {IDENTITY} or names
    return names.pop() if len(names) == 1 else UNNAMED


def _check_blocks(source: Stack, target: Stack) -> None:
    for old, new in zip(source.stages, target.stages, strict=True):
        for stack, stage in ((source, old), (target, new)):
            if stage.depth == 0:
                raise UsageError(
                    f"{stack.name} has no normal block in stage {stage.name}, only block 0, which "
                    "down-samples: nothing there can be stretched, squeezed or compared"
                )


def _too_many(source: Stack, target: Stack, count: int, options: Sequence[Sequence[Feeds]]) -> str:
    named = math.prod(map(len, options))
    many = f"{count:,}" if count < 1e12 else f"{count:.1e}"
    return (
        f"{many} order-preserving maps lead from {source.name} to {target.name}, more than the "
        f"{LIMIT:,} that are enumerated: the {named:,} of the named families are ranked instead"
    )


def _check_number(source: Stack, target: Stack, count: int) -> None:
    if count > LIMIT:
        raise UsageError(
            f"{count:,} maps of the named families lead from {source.name} to {target.name}, more "
            f"than the {LIMIT:,} that are ranked: give those you mean with --map, such as --map "
            "'0:0;1:1,2'"
        )
