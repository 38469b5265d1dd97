"""TOML files that users write: recipes and block maps."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path
from typing import Any

_LIMIT = 1 << 20  # bytes; such a file has a few lines


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is no TOML, no file, or nothing that a person wrote.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # reading a pipe or a device may never end
        raise ValueError("not a file")
    if found.st_size > _LIMIT:
        raise ValueError(f"{found.st_size} bytes are too many")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("nested too deep") from None
