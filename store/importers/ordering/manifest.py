"""`manifest.json` beside checkpoints: which file is which level, and what the run was.

    {"experiment": "mine", "architecture": "resnet20", "task": "cifar10", "seed": 3,
     "init": "kaiming_normal", "fan": "fan_in",
     "levels": [{"level": 0, "file": "dense.pt", "accuracy": 0.91}, "round_1/model.pt", ...]}

Everything but `levels` may be left out. A file alone is the level after the one before it, from 0;
files may lie in folders below.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..found import FoundLevel, FoundRun, LevelData, Skipped, Unreadable
from ..safe import read_text
from .names import MAX_LEVEL, place

NAME = "manifest.json"
_NUMBER_KEYS = ("accuracy", "loss", "train_accuracy", "train_loss", "validation_accuracy")
_TEXT_KEYS = ("experiment", "architecture", "task", "replicate", "init", "fan")


@dataclass(frozen=True)
class Listed:
    """What a manifest says.

    Attributes
    ----------
    levels : mapping of int to (Path, mapping)
        Files by level, with the numbers told of them.
    told : mapping of str to str
        Experiment, architecture, task, replicate, init, fan, seed.
    skipped : tuple of Skipped
        Entries that cannot be used.
    """

    levels: Mapping[int, tuple[Path, Mapping[str, float | bool | None]]]
    told: Mapping[str, str]
    skipped: tuple[Skipped, ...]


def read_manifest(folder: Path, mine: Collection[Path]) -> Listed:
    """Read the manifest of a folder.

    Parameters
    ----------
    folder : Path
        The folder.
    mine : collection of Path
        The checkpoints in it and below: the only files that it may name.
    """
    path = folder / NAME
    try:
        values = json.loads(read_text(path))
        entries = list(values["levels"])
    except (Unreadable, ValueError, KeyError, TypeError, RecursionError):
        return Listed({}, {}, (Skipped(str(path), 'no manifest: {"levels": [...]} is due'),))
    levels: dict[int, tuple[Path, Mapping[str, float | bool | None]]] = {}
    skipped: list[Skipped] = []
    due = 0
    for entry in entries:
        try:
            one: Mapping[str, Any] = (
                {"level": due, "file": entry} if isinstance(entry, str) else entry
            )
            said = _whole(one["level"])
            due = (due if said is None else said) + 1
            level, file, numbers = _level_entry(folder, one, mine)
            if level in levels:
                raise ValueError(f"level {level} stands there twice")
            if any(file == other for other, _ in levels.values()):
                raise ValueError(f"{one['file']} stands there twice")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            skipped.append(Skipped(str(path), f"an entry cannot be used ({str(error)[:80]!r})"))
            continue
        levels[level] = (file, numbers)
    if not entries:
        skipped.append(Skipped(str(path), "a manifest that lists no level"))
    told = {key: str(values[key])[:100] for key in _TEXT_KEYS if _is_name(values.get(key))}
    if (seed := _whole(values.get("seed"))) is not None:
        told["seed"] = str(seed)
    elif values.get("seed") is not None:
        skipped.append(Skipped(str(path), f"seed {values['seed']!r:.20} is no whole number"))
    return Listed(levels, told, tuple(skipped))


def listed_run(
    folder: Path, format: str, listed: Listed, read: Callable[[Path], LevelData]
) -> FoundRun:
    """Return the run that a manifest lists."""
    where, told = place(folder), listed.told

    def read_one(path: Path, numbers: Mapping[str, float | bool | None]) -> LevelData:
        return dataclasses.replace(read(path), numbers=numbers)

    return FoundRun(
        format=format,
        path=folder,
        experiment=told.get("experiment", where.experiment),
        replicate=told.get("replicate", told.get("seed", where.replicate)),
        seed=int(told["seed"]) if "seed" in told else where.seed,
        levels=tuple(
            FoundLevel(n, (path,), partial(read_one, path, numbers))
            for n, (path, numbers) in sorted(listed.levels.items())
        ),
        fields={k: told[k] for k in ("task", "architecture", "init", "fan") if k in told},
        inferred={"level": NAME},
        stated=frozenset(told),
    )


def _whole(value: Any) -> int | None:
    """Return the whole number that a value is or spells; None where it is none."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,18}\s*", value, re.ASCII):
        return int(value)
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and abs(value) < 2**62 else None


def _level_entry(
    folder: Path, entry: Mapping[str, Any], mine: Collection[Path]
) -> tuple[int, Path, dict[str, float | bool | None]]:
    level, name = _whole(entry["level"]), entry["file"]
    if level is None or not 0 <= level <= MAX_LEVEL:
        raise ValueError(f"level {entry['level']!r:.20} is no level")
    # No path of a tree leads out of it: what has `..` in it, or begins at the root, is none of them
    file = folder / str(name).replace("\\", "/")
    if not isinstance(name, str) or file not in mine:
        raise ValueError(f"there is no checkpoint {name!r:.50} in this folder")
    numbers = {key: entry[key] for key in _NUMBER_KEYS if type(entry.get(key)) in (int, float)}
    return level, file, numbers


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int) and str(value).isprintable() and bool(str(value).strip())
