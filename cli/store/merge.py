"""`rgtool merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.progress import counting
from ..options import StoreOption
from ..output import Table, output_options, say, warn_of

if TYPE_CHECKING:
    from ...store.upkeep.merging import MergeReport


@output_options
def merge(
    stores: Annotated[
        list[Path], typer.Argument(help="Folders of other stores.", show_default=False)
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would come in, and what not.")
    ] = False,
    store: StoreOption = None,
) -> Table:
    """Bring the runs of other stores in, with their masks, weights and checkpoints.

    What is here already and the same changes nothing; a run that is longer there grows; one that
    contradicts the run here stays where it is, and is named. The other stores are only read.

    Example: rgtool merge ~/from-the-cluster/rgstore
    """
    from ...store import Store

    with counting("stores", "runs") as on_run:
        report = Store(store).merge(stores, dry_run=dry_run, on_run=on_run)
    warn_of(report.problems)
    for run in report.runs:
        for note in run.notes:
            say(f"{run.run_id}: {note}")
    for note in report.notes:
        say(note)
    rows = [
        (run.run_id, run.outcome, run.here or None, list(run.levels), run.files, str(run.source))
        for run in report.runs
    ]
    columns = ("run", "outcome", "here", "levels", "files", "source")
    return Table(columns, rows, notes=(_closing(report, dry_run),), exit_code=report.exit_code)


def _closing(report: MergeReport, dry_run: bool) -> str:
    counts = [
        f"{report.count('new')} new",
        f"{report.count('grown')} grown",
        f"{report.count('same')} the same",
        f"{report.count('left')} left",
    ]
    if not report.runs:
        return "no runs there"
    return f"{', '.join(counts)}{'; nothing was changed' if dry_run else ''}"
