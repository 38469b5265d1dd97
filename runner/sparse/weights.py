"""Weights in torch's memory as the kernels read and move them."""

from __future__ import annotations

from ctypes import byref

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from .lanes import address
from .library import Norm, Rule
from .lists import Lists, Standing
from .signals import Context


def pointer(tensor: Tensor | None) -> int | None:
    """Return the address of a tensor's memory; None (NULL) for none."""
    return None if tensor is None else tensor.data_ptr()


class Kept:
    """The kept weights of a tensor.

    Parameters
    ----------
    context : Context
        Of the network.
    weight : Tensor
        The tensor, whatever its strides.
    lists : Lists
        Of the layer that the tensor is all of or a part of.
    standing : Standing
        Where its weights stand in them; a 1x1 convolution is the centre of a 3x3 one.
    """

    def __init__(self, context: Context, weight: Tensor, lists: Lists, standing: Standing) -> None:
        self.library, mask = context.library, standing.mask
        # Where each lies in the tensor, in one list, in the other.
        self._places = np.empty((3, int(mask.sum())), dtype=np.int32)
        index, _, backward = places = [*map(address, self._places)]
        side, own_side = (shape[3] if len(shape) > 2 else 1 for shape in (mask.shape, weight.shape))
        strides = np.array([*weight.stride(), 0, 0], dtype=np.int32)
        self.library.list_tensor(
            *mask.shape[:2],
            side,
            (side - own_side) // 2,
            *map(address, (strides, mask, standing.forward, standing.backward)),
            *places,
        )
        self._load = (
            len(self),
            *places,
            weight.data_ptr(),
            address(lists.forward.weight),
            address(lists.backward.weight),
        )
        self._list = (len(self), index, backward)
        self._tensors = (weight.data_ptr(), pointer(context.momentum_of(weight)))

    def __len__(self) -> int:
        """Count them."""
        return self._places.shape[1]

    def load(self) -> None:
        """Copy the weights into the lists."""
        self.library.load_kept(*self._load)

    def move(self, gradient: int | None, rule: Rule) -> None:
        """Make a step of SGD with the gradients at an address, in the order of `backward`."""
        self.library.descend_kept(*self._list, gradient, *self._tensors, byref(rule))


class BatchNorm:
    """A batch norm behind some channels of a convolution.

    Parameters
    ----------
    context : Context
        Of the network.
    module : nn.BatchNorm2d
        Its weights and running statistics.
    conv_bias : Tensor or None
        Bias of the convolution: it changes the running mean alone, its gradient is zero.
    found : tuple of array
        What the convolution leaves of its channels, from its first on: sums and pivots.
    factors : float32 array, shape (3, channels)
        Of the gradient of raw, see `struct outgoing`; from its first channel on.
    """

    def __init__(
        self,
        context: Context,
        module: nn.BatchNorm2d,
        conv_bias: Tensor | None,
        found: tuple[NDArray[np.float64], NDArray[np.float32]],
        factors: NDArray[np.float32],
    ) -> None:
        channels = module.num_features
        self.library = context.library
        self.scale, self.shift = np.zeros((2, channels), dtype=np.float32)
        self._moments = np.zeros((2, channels), dtype=np.float64)
        self._found = (address(found[0]), address(found[1]))
        weights = (module.weight, module.bias, conv_bias)
        self._struct = Norm(
            *map(pointer, weights),
            *(pointer(context.momentum_of(weight)) for weight in weights),
            pointer(module.running_mean),
            pointer(module.running_var),
            pointer(module.num_batches_tracked),
            address(self.scale),
            address(self.shift),
            *map(address, self._moments),
            *map(address, factors),
            module.eps,
            module.momentum,
            channels,
        )

    def forward(self, count: int) -> None:
        """Prepare scale and shift from the sums over `count` values a channel."""
        self.library.norm_forward(byref(self._struct), count, *self._found)

    def backward(self, count: int, sums: int | None, rule: Rule) -> None:
        """Prepare the factors of raw's gradient from the sums of the own one; move the weights."""
        self.library.norm_backward(byref(self._struct), count, sums, byref(rule))
