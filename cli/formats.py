"""Rows as text: for people in a terminal or in Markdown, for programs as JSON, CSV or Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..schemas.display import Cells, Row
from ..schemas.errors import RgtoolError, printable
from .terminal import encodes, is_terminal, write

if TYPE_CHECKING:
    import pyarrow as pa

_WIDEST = 60  # characters of a cell on a terminal


def write_json(columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a list of objects, one a line."""
    before = "["
    for row in rows:
        write(before + _object(dict(zip(columns, row, strict=True))))
        before = ",\n "
    write("]\n" if before != "[" else "[]\n")


def _object(values: Mapping[str, Any]) -> str:
    # Outside its strings JSON is ASCII, so what is escaped stays the same value.
    text = json.dumps(_for_json(values), ensure_ascii=False, default=str)
    if text.isprintable() and encodes(text):
        return text
    return "".join(c if c.isprintable() and encodes(c) else json.dumps(c)[1:-1] for c in text)


def _for_json(value: Any) -> Any:
    """Replace what JSON has no number for (NaN, infinities) by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _for_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(item) for item in value]
    return value


def write_csv(columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write comma-separated values; escaped only where they go to a terminal."""
    terminal = is_terminal()
    lines = itertools.chain([tuple(columns)], rows)
    while some := list(itertools.islice(lines, 10_000)):
        if terminal:
            some = [tuple(printable(v) if isinstance(v, str) else v for v in row) for row in some]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(some)
        write(text.getvalue())


def write_parquet(batches: pa.RecordBatchReader) -> None:
    """Write Parquet, a row group a batch.

    Raises
    ------
    RgtoolError
        A column is of a type that Parquet does not have.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetWriter(_Out(), batches.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
    except pa.ArrowNotImplementedError as error:
        raise RgtoolError(
            f"{error}: cast the column in the query, to VARCHAR for example"
        ) from None


class _Out(io.RawIOBase):
    """Standard output as Arrow wants it."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        write(bytes(data))
        return len(data)


def arrow(columns: Sequence[str], rows: Sequence[Row]) -> pa.RecordBatchReader:
    """Return rows as Arrow batches, of the types that their values have."""
    import pyarrow as pa

    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    table = pa.table([pa.array(list(column)) for column in values], names=list(columns))
    return table.to_reader()


def markdown(lines: Cells) -> str:
    """Write lines of cells, the names first, as a Markdown table."""
    escaped = [[cell.replace("\\", "\\\\").replace("|", "\\|") for cell in line] for line in lines]
    escaped.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def rich(lines: Cells, right: Sequence[bool]) -> str:
    """Draw for a terminal; what is too wide for it goes on below, beginning with column 1 again."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    names, *rows = lines
    widths = [min(_WIDEST, max(map(len, column))) for column in zip(*lines, strict=True)]
    with console.capture() as drawn:
        for places in groups_of_columns(widths, console.width):
            shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
            for i in places:
                shown.add_column(
                    Text(names[i]),
                    justify="right" if right[i] else "left",
                    overflow="fold",
                    max_width=_WIDEST,
                    no_wrap=right[i],
                )
            for row in rows:
                shown.add_row(*(Text(row[i]) for i in places))
            console.print(shown)
    return drawn.get()


def groups_of_columns(widths: Sequence[int], room: int) -> list[list[int]]:
    """Divide columns into as many tables as fit into `room`, each with column 0 first.

    Examples
    --------
    >>> groups_of_columns([8, 10, 10, 10], 40)
    [[0, 1, 2], [0, 3]]
    """
    between = 3
    groups, used = [[0]], widths[0] + between
    for i, width in enumerate(widths[1:], 1):
        if len(groups[-1]) > 1 and used + width + between > room:
            groups.append([0])
            used = widths[0] + between
        groups[-1].append(i)
        used += width + between
    return groups
