"""What this machine makes of an experiment: speed, what bounds it, and the fastest layout."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..schemas.errors import RgtoolError
from ..schemas.steps import Step
from ..schemas.words import counted
from . import machine
from .arithmetic import PRECISIONS, autocast
from .loader import Loader
from .plan import Plan, plan
from .recipes import DEFAULT
from .replica_parts import ReplicaParts
from .side_by_side import is_memory, stepper
from .training import Lane, Stopped, evaluate, train

_WARM_UP_STEPS = 2  # steps
# Convolutions that keep a core busy: (channels, pixels a side), 3x3, 32 images.
_SHAPES = ((32, 16), (64, 8), (64, 16), (128, 16), (256, 8))
_START = 120.0  # seconds that a process may take to begin
# Passes over an activation in a step of convolution, BN and ReLU that are kernels of their own.
# Forward: the convolution writes, BN reads twice (statistics, then values) and writes, the next
# convolution reads. Backward: BN reads gradient and input twice and writes, the two convolutions
# of the backward pass read gradient twice and input once and write.
_PASSES = 14


@dataclass(frozen=True)
class Layout:
    """One way to spread replicas, measured.

    Attributes
    ----------
    processes, threads, replicas : int
        Processes, threads of each, replicas side by side in each.
    images_per_second : float
        Of all of them together.
    """

    processes: int
    threads: int
    replicas: int
    images_per_second: float

    def __str__(self) -> str:
        parts = (
            counted(self.processes, "process", "processes"),
            counted(self.threads, "thread"),
            counted(self.replicas, "replica"),
        )
        return "{} of {}, {} in each".format(*parts)


@dataclass(frozen=True)
class Bench:
    """What was measured, on the machine as busy as it was.

    Attributes
    ----------
    layouts : tuple of Layout
        The first is one replica alone.
    busy_images_per_second : float
        Of one replica, by the time that a processor worked for it: other processes that take turns
        on the same core do not count. On a GPU the same as by the clock.
    flops : float
        FLOP that a training image takes (multiplications and additions of convolutions and
        products, forward and backward).
    peak : float or None
        FLOP/s of a well-shaped convolution, forward, on one thread; None on a GPU.
    ceiling : float or None
        Images/s on one thread if the network's convolutions and products, as fast as they are
        here, were all that took time; None on a GPU.
    floor_bytes : float or None
        On a GPU: bytes that an image moves with kernels that are not fused.
    bandwidth : float or None
        On a GPU: measured bytes/s of a copy, reading and writing.
    test_seconds : float
        Of one pass over the test set.
    level_seconds, experiment_seconds : float
        Of one level of one seed, and of the whole plan with its layout.
    """

    layouts: tuple[Layout, ...]
    busy_images_per_second: float
    flops: float
    peak: float | None
    ceiling: float | None
    floor_bytes: float | None
    bandwidth: float | None
    test_seconds: float
    level_seconds: float
    experiment_seconds: float

    @property
    def share(self) -> float:
        """Share of what the machine allows: of its convolution peak, or of the bytes floor."""
        speed = self.busy_images_per_second
        if self.peak is not None:
            return speed * self.flops / self.peak
        assert self.floor_bytes is not None
        assert self.bandwidth is not None
        return speed * self.floor_bytes / self.bandwidth

    @property
    def fastest(self) -> Layout:
        """The layout with the most images a second."""
        return max(self.layouts, key=lambda layout: layout.images_per_second)


def bench(
    model: str = "resnet8",
    task: str = "digits",
    recipe: str | Path = DEFAULT,
    *,
    seconds: float = 3.0,
    seeds: int | Sequence[int] = 5,
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
    parts = [parts_of(made, seed) for seed in range(8 if gpu else 2)]
    speeds = _side_by_side(made, parts, (1, 2, 4, 8) if gpu else (1, 2), seconds)
    layouts = [Layout(1, 1, n, speed) for n, (speed, _) in speeds.items()]
    if not gpu and (cores := machine.workers(device)) > 1:
        torch.set_num_threads(cores)
        layouts.append(Layout(1, cores, 1, speed(made, parts[:1], seconds)[0]))
        torch.set_num_threads(machine.THREADS)
        layouts.append(Layout(cores, 1, 1, processes_speed(made, cores, seconds)))
    first = parts[0]
    tested = evaluation_seconds(first)
    used = _used(layouts, made)
    share = used.images_per_second / (used.processes * used.replicas)
    waves = -(-len(made.seeds) // (used.processes * used.replicas))
    level = level_images(made, first.loader) / share + tested
    return Bench(
        layouts=tuple(layouts),
        busy_images_per_second=speeds[1][0] if gpu else speeds[1][1],
        flops=training_flops(first.module, made.images.input_shape),
        peak=None if gpu else convolution_peak(made.recipe.precision),
        ceiling=None if gpu else convolutions_speed(first.module, made),
        floor_bytes=moved_bytes(first.module, made) if gpu else None,
        bandwidth=_bandwidth(device) if gpu else None,
        test_seconds=tested,
        level_seconds=level,
        experiment_seconds=level * (made.levels + 1) * waves,
    )


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


def level_images(made: Plan, loader: Loader) -> float:
    """Count the images that one level trains on, from the rewind point on."""
    per_epoch = loader.iterations_per_epoch
    restarts = made.recipe.schedule == "restart"
    start = 0 if restarts else Step.parse(made.recipe.rewind).iteration(per_epoch)
    return (made.recipe.epochs * per_epoch - start) * loader.end / per_epoch


def evaluation_seconds(one: ReplicaParts) -> float:
    """Measure a pass over the test set: its first batch, once the libraries are warm."""
    evaluate(one.module, one.tests[:1])
    began = time.perf_counter()
    evaluate(one.module, one.tests[:1])
    return (time.perf_counter() - began) * len(one.tests)


def _used(layouts: Sequence[Layout], made: Plan) -> Layout:
    """Return the measured layout that is nearest to the plan's."""
    return min(
        layouts,
        key=lambda x: (
            x.threads != machine.THREADS,
            abs(x.processes - made.workers) + abs(x.replicas - made.replicas),
        ),
    )


def parts_of(made: Plan, seed: int) -> ReplicaParts:
    """Return what one replica of a plan computes with, at a rate that moves nothing."""
    # Speed does not depend on the learning rate, and a small one cannot diverge.
    recipe = dataclasses.replace(made.recipe, lr=1e-6)
    device = torch.device(made.device)
    return ReplicaParts(
        recipe, seed, made.images, device, made.pretrained, made.kernels, lambda text: None
    )


def speed(
    made: Plan,
    parts: Sequence[ReplicaParts],
    seconds: float,
    ready: Callable[[], object] = lambda: None,
) -> tuple[float, float]:
    """Train replicas side by side and return images a second: by the clock, by processor time."""
    lanes = [Lane(one.trainer(None)) for one in parts]
    step = stepper(made.kernels)
    # A whole epoch where kernels are built: those of the partial last batch are others.
    loader = parts[0].loader
    built = made.kernels.graph or made.kernels.compiled
    warm_up = loader.iterations_per_epoch if built else _WARM_UP_STEPS
    train(lanes, 0, warm_up, step)
    if lanes[0].trainer.device.type == "cuda":
        torch.cuda.synchronize()
    ready()
    done, began, busy = warm_up, time.perf_counter(), time.process_time()

    def enough(steps: int) -> bool:
        nonlocal done
        done = steps
        return time.perf_counter() - began > seconds

    lanes[0].on_step = enough
    with contextlib.suppress(Stopped):
        train(lanes, warm_up, sys.maxsize, step)
    if lanes[0].trainer.device.type == "cuda":
        torch.cuda.synchronize()
    images = (done - warm_up) * len(lanes) * loader.end / loader.iterations_per_epoch
    return images / (time.perf_counter() - began), images / (time.process_time() - busy)


def processes_speed(made: Plan, count: int, seconds: float) -> float:
    """Measure several processes at once, one thread each."""
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    barrier = context.Barrier(count)
    processes = [
        context.Process(
            target=_one_speed, args=(made, seed, seconds, barrier, results), daemon=True
        )
        for seed in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RgtoolError(f"one of {count} processes that measure died: is there memory for them?")
    return float(sum(results.get() for _ in processes))


def _one_speed(made: Plan, seed: int, seconds: float, barrier: Barrier, results: Any) -> None:
    machine.prepare(torch.device(made.device), made.recipe.precision)
    parts = parts_of(made, seed)
    results.put(speed(made, [parts], seconds, lambda: barrier.wait(_START))[0])


@dataclass(frozen=True)
class _Layer:
    """A convolution or linear layer with what one image puts into it and what it puts out."""

    part: nn.Module
    given: Tensor
    out: Tensor


def _multiplying(module: nn.Module, shape: tuple[int, int, int]) -> list[_Layer]:
    """Return the layers that multiply, in the order in which an image meets them."""
    seen: list[_Layer] = []
    parts = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]

    def note(part: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        seen.append(_Layer(part, given[0], out))

    hooks = [part.register_forward_hook(note) for part in parts]
    training = module.training
    with torch.no_grad():
        module.eval()(torch.zeros(1, *shape, device=next(module.parameters()).device))
    module.train(training)
    for hook in hooks:
        hook.remove()
    return seen


def training_flops(module: nn.Module, shape: tuple[int, int, int]) -> float:
    """Count the FLOP of one training image: convolutions and linear layers, 2 a multiplication.

    The backward pass takes twice the forward pass, but for the first layer, whose input needs no
    gradient.

    Examples
    --------
    >>> from rgtool.runner.models import build
    >>> training_flops(build("lenet", (1, 28, 28), 10), (1, 28, 28))
    1126800.0
    """
    total = 0.0
    for number, layer in enumerate(_multiplying(module, shape)):
        weight = layer.part.get_parameter("weight")
        places = layer.out[0, 0].numel() if isinstance(layer.part, nn.Conv2d) else 1
        total += 2.0 * weight.numel() * places * (2 if number == 0 else 3)
    return total


def moved_bytes(module: nn.Module, made: Plan) -> float:
    """Count the bytes that one training image moves through memory, without fused kernels."""
    width = 2 if made.recipe.precision in ("bf16", "fp16") else 4
    activations = sum(layer.out.numel() for layer in _multiplying(module, made.images.input_shape))
    return float(_PASSES * activations * width)


def convolution_peak(precision: str = "float32", seconds: float = 1.0) -> float:
    """Measure the FLOP/s of well-shaped convolutions on one thread: the best of all calls.

    By processor time, as `Bench.busy_images_per_second`.
    """
    cpu, best = torch.device("cpu"), 0.0
    for channels, side in _SHAPES:
        layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        layer = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = torch.rand(32, channels, side, side).contiguous(memory_format=torch.channels_last)
        flops = 2.0 * layer.weight.numel() * x.numel() / channels
        with torch.no_grad(), autocast(cpu, precision):
            layer(x)
            end = time.perf_counter() + seconds / len(_SHAPES)
            while time.perf_counter() < end:
                busy = time.process_time()
                layer(x)
                best = max(best, flops / (time.process_time() - busy))
    return best


def convolutions_speed(module: nn.Module, made: Plan, repeats: int = 3) -> float:
    """Measure a network's convolutions and linear layers alone, forward and backward, one by one.

    Returns
    -------
    float
        Images a second by processor time, batches of the plan's size: what training would reach if
        everything else took no time.
    """
    times = []
    layers = _multiplying(module, made.images.input_shape)
    for _ in range(repeats + 1):  # the first one warms up
        busy = sum(_pass(layer, made, first=number == 0) for number, layer in enumerate(layers))
        times.append(busy)
    return made.recipe.batch_size / min(times[1:])


def _pass(layer: _Layer, made: Plan, first: bool) -> float:
    """Return the processor time of a layer's forward and backward pass over a batch."""
    images = layer.given.new_empty(made.recipe.batch_size, *layer.given.shape[1:]).normal_()
    if images.dim() == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    weight = layer.part.get_parameter("weight")
    dtype = PRECISIONS[made.recipe.precision]
    given = images if first else images.to(dtype).requires_grad_()
    wanted = [weight] if first else [given, weight]
    began = time.process_time()
    with autocast(images.device, made.recipe.precision):
        out = layer.part(given)
    forward = time.process_time() - began
    gradient = torch.ones_like(out)
    began = time.process_time()
    torch.autograd.grad(out, wanted, gradient)
    return forward + time.process_time() - began


def _bandwidth(device: torch.device) -> float:
    """Measure the bytes/s of a copy on a GPU, reading and writing."""
    source = torch.empty(1 << 28, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    torch.cuda.synchronize(device)
    began = time.perf_counter()
    for _ in range(10):
        target.copy_(source)
    torch.cuda.synchronize(device)
    return 10 * 2 * source.numel() / (time.perf_counter() - began)
