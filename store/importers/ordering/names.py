"""What names of folders tell: experiment, replicate, task."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MAX_LEVEL = 9999
_REPLICATE_SUFFIX = re.compile(
    r"(.*?)[-_. ]*(seed|replicate|rep|run|trial)[-_. ]?(\d{1,9})", re.IGNORECASE
)
# The longest name first: cifar100 holds cifar10.
_TASK_NAMES = ("fashion-mnist", "tiny-imagenet", "cifar100", "cifar10", "imagenet", "svhn", "mnist")
_TASKS_OF_CLASSES = {100: "cifar100", 200: "tiny-imagenet", 1000: "imagenet"}
_LETTER = re.compile(r"[^\W\d_]")
# Folders that say nothing of what lies in them: the folder above does.
_GENERIC = re.compile(
    r"(checkpoints?|ckpts?|masks?|models?|weights|states?|levels|runs?|saved?|outputs?|results?|files)",
    re.IGNORECASE,
)


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

    Folders such as `checkpoints` are passed over for the one above, and names of numbers alone,
    as programs give them to the jobs of a sweep, stand behind it.

    Examples
    --------
    >>> place(Path("tickets/res18_seed3"))
    Place(experiment='res18', replicate='3', seed=3)
    >>> place(Path("tickets/seed3")).experiment
    'tickets'
    >>> place(Path("lr0.1/checkpoints")).experiment
    'lr0.1'
    >>> place(Path("multirun/2024-05-01/12-30-00/0")).experiment
    'multirun/2024-05-01/12-30-00/0'
    """
    folder = _telling(folder)
    match = _REPLICATE_SUFFIX.fullmatch(folder.name)
    if match is None:
        return Place(_named(folder), "", None)
    seed = int(match[3]) if match[2].lower() == "seed" else None
    return Place(match[1] or _named(folder.parent), match[3], seed)


def _telling(folder: Path) -> Path:
    while _GENERIC.fullmatch(folder.name) and folder.parent.name:
        folder = folder.parent
    return folder


def _named(folder: Path) -> str:
    """Return the name of a folder, behind that of the one above while it has no letter."""
    if _LETTER.search(folder.name) or not folder.parent.name:
        return folder.name
    return f"{_named(_telling(folder.parent))}/{folder.name}"


def is_replicate(folder: Path) -> bool:
    """Whether the folder's own name tells a replicate from others, as `seed3` does."""
    return _REPLICATE_SUFFIX.fullmatch(folder.name) is not None


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
