"""Which level a file is: the number in its name where the masks agree, else counted by these."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .filenames import FileName
from .found import Contradiction, LevelData, RgtoolError
from .order import Measured, Unordered, in_order, measure, percent

_ROUNDED = 4  # weights by which two prunings at one rate may differ
_TOLERANCE = 0.02  # of a pruning


@dataclass(frozen=True)
class Numbering:
    """Levels of files in the order of pruning, and what they were concluded from."""

    levels: tuple[int, ...]
    why: str


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
    if all(name.sure for name in names[not files[0].digest :]):
        told = [name.level or 0 if name.sure else 0 for name in names]
        _hold_rising(root, files, told, counted)
        if (told[0] == 0) == (not files[0].digest):
            return Numbering(tuple(told), "the numbers in the names, in the order of the masks")
    elif len({name.stem for name in names}) == 1:
        _hold_monotone(root, files, names, counted)
    return Numbering(counted.levels, f"the masks, each within the one before: {counted.why}")


def _hold_rising(
    root: Path, files: Sequence[Measured], told: Sequence[int], counted: Numbering
) -> None:
    """Hold the levels that names tell to the order of the masks."""
    for one, other, low, high in zip(files, files[1:], told, told[1:], strict=False):
        if low >= high:
            raise Contradiction(_otherwise(root, one, other), _write(root, files, counted))


def _hold_monotone(
    root: Path, files: Sequence[Measured], names: Sequence[FileName], counted: Numbering
) -> None:
    """Hold numbers of any meaning to it: those that vary rise or fall as weights are pruned.

    Training only goes on; a share may be of what is kept, or of what is not; a figure does as it
    likes.
    """
    columns = list(zip(*(name.numbers for name in names), strict=False))
    kinds = [(column[0][0], [value for _, value in column]) for column in columns]
    varying = [(kind, v) for kind, v in kinds if kind not in ("figure", "copy") and len({*v}) > 1]
    if varying and not any(_monotone(v, kind != "training") for kind, v in varying):
        _, values = varying[0]
        rises = values[0] <= values[-1]
        at = next(
            i for i, (a, b) in enumerate(zip(values, values[1:], strict=False)) if (a < b) != rises
        ) if len(values) > 2 else 0  # fmt: skip
        raise Contradiction(_otherwise(root, *files[at : at + 2]), _write(root, files, counted))


def _monotone(values: Sequence[float], may_fall: bool) -> bool:
    steps = list(zip(values, values[1:], strict=False))
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
    drops = [
        math.log(before / after)
        for before, after in zip(densities, densities[1:], strict=False)
        if after > 0
    ]
    base = min(drops, default=0.0)
    steps = [_whole(drop / base, base, n) for drop, n in zip(drops, kept[1:], strict=False)]
    first = 0 if dense else 1
    if not drops or len(drops) < len(densities) - 1 or 0 in steps:
        return Numbering(
            tuple(range(first, first + len(densities))),
            "a file a pruning" if dense else "a file a pruning, from 1 as none is dense",
        )
    if not dense:
        first = _whole(-math.log(densities[0]) / base, base, kept[0]) or 1
    levels = [first]
    for step in steps:
        levels.append(levels[-1] + step)
    rate = math.exp(-sum(drops) / (levels[-1] - levels[0]))
    return Numbering(tuple(levels), f"a pruning keeps {percent(rate)} of the weights")


def _whole(steps: float, base: float, kept: int) -> int:
    """Return a number of prunings as a whole one; 0 where it is none."""
    near = round(steps)
    slack = _TOLERANCE * near + _ROUNDED / (max(kept, 1) * base)
    return near if abs(steps - near) <= min(slack, 0.25) else 0


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
