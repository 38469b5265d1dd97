"""What a file of `torch.save` holds: tensors that are read when somebody asks, and what is strange.

A tensor knows its place in the file; its bytes are read by `read`, and no others. They are read and
not mapped: a file that shrinks under a map ends the process.
"""

from __future__ import annotations

import math
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import Refused, Unreadable, printable
from .files import open_file
from .number_types import Order, decode, width, width_in_memory

MAX_AXES = 64  # of numpy
_MAX_ELEMENTS = 1 << 48  # also of a shape with a zero in it, whose other axes say anything
_CHUNK_BYTES = 1 << 20


class Contents(Protocol):
    """The bytes of a file, wherever they are."""

    where: str
    size: int

    def read(self, begin: int, end: int) -> bytes | memoryview:
        """Return the bytes from `begin` up to `end`, as many as there are."""


class Unpacked:
    """The bytes of a file that was unpacked into memory."""

    def __init__(self, data: bytes | bytearray, where: str) -> None:
        self.where, self.size = where, len(data)
        self._data = memoryview(data).toreadonly()

    def read(self, begin: int, end: int) -> memoryview:
        """Return the bytes from `begin` up to `end`, as many as there are."""
        return self._data[begin:end]


class OnDisk:
    """The bytes of a file on disk, which must not change while it is read.

    Raises
    ------
    Unreadable
        It is no file, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.where = path, str(path)
        self._stamp: tuple[int, ...] = ()
        self.read(0, 0)

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` up to `end`, as many as there are.

        Raises
        ------
        Unreadable
            It is no longer the file that it was.
        """
        try:
            with open_file(self._path) as file:
                found = os.fstat(file.fileno())
                stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
                if self._stamp and stamp != self._stamp:
                    raise Unreadable(f"{self.where}: changed while it was read")
                self._stamp, self.size = stamp, found.st_size
                file.seek(begin)
                return file.read(max(0, min(end, self.size) - begin))
        except OSError as error:
            raise Unreadable(f"{self.where}: cannot be read ({error.strerror})") from None


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
    if isinstance(value, Tensor | Sparse):
        value = value.read()
    if not isinstance(value, np.ndarray):
        raise Unreadable(f"{where}: {described(value)} where a tensor is due")
    if value.dtype.kind not in "biuf":
        raise Unreadable(f"{where}: a tensor of {value.dtype}, where one of numbers is due")
    return value


def is_tensor(value: object) -> bool:
    """Tell whether `to_array` returns an array of it, unless its file is damaged."""
    if isinstance(value, Tensor | Sparse):
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


@dataclass(frozen=True, eq=False)
class Sparse:
    """A sparse tensor in a file: values and their places, coordinates in the rows of `indices`."""

    indices: Tensor
    values: Tensor
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Hold the parts to one another."""
        held_shape(self.shape)
        wide = len(self.indices.shape) == 2 and len(self.values.shape) == 1
        if not wide or self.indices.shape != (len(self.shape), *self.values.shape):
            raise ValueError("a sparse tensor whose parts do not fit")

    @property
    def kind(self) -> str:
        """Torch's name of the type of its values."""
        return self.values.kind

    @property
    def bytes(self) -> int:
        """What it takes in memory as a dense tensor."""
        return math.prod(self.shape) * width_in_memory(self.values.kind)

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
        shape = np.array(self.shape)[:, None]
        if indices.dtype.kind not in "iu" or ((indices < 0) | (indices >= shape)).any():
            raise Refused(
                f"{self.values.storage.contents.where}: a sparse tensor with values outside of its "
                f"shape {self.shape}"
            )
        dense = np.zeros(self.shape, values.dtype)
        np.add.at(dense, tuple(indices), values)
        return dense


@dataclass(frozen=True, eq=False)
class Strange:
    """Something that is not rebuilt: all that is kept of it is what it was.

    Attributes
    ----------
    what : str
        The name of its class, or a description.
    """

    what: str


def short(text: str | Exception) -> str:
    """Return a text of a file, or an error, as a printable text of at most 80 characters."""
    whole = str(text)
    shown = printable(whole[:81])  # a text may be long, and its escapes are longer
    return shown if len(shown) <= 80 else shown[:77] + "..."


def described(value: object) -> str:
    """Say what a value of a file is, for a message."""
    if isinstance(value, Strange):
        return f"an object ({short(value.what)})"
    return f"a {type(value).__name__}"


def hold_no_object(value: object, where: str) -> None:
    """Refuse what only the code that wrote it can load, and say what will do instead.

    Raises
    ------
    Refused
        It is an object, such as a whole pickled module.
    """
    if isinstance(value, Strange):
        raise Refused(
            f"{where}: a whole pickled object ({short(value.what)}), which only its own "
            "code can load: give the mask file (mask.pt), or save its state_dict() and give that"
        )
