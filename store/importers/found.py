"""What an importer finds in a folder before anything is read in full."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import Refused, RgtoolError, StoreError, Unreadable, printable

__all__ = [
    "Arrays", "Contradiction", "Found", "FoundLevel", "FoundRun", "FoundWeights", "LevelData",
    "Refused", "Shapes", "Skipped", "Unreadable", "contained", "escaped", "failure", "printable",
]  # fmt: skip

Shapes = Mapping[str, tuple[int, ...]]
Arrays = Mapping[str, NDArray[Any]]


_LONGEST = 280  # characters of a reason


def escaped(text: str) -> str:
    r"""Return a text with every character that is no sign, or no character, as Python writes it.

    Examples
    --------
    >>> escaped("r\udcff"), escaped("a\x1bb"), escaped("so, ü")
    ('r\\xff', 'a\\x1bb', 'so, ü')
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte of a name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


class Contradiction(Refused):
    """Files are in one order by their names and in another, or none, by their masks.

    Parameters
    ----------
    reason : str
        Both.
    remedy : str
        What the user can do.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def failure(error: Exception) -> str:
    """Say in one line what an import has tripped over."""
    if isinstance(error, RgtoolError):
        return str(error)
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror or error}".removeprefix(": ")
    said = str(error).strip().splitlines()
    return f"it cannot be imported ({type(error).__name__}{': ' + said[0] if said else ''})"


@contextmanager
def contained(path: Path, skipped: list[Skipped], part: str = "") -> Iterator[None]:
    """Contain what goes wrong inside: it is the failure of this path and of nothing else.

    Parameters
    ----------
    path : Path
        The folder or file.
    skipped : list of Skipped
        Takes the failure.
    part : str
        Names the run, where the file holds others too.

    Raises
    ------
    StoreError
        The store cannot be read or written, which stops everything.
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # whatever a stranger's file provokes
        reason = failure(error).removeprefix(f"{path}: ").replace(f"{path}/", "")
        remedy = error.remedy if isinstance(error, Contradiction) else ""
        skipped.append(Skipped(str(path), f"{part}: {reason}" if part else reason, remedy))


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
    magnitude : mapping of str to float
        Sums of |w| over the kept ones, where these are known and weights are not.
    numbers : mapping of str to float
        Columns of the level in the record, such as `accuracy`.
    notes : tuple of str
        What could not be read beside it.
    masks_from : str
        What of the source the masks are; empty where its format says all.
    """

    shapes: Shapes
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    kept: Mapping[str, int] = field(default_factory=dict)
    weights: Arrays = field(default_factory=dict)
    magnitude: Mapping[str, float] = field(default_factory=dict)
    numbers: Mapping[str, float | bool | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    masks_from: str = ""

    @property
    def is_pruned(self) -> bool:
        """Whether masks or counts leave weights out."""
        if self.kept:
            return any(kept < np.prod(self.shapes[name]) for name, kept in self.kept.items())
        return any(not mask.all() for mask in self.masks.values())


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
        Tells the runs of the experiment apart; empty where nothing tells it.
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
    dense_tells : bool
        Whether masks at which nothing is pruned yet tell the layers, too.
    versions : mapping of str to str
        Of what computes, where the run is at work in this process.
    inferred : mapping of str to str
        What was concluded so far, and from what.
    notes : tuple of str
        What was left aside, for the user.
    part : str
        Names the run where its file holds others too.
    stated : frozenset of str
        What a manifest tells (`experiment`, `seed`, fields): it corrects what the store says.
    parent : FoundRun or None
        The run whose masks or weights it begins with, found beside it.
    remedy : callable or None
        Says what the user can do where levels turn out not to be those of one run.
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
    dense_tells: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    inferred: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    part: str = ""
    stated: frozenset[str] = frozenset()
    parent: FoundRun | None = None
    remedy: Callable[[], str] | None = None

    def __post_init__(self) -> None:
        """Escape what file names hold that is no text."""
        for name in ("experiment", "replicate", "variant"):
            object.__setattr__(self, name, escaped(getattr(self, name)))
        for name in ("fields", "inferred"):
            texts = {k: escaped(v) if isinstance(v, str) else v
                     for k, v in getattr(self, name).items()}  # fmt: skip
            object.__setattr__(self, name, texts)

    def relative(self, path: Path) -> str:
        """Return a path relative to the run, with `/`, escaped; of a run of one file its name."""
        root = self.path.parent if self.path in (path, path.parent / self.path.name) else self.path
        return escaped(path.relative_to(root).as_posix())


@dataclass(frozen=True)
class Skipped:
    """A file, folder or run that is not imported, and why.

    Attributes
    ----------
    path : str
        Where.
    reason : str
        One line.
    remedy : str
        What the user can do, where that is a line of its own.
    """

    path: str
    reason: str
    remedy: str = ""

    def __post_init__(self) -> None:
        """Keep what strangers wrote from speaking to a terminal."""
        object.__setattr__(self, "path", escaped(self.path))
        object.__setattr__(self, "reason", printable(self.reason)[:_LONGEST])
        object.__setattr__(self, "remedy", printable(self.remedy))

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" + (f"\n  {self.remedy}" if self.remedy else "")


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
