"""Steps of several replicas as one CUDA graph, a stream for each replica."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .training import Trainer

_WARM_UP = 3  # steps, for libraries that choose and allocate at their first calls


@dataclass
class _Captured:
    graph: torch.cuda.CUDAGraph
    draws: list[Tensor]  # what a replay reads: copied into before each


class GraphSteps:
    """Captures the step of a group once for whole batches and once for the partial last one.

    A replay computes what the plain steps compute, kernel by kernel: the batch is gathered inside
    the graph from the numbers that were drawn for it, the learning rate is read from the device.
    Replicas are branches of the graph, so that the small kernels of one fill the gaps of another.
    """

    def __init__(self) -> None:
        self.captured: dict[tuple[int, ...], _Captured] = {}

    def __call__(self, trainers: Sequence[Trainer], draws: Sequence[Tensor]) -> None:
        """Make one step of every replica."""
        # A replica that has diverged leaves the group: the others are captured anew.
        key = (draws[0].shape[1], *map(id, trainers))
        if key not in self.captured:
            self.captured[key] = _capture(trainers, draws)
        captured = self.captured[key]
        for static, draw in zip(captured.draws, draws, strict=True):
            static.copy_(draw)
        captured.graph.replay()


def _capture(trainers: Sequence[Trainer], draws: Sequence[Tensor]) -> _Captured:
    device = trainers[0].device
    static = [draw.clone() for draw in draws]
    before = [[tensor.clone() for tensor in trainer.tensors()] for trainer in trainers]
    streams: list[torch.cuda.Stream] = [torch.cuda.Stream(device) for _ in trainers]  # type: ignore[no-untyped-call]
    with torch.cuda.stream(torch.cuda.Stream(device)):  # type: ignore[no-untyped-call]
        torch.cuda.current_stream(device).wait_stream(torch.cuda.default_stream(device))
        for _ in range(_WARM_UP):
            _branches(trainers, static, streams)
    torch.cuda.synchronize(device)
    _restore(trainers, before)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        _branches(trainers, static, streams)
    # Capturing runs nothing, but be sure that what the graph changes is as it was.
    torch.cuda.synchronize(device)
    _restore(trainers, before)
    return _Captured(graph, static)


def _branches(
    trainers: Sequence[Trainer], draws: Sequence[Tensor], streams: Sequence[torch.cuda.Stream]
) -> None:
    """Fork a stream for each replica from the current one, and join them."""
    here = torch.cuda.current_stream(trainers[0].device)
    for trainer, draw, stream in zip(trainers, draws, streams, strict=True):
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            trainer.step(*trainer.loader.gather(draw))
    for stream in streams:
        here.wait_stream(stream)


@torch.no_grad()
def _restore(trainers: Sequence[Trainer], before: Sequence[Sequence[Tensor]]) -> None:
    for trainer, saved in zip(trainers, before, strict=True):
        for tensor, value in zip(trainer.tensors(), saved, strict=True):
            tensor.copy_(value)
