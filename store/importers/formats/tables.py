"""Tables of counts, CSV or Parquet: experiment, seed, level, group, kept, total [, accuracy].

A row a group and level; groups in the order of their first appearance. Where they are named as
blocks (`1.0`, `stem`) or stages (`1`) are, they count as such.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    import pyarrow.parquet as pq

FORMAT = "table"
REQUIRED = ("experiment", "seed", "level", "group", "kept", "total")
OTHER = f"not a table of counts: the columns {', '.join(REQUIRED)} are due"
_MAX_ROWS = 5_000_000
Row = tuple[str, str, int, str, int, int, float | None]


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
    table: dict[tuple[str, str], dict[int, dict[str, tuple[int, int, float | None]]]] = {}
    for experiment, seed, level, group, kept, total, accuracy in rows:
        groups = table.setdefault((experiment, seed), {}).setdefault(level, {})
        if group in groups:
            raise Refused(
                f"{path}: {experiment}, seed {seed}, level {level}: {group} stands there twice"
            )
        groups[group] = (kept, total, accuracy)
    return [
        FoundRun(
            format=FORMAT,
            path=path,
            experiment=experiment,
            replicate=seed,
            seed=int(seed) if seed.isdecimal() and len(seed) < 18 else None,
            levels=tuple(
                FoundLevel(level, (path,), partial(_level, path, groups))
                for level, groups in sorted(levels.items())
            ),
            inferred={"level": "the column level"},
        )
        for (experiment, seed), levels in table.items()
    ]


def _level(path: Path, groups: Mapping[str, tuple[int, int, float | None]]) -> LevelData:
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
        parquet = pq.ParquetFile(io.BytesIO(path.read_bytes()))
        names = parquet.schema_arrow.names
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise Unreadable(f"{path}: not readable as Parquet ({str(error)[:80]})") from None
    if not set(REQUIRED) <= set(names):
        return None
    if parquet.metadata.num_rows > _MAX_ROWS:
        raise Refused(f"{path}: {parquet.metadata.num_rows} rows are too many for counts")
    return _checked(path, _batches(path, parquet, [*REQUIRED, *({"accuracy"} & set(names))]))


def _batches(path: Path, parquet: pq.ParquetFile, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, a few at a time: it may claim more than it holds."""
    import pyarrow as pa

    try:
        for batch in parquet.iter_batches(1000, columns=columns):
            yield from batch.to_pylist()
    except MemoryError:
        raise Refused(f"{path}: reading it takes more memory than there is") from None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise Unreadable(f"{path}: not readable as Parquet ({str(error)[:80]})") from None


def _checked(path: Path, rows: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
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
    if not text or not text.isprintable() or len(text) > 200:
        raise ValueError(f"{name} is no plain text")
    return text


def _whole(row: Mapping[str, Any], name: str) -> int:
    value = row[name]
    number = int(value) if isinstance(value, str) else value
    if isinstance(number, bool) or number != int(number) or number < 0:
        raise ValueError(f"{name} is {value}: a whole number from 0 on is due")
    return int(number)
