"""Tables of counts, CSV or Parquet: experiment, seed, level, group, kept, total [, accuracy].

A row a group and level; groups in the order of their first appearance. Where they are named as
blocks (`1.0`, `stem`) or stages (`1`) are, they count as such.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ....schemas.tables import MAX_TEXT, is_table, label, number, open_table, shown
from ..found import Found, FoundLevel, FoundRun, LevelData, Refused, Skipped, contained
from ..ordering.names import MAX_LEVEL
from ..tree import Tree

FORMAT = "table"
REQUIRED = ("experiment", "seed", "level", "group", "kept", "total")
# What people call the accuracy; the first that is there counts.
_ACCURACIES = ("accuracy", "test_accuracy", "test accuracy", "test_acc", "test acc", "acc")
OTHER = f"not a table of counts: the columns {', '.join(REQUIRED)} are due"
_MAX_ROWS = 1_000_000
_MAX_LEVELS = 200_000  # of all runs of a table
Row = tuple[str, str, int, str, int, int, float | None]
Groups = dict[str, tuple[int, int, float | None]]  # by name: kept, total, accuracy


def find(tree: Tree) -> Found:
    """Find tables of counts in a tree; a table of anything else is somebody else's business."""
    runs: list[FoundRun] = []
    claimed: set[Path] = set()
    skipped: list[Skipped] = []
    for path in tree.files:
        if not is_table(path.name):
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
            part=f"{experiment}, seed {seed}",
            seed=int(seed) if seed.isdecimal() and len(seed) < 18 else None,
            levels=tuple(
                FoundLevel(level, (path,), partial(_level_of, groups))
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
                f"{path}: {experiment}, seed {seed}, level {level}: "
                f"group {group} stands there twice"
            )
        levels[level][sys.intern(group)] = (kept, total, accuracy)
    if not table:
        raise Refused(f"{path}: no rows: the columns are there, and nothing below them")
    return table


def _level_of(groups: Groups) -> LevelData:
    accuracies = {accuracy for _, _, accuracy in groups.values() if accuracy is not None}
    if len(accuracies) > 1:
        raise Refused("the groups tell different accuracies")
    accuracy = max(accuracies, default=None)
    if accuracy is not None and accuracy > 1:
        raise Refused(
            f"accuracy {accuracy:g}: a fraction is due, not percent: divide by 100, or head the "
            "column 'accuracy (%)'"
        )
    return LevelData(
        {name: (total,) for name, (_, total, _) in groups.items()},
        kept={name: kept for name, (kept, _, _) in groups.items()},
        numbers={"accuracy": accuracy},
    )


def _rows(path: Path) -> Iterator[Row] | None:
    """Open a table; None where its columns are others."""
    table = open_table(path)
    if not set(REQUIRED) <= set(table.names):
        return None
    accuracy = next((name for name in _ACCURACIES if name in table.names), "")
    return _checked(path, table.rows([*REQUIRED, *filter(None, [accuracy])]), accuracy)


def _checked(path: Path, rows: Iterable[Mapping[str, Any]], accuracy: str) -> Iterator[Row]:
    for count, row in enumerate(rows, start=1):
        if count > _MAX_ROWS:
            raise Refused(f"{path}: more than {_MAX_ROWS:,} rows: split the table")
        try:
            yield _row(row, accuracy)
        except (ValueError, TypeError, OverflowError) as error:
            whose = "".join(f", {name} {shown(row[name])}" for name in REQUIRED[:3])
            raise Refused(f"{path}: row {count}{whose}: {str(error)[:100]}") from None


def _row(row: Mapping[str, Any], accuracy: str) -> Row:
    experiment, group = (_text(row[name], name) for name in ("experiment", "group"))
    seed = _text(label(row["seed"]), "seed")
    level, kept, total = (_whole(row[name], name) for name in ("level", "kept", "total"))
    if level > MAX_LEVEL or total == 0 or total >= 2**31:
        raise ValueError(f"level {level} with {total} weights in all")
    if kept > total:
        raise ValueError(f"{kept} weights kept of {total}")
    return experiment, seed, level, group, kept, total, _accuracy(row.get(accuracy))


def _text(cell: object, name: str) -> str:
    text = str(cell).strip() if cell is not None else ""
    if not text or not text.isprintable() or len(text) > MAX_TEXT:
        raise ValueError(f"{name} is no plain text")
    return text


def _whole(cell: object, name: str) -> int:
    value = _number(cell, name, "a whole number from 0 on")
    if value is None or value < 0 or value != int(value):
        raise ValueError(f"{name} is {shown(cell)}: a whole number from 0 on is due")
    return int(value)


def _accuracy(cell: object) -> float | None:
    value = _number(cell, "accuracy", "a fraction")
    if value is not None and value < 0:
        raise ValueError(f"accuracy is {shown(cell)}: a fraction is due")
    return value


def _number(cell: object, name: str, due: str) -> float | None:
    try:
        return number(cell)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{name} is {shown(cell)}: {due} is due") from None
