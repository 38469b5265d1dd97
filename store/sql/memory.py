"""What DuckDB may take of the machine: memory, and room for what does not fit into it."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_SHARE = 0.7  # the rest is for results in Python and for what else runs
_LEAST_BYTES = 64 << 20


@functools.cache
def memory_for_queries() -> int:
    """Return the bytes that a database may take: 0.7 of what this process may use.

    That is the least of the machine's memory, the limits of its control groups (a container, a job
    of a cluster) and the limit of its address space (`ulimit -v`).
    """
    limits = [*_physical(), *_of_groups(), *_address_space()]
    return max(int(_SHARE * min(limits, default=4 << 30)), _LEAST_BYTES)


def _physical() -> Iterator[int]:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_groups(
    proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> Iterator[int]:
    """Read the limits of the control groups that this process is in, of either version."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        home, file = (
            (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        )
        inside = home / path.lstrip("/")
        # In a container the path is the host's and the limit lies at the root.
        for folder in (inside, *inside.parents):
            if folder.is_relative_to(home):
                yield from _limits_in(folder / file)


def _limits_in(path: Path) -> Iterator[int]:
    try:
        text = path.read_text().strip()
    except OSError:
        return
    if text.isdecimal():  # `max` where there is no limit
        yield int(text)


def _address_space() -> Iterator[int]:
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        yield limit


@functools.cache
def spill_folder() -> str:
    """Return a folder of this process alone, below `TMPDIR`, that is removed at its end.

    Empty, which means that nothing can be spilled, where no such folder can be made.
    """
    try:
        folder = tempfile.mkdtemp(prefix="rgtool-")
    except OSError:
        return ""
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked child leaves it to its parent
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return str(Path(folder, "spill"))  # DuckDB makes and removes it
