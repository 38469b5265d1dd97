"""Files that are either whole or absent."""

from __future__ import annotations

import os
from pathlib import Path


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
