"""Locks that die with their process."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import RgtoolError
from .files import no_file

_PAUSE = 0.01  # seconds between two tries


class Locked(RgtoolError):
    """Another living process holds the lock."""


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
    OSError
        The lock file cannot be made, or is no file; the message names it.
    """
    if sys.platform == "win32":  # no flock there: two processes are then not told apart
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fault := no_file(os.fstat(descriptor)):
            raise OSError(errno.EINVAL, fault, str(path))
        end = time.monotonic() + wait
        while not _take(descriptor):
            if time.monotonic() >= end:
                holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
                raise Locked(f"{what} is in the hands of another process (id {holder})")
            time.sleep(_PAUSE)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
