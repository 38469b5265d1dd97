"""Parents by what selects them: in Python and on the command line."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from command import Cli
from experiments import SMALL, replica_tasks

import rgtool
from rgtool.runner import experiment
from rgtool.runner import plan as plans
from rgtool.store import Store


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    options = {**SMALL, "progress": False, "store": tmp_path, "workers": 1}
    rgtool.run("lenet", "few-digits", name="mine", **options)
    return tmp_path


def test_a_parent_is_named_as_any_experiment(store: Path) -> None:
    outcome = Store(store).experiments()[0]
    names = ["lenet/few-digits", "mine", outcome.experiment_id[:6], outcome, outcome.runs[0]]
    made = [rgtool.plan("lenet", "few-digits", parent=n, levels=2, store=store) for n in names]
    assert {one.recipe.parent for one in made} == {outcome.experiment_id}
    assert {one.run_id(0) for one in made} == {made[0].run_id(0)}


def test_run_trains_its_tickets(store: Path) -> None:
    options = {"parent": "mine", "store": store, "progress": False, "workers": 1}
    outcome = rgtool.run("lenet", "few-digits", control="shuffle", at=(0, 2), **options)
    assert outcome.seeds("done") == [0] and "<table" in outcome._repr_html_()
    again = rgtool.run("lenet", "few-digits", control="shuffle", at="0,2", **options)
    assert again.seeds("known") == [0]


def test_the_functions_are_those_of_the_runner() -> None:
    for function, of in ((rgtool.plan, plans.plan), (rgtool.run, experiment.run)):
        assert inspect.signature(function) == inspect.signature(of)
        assert function.__doc__ == of.__doc__


def test_the_store_of_the_environment_counts(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RGTOOL_STORE", str(store))
    made = rgtool.plan("lenet", "few-digits", parent="mine", levels=1)
    assert made.store == store and made.recipe.parent


def test_the_command(store: Path, cli: Cli) -> None:
    place = ("--store", str(store), "--parent", "mine")
    done = cli("run", "lenet", "few-digits", *place, "--control", "random", "--at", "1,2")
    assert done.code == 0, done.err
    (child,) = (run for run in Store(store).runs() if run.child)
    assert (child.recorded, child.finished) == (2, True)
    told = cli("run", "lenet", "few-digits", *place, "--fresh", "fc2", "--at", "2", "--dry-run")
    assert told.code == 0 and "recipe.fresh" in told.out and "parent of seed 0" in told.out
    lacking = cli("run", "lenet", "few-digits", *place)
    assert lacking.code == 2 and "level 3 is its last" in lacking.err
    alone = cli("run", "lenet", "few-digits", "--at", "0,2", "--store", str(store))
    assert alone.code == 2 and "name that with --parent EXPERIMENT" in alone.err
    unknown = cli("run", "lenet", "few-digits", "--store", str(store), "--parent", "nobody")
    assert unknown.code == 2 and "no experiment 'nobody'" in unknown.err
