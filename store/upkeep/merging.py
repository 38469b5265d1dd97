"""Bringing the runs of other stores in: each whole or not at all.

A run that is new here is copied. One that is here already gains the levels, masks and weights that
it lacks, if all that both have is the same; else what is here stays, and the other is named. Two
imports are one run by the rules of imports, whatever their ids.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...schemas import sums
from ...schemas.errors import RecordError, RgtoolError, StoreError, UsageError
from ...schemas.files import flush_path, flush_tree
from ...schemas.lock import Locked, check_locks, holder, lock
from ...schemas.records.description import OWN, Description
from ...schemas.records.layout import RUNS, RunFolder
from ...schemas.records.manifest import FOLDER, Manifest
from ..catalogue.names import bring_names
from ..catalogue.predictions import bring_predictions
from ..exchange import finish, take_place
from ..importers.arrivals.known import Known
from ..importers.arrivals.staging import Staging
from ..importers.identity import Alias, Content, same_run
from ..sql.broken import LeftOut, Problem, Problems
from ..sql.snapshot import Snapshot, take
from .held import Held, Lacking, copy, difference
from .merge_report import MergedRun, MergeReport

_WAIT = 600.0  # seconds, for a compaction to end
# What an import may be told, by field of the recipe.
_OPTIONS = {"task": "--task", "origin": "--name", "init": "--init", "fan": "--fan"}
_ATTEMPTS = 10  # a compaction may replace the files between the look at them and the reading


def merge(
    store: Path,
    sources: Sequence[Path],
    *,
    dry_run: bool = False,
    on_run: Callable[[int, int], None] | None = None,
) -> MergeReport:
    """Bring the runs of other stores into the store at `store`.

    Parameters
    ----------
    store : Path
        Where they go; it need not exist.
    sources : sequence of Path
        The other stores: loose or compacted, and of older versions too.
    dry_run : bool
        Say what would come in, and change nothing.
    on_run : callable, optional
        Called after each run with their number so far, and that of all of its store.

    Raises
    ------
    UsageError
        A source is no store, or this one.
    StoreError
        The store cannot be written (once some runs are in, the others are left and named), its
        file system has no locks, or a source is of a newer rgtool.
    Locked
        Another process imports into the store, or compacts it, for too long.
    """
    for source in sources:
        _hold_source(store, source)
    check_locks(store)
    done, problems, notes = list[MergedRun](), list[Problem](), list[str]()
    with Staging(store) as staging:
        merger = _Merger(store, staging, dry_run, on_run or (lambda done, total: None))
        for source in sources:
            left_out = LeftOut(source)
            runs = list(merger.bring(source, left_out))
            here = {run.run_id: run.here for run in runs if run.here}
            notes += bring_names(store, source, here, dry_run=dry_run)
            notes += bring_predictions(store, source, dry_run=dry_run)
            done += runs
            problems += left_out.problems
    return MergeReport(tuple(done), Problems(problems), tuple(notes), dry_run)


def _hold_source(store: Path, source: Path) -> None:
    if not any((source / part).is_dir() for part in (RUNS, FOLDER)):
        raise UsageError(
            f"{source} is no store: one holds {RUNS}/ or {FOLDER}/; rgtool import takes the "
            "checkpoints of others"
        )
    if store.exists() and store.samefile(source):
        raise UsageError(f"{source} is the store itself: name another one")


class _Left(RgtoolError):
    """A run stays where it is."""


@dataclass
class _Merger:
    """Runs on their way from other stores into one.

    Attributes
    ----------
    store, staging : Path, Staging
        Where they go, and where they are put together.
    dry_run : bool
        Whether nothing is to change; what would have come in is remembered in `planned`.
    on_run : callable
        Called after each run.
    has_brought : bool
        Whether anything has come in.
    is_full : bool
        Whether the store could be written before, and cannot any more.
    """

    store: Path
    staging: Staging
    dry_run: bool
    on_run: Callable[[int, int], None]
    planned: dict[str, Held] = field(default_factory=dict)
    known: Known | None = None
    has_brought: bool = False
    is_full: bool = False

    def bring(self, source: Path, left_out: LeftOut) -> Iterator[MergedRun]:
        """Bring the runs of one store in, by id."""
        snapshot = take(source, left_out)
        for number, run_id in enumerate(sorted(snapshot.runs), start=1):
            yield self._bring(MergedRun(source, run_id, "left"), snapshot, left_out)
            self.on_run(number, len(snapshot.runs))

    def _bring(self, found: MergedRun, snapshot: Snapshot, left_out: LeftOut) -> MergedRun:
        folder = RunFolder.of(found.source, found.run_id)
        try:
            if self.is_full:
                raise _Left("the store cannot be written any more: merge again when it can")
            if who := holder(folder.path / "lock"):
                raise _Left(f"a process is writing it there (id {who}): merge again when it ends")
            _hold_readable(folder, left_out)
            theirs, damaged = _sound(_read(snapshot, found.run_id, left_out))
            if not theirs.records:
                raise _Left("no level of it can be read there")
            found = replace(found, whole=not damaged, notes=damaged)
            with self._decision() as known:
                met = self._meet(found, theirs, known)
            self.has_brought |= met.outcome in ("new", "grown")
            return met
        except (_Left, Locked, RecordError) as error:
            return replace(found, notes=(str(error),))
        except OSError as error:
            problem = f"{self.store}: cannot be written ({error}): no run is half there"
            if not self.has_brought:
                raise StoreError(problem) from None
            self.is_full = True  # what came in before is to be told
            return replace(found, notes=(problem,))

    @contextmanager
    def _decision(self) -> Iterator[Known]:
        """Know the imports of the store, and keep others from adding to them."""
        if not self.dry_run:
            self.staging.settle()
            with self.staging.decision() as known:
                yield known
            return
        self.known = self.known or Known(self.store)
        yield self.known

    def _meet(self, found: MergedRun, theirs: Held, known: Known) -> MergedRun:
        """Compare a run with what is here of it, and bring in what lacks."""
        run_id = self._same_import(theirs, known) or theirs.run_id
        ours = self._ours(run_id)
        if ours is None:
            self._settle(theirs, known)
            lacks = Lacking([*theirs.records], [*theirs.files], {}, [])
        else:
            _hold_one(theirs, ours)
            lacks = ours.lacks(theirs)
            if any(lacks):
                self._grow(theirs, ours, known)
        return replace(
            found,
            outcome="new" if ours is None else "grown" if any(lacks) else "same",
            here=run_id,
            levels=tuple(lacks.levels),
            files=len(lacks.files),
            notes=(*found.notes, *_told_later(lacks), *_told_otherwise(theirs, ours)),
        )

    def _same_import(self, theirs: Held, known: Known) -> str | None:
        """Return the import here that is this one by its masks, whatever its id."""
        told = theirs.description
        if told.source == OWN or not told.mask_digests or not told.aliases:
            return None
        accuracies = {n: table["accuracy"][0].as_py() for n, table in theirs.records.items()}
        content = Content(
            {int(level): digest for level, digest in told.mask_digests.items()},
            tuple(Alias.of(alias) for alias in told.aliases),
            accuracies,
        )
        own = known.contents.get(theirs.run_id)
        if own is not None and same_run(content, own):
            return theirs.run_id
        counted = {
            level: (table["network_total"][0].as_py(), table["network_kept"][0].as_py())
            for level, table in theirs.records.items()
        }
        return known.find(content, counted)

    def _ours(self, run_id: str) -> Held | None:
        """Read what is here of a run; None where there is none."""
        if run_id in self.planned:
            return self.planned[run_id]
        left_out = LeftOut(self.store)
        snapshot = take(self.store, left_out, [run_id])
        if run_id in snapshot.runs:
            return Held.of(snapshot, run_id)
        if os.path.lexists(RunFolder.of(self.store, run_id).path):
            why = next((problem.reason for problem in left_out.problems), "it has no description")
            raise _Left(f"what is here under its id cannot be read ({why}): rgtool rm removes it")
        return None

    def _settle(self, theirs: Held, known: Known) -> None:
        """Copy a run that is new here."""
        if self.dry_run:
            self.planned[theirs.run_id] = theirs
        else:
            with self.staging.run() as staged:
                theirs.write(staged, self.store)
                flush_tree(staged.path)
                RunFolder.of(self.store, theirs.run_id).settle(staged)
        known.add(theirs.description)

    def _grow(self, theirs: Held, ours: Held, known: Known) -> None:
        """Bring a run that is here what it lacks."""
        if self.dry_run:
            if who := holder(RunFolder.of(self.store, ours.run_id).path / "lock"):
                raise _Left(f"run {ours.run_id} is in the hands of another process (id {who})")
            self.planned[ours.run_id] = ours.with_all(theirs)
        else:
            with self._alone_with(ours.run_id):
                now = self._ours(ours.run_id)
                if now is None:
                    raise _Left("it was removed here meanwhile: merge again")
                _hold_one(theirs, now)
                self._move_in(theirs, now)
        known.add(ours.with_all(theirs).description)

    @contextmanager
    def _alone_with(self, run_id: str) -> Iterator[None]:
        with ExitStack() as held:
            if (self.store / FOLDER).is_dir():
                held.enter_context(Manifest.lock(self.store, _WAIT))
            finish(self.store)
            folder = RunFolder.of(self.store, run_id)
            held.enter_context(lock(folder.path / "lock", f"run {run_id}"))
            yield

    def _move_in(self, theirs: Held, ours: Held) -> None:
        levels, files, numbers, epochs = ours.lacks(theirs)
        folder = RunFolder.of(self.store, ours.run_id)
        if levels or numbers or epochs:
            with self.staging.run() as staged:
                ours.with_all(theirs).write(staged, self.store)
                flush_tree(staged.path)
                take_place(self.store, ours.run_id, staged.path)
            return
        for name in files:
            place = folder.path / name
            made = place.with_name(f".{place.name}.{os.getpid()}.part")
            copy(theirs.files[name], made, self.store)
            flush_path(made)
            made.replace(place)
            flush_path(place.parent)


def _hold_readable(folder: RunFolder, left_out: LeftOut) -> None:
    """Hold a run to have no broken record: without it, it would come in with a gap."""
    for problem in left_out.problems:
        if problem.is_left_out and Path(problem.path).is_relative_to(folder.path):
            raise _Left(str(problem))


def _read(snapshot: Snapshot, run_id: str, left_out: LeftOut) -> Held:
    """Read a run, again where a compaction replaces its files meanwhile."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            return Held.of(snapshot, run_id)
        snapshot = take(snapshot.manifest.store, left_out, [run_id])
        if run_id not in snapshot.runs:
            raise _Left("it was removed there meanwhile")
    raise _Left("its store changes faster than it can be read: merge again")


def _sound(theirs: Held) -> tuple[Held, tuple[str, ...]]:
    """Leave out the files that are damaged, and name them."""
    notes = []
    for name, path in theirs.files.items():
        try:
            if sums.file_holds(path) is False:
                notes.append((name, f"{path} is left out: {sums.WRONG}"))
        except OSError as error:
            notes.append((name, f"{path} is left out: it cannot be read ({error.strerror})"))
    damaged = {name for name, _ in notes}
    files = {name: path for name, path in theirs.files.items() if name not in damaged}
    return replace(theirs, files=files), tuple(note for _, note in notes)


def _hold_one(theirs: Held, ours: Held) -> None:
    """Hold two runs to be one."""
    if not (found := difference(theirs, ours)):
        return
    if _same_masks(theirs.description, ours.description):
        raise _Left(
            f"it has the masks of run {ours.run_id} of this store, which has {found}: that one "
            "stays; import either again as the other was, then merge"
        )
    raise _Left(
        f"it is not run {ours.run_id} of this store, which has {found}: that one stays; keep the "
        "other in a store of its own"
    )


def _same_masks(one: Description, other: Description) -> bool:
    """Whether two imports have the same masks at the levels that both have."""
    common = one.mask_digests.keys() & other.mask_digests.keys()
    return bool(common) and all(one.mask_digests[n] == other.mask_digests[n] for n in common)


def _told_later(lacks: Lacking) -> Iterator[str]:
    """Say which numbers and epochs come in that nobody had told here."""
    for name in sorted({name for names in lacks.numbers.values() for name in names}):
        levels = ", ".join(str(level) for level, names in lacks.numbers.items() if name in names)
        yield f"{name} comes in at level(s) {levels}, where none was told"
    if known := [str(level) for level in lacks.epochs if level not in lacks.levels]:
        yield f"epochs come in at level(s) {', '.join(known)}, where fewer were told"


def _told_otherwise(theirs: Held, ours: Held | None) -> list[str]:
    """Say where the description here is another one: it stays."""
    if ours is None or ours.description.experiment_id == theirs.description.experiment_id:
        return []
    here, there = ours.description, theirs.description
    note = f"it is of experiment {there.experiment_id} there and stays in {here.experiment_id} here"
    other = {
        option: value
        for name, option in _OPTIONS.items()
        if (value := getattr(there.recipe, name)) != getattr(here.recipe, name)
    }
    if ours.is_import and other:
        said = " ".join(f"{option} {shlex.quote(str(value))}" for option, value in other.items())
        note += f"; to correct it here as there: rgtool import its source again with {said}"
    return [note]
