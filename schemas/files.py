"""Files that are written whole or not at all, and opened only where they are files.

Arrow gets files and bytes of its own. Its threads may let go of what they read a moment after the
reading is done, and one that lets go of what is Python's while the interpreter ends aborts the
process.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# A pipe without a writer would block the opening for ever; a terminal would become ours.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
# What SMB, 9p, VirtualBox's shares and some file systems in user space say of a folder to flush.
_NOT_FLUSHED = (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP)
# What a system or a file system that cannot exchange says: NFS, 9p, some in user space.
_NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_EXCHANGE = 2  # the flag: RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_HERE = -100  # AT_FDCWD of Linux
_FILE_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def open_file(path: Path | str) -> BufferedReader:
    """Open a file for reading; what is no file is refused, and nothing of it is waited for.

    Raises
    ------
    OSError
        It is not there, may not be read, or is a folder, a named pipe, a socket or a device.
    """
    fault = no_file(os.stat(path))  # noqa: PTH116 (a text is no path, and making one takes longer)
    if fault is None:
        file = open(os.open(path, _FLAGS), "rb")  # noqa: PTH123, SIM115 (the caller closes it)
        fault = no_file(os.fstat(file.fileno()))  # it may have been exchanged since
        if fault is None:
            return file
        file.close()
    raise OSError(errno.EINVAL, fault)


def no_file(status: os.stat_result) -> str | None:
    """Say what is there in place of a file; None where it is one."""
    if stat.S_ISREG(status.st_mode):
        return None
    kind = next((name for of, name in _FILE_KINDS if of(status.st_mode)), "a device")
    return f"{kind} where a file is due"


def read_file(path: Path | str, most: int | None = None) -> bytes:
    """Read a file to its end.

    Parameters
    ----------
    path : Path or str
        The file.
    most : int, optional
        Bytes it may have.

    Raises
    ------
    OSError
        It cannot be read, is no file, or is larger than `most`.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, at most {most:,} are expected")
        return file.read()


def open_for_arrow(path: Path | str) -> pa.NativeFile:
    """Open a file for Arrow; errors are those of `open_file`."""
    import pyarrow as pa

    with open_file(path):
        return pa.OSFile(os.fspath(path))


def bytes_for_arrow(data: bytes) -> pa.NativeFile:
    """Copy bytes to where Arrow reads them as a file."""
    import pyarrow as pa

    copy = pa.BufferOutputStream()
    copy.write(data)
    return pa.BufferReader(copy.getvalue())


def write_atomic(path: Path, data: bytes, *, flush: bool = True) -> None:
    """Write `data` to `path` so that no reader ever sees part of it.

    A temporary file in the same folder is written, flushed to the disk and renamed over `path`;
    then the folder is flushed where it can be, so that the name survives a power cut. On any
    failure the temporary file is removed and `path` is as it was.

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
        flush_path(path.parent)


def exchange(one: Path, other: Path) -> bool:
    """Let two folders or files change places in one step; False where that cannot be done.

    Raises
    ------
    OSError
        One is missing, or the folder is not writable.
    """
    import ctypes

    if sys.platform not in ("linux", "darwin"):
        return False
    library, names = ctypes.CDLL(None, use_errno=True), (os.fsencode(one), os.fsencode(other))
    try:
        if sys.platform == "linux":
            failed = library.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE)
        else:
            failed = library.renamex_np(*names, _EXCHANGE)
    except AttributeError:  # an older library
        return False
    code = ctypes.get_errno() if failed else 0
    if code and code not in _NO_EXCHANGE:
        raise OSError(code, os.strerror(code), str(one), None, str(other))
    return not failed


def flush_tree(folder: Path) -> None:
    """Flush every file and folder under `folder` to the disk.

    Raises
    ------
    OSError
        The disk is full or broken.
    """
    for path in [*folder.rglob("*"), folder]:
        flush_path(path)


def flush_path(path: Path) -> bool:
    """Flush a file or a folder to the disk; False for a folder where the system cannot do that.

    A file system that refuses folders keeps its names in its own way: there is nothing to do.

    Raises
    ------
    OSError
        The disk is full or broken.
    """
    folder = path.is_dir()
    if folder and os.name != "posix":  # there a folder cannot be opened for flushing
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not folder or error.errno not in _NOT_FLUSHED:
            raise
        return False
    finally:
        os.close(descriptor)
    return True
