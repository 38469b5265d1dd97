"""Masks of BERT-Tickets (Chen et al. 2020a).

A run is a folder with `checkpoint-{step}/mask.pt`, one a pruning. `model.pt` beside it is a whole
pickled module from before the pruning and is not opened; the mask is that of the level after, so
folder k (from 0) holds the mask of level k + 1 and tells how well level k did.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ...schemas.errors import RgtoolError
from .found import Found, FoundLevel, FoundRun, LevelData, Unreadable
from .names import place
from .safe import read_text, read_torch
from .state import as_mask, named, unwrapped
from .tree import Tree

FORMAT = "bert_tickets"
_FOLDER = re.compile(r"checkpoint-(\d{1,9})")
_ACCURACY = re.compile(r"^(?:eval_)?acc(?:uracy)? = ([0-9.]+)\s*$", re.MULTILINE)
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
    runs = tuple(_run(tree, root, found) for root, found in sorted(steps.items()))
    return Found(runs, frozenset(claimed))


def _run(tree: Tree, root: Path, steps: Mapping[int, tuple[Path, ...]]) -> FoundRun:
    # Saved every so many steps: a folder that is missing leaves a gap in the steps.
    every = min(steps) or 1
    regular = all(step % every == 0 for step in steps)
    order = {step // every - 1 if regular else i: step for i, step in enumerate(sorted(steps))}
    result = root / "result.pt" if root / "result.pt" in tree.files else None
    where = place(root)
    task = next((t for t in _TASKS if t in root.name.lower()), None)
    return FoundRun(
        format=FORMAT,
        path=root,
        experiment=where.experiment,
        replicate=where.replicate,
        seed=where.seed,
        levels=tuple(
            _level(k + 1, steps[step], steps.get(step + every, ()), result)
            for k, step in sorted(order.items())
        ),
        recipe_name="chen2020a",
        fields={"task": task.replace("-", "")} if task else {},
        implied_dense=True,
        inferred={
            "task": "the folder's name" if task else "nothing tells the task: give --task",
            "level": "mask.pt of the k-th checkpoint (from 0) is that of level k + 1",
        },
        notes=("model.pt is a pickled module and was not opened",)
        if any(file.name == "model.pt" for files in steps.values() for file in files)
        else (),
    )


def _level(
    level: int, files: tuple[Path, ...], after: tuple[Path, ...], result: Path | None
) -> FoundLevel:
    mask = next(file for file in files if file.name == "mask.pt")
    # How this level did stands with the next checkpoint, which was written before it was pruned.
    report = next((file for file in after if file.name == "eval_results.txt"), None)
    used = [mask, *([report] if report else []), *([result] if result else [])]
    return FoundLevel(level, tuple(used), lambda: _read(level, mask, report, result))


def _read(level: int, mask: Path, report: Path | None, result: Path | None) -> LevelData:
    loaded = read_torch(mask)
    if not isinstance(loaded, Mapping):
        raise Unreadable(f"{mask}: holds no mask but a {type(loaded).__name__}")
    state = named(loaded, str(mask))
    plain = unwrapped(state)
    masks = {
        plain[key].removesuffix(".weight_mask"): as_mask(value, f"{mask}, {key}")
        for key, value in state.items()
        if key.endswith(".weight_mask")
    }
    if not masks:
        raise Unreadable(f"{mask}: holds no mask")
    accuracy = _reported(report) if report else None
    if accuracy is None and result is not None:
        accuracy = _recorded(result, level)
    shapes = {name: found.shape for name, found in masks.items()}
    return LevelData(shapes, masks, numbers={"accuracy": accuracy})


def _reported(path: Path) -> float | None:
    try:
        match = _ACCURACY.search(read_text(path))
        return float(match[1]) if match else None
    except (RgtoolError, ValueError):
        return None


def _recorded(path: Path, level: int) -> float | None:
    """Take the accuracy of a level from the list of evaluations, if it has one a level."""
    try:
        results = read_torch(path)
        return float(results[level]["acc"]) if len(results) == 10 else None
    except (Unreadable, OSError, KeyError, IndexError, TypeError, ValueError):
        return None
