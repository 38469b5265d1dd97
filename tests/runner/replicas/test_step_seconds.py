"""How long a step of a level takes: what is timed, how often, and what hears a stop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from experiments import replica_tasks, stop_at

from rgtool.runner.plan import plan
from rgtool.runner.replicas import step_seconds as module
from rgtool.runner.replicas.kernels import missing_library
from rgtool.runner.replicas.replica_parts import ReplicaParts
from rgtool.runner.replicas.sparse_training import SparseTrainer
from rgtool.runner.replicas.step_seconds import StepSeconds, step_seconds, timing_seconds
from rgtool.runner.replicas.training import Stopped, state_arrays
from rgtool.runner.sparse.units import Shortcut
from rgtool.runner.speed.probe import parts_of


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)
    if (missing := missing_library()) is not None:
        pytest.skip(missing)


@pytest.mark.parametrize("case", ["lenet", "resnet8w4", "vgg11"])
def test_measuring_leaves_the_network_as_it_is(case: str) -> None:
    options: dict[str, Any] = {"train_size": 100, "batch_size": 32, "rewind": "0", "device": "cpu"}
    made = plan(case, "digits", kernels="auto", **options)
    one = parts_of(made, 0)
    before = state_arrays(one.module)
    names = [layer.name for layer in made.layers]
    mask = {n: before[f"{n}.weight"] > 0 for n in names}
    found = step_seconds(one, mask, 100)
    assert found is not None
    assert min(found) > 0
    for name, array in state_arrays(one.module).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def timed_as(monkeypatch: pytest.MonkeyPatch, times: Iterable[float]) -> list[float]:
    """Let steps take these seconds, dense and sparse in turns; return those that were taken."""
    taken: list[float] = []
    coming = iter(times)

    def seconds(*arguments: object) -> float:
        taken.append(next(coming))
        return taken[-1]

    monkeypatch.setattr(module, "_seconds", seconds)
    return taken


def lenet() -> ReplicaParts:
    return parts_of(plan("lenet", "digits", kernels="auto", device="cpu"), 0)


@pytest.mark.parametrize(
    ("steps", "times", "expected"),
    [
        (12, [], None),
        # The first two make what the others use; lists of 60 ms are shared by the level's steps.
        (100, [9, 0.09, 0.1, 0.03], (0.1, 0.0306)),
        (13, [9, 9.1, 1, 0.1], (1, 0.1 + 9 / 13)),
        # Nearer ones are timed again, as often as it can be worth.
        (1000, [9, 1.2, 1.4, 1.2, 1.3, 1, 1.3, 1], (1.3, 1.0002)),
        (10000, [9, 1, *[1.01, 1] * 5], (1.01, 1)),
        (13, [9, 1, 1.1, 1], (1.1, 1)),
    ],
)
def test_no_more_steps_are_timed_than_tell(
    steps: int,
    times: list[float],
    expected: tuple[float, float] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = timed_as(monkeypatch, times)
    found = step_seconds(lenet(), None, steps)
    assert taken == times
    assert found == (expected and pytest.approx(expected))


@pytest.mark.parametrize("steps", [12, 13, 100, 10000])
@pytest.mark.parametrize("sparse", [0.1, 0.7, 0.95, 1.25, 4.0])
def test_an_estimate_knows_how_long_choosing_takes(
    steps: int, sparse: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = 0.5
    taken = timed_as(monkeypatch, [1.0, sparse + lists, *[1.0, sparse] * 5])
    found = step_seconds(lenet(), None, steps)
    expected = timing_seconds(StepSeconds(1.0, sparse), lists, steps)
    assert (found is None) == (expected == 0)
    assert sum(taken) == pytest.approx(expected)


def test_a_stop_is_heard_while_kernels_are_chosen() -> None:
    """Before every timed step, and between two units whose weights are listed."""
    made = plan("resnet8w4", "synthetic", rewind="0", device="cpu", kernels="auto")
    one = parts_of(made, 0)
    before = state_arrays(one.module)
    trainer = SparseTrainer(one.module, one.recipe, one.loader, None)
    units = [unit for unit in trainer.prepare().units.in_order if not isinstance(unit, Shortcut)]
    for number in range(1, 4 + len(units) + 1):  # two steps of each kind are timed at least
        one.should_stop = stop_at(number)
        with pytest.raises(Stopped):
            step_seconds(one, None, 100)
        for name, array in state_arrays(one.module).items():
            np.testing.assert_array_equal(array, before[name], err_msg=name)
