"""Files of `numpy.save` and `numpy.savez`, read without unpickling and within what they hold.

An array of objects, such as a list of masks, is a pickle inside: it is read as data by `pickles`.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ..errors import Refused, Unreadable
from .budget import Budget
from .contents import Contents, Stream, unpacked_limit
from .pickles import read_pickle
from .stored import Strange, held_shape, short

NPY = b"\x93NUMPY"  # what a file of one array begins with
_SUFFIX = ".npy"


def read_npy(contents: Contents) -> Any:
    """Read a file of `numpy.save`: an array, or what an array of objects holds.

    Raises
    ------
    Unreadable
        It is cut off, or something else.
    Refused
        It would execute code, or builds more than it holds.
    """
    return _array(Stream(contents), contents.size, contents.where)


def is_npz(contents: Contents) -> bool:
    """Tell whether a zip archive is one of `numpy.savez`, by the names in it."""
    try:
        with zipfile.ZipFile(Stream(contents)) as archive:
            names = archive.namelist()
    except Exception:  # reading it will say what is wrong
        return False
    return bool(names) and all(name.endswith(_SUFFIX) for name in names)


def read_npz(contents: Contents) -> dict[str, Any]:
    """Read a file of `numpy.savez`, packed or not: its arrays by name.

    Raises
    ------
    Unreadable
        It is cut off, or something else.
    Refused
        It would execute code, or unpacks to more than any checkpoint.
    """
    where = contents.where
    try:
        with zipfile.ZipFile(Stream(contents)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > unpacked_limit(contents.size):
                raise Refused(f"{where}: arrays that unpack to more than a file of that size holds")
            if len({entry.filename for entry in entries}) < len(entries):
                raise Refused(f"{where}: a zip with two arrays of one name")
            return {e.filename.removesuffix(_SUFFIX): _entry(archive, e, where) for e in entries}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError) as error:
        raise Unreadable(f"{where}: no whole npz file ({short(error)})") from None
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in an unusual way
        raise Refused(f"{where}: a zip that numpy does not write ({short(error)})") from None


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str) -> Any:
    with archive.open(entry) as file:
        data = file.read(entry.file_size)
        if len(data) < entry.file_size or file.read(1):
            raise ValueError("an array of another size than the archive says")
    return _array(io.BytesIO(data), len(data), f"{where}, {short(entry.filename)}")


def _array(stream: io.BufferedReader | io.BytesIO, size: int, where: str) -> Any:
    """Read one array from the start of a stream of `size` bytes."""
    try:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
        held_shape(shape)
        left = size - stream.tell()
        if dtype.hasobject:
            return read_pickle(stream, Budget(size, where), _no_storage)
        if dtype.kind in "SUMmV" and math.prod(shape) * dtype.itemsize == left:
            return Strange(f"a numpy array of {short(str(dtype))}")
        if dtype.kind not in "biufc" or math.prod(shape) * dtype.itemsize != left:
            raise ValueError(f"{left} bytes for an array of {dtype} and shape {shape}")
        flat = np.frombuffer(stream.read(left), dtype)
        native = flat.astype(dtype.newbyteorder("="), copy=False)
    except (ValueError, EOFError, SyntaxError, OverflowError, RecursionError) as error:
        raise Unreadable(f"{where}: no whole array of numpy ({short(error)})") from None
    return native.reshape(shape, order="F" if fortran else "C")


def _no_storage(identity: tuple[Any, ...]) -> Any:
    raise ValueError("a reference to a storage in an array of numpy")
