"""Masks of rahulvigneswaran's program: pickled lists of arrays, in the order of the parameters.

A run is a folder `dumps/lt/{network}/{data set}` with `{lt|reinit}_mask_{percent}.pkl` for every
level, where percent is the share of all parameters that is not zero, rounded to a tenth. Every
parameter called a weight has a mask, those of norms included; none has a name. Beside them lie
pickled arrays: `{kind}_all_accuracy_{percent}.dat` of a level, `{kind}_compression.dat` with the
percent of all levels in turn.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....schemas.errors import RgtoolError
from ....schemas.tensors.stored import to_array
from ....schemas.tensors.torch_files import read_torch
from ..found import Contradiction, Found, FoundLevel, FoundRun, LevelData, Skipped, contained
from ..ordering.names import task_of
from ..reading import read_level
from ..tree import Tree

FORMAT = "pickled_lists"
_MASK = re.compile(r"(lt|reinit)_mask_(\d{1,3}\.\d)\.pkl")


def find(tree: Tree) -> Found:
    """Find the runs of this program in a tree."""
    runs: list[FoundRun] = []
    claimed: set[Path] = set()
    skipped: list[Skipped] = []
    for folder, files in tree.folders().items():
        masks: dict[str, dict[float, Path]] = {}
        for file in files:
            if (match := _MASK.fullmatch(file.name)) is not None:
                masks.setdefault(match[1], {})[float(match[2])] = file
        for kind, found in masks.items():
            claimed.update(file for file in files if file.name.startswith(f"{kind}_"))
            with contained(folder, skipped):
                runs.append(_run(folder, kind, found, frozenset(files)))
    return Found(tuple(runs), frozenset(claimed), tuple(skipped))


def _run(folder: Path, kind: str, masks: Mapping[float, Path], files: frozenset[Path]) -> FoundRun:
    task, why = task_of(folder)
    order, level_from = _levels(folder / f"{kind}_compression.dat", masks, files)
    return FoundRun(
        format=FORMAT,
        path=folder,
        experiment=f"{folder.parent.name}-{folder.name}-{kind}",
        replicate="",
        levels=tuple(
            FoundLevel(level, *_level(masks[percent], files)) for level, percent in order.items()
        ),
        fields={"task": task} if task else {},
        inferred={"task": why, "level": level_from},
    )


def _level(mask: Path, files: frozenset[Path]) -> tuple[tuple[Path, ...], partial[LevelData]]:
    accuracies = mask.with_name(f"{mask.name.replace('_mask_', '_all_accuracy_')[:-4]}.dat")
    used = (mask, *([accuracies] if accuracies in files else []))
    return used, partial(_read, *used)


def _levels(
    told: Path, masks: Mapping[float, Path], files: frozenset[Path]
) -> tuple[dict[int, float], str]:
    """Map levels to percents: as the program counted where it tells, else in their order."""
    percents = sorted(masks, reverse=True)
    try:
        recorded = to_array(read_torch(told), str(told)).ravel() if told in files else np.zeros(0)
    except RgtoolError:
        recorded = np.zeros(0)
    places = [np.flatnonzero(np.isclose(recorded, percent)) for percent in percents]
    if all(place.size for place in places):
        _hold_falling(told.name, recorded, places)
        return {int(p[0]): c for p, c in zip(places, percents, strict=True)}, told.name
    first = _is_pruned(masks[percents[0]])
    return dict(enumerate(percents, first)), "the order of the percents in the files' names"


def _hold_falling(
    name: str, recorded: NDArray[np.float64], places: Sequence[NDArray[np.intp]]
) -> None:
    """Hold the places of percents, the largest first, to rise as weights are pruned."""
    for one, other in itertools.pairwise(places):
        if one[0] >= other[0]:
            low, high = recorded[other[0]], recorded[one[0]]
            raise Contradiction(
                f"{name}: {low:g} % stands before {high:g} % in it, and prunings only take "
                "weights away",
                f"without {name} the percents in the files' names tell the levels: move it away",
            )


def _is_pruned(path: Path) -> bool:
    try:
        return not all(mask.all() for mask in read_level(path).masks.values())
    except RgtoolError:
        return False


def _read(mask: Path, accuracies: Path | None = None) -> LevelData:
    data = read_level(mask)
    if accuracies is None:
        return data
    try:
        tested = to_array(read_torch(accuracies), str(accuracies))
        numbers = {"accuracy": round(float(tested.max()) / 100, 6)}
    except (RgtoolError, ValueError) as error:
        return dataclasses.replace(data, notes=(f"accuracy is left out: {error}",))
    return dataclasses.replace(data, numbers=numbers)
