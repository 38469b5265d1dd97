"""Studies of experiments on networks and data of one's own, which a store has by name alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Cli
from experiments import few_digits

import rgtool
from rgtool.runner.plan import plan
from rgtool.schemas.errors import UsageError
from rgtool.schemas.records.parents import Parent
from rgtool.store import Store
from rgtool.store.catalogue.parents import parent_of
from rgtool.studies.perturbed_plans import plan_perturbed
from rgtool.studies.stretch_plans import plan_stretch
from rgtool.studies.targets import target_of
from rgtool.studies.transfer_plans import plan_matrix, plan_transfer

QUICK: dict[str, Any] = {"recipe": "quick", "levels": 1, "workers": 1, "progress": False}
SOURCE = """
import math
from torch import nn

def build(input_shape, classes):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(math.prod(input_shape), 20), nn.ReLU(), nn.Linear(20, classes)
    )

def large(weights):
    return {name: -abs(weight) for name, weight in weights.items()}
"""


def write(path: Path, brightness: int) -> str:
    """Write few digits as a file of one's own; return the task."""
    images = few_digits()
    arrays = {name: getattr(images, name) for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(path, **{name: a ^ brightness if name[0] == "x" else a for name, a in arrays.items()})
    return f"npz:{path}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store of a LeNet on either of two files, and the files."""
    folder = tmp_path_factory.mktemp("own")
    tasks = [write(folder / "a.npz", 0), write(folder / "b c.npz", 255)]
    first: dict[str, Any] = {"epochs": 2, "rewind": "1ep"}
    second: dict[str, Any] = {"epochs": 1, "rewind": "0", "milestones": ("1it",)}
    for name, task, how in zip(("first", "second"), tasks, (first, second), strict=True):
        rgtool.run("lenet", task, store=folder / "store", name=name, **how, **QUICK)
    return folder / "store", tasks


def first_of(store: Path) -> Parent:
    return parent_of(Store(store), "first")


def matrix(store: Path, **how: Any) -> Any:
    using = how.pop("using", ())
    launch = {"workers": 1, "using": using}
    return plan_matrix(Store(store), ["first", "second"], at="1", launch=launch, **how)


def test_a_matrix_finds_data_where_they_are_said_to_lie(made: tuple[Path, list[str]]) -> None:
    store, tasks = made
    found = matrix(store, using=tasks, controls=(), schedule="restart")
    assert [one.own.remaining() for one in found.transfers.values()] == [0, 0]
    assert [one.own.task for one in found.transfers.values()] == tasks[::-1]
    (child,) = found.transfers[0, 1].children.values()
    assert child.images.name == child.recipe.task  # it is loaded, too
    assert matrix(store, using=tasks[::-1], controls=(), schedule="restart") == found


def test_what_is_said_of_data_that_are_not_found(made: tuple[Path, list[str]]) -> None:
    store, tasks = made
    with pytest.raises(UsageError, match=r"'npz-a-.* does not keep .* as using=\"npz:a.npz\"$"):
        matrix(store)
    with pytest.raises(UsageError, match=r"\(npz:.*b c.npz is npz-b c-[0-9a-f]{8}; .*no such"):
        matrix(store, using=[tasks[1], "npz:gone.npz"])
    with pytest.raises(UsageError, match=r"using=\"digits\": where networks and data .* npz:FILE"):
        matrix(store, using="digits")


def test_a_matrix_says_which_pair_is_refused_and_no_cure_that_it_refuses(
    made: tuple[Path, list[str]],
) -> None:
    store, tasks = made
    with pytest.raises(UsageError) as refused:
        matrix(store, using=tasks)
    assert "(lenet/npz-a-" in str(refused.value) and " (lenet/npz-b c-" in str(refused.value)
    assert 'schedule="restart"' in str(refused.value) and "epochs=" not in str(refused.value)
    assert str(refused.value).endswith("another target, of 2 epochs or more")
    with pytest.raises(UsageError, match="^control 'shuffled' is unknown"):
        matrix(store, using=tasks, controls=["shuffled"])
    with pytest.raises(UsageError, match="epochs=2, or schedule="):
        plan("lenet", tasks[1], using=tasks, parent=first_of(store), at="1", store=store, epochs=1)


def test_epochs_of_a_parent_on_data_of_ones_own(made: tuple[Path, list[str]]) -> None:
    store, tasks = made
    how: dict[str, Any] = {"parent": first_of(store), "at": "1", "store": store}
    # What is made of the parent's data has as many images.
    assert plan("lenet", f"permuted:{tasks[0]}:0", **how).recipe.rewind == "1ep"
    with pytest.raises(UsageError, match=r"how long an epoch is .* as using=\"npz:a.npz\"$"):
        plan("lenet", "digits", **how)
    found = plan("lenet", "digits", using=tasks[0], **how).recipe
    batches = -(-len(few_digits().y_train) // found.batch_size)
    assert found.rewind == f"{batches}it"


def test_a_named_recipe_needs_no_epochs_of_the_parent(made: tuple[Path, list[str]]) -> None:
    store, _ = made
    parent = parent_of(Store(store), "second")  # rewound to its start, milestones in iterations
    how: dict[str, Any] = {"parent": parent, "at": "1", "store": store}
    with pytest.raises(UsageError, match='; recipe="NAME" trains by another recipe$'):
        plan("lenet", "digits", **how)
    assert plan("lenet", "digits", "quick", **how).recipe.rewind == "0it"
    with pytest.raises(UsageError, match='using="npz:b c.npz"$'):  # a study names no recipe
        plan_transfer(Store(store), "second", "digits", at="1", launch={"workers": 1})


def test_other_studies_find_data_too(made: tuple[Path, list[str]], tmp_path: Path) -> None:
    _, (task, _) = made
    rgtool.run("resnet14w4", task, store=tmp_path, name="third", epochs=1, rewind="0", **QUICK)
    store = Store(tmp_path)
    stretching: dict[str, Any] = {"maps": ["0:0;1:1,2"], "controls": (), "at": "1", "workers": 1}
    with pytest.raises(UsageError, match="does not keep"):
        plan_stretch(store, "third", "resnet20w4", **stretching)
    stretched = plan_stretch(store, "third", "resnet20w4", using=task, **stretching)
    assert stretched.child(stretched.sample).task == stretched.own.task == task
    perturbed = plan_perturbed(
        store, "third", by="stage", level=1, choice="random", using=task, workers=1
    )
    assert perturbed.children and {one.task for one in perturbed.children.values()} == {task}


def test_networks_and_pruners_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rgtool.runner.pruners.registry._FOUND", {})
    rgtool.run(
        "my.py:build", "digits", pruner="my.py:large", epochs=1, rewind="0", name="mine", **QUICK
    )
    monkeypatch.setattr("rgtool.runner.pruners.registry._FOUND", {})
    store, how = Store(tmp_path / "rgstore"), {"at": "1", "controls": ()}

    def transferred(*using: str) -> Any:
        launch = {"workers": 1, "using": using}
        return plan_transfer(store, "mine", "permuted:digits:0", launch=launch, **how)

    with pytest.raises(UsageError, match='network \'build-.* as using="my.py:build"$'):
        transferred("my.py:large")
    with pytest.raises(UsageError, match='pruner \'large-.* as using="my.py:large"$'):
        transferred("my.py:build")
    found = transferred("my.py:build", "my.py:large")
    assert found.own.pruner.name == found.source.recipe.pruner
    assert found.children["transferred"].network.name == found.source.recipe.architecture


def test_a_target_whose_file_has_a_space(made: tuple[Path, list[str]]) -> None:
    store, tasks = made
    source = first_of(store).recipe
    target = target_of(Store(store), source, f"lenet/{tasks[1]}  prune=.3 lr=.05", tasks[0])
    assert target.recipe.task.startswith("npz-b c-")
    assert (target.recipe.prune, target.recipe.lr) == (0.3, 0.05)
    assert f"'{tasks[1]}'" in target.command
    with pytest.raises(UsageError, match="field 'prun' is unknown"):
        target_of(Store(store), source, f"lenet/{tasks[1]} prun=.3", tasks)


def test_a_file_whose_name_ends_like_a_field_is_one_where_it_is_there(
    made: tuple[Path, list[str]], tmp_path: Path
) -> None:
    store, tasks = made
    source = first_of(store).recipe

    def target(label: str) -> Any:
        return target_of(Store(store), source, f"lenet/{label}", tasks[0]).recipe

    task = write(tmp_path / "c prune=.5", 0)
    (tmp_path / "c prune=.5.npz").rename(tmp_path / "c prune=.5")
    assert (target(task).task[:6], target(task).prune) == ("npz-c ", 0.2)
    assert target(f"{task} lr=.05 prune=.4").prune == 0.4
    assert target(f"permuted:{task}:0 prune=.4").task.startswith("permuted:npz-c ")
    assert target("permuted:digits:0 prune=.4").prune == 0.4
    (tmp_path / "c").write_bytes((tmp_path / "c prune=.5").read_bytes())
    assert target(task).prune == 0.2  # the longest name that is there
    (tmp_path / "c prune=.5").unlink()
    assert target(task).prune == 0.5


def test_a_network_that_was_named_with_a_block_map_is_told_to_be_one_of_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.py").write_text(SOURCE)
    (tmp_path / "blocks.toml").write_text('"1" = "a"\n"3" = "b"\n')
    monkeypatch.chdir(tmp_path)
    how: dict[str, Any] = {"epochs": 1, "rewind": "0", "name": "mine", **QUICK}
    rgtool.run("my.py:build", "digits", blocks="blocks.toml", **how)
    launch: dict[str, Any] = {"workers": 1, "using": "my.py:build"}
    with pytest.raises(UsageError) as told:
        plan_transfer(Store("rgstore"), "mine", "permuted:digits:0", at="1", launch=launch)
    assert str(told.value).endswith(
        'where it was named with blocks="FILE", rgtool run alone takes that too, and with '
        'parent="EXPERIMENT" trains its tickets'
    )
    with pytest.raises(UsageError, match='as using="my.py:other"$'):  # another network's name
        plan("other-0123abcd", "digits", using="my.py:build")
    parent = parent_of(Store("rgstore"), "mine")
    child: dict[str, Any] = {"blocks": "blocks.toml", "parent": parent, "at": "1"}
    assert plan("my.py:build", "permuted:digits:0", **child).recipe.parent == parent.experiment_id


def test_commands_take_places(
    made: tuple[Path, list[str]], tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tasks = made
    shutil.copytree(store, tmp_path / "store")
    monkeypatch.setenv("RGTOOL_STORE", str(tmp_path / "store"))
    asked = ["transfer", "--all", "first", "second", "--at", "1", "--controls", "none"]
    refused = cli(*asked, "--dry-run")
    assert refused.code == 2 and "--using npz:a.npz" in refused.err
    using = ["--using", tasks[0], "--using", tasks[1]]
    assert "npz-b c" in cli(*asked, *using, "--schedule", "restart", "--workers", "1").out
