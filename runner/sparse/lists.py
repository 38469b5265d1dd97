"""Lists of kept weights, in the orders in which the kernels meet them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .lanes import LANES, address, aligned
from .library import List, Shape

Ints = NDArray[np.int64]
_SCRATCH = 700_000  # bytes of a strip; with what streams by it stays in an L2 cache of 1 MiB


@dataclass(frozen=True)
class Entries:
    """A `struct list` and its memory: cells of entries, a weight or a pair of weights each."""

    start: NDArray[np.int32]
    offset: NDArray[np.int32]
    weight: NDArray[np.float32]

    @property
    def struct(self) -> List:
        """The structure that points to them."""
        return List(address(self.start), address(self.offset), address(self.weight))


@dataclass(frozen=True)
class Lists:
    """The kept weights of a layer for both passes.

    Attributes
    ----------
    forward, backward : Entries
        What the kernels read.
    in_forward, in_backward : int64 array, shape (kept,)
        Where each kept weight, in the order of `np.nonzero`, stands in their `weight`.
    """

    forward: Entries
    backward: Entries
    in_forward: Ints
    in_backward: Ints


def strip_rows(outputs: int, inputs: int, height: int, width: int, stride: int) -> int:
    """Return the rows of the output that are computed at a time: their scratch fits the cache."""
    out_height, out_width = -(-height // stride), -(-width // stride)
    rows = out_height
    while (
        rows > 2 and _scratch_floats(outputs, inputs, width, out_width, stride, rows) > _SCRATCH / 4
    ):
        rows -= 1
    # Strips of even heights: 32 rows in 11, 11, 10 rather than 15, 15, 2.
    rows = -(-out_height // -(-out_height // rows))
    return min(rows + rows % 2, out_height)


def _scratch_floats(
    outputs: int, inputs: int, width: int, out_width: int, stride: int, rows: int
) -> int:
    forward = inputs * (stride * rows + 3 - stride) * (width + 2)
    backward = outputs * (rows + 2) * (out_width + 2)
    return max(forward, backward) * LANES


def scratch_floats(shape: Shape) -> int:
    """Count the floats that a convolution needs beside its planes."""
    strip: int = _scratch_floats(
        shape.outputs,
        shape.inputs,
        shape.width,
        -(-shape.width // shape.stride),
        shape.stride,
        shape.strip,
    )
    sums: int = 2 * max(shape.outputs, shape.inputs) * LANES
    return strip + sums


def convolution_lists(mask: NDArray[np.bool_], shape: Shape, paired: bool) -> Lists:
    """List the kept weights of a 3x3 convolution.

    Parameters
    ----------
    mask : bool array, shape (outputs, inputs, 3, 3)
    shape : Shape
        Size, stride and strip.
    paired : bool
        Two output channels that keep the same weight share an entry; else none do.
    """
    kept = np.nonzero(mask)
    forward, in_forward = _forward(mask, kept, shape, paired)
    backward, in_backward = _backward(kept, shape)
    return Lists(forward, backward, in_forward, in_backward)


def _forward(
    mask: NDArray[np.bool_], kept: tuple[Ints, ...], shape: Shape, paired: bool
) -> tuple[Entries, Ints]:
    """Three cells for a pair of output channels: kept by both, by the first, by the second."""
    k, c, down, right = kept
    partner = k ^ 1
    has_partner = partner < shape.outputs
    shared = paired & has_partner & mask[np.where(has_partner, partner, k), c, down, right]
    second = k % 2
    cell = k // 2 * 3 + np.where(shared, 0, 1 + second)
    order = np.argsort(((cell * shape.inputs + c) * 9 + down * 3 + right) * 2 + second)
    leads = ~(shared & (second == 1))  # the others stand beside their partner
    place = np.cumsum(leads[order]) - 1
    slot = np.empty_like(k)
    slot[order] = 2 * place + ~leads[order]
    leading = order[leads[order]]
    deep = shape.stride * shape.strip + 3 - shape.stride
    offset = ((c * deep + down) * (shape.width + 2) + right) * LANES
    cells = 3 * ((shape.outputs + 1) // 2)
    return _entries(cell[leading], offset[leading], cells, weights=2), slot


def _backward(kept: tuple[Ints, ...], shape: Shape) -> tuple[Entries, Ints]:
    """Return a cell for an input channel and, with a stride of 2, for each of four positions."""
    k, c, down, right = kept
    out_width = -(-shape.width // shape.stride)
    if shape.stride == 1:
        cell, up, left = c, 2 - down, 2 - right
    else:
        phase, shift = np.array([1, 0, 1]), np.array([2, 1, 1])
        cell = (c * 2 + phase[down]) * 2 + phase[right]
        up, left = shift[down], shift[right]
    order = np.argsort((cell * shape.outputs + k) * 9 + up * 3 + left)
    offset = ((k * (shape.strip + 2) + up) * (out_width + 2) + left) * LANES
    cells = shape.inputs * shape.stride**2
    return _entries(cell[order], offset[order], cells, weights=1), _inverse(order)


def linear_lists(mask: NDArray[np.bool_]) -> Lists:
    """List the kept weights of a linear layer, mask of shape (outputs, inputs)."""
    k, c = np.nonzero(mask)
    outputs, inputs = mask.shape
    order = np.argsort(c * outputs + k)
    return Lists(
        _entries(k, c, outputs, weights=1),
        _entries(c[order], k[order], inputs, weights=1),
        np.arange(len(k)),
        _inverse(order),
    )


def _entries(cell: Ints, offset: Ints, cells: int, weights: int) -> Entries:
    start = np.searchsorted(cell, np.arange(cells + 1))
    return Entries(start.astype(np.int32), offset.astype(np.int32), aligned(weights * len(offset)))


def _inverse(order: Ints) -> Ints:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse
