"""Lists of a store: what Python shows is what `rgtool ls` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import Cli
from page import Page, read
from stores import write_run

from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.store import Store
from rgtool.store.literature import find_published


@pytest.fixture
def store(tmp_path: Path) -> Store:
    path = tmp_path / "rgstore"
    for seed in range(3):
        write_run(path, seed, recorded=range(4 - seed))
    odd = Recipe(architecture="resnet8w4", task="<b>odd</b>", prune=0.36)
    write_run(path, recipe=odd, diverged=True)
    return Store(path)


def printed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def lines(seen: Page) -> list[str]:
    return [*seen.lines(), *seen.below]


@pytest.mark.parametrize("arguments", [[], ["--runs"]])
def test_a_notebook_shows_what_the_command_prints(
    arguments: list[str], store: Store, cli: Cli
) -> None:
    done = cli("ls", *arguments)
    found = store.runs() if arguments else store.experiments()
    assert lines(read(found._repr_html_())) == printed(done.out) == printed(found.summary())
    assert len(found) == len(printed(done.out)) - 1 == (4 if arguments else 2)
    if not arguments:
        assert read(store._repr_html_()) == read(found._repr_html_())
        assert store.summary() == found.summary()


def test_an_experiment_counts_its_runs(store: Store) -> None:
    seen = read(store._repr_html_())
    found = [dict(zip(seen.header, row, strict=True)) for row in seen.rows]
    rows = {row["label"]: row for row in found}
    assert (rows["resnet8w4/digits"]["runs"], rows["resnet8w4/digits"]["finished"]) == ("3", "1")
    assert rows["resnet8w4/<b>odd</b>"]["finished"] == "1"
    assert rows["resnet8w4/<b>odd</b>"]["differs"].endswith("prune=0.36")


def test_a_list_is_narrowed_sorted_and_turned(store: Store, cli: Cli) -> None:
    def column(name: str, *arguments: str) -> list[str]:
        done = cli("ls", *arguments, "--json")
        assert done.code == 0, done.err
        return [row[name] for row in json.loads(done.out)]

    ids = {one.label: one.experiment_id for one in store.experiments()}
    odd = ids["resnet8w4/<b>odd</b>"]
    assert column("experiment", "prune=.36") == [odd]
    assert column("run", "--runs", "prune=.36") == column("run", f"{odd}-s0", "--runs")
    by_runs = column("runs", "--sort", "runs")
    assert by_runs == sorted(by_runs) == column("runs", "--sort", "runs", "--reverse")[::-1]
    store.name(odd, "zed")
    store.name("prune=.2", note="said")
    assert column("name", "--sort", "name") == ["zed", None]
    assert column("name", "--sort", "name", "--reverse") == ["zed", None]
    seen = read(store._repr_html_())
    assert (
        seen.header[:4] == ["experiment", "name", "recipe", "label"] and "tags" not in seen.header
    )
    for arguments, words in (
        (("--sort", "acuracy"), "did you mean accuracy"),
        (("lr=3",), "lr is"),
    ):
        done = cli("ls", *arguments)
        assert (done.code, done.out) == (2, "") and words in done.err


def test_an_empty_store_says_what_fills_it(tmp_path: Path, cli: Cli) -> None:
    store = Store(tmp_path / "none")
    done = cli("ls", "--store", str(store.path))
    seen = read(store._repr_html_())
    assert seen.rows == [] and seen.below == done.err.splitlines()
    assert "no runs yet; rgtool demo or rgtool run lenet digits" in seen.below[0]


def test_what_is_left_out_is_said(store: Store, cli: Cli) -> None:
    run = store.runs()[0].run_id
    RunFolder.of(store.path, run).record(1).write_bytes(b"PAR1")
    seen = read(store._repr_html_())
    assert len(seen.rows) == 2 and len(seen.below) == 1
    assert seen.below == cli("ls").err.splitlines()
    assert "0001.parquet" in seen.below[0] and seen.below[0].startswith("left out: ")


def test_lists_are_lists(store: Store) -> None:
    runs, experiments = store.runs(), store.experiments()
    assert isinstance(runs, list) and runs[0] in runs
    assert [run for one in experiments for run in one.runs] == list(runs)
    assert len(read(type(runs)(runs * 40)._repr_html_()).rows) == 100


@pytest.mark.parametrize(
    "name",
    ["resnet50-simclr-imagenet", "renda2020-resnet20-cifar10", "tanaka2020-vgg16-cifar100-grasp"],
)
def test_the_literature_is_seen_as_the_command_shows_it(name: str, cli: Cli) -> None:
    found = find_published(name)
    done = cli("show", f"published:{name}")
    assert done.code == 0
    seen = read(found._repr_html_())
    assert seen.lines() == printed(done.out)
    assert done.err.splitlines() == [seen.caption, *seen.below]
