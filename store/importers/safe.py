"""Small files of strangers: sums and texts. Checkpoints are read by `schemas.torch_files`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ...schemas.files import open_file
from .found import Unreadable

_TEXT_LIMIT = 64 << 20


def digest(path: Path) -> str:
    """Return the sha256 of a file, hexadecimal.

    Raises
    ------
    Unreadable
        It cannot be read.
    """
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read ({error.strerror})") from None


def read_text(path: Path) -> str:
    """Read a small text file, past its byte order mark; what is not UTF-8 in it is replaced.

    Raises
    ------
    Unreadable
        It cannot be read or is far too large for what it is.
    """
    try:
        with open_file(path) as file:
            data = file.read(_TEXT_LIMIT + 1)
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > _TEXT_LIMIT:
        raise Unreadable(f"{path}: too large for a text of its kind")
    return data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
