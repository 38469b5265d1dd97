"""A level as a program at work gives it: a network in memory, and its masks."""

from __future__ import annotations

import dataclasses
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import UsageError, did_you_mean
from ...schemas.tensors.stored import is_tensor
from ...schemas.tensors.wrapping import plain
from .found import LevelData, Refused
from .masks import Masks, as_mask, held, pruned_state
from .state import unwrapped
from .zeros import many_zeros, zeros_as_masks

_WHERE = "the network"
_HINT = "where zeros of the weights are the mask, leave masks out and say zeros_are_mask=True"


def given_level(
    model: Any, masks: Mapping[str, Any] | None = None, *, zeros_are_mask: bool = False
) -> LevelData:
    """Return a network and its masks as one level.

    Parameters
    ----------
    model : torch.nn.Module, or mapping of str to tensor
        The network or its state dict, at the end of training.
    masks : mapping of str to tensor, optional
        Masks by parameter or layer, of any number type, dense or sparse; by default those that the
        network carries as `torch.nn.utils.prune` does, and `masks.pruned_state` says how else.
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
        What is given is no network, or no masks by name; an entry is no mask, or has no values.
    Refused
        A mask is of nothing that the network has, of another shape or of other values than 0 and 1,
        or none is of a layer; or there are none, and a share of the weights is zero that nobody
        says is a mask.
    """
    state = arrays(model, "a network or its state dict")
    data = pruned_state(state, _WHERE)
    if masks is not None:
        found = _in_network(_masks(masks), _parameters(state, data))
        data = held(dataclasses.replace(data, masks=found), "masks")
        data = dataclasses.replace(data, masks_from="masks given beside the network")
    elif zeros_are_mask:
        data = dataclasses.replace(zeros_as_masks(data), notes=())
    _hold_to_layers(data)
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
        It is neither; the message says what is `due`. Or a tensor has no values.
    """
    found = _by_name(given, due)
    return {name: _array(value, name) for name, value in found.items() if hasattr(value, "shape")}


def _by_name(given: Any, due: str) -> Mapping[str, Any]:
    found = given.state_dict() if hasattr(given, "state_dict") else given
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise UsageError(f"a {type(given).__name__} where {due} is due")
    return found


def _array(value: Any, name: str) -> NDArray[Any]:
    if not hasattr(value, "detach"):
        return np.asarray(value.toarray() if hasattr(value, "toarray") else value)
    if value.is_meta:
        raise UsageError(f"{name}: a tensor on meta has no values")
    tensor = value.detach().to_dense().cpu()
    try:
        return np.asarray(tensor.numpy())
    except TypeError:  # bfloat16 and the eight-bit floats, of which NumPy has none
        return np.asarray(tensor.float().numpy())


# Masks beside the network.


def _masks(given: Any) -> Masks:
    """Return every entry as a mask; lists of numbers are arrays, too."""
    entries = _by_name(given, "masks by name of the parameter")
    if not entries:
        raise UsageError(
            "masks is empty: leave it out where the network carries its masks or is dense"
        )
    return {name: _mask(value, f"masks, {name}") for name, value in entries.items()}


def _mask(value: Any, where: str) -> NDArray[np.bool_]:
    if not hasattr(value, "shape") and not isinstance(value, list | tuple):
        shown = repr(value) if value is None or np.isscalar(value) else f"a {type(value).__name__}"
        raise UsageError(f"{where}: {shown:.40} where a tensor or array of zeros and ones is due")
    try:
        array = _array(value, where)
    except ValueError:
        raise UsageError(f"{where}: a list of rows of unequal length") from None
    if not is_tensor(array):
        raise UsageError(f"{where}: an array of {array.dtype} where zeros and ones are due")
    try:
        return as_mask(array, where)
    except Refused as error:
        raise Refused(f"{error}{f'; {_HINT}' if (array == 0).any() else ''}") from None


def _parameters(state: Mapping[str, Any], data: LevelData) -> dict[str, str]:
    """Map the names that a mask may have, of layers and of what has one axis, to parameters."""
    names = [name.removesuffix("_orig") for name in unwrapped(state).values()]
    vectors = {
        name.removesuffix(".weight"): name
        for name, value in zip(names, state.values(), strict=True)
        if value.ndim == 1
    }
    own = {layer: f"{layer}.weight" if f"{layer}.weight" in names else layer
           for layer in data.shapes}  # fmt: skip
    return {**vectors, **own}


def _in_network(masks: Masks, parameters: Mapping[str, str]) -> Masks:
    """Return masks under the names that the network has for them.

    It may stand within another one, or the one that masks are named after did: then all names of
    one have the same components before them.

    Raises
    ------
    Refused
        A mask is of nothing that the network has, or two are of one layer.
    """
    own = {plain(name): name for name in parameters}
    names = {name: plain(_layer(name)) for name in masks}
    layers = _located([*names.values()], own) if own else {name: name for name in names.values()}
    for name, layer in names.items():
        if layer not in layers:
            near = did_you_mean(name, parameters.values())
            near = textwrap.shorten(near, 200, placeholder=" ...")
            raise Refused(f"a mask of {name}, which the network has not: {near}")
    found: Masks = {}
    for name, layer in names.items():
        if layers[layer] in found:
            raise Refused(f"masks: two masks of layer {layers[layer]}")
        found[layers[layer]] = masks[name]
    return found


def _located(names: Sequence[str], own: Mapping[str, str]) -> dict[str, str]:
    """Map names to those of the network, all of them or those that are it already."""
    parts = [name.split(".") for name in names]
    shared = len(os.path.commonprefix([one[:-1] for one in parts]))
    less = [{n: ".".join(one[cut:]) for n, one in zip(names, parts, strict=True)}
            for cut in range(shared + 1)]  # fmt: skip
    ahead = [name.removesuffix(names[0]) for name in own if name.endswith(f".{names[0]}")]
    more = [{name: before + name for name in names} for before in ahead]
    more = [shifted for shifted in more if own.keys() >= {*shifted.values()}]
    for shifted in (*less, *(more if len(more) == 1 else ())):
        if own.keys() >= {*shifted.values()}:
            return {name: own[there] for name, there in shifted.items()}
    return {name: own[name] for name in names if name in own}


def _layer(name: str) -> str:
    for ending in ("_mask", ".mask", "_orig", ".weight"):
        name = name.removesuffix(ending) or name
    return name


def _hold_to_layers(data: LevelData) -> None:
    """Hold masks to be of some weight that is a layer: biases are none."""
    layers = any(len(shape) > 1 for shape in data.shapes.values())
    if layers and data.masks and all(mask.ndim < 2 for mask in data.masks.values()):
        raise Refused(
            f"the only masks are of biases or norms, such as {next(iter(data.masks))}, which are "
            "no layers: give a mask of a weight, too, of ones where nothing of it is pruned"
        )
