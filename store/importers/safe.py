"""Reading files of strangers: no code of theirs runs, and nothing grows beyond their size."""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...schemas import pickles
from ...schemas.torch_files import open_torch
from .found import Refused, Unreadable

if TYPE_CHECKING:
    import torch

_TEXT_LIMIT = 64 << 20


def digest(path: Path) -> str:
    """Return the sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path) -> str:
    """Read a small text file; what is not UTF-8 in it is replaced.

    Raises
    ------
    Unreadable
        It cannot be read or is far too large for what it is.
    """
    try:
        if path.stat().st_size > _TEXT_LIMIT:
            raise Unreadable(f"{path}: too large for a text of its kind")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read ({error.strerror})") from None


def read_torch(path: Path) -> Any:
    """Load a file of `torch.save` on the CPU: tensors, numbers, texts and containers of them.

    Raises
    ------
    Unreadable
        It is empty, cut off or something else.
    Refused
        It would execute code, or unpacks to more than it holds.
    """
    source, size, zipped = open_torch(path)
    import torch

    _allow_numpy_scalars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, on old formats
            found = torch.load(
                source, map_location="cpu", weights_only=True, mmap=zipped and source is path
            )
        _check_sizes(found, size, path)
    except Refused:
        raise
    except MemoryError:
        raise Refused(f"{path}: loading it takes more memory than there is") from None
    except Exception as error:  # torch raises whatever a broken file provokes
        reason = pickles.short(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise Unreadable(f"{path}: not a readable checkpoint ({reason})") from None
    return found


@functools.cache
def _allow_numpy_scalars() -> None:
    """Let through what real checkpoints hold beside tensors: numpy scalars, PrAC arrays too."""
    from _codecs import encode

    import torch
    from numpy._core.multiarray import _reconstruct, scalar

    old = "numpy.core.multiarray"  # where they were until numpy 2
    allowed: list[Any] = [scalar, (scalar, f"{old}.scalar"), np.dtype, np.ndarray, encode]
    allowed += [_reconstruct, (_reconstruct, f"{old}._reconstruct")]
    allowed += [type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"]
    torch.serialization.add_safe_globals(allowed)


def _check_sizes(found: Any, size: int, path: Path) -> None:
    """Refuse tensors that are larger than the file: repeated or resized storage."""
    for tensor in _tensors(found, depth=6):
        if tensor.numel() * tensor.element_size() > size:
            raise Refused(f"{path}: a tensor of shape {tuple(tensor.shape)} in {size} bytes")


def _tensors(found: Any, depth: int) -> list[torch.Tensor]:
    import torch

    if isinstance(found, torch.Tensor):
        return [found]
    if depth == 0:
        return []
    if isinstance(found, Mapping):
        found = list(found.values())
    if isinstance(found, list | tuple):
        return [tensor for item in found for tensor in _tensors(item, depth - 1)]
    return []


def to_array(value: Any, where: str) -> NDArray[Any]:
    """Return a dense tensor of numbers as an array, sharing its memory where it can.

    Raises
    ------
    Unreadable
        It is no tensor, or a sparse, quantized, complex or symbolic one.
    """
    import torch

    if not isinstance(value, torch.Tensor):
        raise Unreadable(f"{where}: a {type(value).__name__} where a tensor is due")
    if value.layout is not torch.strided or value.is_quantized or value.is_complex():
        raise Unreadable(f"{where}: a sparse, quantized or complex tensor where a dense one is due")
    if value.device.type != "cpu":
        raise Unreadable(f"{where}: a tensor without data")
    value = value.detach()
    if value.dtype is torch.bfloat16:
        value = value.float()
    try:
        array: NDArray[Any] = value.numpy()
        return array
    except (RuntimeError, TypeError) as error:
        raise Unreadable(f"{where}: no plain tensor ({pickles.short(error)})") from None
