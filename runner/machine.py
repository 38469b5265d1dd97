"""What a run was computed on: recorded, since bit-identity is promised for equal machines only."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import platform
import sys
from collections.abc import Mapping
from typing import Any

import torch

from ..schemas.errors import RgtoolError, UsageError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
THREADS = 1  # of a process, unless more are asked for: bits are those of the number of threads


def device(name: str = "auto") -> torch.device:
    """Choose a device; `auto` takes a GPU where there is one.

    Raises
    ------
    UsageError
        The name is no device.
    RgtoolError
        The device is not there.
    """
    name = name.lower()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
    except RuntimeError:
        raise UsageError(f"device '{name}' is unknown: use auto, cpu, cuda or cuda:1") from None
    if chosen.type not in ("cpu", "cuda"):
        raise UsageError(f"device '{name}' is not supported: use auto, cpu, cuda or cuda:1")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise RgtoolError(
            f"device '{name}': torch {torch.__version__} sees no GPU; use --device cpu"
        )
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise RgtoolError(
            f"device '{name}': there are {torch.cuda.device_count()} GPUs, counted from cuda:0"
        )
    return chosen


def workers(chosen: torch.device) -> int:
    """Return how many processes compute at once: one a core on a CPU, one on a GPU."""
    if chosen.type != "cpu" or multiprocessing.current_process().daemon:  # it may start no others
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> int | None:
    """Return the bytes of memory that the machine has, where the system tells."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def prepare(chosen: torch.device, precision: str = "float32", threads: int = THREADS) -> None:
    """Make results repeatable: threads, deterministic kernels, no less precision than asked."""
    torch.set_num_threads(threads)
    if chosen.type == "cpu":
        _hold_memory()
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    if chosen.type == "cuda":
        if chosen.index is not None:
            torch.cuda.set_device(chosen)
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"


def _hold_memory() -> None:
    """Let what is freed stay with the process, where its C library is glibc.

    Else the blocks of large tensors go back to the system at every step and come again page by
    page: a twentieth to a twelfth of the time that a ResNet or VGG trains.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # other libraries, other systems
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def describe(chosen: torch.device) -> dict[str, Any]:
    """Return device, threads, instruction set and determinism."""
    gpu = chosen.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(chosen) if gpu else "cpu",
        "threads": torch.get_num_threads(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "deterministic": True,
        "platform": platform.platform(),
        "processor": platform.machine(),
    }


# What moves the bits of a run that goes on under other conditions.
_MATTERS = ("data_sha256", "torch", "device", "threads", "instruction_set", "kernels")


def changes(before: Mapping[str, Any], now: Mapping[str, Any], run: str) -> list[str]:
    """Say what differs, of all that moves bits, between two times that a run was worked on.

    Raises
    ------
    RgtoolError
        The data are others.
    """
    found = []
    for name in _MATTERS:
        if name in before and before[name] != now[name]:
            change = f"{name} was {before[name]}, is {now[name]}"
            if name == "data_sha256":
                raise RgtoolError(
                    f"{run} began on other data ({change}): bring the same files, or use another "
                    "store"
                )
            found.append(change)
    return found


def versions() -> dict[str, str]:
    """Return the versions of everything that computes."""
    import numpy
    import pyarrow

    from .. import __version__

    return {
        "rgtool": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "pyarrow": pyarrow.__version__,
    }


def peak_memory(chosen: torch.device) -> int | None:
    """Return the peak memory in bytes: of the GPU, or of this process (None where unknown)."""
    if chosen.type == "cuda":
        return int(torch.cuda.max_memory_reserved(chosen))
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
