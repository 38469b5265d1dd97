"""Tables for eyes: every character is shown, none of them does anything."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page import read

from rgtool.schemas.display import Shown, Table
from rgtool.schemas.errors import printable
from rgtool.schemas.notes import Note, Rank

HOSTILE = "<script>alert('x')</script>&lt;\x1b[31m\u202e|"
TAGS = {
    "figure", "figcaption", "div", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "p",
    "strong",
}  # fmt: skip
words = st.text(max_size=12)
values = st.none() | st.booleans() | st.integers() | st.floats() | words | st.lists(words)


@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[values] * n), max_size=4)), words)
def test_html_shows_what_text_shows(rows: list[tuple[object, ...]], title: str) -> None:
    names = tuple(f"<{i}>" for i in range(len(rows[0]) if rows else 2))
    table = Table(names, rows, title=title, notes=(title,) if title else ())
    seen = read(table.html())
    assert seen.tags <= TAGS and seen.header == list(names)
    assert all(cell.isprintable() for row in seen.rows for cell in row)
    title_lines = [printable(line) for line in title.split("\n")] if title else []
    expected = [*title_lines, *seen.lines(), *seen.below]
    assert seen.caption == "\n".join(title_lines)
    squeezed = [" ".join(line.split()) for line in table.text().split("\n")]
    assert squeezed == [" ".join(line.split()) for line in expected]


def test_what_comes_from_a_file_does_nothing() -> None:
    notes = (HOSTILE, Note(HOSTILE, rank=Rank.VOID))
    html = Table((HOSTILE,), [(HOSTILE,)], title=HOSTILE, notes=notes).html()
    assert "<script" not in html and "\x1b" not in html and "\u202e" not in html
    seen = read(html)
    assert [seen.caption, *seen.header, *seen.rows[0], *seen.above, *seen.below] == [
        printable(HOSTILE)
    ] * 5


def test_cells_read_as_people_write() -> None:
    row = (None, 1, 0.25, True, ("a", "b"), math.inf, 0.125)
    table = Table(tuple("abcdefg"), [row], formats={"g": ".2f"})
    seen = read(table.html())
    assert seen.rows == [["", "1", "0.25", "True", "a b", "inf", "0.12"]]
    sides = re.findall(r'<td style="text-align:(\w+)', table.html())
    assert sides == ["left", "right", "right", "left", "left", "right", "right"]


def test_a_page_keeps_its_own_colours() -> None:
    html = Table(("a",), [(1,)], title="t", notes=("n", Note("v", rank=Rank.VOID))).html()
    assert not re.search(r"colou?r|background|#[0-9a-f]{3}|rgb", html)


def test_what_is_short_stays_on_a_line_and_a_wide_table_scrolls_alone() -> None:
    sentence = "a sentence that is longer than an identity or a number ever is"
    row = ("9.16e-05", "2026-11-30 12:47:19", "published:renda2020-resnet20-cifar10", sentence)
    html = Table(("low", "at", sentence, "b"), [row], title="t", notes=("n",)).html()
    lines = {text: style for style, text in re.findall(r'<td style="([^"]*)">([^<]*)<', html)}
    assert ["white-space:nowrap" in lines[text] for text in row] == [True, True, True, False]
    assert "min-width" in lines[sentence]
    assert all("white-space:nowrap" in style for style in re.findall(r'<th style="([^"]*)"', html))
    (scrolls,) = re.findall(r'<div style="overflow-x:auto">(.*)</div>', html)
    assert scrolls.startswith("<table") and scrolls.endswith("</table>")


def test_people_see_some_columns_and_the_first_rows() -> None:
    class Many(Shown):
        most = 2
        whole = "more has all"

        def table(self) -> Table:
            return Table(("a", "b"), [(i, -i) for i in range(1234)], shown=("b",))

    seen = read(Many()._repr_html_())
    assert (seen.header, seen.rows) == (["b"], [["0"], ["-1"]])
    assert seen.below == ["2 of 1,234 rows; more has all"]
    assert Many().summary().splitlines() == [" b", " 0", "-1", *seen.below]
    for most in (0, 1234, 2000):
        assert Many().table().first(most, "") == Many().table()


def test_what_voids_the_numbers_stands_above_all() -> None:
    notes = ("below", Note("void", rank=Rank.VOID))
    table = Table(("a", "b"), [("long", "x"), ("s", "y")], title="title", notes=notes)
    assert table.text().split("\n") == ["void", "title", "a     b", "long  x", "s     y", "below"]
    untold = Table(("a", "b"), [("x", None), ("y", "z")], notes=("n",)).first(1, "that has all")
    assert untold.text().split("\n") == ["a  b", "x", "1 of 2 rows; that has all", "n"]
    assert "<figcaption" not in untold.html() and "<figcaption" in table.html()


def test_a_thing_without_a_table_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Shown().summary()
