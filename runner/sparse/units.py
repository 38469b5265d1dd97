"""The parts of a network that the kernels compute at once, each with its way forth and back."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import byref
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .lanes import LANES, address, aligned, zeros
from .library import Outgoing, Rule, Shape
from .lists import Standing, convolution_lists, linear_lists, scratch_floats, strip_rows
from .signals import Context, Features, Signal
from .weights import BatchNorm, Kept, pointer


class Unit(Protocol):
    """A part of a network."""

    def forward(self, images: int) -> None:
        """Compute what the next unit reads."""

    def backward(self, images: int, rule: Rule) -> None:
        """Compute the gradient that the unit before reads, and move the own weights at once."""


@dataclass(frozen=True)
class Branch:
    """A convolution and its batch norm."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d


class Convolution:
    """A convolution with its batch norm; a second one of the same input shares its passes.

    Parameters
    ----------
    context : Context
        Of the network.
    source : Signal
        What it reads.
    branches : sequence of Branch
        One or two; channels of the second follow those of the first.
    gradients : sequence of str
        Names of the outputs' gradients in the arena.
    stride : int
        Of all branches: that of a shortcut is taken before its convolution, see `residual`.
    """

    def __init__(
        self,
        context: Context,
        source: Signal,
        branches: Sequence[Branch],
        gradients: Sequence[str],
        stride: int,
    ) -> None:
        self.context, self.source = context, source
        size = source.size
        masks = [_three_by_three(context.mask_of(branch.conv)) for branch in branches]
        outputs = sum(map(len, masks))
        strip = strip_rows(outputs, size.channels, size.height, size.width, stride)
        self.shape = Shape(outputs, size.channels, size.height, size.width, stride, strip)
        self.size = size.after(outputs, stride)
        library = context.library
        self.lists, standing = convolution_lists(
            library, np.concatenate(masks), self.shape, library.paired
        )
        self.raw = zeros(context.images, self.size)
        self.sums = aligned(2 * outputs, np.float64)
        self.pivots = aligned(outputs)
        self.factors = np.zeros((3, outputs), dtype=np.float32)
        self.kept: list[Kept] = []
        self.norms: list[BatchNorm] = []
        self.outputs: list[Signal] = []
        for branch, gradient in zip(branches, gradients, strict=True):
            self._add(branch, standing, gradient)
        context.arena.reserve("scratch", scratch_floats(self.shape))
        context.arena.reserve("weights", LANES * len(self.lists.backward.offset))

    def _add(self, branch: Branch, standing: Standing, gradient: str) -> None:
        """Add a branch behind those that are there."""
        context, conv = self.context, branch.conv
        first = sum(signal.size.channels for signal in self.outputs)
        own = standing.of(slice(first, first + conv.out_channels))
        self.kept.append(Kept(context, conv.weight, self.lists, own))
        found = (self.sums[2 * first :], self.pivots[first:])
        norm = BatchNorm(context, branch.norm, conv.bias, found, self.factors[:, first:])
        self.norms.append(norm)
        size, raw = self.size.after(conv.out_channels, 1), self.raw[:, first:].ctypes.data
        self.outputs.append(
            Signal(context, size, raw, self.size.channels, gradient, norm.scale, norm.shift)
        )

    def forward(self, images: int) -> None:
        """Compute raw and what its batch norms need."""
        for kept in self.kept:
            kept.load()
        self.context.library.conv_forward(images, *self._forward)
        for norm in self.norms:
            norm.forward(images * self.size.pixels)

    @cached_property
    def _forward(self) -> tuple[Any, ...]:
        return (
            byref(self.shape),
            byref(self.source.struct),
            byref(self.lists.forward.struct),
            address(self.raw),
            address(self.sums),
            address(self.pivots),
            self.context.arena.at("scratch"),
        )

    def backward(self, images: int, rule: Rule) -> None:
        """Compute the gradient of the source; move the weights."""
        for norm, sums in zip(self.norms, self._sums, strict=True):
            norm.backward(images * self.size.pixels, sums, rule)
        self.context.library.conv_backward(images, *self._backward)
        for kept in self.kept:
            kept.move(self.context.arena.at("weights"), rule)

    @cached_property
    def _sums(self) -> list[int | None]:
        return [address(signal.sums) for signal in self.outputs]

    @cached_property
    def _backward(self) -> tuple[Any, ...]:
        at, source = self.context.arena.at, self.source
        branch, *shortcut = self.outputs
        outgoing = Outgoing(
            at(branch.gradient),
            at(shortcut[0].gradient) if shortcut else None,
            address(self.raw),
            *map(address, self.factors),
            branch.size.channels,
        )
        return (
            byref(self.shape),
            byref(outgoing),
            byref(source.struct),
            byref(self.lists.backward.struct),
            at("weights"),
            at(source.added),
            at(source.gradient),
            address(source.sums),
            at("scratch"),
        )


def _three_by_three(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Take a 1x1 convolution for the centre of a 3x3 one."""
    border = (3 - mask.shape[-1]) // 2
    return np.pad(mask, ((0, 0), (0, 0), (border, border), (border, border)))


class Shortcut:
    """The sums that a shortcut's batch norm needs: its gradient is that of the block's output."""

    def __init__(self, context: Context, signal: Signal) -> None:
        self.context, self.signal = context, signal

    def forward(self, images: int) -> None:
        """Nothing: the block's output adds the shortcut when it is read."""

    def backward(self, images: int, rule: Rule) -> None:
        """Add up."""
        self.context.library.gradient_sums(images, *self._backward)

    @cached_property
    def _backward(self) -> tuple[Any, ...]:
        signal = self.signal
        return (
            signal.size.channels,
            signal.size.pixels,
            self.context.arena.at(signal.gradient),
            signal.raw,
            signal.raw_channels,
            address(signal.sums),
        )


class MaxPool:
    """The largest of every 2x2 pixels; windows are cut off at the border."""

    def __init__(self, context: Context, source: Signal, gradient: str) -> None:
        self.context, self.source = context, source
        size = source.size.after(source.size.channels, 2)
        self.values = zeros(context.images, size)
        values = self.values.ctypes.data
        self.output = Signal(context, size, values, size.channels, gradient)
        context.arena.reserve("scratch", 2 * source.size.width * LANES)

    def forward(self, images: int) -> None:
        """Pool."""
        scratch = self.context.arena.at("scratch")
        self.context.library.max_pool_forward(images, *self._planes, scratch)

    def backward(self, images: int, rule: Rule) -> None:
        """Give every gradient to the pixel that it came from."""
        self.context.library.max_pool_backward(images, *self._planes, *self._backward)

    @cached_property
    def _planes(self) -> tuple[Any, ...]:
        size = self.source.size
        return size.height, size.width, byref(self.source.struct), address(self.values)

    @cached_property
    def _backward(self) -> tuple[Any, ...]:
        at, source = self.context.arena.at, self.source
        own = at(self.output.gradient)
        return own, at(source.gradient), address(source.sums), at("scratch")


class Mean:
    """The average over all pixels, into features."""

    def __init__(self, context: Context, source: Signal) -> None:
        self.context, self.source = context, source
        self.output = Features(*(context.features(source.size.channels) for _ in range(2)))
        context.arena.reserve("scratch", source.size.pixels * LANES)

    def forward(self, images: int) -> None:
        """Average."""
        values, scratch = address(self.output.values), self.context.arena.at("scratch")
        self.context.library.mean_forward(images, *self._source, values, scratch)

    def backward(self, images: int, rule: Rule) -> None:
        """Spread the gradient over the pixels."""
        self.context.library.mean_backward(images, *self._source, *self._backward)

    @cached_property
    def _source(self) -> tuple[Any, ...]:
        return self.source.size.pixels, byref(self.source.struct)

    @cached_property
    def _backward(self) -> tuple[Any, ...]:
        at, source = self.context.arena.at, self.source
        own = address(self.output.gradient)
        return own, at(source.gradient), address(source.sums), at("scratch")


class Linear:
    """A linear layer on features, max(0, .) of it where it is `rectified`."""

    def __init__(
        self, context: Context, module: nn.Linear, source: Features, *, rectified: bool
    ) -> None:
        self.context, self.module, self.source = context, module, source
        self.rectified = rectified
        self.lists, standing = linear_lists(context.mask_of(module))
        self.kept = Kept(context, module.weight, self.lists, standing)
        self.output = Features(*(context.features(module.out_features) for _ in range(2)))
        context.arena.reserve("weights", LANES * len(self.lists.backward.offset))

    def forward(self, images: int) -> None:
        """Multiply."""
        self.kept.load()
        self.context.library.linear_forward(images, *self._forward)

    @cached_property
    def _forward(self) -> tuple[Any, ...]:
        return (
            self.module.out_features,
            byref(self.lists.forward.struct),
            pointer(self.module.bias),
            self.rectified,
            address(self.source.values),
            address(self.output.values),
        )

    def backward(self, images: int, rule: Rule) -> None:
        """Compute the gradient of the features; move the weights."""
        library = self.context.library
        library.linear_backward(images, *self._backward)
        self.kept.move(self.context.arena.at("weights"), rule)
        if self.module.bias is not None:
            library.descend_bias(images, *self._bias, byref(rule))

    @cached_property
    def _backward(self) -> tuple[Any, ...]:
        return (
            self.module.in_features,
            byref(self.lists.backward.struct),
            address(self.source.values),
            address(self.output.gradient),
            self.context.arena.at("weights"),
            address(self.source.gradient),
        )

    @cached_property
    def _bias(self) -> tuple[Any, ...]:
        bias = self.module.bias
        momentum = pointer(self.context.momentum_of(bias))
        return len(bias), address(self.output.gradient), pointer(bias), momentum


class CrossEntropy:
    """The loss of logits."""

    def __init__(self, context: Context, logits: Features) -> None:
        self.context, self.logits = context, logits
        self._loss = np.zeros(1, dtype=np.float64)

    def __call__(self, labels: Tensor) -> tuple[float, int]:
        """Return the sum of the losses (nats) and the number correct; leave the gradient.

        Raises
        ------
        IndexError
            A label is no class.
        """
        labels = labels.to(torch.int64).contiguous()
        correct: int = self.context.library.cross_entropy(
            len(labels),
            len(self.logits.values),
            address(self.logits.values),
            labels.data_ptr(),
            address(self.logits.gradient),
            address(self._loss),
        )
        if correct < 0:
            raise IndexError(f"labels must lie between 0 and {len(self.logits.values) - 1}")
        return float(self._loss[0]), correct
