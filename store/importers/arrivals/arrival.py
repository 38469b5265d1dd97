"""A run that has been read, at the door of the store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....schemas.records.description import Description
from ....schemas.records.layout import RunFolder
from ..found import FoundRun, escaped, printable
from ..identity import Content
from ..report import Choices, ImportedRun
from .incoming import Incoming
from .known import Known
from .provenance import FileEntry


@dataclass(frozen=True)
class Arrival:
    """A run that has been read, and what is needed to bring it in.

    Attributes
    ----------
    store : Path
        The store.
    known : Known
        Its imports.
    incoming : Incoming
        The run, read.
    staged : RunFolder
        Where its masks lie, and where all else of it is put together.
    files : mapping of int to sequence
        By level, the files that were read.
    choices : Choices
        What the user says.
    parent : ImportedRun or None
        What became of the run that it begins with.
    """

    store: Path
    known: Known
    incoming: Incoming
    staged: RunFolder
    files: Mapping[int, Sequence[FileEntry]]
    choices: Choices
    parent: ImportedRun | None

    @property
    def found(self) -> FoundRun:
        """The run as it was found."""
        return self.incoming.found

    @property
    def content(self) -> Content:
        """What tells it apart."""
        return self.incoming.content

    @property
    def notes(self) -> list[str]:
        """What the user is to hear of it."""
        return self.incoming.notes

    def files_of(self, levels: Iterable[int]) -> list[FileEntry]:
        """List the files of some levels."""
        return [entry for level in levels for entry in self.files.get(level, ())]

    def settled(self, description: Description) -> ImportedRun:
        """Tell what became of it where all that the store has of it is what has arrived."""
        self.known.add(description)
        self.known.settled.add(description.run_id)
        return self.imported(description, (), sorted(self.incoming.levels))

    def imported(
        self,
        kept: Description,
        there: Sequence[int],
        new: Sequence[int],
        *,
        corrected: bool = False,
    ) -> ImportedRun:
        """Tell what became of it.

        Parameters
        ----------
        kept : Description
            As it is in the store now.
        there, new : sequence of int
            Levels that the store had, and that it has got.
        corrected : bool
            Whether anything that the store said before is otherwise now.
        """
        levels = sorted({*there, *new})
        gaps = self._note_gaps(levels)
        return ImportedRun(
            run_id=kept.run_id,
            experiment_id=kept.experiment_id,
            format=self.found.format,
            architecture=kept.recipe.architecture,
            task=kept.recipe.task,
            replicate=kept.replicate,
            source=escaped(str(self.found.path)),
            levels=tuple(levels),
            new=tuple(new),
            corrected=corrected,
            whole=not self.incoming.missing and not gaps,
            notes=tuple(dict.fromkeys(map(printable, self.notes))),
        )

    def _note_gaps(self, levels: Sequence[int]) -> list[int]:
        if levels[0] > 0:
            self.notes.append(f"starts at level {levels[0]}")
        gaps = sorted(set(range(levels[0], levels[-1])) - set(levels))
        if gaps:
            shown = ", ".join(map(str, gaps[:5])) + (" ..." if len(gaps) > 5 else "")
            self.notes.append(f"level {shown} missing: no step leads across the gap")
        return gaps


def last_of_each_path(*several: Iterable[Mapping[str, str]]) -> tuple[Mapping[str, str], ...]:
    """Join lists of files; of a path the last counts."""
    return tuple({entry["path"]: entry for entries in several for entry in entries}.values())


def texts(digests: Mapping[int, str]) -> dict[str, str]:
    """Return sums over masks as a description holds them."""
    return {str(level): digest for level, digest in sorted(digests.items())}


def now() -> str:
    """Return the time, ISO 8601, UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
