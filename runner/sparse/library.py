"""The compiled kernels: found, loaded, held to the source they were compiled from."""

from __future__ import annotations

import ctypes
import hashlib
import struct
from collections.abc import Callable
from ctypes import POINTER, Structure, c_char_p, c_double, c_float, c_int, c_long, c_void_p
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from ...schemas.errors import RgtoolError
from .lanes import LANES, PLANE_PAD

FOLDER = Path(__file__).parent
SETS = ("plain", "avx2", "avx512")  # every processor that has one has those before it
_ELF_HEADER = 64  # bytes
PAIRED = ("avx512",)  # sets whose forward pass computes two output channels at a time


class Missing(RgtoolError):
    """There are no kernels to train sparse with; the message says why and what helps."""


class Shape(Structure):
    """`struct shape` of kernels.c, as the others below: ctypes mirrors what stands there."""

    _fields_ = [(n, c_int) for n in ("outputs", "inputs", "height", "width", "stride", "strip")]


class List(Structure):
    """`struct list`."""

    _fields_ = [(name, c_void_p) for name in ("start", "offset", "weight")]


class Activation(Structure):
    """`struct activation`."""

    _fields_ = [
        *((n, c_void_p) for n in ("raw", "scale", "shift", "skip", "skip_scale", "skip_shift")),
        ("kept", c_void_p),
        *((name, c_int) for name in ("channels", "raw_channels", "skip_channels")),
    ]


class Outgoing(Structure):
    """`struct outgoing`."""

    _fields_ = [
        *((n, c_void_p) for n in ("branch", "shortcut", "raw", "by_gradient", "by_raw")),
        ("constant", c_void_p),
        ("branch_channels", c_int),
    ]


class Norm(Structure):
    """`struct norm`."""

    _fields_ = [
        *((name, c_void_p) for name in ("weight", "bias", "conv_bias")),
        *((f"{name}_velocity", c_void_p) for name in ("weight", "bias", "conv_bias")),
        *((name, c_void_p) for name in ("running_mean", "running_var", "batches")),
        *((name, c_void_p) for name in ("scale", "shift", "mean", "inverse")),
        *((name, c_void_p) for name in ("by_gradient", "by_raw", "constant")),
        ("eps", c_double),
        ("momentum", c_double),
        ("channels", c_int),
    ]


class Rule(Structure):
    """`struct rule`."""

    _fields_ = [(name, c_float) for name in ("rate", "momentum", "decay")]


_MIRRORED = (Shape, List, Activation, Outgoing, Norm, Rule)
_INT, _LONG, _DATA, _RULE = c_int, c_long, c_void_p, POINTER(Rule)
_SHAPE, _LIST, _IN, _OUT = POINTER(Shape), POINTER(List), POINTER(Activation), POINTER(Outgoing)
# Arguments of the functions that are compiled once, and of those compiled for every set.
_PLAIN: dict[str, list[Any]] = {
    "lay_out": [*[_INT] * 4, _DATA, *[_LONG] * 4, _INT, _DATA],
    "norm_forward": [POINTER(Norm), c_double, _DATA, _DATA],
    "norm_backward": [POINTER(Norm), c_double, _DATA, _RULE],
    "gradient_sums": [*[_INT] * 3, _DATA, _DATA, _INT, _DATA],
    "list_forward": [_SHAPE, _INT, *[_DATA] * 4],
    "list_backward": [_SHAPE, *[_DATA] * 4],
    "list_tensor": [*[_INT] * 4, *[_DATA] * 7],
    "load_kept": [_LONG, *[_DATA] * 6],
    "descend_kept": [_LONG, *[_DATA] * 5, _RULE],
    "descend_bias": [_INT, _INT, *[_DATA] * 3, _RULE],
    "cross_entropy": [_INT, _INT, *[_DATA] * 4],
}
_BY_SET: dict[str, list[Any]] = {
    "conv_forward": [_INT, _SHAPE, _IN, _LIST, *[_DATA] * 4],
    "conv_backward": [_INT, _SHAPE, _OUT, _IN, _LIST, *[_DATA] * 5],
    "max_pool_forward": [*[_INT] * 3, _IN, _DATA, _DATA],
    "max_pool_backward": [*[_INT] * 3, _IN, *[_DATA] * 5],
    "mean_forward": [_INT, _INT, _IN, _DATA, _DATA],
    "mean_backward": [_INT, _INT, _IN, *[_DATA] * 4],
    "linear_forward": [_INT, _INT, _LIST, _DATA, _INT, _DATA, _DATA],
    "linear_backward": [_INT, _INT, _LIST, *[_DATA] * 4],
}


class Library:
    """The functions of kernels.c in one instruction set, by their names without it.

    Parameters
    ----------
    file : ctypes.CDLL
        The loaded file.
    instruction_set : str
        One of `SETS` that this processor has.
    """

    def __init__(self, file: ctypes.CDLL, instruction_set: str) -> None:
        self.instruction_set = instruction_set
        self.paired = instruction_set in PAIRED
        self._functions = {
            name: self._function(file, name, arguments) for name, arguments in _PLAIN.items()
        } | {
            name: self._function(file, f"{name}_{instruction_set}", arguments)
            for name, arguments in _BY_SET.items()
        }

    @staticmethod
    def _function(file: ctypes.CDLL, name: str, arguments: list[Any]) -> Callable[..., Any]:
        function = getattr(file, name)
        function.argtypes = arguments
        function.restype = c_int if name == "cross_entropy" else None
        return function  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return self._functions[name]
        except KeyError:
            raise AttributeError(name) from None


@cache
def library(instruction_set: str | None = None) -> Library:
    """Load the kernels.

    Parameters
    ----------
    instruction_set : str, optional
        One of `instruction_sets()`; the widest by default.

    Raises
    ------
    Missing
        They were not compiled, or from another source than the one that lies beside this module.
    """
    chosen = instruction_set or instruction_sets()[-1]
    return Library(_file(), chosen)


def instruction_sets() -> tuple[str, ...]:
    """Return the instruction sets of this processor, the widest last.

    Raises
    ------
    Missing
        As `library` does.
    """
    return SETS[: _file().widest_set() + 1]


def describe() -> str:
    """Name the instruction set that `library` takes, such as `avx512`.

    Raises
    ------
    Missing
        As `library` does.
    """
    return library().instruction_set


@cache
def _file() -> ctypes.CDLL:
    return load(FOLDER)


def load(folder: Path) -> ctypes.CDLL:
    """Load the kernels that lie in a folder beside their source.

    Raises
    ------
    Missing
        There are none, they cannot be loaded, or they are those of another source.
    """
    names = [folder / f"_kernels{suffix}" for suffix in EXTENSION_SUFFIXES]
    path = next((name for name in names if name.exists()), None)
    if path is None:
        raise Missing(
            "the kernels of sparse training were not compiled: install a C compiler (gcc or "
            "clang), then install rgtool again"
        )
    try:
        _check_whole(path)
        file = ctypes.CDLL(str(path))
        file.source_digest.restype = c_char_p
        compiled: str = file.source_digest().decode(errors="replace")
        expected = hashlib.sha256((folder / "kernels.c").read_bytes()).hexdigest()
    except (OSError, AttributeError) as error:
        raise Missing(f"{path} cannot be loaded ({error}): install rgtool again") from None
    if compiled != expected:
        raise Missing(
            f"{path} was compiled from another version of kernels.c ({compiled[:8]}, not "
            f"{expected[:8]}): install rgtool again, with a C compiler"
        )
    _check_mirrors(file)
    return file


def _check_whole(path: Path) -> None:
    """Hold an ELF file of 64 bits to its size: to map one that was cut off kills the process."""
    data = path.read_bytes()
    if data[:5] == b"\x7fELF\x02" and len(data) >= _ELF_HEADER:
        (sections,) = struct.unpack_from("<Q", data, 40)
        size, count = struct.unpack_from("<HH", data, 58)
        if sections + size * count > len(data):
            raise OSError("it was cut off")


def _check_mirrors(file: ctypes.CDLL) -> None:
    expected = [*map(ctypes.sizeof, _MIRRORED), LANES, PLANE_PAD]
    found = (c_int * len(expected))()
    file.mirrored(found)
    if list(found) != expected:
        raise Missing("kernels.c lays its structures out otherwise than ctypes: train dense")
