"""What lies in a store at one moment: loose runs, compacted runs, and what is left out."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ...schemas.errors import RecordError
from ...schemas.files import read_file
from ...schemas.records.description import MOST, Description
from ...schemas.records.epochs import FILE as EPOCHS
from ...schemas.records.layout import CORRECTED, RUNS, RunFolder, is_gone, record_level
from ...schemas.records.manifest import Manifest
from ...schemas.records.names import FILE as NAMES
from ...schemas.records.names import Entry, read_names
from ...schemas.sums import stamp
from .broken import File, LeftOut

_LONGEST_MARK = 1024  # bytes
_LOST = "its records are left out"
_KEPT = "its loose records are left out, what is compacted of it counts"


@dataclass(frozen=True)
class LooseRun:
    """The part of a run that is not compacted.

    Attributes
    ----------
    text : str
        Its `run.json`, as it was written.
    records : mapping of int to str
        Levels, ascending, and the paths of their records.
    anew : str
        The value of its mark where it was made anew: nothing of it is compacted, whatever is
        under its id. Empty where it was not.
    inode : int
        That of its folder: another one that takes its place has another.
    epochs : str
        The path of its epochs; empty where there are none.
    """

    text: str
    records: Mapping[int, str]
    anew: str = ""
    inode: int = 0
    epochs: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The files that a query reads.

    Attributes
    ----------
    manifest : Manifest
        The compacted runs.
    loose : mapping of str to LooseRun
        The runs that have a `run.json` of their own, by id; where one is compacted too, these
        are the levels after the compacted ones and the newer description.
    only : frozenset of str or None
        The runs that were asked for; None for all.
    names : mapping of str to Entry
        What people call experiments and runs, by id.
    """

    manifest: Manifest
    loose: Mapping[str, LooseRun]
    only: frozenset[str] | None = None
    names: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def runs(self) -> set[str]:
        """Ids of all runs."""
        return {*self.loose, *self.manifest.runs}

    @property
    def gone(self) -> frozenset[str]:
        """Ids of runs that were removed and have rows in compacted files all the same."""
        return self.manifest.void - self.loose.keys()

    @property
    def record_files(self) -> list[str]:
        """Paths of the loose records."""
        return [path for run in self.loose.values() for path in run.records.values()]

    @property
    def epoch_files(self) -> list[str]:
        """Paths of the loose epochs."""
        return [run.epochs for run in self.loose.values() if run.epochs]

    def levels(self, run_id: str) -> list[int]:
        """List the recorded levels of a run, ascending."""
        loose = self.loose[run_id].records if run_id in self.loose else {}
        return sorted([*self.manifest.levels(run_id), *loose])

    def newest_records(self) -> Snapshot:
        """Keep of every run's loose records the one of the highest level."""
        loose = {
            run_id: replace(run, records=dict([*run.records.items()][-1:]))
            for run_id, run in self.loose.items()
        }
        return replace(self, loose=loose)

    def is_outdated(self) -> bool:
        """Whether other folders have taken the places of some whose records it lists."""
        if not self.record_files:
            return False
        now = _places(self.manifest.store, self.only)
        return any(r not in now or now[r].inode != run.inode for r, run in self.loose.items())


def take(store: Path, left_out: LeftOut, only: Collection[str] | None = None) -> Snapshot:
    """Look at the store at `store`, or at some of its runs.

    Broken descriptions are found here and noted in `left_out`, with the run's loose records;
    files that are new to the store are held to their sums; what is broken is not listed.

    Raises
    ------
    StoreError
        The manifest is newer than this rgtool, or the store changes too fast.
    """
    before = Manifest.read(store)
    places = _places(store, only)
    listed = {
        run_id: _look(folder)
        for run_id, (folder, _) in places.items()
        # A compacted run without a description has nothing new; most runs of a store are such.
        if run_id not in before.runs or _has(folder, "run.json") or _has(folder, "anew")
    }
    # Files first, the manifest that counts second: a record that compaction removes meanwhile is
    # in the manifest that is read afterwards. The other way round it would be in neither.
    whole = left_out.sound(before.again())
    whole = whole.less([*_gone(whole, places, only), *(r for r, x in listed.items() if x.anew)])
    manifest = whole if only is None else whole.only(only)
    loose, twice = {}, list[tuple[str, int, File]]()
    for run_id, (text, records, anew, epochs) in listed.items():
        if text is None and not records and not _holds_masks(places[run_id].path):
            continue
        path = Path(places[run_id].path) / "run.json"
        if (reason := _fault(text, run_id, path)) is not None:
            if run_id in manifest.runs:
                reason = reason.replace(_LOST, _KEPT)
            if text is not None or run_id not in manifest.runs:
                left_out.note(path, reason)
            continue
        assert isinstance(text, bytes)
        compacted = manifest.levels(run_id)
        twice += [(run_id, level, file) for level, file in records if level in compacted]
        new = [(level, file) for level, file in records if level not in compacted]
        sound = left_out.trusted(run_id, [file for _, file in new])
        found = {level: file.path for level, file in new if file.path in sound}
        loose[run_id] = LooseRun(text.decode(), found, anew, places[run_id].inode, epochs)
    left_out.compare(whole, twice)
    left_out.name_lost(manifest, loose)
    asked = None if only is None else frozenset(only)
    return Snapshot(manifest, loose, asked, _names(store, left_out))


def _names(store: Path, left_out: LeftOut) -> dict[str, Entry]:
    """Read what people call things; without a file that is damaged, which is said."""
    try:
        return read_names(store)
    except RecordError as error:
        path = store / NAMES
        left_out.note(path, f"{str(error).removeprefix(f'{path}: ')}; nothing has a name")
        return {}


class _Place(NamedTuple):
    """The folder of a run, and its inode (0 where there is none)."""

    path: str
    inode: int


def _places(store: Path, only: Collection[str] | None) -> dict[str, _Place]:
    """Find the folders of runs, by id; of a run that is about to be corrected the new one."""
    if only is None:
        found = {**_subfolders(store / RUNS), **_subfolders(store / CORRECTED)}
        return {run_id: found[run_id] for run_id in sorted(found)}
    paths = {run_id: RunFolder.of(store, run_id).path for run_id in only}
    return {r: _Place(str(path), _inode(path)) for r, path in paths.items() if not is_gone(path)}


def _subfolders(folder: Path) -> dict[str, _Place]:
    try:
        with os.scandir(folder) as entries:
            return {
                entry.name: _Place(entry.path, entry.inode())
                for entry in entries
                if not entry.name.startswith(".")
            }
    except (FileNotFoundError, NotADirectoryError):
        return {}


def _inode(folder: Path) -> int:
    try:
        return folder.stat().st_ino
    except OSError:
        return 0


def _gone(manifest: Manifest, folders: Collection[str], only: Collection[str] | None) -> list[str]:
    """List the compacted runs whose folders are gone, as `layout.is_gone` tells it of one."""
    if not (manifest.store / RUNS).is_dir():
        return []
    asked = manifest.every if only is None else only
    return [run_id for run_id in asked if run_id not in folders]


class _Found(NamedTuple):
    """What lies in the folder of a run: its description, its records, its mark, its epochs."""

    text: bytes | OSError | None
    records: list[tuple[int, File]]
    anew: str
    epochs: str


def _look(folder: str) -> _Found:
    """Look into the folder of a run, again where it is exchanged meanwhile for a corrected one."""
    mark = None
    while mark != (mark := _mark(folder)):
        epochs = f"{folder}{os.sep}{EPOCHS}" if _has(folder, EPOCHS) else ""
        found = _Found(_description_bytes(folder), sorted(_records(folder)), mark, epochs)
    return found


def _mark(folder: str) -> str:
    """Read the mark of a run that was made anew; empty where it has none."""
    try:
        return read_file(f"{folder}{os.sep}anew", _LONGEST_MARK).decode(errors="replace") or "?"
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError:  # it is there all the same
        return "?"


def _has(folder: str, name: str) -> bool:
    return os.access(f"{folder}{os.sep}{name}", os.F_OK)


def _description_bytes(folder: str) -> bytes | OSError | None:
    """Read a `run.json`; None where there is none, the error where it cannot be read."""
    try:
        # Not pathlib: this runs once a run, and a store may hold a hundred thousand.
        return read_file(f"{folder}{os.sep}run.json", MOST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return error


def _records(folder: str) -> Iterator[tuple[int, File]]:
    try:
        with os.scandir(f"{folder}{os.sep}records") as entries:
            for entry in entries:
                level = record_level(entry.name)
                if level is not None:
                    with contextlib.suppress(FileNotFoundError):  # just compacted
                        yield level, File(entry.path, stamp(entry.stat()))
    except (FileNotFoundError, NotADirectoryError):
        return


def _holds_masks(folder: str) -> bool:
    """Tell whether masks of a run are in its folder, which only a description makes sense of."""
    try:
        return bool(os.listdir(f"{folder}{os.sep}masks"))  # noqa: PTH208, once a run
    except OSError:
        return False


def _fault(text: bytes | OSError | None, run_id: str, path: Path) -> str | None:
    if text is None:
        return "is missing: what else is here of this run is left out"
    if isinstance(text, OSError):
        return f"cannot be read ({text.strerror}); {_LOST}"
    try:
        found = Description.parse(text, str(path)).run_id
    except RecordError as error:
        return f"{str(error).removeprefix(f'{path}: ')}; {_LOST}"
    if found != run_id:
        return (
            f"describes run {found} and lies in the folder of {run_id}; left out with its records"
        )
    return None


def strict_json(text: str) -> str:
    """Replace NaN and infinities, which Python writes and no other parser reads, by null."""
    if "NaN" not in text and "Infinity" not in text:
        return text
    return json.dumps(json.loads(text, parse_constant=lambda _: None))
