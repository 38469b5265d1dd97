"""Values that a text can tell: numbers, texts, what holds them, and objects made of them."""

from __future__ import annotations

import copyreg
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_PLAIN = (str, bytes, int, bool, complex, type(None))


def is_plain(value: Any) -> bool:
    """Tell whether `repr` is a value's text."""
    return type(value) in _PLAIN or (type(value) is float and math.isfinite(value))


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are one for a text."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same([*one.items()], [*other.items()])
    if isinstance(one, set | frozenset):
        return bool(one == other)
    return is_plain(one) and repr(one) == repr(other)


def literal(value: Any, part: Callable[[int, Any], str]) -> str | None:
    """Return the text of a number, a text or a plain container; None: it is something else.

    Parameters
    ----------
    value : object
        The value.
    part : callable
        Returns the text of an item, of its number and itself.
    """
    if is_plain(value):
        return repr(value)
    if type(value) is float:
        return f"float({str(value)!r})"
    if isinstance(value, np.bool_ | np.integer | np.floating):
        return f"__import__('numpy').{type(value).__name__}({str(value)!r})"
    if type(value) is dict:
        keys = [part(2 * i, key) for i, key in enumerate(value)]
        items = [part(2 * i + 1, item) for i, item in enumerate(value.values())]
        pairs = (f"{key}: {item}" for key, item in zip(keys, items, strict=True))
        return f"{{{', '.join(pairs)}}}"
    if type(value) in (set, frozenset):  # their order differs from process to process
        items = [part(i, item) for i, item in enumerate(sorted(value, key=repr))]
        return f"{type(value).__name__}([{', '.join(items)}])"
    if type(value) not in (tuple, list):
        return None
    items = [part(i, item) for i, item in enumerate(value)]
    if type(value) is list:
        return f"[{', '.join(items)}]"
    return f"({', '.join(items)}{',' * (len(items) == 1)})"


def arguments_of(
    value: Any,
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any] | None] | None:
    """Tell how an object is made again; None: it holds more than its attributes.

    Returns
    -------
    tuple or None
        What is called (`__new__` of it, where that is the object's class and there are attributes),
        the arguments, and the attributes that are set then.
    """
    try:
        made = value.__reduce_ex__(2)
    except Exception:  # of a class that forbids it
        return None
    if isinstance(made, str):  # it is found by its name, such as torch.float32
        home = sys.modules.get(type(value).__module__)
        return (getattr, (home, made), None) if getattr(home, made, None) is value else None
    if any(part is not None for part in made[3:]):
        return None
    make, arguments, state = (*made, None)[:3]
    if hasattr(value, "__setstate__") or not (state is None or isinstance(state, Mapping)):
        return None
    if make is copyreg.__newobj__:  # type: ignore[attr-defined]
        return arguments[0], arguments[1:], {**getattr(value, "__dict__", {})}
    if isinstance(make, type) and state is not None and make is type(value):
        return make, arguments, {**state}
    if state is None and (isinstance(make, type) or all(map(is_plain, arguments))):
        return make, arguments, None
    return None
