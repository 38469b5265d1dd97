"""What a network asks of a machine, and what the machine gives at most."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..plan import Plan
from ..replicas.arithmetic import PRECISIONS, autocast

# Convolutions that keep a core busy: (channels, pixels a side), 3x3, 32 images.
_SHAPES = ((32, 16), (64, 8), (64, 16), (128, 16), (256, 8))
# Passes over an activation in a step of convolution, BN and ReLU that are kernels of their own.
# Forward: the convolution writes, BN reads twice (statistics, then values) and writes, the next
# convolution reads. Backward: BN reads gradient and input twice and writes, the two convolutions
# of the backward pass read gradient twice and input once and write.
_PASSES = 14


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
        places = layer.out.numel() // weight.shape[0]  # of the one image
        total += 2.0 * weight.numel() * places * (2 if number == 0 else 3)
    return total


def moved_bytes(module: nn.Module, made: Plan) -> float:
    """Count the bytes that one training image moves through memory, without fused kernels."""
    width = 2 if made.recipe.precision in ("bf16", "fp16") else 4
    activations = sum(layer.out.numel() for layer in _multiplying(module, made.outline.input_shape))
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
    layers = _multiplying(module, made.outline.input_shape)
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


def copy_bandwidth(device: torch.device) -> float:
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
