"""How tensors of a parent become those of another network, layer by layer."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ...schemas.errors import UsageError

Tensors = dict[str, NDArray[Any]]


def transformed(tensors: Tensors, transform: str | None) -> Tensors:
    """Transform a state dict or a mask, tensors by the names of a network or of its layers.

    Raises
    ------
    UsageError
        The transformation cannot be run.
    """
    if transform is None:
        return tensors
    raise UsageError(f"transform '{transform}' cannot be run")
