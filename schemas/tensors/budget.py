"""What reading a stranger's file may cost: instructions, bytes, tensors, and keys that collide."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import Refused
from .stored import InFile, Strange

_MAX_INSTRUCTIONS = 2_000_000
_MAX_BYTES = 256 << 20  # of what is built, tensors aside; a checkpoint of ResNet-152 takes 2 MB
_MAX_TUPLES = 4096  # as keys: their hashes can be made to collide, which costs the square
_MAX_KEY = 2**61 - 1  # from here on integers collide: hash(n) is n modulo this
_TEXTS = frozenset({str, bytes, bytearray})
_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_ATOMS = frozenset({type(None), bool, int, float, complex})
_NUMERIC = frozenset({bool, int, float})
_EACH, _OBJECT = 64, 256  # bytes of a small value and its place in a container; of an object


class Budget:
    """What one file may still build.

    Parameters
    ----------
    tensors : int
        Bytes of all tensors together, as they would be in memory, each as often as it is named.
    where : str
        The file, for messages.
    nested : callable, optional
        Reads a file of torch that stands as bytes in a pickle.
    """

    def __init__(
        self, tensors: int, where: str, nested: Callable[[bytes, Budget], Any] | None = None
    ) -> None:
        self.where, self._nested = where, nested
        self._tensors, self._all_tensors = tensors, tensors
        self._instructions, self._bytes, self._tuples = _MAX_INSTRUCTIONS, _MAX_BYTES, _MAX_TUPLES

    def inner(self, data: bytes) -> Any:
        """Read a file in the file, on the same budget; there is none in that one.

        Raises
        ------
        ValueError
            There can be none here.
        """
        nested, self._nested = self._nested, None
        if nested is None:
            raise ValueError("a file in a file where none is due")
        try:
            return nested(data, self)
        finally:
            self._nested = nested

    def instruction(self) -> None:
        """Count an instruction."""
        self._instructions -= 1
        if self._instructions < 0:
            raise Refused(f"{self.where}: the pickle has over {_MAX_INSTRUCTIONS} instructions")

    @property
    def left(self) -> int:
        """Bytes that may still be built, tensors aside."""
        return self._bytes

    def hold(self, size: int) -> None:
        """Refuse what would take more bytes than are left."""
        if size > self._bytes:
            raise Refused(f"{self.where}: the pickle builds more than {_MAX_BYTES >> 20} MB")

    def take(self, size: int) -> None:
        """Count bytes."""
        self.hold(size)
        self._bytes -= size

    def value(self, value: object) -> None:
        """Count what a new value takes; of an array its data, if they are new, were counted."""
        self.take(_cost(value))

    def tensor(self, value: object) -> None:
        """Count what a tensor or array takes once somebody reads it."""
        if isinstance(value, InFile | np.ndarray):
            self._tensors -= value.nbytes if isinstance(value, np.ndarray) else value.bytes
            if self._tensors < 0:
                raise Refused(
                    f"{self.where}: tensors, one of shape {value.shape}, that take more than "
                    f"{self._all_tensors >> 20} MB out of a file that small"
                )

    def key(self, key: object) -> None:
        """Hold a key of a dictionary or an element of a set to what costs no more than it should.

        Raises
        ------
        Refused
            Its hash can be made to collide with others, or takes long.
        """
        if type(key) is tuple and len(key) <= _EACH:
            self._tuples -= 1
            if self._tuples >= 0 and all(_plain_key(part) for part in key):
                return
        elif _plain_key(key):
            return
        raise Refused(f"{self.where}: keys of a dictionary that no checkpoint has")


def _plain_key(key: object) -> bool:
    # Of the exact types only: numpy's numbers hash as they like, complex ones to order.
    if type(key) in _NUMERIC:
        return not abs(key) >= _MAX_KEY  # type: ignore[arg-type]  # NaN passes
    return key is None or type(key) in (str, bytes) or isinstance(key, Strange | np.dtype)


def _cost(value: object) -> int:
    """Return the bytes that a value takes without those in it."""
    kind = type(value)
    if kind in _TEXTS:
        return sys.getsizeof(value)
    if kind in _CONTAINERS:
        return sys.getsizeof(value) + _EACH * len(value)  # type: ignore[arg-type]
    if kind in _ATOMS:
        return _EACH
    if isinstance(value, Strange):
        return _OBJECT + sys.getsizeof(value.what)
    return _OBJECT + 2 * 8 * len(getattr(value, "shape", ()))
