"""On a real GPU: graphs, precisions and memory against plain steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from experiments import REPLICA_CASES, diverging, go, replica_tasks, results, stop_at

from rgtool.runner.event import Event

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16", "fp16"])
@pytest.mark.parametrize("case", REPLICA_CASES)
def test_a_graph_computes_what_plain_steps_compute(
    case: str, precision: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        **REPLICA_CASES[case], "device": "cuda", "precision": precision, "seeds": 3,
    }  # fmt: skip
    go(tmp_path / "plain", **options, replicas=1, compile="off")
    go(tmp_path / "graph", **options, replicas=3, compile="auto")
    go(tmp_path / "alone", **options, replicas=1, compile="auto")
    assert results(tmp_path / "graph") == results(tmp_path / "alone")
    assert results(tmp_path / "graph") == results(tmp_path / "plain")


@pytest.mark.parametrize("precision", ["float32", "fp16"])
def test_a_graph_sums_movement_as_plain_steps_do(precision: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        **REPLICA_CASES["resnet"], "device": "cuda", "precision": precision, "seeds": 2,
        "pruner": "movement",
    }  # fmt: skip
    go(tmp_path / "plain", **options, replicas=1, compile="off")
    go(tmp_path / "graph", **options, replicas=2, compile="auto")
    assert results(tmp_path / "graph") == results(tmp_path / "plain")


@pytest.mark.parametrize("case", REPLICA_CASES)
def test_masks_are_nearly_those_of_the_cpu(case: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {**REPLICA_CASES[case], "seeds": 1, "levels": 1}
    go(tmp_path / "cpu", **options, device="cpu")
    go(tmp_path / "cuda", **options, device="cuda")
    here, there = results(tmp_path / "cpu"), results(tmp_path / "cuda")
    assert here.keys() == there.keys()
    initial = [name for name in here if "/weights/init" in name]
    assert initial
    assert all(here[name] == there[name] for name in initial)  # drawn on the CPU wherever it trains


def test_an_interruption_changes_nothing(tmp_path: Path) -> None:
    options: dict[str, Any] = {**REPLICA_CASES["resnet"], "device": "cuda", "seeds": 3}
    go(tmp_path / "whole", **options, replicas=3)
    for asked in (9, 30, 55):
        go(tmp_path / "parts", **options, replicas=3, should_stop=stop_at(asked))
    go(tmp_path / "parts", **options, replicas=3)
    assert results(tmp_path / "parts") == results(tmp_path / "whole")


def test_one_that_diverges_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {**REPLICA_CASES["resnet"], "device": "cuda"}
    go(tmp_path / "alone", **options, seeds=[0, 2])
    diverging(monkeypatch, seed=1)
    outcome = go(tmp_path / "three", **options, seeds=3, replicas=3)
    assert (outcome.seeds("diverged"), outcome.seeds("done")) == ([1], [0, 2])
    others = {n: value for n, value in results(tmp_path / "three").items() if "-s1/" not in n}
    assert others == results(tmp_path / "alone")


def test_without_memory_for_all_fewer_go_on_to_the_same_bits(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "model": "resnet8", "task": "synthetic", "width": 64, "device": "cuda", "levels": 1,
    }  # fmt: skip
    go(tmp_path / "alone", **options, seeds=4, replicas=1)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    go(tmp_path / "one", **options, seeds=1, replicas=1)
    one = torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    events: list[Event] = []
    torch.cuda.set_per_process_memory_fraction(min(1.0, 2.5 * one / total))
    try:
        outcome = go(tmp_path / "four", **options, seeds=4, replicas=4, on_event=events.append)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert outcome.seeds("done") == [0, 1, 2, 3]
    assert any("need more memory" in event.message for event in events if event.kind == "warning")
    assert results(tmp_path / "four") == results(tmp_path / "alone")


def test_compiled_kernels_agree_to_rounding(tmp_path: Path) -> None:
    options: dict[str, Any] = {**REPLICA_CASES["resnet"], "device": "cuda", "seeds": 2}
    go(tmp_path / "compiled", **options, levels=0, replicas=2, compile="on")
    go(tmp_path / "plain", **options, levels=0, replicas=2, compile="off")
    here, there = results(tmp_path / "compiled"), results(tmp_path / "plain")
    for name, records in there.items():
        if "/records/" in name:
            for one, other in zip(here[name], records, strict=True):
                assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)
