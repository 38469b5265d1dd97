"""The files that a function of the user's own is written in: they name what it makes."""

from __future__ import annotations

import ast
import os
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...schemas.errors import UsageError

_INSTALLED = ("site-packages", "dist-packages")


def read_source(path: Path) -> str:
    """Read a Python file in the encoding that it declares; line ends become those of Unix.

    Raises
    ------
    UsageError
        There is no such file, or it cannot be read.
    """
    try:
        with tokenize.open(path) as file:
            return file.read()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no Python source ({error})") from None


def is_installed(path: Path) -> bool:
    """Tell whether a file belongs to an installed package or to Python itself."""
    python = Path(os.__file__).parent
    return any(part in _INSTALLED for part in path.parts) or path.is_relative_to(python)


def with_imports(paths: Sequence[Path], root: Path) -> tuple[Path, ...]:
    """Return files and what they import from below `root`, and that in turn: the given ones first.

    What is imported follows from the text alone, imports inside functions included; nothing is
    executed. Of an installed package the file itself stands for all.
    """
    found: dict[Path, None] = {}
    waiting = list(paths)
    while waiting:
        path = waiting.pop(0)
        if path in found:
            continue
        found[path] = None
        if not is_installed(path):
            beside = imported_files(read_source(path), path.parent, root)
            waiting += [p for p in (*_packages(path, root), *beside) if not is_installed(p)]
    rest = sorted(path for path in found if path not in paths)
    return (*paths, *rest)


def package_of(path: Path, text: str) -> tuple[Path, str]:
    """Return the folder that a file's imports begin at, and its name as a module of a package.

    It is one where it says so, by imports that are relative to it; else it has no such name.
    """
    levels = [node.level for node in _imports(text, path) if isinstance(node, ast.ImportFrom)]
    up = max(levels, default=0)
    if not up:
        return path.parent, ""
    root = path.parents[up]
    while (root / "__init__.py").is_file():
        root = root.parent
    return root, ".".join(path.relative_to(root).with_suffix("").parts)


def imported_files(text: str, folder: Path, root: Path) -> list[Path]:
    """Return the files below `root` that a source in `folder` imports.

    Raises
    ------
    UsageError
        It is no Python.
    """
    names: list[tuple[Path, str]] = []
    for node in _imports(text, folder):
        if isinstance(node, ast.Import):
            names += [(root, alias.name) for alias in node.names]
        else:
            start = ([folder, *folder.parents])[node.level - 1] if node.level else root
            base = f"{node.module}." if node.module else ""
            names += [(start, f"{base}{alias.name}") for alias in node.names]
    return [path for start, name in names for path in _files_of(start, name)]


def _imports(text: str, where: Path) -> list[ast.Import | ast.ImportFrom]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        place = f"{where}, line {line}" if line else f"{where}"
        raise UsageError(f"{place}: no Python source ({error})") from None
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def _packages(path: Path, root: Path) -> list[Path]:
    """Return the `__init__.py` that are executed before a file below `root` is imported."""
    folders = [folder for folder in path.parents if folder != root and folder.is_relative_to(root)]
    return [init for folder in folders if (init := folder / "__init__.py").is_file()]


def _files_of(start: Path, name: str) -> Iterator[Path]:
    """Yield what importing `a.b.c` executes: the packages on the way, and the module."""
    place = start
    for part in name.split("."):
        place = place / part
        for path in (place / "__init__.py", place.with_name(f"{part}.py")):
            if path.is_file():
                yield path
