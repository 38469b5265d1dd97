"""What is read from OpenLTH's own files: logs, hyperparameters, the models of level 0."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import OpenLTHOptions, write_openlth

from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_tensors
from rgtool.store import Store
from rgtool.store.importers.formats.openlth import read_logger

KEYS = {"fc1": "layers.0", "fc2": "layers.1", "fc": "fc"}  # our names, and the endings of theirs


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def lenet(folder: Path, replicate: int = 1, **options: object) -> Path:
    made = OpenLTHOptions(**options)  # type: ignore[arg-type]
    write_openlth(folder, "mnist_lenet_300_100", levels=2, replicate=replicate, options=made)
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
        ("test_loss,7,inf\ntest_loss,0,1.0", {"loss": math.inf}),
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
    ("steps", "epochs", "length"),
    [
        ("20it", None, "20it"),
        ("2ep50it", None, "2ep50it"),
        ("7ep", 7, None),
        ("7ep0it", 7, None),
        ("soon", 40, None),  # that of the study
    ],
)
def test_how_long_a_level_is_trained_is_kept_as_it_is_told(
    store: Store, tmp_path: Path, steps: str, epochs: int | None, length: str | None
) -> None:
    found = recipe(store, tmp_path / "in", dataset_name="cifar10", training_steps=steps)
    assert (found.epochs, found.length) == (epochs, length)
    query = "SELECT epochs, length, list_contains(told, 'epochs') FROM runs"
    told = steps != "soon"
    assert store.sql(query).rows == [(epochs, length, told)]
    store.compact()
    assert store.sql(query).rows == [(epochs, length, told)]
    (run,) = store.experiments()[0].runs
    description = store.description(run.run_id)
    assert description.inferred["training_steps"] == steps
    assert ("epochs" in description.assumed) is not told and "length" not in description.assumed


def test_two_lengths_of_training_are_two_experiments(store: Store, tmp_path: Path) -> None:
    for replicate, steps in enumerate(("20it", "63000it", "40ep"), 1):
        folder = lenet(tmp_path / steps, replicate=replicate)
        log = only(folder, "hparams.log")
        log.write_text(log.read_text().replace("=> 40ep", f"=> {steps}"))
        imported(store, folder, name="mine")
    assert len(store.experiments()) == 3


def test_hyperparameters_that_no_field_takes_are_kept(store: Store, tmp_path: Path) -> None:
    """Seeds of the data and its order among them; of the pretraining what is otherwise later."""
    folder = lenet(tmp_path / "in", rewind="1000it")
    log = only(folder, "hparams.log")
    lines = [("data_order_seed", 7), ("blur_factor", 4), ("architecture", "x"), ("recipe", "y")]
    rows = "".join(f"\n    * {name} => {value}" for name, value in lines)
    before = "Pretraining Training Hyperparameters\n    * lr => 0.1\n    * data_order_seed => 5"
    log.write_text(f"{log.read_text()}{rows}\n{before}")
    found = store.description(imported(store, folder)).inferred
    assert found["data_order_seed"] == "7" and found["pretrain_data_order_seed"] == "5"
    assert found["blur_factor"] == "4" and found["recipe"] == "hparams.log"
    assert "pretrain_lr" not in found and "lr" not in found


def test_a_warm_up_is_told(store: Store, tmp_path: Path) -> None:
    found = recipe(store, tmp_path / "in", dataset_name="cifar10", warmup_steps="500it")
    assert found.warmup == "500it"


@pytest.mark.parametrize(
    ("loss", "accuracy", "diverged"),
    [
        ("inf", 0.93, False),
        ("nan", 0.93, False),
        ("inf", 0.1, True),
        ("nan", 0.098, True),
        ("inf", 0.14, True),
        ("0.3", 0.1, False),
        ("inf", None, True),
    ],
)
def test_an_infinite_loss_at_a_good_accuracy_is_no_divergence(
    store: Store, tmp_path: Path, loss: str, accuracy: float | None, diverged: bool
) -> None:
    folder = lenet(tmp_path / "in")
    text = f"test_loss,0,2.3\ntest_loss,469,{loss}\n"
    text += f"test_accuracy,469,{accuracy}\n" if accuracy is not None else ""
    only(folder, "level_2/main/logger").write_text(text)
    (run,) = store.import_runs(folder).runs
    query = "SELECT diverged, loss FROM levels WHERE level = 2"
    assert store.sql(query).rows == [(diverged, None if loss != "0.3" else 0.3)]
    assert any("the network has learned" in note for note in run.notes) is (
        loss != "0.3" and not diverged
    )


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


def lineage(store: Store) -> dict[str, tuple[str | None, str | None]]:
    """Return by id of a run the run and the experiment that it begins with."""
    rows = store.sql("SELECT run_id, parent_run, parent FROM runs").rows
    return {run: (parent, experiment) for run, parent, experiment in rows}


def test_branches_know_the_run_that_they_leave(store: Store, tmp_path: Path) -> None:
    kinds = ("randomly_reinitialize", "randomly_prune", "change_depth")  # a level of each
    folder = tmp_path / "in"
    for replicate in (1, 2):
        made = OpenLTHOptions(branches=kinds)
        write_openlth(folder, "cifar_resnet_8", levels=2, replicate=replicate, options=made)
    report = store.import_runs(folder)
    mains = {
        run.replicate: run for run in report.runs if not store.description(run.run_id).parent_run
    }
    assert len(report.runs) == 8 and sorted(mains) == ["1", "2"]
    for run in report.runs:
        assert not any("same masks" in note for note in run.notes)
        main = mains[run.replicate]
        own = (None, None) if run is main else (main.run_id, main.experiment_id)
        assert lineage(store)[run.run_id] == own


def test_branches_under_one_name_are_experiments_of_their_own(store: Store, tmp_path: Path) -> None:
    kinds = ("randomly_reinitialize", "randomly_prune")
    for replicate in (1, 2):
        lenet(tmp_path / "in", branches=kinds, replicate=replicate)
    store.import_runs(tmp_path / "in", name="mine")
    found = store.sql(
        "SELECT transform, count(*), count(DISTINCT experiment_id) FROM runs GROUP BY ALL"
    ).rows
    assert [row[1:] for row in found] == [(2, 1)] * 3
    names = sorted(name.rpartition("_")[0] for name, *_ in found if name)
    assert names == ["randomly_prune", "randomly_reinitialize"]


def test_a_branch_learns_later_what_it_leaves(store: Store, tmp_path: Path) -> None:
    folder = lenet(tmp_path / "in", branches=("randomly_prune",))
    shutil.copytree(folder, tmp_path / "branch", ignore=shutil.ignore_patterns("main"))
    branch = imported(store, tmp_path / "branch")
    assert lineage(store) == {branch: (None, None)}
    report = store.import_runs(folder)
    (main,) = (run for run in report.runs if run.run_id != branch)
    (again,) = (run for run in report.runs if run.run_id == branch)
    assert lineage(store)[branch] == (main.run_id, main.experiment_id)
    assert any(f"begins with run {main.run_id}" in note for note in again.notes)
    before = lineage(store)
    assert store.import_runs(folder).new_levels == 0
    assert all("begins with" not in n for run in store.import_runs(folder).runs for n in run.notes)
    assert lineage(store) == before


def test_a_branch_of_a_run_that_cannot_be_read_says_so(store: Store, tmp_path: Path) -> None:
    folder = lenet(tmp_path / "in", branches=("randomly_prune",))
    for path in folder.rglob("main/mask.pth"):
        path.write_bytes(b"no mask")
    (branch,) = store.import_runs(folder).runs
    assert lineage(store) == {branch.run_id: (None, None)}
    assert any("begins with could not be imported" in note for note in branch.notes)


def test_suffixes_are_told_beside_branches(store: Store, tmp_path: Path) -> None:
    """ElasticLTH puts one before the ending of every file."""
    kind = "randomly_reinitialize"
    options = {"name": "mine", "branches": (kind,), "suffix": "_x2"}
    folder = lenet(tmp_path / "in", **options)
    (branch,) = {path.name for path in folder.rglob("lottery_branch_*")}
    assert variants(store, folder) == [("_x2", (0, 1, 2)), (f"{branch}/_x2", (1,))]
