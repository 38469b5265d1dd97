"""A store that looks like another one and may be written to, so that an import can be tried out.

Its folders are its own, its files are links to those of the other: rgtool replaces files and never
writes into them, so that whatever is done to it leaves the other as it is. What is written into,
locks and what was seen of its files, it has of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...sql.trust import MEMORY
from .staging import FOLDER


@contextmanager
def rehearsed(store: Path) -> Iterator[Path]:
    """Hand out a store to try things out on; it is gone afterwards.

    Parameters
    ----------
    store : Path
        The store that it looks like; one that is not there yet looks empty.

    Raises
    ------
    OSError
        There is no space for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="rgtool-dry-run-", ignore_cleanup_errors=True) as name:
        copy = Path(name) / "store"
        if store.is_dir():
            _link(store.absolute(), copy)
        yield copy


def _link(store: Path, copy: Path) -> None:
    """Make the folders of a store anew, and link to its files; what others import stays theirs."""
    folders = [(str(store), str(copy))]
    while folders:
        source, target = folders.pop()
        os.mkdir(target)  # noqa: PTH102 (once a folder of a run)
        with contextlib.suppress(FileNotFoundError), os.scandir(source) as entries:
            for entry in entries:
                if entry.name in (FOLDER, "lock"):
                    continue
                there = f"{target}{os.sep}{entry.name}"
                if entry.is_dir():
                    folders.append((entry.path, there))
                elif entry.name == MEMORY:
                    shutil.copyfile(entry.path, there)
                else:
                    os.symlink(entry.path, there)  # noqa: PTH211
