"""`pixels:SEED`: a ticket for the permuted twin of its data set, `permuted:DATASET:SEED`.

A dense first layer whose columns are permuted as the pixels are computes from the twin what it
computed from the data set, and so the ticket is the same one. A convolution sees neighbours: for it
the twin is another task, and there is no such ticket.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ...schemas.blocks import Architecture, Layer
from ...schemas.errors import UsageError
from ...schemas.records.data_names import Wrapper
from ..datasets.images import Images
from ..datasets.wrapped import pixel_order
from ..networks import InputShape

_TRANSFORM = re.compile("pixels:(.*)", re.IGNORECASE | re.DOTALL)
_HARDER = (
    "sees neighbouring pixels: permuted images are a harder task for it, not the same one in other "
    "coordinates"
)


def pixels_seed(transform: str) -> int | None:
    """Return the seed of a transformation `pixels:SEED`; None: it is one of another kind.

    Raises
    ------
    UsageError
        What stands there is no seed.
    """
    found = _TRANSFORM.fullmatch(transform)
    if found is None:
        return None
    if not re.fullmatch("[0-9]{1,19}", found[1]) or int(found[1]) >= 2**63:
        raise UsageError(
            f"transform '{transform}': '{found[1]}' is no seed: it is that of the task, as pixels:0"
            " for permuted:digits:0"
        )
    return int(found[1])


def permuted_inputs(
    tensors: Mapping[str, NDArray[Any]], seed: int, network: Architecture, shape: InputShape
) -> dict[str, NDArray[Any]]:
    """Permute what the first layer sees as the pixels of `permuted:DATASET:SEED` are.

    Parameters
    ----------
    tensors : mapping of str to array
        A state dict or a mask, by the names of tensors or of layers; not changed.
    seed : int
        The seed of the twin.
    network : Architecture
        The network.
    shape : tuple of int
        Channels, height and width of an image, flattened in this order as PyTorch does.

    Raises
    ------
    UsageError
        The first layer is no dense one of the pixels.
    """
    layer = dense_first(network, shape, seed)
    order = pixel_order(shape, seed)

    def moved(weights: NDArray[Any]) -> NDArray[Any]:
        by_channel = weights.reshape(len(weights), shape[0], -1)
        return by_channel[:, :, order].reshape(weights.shape)

    names = [name for name in (layer.name, f"{layer.name}.weight") if name in tensors]
    return {**tensors, **{name: moved(tensors[name]) for name in names}}


def dense_first(network: Architecture, shape: InputShape, seed: int) -> Layer:
    """Return the first layer, where it is a dense one of the pixels; else see `permuted_inputs`."""
    first = network.layers[0]
    if first.kind != "linear":
        raise UsageError(
            f"pixels:{seed}: {first.name}, the first layer of {network.name}, is a convolution, "
            f"which {_HARDER}"
        )
    if first.shape[1] != math.prod(shape):
        raise UsageError(
            f"pixels:{seed}: {first.name}, the first layer of {network.name}, sees "
            f"{first.shape[1]} numbers, and an image has {math.prod(shape)}"
        )
    return first


def astray(transform: str | None, parent: str, task: str) -> tuple[str, ...]:
    """Say where a ticket is made one for other pixels than those of the child's task.

    Parameters
    ----------
    transform : str or None
        The transformation.
    parent, task : str
        The tasks of the parent and of the child.
    """
    seed = None if transform is None else pixels_seed(transform)
    if seed is None or task == (twin := Wrapper("permuted", seed).name(parent)):
        return ()
    return (f"pixels:{seed} makes the ticket one for {twin}, and the task is {task}",)


def harder(network: Architecture, images: Images) -> str:
    """Say of permuted images what they are for a convolution; nothing where there is none."""
    if images.pixel_order is None or network.layers[0].kind == "linear":
        return ""
    return f"{images.name}: {network.name} begins with a convolution, which {_HARDER}"
