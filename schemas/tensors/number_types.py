"""Types of numbers in other people's files: how many bytes each takes, and how they are read.

numpy has no eight-bit floats and no bfloat16: they become float32, which holds all of their values.
The eight-bit kinds are those of the OCP 8-bit floating point specification (E4M3, E5M2) and their
variants with one NaN and no negative zero (`uz`), as torch, jax and safetensors name them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["<", ">"]  # of the bytes of a number: little-endian, big-endian
# Types that numpy has, by torch's name.
_PLAIN: Mapping[str, str] = {
    "bool": "u1", "uint8": "u1", "int8": "i1", "int16": "i2", "uint16": "u2", "int32": "i4",
    "uint32": "u4", "int64": "i8", "uint64": "u8", "float16": "f2", "float32": "f4",
    "float64": "f8", "complex64": "c8", "complex128": "c16",
}  # fmt: skip


@dataclass(frozen=True)
class _Eight:
    """An eight-bit float: bits of the mantissa, bias of the exponent, what is no number in it."""

    mantissa: int
    bias: int
    infinite: bool = False  # the largest exponent means infinity and NaN, as in float32
    unsigned_zero: bool = False  # NaN stands where negative zero would

    def values(self) -> NDArray[np.float32]:
        """Return the value of every byte."""
        codes = np.arange(256)
        top, last = (0x7F >> self.mantissa), codes & 0x7F
        exponent, fraction = last >> self.mantissa, last & ((1 << self.mantissa) - 1)
        share = fraction / (1 << self.mantissa)
        # An exponent of zero means the numbers below the least normal one.
        power = np.where(exponent == 0, 1, exponent) - self.bias
        values = np.ldexp(share + (exponent > 0), power)
        if self.infinite:
            values[exponent == top] = np.nan
            values[(exponent == top) & (fraction == 0)] = np.inf
        elif not self.unsigned_zero:
            values[last == 0x7F] = np.nan
        values = np.where(codes >> 7, -values, values)
        if self.unsigned_zero:
            values[0x80] = np.nan
        return np.asarray(values, np.float32)


_EIGHT: Mapping[str, _Eight] = {
    "float8_e4m3fn": _Eight(3, 7),
    "float8_e4m3fnuz": _Eight(3, 8, unsigned_zero=True),
    "float8_e5m2": _Eight(2, 15, infinite=True),
    "float8_e5m2fnuz": _Eight(2, 16, unsigned_zero=True),
}
NAMES = frozenset(_PLAIN) | frozenset(_EIGHT) | {"bfloat16"}
# The names that safetensors has for them.
SAFETENSORS: Mapping[str, str] = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32",
    "U16": "uint16", "U8": "uint8", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "C64": "complex64",
}  # fmt: skip


@functools.cache
def _eight_bit(name: str) -> NDArray[np.float32]:
    return _EIGHT[name].values()


def width(name: str) -> int:
    """Return the bytes that one number of a type takes in a file."""
    if name in _EIGHT:
        return 1
    return 2 if name == "bfloat16" else np.dtype(_PLAIN[name]).itemsize


def width_in_memory(name: str) -> int:
    """Return the bytes that one number of a type takes as `decode` returns it."""
    return 4 if name in _EIGHT or name == "bfloat16" else width(name)


def decode(data: bytes | memoryview, name: str, order: Order = "<") -> NDArray[Any]:
    """Return the numbers in `data`, one-dimensional; where the type allows, it is not copied.

    Parameters
    ----------
    data : bytes
        Numbers without gaps.
    name : str
        Torch's name of their type, one of `NAMES`.
    order : {'<', '>'}
        Little-endian or big-endian.

    Raises
    ------
    ValueError
        A truth value is neither 0 nor 1: numpy would count it as either, or as 255.

    Examples
    --------
    >>> decode(bytes([0x80, 0x3F]), "bfloat16").tolist()
    [1.0]
    >>> decode(bytes([0x38, 0x01]), "float8_e4m3fn").tolist()
    [1.0, 0.001953125]
    """
    if name in _EIGHT:
        return _eight_bit(name)[np.frombuffer(data, np.uint8)]
    if name == "bfloat16":
        halves = np.frombuffer(data, f"{order}u2").astype(np.uint32)
        return (halves << 16).view(np.float32)
    array = np.frombuffer(data, np.dtype(_PLAIN[name]).newbyteorder(order))
    if name == "bool":
        return truth(array)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def truth(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return bytes as truth values.

    Raises
    ------
    ValueError
        One is neither 0 nor 1.
    """
    if codes.size and codes.max() > 1:
        raise ValueError(f"a truth value of {codes.max()}")
    return codes.view(np.bool_)
