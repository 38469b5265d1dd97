"""Masks of BERT-Tickets (Chen et al. 2020a).

A run is a folder with `checkpoint-{step}/mask.pt`, one a pruning. `model.pt` beside it is a whole
pickled module from before the pruning and is not opened; the mask is that of the level after, so
folder k (from 0) holds the mask of level k + 1 (masked language modelling: k + 2), and entry k of
`result.pt` tells how well the level before did.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....schemas.errors import RgtoolError
from ....schemas.tensors.stored import described, hold_no_object
from ....schemas.tensors.torch_files import read_torch
from ..found import Found, FoundLevel, FoundRun, LevelData, Refused, Skipped, Unreadable, contained
from ..masks import as_mask
from ..numbers import number
from ..ordering.names import place
from ..state import named, unwrapped
from ..tree import Tree

FORMAT = "bert_tickets"
_FOLDER = re.compile(r"checkpoint-(\d{1,9})")
_CHECKPOINTS = 10  # of a run; a longer list of evaluations was taken at other steps
_METRICS = ("acc", "eval_acc", "mnli/acc", "accuracy")
_IMPLIED = "level 0 is implied: the format prunes before it first writes a mask"
_TASKS = ("mnli", "qqp", "stsb", "sts-b", "wnli", "qnli", "mrpc", "rte", "sst-2", "cola", "squad")


def find(tree: Tree) -> Found:
    """Find the runs of BERT-Tickets in a tree."""
    steps: dict[Path, dict[int, tuple[Path, ...]]] = {}
    claimed: set[Path] = set()
    for folder, files in tree.folders().items():
        match = _FOLDER.fullmatch(folder.name)
        if match is not None and folder / "mask.pt" in files:
            steps.setdefault(folder.parent, {})[int(match[1])] = files
            claimed.update(files)
    for root in steps:
        claimed.update(
            f for f in (root / "result.pt", root / "eval_results.txt") if f in tree.files
        )
    runs: list[FoundRun] = []
    skipped: list[Skipped] = []
    for root, found in sorted(steps.items()):
        with contained(root, skipped):
            runs.append(_run(tree, root, found))
    return Found(tuple(runs), frozenset(claimed), tuple(skipped))


def _run(tree: Tree, root: Path, steps: Mapping[int, tuple[Path, ...]]) -> FoundRun:
    # Saved every so many steps: a folder that is missing leaves a gap in the steps.
    every = min(steps) or 1
    regular = all(step % every == 0 for step in steps)
    masks = {
        step // every - 1 if regular else i: root / f"checkpoint-{step}" / "mask.pt"
        for i, step in enumerate(sorted(steps))
    }
    shift = _shift(masks)
    result = root / "result.pt" if root / "result.pt" in tree.files else None
    where = place(root)
    task = next((t for t in _TASKS if t in root.name.lower()), None)
    opened = any(file.name == "model.pt" for files in steps.values() for file in files)
    levels = [
        FoundLevel(k + 1 + shift, _files(mask, result), partial(_read, k + 1, mask, result))
        for k, mask in sorted(masks.items())
    ]
    if shift == 0:
        dense = partial(_read_dense, masks[min(masks)], result)
        levels.insert(0, FoundLevel(0, _files(masks[min(masks)], result), dense))
    return FoundRun(
        format=FORMAT,
        path=root,
        experiment=where.experiment,
        replicate=where.replicate,
        seed=where.seed,
        levels=tuple(levels),
        recipe_name="chen2020a",
        fields={"task": task.replace("-", "")} if task else {},
        implied_dense=True,
        inferred={
            "task": "the folder's name" if task else "nothing tells the task: give --task",
            "level": f"mask.pt of the k-th checkpoint (from 0) is that of level k + {1 + shift}",
        },
        notes=("model.pt is a pickled module and was not opened",) if opened else (),
    )


def _shift(masks: Mapping[int, Path]) -> int:
    """Return 1 where the first mask is that of level 2, as in masked language modelling, else 0.

    There the program prunes before it trains; every step removes a tenth of the whole network.
    """
    later = 0
    for k, path in sorted(masks.items()):
        try:
            found = _masks(path).values()
        except (RgtoolError, OSError):
            continue
        density = sum(np.count_nonzero(m) for m in found) / max(sum(m.size for m in found), 1)
        if abs(density - (1 - 0.1 * (k + 2))) > 0.02:
            return 0
        later += 1
        if later == 2:  # one density may be that of another share pruned a step
            return 1
    return 0


def _files(mask: Path, result: Path | None) -> tuple[Path, ...]:
    return (mask, *([result] if result else []))


def _masks(path: Path) -> dict[str, NDArray[np.bool_]]:
    loaded = read_torch(path)
    hold_no_object(loaded, str(path))
    if not isinstance(loaded, Mapping):
        raise Refused(f"{path}: holds no mask but {described(loaded)}")
    state = named(loaded, str(path))
    plain = unwrapped(state)
    masks = {
        plain[key].removesuffix(".weight_mask"): as_mask(value, f"{path}, {key}")
        for key, value in state.items()
        if key.endswith(".weight_mask")
    }
    if not masks:
        raise Refused(f"{path}: holds no mask")
    return masks


def _read(trained: int, mask: Path, result: Path | None) -> LevelData:
    """Read a level's mask; the next checkpoint, number `trained`, tells how well it did."""
    masks = _masks(mask)
    shapes = {name: found.shape for name, found in masks.items()}
    return LevelData(shapes, masks, numbers={"accuracy": _recorded(result, trained)})


def _read_dense(mask: Path, result: Path | None) -> LevelData:
    shapes = {name: found.shape for name, found in _masks(mask).items()}
    return LevelData(shapes, numbers={"accuracy": _recorded(result, 0)}, notes=(_IMPLIED,))


def _recorded(path: Path | None, checkpoint: int) -> float | None:
    """Take the accuracy at a checkpoint from the list of evaluations, one a checkpoint."""
    if path is None:
        return None
    try:
        results = read_torch(path)
        one = results[checkpoint] if len(results) <= _CHECKPOINTS else {}
        if not isinstance(one, Mapping):
            return None
        value = next(one[key] for key in _METRICS if key in one)
        return number(value, str(path))
    except (Unreadable, OSError, KeyError, IndexError, TypeError, StopIteration):
        return None
