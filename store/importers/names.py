"""What names of files and folders tell: level, replicate, task."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

MAX_LEVEL = 9999
_REPLICATE_SUFFIX = re.compile(
    r"(.*?)[-_. ]*(seed|replicate|rep|run|trial)[-_. ]?(\d{1,9})", re.IGNORECASE
)
# The longest name first: cifar100 holds cifar10.
_TASK_NAMES = ("fashion-mnist", "tiny-imagenet", "cifar100", "cifar10", "imagenet", "svhn", "mnist")
_TASKS_OF_CLASSES = {100: "cifar100", 200: "tiny-imagenet", 1000: "imagenet"}


# Folders that say nothing of what lies in them: the folder above does.
_GENERIC = re.compile(
    r"(checkpoints?|ckpts?|masks?|models?|weights|states?|levels|runs?|saved?|outputs?|results?)",
    re.IGNORECASE,
)
# What programs add to a name that is taken: Lightning, file managers, Dropbox, Syncthing.
_COPY = re.compile(
    r"(-v\d+| ?\(\d+\)| - copy( \(\d+\))?| copy( \d+)?| \([^)]*conflicted copy[^)]*\)"
    r"|\.sync-conflict-\d+-\d+-\w+)$",
    re.IGNORECASE,
)
_LEVEL_WORD = re.compile(r"level|lvl|mask|prun|round|imp", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """What the folder of a run says: experiment, replicate, and the seed where it is one.

    The replicate is empty where the folder tells none.
    """

    experiment: str
    replicate: str
    seed: int | None


def place(folder: Path) -> Place:
    """Read experiment and replicate off a folder's name, such as `res18_cifar10_seed3`.

    Folders such as `checkpoints` are passed over for the one above.

    Examples
    --------
    >>> place(Path("tickets/res18_seed3"))
    Place(experiment='res18', replicate='3', seed=3)
    >>> place(Path("tickets/seed3")).experiment
    'tickets'
    >>> place(Path("lr0.1/checkpoints")).experiment
    'lr0.1'
    """
    while _GENERIC.fullmatch(folder.name) and folder.parent.name:
        folder = folder.parent
    match = _REPLICATE_SUFFIX.fullmatch(folder.name)
    if match is None:
        return Place(folder.name, "", None)
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
        for task in _TASK_NAMES:
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


def copies(files: Sequence[Path], suffixes: Sequence[str]) -> dict[Path, Path]:
    """Map the files of a folder that are copies of others, by their names, to those.

    Examples
    --------
    >>> copies([Path("a=1.ckpt"), Path("a=1-v1.ckpt"), Path("b-v1.ckpt")], [".ckpt"])
    {PosixPath('a=1-v1.ckpt'): PosixPath('a=1.ckpt')}
    """
    there = {path.name: path for path in files}
    found = {}
    for path in files:
        suffix = next((s for s in suffixes if path.name.endswith(s)), "")
        original = _COPY.sub("", path.name.removesuffix(suffix)) + suffix
        if original != path.name and original in there:
            found[path] = there[original]
    return found


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


def main_group(groups: Sequence[Numbered]) -> Numbered | None:
    """Return the group of files that is what its folder is about, where one is.

    The only one whose name speaks of levels; else the only one of several files. So a file that
    lies beside the levels of a run does not change the run's name.
    """
    for tells in (lambda g: _LEVEL_WORD.search(g.stem), lambda g: len(g.files) > 1):
        fitting = [group for group in groups if tells(group)]
        if len(fitting) == 1:
            return fitting[0]
    return groups[0] if len(groups) == 1 else None
