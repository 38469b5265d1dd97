"""One way to print: a table for people, and the same data for programs.

A command returns a `Table`; `output_options` adds the options and prints it. Standard output
carries data only; titles and notes go to standard error.
"""

from __future__ import annotations

import functools
import inspect
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..schemas.errors import UsageError

if TYPE_CHECKING:
    from ..analysis.result import Result

_WIDEST = 60  # characters of a cell on a terminal


@dataclass(frozen=True)
class Table:
    """Rows for printing.

    Attributes
    ----------
    columns : tuple of str
        Names.
    rows : sequence of tuple
        Values as Python has them: numbers stay numbers in every format for programs.
    title : str
        Shown above the table.
    notes : tuple of str
        Shown below the table.
    formats : dict of str to str
        Format of a column in the table for people, such as `.3f`; default `.6g` for floats.
    shown : tuple of str
        The columns that people see; empty: all. Programs always get all.
    exit_code : int
        How the command ends after printing: 3 where a part of what was asked is missing.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    title: str = ""
    notes: tuple[str, ...] = ()
    formats: dict[str, str] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    exit_code: int = 0

    def for_people(self) -> Table:
        """Return the table with the columns that people see."""
        if not self.shown:
            return self
        places = [self.columns.index(name) for name in self.shown]
        rows = [tuple(row[i] for i in places) for row in self.rows]
        return replace(self, columns=self.shown, rows=rows, shown=())


def table_of(found: Result, *, top: int = 0, exit_code: int = 0) -> Table:
    """Turn a result into a table: all of its columns, of which people see those it says.

    Parameters
    ----------
    found : Result
        What an analysis found.
    top : int
        Rows to print in every format; 0: all.
    exit_code : int
        As in `Table`.
    """
    frame, notes = found.to_frame(), tuple(found.notes)
    if 0 < top < len(frame):
        notes = (f"{top} of {len(frame)} rows; --top 0 prints all", *notes)
        frame = frame.head(top)
    return Table(
        tuple(frame.columns),
        frame.rows(),
        title=found.title,
        notes=notes,
        formats={column.name: column.format for column in found.columns if column.format},
        shown=tuple(column.name for column in found.shown(frame)),
        exit_code=exit_code,
    )


def say(text: str = "") -> None:
    """Print a line that is not data: to standard error."""
    print(text, file=sys.stderr, flush=True)


def warn_of(problems: Iterable[object]) -> None:
    """Name the files that were left out."""
    for problem in problems:
        say(f"left out: {problem}")


_OPTIONS: dict[str, Any] = {
    "as_json": Annotated[bool, typer.Option("--json", help="A list of objects.")],
    "as_csv": Annotated[bool, typer.Option("--csv", help="Comma-separated values.")],
    "as_parquet": Annotated[bool, typer.Option("--parquet", help="Parquet, for redirection.")],
    "as_md": Annotated[bool, typer.Option("--md", help="A Markdown table.")],
}


def output_options(command: Callable[..., Table | None]) -> Callable[..., None]:
    """Give a command the options `--json --csv --parquet --md` and print what it returns."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        chosen = [name[3:] for name in _OPTIONS if kwargs.pop(name)]
        if len(chosen) > 1:
            raise UsageError(f"--{chosen[0]} and --{chosen[1]} together: choose one format")
        if chosen == ["parquet"] and sys.stdout.isatty():
            raise UsageError(
                "--parquet writes bytes: redirect them, as in ... --parquet > x.parquet"
            )
        table = command(*args, **kwargs)
        if table is not None:
            print_table(table, chosen[0] if chosen else None)
            if table.exit_code:
                raise typer.Exit(table.exit_code)

    signature = inspect.signature(command, eval_str=True)
    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=hint)
        for name, hint in _OPTIONS.items()
    ]
    parameters = [*signature.parameters.values(), *extra]
    wrapper.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


def print_table(table: Table, format_: str | None = None) -> None:
    """Print a table: `json`, `csv`, `parquet`, `md`, or for people where None."""
    if format_ == "parquet":
        sys.stdout.buffer.write(_parquet(table))
        return
    if format_ is not None:
        sys.stdout.write({"json": _json, "csv": _csv, "md": _markdown}[format_](table))
        for note in table.notes:
            say(note)
        return
    if table.title:
        say(table.title)
    if sys.stdout.isatty():
        _print_rich(table.for_people())
    else:
        sys.stdout.write(_plain(table.for_people()))
    for note in table.notes:
        say(note)


def _json(table: Table) -> str:
    objects = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    lines = [json.dumps(_for_json(o), ensure_ascii=False, default=str) for o in objects]
    return "[" + ",\n ".join(lines) + "]\n"


def _for_json(value: Any) -> Any:
    """Replace what JSON has no number for (NaN, infinities) by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _for_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(item) for item in value]
    return value


def _csv(table: Table) -> str:
    import csv

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(["" if v is None else v for v in row] for row in table.rows)
    return text.getvalue()


def _markdown(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *_cells(table)]
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def _parquet(table: Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    arrays = [pa.array(list(column)) for column in columns]
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays, names=list(table.columns)), buffer)
    return buffer.getvalue()


def _cells(table: Table) -> list[list[str]]:
    return [
        [_cell(v, table.formats.get(c)) for c, v in zip(table.columns, row, strict=True)]
        for row in table.rows
    ]


def _cell(value: Any, format_: str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return format(value, format_ or ".6g") if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value)
    return str(value)


def _numeric(table: Table) -> list[bool]:
    """Tell which columns hold numbers only: those are aligned to the right."""
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    return [
        any(v is not None for v in column)
        and all(isinstance(v, int | float | None) and not isinstance(v, bool) for v in column)
        for column in columns
    ]


def _plain(table: Table) -> str:
    lines = [list(table.columns), *_cells(table)]
    lines = [[cell.replace("\n", " ") for cell in line] for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.columns))]
    right = _numeric(table)
    return "".join(
        "  ".join(
            cell.rjust(width) if r else cell.ljust(width)
            for cell, width, r in zip(line, widths, right, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def _print_rich(table: Table) -> None:
    """Print to a terminal; what is too wide for it goes on below, beginning with column 1 again."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console, rows = Console(), _cells(table)
    right = _numeric(table)
    widths = [
        min(_WIDEST, max(len(cell) for cell in (name, *cells)))
        for name, *cells in zip(table.columns, *rows, strict=True)
    ]
    for places in groups_of_columns(widths, console.width):
        shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for i in places:
            shown.add_column(
                Text(table.columns[i]),
                justify="right" if right[i] else "left",
                overflow="fold",
                max_width=_WIDEST,
                no_wrap=right[i],
            )
        for row in rows:
            shown.add_row(*(Text(row[i]) for i in places))
        console.print(shown)


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


def sparkline(values: Sequence[float]) -> str:
    """Draw numbers as bars between their own minimum and maximum.

    Examples
    --------
    >>> sparkline([0.0, 0.5, 1.0])
    '▁▅█'
    """
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return ""
    low, width = min(finite), max(finite) - min(finite)
    bars = "▁▂▃▄▅▆▇█"
    return "".join(
        " " if not math.isfinite(v) else bars[round((v - low) / width * 7)] if width else bars[3]
        for v in values
    )


def duration(seconds: float) -> str:
    """Write a duration as people do.

    Examples
    --------
    >>> duration(42), duration(600), duration(9000), duration(0.2)
    ('42 s', '10 min', '2.5 h', 'a second')
    """
    if 0 < seconds < 1.5:
        return "a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def size(count: float) -> str:
    """Write a number of bytes as people do.

    Examples
    --------
    >>> size(34_000)
    '34 kB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
