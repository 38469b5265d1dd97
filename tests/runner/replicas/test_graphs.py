"""Replicas as branches of a CUDA graph: the bookkeeping, on a stand-in for CUDA.

What the kernels compute on a real GPU is held to plain steps in `test_gpu.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_cuda
import pytest
from experiments import REPLICA_CASES, diverging, go, replica_tasks, results, stop_at

from rgtool.runner.event import Event
from rgtool.runner.replicas import graphs


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_cuda.Cuda]:
    yield fake_cuda.install(monkeypatch)
    graphs._streams.cache_clear()


@pytest.fixture(scope="module", params=REPLICA_CASES)
def solo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A case, and the results of its seeds one after another in plain steps."""
    store, case = tmp_path_factory.mktemp("solo"), REPLICA_CASES[request.param]
    with pytest.MonkeyPatch.context() as patch:
        replica_tasks(patch)
        assert go(store, **case, seeds=4).seeds("done") == [0, 1, 2, 3]
    return case, results(store)


def test_graphs_compute_what_plain_steps_compute(
    solo: Any, cuda: fake_cuda.Cuda, tmp_path: Path
) -> None:
    case, expected = solo
    assert go(tmp_path, **case, seeds=4, replicas=4).seeds("done") == [0, 1, 2, 3]
    assert results(tmp_path) == expected
    # Before the rewind point whole batches only; at each of three levels the partial one too.
    assert cuda.groups == [4] * (1 + 3 * 2)
    assert all(graph.replays for graph in cuda.graphs)


def test_an_interruption_changes_nothing(solo: Any, cuda: fake_cuda.Cuda, tmp_path: Path) -> None:
    case, expected = solo
    for asked in (9, 40):
        go(tmp_path, **case, seeds=4, replicas=4, should_stop=stop_at(asked))
    go(tmp_path, **case, seeds=4, replicas=4)
    assert results(tmp_path) == expected


def test_one_that_diverges_leaves_the_graph(
    solo: Any, cuda: fake_cuda.Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, expected = solo
    diverging(monkeypatch, seed=1)
    outcome = go(tmp_path, **case, seeds=4, replicas=4)
    assert (outcome.seeds("diverged"), outcome.seeds("done")) == ([1], [0, 2, 3])
    assert cuda.groups[-2:] == [3, 3]
    others = {name: value for name, value in results(tmp_path).items() if "-s1/" not in name}
    assert others == {name: value for name, value in expected.items() if "-s1/" not in name}


@pytest.mark.parametrize("free", [430, 250, 90])
def test_without_room_for_all_half_of_them_go_on(
    free: int, solo: Any, cuda: fake_cuda.Cuda, tmp_path: Path
) -> None:
    case, expected = solo
    cuda.free = free  # a replica takes 100, and a tenth more is asked for
    events: list[Event] = []
    go(tmp_path, **case, seeds=4, replicas=4, on_event=events.append)
    assert results(tmp_path) == expected
    warnings = [event.message for event in events if event.kind == "warning"]
    assert len(warnings) == (2 if free < 220 else 1)
    assert max(cuda.groups) == (1 if free < 220 else 2)


@pytest.mark.parametrize("quietly", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_capture_that_runs_out_of_memory_is_ended_and_halved(
    quietly: bool, number: int, solo: Any, cuda: fake_cuda.Cuda, tmp_path: Path
) -> None:
    case, expected = solo
    cuda.fails, cuda.quietly = {number}, quietly
    events: list[Event] = []
    outcome = go(tmp_path, **case, seeds=4, replicas=4, on_event=events.append)
    assert outcome.seeds("done") == [0, 1, 2, 3]
    assert results(tmp_path) == expected
    assert cuda.graphs[number].body is None  # reset
    assert max(cuda.groups[number + 1 :]) == 2
    assert [event.message for event in events if event.kind == "warning"] == [
        "4 replicas side by side need more memory than there is: going on with 2"
    ]
