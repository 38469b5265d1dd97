"""Parts that installed packages add; read only for a name that rgtool itself does not have.

A package says `[project.entry-points."rgtool.models"]` and a line `mynet = "package.module:build"`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from .errors import RgtoolError, known_name

Group = Literal[
    "rgtool.models", "rgtool.datasets", "rgtool.pruners", "rgtool.importers", "rgtool.recipes"
]


def added(group: Group, name: str) -> EntryPoint | None:
    """Find what an installed package adds under a name; None where none does."""
    known = known_name(name, added_names(group))
    return None if known is None else next(iter(entry_points(group=group, name=known)))


def added_names(group: Group) -> list[str]:
    """Name all that installed packages add to a group."""
    return sorted(entry_points(group=group).names)


def load_added(group: Group, name: str) -> Any:
    """Import what an installed package adds under a name; None where none does.

    Raises
    ------
    RgtoolError
        The package's code fails; the message names the package.
    """
    found = added(group, name)
    if found is None:
        return None
    try:
        return found.load()
    except Exception as error:  # the code is anybody's
        raise RgtoolError(
            f"{group} '{name}' of package {owner(found)} cannot be loaded: "
            f"{type(error).__name__}: {error}"
        ) from None


def owner(found: EntryPoint) -> str:
    """Return the name of the package that an entry point comes with."""
    return found.dist.name if found.dist is not None else found.module
