"""Removing runs: each whole or not at all, and none that a process is writing.

A folder is renamed to a name that no reader looks into, and deleted afterwards. What is compacted
of the run does not count from then on; the next compaction drops it.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...schemas.display import Shown, Table
from ...schemas.errors import StoreError, UsageError
from ...schemas.files import flush_path
from ...schemas.lock import Holder, Locked, NoLocks, check_locks, holder, lock
from ...schemas.records.layout import RUNS, RunFolder
from ...schemas.records.manifest import FOLDER, Manifest
from ...schemas.words import counted, size
from ..catalogue.inventory import RunInfo
from ..catalogue.names import forget
from ..catalogue.selection import empty_store, pick_run
from ..exchange import finish

if TYPE_CHECKING:
    from ..catalogue.holdings import Holdings

_REMOVED = ".removed-"  # begins the names of folders that are being deleted
_WAIT = 600.0  # seconds, for a compaction to end
_LITERATURE = "published:"
_ROWS = "SELECT run_id, experiment_id, parent_run, parent, former, run_name FROM runs"


@dataclass(frozen=True)
class RemovedRun:
    """A run that was to be removed.

    Attributes
    ----------
    run_id : str
        The run.
    info : RunInfo or None
        What the store tells of it; None where its description is missing or broken.
    size : int
        Bytes in its folder.
    kept : str
        Why it is still there; empty where it is not, or would not be.
    """

    run_id: str
    info: RunInfo | None
    size: int
    kept: str = ""

    @property
    def label(self) -> str:
        """That of its experiment, or why there is none."""
        return self.info.label if self.info else "no description that can be read"


@dataclass(frozen=True)
class Removal(Shown):
    """What a removal did, or would do.

    Attributes
    ----------
    runs : tuple of RemovedRun
        The runs that were named, by id.
    compacted : int
        Runs among those removed that have rows in compacted files, until the next compaction.
    children : mapping of str to str
        Runs that stay though their tickets are of a removed run, and that run.
    parents : mapping of str to str
        Removed runs whose tickets are of a run that stays, and that run.
    begun : tuple of str
        Runs whose removal was begun before, by a process that was killed: they are deleted with
        these, or would be.
    dry_run : bool
        Whether nothing was removed.
    """

    runs: tuple[RemovedRun, ...]
    compacted: int
    children: Mapping[str, str]
    parents: Mapping[str, str]
    begun: tuple[str, ...] = ()
    dry_run: bool = field(default=False, compare=False)

    @property
    def removed(self) -> tuple[str, ...]:
        """Ids of the runs that are gone, or would be."""
        return tuple(run.run_id for run in self.runs if not run.kept)

    @property
    def notes(self) -> tuple[str, ...]:
        """How much is gone, what stays of it, and whose tickets are of what goes."""
        total = size(sum(run.size for run in self.runs if not run.kept))
        rest = (
            f"rows of {self.compacted} of them stay in compact/, where they do not count, until "
            "the next rgtool compact"
        )
        gone = f"{counted(len(self.removed), 'run')} {self._gone}, {total}"
        begun = (ending(run, self.dry_run) for run in self.begun)
        return (gone, *([rest] if self.compacted else []), *self.followers, *begun)

    @property
    def followers(self) -> tuple[str, ...]:
        """Runs whose tickets are of a run that goes, and those that go and have such a parent."""
        return (
            *(f"{run}: its tickets are of {of}, which goes" for run, of in self.children.items()),
            *(f"{run}: its tickets are of {of}, which stays" for run, of in self.parents.items()),
        )

    @property
    def _gone(self) -> str:
        return "would go" if self.dry_run else "removed"

    def table(self) -> Table:
        """Return what `rgtool rm` prints."""
        columns = ("run", "label", "seed", "records", "bytes", "outcome")
        rows = [
            (
                run.run_id,
                run.label,
                run.info.seed if run.info else None,
                run.info.recorded if run.info else None,
                run.size,
                f"stays: {run.kept}" if run.kept else self._gone,
            )
            for run in self.runs
        ]
        return Table(columns, rows, notes=self.notes)

    @property
    def exit_code(self) -> int:
        """0: all are gone; 3: some; 1: none."""
        if len(self.removed) == len(self.runs):
            return 0
        return 3 if self.removed else 1


def ending(run: str, dry_run: bool) -> str:
    """Say of a run whose removal a killed process began that it is ended, or would be."""
    ends = "would be ended" if dry_run else "is ended"
    return f"{run}: its removal, begun by a process that was killed, {ends}"


def remove(store: Holdings, names: Sequence[str], *, dry_run: bool = False) -> Removal:
    """Remove runs, or all runs of experiments.

    Parameters
    ----------
    store : Holdings
        The store.
    names : sequence of str
        Runs and experiments, as they are named everywhere; folders below `runs` of which nothing
        can be read; and runs whose removal was begun.
    dry_run : bool
        Say what would be removed, and remove nothing.

    Raises
    ------
    UsageError
        A name fits nothing, or several.
    StoreError
        The store holds no runs, cannot be written, or its file system has no locks.
    Locked
        Another process imports into the store, or compacts it, for too long.
    """
    try:
        check_locks(store.path)
    except NoLocks as error:
        way = f"where no process writes there: rm -r {store.path / RUNS}/<run>"
        raise NoLocks(error.folder, error.reason, way) from None
    begun = unfinished(store.path) if dry_run else sweep(store.path)
    known = {run.run_id: run for run in store.runs()}
    rows = store.query(_ROWS).to_dicts()
    called = {row["run_id"]: row["run_name"] for row in rows}
    chosen = sorted(
        {run_id for name in names for run_id in _named(store, known, called, name, begun)}
    )
    found = [
        RemovedRun(run_id, known.get(run_id), _size(RunFolder.of(store.path, run_id).path))
        for run_id in chosen
    ]
    compacted = Manifest.read(store.path).every
    if dry_run:
        done = [replace(run, kept=_held(RunFolder.of(store.path, run.run_id))) for run in found]
    else:
        done = _remove_all(store.path, found)
    gone = {run.run_id for run in done if not run.kept}
    if not dry_run:
        forget(store.path, gone | _lost(rows, gone))
    children, parents = _children(rows, gone), _parents(rows, gone)
    return Removal(tuple(done), len(gone & compacted), children, parents, begun, dry_run)


def _remove_all(store: Path, found: Sequence[RemovedRun]) -> list[RemovedRun]:
    try:
        with _alone(store):
            sweep(store)
            done = [replace(run, kept=_removed(store / RUNS / run.run_id)) for run in found]
            sweep(store)
            return done
    except OSError as error:
        raise StoreError(f"{store}: cannot be written ({error}): nothing was removed") from None


def sweep(store: Path) -> tuple[str, ...]:
    """Delete what was removed, and what a process left of it that was killed; return the runs."""
    before = unfinished(store)
    for path in (store / RUNS).glob(f"{_REMOVED}*"):
        shutil.rmtree(path, ignore_errors=True)
    left = unfinished(store)
    return tuple(run_id for run_id in before if run_id not in left)


def unfinished(store: Path) -> tuple[str, ...]:
    """List the runs of which a removal that was killed has left something."""
    folders = (store / RUNS).glob(f"{_REMOVED}*")
    return tuple(sorted({p.name.removeprefix(_REMOVED).rpartition("-")[0] for p in folders}))


def _named(
    store: Holdings,
    known: Mapping[str, RunInfo],
    called: Mapping[str, str | None],
    name: str,
    begun: Sequence[str],
) -> list[str]:
    """Return the runs that a name means; none where the removal of what it means was begun."""
    try:
        return _meant(store, known, called, name)
    except (UsageError, StoreError):
        if name and any(run_id.startswith(name) for run_id in begun):
            return []
        raise


def _meant(
    store: Holdings, known: Mapping[str, RunInfo], called: Mapping[str, str | None], name: str
) -> list[str]:
    """Return the runs that a name means: one, or those of an experiment."""
    if name.startswith(_LITERATURE):
        raise UsageError(f"{name}: figures of the literature come with rgtool and stay")
    if name in known or _is_folder(store.path, name):
        return [name]
    if not known:
        raise StoreError(empty_store(str(store.path)))
    several = None
    try:
        if (found := pick_run(name, called)) is not None:
            return [found]
    except UsageError as error:  # those of an experiment, perhaps
        several = error
    try:
        experiment = store.find_experiment(name, strict=True)
    except UsageError as error:
        text = str(error).replace("no experiment", "no run or experiment")
        raise several or UsageError(text) from None
    return [run.run_id for run in known.values() if run.experiment_id == experiment]


def _is_folder(store: Path, name: str) -> bool:
    """Whether a folder of this very name lies below `runs`."""
    plain = bool(name) and not name.startswith(".") and Path(name).name == name
    path = RunFolder.of(store, name).path
    return plain and (path.is_dir() or path.is_symlink())


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.lstat().st_size if not path.is_dir() else 0
    return size


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Keep imports and compactions out, and finish what one that was killed has begun."""
    from ..importers.arrivals.staging import FOLDER as IMPORTING
    from ..importers.arrivals.staging import import_lock

    with ExitStack() as held:
        if (store / IMPORTING).is_dir():
            held.enter_context(import_lock(store))
        if (store / FOLDER).is_dir():
            held.enter_context(Manifest.lock(store, _WAIT))
        finish(store)
        yield


def _held(place: RunFolder) -> str:
    """Say who writes a run; empty where nobody does."""
    who = holder(place.path / "lock")
    return _is_written(who) if who is not None else ""


def _is_written(who: Holder) -> str:
    return f"a process is writing it (id {who}): end that process first"


def _removed(path: Path) -> str:
    """Take the folder of a run away; say why it stays where that cannot be."""
    try:
        if path.is_symlink():
            path.unlink()
            return ""
        with lock(path / "lock", f"run {path.name}"):
            path.rename(path.with_name(f"{_REMOVED}{path.name}-{secrets.token_hex(4)}"))
        flush_path(path.parent)
    except Locked:
        return _held(RunFolder(path)) or _is_written(Holder("unknown"))
    except OSError as error:
        return f"cannot be removed ({error.strerror})"
    return ""


def _lost(rows: Sequence[Mapping[str, Any]], gone: Collection[str]) -> set[str]:
    """Find the experiments, and former ones, of which no run stays."""
    ids = {row["run_id"]: {row["experiment_id"], *(row["former"] or ())} for row in rows}
    of = [ids[run] for run in ids if run in gone]
    kept = [ids[run] for run in ids if run not in gone]
    return set().union(*of).difference(*kept)


def _children(rows: Sequence[Mapping[str, Any]], gone: Collection[str]) -> dict[str, str]:
    """Find the runs that stay and whose tickets are of runs that go."""
    left = {row["experiment_id"] for row in rows if row["run_id"] not in gone}
    lost = {row["experiment_id"] for row in rows} - left
    found = {}
    for row in rows:
        if row["run_id"] in gone:
            continue
        if row["parent_run"] in gone:
            found[row["run_id"]] = row["parent_run"]
        elif row["parent"] in lost:
            found[row["run_id"]] = row["parent"]
    return found


def _parents(rows: Sequence[Mapping[str, Any]], gone: Collection[str]) -> dict[str, str]:
    """Find the runs that go and whose tickets are of runs that stay."""
    stay = {row["run_id"] for row in rows} - {*gone}
    return {
        row["run_id"]: row["parent_run"]
        for row in rows
        if row["run_id"] in gone and row["parent_run"] in stay
    }
