"""Tables as people see them: in a terminal's columns, and in a notebook as HTML.

What people read is escaped where it is no sign: a name from a file neither moves the cursor nor
turns the text around. What programs read is the value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, ClassVar

from .errors import printable
from .notes import shown_lines

Row = tuple[Any, ...]
Cells = Sequence[Sequence[str]]  # a line a row, the names of the columns first
_MORE = ".notes has them"
# No colours: a notebook's own are readable, on a light page and on a dark one. A wide table scrolls
# by itself; its title and its notes keep to the width of the page.
_CAPTION = "font-weight:bold;white-space:pre-line"
_SHORT = 40  # characters of a cell that stays on one line: numbers, ids, labels, times
_ONE_LINE, _LINES = "white-space:nowrap", "min-width:24em;overflow-wrap:anywhere"


@dataclass(frozen=True)
class Table:
    """Rows with a title above and notes below: what a command prints and a notebook shows.

    Attributes
    ----------
    columns : tuple of str
        Names.
    rows : sequence of tuple
        Values as Python has them: numbers stay numbers in every format for programs.
    title : str
        Shown above the table.
    notes : tuple of str
        Shown below the table: plain text always, of the notes of an analysis those that matter
        most; such as make the numbers void before anything else.
    formats : dict of str to str
        Format of a column in the table for people, such as `.3f`; default `.6g` for floats.
    shown : tuple of str
        The columns that people see; empty: all. Programs always get all.
    people : Table or None
        Other cells that people see of these rows, such as `3/16` of two numbers.
    exit_code : int
        How a command ends after printing: 3 where a part of what was asked is missing.
    """

    columns: tuple[str, ...]
    rows: Sequence[Row]
    title: str = ""
    notes: tuple[str, ...] = ()
    formats: Mapping[str, str] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    people: Table | None = None
    exit_code: int = 0

    def for_people(self) -> Table:
        """Return the table with the columns that people see."""
        if self.people is not None:
            told = self.people.for_people()
            return replace(told, title=self.title, notes=self.notes, exit_code=self.exit_code)
        if not self.shown:
            return self
        places = [self.columns.index(name) for name in self.shown]
        rows = [tuple(row[i] for i in places) for row in self.rows]
        return replace(self, columns=self.shown, rows=rows, shown=())

    def first(self, most: int, whole: str) -> Table:
        """Return the first rows, with a note of what has all; 0: all are returned.

        Examples
        --------
        >>> Table(("n",), [(1,), (2,), (3,)]).first(2, "--top 0 prints all").notes
        ('2 of 3 rows; --top 0 prints all',)
        """
        if not 0 < most < len(self.rows):
            return self
        note = f"{most} of {len(self.rows):,} rows; {whole}"
        people = self.people and replace(self.people, rows=self.people.rows[:most])
        return replace(self, rows=self.rows[:most], notes=(note, *self.notes), people=people)

    def text(self) -> str:
        """Return title, the columns that people see and notes, as plain text.

        Examples
        --------
        >>> print(Table(("name", "n"), [("a", 1), ("b", 20)], title="letters").text())
        letters
        name   n
        a      1
        b     20
        """
        seen = self.for_people()
        above, below = shown_lines(self.notes, more=_MORE)
        lines = cells(seen.columns, seen.rows, seen.formats)
        drawn = plain(lines, numeric(seen.columns, seen.rows)).split("\n")[:-1]
        title = _lines(self.title)
        return "\n".join([*map(printable, above), *title, *drawn, *map(printable, below)])

    def html(self) -> str:
        """Return title, the columns that people see and notes, as HTML."""
        seen = self.for_people()
        above, below = shown_lines(self.notes, more=_MORE)
        lines = cells(seen.columns, seen.rows, seen.formats)
        return "".join(
            [
                '<figure style="margin:0">',
                *(f"<p><strong>{escape(printable(line))}</strong></p>" for line in above),
                _html_caption(self.title),
                '<div style="overflow-x:auto">',
                html(lines, numeric(seen.columns, seen.rows)),
                "</div>",
                _html_list(below),
                "</figure>",
            ]
        )


class Shown:
    """What can be seen as a table: as text, and by itself in IPython and in a notebook.

    Attributes
    ----------
    most : int
        Rows that people see; 0: all.
    whole : str
        What has all of them, the end of a sentence.
    """

    most: ClassVar[int] = 0
    whole: ClassVar[str] = "to_frame() has all"

    def table(self) -> Table:
        """Return the table that the command line prints."""
        raise NotImplementedError

    def summary(self) -> str:
        """Return title, table and notes as plain text, as the command line shows them."""
        return self._seen().text()

    def __str__(self) -> str:
        """Return what people read, see `summary`."""
        return self.summary()

    def _repr_html_(self) -> str:
        return self._seen().html()

    def _repr_mimebundle_(self, **wanted: Any) -> dict[str, str]:
        seen = self._seen()
        return {"text/plain": seen.text(), "text/html": seen.html()}

    def _seen(self) -> Table:
        return self.table().first(self.most, self.whole)


def cells(
    columns: Sequence[str], rows: Iterable[Row], formats: Mapping[str, str]
) -> list[list[str]]:
    """Write values for people, the names of the columns first."""
    return [
        [printable(name) for name in columns],
        *(
            [printable(_cell(v, formats.get(c))) for c, v in zip(columns, row, strict=True)]
            for row in rows
        ),
    ]


def _cell(value: Any, format_: str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return format(value, format_ or ".6g") if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value)
    return str(value)


def numeric(columns: Sequence[str], rows: Sequence[Row]) -> list[bool]:
    """Tell which columns hold numbers only: those are aligned to the right."""
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    return [
        any(v is not None for v in column)
        and all(isinstance(v, int | float | None) and not isinstance(v, bool) for v in column)
        for column in values
    ]


def plain(lines: Cells, right: Sequence[bool]) -> str:
    """Write lines of cells in columns, for a pipe."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(
            cell.rjust(width) if r else cell.ljust(width)
            for cell, width, r in zip(line, widths, right, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def html(lines: Cells, right: Sequence[bool]) -> str:
    """Write lines of cells as an HTML table."""

    def cell(tag: str, text: str, is_right: bool) -> str:
        side, fits = "right" if is_right else "left", tag == "th" or len(text) <= _SHORT
        style = f"text-align:{side};vertical-align:top;{_ONE_LINE if fits else _LINES}"
        return f'<{tag} style="{style}">{escape(text)}</{tag}>'

    def line(tag: str, texts: Sequence[str]) -> str:
        inner = (cell(tag, text, r) for text, r in zip(texts, right, strict=True))
        return f"<tr>{''.join(inner)}</tr>"

    head, *rows = lines
    body = "".join(line("td", row) for row in rows)
    digits = "margin:0;font-variant-numeric:tabular-nums"
    table = f"<thead>{line('th', head)}</thead><tbody>{body}</tbody>"
    return f'<table style="{digits}">{table}</table>'


def _lines(title: str) -> list[str]:
    return [printable(line) for line in title.split("\n")] if title else []


def _html_caption(title: str) -> str:
    above = escape("\n".join(_lines(title)))
    return f'<figcaption style="{_CAPTION}">{above}</figcaption>' if title else ""


def _html_list(texts: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(printable(text))}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""
