"""A run as a store holds it, loose and compacted, and when two of them are the same."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...schemas.files import write_atomic
from ...schemas.records.description import OWN, Description
from ...schemas.records.epochs import FILE as EPOCHS
from ...schemas.records.epochs import Epoch, by_level, joined, write_epochs
from ...schemas.records.layout import RunFolder
from ...schemas.records.record import COLUMNS, read_record, validate, write_record
from ..sql.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa

CHECKPOINT = "checkpoint.safetensors"
_NOT_COPIED = ("records", "run.json", "lock", "anew", EPOCHS)
_PREVIOUS = {
    "kept_prev": "kept",
    "magnitude_prev": "magnitude",
    "network_kept_prev": "network_kept",
}
_CONTENT = [c.name for c in COLUMNS if not c.measured and c.name not in ("version", "run_id")]
# What a manifest or a log may tell of a level of an import, now or later.
_NUMBERS = [
    c.name
    for c in COLUMNS
    if c.part == "level" and not c.measured and (c.null or c.type == "bool")
    if c.name not in _PREVIOUS
]


class Lacking(NamedTuple):
    """What a holding of a run lacks.

    Attributes
    ----------
    levels : list of int
        Levels without a record.
    files : list of str
        Masks, weights and others, by their path in its folder.
    numbers : dict of int to list of str
        By level that has a record, the numbers that nobody has told here.
    epochs : list of int
        Levels whose curve is shorter here, or not there.
    """

    levels: list[int]
    files: list[str]
    numbers: dict[int, list[str]]
    epochs: list[int]


@dataclass(frozen=True)
class Held:
    """A run and all that there is of it.

    Attributes
    ----------
    run_id : str
        The run.
    description : Description
        What it is.
    text : str
        The `run.json` that says so; empty where none does yet.
    records : mapping of int to pyarrow.Table
        By level, ascending; layers in the order of the forward pass.
    loose : mapping of int to Path
        The files of those records that are not compacted.
    files : mapping of str to Path
        Masks, weights, the checkpoint and whatever else lies in its folder, by the path there.
    epochs : tuple of Epoch
        The curve inside its levels.
    """

    run_id: str
    description: Description
    text: str
    records: Mapping[int, pa.Table]
    loose: Mapping[int, Path]
    files: Mapping[str, Path]
    epochs: tuple[Epoch, ...] = ()

    @classmethod
    def of(cls, snapshot: Snapshot, run_id: str) -> Held:
        """Read a run of a store.

        Raises
        ------
        RecordError
            A record is broken.
        FileNotFoundError
            A compaction has replaced a file: look at the store again.
        """
        manifest, run = snapshot.manifest, snapshot.loose.get(run_id)
        paths = {level: Path(path) for level, path in run.records.items()} if run else {}
        records = {level: read_record(path) for level, path in paths.items()}
        if manifest.levels(run_id):
            for level, table in manifest.read_records(run_id).items():
                records[level] = validate(table, f"run {run_id}, level {level}, compacted")
        text = run.text if run else manifest.read_description(run_id)
        folder = RunFolder.of(manifest.store, run_id)
        return cls(
            run_id=run_id,
            description=Description.parse(text, f"run {run_id}"),
            text=text,
            records={level: records[level].sort_by("layer_index") for level in sorted(records)},
            loose=paths,
            files=dict(_files(folder)),
            epochs=tuple(folder.read_epochs()),
        )

    @property
    def last(self) -> int:
        """Its highest level; -1 without any."""
        return max(self.records, default=-1)

    @property
    def is_import(self) -> bool:
        """Whether others made it, so that its numbers are told by whoever knows them."""
        return self.description.source != OWN

    def lacks(self, other: Held) -> Lacking:
        """List what another holding of this run has and this one not."""
        levels = sorted(other.records.keys() - self.records.keys())
        files = sorted(other.files.keys() - self.files.keys() - {CHECKPOINT})
        common = sorted(other.records.keys() & self.records.keys()) if self.is_import else []
        untold = {n: _untold(self.records[n], other.records[n]) for n in common}
        told = {n: names for n, names in untold.items() if names}
        here, there = by_level(self.epochs), by_level(other.epochs)
        longer = [n for n in sorted(there) if len(there[n]) > len(here.get(n, []))]
        return Lacking(levels, files, told, longer)

    def with_all(self, other: Held) -> Held:
        """Return this run with what it lacks and another holding of it has.

        A record after a gap that the other one fills learns what it lacked, and so does one of an
        import whose numbers nobody has told here. The state inside a level is that of the longer.
        """
        records = _joined(other, self)
        description = _described(other, self)
        longer = other if other.last > self.last else self
        files = {**other.files, **self.files}
        files.pop(CHECKPOINT, None)
        if CHECKPOINT in longer.files:
            files[CHECKPOINT] = longer.files[CHECKPOINT]
        return Held(
            run_id=self.run_id,
            description=description,
            text=longer.text if description == longer.description else "",
            records=records,
            loose={
                level: held.loose[level]
                for held in (other, self)
                for level in held.loose
                if records[level] is held.records[level]
            },
            files=files,
            epochs=tuple(joined(self.epochs, other.epochs)),
        )

    def write(self, folder: RunFolder, link_from: Path) -> None:
        """Write all of it, not yet flushed, into an empty folder.

        Parameters
        ----------
        folder : RunFolder
            Where.
        link_from : Path
            Files below this folder are linked, since they are never changed; others are copied.

        Raises
        ------
        OSError
            The disk is full or not writable.
        """
        for level, table in self.records.items():
            if level in self.loose:
                copy(self.loose[level], folder.record(level), link_from)
            else:
                write_record(folder.record(level), table, flush=False)
        for name, path in self.files.items():
            copy(path, folder.path / name, link_from)
        own = (dataclasses.replace(epoch, run_id=self.run_id) for epoch in self.epochs)
        write_epochs(folder.epochs, own, flush=False)
        if self.text:
            write_atomic(folder.description, self.text.encode(), flush=False)
        else:
            self.description.write(folder.description, flush=False)


def copy(source: Path, target: Path, link_from: Path) -> None:
    """Copy a file, or link it where it lies below `link_from` and the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_relative_to(link_from) and not source.is_symlink():
        with contextlib.suppress(OSError):
            target.hardlink_to(source)
            return
    shutil.copyfile(source, target)


def _files(folder: RunFolder) -> Iterator[tuple[str, Path]]:
    """List what lies in the folder of a run beside description, records and locks."""
    for path in sorted(folder.path.rglob("*")):
        name = path.relative_to(folder.path)
        hidden = any(part.startswith(".") for part in name.parts)
        if not hidden and name.parts[0] not in _NOT_COPIED and path.is_file():
            yield name.as_posix(), path


def difference(here: Held, there: Held) -> str:
    """Say where two runs contradict each other; empty where they are one, as far as both go.

    What a repetition on the same machine may change is no difference, and neither is what a record
    after a gap does not know of the level before, or a number of an import that nobody has told.
    """
    for level in sorted(here.records.keys() & there.records.keys()):
        one, other = here.records[level], there.records[level]
        if columns := _differing(one, other, told_later=here.is_import and there.is_import):
            return f"other {', '.join(columns)} at level {level}"
    joined = {**here.records, **there.records}
    if len({tuple(_rows(table, "layer")) for table in joined.values()}) > 1:
        return "other layers"
    for level, table in joined.items():
        before = joined.get(level - 1)
        if before is not None and not _same(_rows(table, "kept_prev"), _rows(before, "kept")):
            return f"another level {level - 1} before level {level}"
    return ""


def _joined(here: Held, there: Held) -> dict[int, pa.Table]:
    """Return the records of two holdings of a run, by level, ascending, as of `there`."""
    found = {level: _of_run(table, there.run_id) for level, table in here.records.items()}
    for level, table in there.records.items():
        known = found.get(level) if there.is_import else None
        found[level] = table if known is None else _taught(table, known, _untold(table, known))
    return {level: _after(found[level], found.get(level - 1)) for level in sorted(found)}


def _described(here: Held, there: Held) -> Description:
    """Return the description of two holdings of a run: of one of rgtool the longer one's."""
    one, other = here.description, there.description
    levels = max(one.levels, other.levels)
    if other.source == OWN:
        return dataclasses.replace(one if here.last > there.last else other, levels=levels)
    known = {_name(alias) for alias in other.aliases}
    return dataclasses.replace(
        other,
        levels=levels,
        files=tuple({f["path"]: f for f in (*one.files, *other.files)}.values()),
        aliases=(*other.aliases, *(a for a in one.aliases if _name(a) not in known)),
        mask_digests={**one.mask_digests, **other.mask_digests},
        updated_at=max(one.updated_at, other.updated_at),
    )


def _name(alias: Mapping[str, Any]) -> tuple[Any, ...]:
    return alias["experiment"], alias.get("replicate"), alias.get("variant")


def _of_run(table: pa.Table, run_id: str) -> pa.Table:
    import pyarrow as pa

    if table["run_id"][0].as_py() == run_id:
        return table
    place = table.schema.get_field_index("run_id")
    column = pa.array([run_id] * table.num_rows, pa.string())
    return table.set_column(place, table.schema.field(place), column)


def _after(table: pa.Table, before: pa.Table | None) -> pa.Table:
    """Return a record with what it should know of the level before."""
    if before is None or not table["kept_prev"].null_count:
        return table
    for name, of in _PREVIOUS.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), before[of])
    return table


def _untold(table: pa.Table, other: pa.Table) -> list[str]:
    """Name the numbers of a level that one record has not and another has."""
    return [
        name
        for name in _NUMBERS
        if None in _told(table, name)
        and None not in _told(other, name)
        and _rows(table, name) != _rows(other, name)
    ]


def _told(table: pa.Table, name: str) -> list[Any]:
    """Return a number of a level; that training went well is told by its loss alone."""
    rows = _rows(table, name)
    untold = name == "diverged" and table["loss"].null_count and not any(rows)
    return [None] * len(rows) if untold else rows


def _taught(table: pa.Table, other: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return a record with what another tells under these names."""
    for name in names:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), other[name])
    return table


def _differing(one: pa.Table, other: pa.Table, *, told_later: bool) -> list[str]:
    """Name the columns in which two records of a level differ."""
    numbers = _NUMBERS if told_later else ()
    differing = [n for n in numbers if not _same(_told(one, n), _told(other, n))]
    return differing + [
        name
        for name in _CONTENT
        if name not in numbers
        and not _same(_rows(one, name), _rows(other, name), null_is_any=name in _PREVIOUS)
    ]


def _rows(table: pa.Table, name: str) -> list[Any]:
    rows: list[Any] = table[name].to_pylist()
    return rows


def _same(one: list[Any], other: list[Any], *, null_is_any: bool = True) -> bool:
    if null_is_any and (one.count(None) == len(one) or other.count(None) == len(other)):
        return True
    return len(one) == len(other) and all(map(_equal, one, other))


def _equal(one: Any, other: Any) -> bool:
    both = isinstance(one, float) and isinstance(other, float)
    return one == other or (both and math.isnan(one) and math.isnan(other))
