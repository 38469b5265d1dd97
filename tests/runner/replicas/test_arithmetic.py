"""Precisions and kernels: what they change, what they never change, what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiments import few_digits, go, only_run, results, synthetic
from torch import Tensor, nn

from rgtool.runner import data
from rgtool.runner.event import Event
from rgtool.runner.models import build, initialise
from rgtool.runner.replicas import arithmetic
from rgtool.runner.replicas.arithmetic import LossScale
from rgtool.runner.replicas.kernels import Kernels, kernels
from rgtool.runner.replicas.loader import Loader
from rgtool.runner.replicas.randomness import generator
from rgtool.runner.replicas.training import Stopped, Trainer, load_arrays, state_arrays
from rgtool.schemas.errors import UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.tensors.safetensors import read_tensors

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
COLOURS = synthetic(150)


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(data.DATASETS, "synthetic", lambda folder: COLOURS)
    monkeypatch.setitem(data.DATASETS, "few-digits", lambda folder: few_digits())


def trainer(precision: str, model: str = "resnet8w4", **changes: Any) -> Trainer:
    recipe = Recipe(
        architecture=model, task="synthetic", precision=precision, batch_size=32,
        **{"epochs": 2, "lr": 0.02, "milestones": (), **changes},
    )  # fmt: skip
    module = build(model, COLOURS.input_shape, 10)
    rng = generator(0, "init")
    initialise(module, init="kaiming_normal", fan="fan_in", bn_init="ones", rng=rng)
    loader = Loader(COLOURS, batch_size=32, augment=(), seed=0, device=CPU)
    return Trainer(module, recipe, loader, None)


# Mixed precision.


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_is_near_and_its_weights_are_float32(precision: str) -> None:
    # float16 on a CPU is refused to users, who would gain nothing; its arithmetic is the same.
    plain, mixed = trainer("float32"), trainer(precision)
    inside: list[torch.dtype] = []
    mixed.module.get_submodule("conv1").register_forward_hook(
        lambda part, given, out: inside.append(out.dtype)
    )
    before = {name: p.detach().clone() for name, p in plain.parameters.items()}
    for one in (plain, mixed):
        one.run(0, 3)
    assert set(inside) == {arithmetic.PRECISIONS[precision]}
    gap = moved = 0.0
    for name, parameter in mixed.parameters.items():
        reference = plain.parameters[name].detach()
        assert parameter.dtype == reference.dtype == torch.float32
        gap += float((parameter.detach() - reference).square().sum())
        moved += float((reference - before[name]).square().sum())
    # A number of bfloat16 has 8 bits, one of float16 has 11.
    assert 0 < (gap / moved) ** 0.5 < 0.3
    assert all(m is None or m.dtype == torch.float32 for m in mixed.momenta)


def test_a_run_in_bf16_keeps_float32_on_disk_and_is_an_experiment_of_its_own(
    tmp_path: Path,
) -> None:
    options: dict[str, Any] = {"model": "resnet8w4", "task": "synthetic", "levels": 1}
    plain = go(tmp_path / "plain", **options)
    mixed = go(tmp_path / "mixed", **options, precision="bf16", keep=("init", "dense"))
    assert mixed.seeds("done") == [0]
    assert mixed.experiment_id != plain.experiment_id
    dense = read_tensors(only_run(tmp_path / "mixed").weights("dense"))[0]
    assert {array.dtype for array in dense.values()} == {np.dtype("f4"), np.dtype("i8")}
    go(tmp_path / "again", **options, precision="bf16", keep=("init", "dense"))
    assert results(tmp_path / "again") == results(tmp_path / "mixed")


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_what_a_cpu_cannot_do_is_refused(precision: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"precision {precision} needs a GPU"):
        go(tmp_path, precision=precision, device="cpu")
    assert arithmetic.check_precision(precision, CUDA) == ""


def test_bf16_without_instructions_for_it_is_said_to_be_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arithmetic, "has_bf16", lambda: False)
    assert "float32 is faster here" in arithmetic.check_precision("bf16", CPU)
    monkeypatch.setattr(arithmetic, "has_bf16", lambda: True)
    assert arithmetic.check_precision("bf16", CPU) == ""
    assert arithmetic.check_precision("float32", CPU) == ""


# The scale of losses in float16.


def test_gradients_are_lowered_by_the_factor_they_were_lifted_by() -> None:
    scale = LossScale(CPU)
    assert float(scale.factor) == 65536
    gradients = [torch.full((3,), 2.0**17), torch.full((2, 2), -(2.0**16))]
    scale.lower(gradients)
    assert gradients[0].tolist() == [2, 2, 2]
    assert (gradients[1] == -1).all()
    assert float(scale.overflow) == 0


def test_the_factor_halves_at_an_overflow_and_doubles_after_2000_steps_without() -> None:
    scale = LossScale(CPU)
    scale.lower([torch.tensor([1.0, torch.inf])])
    scale.adapt()
    assert float(scale.factor) == 32768
    for step in range(2000):
        assert float(scale.factor) == 32768, step
        scale.lower([torch.ones(2)])
        scale.adapt()
    assert float(scale.factor) == 65536


def test_a_step_that_overflows_is_left_out() -> None:
    one = trainer("fp16", "lenet", momentum=0.9)
    one.run(0, 2)
    before = {name: p.detach().clone() for name, p in one.parameters.items()}
    momenta = [m.clone() for m in one.momenta if m is not None]
    assert one.scale is not None
    one.scale.factor.fill_(torch.inf)  # whatever the gradients are, they overflow
    images, labels = next(one.loader.epoch(0))
    one.step(images, labels)
    for name, parameter in one.parameters.items():
        assert torch.equal(parameter, before[name]), name
    assert all(torch.equal(a, b) for a, b in zip(one.momenta, momenta, strict=True))  # type: ignore[arg-type]


def test_the_factor_is_part_of_the_state() -> None:
    whole = trainer("fp16")
    assert whole.scale is not None
    whole.scale.factor.fill_(2.0**40)  # overflows for a while
    stopped = trainer("fp16")
    assert stopped.scale is not None
    stopped.scale.factor.fill_(2.0**40)
    score = whole.run(0, 8)
    assert 1 < float(whole.scale.factor) < 2.0**40
    with pytest.raises(Stopped):
        stopped.run(0, 8, on_step=lambda done: done == 3)
    second = trainer("fp16")
    second.restore(stopped.state())
    assert second.run(3, 8) == score
    for name, array in whole.state().items():
        np.testing.assert_array_equal(second.state()[name], array, err_msg=name)


# The warm-up and the schedule that restarts.


def test_the_learning_rate_grows_linearly_to_its_value() -> None:
    one = trainer("float32", warmup="4it", milestones=("6it",))
    rates = [one.learning_rate(step) for step in range(8)]
    assert rates == pytest.approx([0.005, 0.01, 0.015, 0.02, 0.02, 0.02, 0.002, 0.002])


def test_a_schedule_that_restarts_enters_every_level_at_its_beginning(tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": "resnet8w4", "task": "synthetic", "levels": 1, "epochs": 2}
    options |= {"rewind": "4it", "milestones": (), "keep": ("init", "rewind", "dense")}
    go(tmp_path / "on", **options)
    go(tmp_path / "again", **options, schedule="restart")
    on, again = only_run(tmp_path / "on"), only_run(tmp_path / "again")
    for name in ("init", "rewind"):  # the point is the same
        assert on.weights(name).read_bytes() == again.weights(name).read_bytes()
    # The dense network runs from its initial weights through the whole schedule.
    straight = trainer("float32", lr=0.1)
    initial = read_tensors(again.weights("init"))[0]
    load_arrays(straight.module, initial)
    straight.run(0, 2 * straight.loader.iterations_per_epoch)
    dense = read_tensors(again.weights("dense"))[0]
    for name, array in state_arrays(straight.module).items():
        np.testing.assert_array_equal(dense[name], array, err_msg=name)


def test_the_rewind_point_may_be_the_end_of_training(tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": "resnet8w4", "task": "synthetic", "levels": 1, "epochs": 2}
    keep = ("rewind", "dense")
    go(tmp_path, **options, rewind="2ep", schedule="restart", keep=keep)
    run = only_run(tmp_path)
    assert run.weights("rewind").read_bytes() == run.weights("dense").read_bytes()
    with pytest.raises(UsageError, match="--rewind 0 or --epochs 3 would do"):
        go(tmp_path, **options, rewind="2ep")


def test_held_out_images_are_not_trained_on_and_scored(tmp_path: Path) -> None:
    whole = synthetic(150)
    part = whole.hold_out(30)
    assert len(part.y_train) == 120
    assert part.x_valid is not None
    np.testing.assert_array_equal(part.x_valid, whole.x_train[120:])
    assert part.sha256 != whole.sha256
    go(tmp_path, "resnet8w4", "synthetic", valid_size=30, levels=0)
    row = only_run(tmp_path).read_record(0).to_pylist()[0]
    assert 0 <= row["validation_accuracy"] <= 1
    assert (row["validation_accuracy"] * 30).is_integer()
    with pytest.raises(UsageError, match="valid_size 145: .* hold out at most 140"):
        go(tmp_path, "resnet8w4", "synthetic", valid_size=145)


def test_a_partial_batch_may_be_left_out() -> None:
    sizes = {}
    for drop in (False, True):
        loader = Loader(COLOURS, batch_size=64, augment=(), seed=0, device=CPU, drop_last=drop)
        sizes[drop] = [len(labels) for _, labels in loader.epoch(3)]
        assert loader.iterations_per_epoch == len(sizes[drop])
    assert sizes == {False: [64, 64, 22], True: [64, 64]}


# Kernels.


def test_kernels_follow_from_device_and_choice() -> None:
    assert kernels("auto", CPU) == kernels("off", CPU) == Kernels()
    assert kernels("on", CPU) == Kernels(compiled=True)
    assert kernels("auto", CUDA) == Kernels(graph=True)
    assert kernels("on", CUDA).name == "cuda graph, compiled"
    assert kernels("off", CUDA).name == "eager"
    with pytest.raises(UsageError, match="compile 'yes' is unknown: choose from auto, off, on"):
        kernels("yes", CPU)


def test_where_compiling_fails_plain_kernels_do_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(module: nn.Module, **options: Any) -> Any:
        def call(images: Tensor) -> Tensor:
            raise RuntimeError("no C++ compiler found\nmore lines")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    events: list[Event] = []
    outcome = go(tmp_path / "failed", compile="on", on_event=events.append)
    assert outcome.seeds("done") == [0]
    (warning,) = [event.message for event in events if event.kind == "warning"]
    assert "cannot be compiled (no C++ compiler found): plain kernels do it" in warning
    go(tmp_path / "plain")
    assert results(tmp_path / "failed") == results(tmp_path / "plain")


def test_a_run_that_goes_on_with_other_kernels_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tmp_path, levels=0)
    monkeypatch.setattr(torch, "compile", lambda module, **options: module)
    events: list[Event] = []
    go(tmp_path, levels=1, compile="on", on_event=events.append)
    warnings = [event.message for event in events if event.kind == "warning"]
    assert len(warnings) == 1
    assert "goes on under other conditions: kernels was eager, is eager, compiled" in warnings[0]


def test_a_description_of_before_kernels_were_recorded_goes_on_without_a_word(
    tmp_path: Path,
) -> None:
    go(tmp_path, levels=0)
    run = only_run(tmp_path)
    found = run.read_description()
    assert found is not None
    machine = {name: value for name, value in found.machine.items() if name != "kernels"}
    dataclasses.replace(found, machine=machine).write(run.description)
    events: list[Event] = []
    go(tmp_path, levels=1, on_event=events.append)
    assert not [event for event in events if event.kind == "warning"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch, about its own parts
def test_compiled_kernels_agree_with_plain_ones() -> None:
    pytest.importorskip("torch._inductor")
    plain, fused = trainer("float32", "lenet"), trainer("float32", "lenet")
    told: list[str] = []
    fused.forward = Kernels(compiled=True).forward(fused.module, told.append)
    for one in (plain, fused):
        one.run(0, 7)
    if told:
        pytest.skip(f"nothing compiles here: {told[0]}")
    for name, parameter in fused.parameters.items():
        torch.testing.assert_close(parameter, plain.parameters[name], rtol=1e-3, atol=1e-5)
