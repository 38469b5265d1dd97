"""Checkpoints of CV_LTH (Chen et al. 2021a) and of PrAC-LTH (Zhang et al. 2021), which forked it.

A run is a folder with `{s}checkpoint.pth.tar` (last epoch) and `{s}model_SA_best.pth.tar` (best
validation epoch) for every state s, on CIFAR and SVHN; with `{s}model_best.pth.tar` on ImageNet,
where state 0 is the pretrained network and not written. PrAC masks the stem too. Pruned states hold
`X.weight_orig` beside `X.weight_mask`; a dense one holds no masks.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ....schemas.errors import RgtoolError
from ....schemas.tensors.torch_files import read_torch
from ..found import (
    Arrays,
    Found,
    FoundLevel,
    FoundRun,
    FoundWeights,
    LevelData,
    Skipped,
    Unreadable,
    contained,
)
from ..masks import layer_weights, pruned_state
from ..numbers import number
from ..ordering.names import Place, place, task_of
from ..state import named, state_dict, unwrapped
from ..tree import Tree

FORMAT, IMAGENET, PRAC = "cv_lth", "cv_lth_imagenet", "prac"
_CIFAR_FILE = re.compile(r"(\d{1,3})(checkpoint|model_SA_best)\.pth\.tar")
_IMAGENET_FILE = re.compile(r"(\d{1,3})(model_best)\.pth\.tar")
_STEMS = ("conv1.weight_mask", "features.0.weight_mask")


def find(tree: Tree) -> Found:
    """Find the runs of CV_LTH on CIFAR and SVHN in a tree."""
    return _find(tree, _CIFAR_FILE, FORMAT, "chen2021a", lambda files: not _masks_stem(files))


def find_prac(tree: Tree) -> Found:
    """Find the runs of PrAC-LTH in a tree."""
    return _find(tree, _CIFAR_FILE, PRAC, "zhang2021", _masks_stem)


def find_imagenet(tree: Tree) -> Found:
    """Find the runs of CV_LTH on ImageNet in a tree."""
    return _find(tree, _IMAGENET_FILE, IMAGENET, "chen2021a", lambda files: True)


def _find(
    tree: Tree,
    pattern: re.Pattern[str],
    format: str,
    recipe_name: str,
    belongs: Callable[[Sequence[Path]], bool],
) -> Found:
    runs: list[FoundRun] = []
    claimed: set[Path] = set()
    skipped: list[Skipped] = []
    for folder, files in tree.folders().items():
        states: dict[int, list[Path]] = {}
        for path in files:  # sorted: checkpoint before model_SA_best
            if (match := pattern.fullmatch(path.name)) is not None:
                states.setdefault(int(match[1]), []).append(path)
        with contained(folder, skipped):
            if not states or not belongs([states[s][0] for s in sorted(states)]):
                continue
            claimed.update(path for paths in states.values() for path in paths)
            rewound = [p for p in files if re.fullmatch(r"epoch_\d+_rewind_weight\.pt", p.name)]
            claimed.update(rewound)
            # Overwritten by every state: which it holds is not told, and the best files say more.
            if format == IMAGENET:
                claimed.add(folder / "checkpoint.pth.tar")
            runs.append(_run(folder, states, format, recipe_name))
    return Found(tuple(runs), frozenset(claimed), tuple(skipped))


def _run(
    folder: Path, states: Mapping[int, Sequence[Path]], format: str, recipe_name: str
) -> FoundRun:
    where: Place = place(folder)
    task, why = ("imagenet", "the format") if format == IMAGENET else task_of(folder)
    read = _read_imagenet if format == IMAGENET else _read_cifar
    levels = tuple(
        FoundLevel(state, tuple(paths[:1]), partial(_first, paths, read))
        for state, paths in sorted(states.items())
    )
    any_file = states[max(states)][0]
    return FoundRun(
        format=format,
        path=folder,
        experiment=where.experiment,
        replicate=where.replicate,
        seed=where.seed,
        levels=levels,
        recipe_name=recipe_name,
        fields={"task": task} if task else {},
        starts={"rewind": FoundWeights((any_file,), lambda: _initial(any_file))},
        implied_dense=format == IMAGENET,
        inferred={
            "task": why,
            "recipe": f"the format's study: {recipe_name}",
            "rewind": "not told by the files",
        },
    )


def _first(paths: Sequence[Path], read: Callable[[Path], LevelData]) -> LevelData:
    """Read the last epoch, or the best one where the last cannot be read."""
    for path in paths[:-1]:
        try:
            return read(path)
        except Unreadable:
            continue
    return read(paths[-1])


def _masks_stem(files: Sequence[Path]) -> bool:
    """Tell whether the first pruned state that can be read masks the first convolution."""
    for path in files:
        try:
            state = unwrapped(state_dict(read_torch(path), str(path))).values()
        except (RgtoolError, OSError):
            continue  # reading the run will say what is wrong
        if any(key.endswith(".weight_mask") for key in state):
            return any(key in _STEMS for key in state)
    return False


def _read_cifar(path: Path) -> LevelData:
    loaded = read_torch(path)
    data = pruned_state(state_dict(loaded, str(path)), str(path))
    try:
        numbers = _accuracies(loaded.get("result", {}))
    except (TypeError, AttributeError, Unreadable):
        return _with(data, {}, ("accuracy is left out: 'result' is damaged",))
    return _with(data, numbers)


def _accuracies(result: Mapping[str, Sequence[Any]]) -> dict[str, float | bool | None]:
    """Report the test accuracy at the best validation accuracy, as the study does."""
    validation = [_fraction(value) for value in result.get("ta", [])]
    tests = [_fraction(value) for value in result.get("test_ta", [])]
    training = [_fraction(value) for value in result.get("train", [])]
    if not validation or len(tests) != len(validation):
        return {}
    best = max(range(len(validation)), key=validation.__getitem__)  # the first, as argmax
    numbers: dict[str, float | bool | None] = {
        "accuracy": tests[best],
        "validation_accuracy": validation[best],
    }
    return numbers | ({"train_accuracy": training[-1]} if training else {})


def _read_imagenet(path: Path) -> LevelData:
    loaded = read_torch(path)
    state = dict(state_dict(loaded, str(path)))
    masks = loaded.get("mask")
    if isinstance(masks, Mapping) and not any(key.endswith("weight_mask") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
        extra = named(masks, str(path))
        state |= {key.removeprefix("module."): value for key, value in extra.items()}
    data = pruned_state(state, str(path))
    try:
        return _with(data, {"accuracy": _fraction(loaded["best_acc1"])})
    except (KeyError, Unreadable):
        return _with(data, {}, ("accuracy is left out: there is no best_acc1",))


def _fraction(percent: Any) -> float:
    """Turn percent into a fraction; six digits, since a float32 tensor holds no more."""
    return round(number(percent, "an accuracy") / 100, 6)


def _with(
    data: LevelData, numbers: Mapping[str, float | bool | None], notes: tuple[str, ...] = ()
) -> LevelData:
    return dataclasses.replace(data, numbers=numbers, notes=notes)


def _initial(path: Path) -> Arrays:
    loaded = read_torch(path)
    found = loaded.get("init_weight") if isinstance(loaded, Mapping) else None
    if not isinstance(found, Mapping):
        raise Unreadable(f"{path}: holds no init_weight")
    return layer_weights(named(found, str(path)), str(path))
