"""What an importer finds in a folder before anything is read in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import Refused, Unreadable, printable

__all__ = [
    "Arrays", "Found", "FoundLevel", "FoundRun", "FoundWeights", "LevelData", "Refused", "Shapes",
    "Skipped", "Unreadable", "printable",
]  # fmt: skip

Shapes = Mapping[str, tuple[int, ...]]
Arrays = Mapping[str, NDArray[Any]]


_LONGEST = 280  # characters of a reason


@dataclass(frozen=True)
class LevelData:
    """One level of a run, in memory; names are those of the source.

    Attributes
    ----------
    shapes : mapping of str to tuple of int
        Weights that the source holds, at least those with a mask, in its order.
    masks : mapping of str to bool array
        Layers that have a mask; empty at a dense level, and in tables.
    kept : mapping of str to int
        In tables: weights kept by group.
    weights : mapping of str to float array
        Weights at the end of training, where they are known; pruned ones need not be zero.
    numbers : mapping of str to float
        Columns of the level in the record, such as `accuracy`.
    notes : tuple of str
        What could not be read beside it.
    """

    shapes: Shapes
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    kept: Mapping[str, int] = field(default_factory=dict)
    weights: Arrays = field(default_factory=dict)
    numbers: Mapping[str, float | bool | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundLevel:
    """A level, where it lies and how it is read.

    Attributes
    ----------
    level : int
        Prunings applied.
    files : tuple of Path
        All files that `read` opens.
    read : callable
        Returns a `LevelData`; raises Unreadable or Refused.
    """

    level: int
    files: tuple[Path, ...]
    read: Callable[[], LevelData]


@dataclass(frozen=True)
class FoundWeights:
    """Weights that training started from: files, and how they are read by layer of the source."""

    files: tuple[Path, ...]
    read: Callable[[], Arrays]


@dataclass(frozen=True)
class FoundRun:
    """One run as it lies in a folder.

    Attributes
    ----------
    format : str
        Name of the format.
    path : Path
        The folder, or the file, that is this run.
    experiment : str
        Name for what the runs of one experiment have in common.
    replicate : str
        Tells the runs of the experiment apart.
    variant : str
        Tells runs apart that may share experiment, replicate and masks, such as a branch.
    levels : tuple of FoundLevel
        Ascending, each level once.
    seed : int or None
        The seed, where the source tells it.
    recipe_name : str
        Published recipe that the format's own study used; empty if there is none.
    fields : mapping
        Fields of the recipe that the files tell.
    exempt : tuple of str
        Layers of the source that are told to be counted and never pruned.
    starts : mapping of str to FoundWeights
        `init` and `rewind`, where they are there.
    implied_dense : bool
        Whether the format prunes before it first writes, so that a dense level 0 went before.
    inferred : mapping of str to str
        What was concluded so far, and from what.
    notes : tuple of str
        What was left aside, for the user.
    """

    format: str
    path: Path
    experiment: str
    replicate: str
    levels: tuple[FoundLevel, ...]
    variant: str = ""
    seed: int | None = None
    recipe_name: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    exempt: tuple[str, ...] = ()
    starts: Mapping[str, FoundWeights] = field(default_factory=dict)
    implied_dense: bool = False
    inferred: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """A file, folder or run that is not imported, and why.

    Attributes
    ----------
    path : str
        Where.
    reason : str
        One line.
    """

    path: str
    reason: str

    def __post_init__(self) -> None:
        """Keep what strangers wrote from speaking to a terminal."""
        object.__setattr__(self, "path", printable(self.path))
        object.__setattr__(self, "reason", printable(self.reason)[:_LONGEST])

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Found:
    """What one format finds.

    Attributes
    ----------
    runs : tuple of FoundRun
        Runs, in order of their paths.
    claimed : frozenset of Path
        Files that belong to the format: no other one looks at them.
    skipped : tuple of Skipped
        What looks like the format and is not.
    """

    runs: tuple[FoundRun, ...] = ()
    claimed: frozenset[Path] = frozenset()
    skipped: tuple[Skipped, ...] = ()
