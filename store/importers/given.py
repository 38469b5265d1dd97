"""A level as a program at work gives it: a network in memory, and its masks."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import UsageError, did_you_mean
from .found import LevelData, Refused
from .masks import joined, pruned_state
from .zeros import many_zeros, zeros_as_masks

_WHERE = "the network"


def given_level(
    model: Any, masks: Mapping[str, Any] | None = None, *, zeros_are_mask: bool = False
) -> LevelData:
    """Return a network and its masks as one level.

    Parameters
    ----------
    model : torch.nn.Module, or mapping of str to tensor
        The network or its state dict, at the end of training.
    masks : mapping of str to tensor, optional
        Masks by parameter or layer, of any number type; by default those that the network carries
        as `torch.nn.utils.prune` does, and `masks.pruned_state` says how else.
    zeros_are_mask : bool
        Whether the zeros of weights are the mask where nothing else is.

    Returns
    -------
    LevelData
        With a mask of every layer that has one; where none has, nothing is pruned, and each
        weight of two or more axes is a layer.

    Raises
    ------
    UsageError
        What is given is no network, or no masks by name.
    Refused
        A mask is of no layer, of another shape or of other values than 0 and 1; or there are none,
        and a share of the weights is zero that nobody says is a mask.
    """
    data = pruned_state(arrays(model, "a network or its state dict"), _WHERE)
    if masks:
        given = arrays(masks, "masks by name of the parameter")
        data = joined(dataclasses.replace(data, masks={}), given, "masks")
        _hold_to_layers(data)
        data = dataclasses.replace(data, masks_from="masks given beside the network")
    elif zeros_are_mask:
        data = dataclasses.replace(zeros_as_masks(data), notes=())
    if data.masks:
        return data
    if not data.weights:
        raise UsageError("the network has no weight of two or more axes, and no mask is given")
    if zeros := many_zeros(data):
        raise Refused(
            f"no masks, and {zeros:.0%} of the weights are zeros: give masks={{...}} by name of "
            "the parameter, or where the zeros are the mask, say zeros_are_mask=True"
        )
    whole = {name: np.ones(shape, np.bool_) for name, shape in data.shapes.items()}
    return dataclasses.replace(data, masks=whole, masks_from="")


def arrays(given: Any, due: str) -> dict[str, NDArray[Any]]:
    """Return the tensors of a network, or of a mapping, as arrays by name.

    Memory is shared where that is possible.

    Raises
    ------
    UsageError
        It is neither; the message says what is `due`.
    """
    found = given.state_dict() if hasattr(given, "state_dict") else given
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise UsageError(f"a {type(given).__name__} where {due} is due")
    return {name: _array(value) for name, value in found.items() if hasattr(value, "shape")}


def _array(value: Any) -> NDArray[Any]:
    if not hasattr(value, "detach"):
        return np.asarray(value)
    tensor = value.detach().cpu()
    try:
        return np.asarray(tensor.numpy())
    except TypeError:  # bfloat16 and the eight-bit floats, of which NumPy has none
        return np.asarray(tensor.float().numpy())


def _hold_to_layers(data: LevelData) -> None:
    """Hold masks to be of weights that the network has; biases are no layers."""
    strange = [n for n, m in data.masks.items() if m.ndim > 1 and n not in data.weights]
    if strange and data.weights:
        near = textwrap.shorten(did_you_mean(strange[0], data.weights), 200, placeholder=" ...")
        raise Refused(f"a mask of {strange[0]}, which the network has not: {near}")
