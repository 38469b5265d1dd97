"""Pruners of the user's own: a function in a file, one that is given, one of a package."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Cli
from experiments import go, kept, only_run, replica_tasks, results

from rgtool.runner.experiment import execute, plan
from rgtool.runner.pruners import registry
from rgtool.runner.pruners.registry import OwnPruner, find_pruner
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.schemas.tensors.safetensors import read_mask

LARGE = '''
import numpy as np

def large(weights):
    """The large weights go."""
    return {name: -np.abs(weight) for name, weight in weights.items()}

def tensors(scoring):
    return {n: scoring.module.get_parameter(n + ".weight").abs() for n in scoring.weights}

def moved(movement):
    return movement

def moved_and_turned(movement):
    found = {name: total.copy() for name, total in movement.items()}
    for total in movement.values():
        total *= -1
    return found

def change(weights, rewind):
    return {name: np.abs(weight - rewind[name]) for name, weight in weights.items()}

def change_in_place(weights, rewind):
    for name, begun in rewind.items():
        begun -= weights[name]
        np.abs(begun, out=begun)
    return rewind

def spoils(weights, rewind, mask, scoring):
    found = {name: np.abs(weight) for name, weight in weights.items()}
    for arrays in (weights, rewind, scoring.weights, scoring.rewind):
        for array in arrays.values():
            array[...] = 1
    for kept in mask.values():
        kept[...] = True
    for parts in (weights, rewind, mask):
        parts.clear()
    return found

def asks(weights, colour):
    return weights

def partial(weights):
    return {"fc1": weights["fc1"]}

def flat(weights):
    return {n: w.ravel() for n, w in weights.items()}

def texts(weights):
    return {n: w.astype(str) for n, w in weights.items()}

def nothing(weights):
    pass

def fails(weights):
    raise ValueError("of its own")

value = 3
'''


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)
    Path("my.py").write_text(LARGE)


def message(store: Path, pruner: str) -> str:
    outcome = go(store, pruner=pruner)
    assert outcome.ends[0].kind == "failed"
    text = outcome.ends[0].message
    assert text.count("\n") <= 1
    return text


def test_a_function_in_a_file_prunes(tmp_path: Path) -> None:
    assert go(tmp_path / "own", pruner="my.py:large").seeds("done") == [0]
    go(tmp_path / "magnitude", keep=("init", "rewind", "dense"))
    own, magnitude = only_run(tmp_path / "own"), only_run(tmp_path / "magnitude")
    one, other = read_mask(own.mask(1)), read_mask(magnitude.mask(1))
    assert kept(tmp_path / "own") == kept(tmp_path / "magnitude")
    gone, stays = ~one["fc2"], ~other["fc2"]
    assert not (gone & stays).any() and gone.any() and stays.any()
    description = own.read_description()
    assert description.recipe.pruner == find_pruner("my.py:large").name
    assert description.recipe.pruner.startswith("large-")
    assert any("def large" in file.get("text", "") for file in description.files)


def test_tensors_on_any_device_and_parts_of_a_network_are_scores_too(tmp_path: Path) -> None:
    go(tmp_path / "own", pruner="my.py:tensors")
    go(tmp_path / "magnitude")
    own, magnitude = (only_run(tmp_path / name) for name in ("own", "magnitude"))
    for level in (1, 2, 3):
        for name, mask in read_mask(own.mask(level)).items():
            np.testing.assert_array_equal(mask, read_mask(magnitude.mask(level))[name])


def test_a_function_that_asks_for_movement_has_it(tmp_path: Path) -> None:
    go(tmp_path / "own", pruner="my.py:moved")
    go(tmp_path / "known", pruner="movement")
    own, known = (only_run(tmp_path / name) for name in ("own", "known"))
    for name, mask in read_mask(own.mask(2)).items():
        np.testing.assert_array_equal(mask, read_mask(known.mask(2))[name])
    with pytest.raises(UsageError, match="moved-.* ranks by what training changes"):
        plan("lenet", "few-digits", pruner="my.py:moved", epochs=0)


@pytest.mark.parametrize(
    ("spoiling", "plain", "changes"),
    [
        ("my.py:spoils", "magnitude", {}),
        ("my.py:spoils", "magnitude", {"score_at": "rewind", "score_steps": 2}),
        ("my.py:spoils", "magnitude", {"epochs": 0, "rewind": "0"}),
        ("my.py:spoils", "magnitude", {"score_from": "dense"}),
        ("my.py:change_in_place", "my.py:change", {}),
        ("my.py:moved_and_turned", "movement", {"score_steps": 3}),
    ],
)
def test_a_function_may_work_in_place(
    spoiling: str, plain: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    for store, pruner in (("spoilt", spoiling), ("plain", plain)):
        assert go(tmp_path / store, pruner=pruner, **changes).seeds("done") == [0]
    assert kept(tmp_path / "spoilt") == kept(tmp_path / "plain") == [50200, 40159, 32126]
    spoilt, clean = (only_run(tmp_path / store) for store in ("spoilt", "plain"))
    for level in range(3):
        one, other = (run.read_record(level) for run in (spoilt, clean))
        for column in ("accuracy", "kept", "kept_prev", "magnitude", "magnitude_prev"):
            assert one[column].to_pylist() == other[column].to_pylist(), column
        for name, mask in read_mask(spoilt.mask(level + 1)).items():
            np.testing.assert_array_equal(mask, read_mask(clean.mask(level + 1))[name])


def test_a_function_that_is_given_is_that_of_its_source(tmp_path: Path) -> None:
    def by_size(weights: dict[str, Any]) -> dict[str, Any]:
        return {name: abs(weight) for name, weight in weights.items()}

    go(tmp_path / "own", pruner=by_size)
    go(tmp_path / "magnitude")
    own, magnitude = (only_run(tmp_path / name) for name in ("own", "magnitude"))
    assert own.read_description().recipe.pruner.startswith("by_size-")
    np.testing.assert_array_equal(
        read_mask(own.mask(3))["fc1"], read_mask(magnitude.mask(3))["fc1"]
    )


def test_another_source_is_another_experiment(tmp_path: Path) -> None:
    first = plan("lenet", "few-digits", "quick", pruner="my.py:large").recipe
    assert plan("lenet", "few-digits", "quick", pruner="my.py:large").recipe == first
    Path("my.py").write_text(LARGE.replace("-np.abs(weight)", "-np.abs(weight) ** 2"))
    other = plan("lenet", "few-digits", "quick", pruner="my.py:large").recipe
    assert other.experiment_id != first.experiment_id


def test_what_is_known_of_an_own_pruner_is_enough_to_go_on_in_the_process(tmp_path: Path) -> None:
    found = find_pruner("my.py:large")
    assert isinstance(found, OwnPruner) and find_pruner(found.name) == found
    with pytest.raises(UsageError, match="pruner 'large-00000000' cannot be run"):
        find_pruner("large-00000000")


def test_two_processes_prune_by_it(tmp_path: Path) -> None:
    Path("run.py").write_text(
        textwrap.dedent("""
        import rgtool
        if __name__ == "__main__":
            outcome = rgtool.run("lenet", "digits", "quick", epochs=1, rewind="0", train_size=100,
                                 levels=1, seeds=2, workers=2, pruner="my.py:large",
                                 store="both", progress=False)
            print(*outcome.seeds("done"))
        """)
    )
    done = subprocess.run(
        [sys.executable, "run.py"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout.split() == ["0", "1"], done.stderr
    single: dict[str, Any] = {
        "epochs": 1,
        "rewind": "0",
        "train_size": 100,
        "levels": 1,
        "seeds": 2,
    }
    execute(
        plan("lenet", "digits", "quick", pruner="my.py:large", workers=1, store="one", **single)
    )
    assert results(Path("one")) == results(Path("both"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("partial", "numbers of shape .100, 300. are expected as the scores of fc2, found none"),
        ("flat", "expected as the scores of fc1, found float32 of shape .19200,."),
        ("texts", "numbers of shape"),
        ("nothing", "returns NoneType: a dict of layer name"),
        ("fails", "my.py:fails fails: .*ValueError: of its own"),
    ],
)
def test_what_a_function_does_wrong_is_told(name: str, words: str, tmp_path: Path) -> None:
    text = message(tmp_path, f"my.py:{name}")
    assert re.search(words, text), text
    assert text.startswith(f"pruner {name}-")


@pytest.mark.parametrize(
    ("pruner", "error", "words"),
    [
        ("my.py:asks", UsageError, "asks for 'colour', which rgtool does not know"),
        ("my.py:absent", UsageError, "there is no such function"),
        ("my.py:value", UsageError, "there is no such function"),
        ("none.py:large", RgtoolError, "none.py"),
        ("my.py", UsageError, "name a function of it, such as my.py:large"),
    ],
)
def test_what_is_no_pruner_is_refused_before_anything_is_computed(
    pruner: str, error: type[RgtoolError], words: str
) -> None:
    with pytest.raises(error, match=words) as refused:
        plan("lenet", "few-digits", pruner=pruner, epochs=1, rewind="0")
    assert str(refused.value).count("\n") <= 1


def test_a_value_that_no_text_tells_is_refused() -> None:
    drawn = np.random.default_rng(0)

    def secret(weights: dict[str, Any]) -> dict[str, Any]:
        return {name: drawn.random(weight.shape) for name, weight in weights.items()}

    with pytest.raises(UsageError, match="secret uses drawn"):
        find_pruner(secret)


# Of a package.


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "site-packages"
    about = site / "plugged-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    points = "[rgtool.pruners]\nhuge = plugged_pruners:large\nmagnitude = plugged_pruners:fails\n"
    (about / "entry_points.txt").write_text(points)
    (site / "plugged_pruners.py").write_text(LARGE)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "plugged_pruners", raising=False)
    return site


def test_a_package_adds_a_pruner_and_takes_no_name_of_rgtool(package: Path, cli: Cli) -> None:
    told = ("--levels", "1", "--epochs", "1", "--set", "rewind=0", "--set", "train_size=100")
    done = cli("run", "lenet", "digits", "--recipe", "quick", *told, "--pruner", "Huge",
               "--workers", "1", "--json")  # fmt: skip
    assert done.code == 0, done.err
    (run,) = json.loads(cli("sql", "SELECT pruner FROM runs", "--json").out)
    assert run["pruner"].startswith("huge-")
    assert plan("lenet", "digits", "quick").recipe.pruner == "magnitude"
    assert "did you mean huge" in cli("run", "lenet", "digits", "--pruner", "hug").err


def test_its_source_is_part_of_what_the_experiment_is(package: Path) -> None:
    first = plan("lenet", "digits", "quick", pruner="huge").recipe
    (package / "plugged_pruners.py").write_text(LARGE + "\nother = 1\n")
    assert plan("lenet", "digits", "quick", pruner="huge").recipe.pruner != first.pruner


# Children.


def test_a_child_of_an_own_pruner_needs_it_no_more(tmp_path: Path, cli: Cli) -> None:
    outcome = go(tmp_path / "store", pruner="my.py:large")
    Path("my.py").unlink()
    name = only_run(tmp_path / "store").read_description().recipe.pruner
    registry._FOUND.pop(name)
    done = cli(
        "run", "lenet", "few-digits", "--parent", outcome.experiment_id, "--control", "reinit",
        "--levels", "1", "--store", str(tmp_path / "store"), "--workers", "1",
    )  # fmt: skip
    assert done.code == 0, done.err
