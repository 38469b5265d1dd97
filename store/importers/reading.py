"""One file of a series as one level, whichever program wrote it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ...schemas.tensors.checkpoints import read_checkpoint
from .found import LevelData, Refused
from .masks import level_of
from .tree import Tree
from .zeros import zeros_as_masks

_MOST = 20_000  # masks of a level: of the largest networks a tenth of it


def reader(tree: Tree) -> Callable[[Path], LevelData]:
    """Return what reads a file of a tree as a level, as the user says that it is read."""
    return partial(read_level, zeros_are_mask=tree.reading.zeros_are_mask)


def read_level(path: Path, *, zeros_are_mask: bool = False) -> LevelData:
    """Read a file as a level: its masks, or weights without masks.

    Raises
    ------
    Unreadable
        It is cut off, or holds neither.
    Refused
        It would execute code, or holds a mask of other values than 0 and 1.
    """
    data = level_of(read_checkpoint(path), str(path), any_name=zeros_are_mask)
    if max(len(data.masks), len(data.shapes)) > _MOST:
        raise Refused(f"{path}: {len(data.shapes):,} layers, at most {_MOST:,} are expected")
    return zeros_as_masks(data) if zeros_are_mask else data
