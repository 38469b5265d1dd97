"""Reading files of strangers: no code of theirs runs, and nothing grows beyond their size."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import pickles
from .found import Refused, Unreadable

if TYPE_CHECKING:
    import torch

_ZIP, _GZIP, _LFS = b"PK\x03\x04", b"\x1f\x8b", b"version https://git-lfs"
_MAX_UNPACKED = 1 << 30  # bytes of a gzip'd file; a mask of BERT in int32 has a third of that
_MAX_PICKLE = 64 << 20  # bytes of the pickle in a checkpoint; that of a ResNet-152 has .2 MB
_LEGACY_PARTS = 5  # pickles in a row at the start of a file of torch before 1.6
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
    source, size, zipped = _open(path)
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


def _open(path: Path) -> tuple[Path | io.BytesIO, int, bool]:
    """Look at a file before torch does: what to load, how many bytes it holds, is it a zip."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(len(_LFS))
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read ({error.strerror})") from None
    if size == 0:
        raise Unreadable(f"{path}: an empty file")
    if head == _LFS:
        raise Unreadable(f"{path}: a git-lfs pointer: fetch the file itself first (git lfs pull)")
    if head.startswith(_GZIP):
        data = _unpack(path)
        zipped = data.startswith(_ZIP)
        return _look(io.BytesIO(data), zipped, path), len(data), zipped
    with _Clipped(io.FileIO(path)) as stream:
        _look(stream, head.startswith(_ZIP), path)
    return path, size, head.startswith(_ZIP)


class _Clipped(io.BufferedReader):
    """A file whose `read` never allocates for more than there is, whatever a header claims."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most what is left."""
        if size is not None and size > 1 << 16:
            here = self.tell()
            left = self.seek(0, io.SEEK_END) - here
            self.seek(here)
            size = min(size, left)
        return super().read(size)


def _look(stream: Any, zipped: bool, path: Path) -> Any:
    if zipped:
        _look_into_zip(stream, path)
    else:
        for _ in range(_LEGACY_PARTS):
            pickles.inspect(stream, str(path))
    stream.seek(0)
    return stream


def _look_into_zip(stream: Any, path: Path) -> None:
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            # torch stores entries as they are: anything packed, or larger than the file, is not its
            # work and would be unpacked in memory.
            if any(e.compress_type != zipfile.ZIP_STORED for e in entries):
                raise Refused(f"{path}: a zip with packed entries, which torch never writes")
            if sum(e.file_size for e in entries) > size:
                raise Refused(f"{path}: a zip that claims to hold more than its {size} bytes")
            pickled = [e for e in entries if e.filename.endswith(("/data.pkl", "/constants.pkl"))]
            names = [e.filename.partition("/")[2] for e in pickled]
            if names.count("data.pkl") != 1:
                raise Unreadable(f"{path}: a zip without the data.pkl of a checkpoint")
            if "constants.pkl" in names:
                raise Refused(f"{path}: a TorchScript program: give a mask or a state dict instead")
            if pickled[0].file_size > _MAX_PICKLE:
                raise Refused(f"{path}: a pickle of {pickled[0].file_size} bytes")
            pickles.inspect(archive.read(pickled[0]), str(path))
            if (broken := archive.testzip()) is not None:  # torch looks at no check sum
                raise Unreadable(f"{path}: damaged, the check sum of {broken} does not hold")
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise Unreadable(f"{path}: no whole zip archive ({pickles.short(error)})") from None
    except (KeyError, RuntimeError, OverflowError, UnicodeError) as error:
        raise Unreadable(f"{path}: a damaged zip archive ({pickles.short(error)})") from None


def _unpack(path: Path) -> bytes:
    """Unpack a gzip'd file up to a limit."""
    unpacked = io.BytesIO()
    try:
        with gzip.open(path, "rb") as file:
            while part := file.read(1 << 20):
                unpacked.write(part)
                if unpacked.tell() > _MAX_UNPACKED:
                    raise Refused(f"{path}: unpacks to more than {_MAX_UNPACKED >> 20} MB")
    except MemoryError:
        raise Refused(f"{path}: unpacks to more than memory holds") from None
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"{path}: no whole gzip file ({pickles.short(error)})") from None
    return unpacked.getvalue()


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
