"""Runs put together of measured files, and what is said of the files that are not in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..found import FoundLevel, FoundRun, LevelData, Skipped, contained
from .filenames import FileName, file_name
from .names import place, task_of
from .numbering import numbered, remedy
from .order import Measured, measure

Read = Callable[[Path], LevelData]
SHOWN = 6  # files of a series that a note names
_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class Assembly:
    """What is found of a format: runs, and files that are in none.

    Parameters
    ----------
    format : str
        Name of the format.
    suffixes : tuple of str
        Endings of its files.
    read : callable
        Reads a file.

    Attributes
    ----------
    runs : list of FoundRun
        In the order in which they were found.
    skipped : list of Skipped
        What is in none of them.
    """

    def __init__(self, format: str, suffixes: tuple[str, ...], read: Read) -> None:
        self.format, self.suffixes, self.read = format, suffixes, read
        self.runs: list[FoundRun] = []
        self.skipped: list[Skipped] = []

    def put_in_order(
        self,
        folder: Path,
        order: Sequence[Sequence[Measured]],
        whole: bool,
        told: Mapping[Path, int] = _NOTHING,
        lost: Mapping[int, Path] = _NOTHING,
    ) -> bool:
        """Make the run of files that are in the order of pruning; of equal masks one is taken.

        Where levels are told, only if each is that of a file which tells it; those whose files
        cannot be measured are lost, and named by whoever reads them.
        """
        taken = [max(alike, key=self.lateness) for alike in order]
        names = [self.name_of(one.path, folder) for one in taken]
        numbering = numbered(folder, taken, names)
        levels = {n: one.path for n, one in zip(numbering.levels, taken, strict=True)}
        if {n for n, path in levels.items() if told.get(path) == n} != {*told.values()}:
            return False
        for one, alike in zip(taken, order, strict=True):
            self.say_again(folder, one.path, [other for other in alike if other is not one])
        notes = () if numbering.named else (_spelled(folder, levels, numbering.why),)
        run = self.run_of(
            folder, {**lost, **levels}, names[-1], whole, why=numbering.why, notes=notes
        )
        self.runs.append(run)
        return True

    def run_of(
        self,
        folder: Path,
        levels: Mapping[int, Path],
        name: FileName,
        main: bool,
        why: str = "the number in the file's name",
        notes: tuple[str, ...] = (),
    ) -> FoundRun:
        """Return the run of a folder, or of the files of one name in it, with these levels."""
        where = place(folder)
        task, whence = task_of(folder)
        return FoundRun(
            format=self.format,
            path=folder,
            experiment=where.experiment if main else f"{where.experiment}/{name.stem}",
            replicate=name.replicate or where.replicate,
            seed=name.seed if name.replicate else where.seed,
            levels=tuple(
                FoundLevel(level, (path,), partial(self.read, path))
                for level, path in sorted(levels.items())
            ),
            fields={"task": task} if task else {},
            inferred={"task": whence, "level": why},
            notes=notes,
            remedy=partial(remedy, folder, tuple(levels.values()), self.read),
        )

    def name_of(self, path: Path, folder: Path) -> FileName:
        """Read the name of a file, with the folders between."""
        return file_name(path.relative_to(folder).as_posix(), self.suffixes)

    def measured(self, paths: Iterable[Path]) -> list[Measured]:
        """Measure files; those that cannot be read are named and left out."""
        found = []
        for path in paths:
            with contained(path, self.skipped):
                found.append(measure(path, self.read))
        return found

    def quietly(self, path: Path) -> list[Measured]:
        """Measure a file that is named elsewhere; nothing where it cannot be read."""
        try:
            return [measure(path, self.read)]
        except Exception:  # whoever reads it says what is wrong
            return []

    def may_be_trained_dense(self, path: Path) -> bool:
        """Whether a dense file may be level 0 by its name: no initial network, no other level."""
        name = file_name(path.name, self.suffixes)
        return name.place > 0 and not name.level

    def lateness(self, one: Measured) -> tuple[bool, int, tuple[float, ...], str]:
        """Return what is largest of the checkpoint of a mask that was written last."""
        name = file_name(one.path.name, self.suffixes)
        return name.sure, name.place, tuple(value for _, value in name.numbers), str(one.path)

    def say_again(self, folder: Path, taken: Path, several: Sequence[Measured]) -> None:
        """Name files that hold the masks of one that is taken."""
        shown = several[:SHOWN] if len(several) <= SHOWN else several[:1]
        more = f" (and so do {len(several) - 1} more)" if len(shown) < len(several) else ""
        for one in shown:
            what = "holds the masks of" if one.digest else "is dense, as"
            reason = f"{what} {taken.relative_to(folder)}, which is taken{more}"
            self.skipped.append(Skipped(str(one.path), reason))


def _spelled(folder: Path, levels: Mapping[int, Path], why: str) -> str:
    """Say which file is which level, as far as a note goes."""
    shown = [f"{path.relative_to(folder)} is {n}" for n, path in levels.items()]
    more = [f"and {len(shown) - SHOWN} more"] if len(shown) > SHOWN else []
    return f"levels by {why}; {', '.join([*shown[:SHOWN], *more])}"
