"""How tensors of a parent become those of another network, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ...schemas.blocks import Architecture
from ...schemas.errors import UsageError
from ...schemas.transform import EXAMPLE, Transform
from ..networks import InputShape
from .elastic import spelled, stretched
from .pixels import dense_first, permuted_inputs, pixels_seed
from .source import Source

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Transformation:
    """A transformation of tickets.

    Attributes
    ----------
    spelling : str or None
        The only one that the recipe has of it; None where tickets stay what they are.
    carry : callable
        Transforms a state dict or a mask, tensors by the names of a network or of its layers.
    """

    spelling: str | None
    carry: Callable[[Tensors], Tensors]


def transformation(
    transform: str | None, source: Source, network: Architecture, shape: InputShape
) -> Transformation:
    """Find the transformation that a text means.

    Parameters
    ----------
    transform : str or None
        As the user or a recipe has it.
    source : Source
        The parent's run.
    network, shape : Architecture, tuple of int
        The child's network, and channels, height and width of its images.

    Raises
    ------
    UsageError
        There is none, or it does not fit the network.
    """
    if transform is None:
        return Transformation(None, lambda tensors: tensors)
    if (seed := pixels_seed(transform)) is not None:
        dense_first(network, shape, seed)
        return Transformation(
            f"pixels:{seed}", lambda tensors: permuted_inputs(tensors, seed, network, shape)
        )
    if not transform[:1].isdigit():
        raise UsageError(
            f"transform '{transform}' is unknown: blocks to blocks is written as {EXAMPLE}, "
            "permuted pixels as pixels:0"
        )
    theirs = source.network
    spelling = spelled(transform, theirs, network)
    blocks = Transform.parse(spelling)
    return Transformation(spelling, lambda tensors: stretched(tensors, theirs, network, blocks))
