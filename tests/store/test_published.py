"""Figures of the literature: what is printed, as views in every store, by name."""

from __future__ import annotations

import dataclasses
import importlib.resources
import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import printed
import pytest
from places import CLONE
from stores import write_run

import rgtool
from rgtool.schemas.blocks import architecture
from rgtool.schemas.errors import QueryError, StoreError, UsageError
from rgtool.schemas.published import PUBLISHED, Column
from rgtool.schemas.recipe import Recipe
from rgtool.store import (
    PublishedSpectrum,
    Store,
    published,
    published_curve,
    published_curve_names,
    published_names,
)
from rgtool.store.figures import FOLDER, figure_rows, figures, read_figures

ROWS = {
    "published_spectra": 112,
    "published_starting_points": 12,
    "published_gammas": 14,
    "published_curves": 308,
    "published_flows": 375,
    "published_elastic": 77,
    "published_elastic_mappings": 41,
    "published_elastic_orderings": 33,
    "published_transfers": 66,
}
SOURCE = {
    "published_flows": "Tanaka et al. 2020 (arXiv 2006.05467)",
    "published_elastic": "Chen et al. 2021c (arXiv 2103.16547)",
    "published_elastic_mappings": "Chen et al. 2021c (arXiv 2103.16547)",
    "published_elastic_orderings": "Chen et al. 2021c (arXiv 2103.16547)",
    "published_transfers": "Chen et al. 2021a (arXiv 2012.06908)",
    "published_curves": (
        "Renda et al. 2020 (arXiv 2003.02389)",
        "Chen et al. 2021a (arXiv 2012.06908)",
    ),
}
REDMAN = "Redman et al. 2021 (arXiv 2110.03210)"


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    return Store(tmp_path / "nowhere")


# The files


def test_the_package_holds_a_file_a_view() -> None:
    folder = importlib.resources.files("rgtool.store") / "published"
    names = sorted(entry.name for entry in folder.iterdir())
    assert names == sorted(f"{view}.csv" for view in PUBLISHED)
    assert set(ROWS) == set(PUBLISHED)


@pytest.mark.parametrize("view", PUBLISHED)
def test_every_row_has_its_source_and_none_stands_twice(view: str) -> None:
    rows = figures(view)
    assert len(rows) == len(set(rows)) == ROWS[view]
    papers = SOURCE.get(view, REDMAN)
    paper = "|".join(map(re.escape, [papers] if isinstance(papers, str) else papers))
    place = r"(Tables?|Figs?\.|Secs?\.|App\.|data of) .+"
    assert all(re.fullmatch(f"({paper}), {place}", row[-1]) for row in rows)


def test_what_joins_a_store_is_written_as_in_a_store() -> None:
    for view, columns in PUBLISHED.items():
        names = [column.name for column in columns]
        for row in figures(view):
            cells = dict(zip(names, row, strict=True))
            for fraction in ("share", "density", "accuracy"):
                value = cells.get(fraction)
                gone = view == "published_flows" and value == 0  # a run has lost every weight
                assert value is None or gone or 0 < value <= 1
            task = cells.get("task", "")
            assert task == task.lower()
            assert cells.get("grouping", "layer") in ("layer", "block", "stage")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,c\n1,2\n", "columns are"),
        ("", "columns are"),
        ("a,b\n1\n", "shorter|longer"),
        ("a,b\n1,2,3\n", "shorter|longer"),
        ("a,b\n,2\n", "no a in a row"),
        ("a,b\nx,2\n", "invalid literal"),
        ("a,b\n1,nan\n", "not finite"),
        ('a,b\n1,"2\n', "unexpected end"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "x.csv"
    file.write_text(text)
    with pytest.raises(StoreError, match=f"x.csv is damaged.*({words}).*install rgtool again"):
        read_figures(file, (Column("a", "INTEGER"), Column("b", "DOUBLE", null=True)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="y.csv is damaged"):
        read_figures(tmp_path / "y.csv", (Column("a", "INTEGER"),))


# What is printed


def numbers(text: str) -> list[float]:
    return [float(number) for number in text.split()]


def rows_of(view: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of a view by their place in the paper."""
    found = defaultdict(list)
    for row in figure_rows(view):
        found[row["source"].split("), ", 1)[1]].append(row)
    return found


def test_spectra_are_the_printed_ones() -> None:
    found = defaultdict(list)
    for place, rows in rows_of("published_spectra").items():
        for row in rows:
            std = "" if row["std"] is None else f"±{row['std']:g}"
            group = f"{row['eigenvalue']:.2f}{std}".replace("0.", ".")
            found[row["experiment"].removeprefix("published:"), place].append(group)
    assert {key: " ".join(groups) for key, groups in found.items()} == printed.SPECTRA


def test_groups_of_a_spectrum_stand_in_their_order() -> None:
    for rows in rows_of("published_spectra").values():
        for before, after in itertools.pairwise(rows):
            if before["experiment"] == after["experiment"]:
                assert before["printed_index"] < after["printed_index"]


def test_starting_points_are_the_printed_ones() -> None:
    found = defaultdict(list)
    for row in figure_rows("published_starting_points"):
        assert (row["level"], row["name"]) == (1, str(len(found[row["task"]]) + 1))
        found[row["task"]].append(row["share"])
    assert found == {task: numbers(text) for task, text in printed.STARTING_POINTS.items()}


def test_gammas_are_the_printed_ones() -> None:
    found = defaultdict(dict)
    for row in figure_rows("published_gammas"):
        found[row["task"]][row["pretraining"]] = row["gamma"]
    kinds = ("none", "supervised", "simclr", "moco")
    several = {task: found.pop(task) for task in ("cifar10", "cifar100", "svhn")}
    for task, gammas in several.items():
        assert gammas == dict(zip(kinds, numbers(printed.GAMMAS[task]), strict=True))
    assert found == {"imagenet": {"supervised": -0.42}, "simclr": {"simclr": -1.01}}


def test_elastic_figures_are_the_printed_ones() -> None:
    found = rows_of("published_elastic")
    percent = {place: [100 * row["value"] for row in rows] for place, rows in found.items()}
    assert percent.keys() == printed.ELASTIC.keys()
    for place, values in percent.items():
        assert values == pytest.approx(numbers(printed.ELASTIC[place]), abs=1e-9)
        targets = [re.sub(r"^[a-z]+-?", "", row["architecture"]) for row in found[place]]
        assert targets == printed.ELASTIC_TARGETS[place].split()


def test_elastic_figures_are_at_printed_densities_beside_one_reference() -> None:
    rows = figure_rows("published_elastic")
    densities = [None, 1, 0.1, 0.05, round(0.8**6, 4), round(0.8**10, 4)]
    assert {row["density"] for row in rows} == set(densities)
    assert all((row["density"] == 1) == (row["method"] == "dense") for row in rows)
    assert {
        (row["reference_method"], row["architecture"], row["task"], row["reference"])
        for row in rows
        if row["reference"] is not None
    } == {
        ("dense", "resnet20", "cifar10", 0.9248),
        ("dense", "resnet32", "cifar10", 0.9383),
        ("dense", "resnet56", "cifar10", 0.9451),
        ("imp", "resnet20", "svhn", 0.9595),
        ("imp", "resnet32", "svhn", 0.9632),
        ("imp", "resnet20", "cifar10", 0.9107),
        ("imp", "resnet32", "cifar10", 0.9222),
    }


ORDERINGS = {
    "more_unique_blocks": 4,
    "more_unique_blocks_slightly": 2,
    "earlier_blocks": 4,
    "first_four_kept": 10,
    "smaller_depth_gap": 10,
    "resnet14_best_for_resnet20": 3,
}


def test_orderings_are_what_their_claims_say() -> None:
    mappings = {row["transform"]: row for row in figure_rows("published_elastic_mappings")}
    found = Counter()
    for row in figure_rows("published_elastic_orderings"):
        better, worse = mappings[row["better"]], mappings[row["worse"]]
        assert better["architecture"] == worse["architecture"]
        claim = row["claim"]
        found[claim] += 1
        if claim.startswith("more_unique"):
            assert len(repeated(better)) > len(repeated(worse))
        elif claim == "earlier_blocks":
            assert sum(repeated(better)) < sum(repeated(worse))
        elif claim == "first_four_kept":
            assert {1, 2, 3, 4} & sources(better).keys()
            assert not {1, 2, 3, 4} & sources(worse).keys()
        elif claim == "smaller_depth_gap":
            assert depth_ratio(better) < depth_ratio(worse)
        else:
            assert row["better"] == "14>20"
    assert found == ORDERINGS


def sources(mapping: dict[str, str]) -> dict[int, int]:
    """The blocks that a mapping takes, with how often each stands in the target."""
    pairs = (part.split(":") for part in mapping["mapping"].split(";"))
    return {int(block): len(places.split(",")) for block, places in pairs}


def repeated(mapping: dict[str, str]) -> list[int]:
    return [block for block, times in sources(mapping).items() if times > 1]


def depth_ratio(mapping: dict[str, str]) -> float:
    """Of the deeper network to the other: by it, 56 is nearer to 32 than 14 is."""
    ends = (mapping[name] for name in ("from_architecture", "architecture"))
    depths = [int(name.removeprefix("resnet")) for name in ends]
    return max(depths) / min(depths)


def test_transfers_are_the_printed_ones() -> None:
    found = rows_of("published_transfers")
    temperatures = found.pop("Table 2")
    assert found.keys() == printed.TRANSFERS.keys()
    for place, rows in found.items():
        levels = [None if word == "-" else int(word) for word in printed.TRANSFERS[place].split()]
        assert [row["level"] for row in rows] == levels
        assert [row["matching"] for row in rows] == [level is not None for level in levels]
        assert all(row["temperature"] is row["accuracy"] is None for row in rows)
    assert {row["temperature"]: round(100 * row["accuracy"], 9) for row in temperatures} == (
        printed.TEMPERATURES
    )
    assert {(row["level"], row["matching"]) for row in temperatures} == {(6, None)}


def test_transfers_are_three_a_task_at_the_density_of_their_level() -> None:
    for place, rows in rows_of("published_transfers").items():
        for row in rows:
            expected = None if row["level"] is None else round(0.8 ** row["level"], 4)
            assert row["density"] == expected
            start = row["task"] if row["ticket"] == "task" else row["weights_from"]
            assert row["mask_from"] == start
        if place not in ("Table 2", "App. B.2"):
            kinds = [row["weights_from"] for row in rows]
            assert kinds == ["supervised", "simclr", "moco"] * (len(rows) // 3)


@pytest.mark.parametrize("name", printed.CURVES)
def test_curves_have_the_points_that_are_printed(name: str) -> None:
    points, total = printed.CURVES[name]
    curve = published_curve(name)
    assert len(curve.density) == points
    assert 100 * curve.accuracy.sum() == pytest.approx(total, abs=5e-5)
    assert curve.digitised == name.startswith("chen")
    levels = np.round(np.log(curve.density) / np.log(0.8))
    np.testing.assert_allclose(curve.density, 0.8**levels, rtol=0, atol=5e-6)
    assert published_curve_names() == tuple(f"published:{known}" for known in printed.CURVES)


# The views


@pytest.mark.parametrize("view", PUBLISHED)
def test_every_view_is_in_an_empty_store(empty: Store, view: str) -> None:
    found = empty.sql(f"SELECT * FROM {view}")
    assert found.columns == tuple(column.name for column in PUBLISHED[view])
    assert found.types == tuple(column.type for column in PUBLISHED[view])
    plain = [tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in found.rows]
    assert plain == list(figures(view))
    assert empty.query(f"SELECT count(*) FROM {view}").rows == [(ROWS[view],)]
    assert not empty.path.exists()


def test_the_catalog_lists_the_views(empty: Store) -> None:
    views = empty.sql("SELECT table_name FROM information_schema.views WHERE table_schema = 'main'")
    assert set(PUBLISHED) <= {name for (name,) in views.rows}
    assert set(PUBLISHED) <= {name for (name,) in empty.sql("SHOW TABLES").rows}
    described = empty.sql("DESCRIBE published_gammas").rows
    assert [row[0] for row in described] == [c.name for c in PUBLISHED["published_gammas"]]
    assert len(empty.sql("SUMMARIZE Published_Gammas").rows) == 5


def test_a_view_is_made_for_those_who_mention_it(empty: Store) -> None:
    def made(connection: Any) -> list[str]:
        return [name for (name,) in connection.execute("SHOW TABLES").fetchall()]

    from rgtool.store.sql.session import mentioned

    assert empty._reader.run(made, wanted=mentioned("SELECT * FROM runs")) == ["runs"]
    wanted = mentioned("FROM published_gammas")
    assert empty._reader.run(made, wanted=wanted) == ["published_gammas"]


def test_views_join_a_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    write_run(store.path, recipe=Recipe(architecture="resnet14", task="cifar10"), levels=3)
    found = store.sql(
        "SELECT name, count(*), any_value(p.eigenvalue) FROM flow "
        "JOIN published_spectra AS p USING (architecture, task, grouping, name) "
        "WHERE level > 0 GROUP BY name ORDER BY name"
    )
    assert found.rows == [("1.1", 3, 1.07), ("2.1", 3, 1.03), ("3.1", 3, 0.95)]


def test_the_files_cannot_be_read_by_name(empty: Store) -> None:
    file = FOLDER / "published_spectra.csv"
    assert file.exists()
    for query in (
        f"SELECT * FROM read_csv('{file}')",
        f"SELECT * FROM published_gammas, read_text('{file}')",
    ):
        with pytest.raises(QueryError, match="Cannot access file"):
            empty.sql(query)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("published_spectrum", "did you mean published_spectra"),
        ("published_gamma", "did you mean published_gammas"),
        ("published", "no view 'published': "),
    ],
)
def test_a_misspelt_view_gets_a_hint(empty: Store, name: str, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        empty.sql(f"SELECT * FROM {name}")


def test_orderings_compare_known_transforms(empty: Store) -> None:
    lost = empty.sql(
        "SELECT count(*) FROM published_elastic_orderings AS o "
        "ANTI JOIN published_elastic_mappings AS m ON m.transform = o.better"
    )
    assert lost.rows == [(0,)]
    lost = empty.sql(
        "SELECT count(*) FROM published_elastic_orderings AS o "
        "ANTI JOIN published_elastic_mappings AS m ON m.transform = o.worse"
    )
    assert lost.rows == [(0,)]


def test_mappings_fill_their_target(empty: Store) -> None:
    rows = empty.sql("SELECT * EXCLUDE (source) FROM published_elastic_mappings").rows
    for _, source, target, mapping in rows:
        pairs = [part.split(":") for part in mapping.split(";")]
        blocks = [(int(re.sub(r"\D", "", name)) - 2) // 6 for name in (source, target)]
        assert max(int(block) for block, _ in pairs) < blocks[0]
        filled = [int(block) for _, several in pairs for block in several.split(",")]
        assert sorted(filled) == list(range(blocks[1]))


# The spectra


def spectra() -> list[PublishedSpectrum]:
    return [published(name) for name in published_names()]


def test_names_are_unique_and_say_what_was_trained() -> None:
    names = published_names()
    assert len(names) == len(set(names)) == 13
    for spectrum in spectra():
        parts = dict.fromkeys((spectrum.architecture, spectrum.pretraining, spectrum.task))
        assert spectrum.name == "published:" + "-".join(parts).replace("-none", "")
        assert len(set(spectrum.names)) == len(spectrum.names)
    assert sum(len(spectrum.names) for spectrum in spectra()) == 112


@pytest.mark.parametrize(
    ("name", "eigenvalues", "stds", "places"),
    [
        ("resnet50-simclr-imagenet", [1.15, 1.09, 1.02, 0.95], [0.01, 0.02, 0.01, 0.02], "Table 2"),
        ("resnet50-simclr-cifar10", [1.11, 1.06, 1.01, 0.98], [0.01, 0.01, 0.01, 0.002], "Table 2"),
        (
            "resnet50-supervised-cifar100",
            [1.04, 1.06, 1.03, 0.97],
            [0.05, 0.02, 0.004, 0.01],
            "Table 4",
        ),
        (
            "resnet20-cifar10",
            [1.07, 1.07, 1.02, 1.02, 0.97, 0.95],
            [np.nan] * 6,
            "Table 3, Table 7, Table 8",
        ),
    ],
)
def test_golden_spectra(
    name: str, eigenvalues: list[float], stds: list[float], places: str
) -> None:
    spectrum = published(name)
    np.testing.assert_array_equal(spectrum.eigenvalue, eigenvalues)
    np.testing.assert_array_equal(spectrum.std, stds)
    assert spectrum.source == f"{REDMAN}, {places}"


def test_groups_are_named_as_the_block_maps_name_them() -> None:
    vgg = published("vgg16-cifar10")
    layers = architecture("vgg16").counted()
    assert (vgg.by, vgg.names) == ("layer", tuple(layer.name for layer in layers))
    for depth in (14, 20, 32, 44, 56):
        spectrum = published(f"resnet{depth}-cifar10")
        blocks = dict.fromkeys(layer.block for layer in architecture(f"resnet{depth}").layers)
        normal = [b for b in blocks if b not in ("stem", "head") and not b.endswith(".0")]
        assert (spectrum.by, list(spectrum.names)) == ("block", normal)
    assert published("bert-base-mlm").names == tuple(str(i) for i in range(12))
    assert published("resnet50-simclr-cifar10").names == ("1", "2", "3", "4")


def test_starting_points_are_shares_and_meet_the_eigenvalues() -> None:
    """The checks of Sec. 3.1: shares sum to 1, sum lambda M(1) to about 1 (printed rounding)."""
    started = [s for s in spectra() if np.isfinite(s.share_start).all()]
    assert [s.task for s in started] == ["imagenet", "cifar10", "cifar100"]
    for spectrum in started:
        assert spectrum.share_start.sum() == pytest.approx(1, abs=4 * 0.5e-4)
    first = [(s.share_start * s.eigenvalue).sum() for s in started]
    last = [(s.share_start * s.eigenvalue**16).sum() for s in started]
    np.testing.assert_array_equal(np.round(first, 3), [0.981, 0.995, 0.996])
    np.testing.assert_array_equal(np.round(last, 3), [0.992, 1.002, 0.967])


def test_starting_points_are_of_level_one_not_of_the_architecture() -> None:
    layers = architecture("resnet50").counted()
    total = sum(layer.total for layer in layers)
    first = sum(layer.total for layer in layers if layer.stage == "1") / total
    assert first == pytest.approx(0.009085, abs=1e-6)
    assert all(s.share_start[0] < 0.9 * first for s in spectra() if s.share_start[0] > 0)


def test_names_may_be_shortened_where_that_is_unique() -> None:
    assert published("published:vgg").name == "published:vgg16-cifar10"
    assert published("bert").name == "published:bert-base-mlm"
    # A whole name counts even where it begins another one.
    assert published("resnet50-simclr-cifar10").task == "cifar10"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("published:resnet50-simclr", "begins 3 published names: .*-imagenet, .*-cifar10, .*-100"),
        ("resnet21-cifar10", r"did you mean published:resnet20-cifar10 or"),
        ("published:", "nothing published is named 'published:'"),
        ("", "nothing published is named ''"),
    ],
)
def test_other_names_are_refused_with_what_there_is(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("-100", "-cifar100")) as caught:
        published(name)
    assert len(str(caught.value).splitlines()) == 1


def test_a_spectrum_is_frozen_and_makes_a_frame() -> None:
    spectrum = rgtool.published("resnet50-simclr-imagenet")
    assert isinstance(spectrum, PublishedSpectrum)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spectrum.task = "x"  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        spectrum.eigenvalue[0] = 2
    assert spectrum.label == "resnet50/imagenet"
    frame = published("resnet14-cifar10").to_frame()
    assert frame["std"].to_list() == [None] * 3
    assert frame["share_start"].dtype == pl.Float64
    assert spectrum.to_frame()["share_start"].to_list() == [0.0079, 0.0557, 0.3055, 0.6309]


# The command line


def test_ls_lists_the_literature(cli: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = cli("ls", "--published", "--json")
    assert code == 0
    kinds = {
        kind: [r for r in json.loads(out) if r["kind"] == kind] for kind in ("spectrum", "curve")
    }
    assert [row["experiment"] for row in kinds["spectrum"]] == list(published_names())
    assert all(row["source"].startswith(REDMAN) for row in kinds["spectrum"])
    assert [row["experiment"] for row in kinds["curve"]] == list(published_curve_names())
    code, _, err = cli("ls", "--published", "--runs")
    assert (code, "choose one" in err) == (2, True)


@pytest.mark.parametrize("command", ["show", "eigen"])
def test_show_and_eigen_print_a_published_spectrum(
    cli: Callable[..., tuple[int, str, str]], command: str, tmp_path: Path
) -> None:
    code, out, err = cli(command, "published:resnet50-simclr-imagenet")
    assert code == 0
    assert out.splitlines()[1].split()[:4] == ["1", "1.15", "0.01", "0.0079"]
    assert f"{REDMAN}, Table 2" in err
    assert "std is a spread over levels, not an error bar" in err
    rows = json.loads(cli(command, "published:resnet44-cifar10", "--json")[1])
    assert len(rows) == 18
    assert rows[0]["std"] is None and rows[0]["source"] == f"{REDMAN}, Table 3"
    assert "no std" in cli(command, "published:resnet44-cifar10")[2]
    code, _, err = cli(command, "published:nonsense")
    assert (code, len(err.splitlines())) == (2, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_published_curve_is_shown_and_has_no_spectrum(
    cli: Callable[..., tuple[int, str, str]],
) -> None:
    rows = json.loads(cli("show", "published:chen2021a-moco-svhn", "--json")[1])
    curve = published_curve("chen2021a-moco-svhn")
    assert [row["density"] for row in rows] == curve.density.tolist()
    assert [row["accuracy"] for row in rows] == curve.accuracy.tolist()
    code, _, err = cli("eigen", "published:chen2021a-moco-svhn")
    assert (code, "rgtool show and gamma take" in err) == (2, True)


def test_eigen_refuses_what_is_not_printed(cli: Callable[..., tuple[int, str, str]]) -> None:
    assert cli("eigen", "published:vgg16-cifar10", "--by", "layer")[0] == 0
    code, _, err = cli("eigen", "published:vgg16-cifar10", "--by", "stage")
    assert (code, "is printed by layer alone" in err) == (2, True)
    code, _, err = cli("eigen", "published:vgg16-cifar10", "--window", "1:4")
    assert (code, "leave out --window" in err) == (2, True)


PAGE = CLONE / "docs" / "store.md"


def test_the_queries_of_the_page_run(empty: Store) -> None:
    blocks = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    queries = [query for block in blocks for query in block.split(";") if query.strip()]
    assert len(queries) == 6
    assert [len(empty.sql(query)) for query in queries][-1] == ROWS["published_elastic_orderings"]


def test_the_page_names_every_view_and_column() -> None:
    page = PAGE.read_text()
    for view, columns in PUBLISHED.items():
        (line,) = (line for line in page.splitlines() if line.startswith(f"| `{view}` |"))
        assert set(re.findall(r"\w+", line)) >= {c.name for c in columns} - {"source"}
