"""A part of `compact/`: what one compaction has written, and what it says of itself.

The name of a part is its own (`0003-9f1c02ab`: the compaction that wrote it, and chance), so that
no copy of one store over another replaces one. Its Parquet metadata list the runs in it and the
parts that it replaces: the manifest is an index that can be made again from them.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from ..errors import RecordError
from ..files import open_for_arrow
from ..sums import stamp

KEY = "rgtool_part"  # the name of what a part says of itself, among its metadata
VERSION = 2
Kind = Literal["records", "descriptions", "epochs"]
_FILE = re.compile(r"(records|groups|descriptions|epochs)-(\d{4,}(?:-[0-9a-f]{8})?)\.parquet")


@dataclass(frozen=True)
class Part:
    """Compacted runs in one file: records, descriptions or epochs.

    Attributes
    ----------
    kind : str
        `records`, `descriptions` or `epochs`. Beside a file of records lies one with the same
        counts summed over blocks and stages, `groups`; what it lacks follows from the records.
    name : str
        The part's own; those of rgtool 0.1.0 are bare numbers.
    runs : mapping of str to tuple of int
        Runs in it and their levels, ascending; of descriptions none.
    replaces : tuple of str
        Parts of the same kind whose contents are in this one.
    hidden : mapping of str to tuple of int
        Runs in it, and their levels, that are read from other parts.
    void : frozenset of str
        Runs whose rows in it do not count: they were removed, or made anew. They are not among
        `runs`.
    """

    kind: Kind
    name: str
    runs: Mapping[str, tuple[int, ...]]
    replaces: tuple[str, ...] = ()
    hidden: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    void: frozenset[str] = frozenset()

    @classmethod
    def new(
        cls, kind: Kind, generation: int, runs: Mapping[str, tuple[int, ...]], old: Sequence[Part]
    ) -> Part:
        """Name a part that a compaction is about to write in place of `old`."""
        name = f"{generation:04d}-{secrets.token_hex(4)}"
        # The name of an old part says nothing: another store's file may come to bear it.
        replaced = tuple(part.name for part in old if not part.is_old)
        return cls(kind, name, dict(sorted(runs.items())), replaced)

    @property
    def is_old(self) -> bool:
        """Whether rgtool 0.1.0 wrote it: it says nothing of itself."""
        return "-" not in self.name

    @property
    def generation(self) -> int:
        """Number of the compaction that wrote it."""
        return int(self.name.partition("-")[0])

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.kind}-{self.name}.parquet"

    @property
    def groups(self) -> str:
        """Name of the file with the counts of its blocks and stages."""
        return f"groups-{self.name}.parquet"

    @property
    def is_hidden(self) -> bool:
        """Whether all of it is read from other parts."""
        return bool(self.runs) and all(
            run_id in self.hidden and len(self.hidden[run_id]) == len(levels)
            for run_id, levels in self.runs.items()
        )

    def shown(self, run_id: str) -> list[int]:
        """List the levels of a run that are read from it, ascending."""
        levels, hidden = self.runs.get(run_id, ()), self.hidden.get(run_id)
        return [level for level in levels if level not in hidden] if hidden else [*levels]

    def less(self, runs: frozenset[str]) -> Part:
        """Return the part without some runs, of which those that are in it are void."""
        return dataclasses.replace(
            self,
            runs={name: levels for name, levels in self.runs.items() if name not in runs},
            hidden={name: levels for name, levels in self.hidden.items() if name not in runs},
            void=self.void | runs,
        )

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest and the part's own metadata say of it."""
        by_levels: dict[tuple[int, ...], list[str]] = {}
        for run_id, levels in self.runs.items():
            by_levels.setdefault(levels, []).append(run_id)
        return {
            "version": VERSION,
            "name": self.name,
            "replaces": list(self.replaces),
            "runs": [[list(levels), runs] for levels, runs in by_levels.items()],
        }

    @classmethod
    def from_json(cls, kind: Kind, values: Mapping[str, Any]) -> Part:
        """Rebuild what `to_json` returned.

        Raises
        ------
        RecordError
            A newer rgtool has written it.
        ValueError, KeyError, TypeError
            It is something else.
        """
        if values["version"] > VERSION:
            raise RecordError(f"written by a newer rgtool ({values['version']}): upgrade rgtool")
        runs: dict[str, tuple[int, ...]] = {}
        for levels, names in values["runs"]:
            runs.update(dict.fromkeys(names, tuple(levels)))
        if not all(isinstance(name, str) for name in (values["name"], *values["replaces"], *runs)):
            raise ValueError("a name is no text")
        return cls(kind, values["name"], runs, tuple(values["replaces"]))


def file_names(folder: Path) -> frozenset[str]:
    """List the files of parts in a folder; there need not be one."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if _FILE.fullmatch(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def describe(path: Path) -> Part:
    """Ask a file of records, descriptions or epochs what is in it.

    Raises
    ------
    RecordError
        It is damaged, or written by a newer rgtool; the message does not name the file.
    FileNotFoundError
        It is gone.
    """
    try:
        return _describe(str(path), *stamp(path.stat()))
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise RecordError(f"cannot be read ({error.strerror})") from None


@functools.lru_cache(maxsize=256)
def _describe(path: str, *stamp: int) -> Part:
    import pyarrow as pa
    import pyarrow.parquet as pq

    match = _FILE.fullmatch(Path(path).name)
    assert match is not None
    kind = cast(Kind, match[1])
    try:
        with open_for_arrow(path) as file:
            metadata = pq.ParquetFile(file).metadata.metadata or {}
            if KEY.encode() in metadata:
                part = Part.from_json(kind, json.loads(metadata[KEY.encode()]))
                if part.name != match[2]:
                    raise ValueError(f"it calls itself {part.name}")
                return part
            columns = ["run_id"] if kind == "descriptions" else ["run_id", "level"]
            return Part(kind, match[2], _levels(pq.read_table(file, columns=columns)))
    except (pa.ArrowException, ValueError, KeyError, TypeError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecordError(f"not a readable part of a store ({reason})") from None


def _levels(table: Any) -> dict[str, tuple[int, ...]]:
    """Gather the runs of a table and their levels, between which none is missing."""
    if "level" not in table.column_names:
        return dict.fromkeys(sorted(table["run_id"].to_pylist()), ())
    found = table.group_by("run_id").aggregate([("level", "min"), ("level", "max")]).to_pylist()
    rows = sorted((row["run_id"], row["level_min"], row["level_max"]) for row in found)
    return {run_id: tuple(range(first, last + 1)) for run_id, first, last in rows}


def living(parts: Iterable[Part]) -> list[Part]:
    """Leave out the parts that another one replaces."""
    every = list(parts)
    gone = {(part.kind, name) for part in every for name in part.replaces}
    return [part for part in every if (part.kind, part.name) not in gone]


def apart(parts: Sequence[Part]) -> list[Part]:
    """Hide in each part of records, or of epochs, the levels of runs that an earlier one shows."""
    met, twice = set[str](), set[str]()
    for part in parts:
        twice |= met.intersection(part.runs)
        met.update(part.runs)
    shown: dict[str, set[int]] = {run_id: set() for run_id in twice}
    found = []
    for part in parts:
        hidden = {}
        for run_id in twice.intersection(part.runs):
            levels = part.runs[run_id]
            if again := tuple(level for level in levels if level in shown[run_id]):
                hidden[run_id] = again
            shown[run_id].update(levels)
        found.append(dataclasses.replace(part, hidden=hidden))
    return found


def once(parts: Sequence[Part]) -> list[Part]:
    """Hide in each part of descriptions the runs that an earlier one describes."""
    found, seen = [], set[str]()
    for part in parts:
        hidden = dict.fromkeys(seen.intersection(part.runs), ())
        found.append(dataclasses.replace(part, hidden=hidden))
        seen.update(part.runs)
    return found
