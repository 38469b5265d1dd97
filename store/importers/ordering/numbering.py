"""Which level a file is: the number in its name where the masks agree, else counted by these."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....schemas.errors import RgtoolError
from ..found import Contradiction, LevelData
from .filenames import FileName
from .order import Measured, Unordered, in_order, measure, percent

_ROUNDED = 4  # weights by which two prunings at one rate may differ
_TOLERANCE = 0.02  # of a pruning


@dataclass(frozen=True)
class Numbering:
    """Levels of files in the order of pruning.

    Attributes
    ----------
    levels : tuple of int
        Rising.
    why : str
        What they were concluded from.
    rate : float
        Share of the weights that every pruning keeps; 0 where there is no such share.
    named : bool
        Whether the levels are those of the names.
    """

    levels: tuple[int, ...]
    why: str
    rate: float = 0.0
    named: bool = False


def numbered(root: Path, files: Sequence[Measured], names: Sequence[FileName]) -> Numbering:
    """Return the levels of files that are in the order of pruning.

    Parameters
    ----------
    root : Path
        The folder of their run.
    files : sequence of Measured
        One a mask, the densest first.
    names : sequence of FileName
        Their names, with the folders between.

    Raises
    ------
    Contradiction
        The names have another order than the masks.
    """
    counted = by_density([one.density for one in files], [one.kept for one in files])
    dense = not files[0].digest
    if all(name.sure for name in names[int(dense) :]):
        told = [name.level or 0 if name.sure else 0 for name in names]
        _hold_rising(root, files, told, counted)
        if (told[0] == 0) == dense and _are_levels(told, files, counted):
            why = "the numbers in the names, which the masks follow"
            return Numbering(tuple(told), why, named=True)
        return counted
    for stem in dict.fromkeys(name.stem for name in names):
        alike = [(one, name) for one, name in zip(files, names, strict=True) if name.stem == stem]
        _hold_monotone(root, files, counted, *zip(*alike, strict=True))
    return counted


def _are_levels(told: Sequence[int], files: Sequence[Measured], counted: Numbering) -> bool:
    """Whether numbers of the names count prunings, and not the percent that are pruned or kept.

    Of two masks of one number, before and after a pruning, these tell one from the other.
    Where every pruning keeps one share, as the masks have it, numbers that rise otherwise than the
    masks count something else.
    """
    if len({*told}) < len(told):
        return False
    pruned = [(n, 100 * one.density) for n, one in zip(told, files, strict=True) if one.digest]
    kept = all(abs(n - percents) <= 0.6 for n, percents in pruned)
    gone = all(abs(n - (100 - percents)) <= 0.6 for n, percents in pruned)
    if len(pruned) > 1 and (kept or gone):
        return False
    if not counted.rate:
        return True
    rises = [
        (high - low) * (counted.levels[1] - counted.levels[0]) - (told[1] - told[0]) * (b - a)
        for (low, high), (a, b) in zip(
            itertools.pairwise(told), itertools.pairwise(counted.levels), strict=True
        )
    ]
    return not any(rises)


def _hold_rising(
    root: Path, files: Sequence[Measured], told: Sequence[int], counted: Numbering
) -> None:
    """Hold the levels that names tell to the order of the masks."""
    pairs = zip(itertools.pairwise(files), itertools.pairwise(told), strict=True)
    for (one, other), (low, high) in pairs:
        if low > high:
            raise Contradiction(_otherwise(root, one, other), _write(root, files, counted))


def _hold_monotone(
    root: Path,
    every: Sequence[Measured],
    counted: Numbering,
    files: Sequence[Measured],
    names: Sequence[FileName],
) -> None:
    """Hold numbers of any meaning to it: those that vary rise or fall as weights are pruned.

    Training only goes on; a share may be of what is kept, or of what is not; a figure does as it
    likes.
    """
    columns = list(zip(*(name.numbers for name in names), strict=False))
    kinds = [(column[0][0], [value for _, value in column]) for column in columns]
    varying = [(kind, v) for kind, v in kinds if kind not in ("figure", "copy") and len({*v}) > 1]
    if varying and not any(_monotone(v, kind != "training") for kind, v in varying):
        kind, values = varying[0]
        rises = kind == "training" or values[0] <= values[-1]
        at = next(
            at
            for at, (a, b) in enumerate(itertools.pairwise(values))
            if (a > b if rises else a < b)
        )
        raise Contradiction(_otherwise(root, *files[at : at + 2]), _write(root, every, counted))


def _monotone(values: Sequence[float], may_fall: bool) -> bool:
    steps = list(itertools.pairwise(values))
    return all(a <= b for a, b in steps) or (may_fall and all(a >= b for a, b in steps))


def _otherwise(root: Path, one: Measured, other: Measured) -> str:
    first, second = (path.path.relative_to(root).as_posix() for path in (one, other))
    return (
        f"by its mask {first} ({percent(one.density)} kept) comes before {second} "
        f"({percent(other.density)}), by its name it does not"
    )


def _write(root: Path, files: Sequence[Measured], counted: Numbering) -> str:
    levels = {n: one.path for n, one in zip(counted.levels, files, strict=True)}
    return f"if the masks are right, write {root}/manifest.json: {manifest_text(root, levels)}"


def remedy(root: Path, paths: Sequence[Path], read: Callable[[Path], LevelData]) -> str:
    """Say what the user can do about files that are not in the order of their names."""
    found: list[Measured] = []
    for path in paths:
        try:
            found.append(measure(path, read))
        except (RgtoolError, OSError):
            continue
    try:
        files = [alike[0] for alike in in_order(found)]
    except Unordered as error:
        return f"{error}: give each run a folder, or list the files of one in {root}/manifest.json"
    counted = by_density([one.density for one in files], [one.kept for one in files])
    place = {path: at for at, path in enumerate(paths)}
    swapped = (
        _otherwise(root, one, other)
        for one, other in itertools.pairwise(files)
        if place[one.path] > place[other.path]
    )
    return f"{next(swapped, 'names and masks agree')}: {_write(root, files, counted)}"


def by_density(densities: Sequence[float], kept: Sequence[int]) -> Numbering:
    """Count prunings from densities: one a file, or more where they fall by a power of one rate.

    Parameters
    ----------
    densities : sequence of float
        Falling; 1 is the dense network.
    kept : sequence of int
        Weights, which tell how far rounding moves a density.

    Examples
    --------
    >>> by_density([1, 0.8, 0.64, 0.4096], [10000, 8000, 6400, 4096]).levels
    (0, 1, 2, 4)
    >>> by_density([0.64, 0.512], [6400, 5120]).levels
    (2, 3)
    >>> by_density([1, 0.5, 0.2], [100, 50, 20]).levels
    (0, 1, 2)
    """
    dense = densities[0] >= 1
    first = 0 if dense else 1
    drops = [math.log(a / b) if b else 0.0 for a, b in itertools.pairwise(densities)]
    base = min(drops, default=0.0)
    steps = [_whole(drop, base, n) for drop, n in zip(drops, kept[1:], strict=True)]
    if not steps or 0 in steps:
        from_ = "" if dense else ", from 1, as none is dense"
        one_each = tuple(range(first, first + len(densities)))
        return Numbering(one_each, f"the masks, each within the one before{from_}")
    if not dense:
        first = _whole(-math.log(densities[0]), base, kept[0]) or 1
    levels = tuple(itertools.accumulate(steps, initial=first))
    rate = math.exp(-sum(drops) / sum(steps))
    return Numbering(levels, f"the masks: a pruning keeps {percent(rate)} of the weights", rate)


def _whole(drop: float, base: float, kept: int) -> int:
    """Return how many prunings a drop is, each one `base`; 0 where it is no whole number."""
    if base <= 0:
        return 0
    near = round(drop / base)
    slack = _TOLERANCE * near + _ROUNDED / (max(kept, 1) * base)
    return near if abs(drop / base - near) <= min(slack, 0.25) else 0


def manifest_text(root: Path, files: Mapping[int, Path]) -> str:
    """Return the `manifest.json` of a folder in which these files are these levels."""
    entries: list[str] = []
    due = 0
    for level, path in sorted(files.items()):
        text = path.relative_to(root).as_posix()
        name = json.dumps(text, ensure_ascii=not text.isprintable())
        plain = level == due
        entries.append(name if plain else f'{{"level": {level}, "file": {name}}}')
        due = level + 1
    return f'{{"levels": [{", ".join(entries)}]}}'
