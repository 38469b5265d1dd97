"""State dicts: where a checkpoint holds one, and what wraps its names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...schemas.tensors.stored import hold_no_object
from ...schemas.tensors.wrapping import HOMES
from .found import Refused, Unreadable

# What wraps a network and says nothing: DataParallel, torch.compile, OpenLTH's PrunedModel.
WRAPPERS = ("module.", "_orig_mod.", "model.")


def state_dict(found: Any, where: str) -> Mapping[str, Any]:
    """Return the state dict in what a checkpoint holds: the whole of it, or one of its entries.

    Raises
    ------
    Unreadable
        There is none.
    Refused
        There is a whole pickled module instead.
    """
    state = home(found, where)
    if state is None:
        raise Unreadable(f"{where}: holds no state dict")
    return state


def home(found: Any, where: str) -> Mapping[str, Any] | None:
    """Return the state dict in what a checkpoint holds, as `state_dict`; None where there is none.

    Raises
    ------
    Refused
        There is a whole pickled module instead.
    """
    hold_no_object(found, where)
    if not isinstance(found, Mapping):
        return None
    for key in HOMES:
        if isinstance(found.get(key), Mapping):
            return named(found[key], where)
    for key in HOMES:
        hold_no_object(found.get(key), where, key)
    return named(found, where) if any(hasattr(v, "shape") for v in found.values()) else None


def named(found: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Hold a mapping to printable texts as keys.

    Raises
    ------
    Refused
        A key is none.
    """
    for key in found:
        if not isinstance(key, str) or not key.isprintable() or len(key) > 500:
            raise Refused(f"{where}: an entry whose name is no plain text")
    return dict(found)


def unwrapped(names: Iterable[str], *, wrappers: tuple[str, ...] = WRAPPERS) -> dict[str, str]:
    """Map names to what is left of them without the wrappers that all of them carry."""
    plain = {name: name for name in names}
    changed = bool(plain)
    while changed:
        changed = False
        for wrapper in wrappers:
            if all(short.startswith(wrapper) for short in plain.values()):
                plain = {name: short[len(wrapper) :] for name, short in plain.items()}
                changed = True
    return plain
