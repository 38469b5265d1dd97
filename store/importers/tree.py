"""The files of a folder that may be looked at: regular files, and nothing outside of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import UsageError, printable
from .found import Skipped


@dataclass(frozen=True)
class Tree:
    """What lies under a path.

    Attributes
    ----------
    root : Path
        The path that was given: a folder, or one file.
    files : tuple of Path
        Regular files, sorted; a symbolic link that stays inside the folder counts as its target.
    skipped : tuple of Skipped
        Links that lead out of the folder, folders that may not be read.
    """

    root: Path
    files: tuple[Path, ...]
    skipped: tuple[Skipped, ...] = ()

    def relative(self, path: Path) -> str:
        """Return a path relative to the root, with `/`; of the root itself its name."""
        text = path.relative_to(self.root).as_posix()
        return self.root.name if text == "." else text

    def folders(self) -> dict[Path, tuple[Path, ...]]:
        """Map every folder that holds files to them, both sorted."""
        found: dict[Path, list[Path]] = {}
        for path in self.files:
            found.setdefault(path.parent, []).append(path)
        return {folder: tuple(files) for folder, files in sorted(found.items())}

    def without(self, claimed: frozenset[Path]) -> Tree:
        """Return the tree less some files."""
        files = tuple(path for path in self.files if path not in claimed)
        return Tree(self.root, files, self.skipped)


def walk(root: Path) -> Tree:
    """List what lies under a path, without following links out of it; dot files do not exist.

    Raises
    ------
    UsageError
        There is nothing at this path, or it is neither a folder nor a file.
    """
    try:
        root = root.expanduser().absolute()
        mode = root.stat().st_mode
    except (OSError, ValueError, RuntimeError):  # too long a name, a home that nobody has
        raise UsageError(f"{printable(str(root))[:200]}: no such file or folder") from None
    if stat.S_ISREG(mode):
        return Tree(root, (root,))
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{root}: neither a folder nor a file")
    files: list[Path] = []
    skipped: list[Skipped] = []
    real = root.resolve()
    for path in _walk(root, skipped):
        if path.is_symlink() and not _stays_inside(path, real):
            skipped.append(Skipped(str(path), "a symbolic link out of the folder, or to nothing"))
        elif _is_regular(path):
            files.append(path)
        elif not path.is_dir():
            skipped.append(Skipped(str(path), "neither a file nor a folder"))
        else:
            skipped.append(Skipped(str(path), "a symbolic link to a folder is not followed"))
    return Tree(root, tuple(sorted(files)), tuple(skipped))


def _walk(root: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """Yield everything but plain folders; linked folders come as entries and are not entered."""
    folders = [str(root)]
    while folders:  # not os.walk, which is as deep in calls as the tree is
        here = folders.pop()
        try:
            with os.scandir(here) as entries:
                found = [
                    (entry.path, entry.is_dir(follow_symlinks=False))
                    for entry in entries
                    if not entry.name.startswith(".")
                ]
        except OSError as error:
            skipped.append(Skipped(here, f"cannot be listed ({error.strerror})"))
            continue
        folders += [path for path, folder in found if folder]
        yield from (Path(path) for path, folder in found if not folder)


def _stays_inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # a dangling link, or a loop
        return False


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
