"""TOML files that users write: recipes and block maps."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from .errors import Unreadable
from .files import read_file

_MOST = 1 << 20  # bytes; such a file has a few lines


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file that a person has written; it may begin with a byte order mark.

    Raises
    ------
    Unreadable
        It is no file, too large, cannot be read, or is no TOML; the message does not name it.
    """
    try:
        return tomllib.loads(read_file(path, _MOST).decode("utf-8-sig"))
    except FileNotFoundError:
        raise Unreadable("no such file") from None
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from None
    except RecursionError:
        raise Unreadable("no TOML (nested too deep)") from None
    except ValueError as error:  # also numbers of 5000 digits
        raise Unreadable(f"no TOML ({error}); a line is written name = value") from None
