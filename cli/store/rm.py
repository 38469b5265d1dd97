"""`rgtool rm`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ...schemas.errors import RgtoolError
from ..options import StoreOption
from ..output import Table, output_options, say, size, warn_of
from ..terminal import ask

if TYPE_CHECKING:
    from ...store import Store
    from ...store.upkeep.removal import Removal, RemovedRun


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
    if dry_run:
        return _table(planned, "would go")
    if not planned.removed:
        return _table(planned, "removed")
    if not yes:
        _show(planned)
        if not ask(f"remove {len(planned.removed)} run(s) from {opened.path} for good?"):
            return Table((), [], notes=("nothing was removed",), exit_code=1)
    return _table(opened.remove([run.run_id for run in planned.runs]), "removed")


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
    from ...store.upkeep.removal import sweep, unfinished

    for run in unfinished(store.path) if dry_run else sweep(store.path):
        ends = "would be ended" if dry_run else "is ended"
        say(f"{run}: its removal, begun by a process that was killed, {ends}")


def _show(planned: Removal) -> None:
    """Say what is about to go, beside the data."""
    for run in planned.runs:
        say(f"{run.run_id}: {_label(run)}, {size(run.size)}{_stays(run)}")
    for line in _followers(planned):
        say(line)


def _table(found: Removal, gone: str) -> Table:
    rows = [
        (
            run.run_id,
            _label(run),
            run.info.seed if run.info else None,
            run.info.recorded if run.info else None,
            run.size,
            _stays(run).lstrip(", ") or gone,
        )
        for run in found.runs
    ]
    columns = ("run", "label", "seed", "records", "bytes", "outcome")
    return Table(columns, rows, notes=tuple(_notes(found, gone)), exit_code=found.exit_code)


def _notes(found: Removal, gone: str) -> list[str]:
    total = sum(run.size for run in found.runs if not run.kept)
    notes = [f"{len(found.removed)} run(s) {gone}, {size(total)}"]
    if found.compacted:
        notes.append(
            f"rows of {found.compacted} of them stay in compact/, where they do not count, until "
            "the next rgtool compact"
        )
    return [*notes, *_followers(found)]


def _followers(found: Removal) -> list[str]:
    children = [f"{run}: its tickets are of {of}, which goes" for run, of in found.children.items()]
    parents = [f"{run}: its tickets are of {of}, which stays" for run, of in found.parents.items()]
    return [*children, *parents]


def _stays(run: RemovedRun) -> str:
    return f", stays: {run.kept}" if run.kept else ""


def _label(run: RemovedRun) -> str:
    return run.info.label if run.info else "no description that can be read"
