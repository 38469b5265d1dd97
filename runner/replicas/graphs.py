"""Steps of several replicas as one CUDA graph, a stream for each replica."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .training import Trainer

_WARM_UP = 3  # steps, for libraries that choose and allocate at their first calls
_ROOM = 1.1  # times the memory that the replicas are expected to take


@dataclass
class _Captured:
    graph: torch.cuda.CUDAGraph
    draws: list[Tensor]  # what a replay reads: copied into before each


class GraphSteps:
    """Captures the step of a group once for whole batches and once for the partial last one.

    A replay computes what the plain steps compute, kernel by kernel: the batch is gathered inside
    the graph from the numbers that were drawn for it, the learning rate is read from the device.
    Replicas are branches of the graph, so that the small kernels of one fill the gaps of another.

    Raises
    ------
    torch.OutOfMemoryError
        There is no room for all of them side by side; they are as they were before the step.
    """

    def __init__(self) -> None:
        self.trainers: tuple[Trainer, ...] = ()
        self.captured: dict[int, _Captured] = {}  # by the size of a batch

    def __call__(self, trainers: Sequence[Trainer], draws: Sequence[Tensor]) -> None:
        """Make one step of every replica."""
        if self.trainers != tuple(trainers):
            # A replica that has diverged leaves the group: the old graphs go before new ones come.
            torch.cuda.synchronize(trainers[0].device)
            self.captured.clear()
            self.trainers = tuple(trainers)
        size = draws[0].shape[1]
        if size not in self.captured:
            self.captured[size] = _capture(trainers, draws)
        captured = self.captured[size]
        for static, draw in zip(captured.draws, draws, strict=True):
            static.copy_(draw)
        captured.graph.replay()


@functools.cache
def _streams(device: torch.device, count: int) -> tuple[torch.cuda.Stream, ...]:
    """Return streams that stay: PyTorch has few, and keeps a workspace for every one it saw."""
    return tuple(torch.cuda.Stream(device) for _ in range(count))  # type: ignore[no-untyped-call]


def _capture(trainers: Sequence[Trainer], draws: Sequence[Tensor]) -> _Captured:
    device = trainers[0].device
    # A stream of its own to capture on: no branch computes there.
    here, *branches = _streams(device, len(trainers) + 1)
    static = [draw.clone() for draw in draws]
    before = [[tensor.clone() for tensor in trainer.tensors()] for trainer in trainers]
    graph = torch.cuda.CUDAGraph()
    here.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(here):
        try:
            if len(trainers) > 1:
                _check_room(trainers, static, branches)
            _warm_up(trainers, static, branches)
            _restore(trainers, before)
            _record(graph, here, trainers, static, branches)
        finally:  # capturing runs nothing, but what a graph changes must be as it was
            torch.cuda.synchronize(device)
            _restore(trainers, before)
            torch.cuda.synchronize(device)
    return _Captured(graph, static)


def _check_room(
    trainers: Sequence[Trainer], draws: Sequence[Tensor], streams: Sequence[torch.cuda.Stream]
) -> None:
    """Measure what one replica takes, and raise where there is less than all need.

    Memory must not run out later: a library that gets less goes on with other kernels, and so with
    other bits than alone.
    """
    device = trainers[0].device
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved(device)
    _warm_up(trainers[:1], draws[:1], streams[:1])
    one = torch.cuda.memory_reserved(device) - held
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    if _ROOM * one * len(trainers) > free:
        raise torch.OutOfMemoryError(
            f"CUDA out of memory: {len(trainers)} replicas of {one} bytes, {free} are free"
        )


def _warm_up(
    trainers: Sequence[Trainer], draws: Sequence[Tensor], streams: Sequence[torch.cuda.Stream]
) -> None:
    for _ in range(_WARM_UP):
        _branches(trainers, draws, streams)
    torch.cuda.synchronize(trainers[0].device)
    for trainer in trainers:  # what they computed would lie beside the graph's own gradients
        for parameter in trainer.parameters.values():
            parameter.grad = None


def _record(
    graph: torch.cuda.CUDAGraph,
    here: torch.cuda.Stream,
    trainers: Sequence[Trainer],
    draws: Sequence[Tensor],
    streams: Sequence[torch.cuda.Stream],
) -> None:
    """Capture a step; where it fails the capture is ended first, and then the reason is raised."""
    failure: Exception | None = None
    short = torch.cuda.memory_stats(here.device)["num_ooms"]
    try:
        with torch.cuda.graph(graph, stream=here):
            try:
                _branches(trainers, draws, streams)
            except Exception as error:
                failure = error
    except Exception as error:
        raise (failure or error) from error
    if failure is None and torch.cuda.memory_stats(here.device)["num_ooms"] > short:
        failure = torch.OutOfMemoryError("CUDA out of memory: a library went on with less")
    if failure is not None:
        graph.reset()  # and with it the memory that it holds
        raise failure


def _branches(
    trainers: Sequence[Trainer], draws: Sequence[Tensor], streams: Sequence[torch.cuda.Stream]
) -> None:
    """Fork a stream for each replica from the current one, and join them."""
    here = torch.cuda.current_stream(trainers[0].device)
    forked = []
    try:
        for trainer, draw, stream in zip(trainers, draws, streams, strict=True):
            stream.wait_stream(here)
            forked.append(stream)
            with torch.cuda.stream(stream):
                trainer.step(*trainer.loader.gather(draw))
    finally:
        for stream in forked:
            here.wait_stream(stream)


@torch.no_grad()
def _restore(trainers: Sequence[Trainer], before: Sequence[Sequence[Tensor]]) -> None:
    for trainer, saved in zip(trainers, before, strict=True):
        for tensor, value in zip(trainer.tensors(), saved, strict=True):
            tensor.copy_(value)
