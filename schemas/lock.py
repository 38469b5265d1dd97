"""Locks that die with their process, and file systems that have none."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .errors import RgtoolError, StoreError
from .files import no_file, open_file

_PAUSE = 0.01  # seconds between two tries
_GLANCE = 0.05  # seconds in which whoever only asks who holds a lock has let go of it
_LONGEST = 512  # bytes of what a lock file tells
_ANOTHER_DISK = (
    "name a store on another disk with --store and copy it here afterwards (cp -r), or "
    "mount with locks; on NFS where one machine alone writes: local_lock=flock"
)
# NFS without its lock service; file systems that never had locks; some that run in user space.
_WITHOUT = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class Locked(RgtoolError):
    """Another living process holds the lock."""


class Holder(NamedTuple):
    """The process that holds a lock, as the lock file names it.

    Attributes
    ----------
    process : str
        Its id, or `unknown`.
    host : str
        The machine that it runs on; empty where the file does not tell.
    """

    process: str
    host: str = ""

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine, as far as anything tells."""
        return self.host in ("", platform.node())

    def __str__(self) -> str:
        return f"{self.process} on {self.host}" if self.host else self.process


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
        A file that exists only to be locked. It tells who holds it, and nothing once that process
        has let go of it; of one that was killed it goes on telling.
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
    What the file tells is for people alone: on a full disk the lock is held without it.
    """
    if sys.platform == "win32":  # no flock there: two processes are then not told apart
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fault := no_file(os.fstat(descriptor)):
            raise OSError(errno.EINVAL, fault, str(path))
        end = time.monotonic() + max(wait, _GLANCE)
        while not _take(descriptor, path.parent):
            if time.monotonic() >= end:
                who = _named(descriptor)
                raise Locked(f"{what} is in the hands of another process (id {who})")
            time.sleep(_PAUSE)
        _tell(descriptor, f"{os.getpid()} {platform.node()}\n")
        try:
            yield
        finally:
            _tell(descriptor, "")
    finally:
        os.close(descriptor)


def _tell(descriptor: int, text: str) -> None:
    """Let a lock file that is held tell something, where the disk has room."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _named(descriptor: int) -> Holder:
    return _parsed(os.pread(descriptor, _LONGEST, 0))


def _parsed(data: bytes) -> Holder:
    """Read who holds a lock file, or was killed holding it."""
    process, _, host = data.decode(errors="replace").partition("\n")[0].strip().partition(" ")
    return Holder(process or "unknown", host.strip())


def signed(path: Path) -> Holder | None:
    """Return whom a lock file tells of; None where the last to hold it has let go of it.

    Whether that process lives is another question, which `holder` answers as far as locks reach.
    """
    with contextlib.suppress(OSError), open_file(path) as file:
        data = file.read(_LONGEST)
        return _parsed(data) if data else None
    return None


def holder(path: Path) -> Holder | None:
    """Return the process that holds a lock file; None where nobody is known to."""
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
        return _named(descriptor)
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
