"""Which kernels train a level: written down before it begins, taken again, shared by seeds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Cli
from experiments import go, only_run, replica_tasks, results, stop_at
from torch import nn

from rgtool.runner import sparse
from rgtool.runner.event import Event
from rgtool.runner.plan import Plan, plan
from rgtool.runner.pruning import Mask, density
from rgtool.runner.replicas import kernels as kernels_module
from rgtool.runner.replicas import level_kernels
from rgtool.runner.replicas.kernels import KERNELS_VARIABLE, Kernels, by_level
from rgtool.runner.replicas.replica_parts import ReplicaParts
from rgtool.runner.replicas.step_seconds import StepSeconds, step_seconds
from rgtool.runner.replicas.training import Trainer
from rgtool.schemas.errors import UsageError
from rgtool.schemas.records.description import BY_LEVEL, BY_LEVEL_WHY, Description
from rgtool.schemas.records.layout import RunFolder
from rgtool.store import Store

RESNET: dict[str, Any] = {"model": "resnet8w4", "task": "synthetic"}


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


@pytest.fixture(autouse=True)
def _kernels() -> None:
    if (missing := kernels_module.missing_library()) is not None:
        pytest.skip(missing)


def here() -> str:
    return f"sparse {sparse.describe()}"


def speeds(
    monkeypatch: pytest.MonkeyPatch, wins: Callable[[float], bool] = lambda kept: kept < 1
) -> list[float]:
    """Let sparse steps be the faster ones at some densities; the densities asked for, as they come.

    What is faster here and now no test can know.
    """
    asked: list[float] = []

    def told(on: object, mask: Mask | None, steps: int) -> StepSeconds:
        asked.append(1.0 if mask is None else density(mask))
        return StepSeconds(0.2, 0.1) if wins(asked[-1]) else StepSeconds(0.1, 0.2)

    monkeypatch.setattr(level_kernels, "step_seconds", told)
    return asked


def said(store: Path) -> dict[str, str]:
    return machine(only_run(store))[BY_LEVEL]  # type: ignore[no-any-return]


def machine(run: RunFolder) -> dict[str, Any]:
    found = run.read_description()
    assert found is not None
    return dict(found.machine)


def runs(store: Path) -> Iterator[RunFolder]:
    yield from (RunFolder(path) for path in sorted((store / "runs").iterdir()))


def warnings(events: list[Event]) -> list[str]:
    return [event.message for event in events if event.kind == "warning"]


# Chosen when a level begins.


def test_the_faster_kernels_train_a_level_and_the_description_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = speeds(monkeypatch)
    assert go(tmp_path, **RESNET, kernels="auto").seeds("done") == [0]
    assert said(tmp_path) == {"rewind": "eager", "0": "eager", "1": here(), "2": here()}
    assert asked == pytest.approx([1.0, 0.8, 0.64], abs=0.01)  # what keeps every weight once
    why = machine(only_run(tmp_path))[BY_LEVEL_WHY]
    assert why["rewind"] == "measured: 100 ms a step dense, 200 sparse"
    assert why["0"] == "measured: 100 ms a step dense, 200 sparse, before the rewind point"
    assert why["2"] == "measured: 200 ms a step dense, 100 sparse"
    # Each level has computed what it says: the first what dense steps compute, bit for bit.
    go(tmp_path / "dense", **RESNET, kernels="dense")
    found, dense = results(tmp_path), results(tmp_path / "dense")
    run = only_run(tmp_path).path.name
    assert found[f"{run}/records/0"] == dense[f"{run}/records/0"]
    assert found[f"{run}/records/1"] != dense[f"{run}/records/1"]


def test_a_level_that_has_no_memory_for_both_kinds_trains_dense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(on: object, mask: Mask | None, steps: int) -> StepSeconds:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory") from MemoryError()

    monkeypatch.setattr(level_kernels, "step_seconds", measure)
    assert go(tmp_path, **RESNET, kernels="auto", levels=0).seeds("done") == [0]
    assert said(tmp_path) == {"rewind": "eager", "0": "eager"}
    why = set(machine(only_run(tmp_path))[BY_LEVEL_WHY].values())
    assert why == {"memory has no room for sparse steps beside dense ones"}


def test_it_is_written_before_the_level_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds(monkeypatch)
    steps = Trainer.step
    seen: list[dict[str, str]] = []

    def step(self: Trainer, images: torch.Tensor, labels: torch.Tensor) -> None:
        seen.append(said(tmp_path))
        steps(self, images, labels)

    monkeypatch.setattr(Trainer, "step", step)
    go(tmp_path, **RESNET, kernels="auto", levels=0)
    assert seen == [{"rewind": "eager"}] * 2 + [{"rewind": "eager", "0": "eager"}] * 8


def test_the_measured_choice_is_that_of_the_lesser_time(tmp_path: Path) -> None:
    go(tmp_path, **RESNET, kernels="auto", levels=1, epochs=4)
    found = machine(only_run(tmp_path))
    for level in ("0", "1"):
        _, numbers = found[BY_LEVEL_WHY][level].split("measured: ")
        dense, sparse_ = (float(part.split()[0]) for part in numbers.split("dense, "))
        expected = here() if sparse_ < dense else "eager"
        assert dense == sparse_ or found[BY_LEVEL][level] == expected


def test_a_level_of_few_steps_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes what the level before has taken: dense where nothing was measured."""
    few = "too few steps to time any of them"
    real = step_seconds
    go(tmp_path / "dense", **RESNET, kernels="auto")
    found = machine(only_run(tmp_path / "dense"))
    assert set(found[BY_LEVEL].values()) == {"eager"}
    expected = {"rewind": few, "0": f"{few}, as rewind", "1": f"{few}, as 0", "2": f"{few}, as 1"}
    assert found[BY_LEVEL_WHY] == expected

    def told(on: ReplicaParts, mask: Mask | None, steps: int) -> StepSeconds | None:
        return StepSeconds(0.2, 0.1) if mask is None else real(on, mask, steps)

    monkeypatch.setattr(level_kernels, "step_seconds", told)
    go(tmp_path / "sparse", **RESNET, kernels="auto")
    found = machine(only_run(tmp_path / "sparse"))
    assert set(found[BY_LEVEL].values()) == {here()}
    assert found[BY_LEVEL_WHY]["0"].startswith("measured: ")
    assert found[BY_LEVEL_WHY]["2"] == expected["2"]


def test_a_run_that_is_stopped_while_it_chooses_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {**RESNET, "kernels": "auto", "epochs": 4, "levels": 0}
    for asked in (3, 6, 10):  # the first two before the run, and inside the stretch of few steps
        outcome = go(tmp_path, **options, should_stop=stop_at(asked))
        assert outcome.seeds("stopped") == [0]
        assert set(said(tmp_path)) == {"rewind"}
        assert only_run(tmp_path).recorded_levels() == []
    assert go(tmp_path, **options).seeds("done") == [0]
    assert set(said(tmp_path)) == {"rewind", "0"}


# Taken again.


def test_a_level_goes_on_with_the_kernels_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds(monkeypatch)
    go(tmp_path / "whole", **RESNET, kernels="auto")
    # Inside a level of dense steps, while weights are listed, and inside levels of sparse steps.
    for asked, level in ((5, "0"), (12, "1"), (23, "1"), (40, "2")):
        store = tmp_path / f"stopped-{asked}"
        speeds(monkeypatch)
        stopped = go(store, **RESNET, kernels="auto", should_stop=stop_at(asked))
        assert stopped.seeds("stopped") == [0]
        before = said(store)
        assert max(before) in ("rewind", level) or level in before
        # By now it is the other way round, for the levels to come as well.
        speeds(monkeypatch, lambda kept: kept == 1)
        events: list[Event] = []
        go(store, **RESNET, kernels="auto", on_event=events.append, levels=int(level))
        assert not warnings(events)
        assert {key: said(store)[key] for key in before} == before
        whole = results(tmp_path / "whole")
        masks = f"masks/{int(level) + 1:04d}.safetensors"
        name = f"{only_run(store).path.name}/{masks}"
        assert results(store)[name] == whole[name]


def test_seeds_take_what_the_first_has_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = speeds(monkeypatch)
    go(tmp_path, **RESNET, kernels="auto", seeds=2)
    assert len(asked) == 3
    Store(tmp_path).compact()
    speeds(monkeypatch, lambda kept: pytest.fail("measured again"))
    go(tmp_path, **RESNET, kernels="auto", seeds=[7])
    first, second, third = runs(tmp_path)
    assert machine(first)[BY_LEVEL] == machine(second)[BY_LEVEL] == machine(third)[BY_LEVEL]
    assert set(machine(third)[BY_LEVEL_WHY].values()) == {f"as {first.path.name}"}


def test_level_0_takes_what_another_seed_has_measured_before_the_rewind_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = speeds(monkeypatch, lambda kept: True)
    go(tmp_path, **RESNET, kernels="auto", levels=0, should_stop=lambda: bool(asked))
    go(tmp_path, **RESNET, kernels="auto", levels=0, seeds=[1])
    assert asked == [1.0]
    first, second = runs(tmp_path)
    assert machine(first)[BY_LEVEL] == {"rewind": here()}
    assert machine(second)[BY_LEVEL] == {"rewind": here(), "0": here()}
    why = machine(second)[BY_LEVEL_WHY]
    assert why["rewind"] == f"as {first.path.name}"
    assert why["0"].endswith(", before the rewind point")


def test_what_was_asked_for_holds_for_that_seed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tmp_path, **RESNET, kernels="dense")
    asked = speeds(monkeypatch)
    go(tmp_path, **RESNET, kernels="auto", seeds=2)
    assert len(asked) == 3
    first, second = (machine(run)[BY_LEVEL] for run in runs(tmp_path))
    assert set(first.values()) == {"eager"}
    assert second["2"] == here()


def test_seeds_that_begin_together_agree(tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": "lenet", "task": "digits", "train_size": 150, "epochs": 4}
    outcome = go(tmp_path, **options, kernels="auto", seeds=3, workers=2)
    assert outcome.seeds("done") == [0, 1, 2]
    by_seed = [machine(run)[BY_LEVEL] for run in runs(tmp_path)]
    assert by_seed[0] == by_seed[1] == by_seed[2]
    assert set(by_seed[0]) == {"rewind", "0", "1", "2"}


def test_a_child_takes_its_parents_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds(monkeypatch)
    go(tmp_path, **RESNET, kernels="auto")
    speeds(monkeypatch, lambda kept: pytest.fail("measured again"))
    go(tmp_path, **RESNET, kernels="auto", control="reinit")
    parent = only_run_of(tmp_path, child=False)
    child = only_run_of(tmp_path, child=True)
    expected = {
        level: name for level, name in machine(parent)[BY_LEVEL].items() if level != "rewind"
    }
    assert machine(child)[BY_LEVEL] == expected
    assert set(machine(child)[BY_LEVEL_WHY].values()) == {f"as {parent.path.name}"}


def test_a_child_takes_what_its_parent_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tmp_path, **RESNET, kernels="dense", levels=1)
    speeds(monkeypatch, lambda kept: pytest.fail("measured"))
    go(tmp_path, **RESNET, kernels="auto", control="reinit", levels=1)
    child = machine(only_run_of(tmp_path, child=True))
    assert set(child[BY_LEVEL].values()) == {"eager"}


def only_run_of(store: Path, *, child: bool) -> RunFolder:
    found = [run for run in runs(store) if (description(run).parent_run is not None) == child]
    return found[0]


def description(run: RunFolder) -> Description:
    found = run.read_description()
    assert found is not None
    return found


def test_identity_knows_nothing_of_kernels(tmp_path: Path) -> None:
    ids = {go(tmp_path, **RESNET, kernels=k, levels=0).experiment_id for k in ("dense", "sparse")}
    assert len(ids) == 1


# Other conditions.


def test_a_level_that_was_left_by_an_earlier_rgtool_goes_on_dense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tmp_path, **RESNET, kernels="dense", should_stop=stop_at(14))
    run = only_run(tmp_path)
    found = description(run)
    old = {name: v for name, v in found.machine.items() if name not in (BY_LEVEL, BY_LEVEL_WHY)}
    dataclasses.replace(found, machine=old).write(run.description)
    asked = speeds(monkeypatch)
    events: list[Event] = []
    go(tmp_path, **RESNET, kernels="auto", on_event=events.append)
    assert said(tmp_path) == {"1": "eager", "2": here()}
    assert len(asked) == 1
    assert not warnings(events)


@pytest.mark.parametrize("way", ["no library", "dense asked for", "another set"])
def test_a_level_that_cannot_go_on_as_it_began_says_so(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tmp_path, **RESNET, kernels="sparse", should_stop=stop_at(42))
    choice, then = "auto", here()
    if way == "no library":
        without_library(monkeypatch)
        now = "eager"
    elif way == "dense asked for":
        choice, now = "dense", "eager"
    else:
        run, now = only_run(tmp_path), here()
        found, then = description(run), "sparse avx1024"
        levels = {**found.machine[BY_LEVEL], "1": then}
        changed = {**found.machine, BY_LEVEL: levels}
        dataclasses.replace(found, machine=changed, history=("before",)).write(run.description)
    events: list[Event] = []
    go(tmp_path, **RESNET, kernels=choice, levels=1, on_event=events.append)
    (warning,) = warnings(events)
    assert warning.endswith(f"goes on under other conditions: kernels was {then}, is {now}")
    history = description(only_run(tmp_path)).history
    assert history[-1] == f"inside level 1: kernels was {then}, is {now}"
    assert history[:-1] == (("before",) if way == "another set" else ())
    assert said(tmp_path)["1"] == now


def without_library(monkeypatch: pytest.MonkeyPatch) -> str:
    """Take the library away, as where there was no compiler."""
    words = "the kernels of sparse training were not compiled: install a C compiler"

    def missing(*arguments: object) -> Any:
        raise sparse.Missing(words)

    monkeypatch.setattr(kernels_module, "describe", missing)
    return words


def test_without_a_library_all_is_dense_and_said(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = without_library(monkeypatch)
    arguments = ("lenet", "digits", "--levels", "0", "--epochs", "1", "--device", "cpu")
    done = cli("run", *arguments, "--kernels", "auto", "--store", str(tmp_path / "auto"))
    assert done.code == 0, done.err
    assert f"every level trains dense: {words}" in done.err
    assert said(tmp_path / "auto") == {"0": "eager"}
    refused = cli("run", *arguments, "--kernels", "sparse", "--store", str(tmp_path / "no"))
    assert refused.code == 2
    assert f"kernels sparse: {words}; auto or dense trains it" in refused.err
    assert not (tmp_path / "no").exists()
    measured = cli("bench", "lenet", "digits", "--kernels", "auto", "--seconds", "0.02")
    assert words in measured.err
    assert words in cli("doctor", "--csv").out


def test_the_doctor_names_the_kernels(cli: Cli) -> None:
    rows = json.loads(cli("doctor", "--json").out)
    found = {row["what"]: row["found"] for row in rows}
    assert found["sparse kernels"] == sparse.describe()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "bf16"}, "float32, not bf16"),
        ({"compile": "on"}, 'compile="on" is for dense steps'),
    ],
)
def test_what_is_not_served_is_refused_or_trained_dense(
    options: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=f"kernels sparse: .*{words}"):
        plan("lenet", "digits", device="cpu", kernels="sparse", **options)
    made = plan("lenet", "digits", device="cpu", kernels="auto", **options)
    assert made.kernels.choice == "dense"
    assert any(words in note for note in made.notes)


def test_a_network_of_ones_own_trains_dense(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(
        "from torch import nn\n\ndef build(channels, classes):\n"
        "    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Flatten(), "
        "nn.Linear(144, classes))\n"
    )
    place = f"{tmp_path / 'my.py'}:build"
    made = plan(place, "digits", device="cpu", kernels="auto")
    assert any("every level trains dense: " in note for note in made.notes)
    with pytest.raises(UsageError, match="kernels sparse: "):
        plan(place, "digits", device="cpu", kernels="sparse")


def test_a_gpu_has_kernels_of_its_own() -> None:
    made = plan("lenet", "digits", device="cpu")
    graph, device = Kernels(graph=True), torch.device("cuda")

    def choice(wanted: str) -> Kernels:
        return by_level(graph, wanted, device, lambda: nn.Identity(), made.recipe, (1, 8, 8))

    assert choice("auto") == choice("dense") == graph
    assert choice("auto").reason.endswith("sparse kernels compute on a CPU")
    with pytest.raises(UsageError, match="kernels sparse: sparse kernels compute on a CPU"):
        choice("sparse")


def test_the_environment_chooses_where_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(**options: Any) -> Kernels:
        made: Plan = plan("lenet", "digits", device="cpu", **options)
        return made.kernels

    monkeypatch.setenv(KERNELS_VARIABLE, "sparse")
    assert chosen().choice == "sparse"
    assert chosen(kernels="dense").choice == "dense"
    monkeypatch.delenv(KERNELS_VARIABLE)
    assert chosen() == Kernels(choice="auto", sparse=here())
    with pytest.raises(UsageError, match="kernels 'fast' is unknown: choose from auto, dense"):
        chosen(kernels="fast")
