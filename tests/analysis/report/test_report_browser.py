"""The page in a browser that has no network: what is drawn, what can be done, what cannot run."""

from __future__ import annotations

import csv
import io
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from stores import write_run

import rgtool
from rgtool.analysis.report.report import Report, report
from rgtool.analysis.report.section import Listing, Section
from rgtool.schemas.display import Table
from rgtool.schemas.recipe import Recipe

playwright = pytest.importorskip("playwright.sync_api", reason="needs rgtool[browser]")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

HOSTILE = "</script><script>window.ran=1</script><img src=x onerror=window.ran=1> \"'`]]>\u202e"
ALL_DRAWN = """() => {
  const all = [...document.querySelectorAll('figure.chart')];
  return all.length > 0 && all.every((one) => one.dataset.drawn === 'yes');
}"""
STATES = """[...document.querySelectorAll('figure.chart')]
  .map((one) => [one.dataset.key, one.dataset.drawn, one.querySelector('.canvas').innerText])"""
OPEN_ALL = "document.querySelectorAll('details.experiment').forEach((one) => { one.open = true })"
SCROLL = """async () => {
  for (const one of document.querySelectorAll('figure.chart')) {
    one.scrollIntoView();
    await new Promise((go) => setTimeout(go, 20));
  }
}"""


@dataclass
class Tab:
    """A page of the browser, and what it asked for and said."""

    page: Any
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def draw_all(self) -> None:
        self.page.evaluate(OPEN_ALL)
        self.page.evaluate(SCROLL)
        self.wait(ALL_DRAWN)

    def wait(self, condition: str) -> None:
        """Wait until something holds; what playwright has for it needs eval."""
        end = time.monotonic() + 240
        while not self._holds(condition):
            assert time.monotonic() < end, self.page.evaluate(STATES)
            self.page.wait_for_timeout(50)

    def _holds(self, condition: str) -> bool:
        try:
            return bool(self.page.evaluate(condition))
        except playwright.Error as error:
            if "context was destroyed" not in str(error):
                raise
            return False  # the page was being loaded again

    def chart(self, key: str) -> Any:
        return self.page.locator(f"figure.chart[data-key={key}]").first


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        at_work = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield at_work
        at_work.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Report:
    store = tmp_path_factory.mktemp("browser") / "store"
    for seed in range(3):
        write_run(store, seed, 4)
        write_run(store, seed, 4, recipe=Recipe(architecture="lenet", task="digits"))
    rates = (0.01, 0.02, 0.03, 0.04, 0.05)
    for rate in rates:
        write_run(store, 0, 2, recipe=Recipe(architecture="lenet", task="digits", lr=rate))
    opened = rgtool.Store(store)
    opened.name("'lenet/digits lr=0.05'".strip("'"), note=HOSTILE, tags=["\u05d0\u05d1\u05d2"])
    return report(store)


@pytest.fixture(scope="module")
def address(made: Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    made.write(path)
    return path.as_uri()


@contextmanager
def opened(browser: Any, address: str, width: int = 1280, **options: Any) -> Iterator[Tab]:
    """Open a page without a network; whatever it asks for or complains of fails the test."""
    size = {"width": width, "height": 900}
    context = browser.new_context(viewport=size, offline=True, **options)
    tab = Tab(context.new_page())
    tab.page.set_default_timeout(120_000)
    tab.page.on("request", lambda one: tab.requests.append(one.url))
    tab.page.on("console", lambda one: tab.said.append(one.text))
    tab.page.on("pageerror", lambda one: tab.said.append(str(one)))
    tab.page.on("dialog", lambda one: tab.said.append(one.message))
    tab.page.goto(address)
    yield tab
    context.close()
    assert set(tab.requests) <= {address} and tab.said == []


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_every_chart_is_drawn_at_every_width(
    browser: Any, made: Report, address: str, width: int
) -> None:
    charts = [chart for section in made.sections for chart in section.all_charts()]
    with opened(browser, address, width) as tab:
        assert tab.page.locator("figure.chart").count() == len(charts)
        assert tab.page.locator('figure.chart[data-drawn="yes"]').count() < len(charts)
        tab.draw_all()
        counts = tab.page.evaluate(
            "[...document.querySelectorAll('figure.chart')].map((one) => "
            "one.querySelectorAll('.role-mark path, .role-mark line, .role-mark text').length)"
        )
        assert len(counts) == len(charts) and min(counts) > 1
        # Nothing but what scrolls by itself is wider than the page.
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert tab.page.evaluate("window.ran") is None


def points(tab: Tab, key: str) -> list[float]:
    """Opacities of the points of a chart."""
    found: list[float] = tab.chart(key).evaluate(
        "one => [...one.querySelectorAll('.mark-symbol.role-mark path')]"
        ".map((path) => Number(getComputedStyle(path).opacity))"
    )
    return found


def test_a_point_a_row_and_the_legend_chooses(browser: Any, made: Report, address: str) -> None:
    charts = [chart for section in made.sections for chart in section.all_charts()]
    flow = next(chart for chart in charts if chart.key == "flow")
    rows = flow.data["rows"]
    with opened(browser, address) as tab:
        tab.draw_all()
        before = points(tab, "flow")
        assert len(before) == len(rows) and set(before) == {1.0}
        label = tab.chart("flow").locator(".role-legend-label text").first
        name = label.text_content()
        label.dispatch_event("click")
        tab.page.wait_for_timeout(300)
        after = points(tab, "flow")
        assert sum(one == 1.0 for one in after) == len(rows.filter(name=name))
        assert sum(one < 1.0 for one in after) == len(rows) - len(rows.filter(name=name))


def test_tables_sort_and_filter(browser: Any, address: str) -> None:
    with opened(browser, address) as tab:
        table = tab.page.locator("#experiments .listing")
        head = table.locator("th button", has_text="levels")
        place = head.evaluate("one => one.parentElement.cellIndex")
        column = f"rows => rows.map((row) => Number(row.cells[{place}].textContent))"
        lines = table.locator("tbody tr")
        before = lines.evaluate_all(column)
        head.click()
        assert lines.evaluate_all(column) == sorted(before) != before
        assert head.locator("..").get_attribute("aria-sort") == "ascending"
        head.click()
        assert lines.evaluate_all(column) == sorted(before, reverse=True)
        table.locator('input[type="search"]').fill("lenet lr=0.03")
        assert lines.locator("visible=true").count() == 1
        assert table.locator(".shown").text_content() == "1 of 7 rows"
        assert table.locator("button[data-table]").text_content() == "CSV of 1 of 7 rows"
        table.locator('input[type="search"]').fill("")
        assert lines.locator("visible=true").count() == len(before) == 7
        assert table.locator("button[data-table]").text_content() == "CSV"


def handed(tab: Tab, button: Any) -> str:
    with tab.page.expect_download() as told:
        button.click()
    return Path(told.value.path()).read_text()


def test_data_are_handed_out(browser: Any, made: Report, address: str) -> None:
    charts = [chart for section in made.sections for chart in section.all_charts()]
    flow = next(chart for chart in charts if chart.key == "flow")
    with opened(browser, address, accept_downloads=True) as tab:
        tab.draw_all()
        text = handed(tab, tab.chart("flow").locator('button[data-csv="rows"]'))
        read = list(csv.DictReader(io.StringIO(text)))
        assert [row["name"] for row in read] == flow.data["rows"]["name"].to_list()
        shares = [float(row["share"]) for row in read]
        assert shares == pytest.approx(flow.data["rows"]["share"].to_list(), rel=1e-6)
        assert handed(tab, tab.chart("flow").locator("button[data-svg]")).startswith("<svg")
        table = handed(tab, tab.page.locator("#experiments button[data-table]"))
        notes = [row["note"] for row in csv.DictReader(io.StringIO(table))]
        assert notes.count(HOSTILE.replace("\u202e", "\\u202e")) == 1


def test_no_cell_that_is_handed_out_is_a_formula(
    browser: Any, made: Report, tmp_path: Path
) -> None:
    cells = ("=1+1", "+SUM(A1)", "-2+3", "@x", "-2.5", "+1e-3", "a=b", None)
    table = Table(("name", "matching_low"), [(cell, 1.0) for cell in cells])
    section = Section("cells", "Cells", listings=(Listing("cells", table),))
    path = tmp_path / "cells.html"
    replace(made, sections=(section,)).write(path)
    with opened(browser, path.as_uri(), accept_downloads=True) as tab:
        assert tab.page.locator("th").all_inner_texts() == ["name", "matching low"]
        text = handed(tab, tab.page.locator("button[data-table]"))
    read = list(csv.DictReader(io.StringIO(text)))
    expected = ["'=1+1", "'+SUM(A1)", "'-2+3", "'@x", "-2.5", "+1e-3", "a=b", ""]
    assert [row["name"] for row in read] == expected
    assert {row["matching_low"] for row in read} == {"1"}


def test_what_is_printed_fits_the_sheet(browser: Any, address: str) -> None:
    sheets = {"": 688, "wide": 1046}  # pixels between the margins of A4, upright and across
    with opened(browser, address) as tab:
        tab.page.evaluate(OPEN_ALL)
        tab.page.emulate_media(media="print")
        for kind, width in sheets.items():
            tab.page.set_viewport_size({"width": width, "height": 900})
            wide = "one.classList.contains('wide')"
            found = tab.page.evaluate(
                f"[...document.querySelectorAll('.listing')].filter((one) => {wide} === "
                f"{str(bool(kind)).lower()}).map((one) => one.querySelector('table').scrollWidth)"
            )
            assert found and max(found) <= width, kind
        rows = tab.page.locator(".shown")
        assert rows.count() == rows.locator("visible=true").count() > 2


def test_the_first_chart_is_drawn_from_the_start(
    browser: Any, made: Report, tmp_path: Path
) -> None:
    path = tmp_path / "long.html"
    replace(made, findings=("A sentence.",) * 300).write(path)
    with opened(browser, path.as_uri(), width=390) as tab:
        tab.wait("document.querySelector('figure.chart').dataset.drawn === 'yes'")
        assert tab.page.locator('figure.chart[data-drawn="yes"]').count() == 1
        assert tab.page.evaluate("scrollY") == 0
        # No bar covers what is read on a telephone.
        tab.page.locator("footer").scroll_into_view_if_needed()
        assert tab.page.locator("nav").evaluate("one => one.getBoundingClientRect().bottom") < 0


def test_links_open_what_is_folded(browser: Any, address: str) -> None:
    with opened(browser, address) as tab:
        link = tab.page.locator("#experiments td a").first
        target = link.get_attribute("href")
        assert not tab.page.locator(target).evaluate("one => one.open")
        link.click()
        assert tab.page.locator(target).evaluate("one => one.open")


def test_the_page_follows_the_colours_of_the_reader(browser: Any, address: str) -> None:
    with opened(browser, address, color_scheme="light") as tab:
        tab.draw_all()
        text = tab.chart("flow").locator(".role-axis-label text").first
        fill = "one => getComputedStyle(one).fill"
        ink = "getComputedStyle(document.body).color"
        light = text.evaluate(fill)
        assert light == tab.page.evaluate(ink)
        tab.page.emulate_media(color_scheme="dark")
        dark = text.evaluate(fill)
        assert dark == tab.page.evaluate(ink) != light
        tab.page.emulate_media(media="print", color_scheme="dark")
        assert text.evaluate(fill) == "rgb(0, 0, 0)"


def test_all_is_drawn_before_it_is_printed(browser: Any, address: str) -> None:
    with opened(browser, address) as tab:
        assert tab.page.locator("figure.chart:not([data-drawn])").count() > 0
        assert tab.page.pdf(format="A4").startswith(b"%PDF")
        assert tab.page.evaluate(ALL_DRAWN)


def test_a_page_that_is_rewritten_is_loaded_again(
    browser: Any, made: Report, tmp_path: Path
) -> None:
    path = tmp_path / "live.html"
    replace(made, every=1.0).write(path)
    with opened(browser, path.as_uri()) as tab:
        replace(made, title="written again").write(path)
        tab.wait("document.title === 'written again'")
        assert tab.page.locator("input[data-every]").count() == 0


def test_an_empty_store_is_a_page(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "empty.html"
    report(tmp_path / "none").write(path)
    with opened(browser, path.as_uri()) as tab:
        assert "holds no runs yet" in tab.page.locator("header").inner_text()
