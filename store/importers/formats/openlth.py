"""Runs of OpenLTH (Frankle et al. 2020) and of its forks, ElasticLTH among them.

A run is a folder `replicate_R` with `level_L/main/mask.pth`, a branch of it
`level_L/lottery_branch_<name>_<hash>/mask.pth`. Names of files may carry a suffix before `.pth`,
folders above the replicate any name. Masks are counted as they are; accuracy comes from `logger`,
which is written when a level ends; `hparams.log` of level 0 tells how the run was made. A branch
knows the run that it leaves.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ....schemas.errors import UsageError
from ....schemas.steps import Step
from ....schemas.tensors.stored import described, hold_no_object
from ....schemas.tensors.torch_files import read_torch
from ..found import (
    Arrays,
    Found,
    FoundLevel,
    FoundRun,
    FoundWeights,
    LevelData,
    Refused,
    Skipped,
    Unreadable,
    contained,
)
from ..masks import as_mask, layer_weights
from ..safe import read_text
from ..state import named, state_dict, unwrapped
from ..tree import Tree

FORMAT = "openlth"
_LEVEL = re.compile(r"level_(\d{1,4})")
_MASK = re.compile(r"mask(?P<suffix>.*)\.pth(?:\.gz)?")
_MODEL = re.compile(r"model_ep(\d+)_it(\d+)(?P<suffix>.*)\.pth")
_REPLICATE = re.compile(r"replicate_(\w+)")
_BRANCH = re.compile(r"lottery_branch_(?P<name>\w+?_[0-9a-f]{8})[0-9a-f]*")
_BEFORE = "pretrain_"  # of what is set for the training up to the rewind point
_MOST_LINES = 200  # of hyperparameters
_TASKS = {"fashionmnist": "fashion-mnist", "fashion_mnist": "fashion-mnist"}


def find(tree: Tree) -> Found:
    """Find the runs of OpenLTH in a tree."""
    places: dict[tuple[Path, str, str], dict[int, tuple[Path, ...]]] = {}
    claimed: set[Path] = set()
    for folder, files in tree.folders().items():
        level = _LEVEL.fullmatch(folder.parent.name)
        inside = level is not None or folder.parent.name == "level_pretrain"
        if not inside or not (folder.name == "main" or _BRANCH.match(folder.name)):
            continue
        claimed.update(files)
        for suffix in _suffixes(files) if level is not None else ():
            key = (folder.parent.parent, folder.name, suffix)
            assert level is not None
            places.setdefault(key, {}).setdefault(int(level[1]), files)
    runs: dict[tuple[Path, str, str], FoundRun] = {}
    skipped: list[Skipped] = []
    for key, levels in sorted(places.items(), key=lambda place: (place[0][1] != "main", place[0])):
        replicate, where, suffix = key
        with contained(replicate, skipped):
            run = _run(tree, *key, levels)
            if where != "main":
                run = dataclasses.replace(run, parent=runs.get((replicate, "main", suffix)))
            runs[key] = run
    return Found(tuple(runs[key] for key in sorted(runs)), frozenset(claimed), tuple(skipped))


def _suffixes(files: Sequence[Path]) -> list[str]:
    masks = [m["suffix"] for file in files if (m := _MASK.fullmatch(file.name)) is not None]
    # Without a mask a checkpoint still holds it.
    return sorted(set(masks)) or [""] * any(file.name == "checkpoint.pth" for file in files)


def _run(
    tree: Tree, replicate: Path, where: str, suffix: str, levels: Mapping[int, tuple[Path, ...]]
) -> FoundRun:
    main = [file for file in tree.files if file.parent == replicate / "level_0" / "main"]
    hparams = _hparams(main)
    match = _REPLICATE.fullmatch(replicate.name)
    experiment = (replicate.parent if match else replicate).name
    branch = _BRANCH.match(where)
    parts = [experiment, *([where] if branch else []), *([suffix] if suffix else [])]
    fields, inferred = _fields(hparams)
    if branch:  # under a name that the user gives it alone tells branches apart
        fields["transform"] = branch["name"]
    ignored = hparams.get("pruning_layers_to_ignore", "")
    return FoundRun(
        format=FORMAT,
        path=replicate,
        experiment="/".join(parts),
        replicate=match[1] if match else "",
        variant="/".join(parts[1:]),
        levels=tuple(
            FoundLevel(level, *_level(files, suffix)) for level, files in sorted(levels.items())
        ),
        recipe_name="frankle2020",
        fields=fields,
        exempt=tuple(name.strip().removesuffix(".weight") for name in ignored.split(",") if name),
        starts={} if branch else _starts(tree, replicate, levels.get(0, ()), suffix),
        inferred=inferred,
    )


def _level(files: Sequence[Path], suffix: str) -> tuple[tuple[Path, ...], Callable[[], LevelData]]:
    """Choose what is read of a level: mask, logger, and the model at the end of training."""
    names = {file.name: file for file in files}
    mask = names.get(f"mask{suffix}.pth") or names.get(f"mask{suffix}.pth.gz")
    source = mask or names[f"checkpoint{suffix}.pth"]
    logger = names.get(f"logger{suffix}")
    model = max(_models(files, suffix), default=None)
    used = [source, *([logger] if logger else []), *([model[2]] if model else [])]

    def read() -> LevelData:
        return _read(source, logger, model[2] if model else None)

    return tuple(used), read


def _models(files: Sequence[Path], suffix: str) -> list[tuple[int, int, Path]]:
    """List the saved models of a level by epoch and iteration."""
    found = ((_MODEL.fullmatch(file.name), file) for file in files)
    return sorted(
        (int(m[1]), int(m[2]), file) for m, file in found if m is not None and m["suffix"] == suffix
    )


def _read(source: Path, logger: Path | None, model: Path | None) -> LevelData:
    loaded = read_torch(source)
    masks = _masks(loaded, str(source))
    notes: list[str] = []
    numbers: dict[str, float | bool | None] = {}
    weights: Arrays = {}
    if logger is not None:
        try:
            numbers = read_logger(read_text(logger))
        except Unreadable as error:
            notes.append(f"accuracy is left out: {error}")
    if model is not None:
        try:
            weights = _weights(model)
        except Unreadable as error:
            notes.append(f"weights are left out: {error}")
    shapes = {name: mask.shape for name, mask in masks.items()}
    return LevelData(shapes, masks, weights=weights, numbers=numbers, notes=tuple(notes))


def _masks(loaded: Any, where: str) -> dict[str, Any]:
    """Return the masks of `mask.pth`, or those among the buffers of `checkpoint.pth`."""
    if isinstance(loaded, Mapping) and "model_state_dict" in loaded:
        state = state_dict(loaded, where)
        plain = unwrapped(state, wrappers=("module.",))
        found = {
            plain[key].removeprefix("mask_").replace("___", "."): value
            for key, value in state.items()
            if plain[key].startswith("mask_")
        }
    elif isinstance(loaded, Mapping):
        state = named(loaded, where)
        plain = unwrapped(state)
        found = {plain[key]: value for key, value in state.items()}
    else:
        hold_no_object(loaded, where)
        raise Refused(f"{where}: holds no mask but {described(loaded)}")
    if not found:
        raise Refused(f"{where}: holds no mask")
    return {
        name.removesuffix(".weight"): as_mask(value, f"{where}, {name}")
        for name, value in found.items()
    }


def _weights(path: Path) -> Arrays:
    state = state_dict(read_torch(path), str(path))
    return layer_weights({k: v for k, v in state.items() if "mask_" not in k}, str(path))


def _starts(
    tree: Tree, replicate: Path, level_0: Sequence[Path], suffix: str
) -> dict[str, FoundWeights]:
    """Find the rewind point, the first model of level 0, and the initial weights before it."""
    starts: dict[str, FoundWeights] = {}
    pretrain = [file for file in tree.files if file.parent == replicate / "level_pretrain" / "main"]
    rewind = _models(level_0, suffix)[:1]
    init = _models(pretrain, suffix)[:1] or (rewind if not pretrain else [])
    for name, models in (("init", init), ("rewind", rewind)):
        if models and (name == "rewind" or models[0][:2] == (0, 0)):
            path = models[0][2]
            starts[name] = FoundWeights((path,), partial(_weights, path))
    return starts


def read_logger(text: str) -> dict[str, float | bool | None]:
    r"""Read the last value of every series of a `logger`: lines `name,iteration,value`.

    Examples
    --------
    >>> read_logger("test_loss,0,2.3\ntest_accuracy,0,0.1\ntest_accuracy,469,0.96")
    {'accuracy': 0.96, 'loss': 2.3}
    """
    last: dict[str, tuple[float, float]] = {}
    for line in text.splitlines():
        parts = line.replace("-", "_", 1).split(",")
        try:
            name, iteration, value = parts[0], float(parts[1]), float(parts[2])
        except (IndexError, ValueError):
            continue
        if name not in last or iteration >= last[name][0]:
            last[name] = (iteration, value)
    columns = {
        "accuracy": "test_accuracy",
        "loss": "test_loss",
        "train_accuracy": "train_accuracy",
        "train_loss": "train_loss",
    }
    return {column: last[name][1] for column, name in columns.items() if name in last}


def _hparams(level_0: Sequence[Path]) -> dict[str, str]:
    """Read `hparams.log`; keys of the pretraining sections get a prefix. Empty if it is gone."""
    path = next((f for f in level_0 if re.fullmatch(r"hparams.*\.log", f.name)), None)
    if path is None:
        return {}
    try:
        text = read_text(path)
    except Unreadable:
        return {}
    values: dict[str, str] = {}
    prefix = ""
    for line in text.splitlines()[:_MOST_LINES]:
        match = re.fullmatch(r"\s*\* (\w{1,60}) => (.{0,200})", line)
        if match is not None:
            values[prefix + match[1]] = match[2].strip()
        elif not line.startswith(" "):
            prefix = _BEFORE if line.startswith("Pretraining") else ""
    return values


# What a field of the recipe takes, by its name in `hparams.log`.
_TEXTS = {"optimizer_name": "optimizer", "model_init": "init", "batchnorm_init": "bn_init"}
_NUMBERS = {"lr": "lr", "gamma": "gamma", "pruning_fraction": "prune"}
_TAKEN = {
    *_TEXTS, *_NUMBERS, "dataset_name", "batch_size", "momentum", "weight_decay", "milestone_steps",
    "warmup_steps", "do_not_augment", "pretrain_training_steps",
}  # fmt: skip


def _fields(hparams: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Translate hyperparameters into fields of the recipe; say what was taken from where."""
    if not hparams:
        return {}, {"recipe": "no hparams.log: frankle2020 is assumed"}
    fields: dict[str, Any] = {
        "rounding": "openlth",
        # What is falsy is not written: no momentum, no weight decay, no milestones.
        "momentum": _float_or(hparams.get("momentum"), 0.0),
        "weight_decay": _float_or(hparams.get("weight_decay"), 0.0),
        "milestones": _steps(hparams.get("milestone_steps", "")),
        "warmup": hparams.get("warmup_steps", "0it"),
        "rewind": hparams.get("pretrain_training_steps", "0it"),
        **_length(hparams.get("training_steps", "")),
    }
    if "dataset_name" in hparams:
        name = hparams["dataset_name"]
        fields["task"] = _TASKS.get(name, name)
    fields |= {field: hparams[key] for key, field in _TEXTS.items() if key in hparams}
    if "model_init" in hparams:
        fields["fan"] = "fan_in"  # OpenLTH calls torch's initialisers with their defaults
    if hparams.get("pruning_strategy") == "sparse_global":
        fields |= {"pruner": "magnitude", "scope": "global"}
    for key, field in _NUMBERS.items():
        if (value := _float_or(hparams.get(key))) is not None:
            fields[field] = value
    batch = _float_or(hparams.get("batch_size"))
    if batch is not None and batch.is_integer():
        fields["batch_size"] = int(batch)
    plain = hparams.get("do_not_augment") == "True" or "mnist" in hparams.get("dataset_name", "")
    fields["augment"] = () if plain else ("flip", "crop4")
    return fields, {**_beside(hparams), "recipe": "hparams.log"}


def _length(text: str) -> dict[str, Any]:
    """Read how long a level is trained: `160ep`, or as it stands, `63000it` or `2ep50it`."""
    try:
        step = Step.parse(text)
    except UsageError:
        return {}
    if step.iterations:
        return {"epochs": None, "length": str(step)}
    return {"epochs": step.epochs} if step.epochs else {}


def _beside(hparams: Mapping[str, str]) -> dict[str, str]:
    """Return what no field of the recipe takes, such as seeds of the data and its order.

    Of the training up to the rewind point only what is otherwise afterwards.
    """
    again = {key for key, value in hparams.items() if hparams.get(key[len(_BEFORE):]) == value
             and key.startswith(_BEFORE)}  # fmt: skip
    return {key: value for key, value in hparams.items() if key not in _TAKEN | again}


def _steps(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part and part != "None")


def _float_or(text: str | None, default: float | None = None) -> float | None:
    try:
        return float(text) if text is not None else default
    except ValueError:
        return default
