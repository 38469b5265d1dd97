"""Sums that files carry in themselves: what a disk or a copy has changed is seen.

A file is made with a place for its sum, `PLACE` or `FOOTER_PLACE`: a mark and 64 zeros. Over all of
its bytes the SHA-256 is computed, zeros included, and takes their place. Whoever has the file can
check it with nothing else at hand, and every byte of it is covered, headers and footers too; the
name of a sum without one is damage. In
Parquet files the place is a value of the key-value metadata, in safetensors one of `__metadata__`,
in JSON a value near the beginning.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO

from .errors import RecordError
from .files import open_file

KEY = "rgtool_sum"  # the name of the value, in every format
_MARK = b"rgtool-sha256:"
# Another one in footers: statistics of texts stand there too, which may be those of descriptions.
_FOOTER_MARK = b"rgtool-parquet-sha256:"
_ZEROS = b"0" * 64
PLACE = (_MARK + _ZEROS).decode()
FOOTER_PLACE = (_FOOTER_MARK + _ZEROS).decode()
_BLOCK = 1 << 20
_HEAD = 1 << 16  # bytes at the beginning, among which the place is where it is not in a footer


def seal(blob: bytes) -> bytes:
    """Put the sum of a file in its place.

    Examples
    --------
    >>> holds(seal(f'{{"sum": "{PLACE}"}}'.encode()))
    True
    """
    at = _find_digits(io.BytesIO(blob), len(blob))
    if at is None or blob[at : at + 64] != _ZEROS:
        raise ValueError("there is no place for a sum")
    return blob[:at] + hashlib.sha256(blob).hexdigest().encode() + blob[at + 64 :]


def seal_file(path: Path) -> None:
    """Put the sum of a file in its place, down to the disk.

    Raises
    ------
    OSError
        The disk is full or broken.
    """
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        at = _find_digits(file, size)
        if at is None:
            raise ValueError(f"{path}: there is no place for a sum")
        found = _sha256(file, size, at)
        file.seek(at)
        file.write(found)
        file.flush()
        os.fsync(file.fileno())


def holds(blob: bytes) -> bool | None:
    """Tell whether the bytes of a file have the sum that they carry; None where they carry none."""
    return _holds(io.BytesIO(blob), len(blob))


def file_holds(path: Path | str) -> bool | None:
    """Tell whether a file has the sum that it carries; None where it carries none.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= _BLOCK:
            return holds(file.read())
        return _holds(file, size)


def hold(path: Path) -> None:
    """Hold a file to its sum; the same file is read once in a process.

    Raises
    ------
    RecordError
        It has another sum than it carries, or cannot be read.
    """
    try:
        if _remembered(str(path), *stamp(path.stat())) is False:
            raise RecordError(f"{path}: {WRONG}")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror})") from None


WRONG = (
    "its bytes are not those that were written (the sum differs): the disk or a copy has changed "
    "them, bring the file back from a copy"
)

EDITED = (  # of files that people edit
    "its bytes are not those that were written (the sum differs): bring it back from a copy, or, "
    f'if you have edited it, remove its line "{KEY}"'
)


def stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return what changes with a file: size, time of its data, time of its entry, inode."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


@functools.lru_cache(maxsize=1024)
def _remembered(path: str, *stamp: int) -> bool | None:
    return file_holds(path)


def _holds(file: BinaryIO, size: int) -> bool | None:
    at = _find_digits(file, size)
    if at is None:
        return False if _is_named(file, size) else None
    file.seek(at)
    return file.read(64) == _sha256(file, size, at)


def _find_digits(file: BinaryIO, size: int) -> int | None:
    """Find the digits of the sum: in the footer of a Parquet file, else at the beginning."""
    start, part, in_footer = _searched(file, size)
    mark = _FOOTER_MARK if in_footer else _MARK
    at = part.find(mark)
    if at < 0 or at + len(mark) + 64 > len(part):
        return None
    return start + at + len(mark)


def _is_named(file: BinaryIO, size: int) -> bool:
    """Tell whether the name of the sum stands there: then a missing mark is damage."""
    _, part, in_footer = _searched(file, size)
    # As Thrift and JSON write it, which is not how it stands in a text that quotes a description.
    name = KEY.encode()
    return (b"\x18\x0a" + name + b"\x18" if in_footer else b'"' + name + b'"') in part


def _searched(file: BinaryIO, size: int) -> tuple[int, bytes, bool]:
    """Read where the sum stands: the offset, the bytes, and whether they are a footer."""
    file.seek(max(0, size - 8))
    tail = file.read(8)
    in_footer = tail.endswith(b"PAR1")
    start = max(0, size - 8 - int.from_bytes(tail[:4], "little")) if in_footer else 0
    file.seek(start)
    return start, file.read(size - start if in_footer else min(size, _HEAD)), in_footer


def _sha256(file: BinaryIO, size: int, at: int) -> bytes:
    """Return the sum in digits, with zeros where it stands."""
    found = hashlib.sha256()
    file.seek(0)
    _feed(found, file, at)
    found.update(_ZEROS)
    file.seek(at + 64)
    _feed(found, file, size - at - 64)
    return found.hexdigest().encode()


def _feed(found: hashlib._Hash, file: BinaryIO, size: int) -> None:
    while size > 0 and (block := file.read(min(size, _BLOCK))):
        found.update(block)
        size -= len(block)
