"""Checkpoints of MoCo and SimCLR pretraining in CV_LTH (Chen et al. 2021a).

One file an epoch: `checkpoint_{e:04d}.pth.tar` of MoCo, e from 0, where the query encoder counts;
`model_{e}.pt` of SimCLR, e from 1. Both prune before the first epoch and every ten epochs, so that
the dense network was never written; the last epoch of each level is its end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from ....schemas.errors import RgtoolError
from ....schemas.tensors.torch_files import read_torch
from ..found import Found, FoundLevel, FoundRun, LevelData, Skipped, contained
from ..masks import pruned_state
from ..ordering.names import place
from ..state import state_dict
from ..tree import Tree

MOCO, SIMCLR = "moco", "simclr"
_EPOCHS = 10  # a level, in both
_PRUNE = 0.2
_MOCO_FILE = re.compile(r"checkpoint_(\d{4})\.pth\.tar")
_QUERY = re.compile(r"(?:^|\.)encoder_q\.")
_SIMCLR_FILE = re.compile(r"model_(\d{1,4})\.pt")


def find_moco(tree: Tree) -> Found:
    """Find the runs of MoCo in a tree."""
    return _find_runs(tree, MOCO, _MOCO_FILE, 0, _read_moco, _has_query_encoder)


def find_simclr(tree: Tree) -> Found:
    """Find the runs of SimCLR in a tree."""
    return _find_runs(tree, SIMCLR, _SIMCLR_FILE, 1, _read, _counts_epochs)


def _find_runs(
    tree: Tree,
    format: str,
    pattern: re.Pattern[str],
    first: int,
    read: Callable[[Path], LevelData],
    belongs: Callable[[int, Path], bool],
) -> Found:
    runs: list[FoundRun] = []
    claimed: set[Path] = set()
    skipped: list[Skipped] = []
    for folder, files in tree.folders().items():
        epochs = {int(m[1]): f for f in files if (m := pattern.fullmatch(f.name)) is not None}
        with contained(folder, skipped):
            if not epochs or not _any_belongs(epochs, belongs):
                continue
            claimed.update(epochs.values())
            # Copies of what was there before a pruning.
            claimed.update(f for f in files if re.fullmatch(r"model_pruned\d+\.pt", f.name))
            last = {(epoch - first) // _EPOCHS + 1: path for epoch, path in sorted(epochs.items())}
            runs.append(_run(folder, format, first, last, read))
    return Found(tuple(runs), frozenset(claimed), tuple(skipped))


def _run(
    folder: Path,
    format: str,
    first: int,
    last: Mapping[int, Path],
    read: Callable[[Path], LevelData],
) -> FoundRun:
    where = place(folder)
    return FoundRun(
        format=format,
        path=folder,
        experiment=where.experiment,
        replicate=where.replicate,
        seed=where.seed,
        levels=tuple(
            FoundLevel(level, (path,), partial(read, path)) for level, path in sorted(last.items())
        ),
        recipe_name="chen2021a",
        fields={"task": "imagenet", "init": "pretrained", "epochs": _EPOCHS},
        implied_dense=True,
        inferred={
            "task": f"the format: {format} pretraining on ImageNet",
            "level": f"epoch {first} is pruned already, {_EPOCHS} epochs a level",
        },
    )


def _any_belongs(epochs: Mapping[int, Path], belongs: Callable[[int, Path], bool]) -> bool:
    """Ask the last file that can be read; of files that cannot, the names have to do."""
    for epoch, path in sorted(epochs.items(), reverse=True):
        try:
            return belongs(epoch, path)
        except (RgtoolError, OSError):
            continue
    return belongs is _has_query_encoder


def _has_query_encoder(epoch: int, path: Path) -> bool:
    return any(_QUERY.search(key) for key in state_dict(read_torch(path), str(path)))


def _counts_epochs(epoch: int, path: Path) -> bool:
    """Tell epochs from levels: `model_12.pt` holds level 2 here, level 12 in other folders."""
    masks = _read(path).masks
    total = sum(mask.size for mask in masks.values())
    if not total:
        return False
    density = sum(int(np.count_nonzero(mask)) for mask in masks.values()) / total
    level = (epoch - 1) // _EPOCHS + 1
    return epoch >= 1 and abs(density / (1 - _PRUNE) ** level - 1) < 0.02


def _read(path: Path) -> LevelData:
    return pruned_state(state_dict(read_torch(path), str(path)), str(path))


def _read_moco(path: Path) -> LevelData:
    state = state_dict(read_torch(path), str(path))
    query = {key[match.end() :]: value for key, value in state.items()
             if (match := _QUERY.search(key)) is not None}  # fmt: skip
    return pruned_state(query, str(path))
