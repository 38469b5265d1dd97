"""Memory of the kernels: aligned arrays, and images that lie side by side in lanes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LANES = 16  # images side by side, as in kernels.c
PLANE_PAD = 4  # pixels between planes, as in kernels.c
_LINE = 64  # bytes of a cache line, and of the widest vector


def groups_of(images: int) -> int:
    """Count the groups of `LANES` images, the last one perhaps not full."""
    return -(-images // LANES)


def aligned(shape: int | tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return zeros that begin at a cache line, which NumPy's own need not do."""
    count = math.prod(shape) if isinstance(shape, tuple) else shape
    size = max(count, 1) * np.dtype(dtype).itemsize
    raw = np.zeros(size + _LINE, dtype=np.uint8)
    first = -raw.ctypes.data % _LINE
    return raw[first : first + size].view(dtype)[:count].reshape(shape)


def address(array: NDArray[Any] | None) -> int | None:
    """Return where an array begins, as ctypes takes it; None (NULL) for none."""
    return None if array is None else array.ctypes.data


@dataclass(frozen=True)
class Size:
    """Channels and pixels of planes."""

    channels: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Pixels of a plane."""
        return self.height * self.width

    def floats(self, images: int) -> int:
        """Count the floats of planes for so many images."""
        return groups_of(images) * self.channels * (self.pixels + PLANE_PAD) * LANES

    def after(self, channels: int, stride: int) -> Size:
        """Return the size behind a convolution or a pooling layer."""
        return Size(channels, -(-self.height // stride), -(-self.width // stride))


def zeros(images: int, size: Size) -> NDArray[np.float32]:
    """Return planes of zeros, shape (groups, channels, pixels + `PLANE_PAD`, `LANES`)."""
    return aligned((groups_of(images), size.channels, size.pixels + PLANE_PAD, LANES))


def to_lanes(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lay images of shape (B, C, H, W) out as planes; dead lanes are zero."""
    count, channels, height, width = images.shape
    planes = zeros(count, Size(channels, height, width))
    padded = np.zeros((len(planes) * LANES, channels, height * width), dtype=np.float32)
    padded[:count] = images.reshape(count, channels, -1)
    grouped = padded.reshape(len(planes), LANES, channels, -1)
    planes[:, :, : height * width] = grouped.transpose(0, 2, 3, 1)
    return planes


def from_lanes(planes: NDArray[np.float32], images: int, size: Size) -> NDArray[np.float32]:
    """Return planes as images of shape (B, C, H, W)."""
    found = planes[:, :, : size.pixels].transpose(0, 3, 1, 2)
    return found.reshape(-1, size.channels, size.height, size.width)[:images]


class Arena:
    """Memory that units use in turns, by name: each name is as large as the largest wish.

    Units reserve when they are made; the memory is taken when it is first used.
    """

    def __init__(self) -> None:
        self._floats: dict[str, int] = {}
        self._arrays: dict[str, NDArray[np.float32]] = {}

    def reserve(self, name: str, floats: int) -> None:
        """Ask for room."""
        self._floats[name] = max(floats, self._floats.get(name, 0))

    def array(self, name: str) -> NDArray[np.float32]:
        """Return the memory of a name."""
        if name not in self._arrays:
            self._arrays[name] = aligned(self._floats[name])
        return self._arrays[name]

    def at(self, name: str | None) -> int | None:
        """Return where the memory of a name begins; None (NULL) for none."""
        return None if name is None else address(self.array(name))
