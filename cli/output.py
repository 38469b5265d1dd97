"""One way to print: a table for people, and the same data for programs.

A command returns a `Table`; `output_options` adds the options and prints it. Standard output
carries data only; titles and notes go to standard error.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..schemas.display import Shown, Table, cells, numeric, plain
from ..schemas.errors import UsageError
from ..schemas.notes import LeftOut, shown_lines
from ..schemas.spelling import spelled_for
from ..schemas.words import ASCII_BARS, BARS, duration, size
from . import formats
from .terminal import encodes, flush, is_terminal, say, write

if TYPE_CHECKING:
    import pyarrow as pa

    from ..runner.event import Event
    from ..store.sql.broken import Problem
    from ..store.sql.result import Result as Rows

__all__ = [
    "Stream", "Table", "bars", "duration", "output_options", "print_table", "say", "say_event",
    "size", "table_of", "warn_of",
]  # fmt: skip


@dataclass(frozen=True)
class Stream:
    """Rows of a query, which are printed as they come: memory holds a part of them.

    Attributes
    ----------
    parts : callable
        Begins to read: results, one after the other, the first of which may be empty.
    batches : callable
        Begins to read: the same as Arrow batches.
    count : callable
        Counts all rows.
    most : int or None
        Rows that people see; None: all. Programs always get all.
    """

    parts: Callable[[], Generator[Rows, None, None]]
    batches: Callable[[], pa.RecordBatchReader]
    count: Callable[[], int]
    most: int | None = None

    def print(self, format_: str | None) -> None:
        """Print as `print_table` does."""
        if format_ == "parquet":
            formats.write_parquet(self.batches())
        elif format_ in ("json", "csv"):
            parts = self.parts()
            first = next(parts)
            rows = (row for part in itertools.chain([first], parts) for row in part.rows)
            {"json": formats.write_json, "csv": formats.write_csv}[format_](first.columns, rows)
        else:
            self._print_first(format_)
        flush()

    def _print_first(self, format_: str | None) -> None:
        columns: tuple[str, ...] = ()
        rows: list[tuple[Any, ...]] = []
        with contextlib.closing(self.parts()) as parts:
            for part in parts:
                columns = part.columns
                rows += part.rows
                if self.most is not None and len(rows) > self.most:
                    break
        _print_for_people(Table(columns, rows[: self.most]), format_)
        if self.most is not None and len(rows) > self.most:
            flush()  # counting may take as long as the query
            say(
                f"the first {self.most} of {self.count()} rows; --rows 0 shows all, and --csv, "
                "--json and --parquet write all"
            )


def table_of(found: Shown, *, top: int = 0, exit_code: int = 0) -> Table:
    """Turn a result into a table: all of its columns, of which people see those it says.

    Parameters
    ----------
    found : Shown
        A result, a list, a spectrum of the literature.
    top : int
        Rows to print in every format; 0: all.
    exit_code : int
        As in `Table`; 3 where the result says that an experiment is left out.
    """
    table = found.table().first(top, "--top 0 prints all")
    partly = 3 if any(isinstance(note, LeftOut) for note in table.notes) else 0
    return replace(table, exit_code=exit_code or partly)


def warn_of(problems: Iterable[Problem]) -> None:
    """Name the files that were left out, or made again."""
    for problem in problems:
        say(f"{'left out' if problem.is_left_out else 'note'}: {problem}")


def say_event(event: Event) -> None:
    """Tell of a level that is recorded, and of what went wrong, where no bar shows it."""
    if event.kind == "level":
        say(f"seed {event.seed} level {event.level}: {event.reached}")
    elif event.message:
        say(f"seed {event.seed}: {event.message}")


_OPTIONS: dict[str, Any] = {
    "as_json": Annotated[bool, typer.Option("--json", help="A list of objects.")],
    "as_csv": Annotated[bool, typer.Option("--csv", help="Comma-separated values.")],
    "as_parquet": Annotated[bool, typer.Option("--parquet", help="Parquet, for redirection.")],
    "as_md": Annotated[bool, typer.Option("--md", help="A Markdown table.")],
}

_NOTES: dict[str, Any] = {
    "notes": Annotated[bool, typer.Option("--notes", help="All notes, not the three that matter.")],
}


def output_options(command: Callable[..., Table | Stream | None]) -> Callable[..., None]:
    """Give a command the options of all tables and print what it returns."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        every = kwargs.pop("notes", False)
        chosen = [name[3:] for name in _OPTIONS if kwargs.pop(name)]
        if len(chosen) > 1:
            raise UsageError(f"--{chosen[0]} and --{chosen[1]} together: choose one format")
        if chosen == ["parquet"] and is_terminal():
            raise UsageError(
                "--parquet writes bytes: redirect them, as in ... --parquet > x.parquet"
            )
        with spelled_for(_names_of(command)):
            table = command(*args, **kwargs)
        if table is not None:
            print_table(table, chosen[0] if chosen else None, every)
            if isinstance(table, Table) and table.exit_code:
                raise typer.Exit(table.exit_code)

    signature = inspect.signature(command, eval_str=True)
    options = {**_NOTES, **_OPTIONS} if signature.return_annotation is not Stream else _OPTIONS
    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=hint)
        for name, hint in options.items()
    ]
    parameters = [*signature.parameters.values(), *extra]
    wrapper.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


def _names_of(command: Callable[..., Any]) -> list[str]:
    """Return the options of a command, as people write them."""
    names = inspect.signature(command).parameters
    return [f"--{name.strip('_').replace('_', '-')}" for name in names]


def print_table(
    table: Table | Stream, format_: str | None = None, every_note: bool = False
) -> None:
    """Print a table: `json`, `csv`, `parquet`, `md`, or for people where None."""
    if isinstance(table, Stream):
        table.print(format_)
        return
    above, below = shown_lines(table.notes, every_note)
    for line in above:
        say(line)
    for line in table.title.splitlines() if format_ is None else ():
        say(line)
    if format_ == "json":
        formats.write_json(table.columns, table.rows)
    elif format_ == "csv":
        formats.write_csv(table.columns, table.rows)
    elif format_ == "parquet":
        formats.write_parquet(formats.arrow(table.columns, table.rows))
    else:
        _print_for_people(table, format_)
    flush()
    for line in below if format_ != "parquet" else ():
        say(line)


def _print_for_people(table: Table, format_: str | None) -> None:
    shown = table if format_ == "md" else table.for_people()
    lines = cells(shown.columns, shown.rows, shown.formats)
    if format_ == "md":
        write(formats.markdown(lines))
        return
    right = numeric(shown.columns, shown.rows)
    write(formats.rich(lines, right) if is_terminal() else plain(lines, right))


def bars() -> str:
    """Return the bars of a sparkline that standard output can show: ASCII where it must be."""
    return BARS if encodes(BARS) else ASCII_BARS
