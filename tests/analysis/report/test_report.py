"""A report as a page: what it holds, what it may do, and what strangers' names cannot."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import polars as pl
import pytest
from command import Cli
from hypothesis import given
from stores import counts, describe, write_record, write_run
from vegalite import check

import rgtool
from rgtool.analysis.charts.chart import Chart
from rgtool.analysis.report import markup
from rgtool.analysis.report.members import gather
from rgtool.analysis.report.report import Report, report
from rgtool.analysis.report.sharing import share
from rgtool.analysis.report.summary import summary
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.store import Store

HOSTILE = "</script><script>window.ran=1</script><img src=x onerror=window.ran=1> \"'`]]>&lt;\u2028"


class Seen(HTMLParser):
    """Tags with their attributes, the text between them, and what stands in scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text, self.is_script = "", False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.is_script = tag == "script"
        if self.is_script:
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.is_script = False

    def handle_data(self, data: str) -> None:
        if self.is_script:
            attrs, before = self.scripts[-1]
            self.scripts[-1] = (attrs, before + data)
        self.text += data

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The charts: specification and data."""
        found = [json.loads(text) for attrs, text in self.scripts if attrs.get("type")]
        return [one for one in found if "spec" in one]

    def attributes(self, *names: str) -> set[str]:
        return {v for _, attrs in self.tags for n, v in attrs.items() if n in names and v}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks, one of three seeds and one of a single run that is not finished."""
    path = tmp_path_factory.mktemp("report") / "store"
    for seed in range(3):
        write_run(path, seed, 4)
    write_run(path, 0, 3, recipe=Recipe(architecture="lenet", task="digits"), asked=5)
    return path


@pytest.fixture(scope="module")
def made(store: Path) -> Report:
    return report(store)


@pytest.fixture(scope="module")
def seen(made: Report) -> Seen:
    return Seen(made.html())


def whole(value: Any, parts: list[Any]) -> Any:
    """Put shared parts back, as the page does."""
    if isinstance(value, list):
        return [whole(one, parts) for one in value]
    if not isinstance(value, dict):
        return value
    if "$" in value:
        return whole(parts[value["$"]], parts)
    return {name: whole(one, parts) for name, one in value.items()}


def unpacked(found: Any) -> list[Any]:
    if isinstance(found, list):
        return found
    if "values" in found:
        return [found["values"][at] for at in found["places"]]
    return [value for value, times in found["stretches"] for _ in range(times)]


def rows_of(columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Make rows of columns, as the page does."""
    plain = {name: unpacked(found) for name, found in columns.items()}
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


def test_nothing_is_fetched_and_only_these_scripts_run(seen: Seen) -> None:
    assert {tag for tag, _ in seen.tags}.isdisjoint({"iframe", "object", "embed", "base", "form"})
    assert seen.attributes("src", "action", "srcset") == set()
    assert {ref[:5] for ref in seen.attributes("href") if not ref.startswith("#")} == {"data:"}
    ((_, policy),) = [
        (a["http-equiv"], a["content"]) for t, a in seen.tags if t == "meta" and "http-equiv" in a
    ]
    run = [text for attrs, text in seen.scripts if attrs.get("type") is None]
    sums = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert policy is not None and re.findall(r"'sha256-([^']+)'", policy) == sums
    assert len(sums) == 4
    assert policy.startswith("default-src 'none'; ") and "eval" not in policy
    assert not any(name.startswith("on") for _, attrs in seen.tags for name in attrs)
    assert "ast: true" in run[-1]


def test_the_page_holds_every_chart_whole(made: Report, seen: Seen) -> None:
    charts = [chart for section in made.sections for chart in section.all_charts()]
    (common,) = [json.loads(t) for a, t in seen.scripts if a.get("id") == "common"]
    assert len(charts) == len(seen.blocks) > 8
    for chart, block in zip(charts, seen.blocks, strict=True):
        spec = whole(block["spec"], common["parts"])
        expected = chart.specification("container", titled=False, inline=False)
        told = {**spec, "config": whole(common["config"], common["parts"])}
        assert told == json.loads(
            json.dumps({n: v for n, v in expected.items() if n not in ("$schema", "usermeta")})
        )
        for name in chart.data:
            assert rows_of(block["data"][name]) == json.loads(json.dumps(chart.values(name)))
    for chart in charts:
        assert chart.title and chart.caption and chart.alternative and chart.query, chart.key


def test_every_specification_is_one(made: Report) -> None:
    for section in made.sections:
        for chart in section.all_charts():
            check(chart, width="container", titled=False)


def test_queries_give_rows(made: Report, store: Path) -> None:
    charts = [chart for section in made.sections for chart in section.all_charts()]
    queries = [one.query for one in charts if one.query.startswith(("SELECT", "WITH"))]
    assert len(queries) > 4
    for query in queries:
        assert rgtool.Store(store).sql(query).rows


def test_links_within_the_page_lead_somewhere(seen: Seen) -> None:
    targets = {ref[1:] for ref in seen.attributes("href") if ref.startswith("#")}
    assert len(targets) > 5
    assert targets <= seen.attributes("id")
    ids = [attrs["id"] for _, attrs in seen.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_what_is_there_is_said(made: Report, store: Path) -> None:
    experiments = rgtool.Store(store).experiments()
    assert made.findings[0] == (
        "2 experiments of 4 runs (3 finished, 1 unfinished) with 19 recorded levels: lenet, "
        "resnet8w4 on digits."
    )
    keys = [section.key for section in made.sections]
    assert keys == ["standing", "experiments", "accuracy", "classes", "each", "conditions"]
    (listing,) = made.sections[1].listings
    assert [row[0] for row in listing.table.rows] == [one.experiment_id for one in experiments]
    assert listing.links == {
        one.experiment_id: f"experiment-{one.experiment_id}" for one in experiments
    }
    (runs,) = made.sections[-1].listings
    assert {row[0] for row in runs.table.rows} == {run.run_id for run in rgtool.Store(store).runs()}
    assert "section" in made.summary() and "One by one" in made.summary()


def test_of_two_with_the_same_masks_one_is_left_out_of_the_classes(tmp_path: Path) -> None:
    recipes = [Recipe(architecture="resnet8w4", task="digits", lr=lr) for lr in (0.1, 0.2, 0.3)]
    for first, recipe in zip((0, 0, 5), recipes, strict=True):
        for seed in range(3):
            write_run(tmp_path, first + seed, 4, recipe=recipe)  # a seed has its masks
    (found,) = (one for one in report(tmp_path).sections if one.key == "classes")
    ids = [recipe.experiment_id for recipe in recipes]
    (said,) = (text for text in found.text if text.startswith("left out: "))
    assert "the same masks" in said and all(one in said for one in ids[:2])
    (out,) = (one for one in ids[:2] if one in said.partition(" has 3 of ")[0])
    assert found.charts and found.listings[0].table.rows
    named = found.listings[0].command.removeprefix("rgtool classify ").split()
    assert sorted(named) == sorted({*ids} - {out}) and "resnet8w4/digits lr=" in said
    # Of what was not asked for nothing is said.
    (fewer,) = (one for one in report(tmp_path, ids[1:]).sections if one.key == "classes")
    assert not [text for text in fewer.text if text.startswith("left out: ")]
    assert sorted(fewer.listings[0].command.split()[2:]) == sorted(ids[1:])


def test_one_experiment_is_asked_for(store: Path) -> None:
    made = report(store, ["lenet/digits"])
    assert made.title == "rgtool: 1 experiment"
    charts = [chart.key for section in made.sections for chart in section.all_charts()]
    assert charts.count("accuracy") == 1
    assert "classes" not in [section.key for section in made.sections]
    with pytest.raises(rgtool.RgtoolError, match="no experiment"):
        report(store, ["lenet/nowhere"])
    with pytest.raises(rgtool.RgtoolError, match="a report is of experiments of the store"):
        report(store, ["published:resnet20-cifar10"])


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    made = report(tmp_path / "none")
    assert made.findings[0].endswith("makes some.")
    found = Seen(made.html())
    assert found.blocks == [] and "There are none." in found.text
    assert not (tmp_path / "none").exists()


def test_hostile_names_are_text(store: Path, seen: Seen) -> None:
    (one,) = rgtool.Store(store).experiments("lenet/digits")
    opened = rgtool.Store(store)
    opened.name(one.experiment_id, note=HOSTILE, tags=["\u05d0\u05d1"])
    try:
        found = Seen(report(store).html())
    finally:
        opened.name(one.experiment_id, clear=True)
    kinds = [tag for tag, _ in found.tags]
    assert kinds.count("script") == len(seen.scripts) and "img" not in kinds
    assert "<img src=x onerror=window.ran=1>" in found.text
    assert "bdi" in kinds and "bdi" not in [tag for tag, _ in seen.tags]


def write_child(path: Path, own: Recipe, parent: str, control: str, **fields: Any) -> None:
    recipe = replace(own, parent=parent, control=control)
    for seed in range(3):
        told = describe(recipe, seed, 4, recipe_name=f"as {own.experiment_id}", **fields)
        folder = RunFolder.of(path, told.run_id)
        folder.make()
        told.write(folder.description)
        for level in (2, 4):
            kept = counts(own, seed, 4)
            write_record(path, recipe, told.run_id, level, kept, accuracy=0.8 - 0.01 * seed)


def test_transfers_are_those_of_children(tmp_path: Path) -> None:
    own = Recipe(architecture="resnet8w4", task="digits")
    source = Recipe(architecture="resnet8w4", task="fashion-mnist")
    for recipe in (own, source):
        for seed in range(3):
            write_run(tmp_path, seed, 4, recipe=recipe)
    for control in ("none", "shuffle"):
        write_child(tmp_path, own, source.experiment_id, control)
    made = report(tmp_path)
    (found,) = (section for section in made.sections if section.key == "transfers")
    (part,) = found.parts
    assert part.key == f"transfer-{source.experiment_id}-{own.experiment_id}"
    (listing,) = part.listings
    columns = listing.table.columns
    conditions = {row[columns.index("condition")] for row in listing.table.rows}
    assert conditions == {"own", "transferred", "shuffle"}
    assert [chart.key for chart in part.charts] == ["transfer"]
    assert "2 train tickets of another experiment" in made.findings[1]


def test_a_page_that_is_too_large_is_thinned_and_says_so(made: Report, seen: Seen) -> None:
    full = len(made.html().encode())
    small = made.html(full - 30_000)
    assert len(small.encode()) <= full - 30_000
    assert "Thinned: one level of" in small or "left out: name fewer experiments" in small
    assert "To stay below" in small and "To stay below" not in seen.text
    assert len(Seen(small).blocks) <= len(seen.blocks)


def test_long_data_are_thinned_before_charts_go(made: Report) -> None:
    from rgtool.analysis.report.thinning import drawn, fitted

    charts = [chart for section in made.sections for chart in section.all_charts()]
    (flow,) = [chart for chart in charts if chart.key == "flow" and len(chart.data["rows"]) == 25]
    long = _longer(flow, 40)
    sizes = drawn(long).bytes
    (kept,), _, notice = fitted([long], sizes * 2 // 3)
    assert "1 chart thinned" in notice and kept.thinned.startswith("Thinned: one level of 2")
    rows = rows_of(dict(kept.data or {})["rows"])  # type: ignore[arg-type]
    levels = sorted({row["level"] for row in rows})
    assert levels[:3] == [0, 2, 4] and levels[-1] == max(long.data["rows"]["level"])
    (gone,), _, notice = fitted([long], 100)
    assert gone.data is None and "1 chart left out" in notice
    (all_,), _, notice = fitted([long], sizes)
    assert all_.thinned == "" and notice == ""


def _longer(chart: Chart, times: int) -> Chart:
    rows = chart.data["rows"]
    parts = [rows.with_columns(pl.col("level") + 5 * place) for place in range(times)]
    return replace(chart, data={"rows": pl.concat(parts)})


def test_the_page_is_written_whole_or_not_at_all(made: Report, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("before")
    made.write(page)
    assert page.read_text() == made.html()
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(rgtool.RgtoolError, match="cannot be written"):
        made.write(tmp_path / "missing" / "page.html")


def test_the_command_writes_and_tells_how_to_open_it(cli: Cli, store: Path) -> None:
    done = cli("report", "lenet/digits", "--to", "x.html", "--store", str(store))
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[-1] == f"open {Path('x.html').absolute().as_uri()} in a browser"
    assert Path("x.html").read_text().startswith("<!DOCTYPE html>")


def test_a_store_that_is_not_there_costs_no_page(cli: Cli, tmp_path: Path) -> None:
    page = tmp_path / "x.html"
    page.write_text("before")
    done = cli("report", "--to", str(page), "--store", str(tmp_path / "nosuch"))
    assert done.code == 1 and "nosuch holds no runs" in done.err
    assert page.read_text() == "before"
    (tmp_path / "empty").mkdir()
    assert cli("report", "--to", str(page), "--store", str(tmp_path / "empty")).code == 0
    assert "There are none." in page.read_text()


def test_the_command_refuses_what_is_no_page(cli: Cli, store: Path) -> None:
    done = cli("report", "--to", "x.png", "--store", str(store))
    assert done.code == 2 and "--to x.png: a report is a file ending in .html" in done.err
    done = cli("report", "--every", "0.5", "--store", str(store))
    assert done.code == 2 and "--every 0.5: give a second or more" in done.err
    assert not Path("report.html").exists()


def test_the_last_page_is_written_when_nothing_is_at_work(cli: Cli, store: Path) -> None:
    done = cli("report", "lenet/digits", "--to", "x.html", "--every", "5s", "--store", str(store))
    assert done.code == 0
    assert done.err.splitlines()[-1] == "no run is at work: that was the last page"
    assert "data-every=" not in Path("x.html").read_text().split("<script", 1)[0]


def test_a_page_that_is_rewritten_loads_itself_again(store: Path) -> None:
    assert 'data-every="30"' in report(store, ["lenet/digits"], every=30).html()


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_blocks_hold_any_text_and_end_nowhere(values: Any) -> None:
    written = markup.data(values)
    assert json.loads(written) == values
    assert not set("<>&\u2028\u2029") & set(written)


@given(st.text())
def test_text_is_no_markup(text: str) -> None:
    found = Seen(f"<p>{markup.text(text)}</p>")
    assert {tag for tag, _ in found.tags} <= {"p", "bdi"}
    assert markup.text(text).count("<bdi>") == markup.text(text).count("</bdi>")


@given(
    st.lists(st.fixed_dictionaries({"s": st.none() | st.sampled_from("ab"), "n": st.integers()}))
)
def test_columns_are_the_rows(rows: list[dict[str, Any]]) -> None:
    found = rows_of(markup.columns(rows))
    assert json.dumps(found, sort_keys=True) == json.dumps(rows, sort_keys=True)


@given(
    st.lists(
        st.recursive(
            st.integers() | st.sampled_from(["a" * 50, "b", "$"]),
            lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from("xyz"), x),
            max_leaves=20,
        ),
        max_size=5,
    )
)
def test_what_is_shared_can_be_put_back(specs: list[Any]) -> None:
    lean, parts = share(specs)
    assert [whole(one, parts) for one in lean] == specs


@pytest.mark.parametrize("last", [3, 4])
def test_the_summary_tells_what_no_record_tells(tmp_path: Path, last: int) -> None:
    """A density is found where a sparser level does worse; a run in its first level has none."""
    recipe = Recipe(architecture="resnet8w4", task="digits")
    for seed in range(3):
        run = write_run(tmp_path, seed, 4)
        for level in range(5):
            worse = 0.3 if level > last else 0.01 * seed
            write_record(
                tmp_path, recipe, run, level, counts(recipe, seed, 4), accuracy=0.9 - worse
            )
    write_run(tmp_path, 0, 3, recipe=replace(recipe, architecture="lenet"), recorded=[])
    said = " ".join(summary(gather(Store(tmp_path)), "it"))
    assert ("the sparsest on record" in said) == (last == 4)
    assert ("down to density" in said) == (last == 3)
    assert "1 experiment without a recorded level: lenet/digits" in said


# By last level: accuracies of a seed, and what the page tells.
WORTH = [
    ("found", lambda seed, level: 0.5 if level > 2 else 0.9 - 0.001 * seed),
    ("or sparser", lambda seed, level: 0.9 + 0.01 * level - 0.001 * seed),
    ("open", lambda seed, level: 0.9 - 0.001 * seed - (0.004 + 0.004 * seed) * (level > 2)),
    ("void: guesses", lambda seed, level: 0.1 - 0.001 * seed),
]


@pytest.mark.parametrize(("worth", "accuracy"), WORTH, ids=[worth for worth, _ in WORTH])
def test_a_matching_density_is_told_for_what_it_is(
    tmp_path: Path, worth: str, accuracy: Callable[[int, int], float]
) -> None:
    recipe = Recipe(architecture="resnet8w4", task="digits")
    for seed in range(3):
        run = write_run(tmp_path, seed, 4)
        for level in range(5):
            kept = counts(recipe, seed, 4)
            write_record(tmp_path, recipe, run, level, kept, accuracy=accuracy(seed, level))
    made = report(tmp_path)
    (listing,) = next(one for one in made.sections if one.key == "experiments").listings
    row = dict(zip(listing.table.columns, listing.table.rows[0], strict=True))
    there = [row[f"matching_{name}"] is not None for name in ("density", "low", "high")]
    said = " ".join(made.findings)
    assert row["matching"] == ("found" if worth == "open" else worth)
    assert (
        there
        == {
            "found": [True, True, True],
            "or sparser": [True, False, False],
            "open": [True, False, True],
            "void: guesses": [False, False, False],
        }[worth]
    )
    assert ("matches its dense accuracy" in said) == (worth != "void: guesses")
    assert ("down to density" in said) == (worth in ("found", "open"))
    assert ("and it may go on" in said) == (worth == "open")
    assert ("95 % interval" in said) == (worth in ("found", "open"))


def test_what_is_never_pruned_is_counted_among_no_verdicts(tmp_path: Path) -> None:
    for place in range(7):
        recipe = Recipe(architecture="lenet", task="digits", lr=0.01 + place, exempt=("fc1",))
        for seed in range(2):
            write_run(tmp_path, 2 * place + seed, 3, recipe=recipe)
    members = gather(Store(tmp_path))
    spectra = [one.spectrum for one in members if one.spectrum is not None]
    assert len(spectra) == 7 and all("exempt" in one.verdict for one in spectra)
    (said,) = (one for one in summary(members, "it") if one.startswith("Groups of all 7"))
    assert "exempt" not in said
    assert sum(map(int, re.findall(r"(\d+) [a-z]", said.partition(": ")[2]))) == 14
