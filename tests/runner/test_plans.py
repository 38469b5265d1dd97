"""Plans that help: without data, with names in any case, with refusals that say what would do."""

from __future__ import annotations

import pickle
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import official
import pytest
from command import Cli

import rgtool
from rgtool.runner import data
from rgtool.runner.data import find_task
from rgtool.runner.datasets.images import Images
from rgtool.runner.experiment import execute
from rgtool.runner.models import find_network
from rgtool.runner.plan import plan
from rgtool.runner.speed import estimate
from rgtool.schemas.errors import RgtoolError, UsageError, known_name
from rgtool.schemas.recipe import parse_field


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder without data sets; none may be asked for."""

    def never(folder: Path) -> Images:
        raise AssertionError(folder)

    for name in ("cifar10", "mnist", "svhn"):
        monkeypatch.setitem(data.DATASETS, name, never)
    return tmp_path / "data"


def test_a_plan_needs_no_data(absent: Path) -> None:
    made = plan("resnet20", "cifar10", data=absent)
    (note,) = made.notes
    assert note == f"cifar10 is not in {absent}: training begins with its download, 170 MB"
    assert made.kept[:2] == [270_896, 216_717]
    assert made.recipe.augment == ("flip", "crop4")
    assert (made.outline.input_shape, len(made.outline.y_train)) == ((3, 32, 32), 50_000)
    held_out = plan("resnet18", "cifar10", "chen2021a", data=absent)
    assert len(held_out.outline.y_train) == 45_000


def test_what_does_not_fit_the_known_shape_is_refused(absent: Path) -> None:
    with pytest.raises(UsageError, match=r"mnist has 60000 .* choose from 10 to 54210"):
        plan("lenet", "mnist", data=absent, train_size=60_000)
    with pytest.raises(UsageError, match=r"ends at 782 \(2 epochs of 391\)"):
        plan("resnet20", "cifar10", data=absent, epochs=2)


def test_a_plan_is_the_same_with_and_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = plan("resnet8", "cifar10", "quick", data=tmp_path)
    train, _ = official.write("cifar10", tmp_path)
    official.accept("cifar10", tmp_path, monkeypatch)
    present = plan("resnet8", "cifar10", "quick", data=tmp_path)
    assert present.recipe == without.recipe
    assert not present.notes
    # What was planned before the data came is computed with them.
    sent = pickle.dumps(without)
    assert len(sent) < 10_000
    for made in (without, pickle.loads(sent), present):
        np.testing.assert_array_equal(made.images.x_train, train[0])
    assert present.outline is present.images


def test_the_dry_run_measures_without_data(
    absent: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "PROBE_SECONDS", 0.02)
    done = cli("run", "lenet", "mnist", "--dry-run", "--data", str(absent), "--json")
    assert done.code == 0, done.err
    assert "training begins with its download, 11.6 MB" in done.err
    assert "about" in done.out
    assert not Path("rgstore").exists()


def test_data_that_do_not_come_leave_no_store(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    done = cli("run", "lenet", "svhn", "--data", str(tmp_path / "data"), "--levels", "1")
    assert done.code == 1
    assert "svhn: not found in" in done.err
    assert not Path("rgstore").exists()
    made = plan("lenet", "svhn", data=tmp_path / "data", store="rgstore", seeds=2, workers=2)
    with pytest.raises(RgtoolError, match="svhn: not found in"):  # not by each of two processes
        execute(made)
    assert not Path("rgstore").exists()
    with pytest.raises(RgtoolError, match="mnist: not found in"):
        rgtool.run("lenet", "mnist", data=tmp_path / "data", store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_names_are_found_in_any_case() -> None:
    assert find_network("ResNet20W8").name == "resnet20w8"
    assert find_network("LeNet").name == "lenet"
    assert find_task("CIFAR10") == "cifar10"
    made = plan("LeNet", "Digits", "Quick", pruner="Random", rounding="EXACT", precision="Float32")
    plain = plan("lenet", "digits", "quick", pruner="random")
    assert (made.recipe, made.recipe_name) == (plain.recipe, "quick")
    control = plan("lenet", "digits", control="Reinit")
    assert control.recipe == plan("lenet", "digits", control="reinit").recipe
    assert rgtool.null("ResNet20").architecture == "resnet20"


def test_the_case_counts_where_it_alone_tells_names_apart() -> None:
    names = ["net", "Net", "other"]
    assert [known_name(name, names) for name in ("net", "Net", "NET", "OTHER", "no")] == [
        "net", "Net", None, "other", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "task", "words"),
    [
        ("cifar10", "resnet20", "cifar10 is a data set: .*; did you mean resnet20 cifar10?"),
        ("CIFAR10", "ResNet20w8", "did you mean ResNet20w8 CIFAR10?"),
        ("digits", "my.py:build", "did you mean my.py:build digits?"),
        ("my.py:load", "vgg16", "vgg16 is a network: .*; did you mean vgg16 my.py:load?"),
        ("npz:a.npz", "lenet", "did you mean lenet npz:a.npz?"),
        (
            "digits",
            "cifar10",
            "digits is a data set: a network comes before it, as resnet20",
        ),
        ("resnet8", "lenet", "lenet is a network: a data set comes behind it, as lenet cifar10"),
        ("resnt", "digits", "model 'resnt' is unknown"),
        ("lenet", "digts", "data set 'digts' is unknown: did you mean digits?"),
    ],
)
def test_what_was_named_the_wrong_way_round_is_seen(model: str, task: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        plan(model, task)
    assert re.search(words.replace("?", r"\?"), str(refused.value))


@pytest.mark.parametrize(
    ("model", "recipe", "changes", "expected"),
    [
        ("resnet8", "frankle2020", {"epochs": 2}, ["--rewind 0", "--recipe quick", "--epochs 84"]),
        ("resnet8", "frankle2020", {"epochs": 1}, ["--rewind 0", "--epochs 84"]),
        ("resnet8", "frankle2020", {"rewind": "160ep"}, ["--rewind 0", "--epochs 161"]),
        ("resnet8", "quick", {"epochs": 1}, ["--rewind 0", "--epochs 2"]),
        ("resnet8", "chen2021a_pt", {"rewind": "183ep"}, ["--rewind 0", "--epochs 183"]),
        ("resnet8", "quick", {"milestones": ("9ep",)}, ["--set milestones=none", "--epochs 9"]),
        ("resnet8", "quick", {"warmup": "97it"}, ["--set warmup=0", "--epochs 9"]),
    ],
)
def test_a_refusal_names_the_options_that_would_do(
    model: str, recipe: str, changes: dict[str, Any], expected: list[str]
) -> None:
    with pytest.raises(UsageError) as refused:
        plan(model, "digits", recipe, **changes)
    said = str(refused.value).partition("): ")[2].removesuffix(" would do")
    options = re.split(", | or ", said)
    assert options == expected
    for option in options:
        name, value = shlex.split(option)
        other: dict[str, Any] = dict(changes)
        if name == "--set":
            other.update([parse_field(value)])
        elif name != "--recipe":
            other[name.removeprefix("--")] = int(value) if name == "--epochs" else value
        plan(model, "digits", value if name == "--recipe" else recipe, **other)
    name, value = shlex.split(options[-1])
    with pytest.raises(UsageError):  # one epoch less does not do
        plan(model, "digits", recipe, **{**changes, "epochs": int(value) - 1})
