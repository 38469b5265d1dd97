"""Where everything lies in a store.

The folder of a run tells whether there is one: where it is gone, the run is, and what is compacted
of it does not count. A run that is made again under the same id, or corrected, bears the mark
`anew`: what is compacted under its id is of the earlier one, until the next compaction drops it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RecordError, StoreError, UsageError
from ..files import flush_path, write_atomic
from .description import Description
from .epochs import FILE as EPOCHS
from .epochs import Epoch, joined, read_epochs
from .manifest import Manifest
from .record import read_record, validate

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_STORE = "rgstore"
RUNS = "runs"
CORRECTED = ".corrected"  # runs that are about to take the place of those in `runs`
STORE_VARIABLE = "RGTOOL_STORE"
_RECORD = re.compile(r"(\d{4,})\.parquet")
# `s3://bucket`, of which a `Path` keeps one slash, and `host:/folder`; `C:/` is a disk.
_ELSEWHERE = re.compile(r"([A-Za-z][\w+.@-]+:)/")
_SCHEMES = re.compile(r"(s3|gs|az|abfss?|hdfs|https?|ftp|ssh|hf):", re.I)
_ATTEMPTS = 10  # a compaction may replace the files between the manifest and the reading


def address(path: str | Path) -> str | None:
    """Return the URL, or the folder of another machine, that a path is; None where it is none.

    Examples
    --------
    >>> address(Path("s3://bucket/runs")), address("me@host:/data"), address("C:/runs")
    ('s3://bucket/runs', 'me@host:/data', None)
    """
    text = Path(path).as_posix()
    match = _ELSEWHERE.match(text)
    if match is None:
        return None
    slash = "/" if _SCHEMES.fullmatch(match[1]) else ""
    return f"{match[1]}{slash}{text[len(match[1]) :]}"


def store_path(path: str | Path | None = None) -> Path:
    """Return the folder of a store: the one given, `$RGTOOL_STORE`, or `rgstore`.

    Raises
    ------
    UsageError
        It is a URL, or a folder of another machine.
    """
    chosen = Path(path if path is not None else os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)
    if (elsewhere := address(chosen)) is not None:
        raise UsageError(
            f"store {elsewhere}: a store is a folder of this machine, no URL or address: name "
            "a folder with --store, and copy it there and back, or mount what it names"
        )
    return chosen


def record_level(name: str) -> int | None:
    """Return the level whose record has this file name; None for any other file."""
    match = _RECORD.fullmatch(name)
    return int(match[1]) if match else None


def make_runs(store: Path) -> None:
    """Create the folder of all runs, with one for each that is compacted where it was missing.

    A store that was copied without `runs` is whole; no run of it was removed.

    Raises
    ------
    OSError
        It cannot be created.
    StoreError
        The manifest of the store is newer than this rgtool.
    """
    runs = store / RUNS
    if runs.is_dir():
        return
    made = _hidden(runs)
    made.mkdir(parents=True)
    for run_id in Manifest.read(store).every:
        (made / run_id).mkdir()
    _rename_new(made, runs)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run: description, records, masks, weights."""

    path: Path

    @classmethod
    def of(cls, store: Path, run_id: str) -> RunFolder:
        """Return the folder of a run in the store at `store`."""
        corrected = store / CORRECTED / run_id
        return cls(corrected if corrected.is_dir() else store / RUNS / run_id)

    def make(self) -> None:
        """Create the folder and its parts; marked where an earlier run of this id is compacted."""
        if not os.path.lexists(self.path) and self._is_compacted():
            self._make_anew()
        for part in ("records", "masks", "weights"):
            (self.path / part).mkdir(parents=True, exist_ok=True)

    def _make_anew(self) -> None:
        """Create the folder with its mark, in one step."""
        make_runs(self.path.parents[1])
        made = RunFolder(_hidden(self.path))
        made.path.mkdir()
        made.mark_anew()
        _rename_new(made.path, self.path)

    def settle(self, staged: RunFolder) -> None:
        """Give a run that was put together elsewhere its place, in one step.

        Parameters
        ----------
        staged : RunFolder
            The whole run, flushed to the disk, on the same file system.

        Raises
        ------
        OSError
            A run is there already, or the disk is full or not writable.
        """
        if self._is_compacted():
            staged.mark_anew()
        staged.path.rename(self.path)
        flush_path(self.path.parent)

    @property
    def anew(self) -> Path:
        """The mark of a run that was made anew, with a value that tells one from another."""
        return self.path / "anew"

    def mark_anew(self) -> None:
        """Let what is compacted under this id not count any more.

        Raises
        ------
        OSError
            The disk is full or the folder is not writable.
        """
        write_atomic(self.anew, f"{secrets.token_hex(8)}\n".encode())

    @property
    def description(self) -> Path:
        """`run.json`."""
        return self.path / "run.json"

    @property
    def checkpoint(self) -> Path:
        """State inside a level; absent between levels."""
        return self.path / "checkpoint.safetensors"

    @property
    def epochs(self) -> Path:
        """The curve inside the levels; absent where none was told, and once it is compacted."""
        return self.path / EPOCHS

    def record(self, level: int) -> Path:
        """Return the record of a level."""
        return self.path / "records" / f"{level:04d}.parquet"

    def mask(self, level: int) -> Path:
        """Return the mask of a level."""
        return self.path / "masks" / f"{level:04d}.safetensors"

    def weights(self, name: str) -> Path:
        """Return the weights called `init`, `rewind` or `dense`."""
        return self.path / "weights" / f"{name}.safetensors"

    def loose_levels(self) -> list[int]:
        """List the levels that have a record in this folder, ascending."""
        folder = self.path / "records"
        if not folder.is_dir():
            return []
        levels = (record_level(entry.name) for entry in folder.iterdir())
        return sorted(level for level in levels if level is not None)

    def recorded_levels(self) -> list[int]:
        """List the levels that have a record, here or compacted, ascending.

        Raises
        ------
        StoreError
            The manifest of the store is newer than this rgtool.
        """
        # In this order: compaction writes the manifest first and removes files afterwards.
        loose = self.loose_levels()
        return sorted({*loose, *self._manifest().levels(self.path.name)})

    def read_record(self, level: int) -> pa.Table:
        """Read the record of a level, from here or compacted.

        Raises
        ------
        RecordError
            There is none, or it is broken.
        StoreError
            The manifest of the store is newer than this rgtool.
        """
        try:
            return read_record(self.record(level))
        except RecordError as error:
            missing = error
        for _ in range(_ATTEMPTS):
            manifest = self._manifest()
            if level not in manifest.levels(self.path.name):
                raise missing
            with contextlib.suppress(FileNotFoundError):
                where = f"run {self.path.name}, level {level}, compacted"
                return validate(manifest.read_record(self.path.name, level), where)
        raise missing

    def read_description(self) -> Description | None:
        """Read the description, from here or compacted; None where there is none yet.

        Raises
        ------
        RecordError
            It is damaged or written by a newer rgtool.
        StoreError
            The manifest of the store is newer than this rgtool.
        """
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(FileNotFoundError):
                return Description.read(self.description, missing=True)
            manifest = self._manifest()
            if self.path.name not in manifest.runs:
                return None
            with contextlib.suppress(FileNotFoundError):
                text = manifest.read_description(self.path.name)
                return Description.parse(text, f"run {self.path.name}, compacted")
        raise StoreError(f"{self.path}: the store changes faster than it can be read: try again")

    def read_epochs(self) -> list[Epoch]:
        """Read the epochs, from here and compacted, level by level.

        Raises
        ------
        StoreError
            The manifest of the store is newer than this rgtool.
        """
        for _ in range(_ATTEMPTS):
            loose, manifest = read_epochs(self.epochs, self.path.name), self._manifest()
            with contextlib.suppress(FileNotFoundError):
                return joined(_compacted_epochs(manifest, self.path.name), loose)
        raise StoreError(f"{self.path}: the store changes faster than it can be read: try again")

    def _manifest(self) -> Manifest:
        """Read what is compacted, without this run where that is of an earlier one."""
        counts = not self.anew.exists() and not is_gone(self.path)
        manifest = Manifest.read(self.path.parents[1])
        return manifest if counts else manifest.less([self.path.name])

    def _is_compacted(self) -> bool:
        """Whether anything is compacted under this id, of this run or an earlier one."""
        return self.path.name in Manifest.read(self.path.parents[1]).every


def _compacted_epochs(manifest: Manifest, run_id: str) -> list[Epoch]:
    try:
        return manifest.read_epochs(run_id)
    except RecordError:  # a damaged part costs the curve and nothing else
        return []


def is_gone(folder: Path) -> bool:
    """Tell whether the folder of a run is missing among those of the others.

    Where the folder of all runs is missing, none was removed: a store may be copied without it.
    """
    return not os.path.lexists(folder) and folder.parent.is_dir()


def _hidden(folder: Path) -> Path:
    """Name a folder that no reader looks into, beside the one that it is to become."""
    return folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")


def _rename_new(made: Path, folder: Path) -> None:
    """Give a folder its name, unless another process has made it meanwhile."""
    try:
        made.rename(folder)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if not folder.is_dir():
            raise
