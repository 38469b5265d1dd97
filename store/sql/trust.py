"""Which files of a store have been held to their sums.

DuckDB looks at no sum: a flipped bit would be another number in every answer. So a file that is
new to the store is read once before a query trusts it. What is remembered is a digest of size,
times and inode, of all records of a run together: a restored or replaced file differs in them. The
memory is only ever appended to; a line that is torn or missing costs one more look.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from ...schemas import sums
from ...schemas.files import open_for_arrow, read_file, write_atomic

MEMORY = ".seen"
_SPARE = 1000  # lines that may be out of date before the memory is written anew

Stamp = tuple[int, int, int, int]


class Trust:
    """The memory of a store.

    Parameters
    ----------
    store : Path
        The store; where it cannot be written, this object alone remembers.
    """

    def __init__(self, store: Path) -> None:
        self._path = store / MEMORY
        self._digests: dict[str, str] | None = None
        self._lines = 0
        self._new: list[str] = []

    def knows(self, name: str, stamps: Iterable[Stamp]) -> bool:
        """Tell whether these files have been looked at as they are.

        Parameters
        ----------
        name : str
            What they are together: a run, or a file of `compact/`.
        stamps : iterable of Stamp
            Of each of them.
        """
        return self._known().get(name) == _stamps_digest(stamps)

    def add(self, name: str, stamps: Iterable[Stamp]) -> None:
        """Remember that these files are as they were written."""
        if "\n" not in name:
            self._known()[name] = digest = _stamps_digest(stamps)
            self._new.append(f"{digest} {name}\n")

    def save(self) -> None:
        """Write what is new to the store, where that is possible."""
        if not self._new:
            return
        known, new, self._new = self._known(), self._new, []
        self._lines += len(new)
        with contextlib.suppress(OSError):
            # Appending to a pipe would wait for its reader; whatever is no file is replaced.
            if self._lines > 2 * len(known) + _SPARE or not self._path.is_file():
                lines = [f"{digest} {name}\n" for name, digest in known.items()]
                self._lines = len(lines)
                write_atomic(self._path, os.fsencode("".join(lines)), flush=False)
                return
            with self._path.open("ab") as file:
                file.write(os.fsencode("".join(new)))

    def _known(self) -> dict[str, str]:
        if self._digests is None:
            text = ""
            with contextlib.suppress(OSError):
                text = os.fsdecode(read_file(self._path))
            lines = [line.split(" ", 1) for line in text.split("\n") if " " in line]
            self._lines = len(lines)
            self._digests = {name: digest for digest, name in lines}
        return self._digests


def rot(path: str) -> str | None:
    """Read a file and say what is wrong with its bytes; None if nothing is, or it is gone.

    A file that carries its sum is held to it. Of others the pages are read, and held to the sums
    that each may carry.
    """
    try:
        whole = sums.file_holds(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if whole is None:
        return _unreadable(path)
    return None if whole else sums.WRONG


def _unreadable(path: str) -> str | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_for_arrow(path) as opened:
            file = pq.ParquetFile(opened, page_checksum_verification=True)
            for group in range(file.num_row_groups):
                file.read_row_group(group)
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"not a readable Parquet file ({reason})"
    return None


def _stamps_digest(stamps: Iterable[Stamp]) -> str:
    return hashlib.blake2b(repr([*stamps]).encode(), digest_size=8).hexdigest()
