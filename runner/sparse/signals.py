"""What lies between the units of a network, and what all of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from .lanes import LANES, Arena, Size, address, aligned, groups_of, zeros
from .library import Activation, Library


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
    mask_of: Callable[[nn.Module], NDArray[np.bool_]]
    momentum_of: Callable[[Tensor | None], Tensor | None]

    def features(self, count: int) -> NDArray[np.float32]:
        """Return room for so many features of the largest batch."""
        return aligned((count, groups_of(self.images) * LANES))


@dataclass
class Signal:
    """An activation: max(0, scale raw + shift + skip) of some channels of a convolution.

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
    skip : Signal or None
        What a shortcut adds: a signal, or the raw output of a convolution with its batch norm.
    kept : float32 array or None
        Planes that the first unit to read it stores it in (None: it is computed again).
    added : str or None
        Name in the arena of what a shortcut from here adds to the gradient.
    sums : float64 array, shape (2 channels,)
        Of the gradient and of its product with raw, a pair a channel.
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
    added: str | None = None
    sums: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.sums = aligned(2 * self.size.channels, np.float64)
        if self.gradient is not None:
            self.context.arena.reserve(self.gradient, self.size.floats(self.context.images))

    def keep(self) -> Signal:
        """Let the activation be stored, since it is read more than once; return its values."""
        if self.scale is None:
            return self
        if self.kept is None:
            self.kept = zeros(self.context.images, self.size)
        return Signal(self.context, self.size, self.kept.ctypes.data, self.size.channels, None)

    def join(self, skip: Signal) -> None:
        """Add a shortcut."""
        self.skip = skip
        self.keep()

    @cached_property
    def struct(self) -> Activation:
        """As the kernels read it, once the network is whole."""
        skip = self.skip
        return Activation(
            self.raw,
            address(self.scale),
            address(self.shift),
            skip.raw if skip else None,
            address(skip.scale) if skip else None,
            address(skip.shift) if skip else None,
            address(self.kept),
            self.size.channels,
            self.raw_channels,
            skip.raw_channels if skip else 0,
        )


@dataclass(frozen=True)
class Features:
    """What linear layers read: a row a feature, images in lanes, and its gradient."""

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
