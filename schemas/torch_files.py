"""Files of `torch.save`, looked at before torch opens them: nothing grows beyond their size.

What a file may hold is decided here, without torch; loading with `weights_only=True` follows.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

from . import pickles
from .errors import Refused, Unreadable

_ZIP, _GZIP, _LFS = b"PK\x03\x04", b"\x1f\x8b", b"version https://git-lfs"
_MAX_UNPACKED = 1 << 30  # bytes of a gzip'd file; a mask of BERT in int32 has a third of that
_MAX_PICKLE = 64 << 20  # bytes of the pickle in a checkpoint; that of a ResNet-152 has .2 MB
_LEGACY_PARTS = 5  # pickles in a row at the start of a file of torch before 1.6


def open_torch(path: Path) -> tuple[Path | io.BytesIO, int, bool]:
    """Look at a file before torch does.

    Returns
    -------
    source : Path or BytesIO
        What to load: the file, or what a gzip'd one unpacks to.
    size : int
        Bytes that it holds: no tensor in it may be larger.
    zipped : bool
        Whether it is a zip archive, which can be mapped into memory.

    Raises
    ------
    Unreadable
        It is empty, cut off or something else.
    Refused
        It would execute code, or unpacks to more than it holds.
    """
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
        data = _read_archive(path)
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


def _read_archive(path: Path) -> bytes:
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
