"""`rgtool merge`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ...schemas.progress import counting
from ..options import StoreOption
from ..output import Table, output_options, say, table_of


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
    for note in report.notes:
        say(note)
    table = table_of(report, exit_code=report.exit_code)
    return replace(table, notes=(report.closing(),))
