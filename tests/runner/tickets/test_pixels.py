"""A ticket on the permuted twin of its data set, its first layer permuted along or not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Cli
from experiments import only_run
from numpy.typing import NDArray
from torch import nn

import rgtool
from rgtool.runner.data import load
from rgtool.runner.models import architecture, build
from rgtool.runner.replicas.loader import test_batches as batches_of
from rgtool.runner.tickets.pixels import permuted_inputs, pixels_seed
from rgtool.schemas.errors import UsageError
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors, write_tensors

CPU = torch.device("cpu")
LENET = architecture("lenet", (1, 8, 8), 10)
HERE: dict[str, Any] = {"progress": False, "workers": 1, "kernels": "dense"}
# Fifty steps a level: enough to learn digits, and for a wrong ticket to be told from a right one.
SMALL: dict[str, Any] = {"epochs": 5, "train_size": 1000, "batch_size": 100, "rewind": "0", **HERE}


def state_of(module: nn.Module) -> dict[str, NDArray[Any]]:
    return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}


def loaded(module: nn.Module, state: dict[str, NDArray[Any]]) -> nn.Module:
    module.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return module.eval()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 6)])
def test_logits_of_the_twin_are_those_of_the_data(
    shape: tuple[int, int, int], tmp_path: Path
) -> None:
    channels, height, width = shape
    x = np.random.default_rng(0).integers(256, size=(20, height, width, channels), dtype=np.uint8)
    labels = np.arange(20) % 10
    np.savez(tmp_path / "any.npz", x_train=x, y_train=labels, x_test=x, y_test=labels)
    task = f"npz:{tmp_path}/any.npz"
    module = build("lenet", shape, 10)
    before = state_of(module)
    after = permuted_inputs(before, 5, architecture("lenet", shape, 10), shape)
    ((images, _),), ((twins, _),) = (batches_of(load(t), CPU) for t in (task, f"permuted:{task}:5"))
    with torch.no_grad():
        logits = loaded(module, before)(images)
        torch.testing.assert_close(loaded(module, after)(twins), logits, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(loaded(module, before)(twins), logits, atol=0.01)
    for name, array in state_of(build("lenet", shape, 10)).items():
        assert after[name].shape == array.shape
        moved = name == "fc1.weight"
        assert (after[name] is not before[name]) == moved
        assert moved != np.array_equal(after[name], before[name])


def test_masks_go_as_weights_do() -> None:
    weights = np.random.default_rng(0).normal(size=(300, 64))
    masks = {"fc1": weights > 0, "fc2": np.ones((100, 300), bool)}
    found = permuted_inputs(masks, 3, LENET, (1, 8, 8))
    moved = permuted_inputs({"fc1.weight": weights}, 3, LENET, (1, 8, 8))["fc1.weight"]
    np.testing.assert_array_equal(found["fc1"], moved > 0)
    assert found["fc2"] is masks["fc2"]


@pytest.mark.parametrize(
    ("text", "seed"), [("pixels:7", 7), ("PIXELS:007", 7), (f"pixels:{2**63 - 1}", 2**63 - 1)]
)
def test_seeds_are_read(text: str, seed: int) -> None:
    assert pixels_seed(text) == seed


def test_other_transformations_are_others() -> None:
    assert pixels_seed("0:0;1:1,2") is None
    for text in ("pixels:", "pixels:-1", "pixels:x", f"pixels:{2**63}", "pixels:1\n"):
        with pytest.raises(
            UsageError, match=r"is no seed: it is that of the task, as pixels:0 for"
        ):
            pixels_seed(text)


# Trained.


def run(store: Path, task: str, **options: Any) -> list[RunFolder]:
    """Train and return the folder of every seed."""
    done = rgtool.run("lenet", task, store=store, **options)
    found = sorted((store / "runs").glob(f"{done.experiment_id}-*"))
    return [RunFolder(path) for path in found]


def ticket_on(store: Path, task: str, transform: str | None = None) -> list[RunFolder]:
    """Train the tickets of digits."""
    options = {"parent": "lenet/digits", "seeds": 2, "at": (3, 6), "transform": transform}
    return run(store, task, train_size=1000, **options, **HERE)


def numbers(folder: RunFolder, level: int, column: str) -> list[Any]:
    found: list[Any] = folder.read_record(level)[column].to_pylist()
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an experiment on digits."""
    store = tmp_path_factory.mktemp("twin")
    run(store, "digits", recipe="quick", levels=6, seeds=2, prune=0.4, **SMALL)
    return store


def test_the_ticket_of_the_twin_is_the_source(source: Path) -> None:
    """Accuracy to the last digit; sums of weights and losses as far as their order matters."""
    moved = ticket_on(source, "permuted:digits:7", "Pixels:07")
    plain = ticket_on(source, "permuted:digits:7")
    owns = run(source, "digits", recipe="quick", levels=6, seeds=2, prune=0.4, **SMALL)
    for own, along, apart in zip(owns, moved, plain, strict=True):
        for level in (3, 6):
            for column in ("accuracy", "train_accuracy", "kept", "kept_prev", "network_kept"):
                assert numbers(along, level, column) == numbers(own, level, column)
            for column in ("loss", "train_loss", "magnitude"):
                expected = pytest.approx(numbers(own, level, column), rel=1e-4)
                assert numbers(along, level, column) == expected
            mask = read_mask(own.mask(level))
            right = permuted_inputs(mask, 7, LENET, (1, 8, 8))
            for name, array in read_mask(along.mask(level)).items():
                np.testing.assert_array_equal(array, right[name])
            for name, array in read_mask(apart.mask(level)).items():
                np.testing.assert_array_equal(array, mask[name])
        assert numbers(apart, 6, "accuracy")[0] < numbers(own, 6, "accuracy")[0] - 0.1


def test_the_whole_flow_of_the_twin_is_the_same(tmp_path: Path) -> None:
    """Not with the tickets of the other, but by itself, from the same weights in other places."""
    first = tmp_path / "first"
    run(first, "digits", recipe="quick", levels=0, **SMALL)
    weights = read_tensors(only_run(first).weights("init"))[0]
    write_tensors(tmp_path / "a.safetensors", weights)
    write_tensors(tmp_path / "b.safetensors", permuted_inputs(weights, 7, LENET, (1, 8, 8)))
    options = {"recipe": "quick", "levels": 3, "prune": 0.5, **SMALL}
    a = run(tmp_path / "a", "digits", init=tmp_path / "a.safetensors", **options)[0]
    b = run(tmp_path / "b", "permuted:digits:7", init=tmp_path / "b.safetensors", **options)[0]
    for level in range(4):
        assert numbers(a, level, "accuracy") == numbers(b, level, "accuracy")
        assert numbers(a, level, "kept") == numbers(b, level, "kept")
        if level:
            along = permuted_inputs(read_mask(a.mask(level)), 7, LENET, (1, 8, 8))
            for name, array in read_mask(b.mask(level)).items():
                assert np.mean(array == along[name]) > 1 - 1e-4  # ties to rounding


def test_pixels_of_another_seed_are_said(source: Path) -> None:
    options = {"parent": "lenet/digits", "at": "5", "store": source}
    other = rgtool.plan("lenet", "permuted:digits:3", transform="pixels:7", **options)
    note = "pixels:7 makes the ticket one for permuted:digits:7, and the task is permuted:digits:3"
    assert note in other.notes
    right = rgtool.plan("lenet", "permuted:digits:7", transform="pixels:7", **options)
    assert not any("pixels" in note for note in right.notes)
    assert right.recipe.transform == "pixels:7"


# What sees neighbours.


def test_a_convolution_has_a_harder_task_and_no_such_ticket(tmp_path: Path, cli: Cli) -> None:
    small = {"levels": 1, "epochs": 1, "rewind": "0", "store": tmp_path}
    rgtool.run("resnet8w4", "digits", "quick", progress=False, workers=1, **small)
    to_twin = ["run", "resnet8w4", "permuted:digits:7", "--parent", "resnet8w4/digits"]
    to_twin += ["--at", "1", "--store", str(tmp_path), "--dry-run"]
    refused = cli(*to_twin, "--transform", "pixels:7")
    assert refused.code == 2
    assert refused.err == (
        "rgtool: pixels:7: conv1, the first layer of resnet8w4, is a convolution, which sees "
        "neighbouring pixels: permuted images are a harder task for it, not the same one in other "
        "coordinates\n"
    )
    harder = "begins with a convolution, which sees neighbouring pixels: permuted images are a"
    assert harder in cli(*to_twin).err
    assert harder in " ".join(rgtool.plan("resnet8w4", "permuted:digits:7", "quick", **small).notes)
    for network, task in (("resnet8w4", "digits"), ("lenet", "permuted:digits:7")):
        notes = rgtool.plan(network, task, "quick", **small).notes
        assert not any("convolution" in note for note in notes)


def patches(channels: int, classes: int) -> nn.Module:
    """See rows of four pixels, one by one."""
    return nn.Sequential(
        nn.Unflatten(3, (-1, 4)), nn.Linear(4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, classes)
    )


def test_a_dense_layer_of_something_else_than_all_pixels_is_refused() -> None:
    network = architecture(patches, (1, 8, 8), 10)
    with pytest.raises(UsageError, match=r"sees 4 numbers, and an image has 64"):
        permuted_inputs({}, 0, network, (1, 8, 8))
    assert math.prod(LENET.layers[0].shape[1:]) == 64
