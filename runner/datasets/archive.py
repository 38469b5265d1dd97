"""Arrays of an npz archive of anybody's: what is announced is checked before it is read."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import RgtoolError
from ...schemas.files import open_file

_HEADER = 10_000  # bytes of a header: NumPy's own bound, and it reads headers as Python literals
# Images compress by 2 to 20; what does so a hundredfold is a bomb, unless it is small all the same.
_MOST_RATIO, _SMALL = 100, 64 << 20


def read_arrays(path: Path, names: Sequence[str]) -> list[NDArray[Any]]:
    """Read named arrays of plain numbers from an npz archive.

    Nothing is unpickled, and nothing is allocated before the announced shape has been held to the
    bytes that are there.

    Parameters
    ----------
    path : Path
        The archive.
    names : sequence of str
        Arrays, in the order of the result.

    Raises
    ------
    RgtoolError
        There is no such file, it is no archive, an array is missing, is no array of plain numbers,
        is damaged or encrypted, or unpacks to far more than the file holds.
    """
    try:
        file = open_file(path)
    except (OSError, ValueError) as error:
        absent = isinstance(error, FileNotFoundError)
        why = "no such file" if absent else getattr(error, "strerror", None) or str(error)
        raise RgtoolError(f"{path}: {why}; npz:FILE names an archive of arrays") from None
    try:
        with file, zipfile.ZipFile(file) as archive:
            known = set(archive.namelist())
            lacking = [name for name in names if f"{name}.npy" not in known]
            if lacking:
                raise RgtoolError(
                    f"{path}: array '{lacking[0]}' is missing; {', '.join(names)} are expected"
                )
            return [_read_member(path, archive, name) for name in names]
    except RgtoolError:
        raise
    except Exception as error:  # see below
        raise RgtoolError(
            f"{path}: not an archive of plain arrays ({_first_line(error)})"
        ) from None


def _read_member(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    member = archive.getinfo(f"{name}.npy")
    if member.file_size > max(_SMALL, _MOST_RATIO * path.stat().st_size):
        raise RgtoolError(
            f"{path}: {name} unpacks to {member.file_size} bytes, more than {_MOST_RATIO} times "
            "the file: no images do"
        )
    try:
        with archive.open(member) as file:
            return _read_array(file, member.file_size)
    except MemoryError:
        raise RgtoolError(f"{path}: {name} does not fit into memory") from None
    # Damage reaches zipfile, the decompressors, NumPy and the parser of its headers, and each of
    # them raises errors of its own: RuntimeError where it is encrypted, NotImplementedError, ...
    except Exception as error:
        raise RgtoolError(
            f"{path}: {name} is no array of plain numbers ({_first_line(error)})"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _read_array(file: IO[bytes], size: int) -> NDArray[Any]:
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, in_columns, dtype = read_header(file, max_header_size=_HEADER)
    if dtype.kind not in "biuf":
        raise ValueError(f"it holds {dtype}")
    expected, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or expected != there:
        raise ValueError(f"{dtype} of shape {shape} takes {expected} bytes, and {there} are there")
    data, read = np.empty(there, np.uint8), 0
    while count := file.readinto(data[read : read + (1 << 20)]):  # type: ignore[attr-defined]
        read += count  # to the end, where the sum is checked
    if read != there:
        raise ValueError(f"it ends after {read} of {there} bytes")
    return data.view(dtype).reshape(shape, order="F" if in_columns else "C")
