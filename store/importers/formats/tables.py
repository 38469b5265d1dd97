"""Tables of counts, CSV or Parquet: experiment, seed, level, group, kept, total [, accuracy].

A row a group and level; groups in the order of their first appearance. Where they are named as
blocks (`1.0`, `stem`) or stages (`1`) are, they count as such.
"""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....schemas.files import read_file
from ..found import (
    Found,
    FoundLevel,
    FoundRun,
    LevelData,
    Refused,
    Skipped,
    Unreadable,
    contained,
)
from ..names import MAX_LEVEL
from ..safe import read_text
from ..tree import Tree

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FORMAT = "table"
REQUIRED = ("experiment", "seed", "level", "group", "kept", "total")
OTHER = f"not a table of counts: the columns {', '.join(REQUIRED)} are due"
_MAX_ROWS = 1_000_000
_MAX_LEVELS = 200_000  # of all runs of a table
_MAX_TEXT = 200  # characters of a cell
_MAX_DECODED = 64 << 20  # bytes of a row group: a few bytes of run lengths may claim any number
Row = tuple[str, str, int, str, int, int, float | None]
Groups = dict[str, tuple[int, int, float | None]]  # by name: kept, total, accuracy


def find(tree: Tree) -> Found:
    """Find tables of counts in a tree; a table of anything else is somebody else's business."""
    runs: list[FoundRun] = []
    claimed: set[Path] = set()
    skipped: list[Skipped] = []
    for path in tree.files:
        if path.suffix.lower() not in (".csv", ".parquet"):
            continue
        claimed.add(path)
        with contained(path, skipped):
            rows = _rows(path)
            if rows is not None:
                runs += _runs(path, rows)
            elif path == tree.root:
                skipped.append(Skipped(str(path), OTHER))
            else:
                claimed.remove(path)
    return Found(tuple(runs), frozenset(claimed), tuple(skipped))


def _runs(path: Path, rows: Iterable[Row]) -> list[FoundRun]:
    return [
        FoundRun(
            format=FORMAT,
            path=path,
            experiment=experiment,
            replicate=seed,
            seed=int(seed) if seed.isdecimal() and len(seed) < 18 else None,
            levels=tuple(
                FoundLevel(level, (path,), partial(_level_of, path, groups))
                for level, groups in sorted(levels.items())
            ),
            inferred={"level": "the column level"},
        )
        for (experiment, seed), levels in _by_level(path, rows).items()
    ]


def _by_level(path: Path, rows: Iterable[Row]) -> dict[tuple[str, str], dict[int, Groups]]:
    """Gather rows by experiment and seed, by level, by group."""
    table: dict[tuple[str, str], dict[int, Groups]] = {}
    found = 0
    for experiment, seed, level, group, kept, total, accuracy in rows:
        levels = table.setdefault((experiment, seed), {})
        if level not in levels:
            levels[level] = {}
            found += 1
            if found > _MAX_LEVELS:
                raise Refused(f"{path}: more than {_MAX_LEVELS:,} levels of runs: split the table")
        if group in levels[level]:
            raise Refused(
                f"{path}: {experiment}, seed {seed}, level {level}: {group} stands there twice"
            )
        levels[level][sys.intern(group)] = (kept, total, accuracy)
    return table


def _level_of(path: Path, groups: Groups) -> LevelData:
    accuracies = {accuracy for _, _, accuracy in groups.values()}
    if len(accuracies) > 1:
        raise Refused(f"{path}: the groups of one level tell different accuracies")
    accuracy = accuracies.pop()
    if accuracy is not None and accuracy > 1:
        raise Refused(f"{path}: accuracy {accuracy:g}: a fraction is due, not percent")
    return LevelData(
        {name: (total,) for name, (_, total, _) in groups.items()},
        kept={name: kept for name, (kept, _, _) in groups.items()},
        numbers={"accuracy": accuracy},
    )


def _rows(path: Path) -> Iterator[Row] | None:
    """Open a table; None where its columns are others."""
    if path.suffix.lower() == ".csv":
        try:
            reader = csv.DictReader(
                io.StringIO(read_text(path).removeprefix("\ufeff")), strict=True
            )
            if not set(REQUIRED) <= set(reader.fieldnames or ()):
                return None
        except csv.Error as error:
            raise Unreadable(f"{path}: not readable as CSV ({error})") from None
        return _checked(path, _csv_rows(path, reader))
    return _parquet(path)


def _csv_rows(path: Path, reader: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    try:
        yield from reader
    except csv.Error as error:
        raise Unreadable(f"{path}: not readable as CSV ({error})") from None


def _parquet(path: Path) -> Iterator[Row] | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = read_file(path)
        parquet = pq.ParquetFile(io.BytesIO(data))
        names = parquet.schema_arrow.names
        if not set(REQUIRED) <= set(names):
            return None
        columns = [*REQUIRED, *({"accuracy"} & set(names))]
        _hold_small(path, parquet, columns)
        # A text is there once so, however many rows it stands in.
        parquet = pq.ParquetFile(io.BytesIO(data), read_dictionary=columns)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise Unreadable(f"{path}: not readable as Parquet ({str(error)[:80]})") from None
    return _checked(path, _parquet_batches(path, parquet, columns))


def _hold_small(path: Path, parquet: pq.ParquetFile, columns: Collection[str]) -> None:
    """Refuse columns of other types than counts have, and row groups that unpack to too much."""
    for field in parquet.schema_arrow:
        if field.name in columns and not _is_plain(field.type):
            kind = str(field.type)[:80]
            raise Refused(f"{path}: column {field.name} is {kind}: texts or numbers are due")
    for number in range(parquet.metadata.num_row_groups):
        group = parquet.metadata.row_group(number)
        chunks = (group.column(place) for place in range(group.num_columns))
        size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema in columns)
        if size > _MAX_DECODED:
            raise Refused(
                f"{path}: {group.num_rows} rows unpack to {size:,} bytes, at most {_MAX_DECODED:,} "
                "are expected: write smaller row groups"
            )


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow.types as of

    if of.is_dictionary(kind):
        kind = kind.value_type
    texts = of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind)
    numbers = of.is_integer(kind) or of.is_floating(kind) or of.is_decimal(kind)
    return bool(texts or numbers or of.is_boolean(kind) or of.is_null(kind))


def _parquet_batches(
    path: Path, parquet: pq.ParquetFile, columns: list[str]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, a few at a time: it may claim more than it holds."""
    import pyarrow as pa

    try:
        for batch in parquet.iter_batches(1000, columns=columns):
            _hold_short(path, batch)
            yield from batch.to_pylist()
    except MemoryError:
        raise Refused(f"{path}: reading it takes more memory than there is") from None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise Unreadable(f"{path}: not readable as Parquet ({str(error)[:80]})") from None


def _hold_short(path: Path, batch: pa.RecordBatch) -> None:
    """Refuse long texts before they are repeated in every row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if isinstance(column, pa.DictionaryArray):
            longest = pc.max(pc.utf8_length(column.dictionary)).as_py()
            if longest is not None and longest > _MAX_TEXT:
                raise Refused(f"{path}: {name} of {longest:,} characters is no plain text")


def _checked(path: Path, rows: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        if number > _MAX_ROWS:
            raise Refused(f"{path}: more than {_MAX_ROWS:,} rows: split the table")
        try:
            yield _row(row)
        except (ValueError, TypeError, OverflowError) as error:
            raise Refused(f"{path}: row {number}: {str(error)[:100]}") from None


def _row(row: Mapping[str, Any]) -> Row:
    experiment, seed, group = (_text(row, name) for name in ("experiment", "seed", "group"))
    level, kept, total = (_whole(row, name) for name in ("level", "kept", "total"))
    if level > MAX_LEVEL or total == 0 or total >= 2**31:
        raise ValueError(f"level {level} with {total} weights in all")
    if kept > total:
        raise ValueError(f"{kept} weights kept of {total}")
    accuracy = row.get("accuracy")
    number = None if accuracy in (None, "") else float(str(accuracy))
    if number is not None and not (math.isfinite(number) and number >= 0):
        raise ValueError(f"accuracy {number}")
    return experiment, seed, level, group, kept, total, number


def _text(row: Mapping[str, Any], name: str) -> str:
    text = str(row[name]).strip() if row[name] is not None else ""
    if not text or not text.isprintable() or len(text) > _MAX_TEXT:
        raise ValueError(f"{name} is no plain text")
    return text


def _whole(row: Mapping[str, Any], name: str) -> int:
    value = row[name]
    number = int(value) if isinstance(value, str) else value
    if isinstance(number, bool) or number != int(number) or number < 0:
        raise ValueError(f"{name} is {value}: a whole number from 0 on is due")
    return int(number)
