"""Lists of kept weights, in the orders in which the kernels meet them."""

from __future__ import annotations

from ctypes import byref
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .lanes import LANES, address, aligned
from .library import Library, List, Shape

Places = NDArray[np.int32]
_SCRATCH = 700_000  # bytes of a strip; with what streams by it stays in an L2 cache of 1 MiB


@dataclass(frozen=True)
class Entries:
    """A `struct list` and its memory: cells of entries, a weight or a pair of weights each."""

    start: NDArray[np.int32]
    offset: NDArray[np.int32]
    weight: NDArray[np.float32]

    @classmethod
    def empty(cls, cells: int, entries: int, weights: int) -> Entries:
        """Return room for cells and their entries, of so many weights each."""
        start, offset = (np.empty(n, dtype=np.int32) for n in (cells + 1, entries))
        return cls(start, offset, aligned(weights * entries))

    @property
    def struct(self) -> List:
        """The structure that points to them."""
        return List(address(self.start), address(self.offset), address(self.weight))


@dataclass(frozen=True)
class Lists:
    """The kept weights of a layer for both passes: what the kernels read."""

    forward: Entries
    backward: Entries


@dataclass(frozen=True)
class Standing:
    """Where kept weights stand in the `weight` of either list.

    Attributes
    ----------
    mask : bool array
        Of the layer; contiguous, as the others are.
    forward, backward : int32 array
        Of its shape; what they hold of pruned weights means nothing.
    """

    mask: NDArray[np.bool_]
    forward: Places
    backward: Places

    def of(self, outputs: slice) -> Standing:
        """Return those of some outputs."""
        return Standing(self.mask[outputs], self.forward[outputs], self.backward[outputs])


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


def convolution_lists(
    library: Library, mask: NDArray[np.bool_], shape: Shape, paired: bool
) -> tuple[Lists, Standing]:
    """List the kept weights of a 3x3 convolution.

    Parameters
    ----------
    library : Library
        The kernels, which put them in order.
    mask : bool array, shape (outputs, inputs, 3, 3)
    shape : Shape
        Size, stride and strip.
    paired : bool
        Two output channels that keep the same weight share an entry; else none do.
    """
    mask = np.ascontiguousarray(mask)
    kept, in_pairs = int(mask.sum()), shape.outputs // 2 * 2
    shared = int((mask[0:in_pairs:2] & mask[1:in_pairs:2]).sum()) if paired else 0
    lists = Lists(
        Entries.empty(3 * ((shape.outputs + 1) // 2), kept - shared, weights=2),
        Entries.empty(shape.inputs * shape.stride**2, kept, weights=1),
    )
    standing = Standing(mask, *(np.empty(mask.shape, dtype=np.int32) for _ in range(2)))
    library.list_forward(
        byref(shape), paired, address(mask), *_found(lists.forward, standing.forward)
    )
    library.list_backward(byref(shape), address(mask), *_found(lists.backward, standing.backward))
    return lists, standing


def _found(entries: Entries, places: Places) -> tuple[int | None, ...]:
    return address(entries.start), address(entries.offset), address(places)


def linear_lists(mask: NDArray[np.bool_]) -> tuple[Lists, Standing]:
    """List the kept weights of a linear layer, mask of shape (outputs, inputs)."""
    mask = np.ascontiguousarray(mask)
    (forward, in_forward), (backward, in_backward) = _row_by_row(mask), _row_by_row(mask.T)
    standing = Standing(mask, in_forward, np.ascontiguousarray(in_backward.T))
    return Lists(forward, backward), standing


def _row_by_row(mask: NDArray[np.bool_]) -> tuple[Entries, Places]:
    """List a matrix, a cell a row, and return where its weights stand."""
    rows, columns = mask.shape
    ends = np.cumsum(np.count_nonzero(mask, axis=1))
    entries = Entries.empty(rows, int(ends[-1]), weights=1)
    entries.start[0], entries.start[1:] = 0, ends
    entries.offset[:] = np.broadcast_to(np.arange(columns, dtype=np.int32), mask.shape)[mask]
    places = np.empty(mask.shape, dtype=np.int32)
    places[mask] = np.arange(ends[-1], dtype=np.int32)
    return entries, places
