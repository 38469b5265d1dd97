"""The files of a folder that may be looked at: regular ones, outside of it where that is asked."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import UsageError, printable
from ...schemas.records.layout import address
from .found import Skipped


@dataclass(frozen=True)
class Reading:
    """How the user says that files are read.

    Attributes
    ----------
    follow_links : bool
        Whether links to files and folders outside of a path count as what they lead to.
    zeros_are_mask : bool
        Whether the zeros of weights without masks are the mask.
    """

    follow_links: bool = False
    zeros_are_mask: bool = False


PLAINLY = Reading()


@dataclass(frozen=True)
class Tree:
    """What lies under a path.

    Attributes
    ----------
    root : Path
        The path that was given: a folder, or one file.
    files : tuple of Path
        Regular files, sorted; a symbolic link that may be followed counts as its target.
    skipped : tuple of Skipped
        Links that are not followed, folders that may not be read.
    reading : Reading
        How its files are read.
    """

    root: Path
    files: tuple[Path, ...]
    skipped: tuple[Skipped, ...] = ()
    reading: Reading = PLAINLY

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
        return dataclasses.replace(self, files=files)


def walk(root: Path, reading: Reading = PLAINLY) -> Tree:
    """List what lies under a path; dot files do not exist.

    Parameters
    ----------
    root : Path
        A folder, or one file.
    reading : Reading
        How its files are read.

    Raises
    ------
    UsageError
        There is nothing at this path, or it is neither a folder nor a file.
    """
    elsewhere = address(root)
    try:
        root = root.expanduser().absolute()
        mode = root.stat().st_mode
    except (OSError, ValueError, RuntimeError):  # too long a name, a home that nobody has
        if elsewhere is not None:
            raise UsageError(
                f"{printable(elsewhere)[:200]}: only folders and files of this machine are read: "
                "copy it here first, or mount it"
            ) from None
        raise UsageError(f"{printable(str(root))[:200]}: no such file or folder") from None
    if stat.S_ISREG(mode):
        return Tree(root, (root,), reading=reading)
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{root}: neither a folder nor a file")
    files: list[Path] = []
    skipped: list[Skipped] = []
    real, follow_links = root.resolve(), reading.follow_links
    for path in _walk(root, follow_links, skipped):
        if fault := _fault_of_link(path, real, follow_links):
            skipped.append(Skipped(str(path), fault))
        else:
            files.append(path)
    return Tree(root, tuple(sorted(files)), tuple(skipped), reading)


def _walk(root: Path, follow_links: bool, skipped: list[Skipped]) -> Iterator[Path]:
    """Yield everything but folders that are entered: plain ones, then linked ones if asked for.

    A folder that links lead to again is not entered again, so that every walk ends.
    """
    folders, links = [str(root)], list[str]()
    entered: set[Path] = set()
    while folders or links:  # not os.walk, which is as deep in calls as the tree is
        here = folders.pop() if folders else links.pop()
        if follow_links:
            real = Path(here).resolve()
            if real in entered:
                yield Path(here)
                continue
            entered.add(real)
        try:
            with os.scandir(here) as entries:
                found = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            skipped.append(Skipped(here, f"cannot be listed ({error.strerror})"))
            continue
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif follow_links and _is_folder(entry):
                links.append(entry.path)
            else:
                yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop
        return False


def _fault_of_link(path: Path, root: Path, follow_links: bool) -> str | None:
    """Say why an entry is not read; None where it is."""
    try:
        real, mode = path.resolve(strict=True), path.stat().st_mode
    except PermissionError as error:
        return f"cannot be looked at ({error.strerror})"
    except (OSError, RuntimeError):  # RuntimeError: a loop, before Python 3.13
        if not path.is_symlink():
            return "neither a file nor a folder"
        return (
            f"a symbolic link to nothing ({path.readlink()}): bring its file here first, as "
            "git annex get and dvc pull do"
        )
    if path.is_symlink() and not follow_links and not real.is_relative_to(root):
        return f"a symbolic link out of the folder ({real}): --follow-links reads it"
    if stat.S_ISREG(mode):
        return None
    if not stat.S_ISDIR(mode):
        return "neither a file nor a folder"
    if follow_links:
        return "leads to a folder that is read already"
    return "a symbolic link to a folder is not followed: --follow-links reads it"
