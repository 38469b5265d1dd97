"""The manifest of a store: which runs are compacted, and which files hold them.

Compaction merges the records and descriptions of finished runs into parts under `compact/` and
then replaces the manifest in one rename. The manifest is an index of the parts, no more: what it
does not list, because it is missing, damaged or came from another store that was copied over this
one, is listed from what the parts say of themselves.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RecordError, StoreError
from ..files import write_atomic
from ..lock import lock
from ..sums import KEY, PLACE, hold, seal
from .epochs import NAMES, Epoch
from .index import VERSION, Index, manifest_bytes, manifest_head, parse_manifest
from .parts import Part, apart, describe, file_names, living, once

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "compact"
_REREADS = 10  # a compaction may replace the files between the manifest and the look at them
_RUNS_SHOWN = 5  # runs that a message names


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is compacted.

    Attributes
    ----------
    store : Path
        The store.
    generation : int
        Number of compactions so far; files bear the number of the one that wrote them.
    records, descriptions, epochs : tuple of Part
        What is read, the parts that the manifest lists first.
    idle : tuple of Part
        What is there and not read, since all of it is read from other parts.
    names : frozenset of str
        The files of parts that are there.
    without : frozenset of str
        The files among them that are not to be read: they are damaged.
    notes : tuple of (Path, str)
        Files that are missing or cannot be read, and what is lost with them.
    rebuilt : str
        Why the manifest had to be made from the parts; empty where it is whole.
    is_written : bool
        Whether it says all of this on the disk.
    head : bytes
        How it begins there.
    chosen : frozenset of str or None
        The runs that were asked for; None for all.
    """

    store: Path
    generation: int = 0
    records: tuple[Part, ...] = ()
    descriptions: tuple[Part, ...] = ()
    epochs: tuple[Part, ...] = ()
    idle: tuple[Part, ...] = ()
    names: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    notes: tuple[tuple[Path, str], ...] = ()
    rebuilt: str = ""
    is_written: bool = True
    head: bytes = b""
    chosen: frozenset[str] | None = None

    @classmethod
    def read(cls, store: Path, without: Collection[str] = ()) -> Manifest:
        """Read the manifest of the store at `store`, and hold it to the parts that are there.

        Parameters
        ----------
        store : Path
            The store; one that was never compacted has an empty manifest.
        without : collection of str
            Files to be taken for missing.

        Raises
        ------
        StoreError
            The manifest is written by a newer rgtool.
        """
        path = store / FOLDER / "manifest.json"
        blob = manifest_bytes(path)
        for _ in range(_REREADS):
            index = parse_manifest(path, blob)
            names = file_names(store / FOLDER)
            missing = [part for part in index.parts if part.file not in names]
            before, blob = blob, manifest_bytes(path) if missing else blob
            if blob == before:
                return _held(store, index, names, frozenset(without))
        raise StoreError(f"{store} changes faster than it can be read: try again")

    def again(self) -> Manifest:
        """Read the manifest anew; cheap if it is still this one.

        Raises
        ------
        StoreError
            It is written by a newer rgtool.
        """
        with contextlib.suppress(OSError):
            head = manifest_head(self.folder / "manifest.json")
            if self.is_written and self.head == head and self.names == file_names(self.folder):
                return self
        return Manifest.read(self.store, self.without)

    def write(self) -> Manifest:
        """Replace the manifest, atomically; return what a reader finds.

        Raises
        ------
        OSError
            The disk is full or the folder is not writable.
        """
        values = {
            "version": VERSION,
            KEY: PLACE,
            "generation": self.generation,
            "records": [part.to_json() for part in self.records],
            "descriptions": [part.to_json() for part in self.descriptions],
            "epochs": [part.to_json() for part in self.epochs],
        }
        blob = seal((json.dumps(values) + "\n").encode())
        write_atomic(self.folder / "manifest.json", blob)
        return Manifest.read(self.store, self.without)

    def only(self, runs: Iterable[str]) -> Manifest:
        """Return the manifest of some of the runs."""
        chosen = frozenset(runs)

        def holding(parts: tuple[Part, ...]) -> tuple[Part, ...]:
            return tuple(p for p in parts if p.is_old or not chosen.isdisjoint(p.runs))

        return replace(
            self,
            records=holding(self.records),
            descriptions=holding(self.descriptions),
            epochs=holding(self.epochs),
            chosen=chosen,
        )

    def less(self, runs: Iterable[str]) -> Manifest:
        """Return the manifest without some runs: what is compacted of them does not count."""
        every = self.every
        gone = every.intersection(runs)

        def rest(parts: tuple[Part, ...]) -> tuple[Part, ...]:
            # Which of several parts of rgtool 0.1.0 holds a run is not known.
            found = (
                (part, gone if part.is_old else gone.intersection(part.runs)) for part in parts
            )
            return tuple(part.less(void) if void else part for part, void in found)

        if not gone:
            return self
        return replace(
            self,
            records=rest(self.records),
            descriptions=rest(self.descriptions),
            epochs=rest(self.epochs),
            idle=rest(self.idle),
        )

    @property
    def void(self) -> frozenset[str]:
        """The runs of which rows are there that do not count."""
        return frozenset[str]().union(*(part.void for part in self.parts))

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that are there."""
        return (*self.records, *self.descriptions, *self.epochs, *self.idle)

    @staticmethod
    def lock(store: Path, wait: float = 0.0) -> AbstractContextManager[None]:
        """Hold the lock under which runs are compacted; its folder must be there.

        Raises
        ------
        Locked
            Another process has held it for `wait` seconds.
        """
        return lock(store / FOLDER / "lock", f"the compaction of {store}", wait=wait)

    @property
    def folder(self) -> Path:
        """The folder of the compacted files."""
        return self.store / FOLDER

    @cached_property
    def every(self) -> frozenset[str]:
        """All runs of which anything is compacted, whether or not it was asked for."""
        return frozenset[str]().union(*(part.runs for part in self.parts))

    @cached_property
    def runs(self) -> frozenset[str]:
        """The compacted runs."""
        every = frozenset[str]().union(*(part.runs for part in self.descriptions))
        return every if self.chosen is None else every & self.chosen

    @cached_property
    def lost(self) -> frozenset[str]:
        """The runs that have compacted records and no compacted description."""
        every = frozenset[str]().union(*(part.runs for part in self.records))
        return every - self.runs if self.chosen is None else (every & self.chosen) - self.runs

    @property
    def record_files(self) -> list[Path]:
        """Paths of the files that hold records, with what `views.RUN_COLUMNS` adds to them."""
        return [self.folder / part.file for part in self.records]

    @property
    def description_files(self) -> list[Path]:
        """Paths of the files that hold descriptions."""
        return [self.folder / part.file for part in self.descriptions]

    @property
    def group_files(self) -> list[Path]:
        """Paths of the files that hold the counts of blocks and stages."""
        return [self.folder / part.groups for part in self.records if self.has_groups(part)]

    @property
    def files(self) -> list[Path]:
        """Paths of all files that are read."""
        return [
            *self.record_files,
            *self.group_files,
            *self.description_files,
            *(self.folder / part.file for part in self.epochs),
        ]

    def has_groups(self, part: Part) -> bool:
        """Tell whether the counts of blocks and stages lie beside the records of a part."""
        return part.groups in self.names and part.groups not in self.without

    def levels(self, run_id: str) -> list[int]:
        """List the compacted levels of a run, ascending; none where it is not compacted."""
        return _levels(self.records, run_id)

    def epoch_levels(self, run_id: str) -> list[int]:
        """List the levels of a run whose epochs are compacted, ascending."""
        return _levels(self.epochs, run_id)

    def read_record(self, run_id: str, level: int) -> pa.Table:
        """Read a compacted record: a row per layer, in the order of the forward pass.

        Raises
        ------
        FileNotFoundError
            A later compaction has replaced the file: read the manifest again.
        RecordError
            The file is damaged.
        """
        import pyarrow as pa

        holding = [p for p in self.records if p.is_old or level in p.shown(run_id)]
        wanted = [("run_id", "=", run_id), ("level", "=", level)]
        found = [_rows_of(self.folder / part.file, wanted) for part in holding]
        return pa.concat_tables(found).sort_by("layer_index")

    def read_records(self, run_id: str) -> dict[int, pa.Table]:
        """Read all compacted records of a run, by level; errors are those of `read_record`."""
        import pyarrow.compute as pc

        found = {}
        for part in self.records:
            levels = part.shown(run_id) if not part.is_old else self.levels(run_id)
            if levels:
                rows = _rows_of(self.folder / part.file, [("run_id", "=", run_id)])
                for level in levels:
                    table = rows.filter(pc.equal(rows["level"], level))
                    if table.num_rows:
                        found[level] = table.sort_by("layer_index")
        return found

    def read_epochs(self, run_id: str) -> list[Epoch]:
        """Read the compacted epochs of a run, level by level; errors are those of `read_record`."""
        found = list[Epoch]()
        for part in self.epochs:
            if levels := part.shown(run_id):
                wanted = [("run_id", "=", run_id), ("level", "in", levels)]
                rows = _rows_of(self.folder / part.file, wanted, list(NAMES)).to_pylist()
                found += map(Epoch.of, rows)
        return sorted(found, key=lambda epoch: (epoch.level, epoch.epoch))

    def read_description(self, run_id: str) -> str:
        """Read the `run.json` of a compacted run, as it was written.

        Raises
        ------
        FileNotFoundError
            A later compaction has replaced the file: read the manifest again.
        RecordError
            The file is damaged.
        """
        part = next(p for p in self.descriptions if run_id in p.runs)
        found = _rows_of(self.folder / part.file, [("run_id", "=", run_id)], ["text"])["text"]
        if not len(found):
            raise RecordError(f"{part.file}: holds no description of run {run_id}, which it lists")
        text: str = found[0].as_py()
        return text


def _levels(parts: Iterable[Part], run_id: str) -> list[int]:
    found = [part.shown(run_id) for part in parts if run_id in part.runs]
    return found[0] if len(found) == 1 else sorted({level for part in found for level in part})


def _rows_of(
    path: Path, wanted: list[tuple[str, str, Any]], columns: list[str] | None = None
) -> pa.Table:
    """Read some rows of a part, after the whole of it has been held to its sum."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    hold(path)
    try:
        return pq.read_table(path, columns=columns, filters=wanted)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecordError(f"{path}: not a readable part of a store ({reason})") from None


def some(runs: Iterable[str]) -> str:
    """Name some runs and say how many more there are."""
    names = sorted(runs)
    more = f" and {len(names) - _RUNS_SHOWN} more" if len(names) > _RUNS_SHOWN else ""
    return ", ".join(names[:_RUNS_SHOWN]) + more


def loss(part: Part, runs: Collection[str] | None = None) -> str:
    """Say what is lost with a part: all of its runs, or some of them."""
    lost = part.runs if runs is None else runs
    if not lost:
        return "nothing is lost, other parts hold its runs too"
    return f"its {part.kind} of {len(lost)} runs are left out: {some(lost)}"


def _held(store: Path, index: Index, names: frozenset[str], without: frozenset[str]) -> Manifest:
    """Make the manifest of the parts that the index lists and of those that lie there besides."""
    folder = store / FOLDER
    if index.is_old and without:  # which part lacks what is told by the files alone
        index = replace(index, parts=())
    listed = [part for part in index.parts if part.file not in without]
    parts = [part for part in listed if part.file in names]
    gone = {f"{part.kind}-{name}.parquet" for part in parts for name in part.replaces}
    notes, unlisted = [], list[Part]()
    for name in sorted(names - {part.file for part in listed} - without - gone, reverse=True):
        if name.startswith("groups-"):
            continue
        try:
            unlisted.append(describe(folder / name))
        except FileNotFoundError:
            continue
        except RecordError as error:
            notes.append((folder / name, f"{error}; it is left out: bring it back from a copy"))
    living_parts = living([*parts, *unlisted])
    gone |= {f"{part.kind}-{name}.parquet" for part in unlisted for name in part.replaces}
    notes += [
        (folder / part.file, f"is missing: {loss(part)}; bring it back from a copy")
        for part in listed
        if part.file not in names | gone
    ]
    descriptions = once([part for part in living_parts if part.kind == "descriptions"])
    records = apart([part for part in living_parts if part.kind == "records"])
    curves = apart([part for part in living_parts if part.kind == "epochs"])
    rebuilt = index.fault if names or index.fault != "is missing" else ""
    found = (*records, *descriptions, *curves)
    every = {(part.kind, part.name) for part in found}
    return Manifest(
        store=store,
        generation=max([index.generation, *(part.generation for part in living_parts)]),
        records=tuple(part for part in records if not part.is_hidden),
        descriptions=tuple(part for part in descriptions if not part.is_hidden),
        epochs=tuple(part for part in curves if not part.is_hidden),
        idle=tuple(part for part in found if part.is_hidden),
        names=names,
        without=without,
        notes=tuple(notes),
        rebuilt=rebuilt,
        is_written=not index.fault and every == {(part.kind, part.name) for part in listed},
        head=index.head,
    )
