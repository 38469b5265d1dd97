"""Replicas that train side by side in one process: each computes what it computes alone.

A replica is a generator that yields what it wants trained and goes on once that is done; whoever
drives it decides with which others.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from ...schemas.errors import RgtoolError
from .kernels import EAGER, Kernels
from .training import Lane, Stepper, plain_steps, train


@dataclass
class Training:
    """A stretch of training that a replica asks for.

    Attributes
    ----------
    lane : Lane
        The replica; the score is left in it.
    level : int
        The level it belongs to.
    start, end : int
        Iterations.
    kernels : Kernels
        How the steps are computed.
    """

    lane: Lane
    level: int
    start: int
    end: int
    kernels: Kernels = EAGER

    @property
    def key(self) -> tuple[int, int, int]:
        """Replicas with equal keys can train side by side."""
        return self.level, self.start, self.end


# Of the CPU's allocator, of CUDA, of cuBLAS and cuDNN.
_NO_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")

Work = Generator[Training, None, None]


def drive(
    works: Mapping[int, Work] | Iterator[tuple[int, Work]],
    at_once: int,
    tell: Callable[[str], None] = lambda text: None,
) -> int:
    """Do the work of several replicas, those at the same point together.

    Parameters
    ----------
    works : mapping or iterator of seed to generator
        Replicas; one is begun only when there is room for it.
    at_once : int
        Replicas that are held at once, at most.
    tell : callable
        Hears, in words, where memory has room for fewer.

    Returns
    -------
    int
        The number that memory had room for at once.
    """
    waiting = iter(works.items()) if isinstance(works, Mapping) else works
    active: dict[int, tuple[Work, Training]] = {}
    while True:
        while len(active) < at_once and (following := next(waiting, None)) is not None:
            _advance(active, *following, None)
        if not active:
            return at_once
        point = min(training.key for _, training in active.values())
        group = [seed for seed, (_, training) in active.items() if training.key == point][:at_once]
        try:
            _train([active[seed][1] for seed in group])
        except Exception as error:
            if is_memory(error) and len(group) > 1:
                at_once = len(group) // 2
                tell(
                    f"{len(group)} replicas side by side need more memory than there is: going on "
                    f"with {at_once}"
                )
                continue
            for seed in group:
                _advance(active, seed, active[seed][0], _in_words(error))
            continue
        for seed in group:
            _advance(active, seed, active[seed][0], None)


def _advance(
    active: dict[int, tuple[Work, Training]], seed: int, work: Work, error: Exception | None
) -> None:
    """Let a replica go on to its next stretch of training, or to its end."""
    active.pop(seed, None)
    try:
        training = next(work) if error is None else work.throw(error)
    except StopIteration:
        return
    active[seed] = (work, training)


def _train(group: Sequence[Training]) -> None:
    """Train a group; where memory does not suffice it is left as it was."""
    first = group[0]
    lanes = [training.lane for training in group]
    before = [lane.trainer.state() for lane in lanes] if len(group) > 1 else []
    try:
        train(lanes, first.start, first.end, stepper(first.kernels))
    except Exception as error:
        if is_memory(error):
            _free(lanes, error)
            for lane, state in zip(lanes, before, strict=False):
                lane.trainer.restore(state)
        raise


def _free(lanes: Sequence[Lane], error: Exception) -> None:
    """Give back what a step that failed still holds."""
    device = lanes[0].trainer.device
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # steps of other replicas may still be at work
    traceback.clear_frames(error.__traceback__)
    for lane in lanes:
        for parameter in lane.trainer.parameters.values():
            parameter.grad = None
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def stepper(kernels: Kernels) -> Stepper:
    """Return what makes a step of a group with these kernels."""
    if not kernels.graph:
        return plain_steps
    from .graphs import GraphSteps

    return GraphSteps()


def is_memory(error: BaseException) -> bool:
    """Tell whether memory did not suffice, in the words of whichever library."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def _in_words(error: Exception) -> Exception:
    if not is_memory(error):
        return error
    return RgtoolError(
        "one replica alone needs more memory than there is: choose a smaller --batch-size, "
        "network or --precision bf16"
    )
