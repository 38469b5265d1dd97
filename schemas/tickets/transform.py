"""Stretching and squeezing a residual network: which block of the source feeds which of the target.

The grammar is that of Chen et al. 2021c (arXiv 2103.16547): `0:0;1:1,2;2:3,4` says source block :
target blocks. Block 0 of every stage is the down-sampling block and goes to itself. One mapping is
meant for every stage; stages that differ are given apart, joined by `|`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn, Self

from ..errors import UsageError
from .stack import Stack, StageBlocks, check_family

EXAMPLE = "0:0;1:1,2;2:3,4"
_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,5})(?![0-9])")
_AROUND = 30  # characters either side of a mistake that a message shows


@dataclass(frozen=True)
class StageMap:
    """The mapping of one stage.

    Attributes
    ----------
    feeds : tuple of int, length K
        The source block (1, 2, ...) that target block 1, ..., K is made from. Block 0 is not among
        them: it goes to block 0.

    Examples
    --------
    >>> str(StageMap((1, 1, 2, 2)))
    '0:0;1:1,2;2:3,4'
    """

    feeds: tuple[int, ...]

    def __post_init__(self) -> None:
        """Hold the blocks to their range.

        Raises
        ------
        UsageError
            A block other than 0 is fed by block 0, the down-sampling block.
        """
        if any(source < 1 for source in self.feeds):
            raise UsageError(
                f"a target block is fed by block {min(self.feeds)}: block 0 down-samples and goes "
                "to block 0 alone, the others are numbered from 1"
            )

    def __str__(self) -> str:
        targets: dict[int, list[str]] = {0: ["0"]}
        for target, source in enumerate(self.feeds, start=1):
            targets.setdefault(source, []).append(str(target))
        return ";".join(f"{source}:{','.join(targets[source])}" for source in sorted(targets))


@dataclass(frozen=True)
class Transform:
    """A stretch or squeeze of a whole network: one mapping for all stages, or one for each.

    Attributes
    ----------
    stages : tuple of StageMap
        One mapping, meant for every stage, or as many as there are stages.

    Examples
    --------
    >>> str(Transform.parse("0:0;1:1;3:2|0:0;2:1;3:2"))
    '0:0;1:1;3:2|0:0;2:1;3:2'
    """

    stages: tuple[StageMap, ...]

    def __post_init__(self) -> None:
        """Refuse a transform of no stage."""
        if not self.stages:
            raise UsageError(f"a transform maps at least one stage, such as {EXAMPLE}")

    def __str__(self) -> str:
        return "|".join(str(stage) for stage in self.stages)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the grammar. Every text in it has one printed form: blocks in ascending order.

        Raises
        ------
        UsageError
            The text is not in the grammar, feeds a block twice or not at all, or moves block 0;
            a caret shows where.
        """
        stages, place = [], 0
        while True:
            stage, place = _read_stage(text, place)
            stages.append(stage)
            if place == len(text):
                return cls(tuple(stages))
            place += 1  # the bar

    def resolve(self, source: Stack, target: Stack) -> Transform:
        """Hold the transform to two networks; return it in its one spelling for them.

        Returns
        -------
        Transform
            With one mapping where all stages are mapped alike, else one for each.

        Raises
        ------
        UsageError
            The networks are of different families, or stages or blocks do not fit.
        """
        check_family(source, target)
        count = len(target.stages)
        if len(self.stages) not in (1, count):
            raise UsageError(
                f"the transform maps {len(self.stages)} stages and {target.name} has {count}: give "
                f"one mapping for all stages, or {count} joined by '|'"
            )
        stages = self.stages if len(self.stages) == count else self.stages * count
        for stage, old, new in zip(stages, source.stages, target.stages, strict=True):
            _check_depth(stage, old, new, source.name, target.name)
        return Transform(stages[:1] if len(set(stages)) == 1 else stages)


def _check_depth(
    stage: StageMap, old: StageBlocks, new: StageBlocks, source: str, target: str
) -> None:
    if len(stage.feeds) != new.depth:
        raise UsageError(
            f"the transform {stage} makes {len(stage.feeds)} normal blocks in stage {new.name}, "
            f"and {target} has {new.depth} there"
        )
    if max(stage.feeds, default=0) > old.depth:
        raise UsageError(
            f"the transform {stage} takes block {max(stage.feeds)} of stage {old.name}, and "
            f"{source} has normal blocks 1 to {old.depth} there"
        )


def _read_stage(text: str, begin: int) -> tuple[StageMap, int]:
    """Read one mapping; return it and the place after it, a bar or the end."""
    feeds: dict[int, int] = {}
    place = begin
    while True:
        start = place
        source, place = _read_number(text, place, "a source block")
        if source in feeds.values():
            _fail(text, start, f"source block {source} stands twice: name all its targets together")
        if text[place : place + 1] != ":":
            _fail(text, place, f"expected ':' after source block {source}")
        place = _read_targets(text, place + 1, source, feeds)
        following = text[place : place + 1]
        if following in ("", "|"):
            break
        if following != ";":
            _fail(text, place, "expected ',', ';', '|' or the end")
        place += 1
    if 0 not in feeds:
        _fail(text, begin, "block 0, which down-samples, is not mapped: begin with 0:0")
    empty = next(target for target in range(len(feeds) + 1) if target not in feeds)
    if empty < max(feeds):
        _fail(text, place, f"target block {empty} is left empty: no source block feeds it")
    return StageMap(tuple(feeds[target] for target in range(1, len(feeds)))), place


def _read_targets(text: str, place: int, source: int, feeds: dict[int, int]) -> int:
    while True:
        start = place
        target, place = _read_number(text, place, "a target block")
        if (source == 0) != (target == 0):
            _fail(text, start, "block 0 down-samples: it goes to block 0 alone, as 0:0")
        if target in feeds:
            _fail(text, start, f"target block {target} is fed twice")
        feeds[target] = source
        if text[place : place + 1] != ",":
            return place
        place += 1


def _read_number(text: str, place: int, what: str) -> tuple[int, int]:
    found = _NUMBER.match(text, place)
    if found is None:
        _fail(text, place, f"expected {what}")
    return int(found[0]), found.end()


def _fail(text: str, place: int, problem: str) -> NoReturn:
    """Raise with the text below the message, and a caret below the place."""
    begin, end = max(place - _AROUND, 0), place + _AROUND
    before, after = "..." if begin else "", "..." if end < len(text) else ""
    shown = re.sub(r"[^ -~]", "?", text[begin:end])
    caret = " " * (len(before) + place - begin) + "^"
    raise UsageError(
        f"transform: {problem}; source : targets is written as {EXAMPLE}",
        f"  {before}{shown}{after}",
        f"  {caret}",
    )
