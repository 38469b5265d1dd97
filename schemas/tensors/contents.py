"""The bytes of a stranger's file: on disk, or unpacked into memory.

They are read where they are asked for and not mapped: a file that shrinks under a map ends the
process.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from pathlib import Path
from typing import Any, Protocol

from ..errors import Refused, Unreadable
from ..files import open_file
from .stand_ins import HEAD, stand_in

_GZIP = b"\x1f\x8b"
# Bytes of a gzip'd file: masks of BERT in int32 have a third of it, and shrink a hundredfold.
_MAX_UNPACKED, _FREE, _MAX_RATIO = 1 << 30, 200 << 20, 100


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


def open_contents(path: Path) -> Contents:
    """Open a file; one that is gzip'd is unpacked, up to a limit.

    Raises
    ------
    Unreadable
        It cannot be read, or is something that only stands for the file (`stand_ins`).
    Refused
        It unpacks to more than any checkpoint.
    """
    contents: Contents = OnDisk(path)
    if contents.read(0, len(_GZIP)) == _GZIP:
        contents = _unpacked(path)
    if (fault := stand_in(bytes(contents.read(0, HEAD)))) is not None:
        raise Unreadable(f"{path}: {fault}")
    return contents


def _unpacked(path: Path) -> Unpacked:
    unpacked = bytearray()
    try:
        with open_file(path) as packed, gzip.open(packed, "rb") as file:
            size = packed.seek(0, io.SEEK_END)
            packed.seek(0)
            limit = unpacked_limit(size)
            while part := file.read(1 << 20):
                unpacked += part
                if len(unpacked) > limit:
                    raise Refused(f"{path}: unpacks to more than {limit >> 20} MB")
    except MemoryError:
        raise Refused(f"{path}: unpacks to more than memory holds") from None
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"{path}: no whole gzip file ({error})") from None
    return Unpacked(unpacked, str(path))


def unpacked_limit(size: int) -> int:
    """Return the bytes that a packed file of `size` bytes may unpack to."""
    return min(_MAX_UNPACKED, _FREE + _MAX_RATIO * size)


class _Raw(io.RawIOBase):
    """The bytes of a file as a stream."""

    def __init__(self, contents: Contents) -> None:
        self._contents, self._at = contents, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._contents.read(self._at, self._at + len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._contents.size}[whence]
        if start + offset < 0:
            raise OSError("before the start of the file")
        self._at = start + offset
        return self._at


class Stream(io.BufferedReader):
    """A stream whose `read` never allocates for more than there is, whatever a header claims."""

    def __init__(self, contents: Contents) -> None:
        super().__init__(_Raw(contents), 1 << 16)
        self._size = contents.size

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most `size` bytes, all that are left where it is negative."""
        if size is not None and size > 1 << 16:
            size = min(size, max(0, self._size - self.tell()))
        return super().read(size)
