"""What a file of `torch.save` holds: tensors that are read when somebody asks, and what is strange.

A tensor knows its place in the file; its bytes are read by `read`, and no others.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Refused, Unreadable, printable
from .contents import Contents
from .number_types import Order, decode, width, width_in_memory

MAX_AXES = 64  # of numpy
_MAX_ELEMENTS = 1 << 48  # also of a shape with a zero in it, whose other axes say anything
_CHUNK_BYTES = 1 << 20


@dataclass(eq=False)
class Storage:
    """A row of numbers in a file, of which tensors are views.

    Attributes
    ----------
    kind : str
        Torch's name of their type; empty where each tensor tells its own.
    size : int
        Bytes.
    contents : Contents
        The file.
    begin : int
        Where it starts there.
    crc : int
        Check sum of its bytes; 0 where none was written.
    order : {'<', '>'}
        Order of the bytes of a number.
    """

    kind: str
    size: int
    contents: Contents
    begin: int = 0
    crc: int = 0
    order: Order = "<"
    _checked: bool = field(default=False, init=False)

    def read(self, begin: int, end: int) -> bytes | memoryview:
        """Return some of its bytes, once all of them are held to the check sum.

        Raises
        ------
        Unreadable
            The file is cut off, or damaged.
        """
        if not self._checked and self.crc:
            found = 0
            for at in range(self.begin, self.begin + self.size, _CHUNK_BYTES):
                part = self.contents.read(at, min(at + _CHUNK_BYTES, self.begin + self.size))
                found = zlib.crc32(part, found)
            if found != self.crc:
                raise Unreadable(f"{self.contents.where}: damaged, a check sum does not hold")
        self._checked = True
        data = self.contents.read(self.begin + begin, self.begin + end)
        if len(data) < end - begin:
            raise Unreadable(f"{self.contents.where}: cut off")
        return data


def to_array(value: object, where: str) -> NDArray[Any]:
    """Return a tensor or array of real numbers as an array, which is not to be written to.

    Raises
    ------
    Unreadable
        It is none, or its file is damaged.
    """
    if isinstance(value, InFile):
        value = value.read()
    if not isinstance(value, np.ndarray):
        raise Unreadable(f"{where}: {described(value)} where a tensor is due")
    if value.dtype.kind not in "biuf":
        raise Unreadable(f"{where}: a tensor of {value.dtype}, where one of numbers is due")
    return value


def is_tensor(value: object) -> bool:
    """Tell whether `to_array` returns an array of it, unless its file is damaged."""
    if isinstance(value, InFile):
        return not value.kind.startswith("complex")
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf"


def held_shape(shape: Any) -> tuple[int, ...]:
    """Hold what a file says is a shape to what a shape can be.

    Raises
    ------
    ValueError
        It is none.
    """
    if not isinstance(shape, tuple | list) or not all(type(n) is int for n in shape):
        raise ValueError("a shape that is no row of numbers")
    if len(shape) > MAX_AXES or any(n < 0 for n in shape):
        raise ValueError(f"a shape with negative sizes, or of over {MAX_AXES} axes")
    if math.prod(max(n, 1) for n in shape) > _MAX_ELEMENTS:
        raise ValueError(f"a shape of over {_MAX_ELEMENTS} elements")
    return tuple(shape)


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor in a file: a view of a storage, held to its bounds.

    Attributes
    ----------
    storage : Storage
        Where its numbers are.
    kind : str
        Torch's name of their type.
    offset : int
        Elements of the storage before its first.
    shape, strides : tuple of int
        Elements along every axis, and from one to the next.

    Raises
    ------
    ValueError
        It reaches beyond its storage.
    """

    storage: Storage
    kind: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        """Hold the view to its storage."""
        held_shape(self.shape)
        if len(self.strides) != len(self.shape) or any(type(n) is not int for n in self.strides):
            raise ValueError("strides that do not fit the shape")
        if type(self.offset) is not int or self.offset < 0 or any(n < 0 for n in self.strides):
            raise ValueError("a tensor with a negative offset or stride")
        if (self.offset + self._reach) * width(self.kind) > self.storage.size:
            raise ValueError(f"a tensor of shape {self.shape} beyond its storage")

    @property
    def _reach(self) -> int:
        """Elements from the first to the last."""
        if 0 in self.shape:
            return 0
        steps = zip(self.shape, self.strides, strict=True)
        return 1 + sum((n - 1) * stride for n, stride in steps)

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return math.prod(self.shape) * width_in_memory(self.kind)

    def read(self) -> NDArray[Any]:
        """Return its numbers; a view of a few of them may be spread over a large shape.

        Raises
        ------
        Unreadable
            The file is cut off or damaged, or holds what is no number of that type.
        """
        each = width(self.kind)
        data = self.storage.read(self.offset * each, (self.offset + self._reach) * each)
        try:
            flat = decode(data, self.kind, self.storage.order)
        except ValueError as error:
            raise Unreadable(f"{self.storage.contents.where}: {error}") from None
        steps = tuple(n * flat.itemsize for n in self.strides)
        return np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False)

    def __float__(self) -> float:
        """Return the one number in it."""
        return float(self.read().item())


class _Scattered:
    """Values of a larger array, most of which is zero."""

    values: Tensor
    shape: tuple[int, ...]

    @property
    def kind(self) -> str:
        """Torch's name of the type of its values."""
        return self.values.kind

    @property
    def bytes(self) -> int:
        """What it takes in memory as a dense tensor."""
        return math.prod(self.shape) * width_in_memory(self.values.kind)


@dataclass(frozen=True, eq=False)
class Sparse(_Scattered):
    """A sparse tensor in a file: values and their places, coordinates in the rows of `indices`.

    The last axes of `values` may be dense: they are then those of the shape that `indices` lacks.
    """

    indices: Tensor
    values: Tensor
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Hold the parts to one another."""
        held_shape(self.shape)
        axes, *count = self.indices.shape if len(self.indices.shape) == 2 else (-1,)
        if not 0 <= axes <= len(self.shape) or self.values.shape != (*count, *self.shape[axes:]):
            raise ValueError("a sparse tensor whose parts do not fit")

    def read(self) -> NDArray[Any]:
        """Return it as a dense array; values at one place are summed, as torch does.

        Raises
        ------
        Refused
            A value lies outside of the shape.
        Unreadable
            The file is cut off or damaged.
        """
        indices, values = self.indices.read(), self.values.read()
        _hold_inside(self, indices, np.array(self.shape[: len(indices)])[:, None])
        dense = np.zeros(self.shape, values.dtype)
        first = np.zeros(len(values), np.int64)  # an axis for a tensor that has none
        np.add.at(dense[None], (first, *indices), values)
        return dense


@dataclass(frozen=True, eq=False)
class Compressed(_Scattered):
    """A matrix in a file whose values, or blocks of them, are listed by row or by column.

    Attributes
    ----------
    starts : Tensor
        Where the values of every row (or column) begin, and where the last ones end.
    places : Tensor
        Column (or row) of each value.
    values : Tensor
        The values; of blocks an array each.
    shape : tuple of int
        Rows and columns.
    by_row : bool
        Whether `starts` counts rows.
    """

    starts: Tensor
    places: Tensor
    values: Tensor
    shape: tuple[int, ...]
    by_row: bool

    def __post_init__(self) -> None:
        """Hold the parts to one another."""
        held_shape(self.shape)
        block = self._block
        if len(self.shape) != 2 or len(self.values.shape) not in (1, 3) or 0 in block:
            raise ValueError("a compressed tensor that is no matrix")
        if any(n % size for n, size in zip(self.shape, block, strict=True)):
            raise ValueError("a compressed tensor of parts of blocks")
        lines = self.shape[not self.by_row] // block[not self.by_row]
        if self.starts.shape != (lines + 1,) or self.places.shape != self.values.shape[:1]:
            raise ValueError("a compressed tensor whose parts do not fit")

    @property
    def _block(self) -> tuple[int, ...]:
        return self.values.shape[1:] or (1, 1)

    def read(self) -> NDArray[Any]:
        """Return it as a dense array.

        Raises
        ------
        Refused
            A value lies outside of the shape.
        Unreadable
            The file is cut off or damaged.
        """
        starts, places, values = self.starts.read(), self.places.read(), self.values.read()
        rows, columns = (n // size for n, size in zip(self.shape, self._block, strict=True))
        _hold_inside(self, starts, len(places) + 1)
        _hold_inside(self, places, columns if self.by_row else rows)
        bounds = np.concatenate([[0], starts.astype(np.int64), [len(places)]])
        counts = bounds[1:] - bounds[:-1]
        if counts[0] or counts[-1] or (counts < 0).any():
            raise _outside(self)
        lines = np.repeat(np.arange(len(counts) - 2), counts[1:-1])
        at = (lines, places) if self.by_row else (places, lines)
        dense = np.zeros((rows, columns, *self._block), values.dtype)
        np.add.at(dense, at, values.reshape(-1, *self._block))
        return dense.swapaxes(1, 2).reshape(self.shape)


def _hold_inside(
    tensor: Sparse | Compressed, places: NDArray[Any], limit: int | NDArray[np.int64]
) -> None:
    if places.dtype.kind not in "iu" or ((places < 0) | (places >= limit)).any():
        raise _outside(tensor)


def _outside(tensor: Sparse | Compressed) -> Refused:
    where = tensor.values.storage.contents.where
    return Refused(f"{where}: a sparse tensor with values outside of its shape {tensor.shape}")


InFile = Tensor | Sparse | Compressed  # what is read from its file when somebody asks


@dataclass(frozen=True, eq=False)
class Strange:
    """Something that is not rebuilt: all that is kept of it is what it was.

    Attributes
    ----------
    what : str
        The name of its class, or a description.
    """

    what: str


class StrangeTensor(Strange):
    """A tensor that is not rebuilt, such as one of quantized numbers."""


class Name(Strange):
    """A name that a pickle mentions, such as a class: `what` is the name in full."""


def short(text: str | Exception) -> str:
    """Return a text of a file, or an error, as a printable text of at most 80 characters."""
    whole = str(text)
    shown = printable(whole[:81])  # a text may be long, and its escapes are longer
    return shown if len(shown) <= 80 else shown[:77] + "..."


def text_of(value: object) -> str:
    """Return a text where one is due.

    Raises
    ------
    ValueError
        It is none.
    """
    if not isinstance(value, str):
        raise ValueError("no text where one is due")
    return value


def described(value: object) -> str:
    """Say what a value of a file is, for a message."""
    if isinstance(value, Strange):
        return f"an object ({short(value.what)})"
    return f"a {type(value).__name__}"


def hold_no_object(value: object, where: str, key: str = "") -> None:
    """Refuse what only the code that wrote it can load, and say what will do instead.

    Parameters
    ----------
    value : object
        What was read.
    where : str
        Its file.
    key : str
        Under which it stands there.

    Raises
    ------
    Refused
        It is an object, such as a whole pickled module.
    """
    if isinstance(value, Strange):
        file = PurePath(where)
        loaded = f"torch.load({file.name!r}, weights_only=False)" + (f"[{key!r}]" if key else "")
        plain = f"{file.stem}_plain{file.suffix}"
        raise Refused(
            f"{where}: a whole pickled object ({short(value.what)}), which only its own code can "
            "load: give the mask file (mask.pt), or where that code is, "
            f"torch.save({loaded}.state_dict(), {plain!r})"
        )
