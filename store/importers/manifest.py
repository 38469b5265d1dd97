"""`manifest.json` beside checkpoints: which file is which level, and what the run was.

    {"experiment": "mine", "architecture": "resnet20", "task": "cifar10", "seed": 3,
     "init": "kaiming_normal", "fan": "fan_in",
     "levels": [{"level": 0, "file": "dense.pt", "accuracy": 0.91}, ...]}

Everything but `levels` may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .found import Skipped, Unreadable
from .names import MAX_LEVEL
from .safe import read_text

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


def read_manifest(folder: Path, mine: Sequence[Path], files: Sequence[Path]) -> Listed | None:
    """Read the manifest of a folder; None where there is none.

    Parameters
    ----------
    folder : Path
        The folder.
    mine : sequence of Path
        The checkpoints in it: the only files that a manifest may name.
    files : sequence of Path
        All files in it.
    """
    path = folder / NAME
    if path not in files:
        return None
    try:
        values = json.loads(read_text(path))
        entries = list(values["levels"])
    except (Unreadable, ValueError, KeyError, TypeError, RecursionError):
        return Listed({}, {}, (Skipped(str(path), 'no manifest: {"levels": [...]} is due'),))
    levels: dict[int, tuple[Path, Mapping[str, float | bool | None]]] = {}
    skipped: list[Skipped] = []
    for entry in entries:
        try:
            level, file, numbers = _level_entry(folder, entry, mine)
            if level in levels:
                raise ValueError(f"level {level} stands there twice")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            skipped.append(Skipped(str(path), f"an entry cannot be used ({str(error)[:80]!r})"))
            continue
        levels[level] = (file, numbers)
    if not entries:
        skipped.append(Skipped(str(path), "a manifest that lists no level"))
    told = {key: str(values[key])[:100] for key in _TEXT_KEYS if _is_name(values.get(key))}
    if isinstance(values.get("seed"), int) and abs(values["seed"]) < 2**62:
        told["seed"] = str(values["seed"])
    return Listed(levels, told, tuple(skipped))


def _level_entry(
    folder: Path, entry: Mapping[str, Any], mine: Sequence[Path]
) -> tuple[int, Path, dict[str, float | bool | None]]:
    level, name = entry["level"], entry["file"]
    if type(level) is not int or not 0 <= level <= MAX_LEVEL:
        raise ValueError(f"level {level!r:.20} is no level")
    file = next((path for path in mine if path.name == name), None)
    if file is None:
        raise ValueError(f"there is no checkpoint {name!r:.50} in this folder")
    numbers = {key: entry[key] for key in _NUMBER_KEYS if type(entry.get(key)) in (int, float)}
    return level, file, numbers


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int) and str(value).isprintable() and bool(str(value).strip())
