"""Units of the sparse kernels alone: sources, masks and gradients as a test wants them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rgtool.runner.sparse.lanes import Arena, Size, from_lanes, to_lanes
from rgtool.runner.sparse.library import Missing, Rule, instruction_sets, library
from rgtool.runner.sparse.signals import Context, Signal

Floats = NDArray[np.float32]
STILL = Rule(0, 1, 0)  # momenta become the gradients, weights stay


def sets() -> list[str]:
    """Every instruction set at hand; none without kernels, and what is parametrized is skipped."""
    try:
        return list(instruction_sets())
    except Missing:
        return []


class Workshop:
    """A context whose layers have masks of their own."""

    def __init__(self, instruction_set: str, images: int) -> None:
        self.masks: dict[nn.Module, NDArray[np.bool_]] = {}
        self.momenta: dict[Tensor | None, Tensor] = {}
        self.context = Context(
            library(instruction_set),
            Arena(),
            images,
            lambda layer: self.masks[layer],
            self.momenta.get,
        )
        self.memory: list[object] = []

    def layer(self, layer: nn.Module, mask: NDArray[np.bool_] | None = None) -> nn.Module:
        """Take a layer in: masked weights, momenta of zero."""
        if mask is not None:
            self.masks[layer] = mask
            with torch.no_grad():
                layer.get_parameter("weight").mul_(torch.from_numpy(mask))
        for parameter in layer.parameters():
            self.momenta[parameter] = torch.zeros_like(parameter, requires_grad=False)
        return layer

    def source(self, raw: Floats, gradient: str | None = "of the source") -> Signal:
        """Let raw values of shape (B, C, H, W) be a signal."""
        planes = to_lanes(raw)
        self.memory.append(planes)
        size = Size(*raw.shape[1:])
        return Signal(self.context, size, planes.ctypes.data, size.channels, gradient)

    def give(self, signal: Signal, raw: Floats, gradient: Floats) -> None:
        """Let a gradient arrive at an output, and its sums with raw."""
        planes = to_lanes(gradient).ravel()
        assert signal.gradient is not None
        self.context.arena.array(signal.gradient)[: planes.size] = planes
        signal.sums[:] = pair_sums(gradient, raw)

    def gradient(self, signal: Signal, images: int) -> Floats:
        """Read the gradient of a signal."""
        assert signal.gradient is not None
        return read(self.context.arena.array(signal.gradient), images, signal.size)


def read(values: Floats, images: int, size: Size) -> Floats:
    """Read images of shape (B, C, H, W) from planes, whatever follows them."""
    planes = values.ravel()[: size.floats(images)].reshape(-1, size.channels, size.pixels + 4, 16)
    return from_lanes(planes, images, size)


def pair_sums(gradient: NDArray[np.floating], raw: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sums a channel of a gradient and of its product with raw, one behind the other."""
    g, y = gradient.astype(np.float64), raw.astype(np.float64)
    return np.stack([g.sum((0, 2, 3)), (g * y).sum((0, 2, 3))], axis=1).ravel()


def error(found: object, expected: object, scale: float | None = None) -> float:
    """Largest difference over the largest value, or over a scale that is larger."""
    a, b = (np.asarray(values, dtype=np.float64) for values in (found, expected))
    assert a.shape == b.shape
    if b.size == 0:
        return 0.0
    return float(np.abs(a - b).max() / max(np.abs(b).max(), scale or 1e-30))
