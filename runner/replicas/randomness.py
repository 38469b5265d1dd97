"""One independent random stream for every purpose."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator that depends on the seed and on what it is used for.

    Streams are drawn on the CPU whatever the device, so that a GPU sees the same initial weights,
    the same order and the same crops. A stream per purpose and epoch means that no draw depends
    on how many were made before it: training can begin in the middle.

    Examples
    --------
    >>> generator(0, "order", 3).initial_seed() == generator(0, "order", 3).initial_seed()
    True
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@contextlib.contextmanager
def seeded(device: torch.device, seed: int, *purpose: str | int) -> Iterator[None]:
    """Let PyTorch's global generators follow from seed and purpose, and be as before afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(generator(seed, *purpose).initial_seed())
        yield
