"""What is read from OpenLTH's own files: logs, hyperparameters, the models of level 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import OpenLTHOptions, write_openlth

from rgtool.schemas.layout import RunFolder
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.tensors import read_tensors
from rgtool.store import Store
from rgtool.store.importers.formats.openlth import read_logger

KEYS = {"fc1": "layers.0", "fc2": "layers.1", "fc": "fc"}  # our names, and the endings of theirs


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def lenet(folder: Path, **options: object) -> Path:
    made = OpenLTHOptions(**options)  # type: ignore[arg-type]
    write_openlth(folder, "mnist_lenet_300_100", levels=2, options=made)
    return folder


def only(folder: Path, *patterns: str) -> Path:
    (found,) = (path for pattern in patterns for path in folder.rglob(pattern))
    return found


def imported(store: Store, folder: Path, **choices: object) -> str:
    report = store.import_runs(folder, **choices)  # type: ignore[arg-type]
    assert report.skipped == ()
    (run,) = report.runs
    return run.run_id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test_accuracy,0,0.5\ntest_accuracy,10,0.7\ntest_accuracy,5,0.9", {"accuracy": 0.7}),
        ("test_accuracy,10,0.7\ntest_accuracy,10,0.8", {"accuracy": 0.8}),  # logged again
        ("test_accuracy,0,0.7\ntest_accuracy,0,0.8\ntest_accuracy,-1,0.9", {"accuracy": 0.8}),
        ("test-loss,3,2.5\ntrain_loss,3,1.5", {"loss": 2.5, "train_loss": 1.5}),
        ("train_accuracy,1,0.25\ntest_examples,1,10000", {"train_accuracy": 0.25}),
        ("test_loss,0,1.0\ntest_loss,7,nan", {"loss": None}),
        ("test_loss,0\nno line\ntest_loss,x,1\ntest_loss,1,y", {}),
        ("", {}),
    ],
)
def test_the_last_value_of_a_series_counts(text: str, expected: dict[str, float | None]) -> None:
    assert read_logger(text) == expected


def recipe(store: Store, folder: Path, **lines: str) -> Recipe:
    """Import a run whose `hparams.log` has these lines instead of its own."""
    rows = "".join(f"    * {name} => {value}\n" for name, value in lines.items())
    only(lenet(folder), "hparams.log").write_text(f"Training Hyperparameters\n{rows}")
    return store.description(imported(store, folder)).recipe


def test_what_hparams_leaves_out_is_what_openlth_leaves_out(store: Store, tmp_path: Path) -> None:
    """It writes nothing falsy: no momentum, no decay, no milestones, no rewinding."""
    found = recipe(store, tmp_path / "in", dataset_name="cifar10", lr="0.25")
    assert (found.momentum, found.weight_decay, found.milestones) == (0.0, 0.0, ())
    assert (found.lr, found.task, found.rewind) == (0.25, "cifar10", "0it")
    assert (found.augment, found.rounding) == (("flip", "crop4"), "openlth")


def test_what_hparams_says_is_taken(store: Store, tmp_path: Path) -> None:
    found = recipe(
        store,
        tmp_path / "in",
        dataset_name="fashion_mnist",
        batch_size="64",
        model_init="xavier_normal",
        batchnorm_init="fixed",
        lr="0.05",
        gamma="0.5",
        momentum="0.8",
        weight_decay="0.002",
        milestone_steps="3ep,5ep",
        training_steps="7ep",
        pruning_fraction="0.3",
        pruning_layers_to_ignore="fc.weight",
    )
    assert (found.task, found.batch_size, found.init) == ("fashion-mnist", 64, "xavier_normal")
    assert (found.bn_init, found.lr, found.gamma, found.momentum) == ("fixed", 0.05, 0.5, 0.8)
    assert (found.weight_decay, found.milestones, found.epochs) == (0.002, ("3ep", "5ep"), 7)
    assert (found.prune, found.exempt, found.augment) == (0.3, ("fc",), ())


@pytest.mark.parametrize(
    ("dataset", "plain", "augment"),
    [
        ("cifar10", "False", ("flip", "crop4")),
        ("cifar10", "True", ()),
        ("mnist", "False", ()),
        ("fashionmnist", "True", ()),
    ],
)
def test_digits_and_what_is_said_to_be_plain_are_not_augmented(
    store: Store, tmp_path: Path, dataset: str, plain: str, augment: tuple[str, ...]
) -> None:
    found = recipe(store, tmp_path / "in", dataset_name=dataset, do_not_augment=plain)
    assert found.augment == augment


def test_sections_of_the_pretraining_have_names_of_their_own(store: Store, tmp_path: Path) -> None:
    """The steps of the pretraining are the rewind point, not the length of training."""
    folder = lenet(tmp_path / "in", rewind="1000it")
    found = store.description(imported(store, folder)).recipe
    assert (found.rewind, found.epochs) == ("1000it", 40)


@pytest.mark.parametrize(
    ("rewind", "init", "start"),
    [
        (None, "level_0/main/model_ep0_it0.pth", "level_0/main/model_ep0_it0.pth"),
        ("1000it", "level_pretrain/main/model_ep0_it0.pth", "level_0/main/model_ep2_it62.pth"),
    ],
)
def test_the_first_model_is_the_rewind_point_and_the_start_lies_before_it(
    store: Store, tmp_path: Path, rewind: str | None, init: str, start: str
) -> None:
    folder = lenet(tmp_path / "in", rewind=rewind)
    run = RunFolder.of(store.path, imported(store, folder, keep=["init", "rewind", "dense"]))
    end = "level_0/main/model_ep40_it0.pth"
    for name, pattern in (("init", init), ("rewind", start), ("dense", end)):
        found, _ = read_tensors(run.weights(name))
        saved = torch.load(only(folder, pattern), weights_only=True)
        for layer, ending in KEYS.items():
            (key,) = (key for key in saved if key.endswith(f"{ending}.weight"))
            np.testing.assert_array_equal(found[layer], saved[key].numpy())


def test_a_pretraining_that_has_lost_its_first_model_has_no_start(
    store: Store, tmp_path: Path
) -> None:
    """What it has later is not where training began."""
    folder = lenet(tmp_path / "in", rewind="1000it")
    only(folder, "level_pretrain/main/model_ep0_it0.pth").unlink()
    run = RunFolder.of(store.path, imported(store, folder, keep=["init", "rewind"]))
    assert run.weights("rewind").exists() and not run.weights("init").exists()


def variants(store: Store, folder: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Import a folder; return what tells each run from others of its replicate, and its levels."""
    report = store.import_runs(folder)
    assert report.skipped == ()
    aliases = [store.description(run.run_id).aliases for run in report.runs]
    assert all(len(names) == 1 for names in aliases)
    assert {names[0]["experiment"].split("/")[0] for names in aliases} == {"mine"}
    pairs = zip(aliases, report.runs, strict=True)
    return sorted((names[0]["variant"], run.levels) for names, run in pairs)


def test_branches_are_told_by_their_names(store: Store, tmp_path: Path) -> None:
    kind = "randomly_reinitialize"
    folder = lenet(tmp_path / "in", name="mine", branches=(kind,), branch_levels=(1, 2))
    (branch,) = {path.name for path in folder.rglob("lottery_branch_*")}
    assert kind in branch
    assert variants(store, folder) == [("", (0, 1, 2)), (branch, (1, 2))]


def test_suffixes_are_told_beside_branches(store: Store, tmp_path: Path) -> None:
    """ElasticLTH puts one before the ending of every file."""
    kind = "randomly_reinitialize"
    options = {"name": "mine", "branches": (kind,), "suffix": "_x2"}
    folder = lenet(tmp_path / "in", **options)
    (branch,) = {path.name for path in folder.rglob("lottery_branch_*")}
    assert variants(store, folder) == [("_x2", (0, 1, 2)), (f"{branch}/_x2", (1,))]
