"""Whole runs on sparse kernels: the same bits from anywhere, and what dense steps make of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiments import go, kept, only_run, replica_tasks, results, stop_at, synthetic
from killed import killed_at

from rgtool.runner.event import Event
from rgtool.runner.models import build, initialise
from rgtool.runner.pruning import Mask
from rgtool.runner.replicas import level_kernels, sparse_training
from rgtool.runner.replicas.kernels import missing_library
from rgtool.runner.replicas.loader import Loader
from rgtool.runner.replicas.randomness import generator
from rgtool.runner.replicas.sparse_training import SparseTrainer
from rgtool.runner.replicas.step_seconds import StepSeconds
from rgtool.runner.replicas.training import Diverged, Trainer
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.description import BY_LEVEL
from rgtool.schemas.tensors.safetensors import read_tensors

CASES: dict[str, dict[str, Any]] = {
    "lenet": {"model": "lenet", "task": "few-digits"},
    "resnet": {"model": "resnet8w4", "task": "synthetic"},
    "odd channels": {"model": "resnet8w3", "task": "synthetic"},
    "vgg": {"model": "vgg11", "task": "synthetic", "levels": 1, "lr": 1e-3},
}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)
    if (missing := missing_library()) is not None:
        pytest.skip(missing)


@pytest.fixture(scope="module", params=["lenet", "resnet"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A case, and the results of three seeds of it that nothing interrupted."""
    store, case = tmp_path_factory.mktemp("whole"), CASES[request.param]
    with pytest.MonkeyPatch.context() as patch:
        replica_tasks(patch)
        assert go(store, **case, seeds=3, kernels="sparse").seeds("done") == [0, 1, 2]
    yield case, results(store)


# The same bits.


def test_a_run_gives_the_same_bits_again_and_others_than_dense_steps(
    whole: Any, tmp_path: Path
) -> None:
    case, expected = whole
    go(tmp_path / "again", **case, seeds=3, kernels="sparse")
    assert results(tmp_path / "again") == expected
    go(tmp_path / "dense", **case, seeds=3, kernels="dense")
    assert results(tmp_path / "dense") != expected


def test_a_run_that_is_stopped_anywhere_goes_on_to_the_same_bits(
    whole: Any, tmp_path: Path
) -> None:
    case, expected = whole
    for asked in (1, 3, 9, 14, 30, 50, 80):  # while weights are listed too
        go(tmp_path, **case, seeds=3, kernels="sparse", should_stop=stop_at(asked))
    go(tmp_path, **case, seeds=3, kernels="sparse")
    assert results(tmp_path) == expected


def test_replicas_side_by_side_compute_what_they_compute_alone(whole: Any, tmp_path: Path) -> None:
    case, expected = whole
    go(tmp_path, **case, seeds=3, replicas=3, kernels="sparse", should_stop=stop_at(20))
    go(tmp_path, **case, seeds=3, replicas=3, kernels="sparse", should_stop=stop_at(75))
    go(tmp_path, **case, seeds=3, replicas=2, kernels="sparse")
    assert results(tmp_path) == expected


_RUN = """
import os
import sys
from rgtool.runner.experiment import execute, plan
from rgtool.runner.pruning import density
from rgtool.runner.replicas import level_kernels
from rgtool.runner.replicas.checkpoint import Checkpoint
from rgtool.runner.replicas.step_seconds import StepSeconds

def seconds(on, mask, steps):
    kept = 1 if mask is None else density(mask)
    return StepSeconds(0.1, 0.05 if 0.75 < kept < 0.9 or kept < 0.6 else 0.2)

level_kernels.step_seconds = seconds  # levels 1 and 3 are sparse, levels 0 and 2 dense
os.environ["RGTOOL_CHECKPOINT_SECONDS"] = "0"
options = {"epochs": 2, "batch_size": 64, "rewind": "1it", "levels": 3, "train_size": 300}
made = plan("resnet8w4", "digits", store=sys.argv[2], kernels=sys.argv[3], device="cpu", **options)
made.load()
begin()
assert execute(made).seeds("done") == [0]
"""


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["sparse", "auto"])
def test_a_process_that_is_killed_goes_on_to_the_same_bits(choice: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert not killed_at(10**9, _RUN, str(whole), choice)
    by_level = chosen(whole)
    if choice == "auto":
        assert {level for level, kernels in by_level.items() if kernels != "eager"} == {"1", "3"}
    inside = set()
    for _ in range(100):
        if not killed_at(23, _RUN, str(killed), choice):
            break
        inside.add(level_inside(killed))
    assert inside >= {"0", "1", "2", "3"}
    assert chosen(killed) == by_level
    assert results(killed) == results(whole)


def chosen(store: Path) -> dict[str, str]:
    """The kernels of every level of the only run."""
    found = only_run(store).read_description()
    assert found is not None
    return dict(found.machine[BY_LEVEL])


def level_inside(store: Path) -> str:
    """The level that the only run was left in, where it was."""
    try:
        _, metadata = read_tensors(only_run(store).checkpoint)
    except FileNotFoundError:
        return "between"
    return str(json.loads(metadata["state"])["level"])


@pytest.mark.parametrize(("first", "then"), [("auto", "dense"), ("dense", "sparse")])
def test_a_run_goes_on_with_other_kernels_and_says_so(
    first: str, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(level_kernels, "step_seconds", lambda *_: StepSeconds(0.2, 0.1))
    case, level = CASES["resnet"], 0

    def listen(event: Event) -> None:
        nonlocal level
        level += event.kind == "epoch" and event.level == 1

    go(tmp_path, **case, kernels=first, on_event=listen, should_stop=lambda: level > 0)
    before = chosen(tmp_path)
    assert level_inside(tmp_path) == max(before, key=list(before).index) == "1"
    events: list[Event] = []
    outcome = go(tmp_path, **case, kernels=then, on_event=events.append)
    assert outcome.seeds("done") == [0]
    after = chosen(tmp_path)
    change = f"kernels was {before['1']}, is {after['1']}"
    assert before["1"] != after["1"] == after["2"]
    description = only_run(tmp_path).read_description()
    assert description is not None
    assert description.history == (f"inside level 1: {change}",)
    said = [event.message for event in events if event.kind == "warning"]
    assert len(said) == 1 and change in said[0]
    assert after["0"] == before["0"]
    assert len(kept(tmp_path)) == 3


# What they compute.


@pytest.mark.parametrize("case", CASES)
def test_levels_have_the_counts_and_nearly_the_losses_of_dense_ones(
    case: str, tmp_path: Path
) -> None:
    for name in ("dense", "sparse"):
        assert go(tmp_path / name, **CASES[case], kernels=name).seeds("done") == [0]
    assert kept(tmp_path / "sparse") == kept(tmp_path / "dense")
    for level in range(len(kept(tmp_path / "dense"))):
        sparse, dense = (
            only_run(tmp_path / name).read_record(level).to_pylist()[0]
            for name in ("sparse", "dense")
        )
        assert sparse["train_loss"] == pytest.approx(dense["train_loss"], rel=0.02)
        assert sparse["magnitude"] == pytest.approx(dense["magnitude"], rel=1e-3)


def trainer(
    kind: type[Trainer], model: str = "resnet8w4", mask: Mask | None = None, **changes: Any
) -> Trainer:
    """A trainer on 150 images in colour, with the weights of seed 0."""
    images = synthetic(150)
    settings = {"batch_size": 32, "epochs": 2, "lr": 0.02, "momentum": 0.9, "milestones": ()}
    recipe = Recipe(architecture=model, task="synthetic", **{**settings, **changes})  # type: ignore[arg-type]
    module = build(model, images.input_shape, 10)
    rng = generator(0, "init")
    initialise(module, init="kaiming_normal", fan="fan_in", bn_init="ones", rng=rng)
    loader = Loader(images, batch_size=recipe.batch_size, augment=(), seed=0, device=CPU)
    return kind(module, recipe, loader, mask)


def drawn(model: str, density: float) -> Mask:
    """A mask of convolutions and linear layers."""
    module, rng = build(model, (3, 8, 8), 10), np.random.default_rng(1)
    parts = (torch.nn.Conv2d, torch.nn.Linear)
    return {
        name: rng.random(tuple(part.weight.shape)) < density
        for name, part in module.named_modules()
        if isinstance(part, parts)
    }


@pytest.mark.parametrize("batch_size", [1, 3, 32, 150, 1000])
def test_any_batch_trains_as_dense_steps_train_it(batch_size: int) -> None:
    mask = drawn("resnet8w4", 0.3)
    steps = min(6, -(-150 // batch_size))
    made = [trainer(kind, mask=mask, batch_size=batch_size) for kind in (SparseTrainer, Trainer)]
    scores = [one.run(0, steps) for one in made]
    assert scores[0].loss == pytest.approx(scores[1].loss, rel=1e-3)
    assert scores[0].accuracy == pytest.approx(scores[1].accuracy, abs=2 / 150)
    there = made[1].state()
    assert set(made[0].state()) == set(there)
    for name, array in made[0].state().items():
        keeps = mask.get(name.removeprefix("momentum/").removesuffix(".weight"), True)
        if name.endswith("num_batches_tracked"):
            assert array == there[name] == steps
        elif "/" not in name:  # of pruned weights dense steps have momenta that count for nothing
            scale = float(np.abs(there[name]).max())
            np.testing.assert_allclose(array, there[name], atol=2e-2 * scale, err_msg=name)
            assert not array[~np.broadcast_to(keeps, array.shape)].any() or name == "tally"


def test_a_trainer_that_goes_back_to_a_state_computes_the_same_again() -> None:
    one = trainer(SparseTrainer, mask=drawn("resnet8w4", 0.3))
    one.run(0, 2)
    saved = one.state()
    one.run(2, 5)
    first = one.state()
    one.restore(saved)
    one.run(2, 5)
    for name, array in one.state().items():
        np.testing.assert_array_equal(array, first[name], err_msg=name)


@pytest.mark.parametrize("lost", ["conv1", "layer2.0.conv1", "layer2.0.downsample.0", "fc", "all"])
def test_a_network_that_has_lost_a_layer_trains_on(lost: str) -> None:
    mask = drawn("resnet8w4", 0.3)
    mask |= {name: np.zeros_like(array) for name, array in mask.items() if lost in (name, "all")}
    made = [trainer(kind, mask=mask) for kind in (SparseTrainer, Trainer)]
    scores = [one.run(0, 5) for one in made]
    assert scores[0].loss == pytest.approx(scores[1].loss, rel=1e-3)


def test_a_run_that_diverges_says_so(tmp_path: Path) -> None:
    with pytest.raises(Diverged):
        trainer(SparseTrainer, lr=1e30).run(0, 8)
    outcome = go(tmp_path, **CASES["resnet"], kernels="sparse", lr=1e30, seeds=2)
    assert outcome.seeds("diverged") == [0, 1]


def test_an_executor_is_made_when_it_is_needed_and_for_what_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    real = sparse_training.Executor

    def noted(*arguments: Any, **options: Any) -> Any:
        sizes.append(arguments[-1])
        return real(*arguments, **options)

    monkeypatch.setattr(sparse_training, "Executor", noted)
    one = trainer(SparseTrainer, batch_size=1000)
    assert not sizes
    one.run(0, 2)
    assert sizes == [150]


def test_memory_that_does_not_suffice_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*arguments: Any, **options: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(sparse_training, "Executor", short)
    outcome = go(tmp_path, **CASES["resnet"], kernels="sparse")
    assert "needs more memory than there is" in outcome.ends[0].message
