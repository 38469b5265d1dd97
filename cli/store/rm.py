"""`rgtool rm`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import RgtoolError
from ..options import StoreOption
from ..output import Table, output_options, say, size, table_of, warn_of
from ..terminal import ask

if TYPE_CHECKING:
    from ...store import Store
    from ...store.upkeep.removal import Removal


@output_options
def rm(
    names: Annotated[
        list[str], typer.Argument(help="Runs or experiments to remove.", show_default=False)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed, and what not.")
    ] = False,
    store: StoreOption = None,
) -> Table:
    """Remove runs, or all runs of experiments, with their masks, weights and checkpoints.

    A run that a process is writing stays. Of a compacted run nothing is shown any more, and its
    rows go at the next compaction. There is no way back.

    Example: rgtool rm resnet20/cifar10 --dry-run
    """
    from ...store import Store

    opened = Store(store)
    planned = _planned(opened, names, dry_run)
    warn_of(opened.problems)
    if dry_run or not planned.removed:
        return _table(planned)
    if not yes:
        _show(planned)
        if not ask(f"remove {len(planned.removed)} run(s) from {opened.path} for good?"):
            return Table((), [], notes=("nothing was removed",), exit_code=1)
    return _table(opened.remove([run.run_id for run in planned.runs]))


def _table(found: Removal) -> Table:
    said = replace(found, begun=())  # what was begun is said before anything is asked
    return table_of(said, exit_code=found.exit_code)


def _planned(store: Store, names: list[str], dry_run: bool) -> Removal:
    """Say what would go; what a removal that was killed has left goes whatever is named."""
    from ...schemas.lock import NoLocks

    try:
        planned = store.remove(names, dry_run=True)
    except NoLocks:
        raise
    except RgtoolError:
        _end_begun(store, dry_run)
        raise
    _end_begun(store, dry_run)
    return planned


def _end_begun(store: Store, dry_run: bool) -> None:
    from ...store.upkeep.removal import ending, sweep, unfinished

    for run in unfinished(store.path) if dry_run else sweep(store.path):
        say(ending(run, dry_run))


def _show(planned: Removal) -> None:
    """Say what is about to go, beside the data."""
    for run in planned.runs:
        stays = f", stays: {run.kept}" if run.kept else ""
        say(f"{run.run_id}: {run.label}, {size(run.size)}{stays}")
    for line in planned.followers:
        say(line)
