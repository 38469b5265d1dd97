"""Replicas side by side: each computes what it computes alone, also where memory is short."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from experiments import REPLICA_CASES, diverging, go, replica_tasks, results, stop_at
from torch import Tensor

from rgtool.runner.event import Event
from rgtool.runner.experiment import compute_seeds, plan
from rgtool.runner.replicas import replica_parts, side_by_side
from rgtool.runner.replicas.kernels import Kernels
from rgtool.runner.replicas.training import Stepper, Trainer, plain_steps
from rgtool.schemas.errors import UsageError


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


@pytest.fixture(scope="module", params=REPLICA_CASES)
def solo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A case, and the results of five seeds of it one after another."""
    store, case = tmp_path_factory.mktemp("solo"), REPLICA_CASES[request.param]
    with pytest.MonkeyPatch.context() as patch:
        replica_tasks(patch)
        assert go(store, **case, seeds=5).seeds("done") == [0, 1, 2, 3, 4]
    yield case, results(store)


@pytest.mark.parametrize("replicas", [2, 3, 5])
def test_replicas_compute_what_they_compute_alone(
    solo: Any, replicas: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, expected = solo
    together_ = groups(monkeypatch)
    assert go(tmp_path, **case, seeds=5, replicas=replicas).seeds("done") == [0, 1, 2, 3, 4]
    assert results(tmp_path) == expected
    assert max(together_) == replicas


def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of replicas that made steps together, as they come."""
    sizes: list[int] = []

    def stepper(kernels: Kernels) -> Stepper:
        def step(trainers: Sequence[Trainer], draws: Sequence[Tensor]) -> None:
            sizes.append(len(trainers))
            plain_steps(trainers, draws)

        return step

    monkeypatch.setattr(side_by_side, "stepper", stepper)
    return sizes


def test_replicas_that_are_interrupted_go_on_to_the_same_bits(solo: Any, tmp_path: Path) -> None:
    case, expected = solo
    for asked in (9, 30, 4, 55):
        outcome = go(tmp_path, **case, seeds=5, replicas=3, should_stop=stop_at(asked))
        assert set(outcome.seeds("stopped")) >= {3, 4}
    assert go(tmp_path, **case, seeds=5, replicas=3).seeds("failed", "stopped") == []
    assert results(tmp_path) == expected


def test_replicas_that_stand_at_different_points_find_together(
    solo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, expected = solo
    go(tmp_path, **case, seeds=[1], levels=0)
    go(tmp_path, **case, seeds=[2], should_stop=stop_at(14))  # inside level 1
    sizes = groups(monkeypatch)
    go(tmp_path, **case, seeds=3, replicas=3)
    assert {1, 2, 3} >= set(sizes)
    assert sizes[-1] == 3
    go(tmp_path, **case, seeds=5, replicas=5)
    assert results(tmp_path) == expected


def test_one_that_diverges_leaves_the_others_alone(
    solo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, expected = solo
    sizes = groups(monkeypatch)
    diverging(monkeypatch, seed=1)
    outcome = go(tmp_path, **case, seeds=5, replicas=5)
    assert sizes[:10] == [5] * 5 + [4] * 5  # rewind point and first epoch, second epoch
    assert (outcome.seeds("diverged"), outcome.seeds("done")) == ([1], [0, 2, 3, 4])
    found = results(tmp_path)
    others = {name: value for name, value in found.items() if "-s1/" not in name}
    assert others == {name: value for name, value in expected.items() if "-s1/" not in name}


# Memory.


def short_of_memory(monkeypatch: pytest.MonkeyPatch, room: int, at: int) -> list[int]:
    """Let the step number `at` of every stretch fail where more than `room` train together."""
    sizes: list[int] = []

    def stepper(kernels: Kernels) -> Stepper:
        done = 0

        def step(trainers: Sequence[Trainer], draws: Sequence[Tensor]) -> None:
            nonlocal done
            done += 1
            sizes.append(len(trainers))
            if len(trainers) > room and done == at:
                plain_steps(trainers[:1], draws[:1])  # some have made the step, some have not
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
            plain_steps(trainers, draws)

        return step

    monkeypatch.setattr(side_by_side, "stepper", stepper)
    return sizes


@pytest.mark.parametrize(("room", "at"), [(1, 1), (2, 1), (2, 4), (3, 2)])
def test_too_many_are_halved_until_they_fit(
    solo: Any, room: int, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, expected = solo
    sizes = short_of_memory(monkeypatch, room, at)
    events: list[Event] = []
    outcome = go(tmp_path, **case, seeds=5, replicas=5, rewind="4it", on_event=events.append)
    assert outcome.seeds("done") == [0, 1, 2, 3, 4]
    warnings = [event.message for event in events if event.kind == "warning"]
    assert warnings[0] == (
        "5 replicas side by side need more memory than there is: going on with 2"
    )
    assert len(warnings) == (2 if room == 1 else 1)  # it is not tried again at every level
    assert max(sizes[at * 5 :]) <= 2
    reference = tmp_path / "alone"
    go(reference, **case, seeds=5, rewind="4it")
    shutil.move(reference, tmp_path.parent / f"{tmp_path.name}-alone")
    assert results(tmp_path) == results(tmp_path.parent / f"{tmp_path.name}-alone")


def test_one_that_does_not_fit_alone_fails_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_of_memory(monkeypatch, 0, 3)
    outcome = go(tmp_path, seeds=3, replicas=2)
    assert outcome.seeds("failed") == [0, 1, 2]
    for event in outcome.ends.values():
        assert (
            "one replica alone needs more memory than there is: choose a smaller" in event.message
        )


def test_an_error_that_is_a_bug_is_not_swallowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: Trainer, images: Tensor, labels: Tensor) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(RuntimeError, match="a bug"):
        go(tmp_path, seeds=2, replicas=2)


def test_memory_that_ends_outside_of_training_fails_that_seed_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate, calls = replica_parts.evaluate, 0

    def short(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return evaluate(*arguments)

    monkeypatch.setattr(replica_parts, "evaluate", short)
    outcome = go(tmp_path, seeds=3, replicas=3)
    assert (outcome.seeds("failed"), outcome.seeds("done")) == ([1], [0, 2])
    assert "memory does not suffice: choose fewer --replicas" in outcome.ends[1].message
    assert go(tmp_path, seeds=3, replicas=2).seeds("done") == [1]


# Layouts.


def test_seeds_train_in_processes_or_side_by_side(tmp_path: Path) -> None:
    made = plan("lenet", "few-digits", seeds=5, store=tmp_path, workers=2)
    assert (made.workers, made.replicas) == (2, 1)
    made = plan("lenet", "few-digits", seeds=5, store=tmp_path, replicas=3)
    assert (made.workers, made.replicas) == (1, 3)
    assert plan("lenet", "few-digits", seeds=2, replicas=3).replicas == 2
    with pytest.raises(UsageError, match="workers 2 and replicas 3 together"):
        plan("lenet", "few-digits", seeds=5, workers=2, replicas=3)
    with pytest.raises(UsageError, match="replicas is 0: at least one"):
        plan("lenet", "few-digits", replicas=0)


def test_nothing_begins_after_a_stop(tmp_path: Path) -> None:
    made = plan("lenet", "few-digits", seeds=3, store=tmp_path, replicas=2)
    ends = compute_seeds(made, made.seeds, lambda event: None, lambda: True)
    assert [event.kind for event in ends.values()] == ["stopped"] * 3
