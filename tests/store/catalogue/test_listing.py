"""What a store shows in Python, of what it holds and what it did, is what commands print."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Cli
from page import Page, read
from stores import write_run

from rgtool.schemas.display import Shown, Table
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.store import Store
from rgtool.store.catalogue.listing import sorted_table
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


def test_a_run_says_how_far_it_is(store: Store) -> None:
    seen = read(store.runs()._repr_html_())
    found = [dict(zip(seen.header, row, strict=True)) for row in seen.rows]
    columns = ("label", "seed", "records", "of", "state")
    assert [tuple(row[name] for name in columns) for row in found] == [
        ("resnet8w4/<b>odd</b>", "0", "4", "4", "diverged"),
        ("resnet8w4/digits", "0", "4", "4", "finished"),
        ("resnet8w4/digits", "1", "3", "4", "unfinished"),
        ("resnet8w4/digits", "2", "2", "4", "unfinished"),
    ]
    assert not any(run.compacted for run in store.runs())
    store.compact()
    assert [run.compacted for run in store.runs()] == [run.finished for run in store.runs()]


def test_what_has_no_value_comes_last() -> None:
    rows = [(value, number) for number, value in enumerate([None, 0.5, math.nan, "", 0.25, []])]
    table = Table(("value", "number"), rows)
    assert [row[1] for row in sorted_table(table, "value").rows] == [4, 1, 0, 2, 3, 5]
    assert [row[1] for row in sorted_table(table, "value", reverse=True).rows] == [1, 4, 0, 2, 3, 5]
    assert sorted_table(table, None).rows == rows
    assert sorted_table(table, None, reverse=True).rows == rows[::-1]


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
    assert {"experiment", "runs", "accuracy"} <= {*seen.header} and "note" not in seen.header
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


def named(line: str) -> str:
    """Leave out what tells the files of two compactions apart."""
    return re.sub(r"-[0-9a-f]{8}\.parquet", "", line)


def lay(folder: Path) -> Path:
    """Lay out a run of someone else's, and files beside it that are none."""
    folder.mkdir()
    weights, generator = torch.ones(6, 8), torch.Generator().manual_seed(0)
    mask = torch.ones(6, 8)
    for level in range(3):
        torch.save({"a.weight_orig": weights, "a.weight_mask": mask}, folder / f"level_{level}.pt")
        mask = mask * (torch.rand(6, 8, generator=generator) > 0.2)
    for number in range(5):
        (folder / f"stray{number}.pt").write_text("no checkpoint")
    return folder


EXPERIMENT = Recipe(architecture="resnet8w4", task="digits").experiment_id
ASKED: dict[str, Callable[[Store, Path], Any]] = {
    "check": lambda store, _: store.check(),
    "compact": lambda store, _: store.compact(),
    "count": lambda store, _: store.count("FROM runs"),
    "counts": lambda store, _: store.counts(EXPERIMENT),
    "counts_of": lambda store, _: store.counts_of(),
    "description": lambda store, _: store.description(f"{EXPERIMENT}-s0"),
    "diff": lambda store, _: store.diff(f"{EXPERIMENT}-s0", f"{EXPERIMENT}-s1"),
    "experiments": lambda store, _: store.experiments(),
    "find": lambda store, _: store.find(EXPERIMENT),
    "find_all": lambda store, _: store.find_all(f"{EXPERIMENT}-s0"),
    "find_experiment": lambda store, _: store.find_experiment(EXPERIMENT),
    "find_experiments": lambda store, _: store.find_experiments(EXPERIMENT),
    "find_run": lambda store, _: store.find_run(f"{EXPERIMENT}-s0"),
    "import_runs": lambda _, path: Store(path / "new").import_runs(path / "in"),
    "merge": lambda store, path: Store(path / "new").merge(store.path),
    "name": lambda store, _: store.name(EXPERIMENT, "mine"),
    "predictions": lambda store, _: store.predictions(),
    "problems": lambda store, _: store.problems,
    "query": lambda store, _: store.query("FROM runs"),
    "remove": lambda store, _: store.remove(EXPERIMENT),
    "removed": lambda store, _: store.removed(),
    "runs": lambda store, _: store.runs(),
    "sql": lambda store, _: store.sql("FROM runs"),
    "standing": lambda store, _: store.standing(every=True),
    "stream": lambda store, _: store.stream("FROM runs"),
    "stream_arrow": lambda store, _: store.stream_arrow("FROM runs"),
    "try_out": lambda store, _: store.try_out(),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_a_store_returns_shows_itself(name: str, store: Store, tmp_path: Path) -> None:
    lay(tmp_path / "in")
    found = ASKED[name](store, tmp_path)
    if isinstance(found, Shown):
        assert read(found._repr_html_()).header
    elif isinstance(found, tuple | list):
        assert all(isinstance(one, str | None) for one in found)
    else:
        assert isinstance(found, int | str | Iterator)
    for one in found if isinstance(found, list) else ():
        assert isinstance(one, str) or len(read(one._repr_html_()).rows) == 1


def test_all_that_a_store_can_be_asked_is_tried() -> None:
    of_all = {*dir(Shown), "path"}
    assert {name for name in dir(Store) if name[0] != "_"} - of_all == ASKED.keys()


def test_what_a_store_did_is_seen_as_commands_print_it(
    store: Store, cli: Cli, tmp_path: Path
) -> None:
    """Each is done to one copy by the command, to another in Python."""
    source = lay(tmp_path / "in")
    run, other = f"{EXPERIMENT}-s1", Store(tmp_path / "other")
    other.merge(store.path)
    for arguments, found in (
        (("merge", str(store.path), "--store", "third"), Store("fourth").merge(store.path)),
        (("import", str(source), "--store", "third"), Store("fourth").import_runs(source)),
        (("rm", run, "--yes"), other.remove(run)),
        (("compact",), other.compact()),
        (("compact",), other.compact()),
    ):
        done, seen = cli(*arguments), read(found._repr_html_())
        assert done.code in (0, 3)
        there = [line.replace(str(other.path), str(store.path)) for line in seen.lines()]
        assert [named(line) for line in there] == [named(line) for line in printed(done.out)]
        said = done.err.splitlines()
        ends = {line.partition("; next: ")[0] for line in said}
        shown = {line.removesuffix(" [importing.md]") for line in seen.below}
        assert shown - {"2 more notes: .notes has them"} <= ends
        assert bool(shown) == bool(said)


def test_a_damaged_store_is_seen_as_doctor_prints_it(store: Store, cli: Cli) -> None:
    record = RunFolder.of(store.path, store.runs()[0].run_id).record(1)
    record.write_bytes(record.read_bytes()[:-9] + b"123456789")
    done, seen = cli("doctor", "--deep"), read(store.check()._repr_html_())
    assert done.code == 1 and len(seen.rows) == 1 and str(record) in seen.rows[0]
    assert (seen.lines(), seen.below) == (printed(done.out), done.err.splitlines())
    problems = read(store.problems._repr_html_())
    assert problems.header == seen.header and problems.rows[0][0] == seen.rows[0][0]
    trials = read(store.try_out()._repr_html_()).lines()
    assert {*trials} <= {*printed(cli("doctor").out)} and len(trials) > 4


def test_a_run_is_seen_as_show_prints_it(store: Store, cli: Cli) -> None:
    run = store.runs()[0].run_id
    seen, done = read(store.description(run)._repr_html_()), cli("show", run)
    rows = printed(done.out)
    assert seen.lines() == rows[: len(seen.lines())] and len(seen.lines()) > 40
    assert all(row.startswith(("accuracy", "share of")) for row in rows[len(seen.lines()) :])
    assert seen.caption == f"run {run}"
