"""Locks that die with their process, and file systems that have none."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import RgtoolError, StoreError
from .files import no_file

_PAUSE = 0.01  # seconds between two tries
_ANOTHER_DISK = (
    "name a store on another disk with --store and copy it here afterwards (cp -r), or "
    "mount with locks; on NFS where one machine alone writes: local_lock=flock"
)
# NFS without its lock service; file systems that never had locks; some that run in user space.
_WITHOUT = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class Locked(RgtoolError):
    """Another living process holds the lock."""


class NoLocks(StoreError):
    """The file system has no locks, so that processes cannot keep out of each other's way."""

    def __init__(self, folder: Path, reason: str, way_out: str = _ANOTHER_DISK) -> None:
        self.folder, self.reason = folder, reason
        super().__init__(
            f"{folder}: the file system there has no locks ({reason}), which keep two processes "
            "from writing the same run",
            way_out,
        )


@contextmanager
def lock(path: Path, what: str, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path`; the kernel frees it when the process ends, however it ends.

    Parameters
    ----------
    path : Path
        A file that exists only to be locked; it holds the process id for the message.
    what : str
        What is locked, as the subject of the message.
    wait : float
        Seconds to wait for another process to let go of it.

    Raises
    ------
    Locked
        Another process holds it still; the message names `what` and that process.
    NoLocks
        The file system has none.
    OSError
        The lock file cannot be made, or is no file; the message names it.

    Notes
    -----
    The process id is for messages alone: on a full disk the lock is held without it.
    """
    if sys.platform == "win32":  # no flock there: two processes are then not told apart
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fault := no_file(os.fstat(descriptor)):
            raise OSError(errno.EINVAL, fault, str(path))
        end = time.monotonic() + wait
        while not _take(descriptor, path.parent):
            if time.monotonic() >= end:
                holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
                raise Locked(f"{what} is in the hands of another process (id {holder})")
            time.sleep(_PAUSE)
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def _sign(descriptor: int) -> None:
    """Write the id of this process into a lock file that it holds, where the disk has room."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())


def holder(path: Path) -> str | None:
    """Return the id of the process that holds a lock file; None where nobody is known to."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:  # a shared lock, which a file system may ask no right to write for
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def check_locks(folder: Path) -> None:
    """Refuse a folder whose file system has no locks; nothing stays behind.

    A folder that is to be made is tried where its nearest parent lies; one that cannot be written
    passes: what is needed there is another message.

    Raises
    ------
    NoLocks
        The file system has none.
    """
    if sys.platform == "win32":
        return
    folder = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        _take(file.fileno(), folder)


def _take(descriptor: int, folder: Path) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _WITHOUT:
            raise NoLocks(folder, str(error.strerror)) from None
        raise
    return True
