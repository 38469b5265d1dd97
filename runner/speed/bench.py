"""What this machine makes of an experiment: speed, what bounds it, and the fastest layout."""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch

from ...schemas.errors import RgtoolError
from .. import machine
from ..data import Loading
from ..models import Builder
from ..own.home import printing_aside
from ..plan import Plan, plan
from ..pool import main_hidden
from ..recipes import DEFAULT
from ..replicas.replica_parts import ReplicaParts
from ..replicas.side_by_side import is_memory
from .by_density import by_density
from .ceiling import (
    convolution_peak,
    convolutions_speed,
    copy_bandwidth,
    moved_bytes,
    training_flops,
)
from .layouts import Bench, Layout
from .probe import evaluation_seconds, level_images, parts_of, speed

_DENSITIES = 9  # at which sparse steps are timed, in the time of a layout
_START = 120.0  # seconds that a process may take to begin


def bench(
    model: str | Builder = "resnet8",
    task: str | Loading = "digits",
    recipe: str | Path = DEFAULT,
    *,
    seconds: float = 3.0,
    seeds: str | int | Sequence[int] = 5,
    levels: int = 16,
    data: str | Path | None = None,
    **options: Any,
) -> Bench:
    """Measure what this machine makes of an experiment; nothing is recorded.

    Parameters
    ----------
    model, task, recipe, seeds, levels, data
        As for `run`.
    seconds : float
        Time for each layout.
    **options
        Fields of `Launch` and of `Recipe`, as for `run`.

    Raises
    ------
    UsageError
        A name is unknown or a value out of range.
    RgtoolError
        A process that measures died.
    """
    made = plan(model, task, recipe, seeds=seeds, levels=levels, data=data, **options)
    return measure(made, seconds)


@printing_aside()
def measure(made: Plan, seconds: float = 3.0) -> Bench:
    """Measure a plan: every layout for about `seconds`.

    Raises
    ------
    RgtoolError
        A process that measures died.
    """
    device = torch.device(made.device)
    machine.prepare(device, made.recipe.precision)
    gpu = device.type == "cuda"
    own = Layout(made.workers, made.threads, made.replicas, 0.0)
    counts = {*((1, 2, 4, 8) if gpu else (1, 2)), own.replicas if own.is_plain else 1}
    parts = [parts_of(made, seed) for seed in range(max(counts))]
    speeds = _side_by_side(made, parts, sorted(counts), seconds)
    layouts = [Layout(1, 1, n, speed) for n, (speed, _) in speeds.items()]
    layouts += [
        dataclasses.replace(one, images_per_second=_speed_of(one, made, parts, seconds))
        for one in dict.fromkeys([*_spread(made, device), own])
        if not one.is_plain
    ]
    first = parts[0]
    return Bench(
        layouts=tuple(layouts),
        chosen=_nearest(layouts, own),
        busy_images_per_second=speeds[1][0] if gpu else speeds[1][1],
        flops=training_flops(first.module, made.outline.input_shape),
        peak=None if gpu else convolution_peak(made.recipe.precision),
        ceiling=None if gpu else convolutions_speed(first.module, made),
        floor_bytes=moved_bytes(first.module, made) if gpu else None,
        bandwidth=copy_bandwidth(device) if gpu else None,
        test_seconds=evaluation_seconds(first),
        level_images=level_images(made, first.loader),
        seeds=len(made.seeds),
        records=(made.levels + 1) * (1 if made.found is None else 2),
        epochs=made.recipe.whole_epochs,
        trained=f"{made.recipe.architecture}/{made.recipe.task}, batch {made.recipe.batch_size}, "
        f"{made.recipe.precision}, {made.kernels.words} kernels, {made.device}",
        curve=by_density(made, first, seconds / _DENSITIES, _DENSITIES, speeds[1]),
    )


def _spread(made: Plan, device: torch.device) -> list[Layout]:
    """Return the layouts over all cores: one process of many threads, many of one."""
    cores = 1 if device.type == "cuda" else machine.workers(device)
    return [Layout(1, cores, 1, 0.0), *([Layout(cores, 1, 1, 0.0)] if made.portable else [])]


def _speed_of(layout: Layout, made: Plan, parts: Sequence[ReplicaParts], seconds: float) -> float:
    if layout.processes > 1:
        return processes_speed(made, layout, seconds)
    torch.set_num_threads(layout.threads)
    try:
        return speed(made, parts[: layout.replicas], seconds)[0]
    finally:
        torch.set_num_threads(machine.THREADS)


def _side_by_side(
    made: Plan, parts: Sequence[ReplicaParts], counts: Sequence[int], seconds: float
) -> dict[int, tuple[float, float]]:
    """Measure numbers of replicas in one process, up to the last that memory has room for."""
    speeds: dict[int, tuple[float, float]] = {}
    for count in counts:
        try:
            speeds[count] = speed(made, parts[:count], seconds)
        except (RuntimeError, MemoryError) as error:
            if not speeds or not is_memory(error):
                raise
            break
    return speeds


def _nearest(layouts: Sequence[Layout], own: Layout) -> Layout:
    """Return the measured layout that is a plan's own, or the nearest where memory had no room."""
    return min(
        layouts,
        key=lambda x: (
            x.threads != own.threads,
            abs(x.processes - own.processes) + abs(x.replicas - own.replicas),
        ),
    )


def processes_speed(made: Plan, layout: Layout, seconds: float) -> float:
    """Measure several processes at once."""
    context, count = multiprocessing.get_context("spawn"), layout.processes
    results: Any = context.Queue()
    barrier = context.Barrier(count)
    processes = [
        context.Process(
            target=_one_speed, args=(made, layout, place, seconds, barrier, results), daemon=True
        )
        for place in range(count)
    ]
    with main_hidden():
        for process in processes:
            process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RgtoolError(f"one of {count} processes that measure died: is there memory for them?")
    return float(sum(results.get() for _ in processes))


@printing_aside()
def _one_speed(
    made: Plan, layout: Layout, place: int, seconds: float, barrier: Barrier, results: Any
) -> None:
    machine.prepare(torch.device(made.device), made.recipe.precision, layout.threads)
    seeds = range(place * layout.replicas, (place + 1) * layout.replicas)
    parts = [parts_of(made, seed) for seed in seeds]
    results.put(speed(made, parts, seconds, lambda: barrier.wait(_START))[0])
