"""The parts of a network that the kernels compute at once, each with its way forth and back.

A unit reads signals and leaves signals. A signal is what lies between two convolutions, as the
kernels see it: the raw output of one, and all that happens to it before the next one reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import byref
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .lanes import LANES, Arena, Size, address, aligned, groups_of, zeros
from .library import Activation, Library, Norm, Outgoing, Rule, Shape
from .lists import Lists, convolution_lists, linear_lists, scratch_floats, strip_rows

_FLOAT, _DOUBLE = 4, 8  # bytes
MaskOf = Callable[[nn.Module], NDArray[np.bool_]]


@dataclass(frozen=True)
class Context:
    """What all units of a network share.

    Attributes
    ----------
    library : Library
        The kernels.
    arena : Arena
        Memory that they use in turns.
    images : int
        The largest batch.
    mask_of : callable
        The mask of a layer, True where a weight is kept.
    momentum_of : callable
        The momentum of a parameter; None where there is none.
    """

    library: Library
    arena: Arena
    images: int
    mask_of: MaskOf
    momentum_of: Callable[[Tensor], Tensor | None]

    def features(self, count: int) -> NDArray[np.float32]:
        """Return room for so many features of the largest batch."""
        return aligned((count, groups_of(self.images) * LANES))


class Unit(Protocol):
    """A part of a network. Gradients are used where they arise: `backward` moves the weights."""

    def forward(self, images: int) -> None:
        """Compute what the next unit reads."""

    def backward(self, images: int, rule: Rule) -> None:
        """Compute the gradient that the unit before reads, and move the own weights by it."""


@dataclass
class Signal:
    """An activation between units: max(0, scale raw + shift + skip) of some channels.

    Attributes
    ----------
    context : Context
        Of the network.
    size : Size
        Its channels and pixels.
    raw : int
        Address of its first channel in the planes that it is part of.
    raw_channels : int
        Channels of these planes.
    gradient : str or None
        Name of its gradient in the arena: that of the sum before its max(0, .). None: images.
    scale, shift : float32 array or None
        Factors a channel; None: raw is the activation itself.
    """

    context: Context
    size: Size
    raw: int
    raw_channels: int
    gradient: str | None
    scale: NDArray[np.float32] | None = None
    shift: NDArray[np.float32] | None = None
    skip: Signal | None = None
    kept: NDArray[np.float32] | None = None
    added: str | None = None  # name of what a skip from here adds to the gradient
    sums: NDArray[np.float64] = field(init=False)  # of the gradient and of it times raw

    def __post_init__(self) -> None:
        self.sums = aligned(2 * self.size.channels, np.float64)
        if self.gradient is not None:
            self.context.arena.reserve(self.gradient, self.size.floats(self.context.images))

    def keep(self) -> None:
        """Let the first unit that reads it store the activation: a skip reads it again."""
        if self.kept is None and self.scale is not None:
            self.kept = zeros(self.context.images, self.size)

    def join(self, skip: Signal) -> None:
        """Add a shortcut: a signal, or the raw output of a convolution with its batch norm."""
        self.skip = skip
        self.keep()

    @property
    def values(self) -> int:
        """Address of the activation itself, where it is stored."""
        return self.raw if self.kept is None else self.kept.ctypes.data

    @property
    def struct(self) -> Activation:
        """As the kernels read it."""
        skip, joins_raw = self.skip, self.skip is not None and self.skip.kept is None
        scaled = skip if joins_raw else None
        return Activation(
            self.raw,
            address(self.scale),
            address(self.shift),
            skip.values if skip else None,
            address(scaled.scale) if scaled else None,
            address(scaled.shift) if scaled else None,
            address(self.kept),
            self.size.channels,
            self.raw_channels,
            0 if skip is None else skip.raw_channels if joins_raw else skip.size.channels,
        )


@dataclass(frozen=True)
class Features:
    """What lies between linear layers: a row a feature, images in lanes, and their gradient."""

    values: NDArray[np.float32]
    gradient: NDArray[np.float32] | None  # None: images


class Images:
    """Batches of images, laid out as planes or as features.

    Parameters
    ----------
    context : Context
        Of the network.
    size : Size
        Of the images.
    """

    def __init__(self, context: Context, size: Size) -> None:
        self.context, self.size = context, size
        self._values = np.empty(0, dtype=np.float32)
        self._as_features = False

    def planes(self) -> Signal:
        """Lay them out for a convolution."""
        self._values = zeros(self.context.images, self.size)
        channels = self.size.channels
        return Signal(self.context, self.size, self._values.ctypes.data, channels, None)

    def features(self) -> Features:
        """Lay them out for a linear layer, channels outermost."""
        self._as_features = True
        self._values = self.context.features(self.size.channels * self.size.pixels)
        return Features(self._values, None)

    def take(self, images: Tensor) -> None:
        """Lay a batch out, shape (B, C, H, W), whatever its strides."""
        self.context.library.lay_out(
            *images.shape,
            images.data_ptr(),
            *images.stride(),
            self._as_features,
            address(self._values),
        )


class Kept:
    """The kept weights of a tensor: read from torch's memory, and moved there.

    Parameters
    ----------
    context : Context
        Of the network.
    weight : Tensor
        The tensor, whatever its strides.
    mask : bool array
        Of its shape.
    lists : Lists
        Of the layer that the tensor is all of or a part of.
    part : slice
        Which of the layer's kept weights are the tensor's, in the order of `np.nonzero`.
    """

    def __init__(
        self, context: Context, weight: Tensor, mask: NDArray[np.bool_], lists: Lists, part: slice
    ) -> None:
        self.context, self.weight, self.lists = context, weight, lists
        self.momentum = context.momentum_of(weight)
        positions = np.nonzero(mask)
        index = sum(p * s for p, s in zip(positions, weight.stride(), strict=True))
        order = np.argsort(index)  # one pass over the tensor's memory
        self.index = np.asarray(index)[order].astype(np.int32)
        self.in_forward = lists.in_forward[part][order].astype(np.int32)
        self.in_backward = lists.in_backward[part][order].astype(np.int32)

    def load(self) -> None:
        """Copy the weights into the lists."""
        self.context.library.load_kept(
            len(self.index),
            address(self.index),
            address(self.in_forward),
            address(self.in_backward),
            self.weight.data_ptr(),
            address(self.lists.forward.weight),
            address(self.lists.backward.weight),
        )

    def move(self, gradient: int, rule: Rule) -> None:
        """Make a step of SGD with the gradients at an address, in the order of `backward`."""
        self.context.library.descend_kept(
            len(self.index),
            address(self.index),
            address(self.in_backward),
            gradient,
            self.weight.data_ptr(),
            pointer(self.momentum),
            byref(rule),
        )


def pointer(tensor: Tensor | None) -> int | None:
    """Return the address of a tensor's memory; None (NULL) for none."""
    return None if tensor is None else tensor.data_ptr()


def _move_all(
    context: Context, tensor: Tensor, gradient: NDArray[np.float32] | None, rule: Rule
) -> None:
    momentum = pointer(context.momentum_of(tensor))
    arguments = (address(gradient), tensor.data_ptr(), momentum, byref(rule))
    context.library.descend_all(tensor.numel(), *arguments)


class BatchNorm:
    """A batch norm behind some channels of a convolution.

    Parameters
    ----------
    context : Context
        Of the network.
    module : nn.BatchNorm2d
        Its weights and running statistics.
    bias : Tensor or None
        Bias of the convolution: it changes the running mean alone, its gradient is zero.
    sums : float64 array, shape (2 channels,)
        What the convolution leaves: sums of raw and of its square.
    factors : float32 array, shape (3, channels of the convolution)
        Of the gradient of raw, see `struct outgoing`.
    first : int
        The first of its channels.
    """

    def __init__(
        self,
        context: Context,
        module: nn.BatchNorm2d,
        bias: Tensor | None,
        sums: NDArray[np.float64],
        factors: NDArray[np.float32],
        first: int,
    ) -> None:
        channels = module.num_features
        self.context, self.module, self.bias = context, module, bias
        self.sums = sums[2 * first : 2 * (first + channels)]
        self.scale, self.shift = np.zeros((2, channels), dtype=np.float32)
        self._moments = np.zeros((2, channels), dtype=np.float64)
        self._factors = factors[:, first : first + channels]
        self._gradients = np.zeros((2, channels), dtype=np.float32)
        self._struct = Norm(
            module.weight.data_ptr(),
            module.bias.data_ptr(),
            pointer(module.running_mean),
            pointer(module.running_var),
            pointer(bias),
            address(self.scale),
            address(self.shift),
            *map(address, self._moments),
            *map(address, self._factors),
            *map(address, self._gradients),
            module.eps,
            module.momentum,
            channels,
        )

    def forward(self, count: int) -> None:
        """Prepare scale and shift from the sums over `count` values a channel."""
        self.context.library.norm_forward(byref(self._struct), count, address(self.sums))
        assert self.module.num_batches_tracked is not None
        self.module.num_batches_tracked += 1

    def backward(self, count: int, sums: NDArray[np.float64], rule: Rule) -> None:
        """Prepare the factors of raw's gradient from the sums of the own one; move the weights."""
        self.context.library.norm_backward(byref(self._struct), count, address(sums))
        _move_all(self.context, self.module.weight, self._gradients[0], rule)
        _move_all(self.context, self.module.bias, self._gradients[1], rule)
        if self.bias is not None:
            _move_all(self.context, self.bias, None, rule)


@dataclass(frozen=True)
class Branch:
    """A convolution and its batch norm."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d


class Convolution:
    """A convolution with its batch norm; a second one of the same input shares the pass.

    Parameters
    ----------
    context : Context
        Of the network.
    source : Signal
        What it reads.
    branches : sequence of Branch
        One or two; their outputs lie one behind the other.
    gradients : sequence of str
        Names of the outputs' gradients in the arena.
    """

    def __init__(
        self,
        context: Context,
        source: Signal,
        branches: Sequence[Branch],
        gradients: Sequence[str],
    ) -> None:
        self.context, self.source = context, source
        stride = branches[0].conv.stride[0]
        size = source.size
        masks = [_three_by_three(context.mask_of(branch.conv)) for branch in branches]
        outputs = sum(map(len, masks))
        strip = strip_rows(outputs, size.channels, size.height, size.width, stride)
        self.shape = Shape(outputs, size.channels, size.height, size.width, stride, strip)
        self.size = size.after(outputs, stride)
        self.lists = convolution_lists(np.concatenate(masks), self.shape, context.library.paired)
        self.kept = list(_kept_parts(context, branches, masks, self.lists))
        self.raw = zeros(context.images, self.size)
        self.sums = aligned(2 * outputs, np.float64)
        self.factors = np.zeros((3, outputs), dtype=np.float32)
        self.norms = list(self._norms(branches))
        self.outputs = list(self._signals(gradients))
        context.arena.reserve("scratch", scratch_floats(self.shape))
        context.arena.reserve("weights", LANES * len(self.lists.backward.offset))

    def _norms(self, branches: Sequence[Branch]) -> Sequence[BatchNorm]:
        first, norms = 0, []
        for branch in branches:
            norms.append(
                BatchNorm(
                    self.context, branch.norm, branch.conv.bias, self.sums, self.factors, first
                )
            )
            first += branch.norm.num_features
        return norms

    def _signals(self, gradients: Sequence[str]) -> Sequence[Signal]:
        first, signals = 0, []
        for norm, gradient in zip(self.norms, gradients, strict=True):
            channels = len(norm.scale)
            size = self.size.after(channels, 1)
            raw = self.raw[:, first:].ctypes.data
            signals.append(
                Signal(
                    self.context, size, raw, self.size.channels, gradient, norm.scale, norm.shift
                )
            )
            first += channels
        return signals

    def _count(self, images: int) -> int:
        """Values a channel."""
        return images * self.size.pixels

    def forward(self, images: int) -> None:
        """Compute raw and what its batch norms need."""
        for kept in self.kept:
            kept.load()
        self.context.library.conv_forward(
            images,
            byref(self.shape),
            byref(self.source.struct),
            byref(self.lists.forward.struct),
            address(self.raw),
            address(self.sums),
            self.context.arena.at("scratch"),
        )
        for norm in self.norms:
            norm.forward(self._count(images))

    def backward(self, images: int, rule: Rule) -> None:
        """Compute the gradient of the source; move the weights."""
        at, source = self.context.arena.at, self.source
        for norm, signal in zip(self.norms, self.outputs, strict=True):
            norm.backward(self._count(images), signal.sums, rule)
        branch, *shortcut = self.outputs
        outgoing = Outgoing(
            at(branch.gradient),
            at(shortcut[0].gradient) if shortcut else None,
            address(self.raw),
            *map(address, self.factors),
            branch.size.channels,
        )
        weights = at("weights")
        self.context.library.conv_backward(
            images,
            byref(self.shape),
            byref(outgoing),
            byref(source.struct),
            byref(self.lists.backward.struct),
            weights,
            at(source.added) if source.added else None,
            at(source.gradient) if source.gradient else None,
            address(source.sums),
            at("scratch"),
        )
        for kept in self.kept:
            kept.move(weights, rule)


def _three_by_three(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Take a 1x1 convolution for the centre of a 3x3 one."""
    border = 3 // mask.shape[-1] // 2 if mask.shape[-1] == 1 else 0
    return np.pad(mask, ((0, 0), (0, 0), (border, border), (border, border)))


def _kept_parts(
    context: Context,
    branches: Sequence[Branch],
    masks: Sequence[NDArray[np.bool_]],
    lists: Lists,
) -> Sequence[Kept]:
    first, parts = 0, []
    for branch, mask in zip(branches, masks, strict=True):
        part = slice(first, first := first + int(mask.sum()))
        own = context.mask_of(branch.conv)
        parts.append(Kept(context, branch.conv.weight, own, lists, part))
    return parts


class Shortcut:
    """The sums that a shortcut's batch norm needs: its gradient is that of the block's output.

    Parameters
    ----------
    context : Context
        Of the network.
    shortcut : Signal
        Raw output of the shortcut's convolution.
    """

    def __init__(self, context: Context, shortcut: Signal) -> None:
        self.context, self.shortcut = context, shortcut

    def forward(self, images: int) -> None:
        """Nothing: the block's output adds the shortcut when it is read."""

    def backward(self, images: int, rule: Rule) -> None:
        """Add up."""
        shortcut = self.shortcut
        self.context.library.gradient_sums(
            images,
            shortcut.size.channels,
            shortcut.size.pixels,
            self.context.arena.at(shortcut.gradient),
            shortcut.raw,
            shortcut.raw_channels,
            address(shortcut.sums),
        )


class Mean:
    """The average over all pixels, into features."""

    def __init__(self, context: Context, source: Signal) -> None:
        self.context, self.source = context, source
        self.output = Features(*(context.features(source.size.channels) for _ in range(2)))
        context.arena.reserve("scratch", source.size.pixels * LANES)

    def forward(self, images: int) -> None:
        """Average."""
        self.context.library.mean_forward(
            images,
            self.source.size.pixels,
            byref(self.source.struct),
            address(self.output.values),
            self.context.arena.at("scratch"),
        )

    def backward(self, images: int, rule: Rule) -> None:
        """Spread the gradient over the pixels."""
        at, source = self.context.arena.at, self.source
        self.context.library.mean_backward(
            images,
            source.size.pixels,
            byref(source.struct),
            address(self.output.gradient),
            at(source.gradient),
            address(source.sums),
            at("scratch"),
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

    def _arguments(self, images: int) -> tuple[Any, ...]:
        size = self.source.size
        return images, size.height, size.width, byref(self.source.struct), address(self.values)

    def forward(self, images: int) -> None:
        """Pool."""
        scratch = self.context.arena.at("scratch")
        self.context.library.max_pool_forward(*self._arguments(images), scratch)

    def backward(self, images: int, rule: Rule) -> None:
        """Give every gradient to the pixel that it came from."""
        at, source = self.context.arena.at, self.source
        self.context.library.max_pool_backward(
            *self._arguments(images),
            at(self.output.gradient),
            at(source.gradient),
            address(source.sums),
            at("scratch"),
        )


class Linear:
    """A linear layer on features, max(0, .) of it where it is `rectified`."""

    def __init__(
        self, context: Context, module: nn.Linear, source: Features, *, rectified: bool
    ) -> None:
        self.context, self.module, self.source = context, module, source
        self.rectified = rectified
        mask = context.mask_of(module)
        self.lists = linear_lists(mask)
        self.kept = Kept(context, module.weight, mask, self.lists, slice(None))
        self.output = Features(*(context.features(module.out_features) for _ in range(2)))
        self._bias_gradient = np.zeros(module.out_features, dtype=np.float32)
        context.arena.reserve("weights", LANES * len(self.lists.backward.offset))

    def forward(self, images: int) -> None:
        """Multiply."""
        self.kept.load()
        self.context.library.linear_forward(
            images,
            self.module.out_features,
            byref(self.lists.forward.struct),
            pointer(self.module.bias),
            self.rectified,
            address(self.source.values),
            address(self.output.values),
        )

    def backward(self, images: int, rule: Rule) -> None:
        """Compute the gradient of the features; move the weights."""
        library, gradient = self.context.library, address(self.output.gradient)
        weights = self.context.arena.at("weights")
        library.linear_backward(
            images,
            self.module.in_features,
            byref(self.lists.backward.struct),
            address(self.source.values),
            gradient,
            weights,
            address(self.source.gradient),
        )
        self.kept.move(weights, rule)
        if self.module.bias is not None:
            own = self._bias_gradient
            library.sum_over_images(images, len(own), gradient, address(own))
            _move_all(self.context, self.module.bias, own, rule)


class CrossEntropy:
    """The loss of logits."""

    def __init__(self, context: Context, logits: Features) -> None:
        self.context, self.logits = context, logits
        self._loss = np.zeros(1, dtype=np.float64)

    def __call__(self, labels: Tensor) -> tuple[float, int]:
        """Return the sum of the losses (nats) and the number correct; leave the gradient."""
        labels = labels.to(torch.int64).contiguous()
        correct: int = self.context.library.cross_entropy(
            len(labels),
            len(self.logits.values),
            address(self.logits.values),
            labels.data_ptr(),
            address(self.logits.gradient),
            address(self._loss),
        )
        return float(self._loss[0]), correct
