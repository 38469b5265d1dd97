"""What an import is told, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...schemas.block_map import Blocks
from ...schemas.display import Shown, Table
from ...schemas.notes import Rank, noted
from .found import Skipped

_NOTHING = "no run was found: docs/importing.md shows the layouts that are known"


@dataclass(frozen=True)
class Choices:
    """What the user says about everything that an import finds.

    Attributes
    ----------
    name : str or None
        Name of the experiment.
    task, architecture, recipe : str or None
        Instead of what was inferred.
    init, fan : str or None
        How the weights were initialised.
    blocks : mapping of str to str or None
        A block map, see `schemas.block_map`.
    keep : tuple of str
        Weights that are copied into the store: `init`, `rewind`, `dense`.
    """

    name: str | None = None
    task: str | None = None
    architecture: str | None = None
    recipe: str | None = None
    init: str | None = None
    fan: str | None = None
    blocks: Blocks | None = None
    keep: tuple[str, ...] = ()

    @property
    def said(self) -> Mapping[str, str]:
        """Fields of the recipe that the user tells one by one."""
        told = {"task": self.task, "init": self.init, "fan": self.fan}
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True)
class ImportedRun:
    """What became of a run that was found.

    Attributes
    ----------
    run_id, experiment_id : str
        Identity in the store.
    format : str
        Name of the format.
    architecture, task : str
        As told or inferred.
    replicate : str
        Tells the runs of an experiment apart.
    source : str
        Where it lay.
    levels : tuple of int
        Its levels in the store.
    new : tuple of int
        Those that this import added.
    corrected : bool
        Whether something that the store said of it before is otherwise from now on.
    whole : bool
        Whether every level that was found, and none between them, is there.
    notes : tuple of str
        Gaps, and what could not be read.
    was : str
        The experiment that it was of before; empty where it is new.
    followed : mapping of str to str
        Runs that have followed it, and the experiment that each is of since.
    """

    run_id: str
    experiment_id: str
    format: str
    architecture: str
    task: str
    replicate: str
    source: str
    levels: tuple[int, ...]
    new: tuple[int, ...]
    corrected: bool = False
    whole: bool = True
    notes: tuple[str, ...] = ()
    was: str = ""
    followed: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_moved(self) -> bool:
        """Whether it was of another experiment before."""
        return self.was not in ("", self.experiment_id)

    @property
    def label(self) -> str:
        """Architecture and task, such as `resnet20/cifar10`."""
        return f"{self.architecture}/{self.task}"


@dataclass(frozen=True)
class ImportReport(Shown):
    """What an import did.

    Attributes
    ----------
    runs : tuple of ImportedRun
        Runs that are in the store now, new or not.
    skipped : tuple of Skipped
        What was left out, and why.
    dry_run : bool
        Whether nothing was imported.
    """

    runs: tuple[ImportedRun, ...]
    skipped: tuple[Skipped, ...]
    dry_run: bool = field(default=False, compare=False)

    most, whole = 100, "runs has all"

    @property
    def new_levels(self) -> int:
        """Levels that were added."""
        return sum(len(run.new) for run in self.runs)

    @property
    def corrected(self) -> int:
        """Runs of which something is otherwise from now on."""
        return len({run.run_id for run in self.runs if run.corrected})

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out and why, and what is to be known of the runs one by one."""
        skipped = (f"skipped: {one}" for one in self.skipped)
        return (*skipped, *(f"{run.run_id}: {note}" for run in self.runs for note in run.notes))

    def closing(self) -> str:
        """Return how much of it came in, in a line."""
        if not self.runs:
            return _NOTHING if not self.skipped else "nothing was imported: the store is as it was"
        several = len({run.run_id for run in self.runs})
        counted = f"{self.new_levels} new level(s) of {several} run(s)"
        corrected = f", {self.corrected} corrected" if self.corrected else ""
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        said = f"{counted}{corrected}{skipped}"
        return f"a dry run: {said}; nothing was imported" if self.dry_run else said

    def table(self) -> Table:
        """Return what `rgtool import` prints."""
        rows = [
            (
                run.run_id,
                run.experiment_id,
                run.format,
                run.label,
                run.replicate,
                len(run.levels),
                len(run.new),
                run.source,
            )
            for run in self.runs
        ]
        return Table(
            ("run", "experiment", "format", "label", "replicate", "levels", "new", "source"),
            rows,
            notes=(self.closing(), *noted(self.notes, "importing.md", Rank.WARNING)),
        )

    @property
    def exit_code(self) -> int:
        """0: all of it is in the store; 3: part of it; 1: nothing."""
        if not self.runs:
            return 1
        return 0 if not self.skipped and all(run.whole for run in self.runs) else 3
