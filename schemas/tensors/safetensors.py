"""Tensors on disk in the safetensors format, and masks packed to a bit a weight.

The format is small enough to be written here: eight bytes of header length, a JSON header, the
raw data (https://huggingface.co/docs/safetensors). A machine that only runs experiments then needs
no further library; the tests hold these functions against the `safetensors` package.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from ..files import read_file, write_atomic
from ..sums import KEY, PLACE, WRONG, holds, seal
from .number_types import SAFETENSORS, decode, width
from .stored import StrangeTensor, held_shape, short

_NAMES: dict[np.dtype[Any], str] = {
    np.dtype(code): name
    for code, name in {
        "<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "<i4": "I32", "<i2": "I16",
        "i1": "I8", "u1": "U8", "?": "BOOL",
    }.items()
}  # fmt: skip
_METADATA = "__metadata__"
_MAX_DIGITS = 20  # of an integer: no size has more
_MAX_HEADER = 100_000_000  # bytes; the limit of the reference implementation


def write_tensors(
    path: Path,
    tensors: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
    *,
    flush: bool = True,
) -> None:
    """Write named arrays as a safetensors file, atomically; `flush` as in `files.write_atomic`.

    Raises
    ------
    OSError
        The disk is full or the folder is not writable.
    ValueError
        A tensor has the name that the format keeps for itself.
    """
    if _METADATA in tensors:
        raise ValueError(f"{path}: no tensor can be called {_METADATA}")
    header: dict[str, Any] = {_METADATA: {KEY: PLACE, **(metadata or {})}}
    chunks: list[bytes] = []
    offset = 0
    for name, array in tensors.items():
        data = np.ascontiguousarray(array)
        header[name] = {
            "dtype": _NAMES[data.dtype.newbyteorder("<")],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + data.nbytes],
        }
        chunks.append(data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes())
        offset += data.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    blob = b"".join([len(text).to_bytes(8, "little"), text, *chunks])
    write_atomic(path, seal(blob), flush=flush)


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a safetensors file: the arrays and the metadata.

    bfloat16 and the eight-bit floats become float32, since numpy has none of them.

    Raises
    ------
    RecordError
        The file is not a whole safetensors file, or has another sum than it carries.
    FileNotFoundError
        There is no such file.
    """
    tensors, metadata = read_any_tensors(path)
    for tensor in tensors.values():
        if isinstance(tensor, StrangeTensor):
            raise RecordError(f"{path}: not a whole safetensors file ({short(tensor.what)})")
    return tensors, metadata


def read_any_tensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a safetensors file as `read_tensors`; of tensors of unknown types a note is kept.

    Raises
    ------
    RecordError, FileNotFoundError
        As `read_tensors`.
    """
    try:
        blob = read_file(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror})") from None
    if holds(blob) is False:
        raise RecordError(f"{path}: {WRONG}")
    try:
        start, header = _header(blob)
        metadata = header.pop(_METADATA, {})
        if not isinstance(metadata, dict) or not all(type(v) is str for v in metadata.values()):
            raise ValueError("metadata that are no texts")
        metadata.pop(KEY, None)
        entries = {name: _held_entry(entry, name) for name, entry in header.items()}
        _hold_apart(entries, len(blob) - start)
        tensors = {name: _array(blob, start, entry) for name, entry in entries.items()}
    except ValueError as error:
        raise RecordError(f"{path}: not a whole safetensors file ({short(error)})") from None
    return tensors, metadata


def _header(blob: bytes) -> tuple[int, dict[str, Any]]:
    """Return where the data begin, and what the header says."""
    size = int.from_bytes(blob[:8], "little")
    if len(blob) < 8 or size > min(_MAX_HEADER, len(blob) - 8):
        raise ValueError("the header is cut off")
    header = _json(blob[8 : 8 + size])
    if not isinstance(header, dict):
        raise ValueError("a header that names no tensors")
    return 8 + size, header


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_int=_integer)
    except RecursionError:
        raise ValueError("a header that is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError("a header that is no JSON") from None


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a name stands twice in the header")
    return dict(pairs)


class _Entry(NamedTuple):
    """What a header says of a tensor: the name of its type, its shape, where its bytes are."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


def _held_entry(entry: Any, name: str) -> _Entry:
    if not isinstance(entry, dict):
        raise ValueError(f"tensor {short(name)} has no description")
    kind, shape, place = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(kind, str):
        raise ValueError("a type of numbers that is unknown: none")
    whole = isinstance(place, list) and len(place) == 2 and all(type(n) is int for n in place)
    if not isinstance(place, list) or not whole:
        raise ValueError("a tensor without its place in the data")
    return _Entry(kind, held_shape(shape), *place)


def _hold_apart(entries: Mapping[str, _Entry], size: int) -> None:
    """Hold the tensors to the format's rule: one behind the other, without gap or overlap."""
    end = 0
    for begin, following in sorted((entry.begin, entry.end) for entry in entries.values()):
        if begin != end or following < begin:
            raise ValueError("tensors overlap or leave a gap")
        end = following
    if end != size:
        raise ValueError("the data is longer or shorter than its tensors")


def _array(blob: bytes, start: int, entry: _Entry) -> NDArray[Any] | StrangeTensor:
    kind = SAFETENSORS.get(entry.kind)
    if kind is None:
        return StrangeTensor(f"a type of numbers that is unknown: '{short(entry.kind)}'")
    if entry.end - entry.begin != math.prod(entry.shape) * width(kind):
        raise ValueError("a shape does not fit its data")
    data = memoryview(blob)[start + entry.begin : start + entry.end]
    return decode(data, kind).reshape(entry.shape).copy()


def write_mask(path: Path, mask: Mapping[str, NDArray[np.bool_]], *, flush: bool = True) -> None:
    """Write a mask (layer name to boolean array) with eight weights a byte."""
    packed = {_kept_as(name): np.packbits(array.ravel()) for name, array in mask.items()}
    shapes = {name: list(array.shape) for name, array in mask.items()}
    metadata = {"format": "rgtool-mask-1", "shapes": json.dumps(shapes)}
    write_tensors(path, packed, metadata, flush=flush)


def _kept_as(layer: str) -> str:
    """Return the name of a layer in a file: that of the format's own entry gets a sign before it.

    So do the names that this makes, and no two layers share one.
    """
    return f"_{layer}" if re.fullmatch(f"_*{_METADATA}", layer) else layer


def read_mask(path: Path) -> dict[str, NDArray[np.bool_]]:
    """Read a mask that `write_mask` wrote.

    Raises
    ------
    RecordError
        The file is damaged or holds no mask.
    """
    packed, metadata = read_tensors(path)
    if metadata.get("format") != "rgtool-mask-1":
        raise RecordError(f"{path}: holds no mask of rgtool")
    try:
        shapes = _json(metadata.get("shapes", "null"))
        if not isinstance(shapes, dict):
            raise ValueError("no shapes of its layers")
        return {name: _unpack(packed.get(_kept_as(name)), held_shape(shapes[name]), name)
                for name in shapes}  # fmt: skip
    except ValueError as error:
        raise RecordError(f"{path}: not a whole mask ({short(error)})") from None


def _unpack(packed: NDArray[Any] | None, shape: tuple[int, ...], name: str) -> NDArray[np.bool_]:
    if packed is None or packed.dtype != np.uint8 or packed.ndim != 1:
        raise ValueError(f"no packed layer {short(name)}")
    size = math.prod(shape)
    if packed.size != -(-size // 8):
        raise ValueError(f"{packed.size} bytes do not fit the shape {shape}")
    return np.unpackbits(packed, count=size).astype(np.bool_).reshape(shape)
