"""Folders of files of numpy, or pickles of its arrays, one a level.

`.npz` and dictionaries hold masks by layer, `.npy` and lists one or several without names. Other
files of numpy lie beside many runs: only those that hold masks are taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from ....schemas.errors import RgtoolError
from ..found import Found, LevelData, failure
from ..ordering.series import find_series
from ..reading import read_level, reader
from ..tree import Tree
from ..zeros import many_zeros, why_nothing

FORMAT = "numpy"
SUFFIXES = (".npz", ".npy", ".pkl", ".pickle", ".pkl.gz", ".pickle.gz")


def find(tree: Tree) -> Found:
    """Find folders of masks in files of numpy in a tree."""
    read = reader(tree)
    mine = [file for file in tree.files if file.name.endswith(SUFFIXES)]
    others = frozenset(
        file
        for files in alike(mine)
        if not _holds_masks(files[-1], read)  # the last one: the first may be dense
        for file in files
    )
    return find_series(tree.without(others), FORMAT, SUFFIXES, read)


def alike(files: Iterable[Path]) -> Iterable[list[Path]]:
    """Group files by folder and by their names without numbers."""
    found: dict[tuple[Path, str], list[Path]] = {}
    for file in files:
        found.setdefault((file.parent, re.sub(r"\d+", "0", file.name)), []).append(file)
    return found.values()


def _holds_masks(path: Path, read: Callable[[Path], LevelData]) -> bool:
    """Tell whether a file holds masks, or weights that may be their trace."""
    try:
        data = read(path)
    except (RgtoolError, OSError):
        return False
    return bool(data.masks) or many_zeros(data) > 0


def why_not(path: Path) -> str:
    """Say why a file is none of these, for where nothing else was found either."""
    try:
        data = read_level(path)
    except (RgtoolError, OSError) as error:
        return failure(error).removeprefix(f"{path}: ").removeprefix(f"{path}, ")
    return why_nothing(many_zeros(data))
