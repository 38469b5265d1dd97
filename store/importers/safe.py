"""Small files of strangers: sums and texts. Checkpoints are read by `schemas.tensors`."""

from __future__ import annotations

import codecs
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
    """Read a small text file, past its byte order mark; what is no text in it is replaced.

    It is UTF-8, or by its byte order mark UTF-16.

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
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if wide else "utf-8-sig", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")
