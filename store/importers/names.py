"""What names of files and folders tell: level, replicate, task."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

MAX_LEVEL = 9999
_REPLICATE = re.compile(
    r"(.*?)[-_. ]*(seed|replicate|rep|run|trial)[-_. ]?(\d{1,9})", re.IGNORECASE
)
# The longest name first: cifar100 holds cifar10.
_TASKS = ("fashion-mnist", "tiny-imagenet", "cifar100", "cifar10", "imagenet", "svhn", "mnist")
_TASKS_OF_CLASSES = {100: "cifar100", 200: "tiny-imagenet", 1000: "imagenet"}


@dataclass(frozen=True)
class Place:
    """What the folder of a run says: experiment, replicate, and the seed where it is one."""

    experiment: str
    replicate: str
    seed: int | None


def place(folder: Path) -> Place:
    """Read experiment and replicate off a folder's name, such as `res18_cifar10_seed3`.

    Examples
    --------
    >>> place(Path("tickets/res18_seed3"))
    Place(experiment='res18', replicate='3', seed=3)
    >>> place(Path("tickets/seed3")).experiment
    'tickets'
    """
    match = _REPLICATE.fullmatch(folder.name)
    if match is None:
        return Place(folder.name, "0", None)
    seed = int(match[3]) if match[2].lower() == "seed" else None
    return Place(match[1] or folder.parent.name, match[3], seed)


def task_of(folder: Path, classes: int | None = None) -> tuple[str | None, str]:
    """Infer the task from the names of a folder and its parents, or from the number of classes.

    Returns
    -------
    tuple of (str or None, str)
        The task, and what it was concluded from.
    """
    for part in [*reversed(folder.parts[-3:])]:
        text = re.sub(r"[-_. ]", "", part.lower())
        for task in _TASKS:
            if task.replace("-", "") in text:
                return task, f"the folder's name '{part}'"
    if classes in _TASKS_OF_CLASSES:
        return _TASKS_OF_CLASSES[classes], f"{classes} classes"
    return None, "nothing tells the task: give --task"


@dataclass(frozen=True)
class Numbered:
    """Files of one folder whose names differ in a number alone.

    Attributes
    ----------
    stem : str
        The name around the number.
    files : dict of int to Path
        By number, ascending.
    twice : tuple of Path
        Files whose number another one has too, such as 01 beside 1.
    """

    stem: str
    files: dict[int, Path]
    twice: tuple[Path, ...]


def numbered(files: Sequence[Path], suffixes: Iterable[str]) -> tuple[list[Numbered], list[Path]]:
    """Group the files of a folder by what their names have in common beside the last number.

    Returns
    -------
    tuple of (list of Numbered, list of Path)
        The groups, and the files of these suffixes that have no number.
    """
    groups: dict[str, dict[int, Path]] = {}
    twice: dict[str, list[Path]] = {}
    plain: list[Path] = []
    for path in sorted(files):
        suffix = next((s for s in suffixes if path.name.endswith(s)), None)
        if suffix is None:
            continue
        match = re.fullmatch(r"(.*?)([0-9]{1,12})([^0-9]*)", path.name.removesuffix(suffix))
        if match is None or int(match[2]) > MAX_LEVEL:
            plain.append(path)
            continue
        stem = f"{match[1]}*{match[3]}{suffix}"
        known = groups.setdefault(stem, {})
        if int(match[2]) in known:
            twice.setdefault(stem, []).append(path)
        known.setdefault(int(match[2]), path)
    found = [
        Numbered(stem, dict(sorted(known.items())), tuple(twice.get(stem, ())))
        for stem, known in sorted(groups.items())
    ]
    return found, plain
