"""A report as one HTML page, which opens from a disk and asks nobody for anything."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from ...schemas.display import Row, Table, cells, numeric
from ...schemas.notes import Note, Rank
from ...schemas.words import counted
from ..charts.theme import CONFIG
from . import markup, scripts
from .section import Contents, Listing, Section
from .thinning import Drawn

FILTERED = 6  # rows from which on a table is worth a box to filter it by
_UPRIGHT = 115  # letters beside each other that an upright sheet of paper has room for
_SHORT = 40  # characters of a cell that stays on one line
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="rgtool {version}">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
"""


def page(
    report: Contents, drawn: Sequence[Drawn], parts: Sequence[Any] = (), notice: str = ""
) -> str:
    """Write a report as HTML.

    Parameters
    ----------
    report : Contents
        What is told.
    drawn : sequence of Drawn
        The data of its charts, in their order.
    parts : sequence
        What their specifications refer to, see `sharing`.
    notice : str
        What the page does not have, and where it is.
    """
    head = _HEAD.format(
        policy=scripts.policy(),
        version=report.version,
        title=markup.text(report.title),
        style=scripts.style(),
    )
    charts = _Charts(drawn)
    written = [
        head,
        *_header(report, notice),
        *_navigation(report.sections),
        "<main>\n",
        *(one for section in report.sections for one in _section(section, charts)),
        "</main>\n",
        *_footer(report),
        _data("common", {"config": CONFIG, "parts": parts}),
        *(f"<script>{text}</script>\n" for text in scripts.scripts()),
        "</body>\n</html>\n",
    ]
    return "".join(written)


def _header(report: Contents, notice: str) -> Iterator[str]:
    made = report.made.astimezone(dt.UTC)
    yield f"<header>\n<h1>{markup.text(report.title)}</h1>\n"
    yield f'<p class="faint">Store {markup.text(report.store)}, read at <time datetime='
    yield f'"{made.isoformat()}">{made:%Y-%m-%d %H:%M:%S} UTC</time> by rgtool {report.version}. '
    yield "<button data-print>Print</button></p>\n"
    if report.every:
        yield '<p class="faint"><label><input type="checkbox" checked data-every='
        yield f'"{report.every:g}"> Rewritten every {report.every:g} s while runs go on: load it '
        yield "again by itself</label></p>\n"
    if notice:
        yield f'<p class="notice">{markup.text(notice)}</p>\n'
    yield '<noscript><p class="notice">Scripts are off: tables are as they are, and charts are not '
    yield "drawn. The scripts of this page fetch nothing.</p></noscript>\n"
    yield f'<ul class="summary">\n{"".join(map(_item, report.findings))}</ul>\n</header>\n'


def _item(sentence: str) -> str:
    return f"<li{_void(sentence)}>{markup.text(sentence)}</li>\n"


def _void(sentence: str) -> str:
    """Mark what makes numbers void."""
    void = isinstance(sentence, Note) and sentence.rank == Rank.VOID
    return ' class="void"' if void else ""


def _navigation(sections: Iterable[Section]) -> Iterator[str]:
    yield '<nav aria-label="Sections"><ul>\n'
    for one in sections:
        yield f'<li><a href="#{one.key}">{markup.text(one.title)}</a></li>\n'
    yield "</ul></nav>\n"


def _footer(report: Contents) -> Iterator[str]:
    yield '<footer><p class="faint">Numbers drawn and handed out here have seven digits; the '
    yield "queries give all. Queries are for <code>rgtool sql</code>; they and the commands mean "
    yield f"this store with <code>{markup.text(report.option)}</code>. This page holds all that it "
    yield "shows, and a policy in it forbids it to fetch anything. Charts are drawn by Vega, "
    yield "Vega-Lite and Vega-Embed (BSD licence).</p></footer>\n"


class _Charts:
    """The charts of a page as they are written, numbered as they come."""

    def __init__(self, drawn: Sequence[Drawn]) -> None:
        self._left, self._numbers = iter(drawn), count(1)

    def html(self) -> Iterator[str]:
        """Yield the next chart."""
        drawn, number = next(self._left), next(self._numbers)
        chart = drawn.chart
        if drawn.data is None:
            return
        yield f'<figure class="chart" id="chart-{number}" data-key={markup.value(chart.key)}>\n'
        yield f"<figcaption><h4>{markup.text(chart.title)}</h4></figcaption>\n"
        yield '<div class="canvas waiting"></div>\n'
        yield f'<p class="caption">{markup.text(chart.caption)}</p>\n'
        if drawn.thinned:
            yield f'<p class="caption">{markup.text(drawn.thinned)}</p>\n'
        yield f'<div class="tools">{"".join(_handed(drawn))}{_query(chart.query)}</div>\n'
        yield _data("", {"spec": drawn.spec, "data": drawn.data})
        yield "</figure>\n"


def _handed(drawn: Drawn) -> Iterator[str]:
    """Yield the buttons that hand out data and picture."""
    assert drawn.data is not None
    stem = markup.slug(f"{drawn.chart.key}-{drawn.chart.of}")
    for name in drawn.data:
        other = "" if name == "rows" else f": {markup.text(name)}"
        file = f"{stem}.csv" if name == "rows" else f"{stem}-{markup.slug(name)}.csv"
        yield f'<button data-csv={markup.value(name)} data-file="{file}">'
        yield f"CSV{other}</button>\n"
    yield f'<button data-svg data-file="{stem}.svg">SVG</button>\n'


def _query(query: str) -> str:
    if not query:
        return ""
    what = "SQL" if query.startswith(("SELECT ", "WITH ", "FROM ")) else "Command"
    return f"<details><summary>{what}</summary><pre>{markup.lines(query)}</pre></details>\n"


def _data(name: str, values: Mapping[str, Any]) -> str:
    known = f' id="{name}"' if name else ""
    return f'<script type="application/json"{known}>{markup.data(values)}</script>\n'


def _section(section: Section, charts: _Charts) -> Iterator[str]:
    yield f'<section id="{section.key}">\n<h2>{markup.text(section.title)}</h2>\n'
    yield from _content(section, charts)
    yield "</section>\n"


def _content(section: Section, charts: _Charts) -> Iterator[str]:
    for sentence in section.text:
        yield f"<p{_void(sentence)}>{markup.text(sentence)}</p>\n"
    for _ in section.charts:
        yield from charts.html()
    for listing in section.listings:
        yield from _listing(listing)
    if section.notes:
        notes = "".join(map(_item, section.notes))
        yield f'<details class="more"><summary>{counted(len(section.notes), "note")}</summary>'
        yield f'<ul class="summary">\n{notes}</ul></details>\n'
    for part in section.parts:
        yield f'<details class="experiment" id="{part.key}">'
        yield f"<summary>{markup.text(part.title)}</summary>\n"
        yield from _content(part, charts)
        yield "</details>\n"


def _listing(listing: Listing) -> Iterator[str]:
    table = listing.table.for_people()
    wide = " wide" if _letters(table) > _UPRIGHT else ""
    yield f'<div class="listing{wide}">\n'
    if table.title:
        yield "".join(f"<h4>{markup.text(line)}</h4>\n" for line in table.title.splitlines())
    yield f'<div class="tools filter">{_box(table)}<span class="faint shown" aria-live="polite">'
    yield f"{counted(len(table.rows), 'row')}</span> <button data-table data-file="
    yield f'"{markup.slug(listing.key)}.csv">CSV</button>{_query(listing.command)}</div>\n'
    yield f'<div class="scroll">\n{_table(table, listing.links)}</div>\n'
    yield "".join(f'<p class="caption">{markup.text(note)}</p>\n' for note in table.notes)
    yield "</div>\n"


def _letters(table: Table) -> int:
    """Return how many letters wide a table is: heads break between words, and long cells too."""
    head, *lines = cells(table.columns, table.rows, table.formats)
    words = [max(name.split("_"), key=len) for name in head]
    columns = zip(words, *lines, strict=True)
    return sum(min(max(map(len, column)), _SHORT) + 1 for column in columns)


def _box(table: Table) -> str:
    if len(table.rows) < FILTERED:
        return ""
    return '<input type="search" placeholder="Filter rows" aria-label="Filter rows">\n'


def _table(table: Table, links: Mapping[str, str]) -> str:
    right = numeric(table.columns, table.rows)
    head, *lines = cells(table.columns, table.rows, table.formats)
    names = "".join(
        f'<th{_class("number" if r else "")} scope="col" title={markup.value(name)}>'
        f"<button>{markup.text(name.replace('_', ' '))}</button></th>"
        for name, r in zip(head, right, strict=True)
    )
    body = "\n".join(
        _row(row, line, right, links) for row, line in zip(table.rows, lines, strict=True)
    )
    return f"<table><thead><tr>{names}</tr></thead>\n<tbody>\n{body}\n</tbody></table>\n"


def _row(row: Row, line: Sequence[str], right: Sequence[bool], links: Mapping[str, str]) -> str:
    first, *others = (
        _cell(value, shown, r) for value, shown, r in zip(row, line, right, strict=True)
    )
    if (target := links.get(line[0])) is not None:
        first = f'<td><a href="#{target}">{markup.text(line[0])}</a></td>'
    return f"<tr>{first}{''.join(others)}</tr>"


def _cell(value: Any, shown: str, is_number: bool) -> str:
    if is_number:
        # The value itself stands beside what is read where digits are left out.
        exact = "" if value is None or repr(value) == shown else f' data-v="{value!r}"'
        return f'<td class="number"{exact}>{markup.text(shown)}</td>'
    return f"<td{_class('long' if len(shown) > _SHORT else '')}>{markup.text(shown)}</td>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
