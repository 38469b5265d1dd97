"""Names in a store: they select, follow corrections and merges, and die with their runs."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from command import Cli
from stores import data_of, describe, write_run

import rgtool
from rgtool import Store
from rgtool.analysis.named import Stored, look_up, look_up_all
from rgtool.schemas.errors import RecordError, UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.records.names import FILE, Entry, read_names

BASE = Recipe(architecture="resnet8w4", task="digits")
OTHER = dataclasses.replace(BASE, prune=0.36)
STATES = ("loose", "compacted")


@pytest.fixture(params=STATES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Two experiments of one label, loose and compacted."""
    for seed in range(2):
        write_run(tmp_path / "s", seed=seed, recipe=BASE)
        write_run(tmp_path / "s", seed=seed, recipe=OTHER)
    store = Store(tmp_path / "s")
    if request.param == "compacted":
        store.compact()
    return store


def test_a_name_serves_wherever_an_experiment_is_due(store: Store, cli: Cli) -> None:
    before = data_of(store.path)
    assert store.name(OTHER.experiment_id, "halved") == {OTHER.experiment_id: Entry("halved")}
    assert {k: v for k, v in data_of(store.path).items() if k != FILE} == before
    assert store.find_experiment("HALVED") == OTHER.experiment_id
    assert store.counts("halved").recipe == OTHER
    assert look_up(store, "halved") == Stored(store, OTHER.experiment_id)
    assert rgtool.eigen(store, "halved", by="stage").experiment_id == OTHER.experiment_id
    for verb in (["show"], ["eigen", "--by", "stage"], ["ls"], ["plot", "--kind", "flow"]):
        done = cli(verb[0], "halved", *verb[1:], "--store", str(store.path))
        assert done.code == 0, done.err
    assert cli("diff", "halved", "prune=.2", "--store", str(store.path)).code == 0


def test_runs_have_names_too(store: Store) -> None:
    run = BASE.run_id(1)
    assert store.name(run, "lucky", tags=["x"]) == {run: Entry("lucky", None, ("x",))}
    assert store.find_run("lucky") == run and store.find("lucky") == (BASE.experiment_id, run)
    assert look_up(store, "lucky") == Stored(store, BASE.experiment_id, run)
    assert [one.name for one in store.runs() if one.run_id == run] == ["lucky"]
    store.name("prune=.2", note="of the experiment")
    assert store.name("lucky") == {run: Entry("lucky", None, ("x",))}
    store.name("prune=.2", note="")
    assert not any(one.name for one in store.experiments())
    with pytest.raises(UsageError, match=f"is that of {run}"):
        store.name("prune=.36", "Lucky")
    assert store.remove("lucky").removed == (run,)
    assert read_names(store.path) == {}


def test_tags_are_for_many_and_select_many(store: Store) -> None:
    found = store.name("resnet8w4/digits", tags=["paper"], note="both")
    assert {*found} == {BASE.experiment_id, OTHER.experiment_id}
    assert store.find_experiments("tag=PAPER") == sorted(found)
    assert len(look_up_all(store, ["tag=paper"])) == 2
    assert len(look_up_all(store, ["tag=paper"], exclude=["prune=.36"])) == 1
    with pytest.raises(UsageError, match="fits 2 experiments"):
        look_up(store, "tag=paper")
    store.name("prune=.36", untag=["paper"], note="")
    assert store.find_experiments("tag=paper") == [BASE.experiment_id]
    assert [one.note for one in store.experiments("tag=paper")] == ["both"]
    store.name("tag=paper", clear=True)
    assert read_names(store.path) == {}


def test_the_view_has_what_is_said_of_experiment_and_run(store: Store) -> None:
    store.name(BASE.experiment_id, "base", note="n", tags=["a", "b"])
    store.name(BASE.run_id(0), "zero", tags=["c"])
    rows = store.sql(
        "SELECT run_id, experiment_name, experiment_note, experiment_tags, run_name, run_tags "
        "FROM runs WHERE experiment_name = 'base' ORDER BY run_id"
    ).rows
    assert rows == [
        (BASE.run_id(0), "base", "n", ["a", "b"], "zero", ["c"]),
        (BASE.run_id(1), "base", "n", ["a", "b"], None, None),
    ]
    by_id = {run.run_id: run for run in store.runs()}
    zero, one = by_id[BASE.run_id(0)], by_id[BASE.run_id(1)]
    assert (zero.name, zero.note, zero.tags) == ("zero", "n", ("a", "b", "c"))
    assert (one.name, one.note, one.tags) == ("base", "n", ("a", "b"))
    assert by_id[OTHER.run_id(0)].name is None and by_id[OTHER.run_id(0)].tags == ()


def correct(store: Store, run_id: str, recipe: Recipe, *former: str) -> None:
    """Write a description as a corrected import has it: of another experiment, under its own id."""
    seed = int(run_id.rpartition("s")[2])
    told = describe(recipe, seed, 3, run_id=run_id, former=former)
    told.write(RunFolder.of(store.path, run_id).description)


def test_names_follow_a_correction(store: Store) -> None:
    store.name(BASE.experiment_id, "base", tags=["t"])
    middle, last = (dataclasses.replace(BASE, task=task) for task in ("mnist", "svhn"))
    correct(store, BASE.run_id(0), middle, BASE.experiment_id)
    assert store.find_experiment("base") == BASE.experiment_id  # seed 1 is of it still
    assert [one.name for one in store.experiments("task=mnist")] == [None]
    store.name("task=mnist", note="moved")
    assert read_names(store.path)[BASE.experiment_id] == Entry("base", None, ("t",))
    store.name("task=mnist", clear=True)
    for seed in range(2):
        correct(store, BASE.run_id(seed), last, BASE.experiment_id, middle.experiment_id)
    assert store.find_experiment("base") == last.experiment_id
    before = read_names(store.path)
    assert store.name("base") == {last.experiment_id: Entry("base", None, ("t",))}
    assert read_names(store.path) == before  # asking changes nothing
    store.name("base", note="renamed under its new id")
    assert read_names(store.path) == {
        last.experiment_id: Entry("base", "renamed under its new id", ("t",))
    }
    store.remove("base")
    assert read_names(store.path) == {}


def test_names_of_the_gone_are_free_and_can_be_taken_away(store: Store) -> None:
    store.name("prune=.36", "base")
    for seed in range(2):
        shutil.rmtree(RunFolder.of(store.path, OTHER.run_id(seed)).path)
    with pytest.raises(UsageError, match="no experiment 'base'"):
        store.find_experiment("base")
    store.name(BASE.experiment_id, "base")
    assert read_names(store.path) == {BASE.experiment_id: Entry("base")}
    store.name("base", clear=True)


def test_names_stay_while_a_run_of_theirs_does(store: Store) -> None:
    store.name(BASE.experiment_id, "base")
    store.remove(BASE.run_id(0), dry_run=True)
    store.remove(BASE.run_id(0))
    assert store.find_experiment("base") == BASE.experiment_id
    store.remove(BASE.run_id(1))
    assert read_names(store.path) == {}


def test_names_go_with_a_merge(store: Store, tmp_path: Path) -> None:
    store.name(BASE.experiment_id, "base", note="n", tags=["t"])
    store.name(OTHER.run_id(0), "zero")
    here = Store(tmp_path / "here")
    third = write_run(here.path, recipe=dataclasses.replace(BASE, lr=0.3))
    here.name(third, "zero")
    said = (f"{OTHER.run_id(0)} comes without its name 'zero': {third} has it here",)
    before = data_of(here.path)
    assert here.merge(store.path, dry_run=True).notes == said
    assert data_of(here.path) == before
    assert here.merge(store.path).notes == said and here.merge(store.path).notes == said
    assert read_names(here.path) == {
        BASE.experiment_id: Entry("base", "n", ("t",)),
        third: Entry("zero"),
    }


def test_a_merge_says_which_names_and_notes_stay_out(store: Store, tmp_path: Path) -> None:
    here = Store(tmp_path / "here")
    write_run(here.path, seed=2, recipe=BASE)
    here.name(BASE.experiment_id, "mine", note="n", tags=["Paper"])
    store.name(BASE.experiment_id, "theirs", note="m", tags=["paper", "new"])
    assert here.merge(store.path).notes == (
        f"{BASE.experiment_id} keeps its name 'mine': 'theirs' is left out",
        f"{BASE.experiment_id} keeps the note that it has here: the other one is left out",
    )
    assert read_names(here.path) == {BASE.experiment_id: Entry("mine", "n", ("Paper", "new"))}
    store.name(BASE.experiment_id, "MINE", note="n")
    assert here.merge(store.path).notes == ()


def test_names_survive_compaction_and_a_damaged_file_is_left_out(store: Store, cli: Cli) -> None:
    store.name(BASE.experiment_id, "base")
    store.compact()
    assert store.find_experiment("base") == BASE.experiment_id
    path = store.path / FILE
    path.write_bytes(path.read_bytes().replace(b"base", b"bose"))
    fresh = Store(store.path)
    assert len(fresh.experiments()) == 2 and not any(e.name for e in fresh.experiments())
    assert [(p.path, p.is_left_out) for p in fresh.problems] == [(str(path), True)]
    assert str(path) in cli("ls", "--store", str(store.path)).err
    assert [problem.path for problem in fresh.check().problems] == [str(path)]
    with pytest.raises(RecordError, match="the sum differs"):
        fresh.name(BASE.experiment_id, "new")
    fresh.remove(BASE.experiment_id)


def test_the_command_shows_what_is_said(store: Store, cli: Cli) -> None:
    place = ("--store", str(store.path))
    done = cli("name", "prune=.36", "half", "--tag", "a", "--tag", "b", "--note", "why", *place)
    assert done.code == 0 and done.out.split() == [
        "id", "name", "tags", "note", OTHER.experiment_id, "half", "a", "b", "why",
    ]  # fmt: skip
    assert cli("name", "half", *place).out == done.out
    assert store.name("half")._repr_html_().count("half") == 1
    assert cli("name", "half", "", "--untag", "a", *place).code == 0
    assert store.name("prune=.36") == {OTHER.experiment_id: Entry(None, "why", ("b",))}
    for name, words in (("resnet8w4/digits", "label"), ("3f2a", "of an id")):
        done = cli("name", "prune=.36", name, *place)
        assert done.code == 2 and words in done.err
    done = cli("name", "tag=b", "--clear", *place)
    assert done.code == 0 and read_names(store.path) == {}


def test_a_run_is_named_as_it_begins(tmp_path: Path, cli: Cli) -> None:
    options = {"epochs": 1, "levels": 0, "store": tmp_path / "s", "progress": False}
    first = rgtool.run("lenet", "digits", "quick", name="first", note="n", tags=["x"], **options)
    assert read_names(tmp_path / "s") == {first.experiment_id: Entry("first", "n", ("x",))}
    common = ("run", "lenet", "digits", "--recipe", "quick", "--epochs", "1", "--levels", "0")
    place = ("--store", str(tmp_path / "s"))
    before = data_of(tmp_path / "s")
    for dry in ((), ("--dry-run",)):
        done = cli(*common, "--prune", ".36", "--name", "FIRST", *dry, *place)
        assert done.code == 2 and f"is that of {first.experiment_id}" in done.err
    assert cli(*common, "--name", "other", "--dry-run", *place).code == 0
    assert data_of(tmp_path / "s") == before
    assert cli(*common, "--name", "other", "--tag", "y", *place).code == 0
    assert read_names(tmp_path / "s") == {first.experiment_id: Entry("other", "n", ("x", "y"))}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (BASE.run_id(1), f"is a run, {BASE.run_id(1)}, of {BASE.experiment_id}; rgtool ls --runs"),
        ("LUCKY", f"'LUCKY' is a run, {BASE.run_id(1)}, of"),
        ("published:vgg16-cifar10", "is a printed spectrum, which rgtool show, eigen, .* take"),
        ("published:nosuch", "nothing published is named"),
        ("curve.csv", "is a table of errors, which rgtool gamma and collapse take"),
        ("nosuch", "no experiment 'nosuch'"),
    ],
)
def test_a_name_of_another_kind_is_explained(store: Store, name: str, words: str) -> None:
    store.name(BASE.run_id(1), "lucky")
    for find in (store.find_experiment, store.find_experiments, store.experiments):
        with pytest.raises(UsageError, match=words):
            find(name)
    if "run" not in words:
        with pytest.raises(UsageError, match=words.replace("no exp", "no (run or )?exp")):
            store.diff(BASE.experiment_id, name)
    with pytest.raises(UsageError, match="fits 2 experiments"):
        store.find_experiment("resnet8w4/digits")
