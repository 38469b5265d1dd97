"""Locks that die with their process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import RgtoolError


class Locked(RgtoolError):
    """Another living process holds the lock."""


@contextmanager
def lock(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path`; the kernel frees it when the process ends, however it ends.

    Parameters
    ----------
    path : Path
        A file that exists only to be locked; it holds the process id for the message.
    what : str
        What is locked, as the subject of the message.

    Raises
    ------
    Locked
        Another process holds it; the message names `what` and that process.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no flock: two processes are then not told apart
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise Locked(f"{what} is in the hands of another process (id {holder})") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
