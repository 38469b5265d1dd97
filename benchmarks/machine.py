"""What benchmarks share: the name of the machine, processes of their own, their memory."""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
from collections.abc import Callable
from pathlib import Path


def machine() -> str:
    """Name the processor and the number of cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def apart(call: Callable[..., None], *arguments: object) -> None:
    """Run something in a process of its own, so that its memory does not count here."""
    process = multiprocessing.get_context("spawn").Process(target=call, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{call.__name__} failed ({process.exitcode})")


def peak() -> float:
    """Return the peak memory of this process, MB."""
    status = Path("/proc/self/status")  # getrusage counts what the process was forked from too
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
