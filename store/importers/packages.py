"""Formats of checkpoints that installed packages add: found as ours are, and never trusted.

Whatever goes wrong in a package's code is told as the failure of that package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from ...schemas.entry_points import Group, added, load_added, owner
from ...schemas.errors import RgtoolError
from .found import Found, FoundRun
from .tree import Tree

GROUP: Group = "rgtool.importers"
T = TypeVar("T")


def find_added(name: str, tree: Tree) -> Found:
    """Let the importer that a package adds under a name look at a tree.

    Raises
    ------
    RgtoolError
        It cannot be loaded, fails, or returns something else; the message names the package.
    """
    found: Any = _guarded(name, lambda: load_added(GROUP, name)(tree))
    if not isinstance(found, Found):
        raise RgtoolError(f"{_whose(name)} returns a {type(found).__name__}: Found is due")
    return replace(found, runs=tuple(_contained(name, run) for run in found.runs))


def _contained(name: str, run: FoundRun) -> FoundRun:
    """Return a run whose files are read by the package's code, too, as that of the package."""

    def held(part: Any) -> Any:
        return replace(part, read=partial(_guarded, name, part.read))

    return replace(
        run,
        levels=tuple(map(held, run.levels)),
        starts={start: held(weights) for start, weights in run.starts.items()},
    )


def _guarded(name: str, act: Callable[[], T]) -> T:
    try:
        return act()
    except (RgtoolError, OSError, MemoryError):  # what a file is like, and words of its own
        raise
    except Exception as error:  # the code is anybody's
        said = str(error).strip().partition("\n")[0]
        what = f"{type(error).__name__}{': ' + said if said else ''}"
        raise RgtoolError(f"{_whose(name)} fails ({what})") from None


def _whose(name: str) -> str:
    found = added(GROUP, name)
    return f"format {name}" + (f" of package {owner(found)}" if found else "")
