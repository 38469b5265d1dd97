"""`Store.diff` and `rgtool diff`: what two experiments or runs differ in, and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from command import Cli
from stores import describe, write_run

from rgtool import Store
from rgtool.schemas.errors import UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.description import BY_LEVEL, BY_LEVEL_WHY
from rgtool.schemas.records.layout import RunFolder

BASE = Recipe(architecture="resnet8w4", task="digits")
OTHER = dataclasses.replace(BASE, prune=0.36, milestones=())
FOREIGN = dataclasses.replace(BASE, origin="a study", lr=0.05)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "s")
    for seed, threads in ((0, 1), (1, 1), (2, 4)):
        write_run(store.path, seed=seed, recipe=BASE)
        told = describe(BASE, seed, 3, machine={"threads": threads}, versions={"torch": "2.13"})
        told.write(RunFolder.of(store.path, told.run_id).description)
    write_run(store.path, levels=2, asked=5, recipe=OTHER)
    write_run(store.path, recipe=FOREIGN, source="table")
    store.name("prune=.36", "fast", tags=["x"])
    return store


def rows(store: Store, a: str, b: str, **options: bool) -> dict[str, tuple[object, object]]:
    return {what: (one, other) for what, one, other in store.diff(a, b, **options).rows}


def test_only_what_differs_is_shown(store: Store) -> None:
    assert rows(store, "prune=.2 origin=none", "fast") == {
        "id": (BASE.experiment_id, OTHER.experiment_id),
        "label": ("resnet8w4/digits", "resnet8w4/digits"),
        "recipe.prune": ("0.2", "0.36"),
        "recipe.milestones": ("80ep,120ep", "none"),
        "name": (None, "fast"),
        "tags": (None, "x"),
        "runs": ("3", "1"),
        "seeds": ("0, 1, 2", "0"),
        "prunings": ("3", "5"),
        "recorded": ("4", "3"),
        "finished": ("3", "0"),
        "versions.torch": ("2.13", None),
        "machine.threads": ("1, 4", None),
    }


def test_runs_of_one_experiment_differ_in_their_conditions(store: Store) -> None:
    found = rows(store, BASE.run_id(0), BASE.run_id(2))
    assert found.pop("id") == (BASE.run_id(0), BASE.run_id(2)) and found.pop("label")
    assert found == {"seeds": ("0", "2"), "machine.threads": ("1", "4")}


def test_conditions_that_only_some_runs_have_are_those_of_these(store: Store) -> None:
    told = describe(BASE, 0, 3, machine={"deterministic": True}, versions={"numpy": "2.4"})
    told.write(RunFolder.of(store.path, told.run_id).description)
    found = rows(Store(store.path), "prune=.2 origin=none", "fast")
    assert found["machine.threads"] == ("1, 4", None)
    assert found["machine.deterministic"] == ("true", None)
    assert (found["versions.numpy"], found["versions.torch"]) == (("2.4", None), ("2.13", None))


def test_kernels_of_levels_are_told_and_not_what_was_measured_for_them(store: Store) -> None:
    for seed, second in ((0, "sparse avx2"), (1, "eager")):
        kernels = {"rewind": "eager", "0": "eager", "1": second}
        machine = {BY_LEVEL: kernels, BY_LEVEL_WHY: dict.fromkeys(kernels, f"measured {seed}")}
        told = describe(BASE, seed, 3, machine=machine)
        told.write(RunFolder.of(store.path, told.run_id).description)
    found = rows(Store(store.path), BASE.run_id(0), BASE.run_id(1))
    assert {what: pair for what, pair in found.items() if what.startswith("machine")} == {
        f"machine.{BY_LEVEL}": ("eager rewind-0; sparse avx2 1", "eager rewind-1")
    }
    shown = store.description(BASE.run_id(0)).table().rows
    assert [row for row in shown if "kernels" in row[0]] == [
        (f"machine.{BY_LEVEL}", "eager rewind-0; sparse avx2 1")
    ]


def test_what_nothing_tells_of_an_import_is_named(store: Store) -> None:
    found = rows(store, "origin=none prune=.2", "lr=.05")
    assert found["recipe.lr"] == ("0.1", "0.05") and found["source"] == ("rgtool", "table")
    mine, theirs = found["assumed"]
    assert mine is None and "momentum" in str(theirs) and "lr" not in str(theirs).split(", ")


def test_all_shows_what_is_the_same(store: Store) -> None:
    found = rows(store, "fast", "fast", every=True)
    assert all(one == other for one, other in found.values())
    fields = {f"recipe.{field.name}" for field in dataclasses.fields(Recipe)}
    assert fields <= {*found} and found["recipe.lr"] == ("0.1", "0.1")
    alike = store.diff("fast", "fast")
    assert [row[0] for row in alike.rows] == ["id", "label"]
    assert "they differ in nothing" in alike.summary()


def test_the_command_prints_what_a_notebook_shows(store: Store, cli: Cli) -> None:
    done = cli("diff", "fast", "lr=.05", "--store", str(store.path))
    assert done.code == 0 and "recipe.prune" in done.out and "machine" not in done.out
    assert done.out in store.diff("fast", "lr=.05").summary() + "\n"
    assert "recipe.momentum" in cli("diff", "fast", "fast", "--all", "--store", str(store.path)).out
    with pytest.raises(UsageError, match="fits 3 experiments"):
        store.diff("fast", "resnet8w4/digits")


def test_tags_of_a_run_read_as_those_of_an_experiment(store: Store) -> None:
    for one in (OTHER.experiment_id, FOREIGN.experiment_id):
        store.name(one, tags=["x", "y"])
    found = rows(store, OTHER.run_id(0), FOREIGN.experiment_id)
    assert "tags" not in found
    store.name(OTHER.run_id(0), tags=["z"])
    assert rows(store, OTHER.run_id(0), FOREIGN.experiment_id)["tags"] == ("x y z", "x y")
    store.name(FOREIGN.experiment_id, clear=True)
    assert rows(store, OTHER.run_id(0), FOREIGN.run_id(0))["tags"] == ("x y z", None)
