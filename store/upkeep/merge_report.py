"""What a merge did, or would do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ...schemas.display import Shown, Table
from ...schemas.notes import Rank, noted
from ..sql.broken import Problems

Outcome = Literal["new", "grown", "same", "left"]


@dataclass(frozen=True)
class MergedRun:
    """What became of a run of another store.

    Attributes
    ----------
    source : Path
        That store.
    run_id : str
        Its id there.
    outcome : str
        `new`; `grown`: it was here, with fewer levels or files; `same`: nothing was missing;
        `left`: it stays where it is.
    here : str
        The id of the run in this store; empty where it is left.
    levels : tuple of int
        The levels that came in.
    files : int
        The masks, weights and other files that came in beside them.
    whole : bool
        Whether nothing in its folder there is damaged.
    notes : tuple of str
        Why it is left, what of it is damaged, and what is told otherwise here.
    """

    source: Path
    run_id: str
    outcome: Outcome
    here: str = ""
    levels: tuple[int, ...] = ()
    files: int = 0
    whole: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MergeReport(Shown):
    """What a merge did, or would do.

    Attributes
    ----------
    runs : tuple of MergedRun
        Every run of the other stores.
    problems : Problems
        What of them is broken.
    called : tuple of str
        What people call things there and cannot here.
    dry_run : bool
        Whether nothing was changed.
    """

    runs: tuple[MergedRun, ...]
    problems: Problems
    called: tuple[str, ...] = ()
    dry_run: bool = field(default=False, compare=False)

    most, whole = 100, "runs has all"

    def count(self, outcome: Outcome) -> int:
        """Count the runs of which this became."""
        return sum(run.outcome == outcome for run in self.runs)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of files, of the runs one by one, and of names."""
        files = (f"{'left out' if one.is_left_out else 'note'}: {one}" for one in self.problems)
        runs = (f"{run.run_id}: {note}" for run in self.runs for note in run.notes)
        return (*files, *runs, *self.called)

    def closing(self) -> str:
        """Return how many runs became what, in a line."""
        if not self.runs:
            return "no runs there"
        counts = (
            f"{self.count('new')} new, {self.count('grown')} grown, {self.count('same')} the same, "
            f"{self.count('left')} left"
        )
        return f"{counts}{'; nothing was changed' if self.dry_run else ''}"

    def table(self) -> Table:
        """Return what `rgtool merge` prints."""
        rows = [
            (
                one.run_id,
                one.outcome,
                one.here or None,
                list(one.levels),
                one.files,
                str(one.source),
            )
            for one in self.runs
        ]
        return Table(
            ("run", "outcome", "here", "levels", "files", "source"),
            rows,
            notes=(self.closing(), *noted(self.notes, "store.md", Rank.WARNING)),
        )

    @property
    def exit_code(self) -> int:
        """0: all of it is here; 3: part of it; 1: nothing."""
        whole = all(run.whole and run.outcome != "left" for run in self.runs)
        if whole and not any(problem.is_left_out for problem in self.problems):
            return 0
        return 3 if len(self.runs) > self.count("left") else 1
