"""Files that are written whole or not at all, and opened only where they are files."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from .errors import Unreadable

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def open_file(path: Path) -> BufferedReader:
    """Open a file for reading; what is no file is refused, and nothing of it is waited for.

    Raises
    ------
    Unreadable
        It is a folder, a named pipe, a socket or a device.
    OSError
        It is not there, or may not be read.
    """
    # A pipe without a writer would block `open` for ever; a terminal would become ours.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    found = path.stat()
    if stat.S_ISREG(found.st_mode):
        file = os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb")
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it may have been exchanged since
            return file
        file.close()
    kind = next((name for of, name in _KINDS if of(found.st_mode)), "a device")
    raise Unreadable(f"{path}: {kind} where a file is due")


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
