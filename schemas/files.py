"""Files that are either whole or absent."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from .errors import Unreadable

_MOST_TOML = 1 << 20  # bytes of a file that people write by hand


def check_regular(path: Path) -> os.stat_result:
    """Hold a path to a regular file, before it is opened: a FIFO would keep its reader waiting.

    Raises
    ------
    Unreadable
        It is something else, or not there.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        raise Unreadable("no such file") from None
    except (OSError, ValueError) as error:
        raise Unreadable(getattr(error, "strerror", None) or str(error)) from None
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable("it is no file")
    return found


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file that a person has written.

    Raises
    ------
    Unreadable
        It is no file, too large, cannot be read, or is no TOML; the message does not name it.
    """
    if check_regular(path).st_size > _MOST_TOML:
        raise Unreadable(f"it is larger than {_MOST_TOML >> 20} MB")
    try:
        with path.open("rb") as file:
            return tomllib.loads(file.read(_MOST_TOML + 1).decode())
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # numbers of 5000 digits, 5000 brackets
        raise Unreadable(f"no TOML ({error}); a line is written name = value") from None


def write_atomic(path: Path, data: bytes, *, flush: bool = True) -> None:
    """Write `data` to `path` so that no reader ever sees part of it.

    A temporary file in the same folder is written, flushed to the disk and renamed over `path`;
    then the folder is flushed, so that the name survives a power cut. On any failure the
    temporary file is removed and `path` is as it was.

    Parameters
    ----------
    path : Path
        The file.
    data : bytes
        All of it.
    flush : bool
        False leaves the flushing to `flush_tree`, which does many files at the price of a few.

    Raises
    ------
    OSError
        The folder is missing or not writable, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if flush:
        _flush(path.parent)


def flush_tree(folder: Path) -> None:
    """Flush every file and folder under `folder` to the disk.

    Raises
    ------
    OSError
        The disk is full or broken.
    """
    for path in [*folder.rglob("*"), folder]:
        _flush(path)


def _flush(path: Path) -> None:
    if os.name != "posix" and path.is_dir():  # there a folder cannot be opened for flushing
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
