"""A stand-in for the CUDA calls of graphs: kernels run at once, on the CPU.

What it holds a capture to are CUDA's own rules: every stream that was forked is joined before the
capture ends, a graph that was reset is not replayed, and capturing computes nothing that counts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from rgtool.runner.replicas import graphs, side_by_side
from rgtool.runner.replicas.training import Trainer


class Stream:
    """A stream that knows which one waits for it."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.forked_from: Stream | None = None

    def wait_stream(self, other: Stream) -> None:
        if other.forked_from is self:
            other.forked_from = None
        else:
            self.forked_from = other


class Graph:
    """What a capture recorded."""

    def __init__(self) -> None:
        self.body: Callable[[], None] | None = None
        self.replays = 0

    def replay(self) -> None:
        assert self.body is not None, "replayed, but it was reset or never captured"
        self.replays += 1
        self.body()

    def reset(self) -> None:
        self.body = None


class Cuda:
    """The calls, and the memory that there is.

    Attributes
    ----------
    free : int
        Bytes; a replica takes 100.
    fails : set of int
        Numbers of captures, from 0, that run out of memory at their second branch.
    quietly : bool
        A library caught the error and went on.
    """

    def __init__(self) -> None:
        self.here = Stream(torch.device("cpu"))
        self.capturing: Graph | None = None
        self.graphs: list[Graph] = []
        self.free, self.reserved, self.ooms = 10_000, 0, 0
        self.fails: set[int] = set()
        self.quietly = False
        self.groups: list[int] = []

    @contextlib.contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, self.here = self.here, stream
        try:
            yield
        finally:
            self.here = before

    @contextlib.contextmanager
    def graph(self, graph: Graph, stream: Stream) -> Iterator[None]:
        assert self.here is stream
        self.capturing = graph
        self.graphs.append(graph)
        try:
            yield
        finally:
            self.capturing = None

    def branches(
        self,
        real: Callable[..., None],
        trainers: Sequence[Trainer],
        draws: Sequence[Tensor],
        streams: Sequence[Stream],
    ) -> None:
        """Fork and join; while capturing, keep what a replay is to do."""
        self.reserved = 100 * len(trainers)
        graph = self.capturing
        if graph is None:
            real(trainers, draws, streams)
            return
        self.groups.append(len(trainers))
        fails = len(self.graphs) - 1 in self.fails
        self.ooms += fails
        try:
            # No draw can be gathered from nothing: the second branch fails, forked but not joined.
            spoilt = [draws[0], draws[1][:0], *draws[2:]] if fails and not self.quietly else draws
            real(trainers, spoilt, streams)
        except Exception as error:
            raise torch.OutOfMemoryError("CUDA out of memory") from error
        finally:
            forked = [stream for stream in streams if stream.forked_from is not None]
            assert not forked, "capturing stream has unjoined work"
        # Nothing of the first step must be left, though here it has run.
        graph.body = lambda: real(trainers, draws, streams)


def install(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    """Let replicas train as graphs on the stand-in."""
    cuda, real = Cuda(), graphs._branches
    fakes: dict[str, Any] = {
        "Stream": Stream,
        "stream": cuda.stream,
        "current_stream": lambda device: cuda.here,
        "graph": cuda.graph,
        "CUDAGraph": Graph,
        "synchronize": lambda device: None,
        "empty_cache": lambda: setattr(cuda, "reserved", 0),
        "memory_reserved": lambda device: cuda.reserved,
        "memory_stats": lambda device: {"num_ooms": cuda.ooms},
        "mem_get_info": lambda device: (cuda.free, 10_000),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    graphs._streams.cache_clear()
    monkeypatch.setattr(graphs, "_branches", lambda *arguments: cuda.branches(real, *arguments))
    monkeypatch.setattr(side_by_side, "stepper", lambda kernels: graphs.GraphSteps())
    return cuda
