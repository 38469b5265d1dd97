"""How a choice is spelled where it is made: as options of the command at work, or in Python."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

# The options of the command at work; None: none is.
_options: ContextVar[Collection[str] | None] = ContextVar("options", default=None)


@contextmanager
def spelled_for(options: Collection[str]) -> Iterator[None]:
    """Let messages spell choices as a command takes them.

    Parameters
    ----------
    options : collection of str
        Its options, such as `--epochs`; with `--set` it takes any field of a recipe.
    """
    token = _options.set(options)
    try:
        yield
    finally:
        _options.reset(token)


def asked(name: str, value: Any) -> str:
    """Spell a choice as the user can make it.

    Examples
    --------
    >>> asked("prunable", "all"), asked("augment", ("flip", "crop4"))
    ('prunable="all"', "augment=('flip', 'crop4')")
    >>> with spelled_for(["--set", "--batch-size"]):
    ...     asked("prunable", "all"), asked("augment", ("flip", "crop4")), asked("batch_size", 8)
    ('--set prunable=all', '--set augment=flip,crop4', '--batch-size 8')
    """
    options = _options.get()
    if options is None:
        return f'{name}="{value}"' if isinstance(value, str) else f"{name}={value!r}"
    text = (",".join(value) or "none") if isinstance(value, tuple) else str(value)
    option = f"--{name.replace('_', '-')}"
    if option in options:
        return f"{option} {text}"
    return f"{'--set ' if '--set' in options else ''}{name}={text}"
