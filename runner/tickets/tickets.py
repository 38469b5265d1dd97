"""The ticket of a child: its parent's mask and rewind weights, and what takes their place.

First the parent's tensors are transformed, then the control draws anew, then fresh layers come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ...schemas.blocks import Layer
from ...schemas.errors import RecordError, RgtoolError
from ...schemas.recipe import ANEW
from ...schemas.records.layout import RunFolder
from ...schemas.tensors.safetensors import read_mask, write_mask, write_tensors
from ..pruning import Mask, dense_mask
from ..replicas.replica_parts import ReplicaParts
from ..replicas.training import Arrays
from .controls import permuted, scattered, shuffled
from .perturbed import Exchange, exchanging
from .source import Source
from .transforms import Transformation, transformation


@dataclass(frozen=True)
class Ticket:
    """What a level is trained from.

    Attributes
    ----------
    weights : dict of str to array
        The state of the network before the first step.
    mask : dict of layer name to boolean array
        The weights that are kept.
    before : dict of layer name to boolean array, or None
        The mask of one level before; None at level 0 and where the parent has none.
    is_apart : bool
        Whether no level before leads to this one: its mask was made, not found.
    """

    weights: Arrays
    mask: Mask
    before: Mask | None = None
    is_apart: bool = False


def ticket(
    folder: RunFolder, source: Source, level: int, on: ReplicaParts, layers: Sequence[Layer]
) -> Ticket:
    """Make the ticket of a level, and write its mask.

    A perturbed ticket that was begun with goes on as it is: the parent may have been pruned further
    since, and then another one might be made.

    Parameters
    ----------
    folder : RunFolder
        The child.
    source : Source
        The parent's run.
    level : int
        The level, of the parent too.
    on : ReplicaParts
        What the child computes with: network, recipe, seed.
    layers : sequence of Layer
        Its counted layers.

    Raises
    ------
    RgtoolError
        The parent has not kept what is needed, or it does not fit the network.
    """
    is_apart = _carried(source, on).perturbation is not None
    mask = _begun(folder, level) if is_apart else None
    if mask is None:
        mask = mask_of(source, level, on, layers)
        write_mask(folder.mask(level), mask)
    weights = _start(source, level, on, mask)
    if is_apart:
        return Ticket(weights, mask, is_apart=True)
    has_before = level > 0 and source.has_mask(level - 1)
    before = mask_of(source, level - 1, on, layers) if has_before else None
    return Ticket(weights, mask, before)


def _begun(folder: RunFolder, level: int) -> Mask | None:
    try:
        return read_mask(folder.mask(level))
    except (FileNotFoundError, RecordError):  # a damaged file is made again
        return None


def later_ticket(source: Source, level: int, on: ReplicaParts, mask: Mask) -> Ticket:
    """Make the ticket of a level behind the one that a run started from, with the mask it found."""
    return Ticket(_start(source, level, on, mask), mask)


def mask_of(source: Source, level: int, on: ReplicaParts, layers: Sequence[Layer]) -> Mask:
    """Return the mask of a level of a child; parameters and errors are those of `ticket`."""
    recipe, seed = on.recipe, on.seed
    if level == 0:
        return dense_mask(layers)
    carried = _carried(source, on)
    if carried.perturbation is None:
        found = carried.carry(source.mask(level))
    else:
        found = Exchange(source, level, carried.perturbation, exchanging(layers, recipe)).mask(seed)
    taken = {
        layer.name: _fitting(found, layer.name, layer.shape, source)
        for layer in layers
        if layer.name not in recipe.fresh
    }
    if recipe.control == "shuffle":
        taken = shuffled(taken, seed, level)
    elif recipe.control == "copies":
        later = {name: mask for name, mask in taken.items() if name in carried.copies}
        taken |= shuffled(later, seed, level, "copies")
    elif recipe.control == "random":
        taken = scattered(taken, seed, recipe.exempt)
    return dense_mask(layers) | taken


def _start(source: Source, level: int, on: ReplicaParts, mask: Mask) -> Arrays:
    """Return the weights that a level starts from."""
    if on.recipe.control == "reinit":  # a new draw for every level, as in OpenLTH
        return on.initial("reinit", level)
    weights = taken_along(source, source.start_of(level, on.recipe.schedule), on)
    if on.recipe.control == "permute":
        taken = {name: array for name, array in mask.items() if name not in on.recipe.fresh}
        by_layer = {name: weights[f"{name}.weight"] for name in taken}
        moved = permuted(by_layer, taken, on.seed, level)
        weights |= {f"{name}.weight": array for name, array in moved.items()}
    return weights


def taken_along(source: Source, name: str, on: ReplicaParts) -> Arrays:
    """Return the state of a child's network with its parent's weights, but for fresh layers.

    Parameters
    ----------
    source, on
        As for `ticket`.
    name : str
        Which of the parent's weights: `init` or `rewind`.
    """
    recipe = on.recipe
    found = _carried(source, on).carry(source.weights(name))
    fresh = on.initial("fresh") if recipe.fresh else {}
    state = on.module.state_dict()
    return {
        tensor: fresh[tensor]
        if tensor.rpartition(".")[0] in recipe.fresh
        else _fitting(found, tensor, tuple(like.shape), source)
        for tensor, like in state.items()
    }


def _carried(source: Source, on: ReplicaParts) -> Transformation:
    shape, classes = on.images.input_shape, on.images.classes
    network = on.network.traits(shape, classes).architecture
    return transformation(on.recipe.transform, source.network(shape, classes), network, shape)


def _fitting(
    found: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...], source: Source
) -> NDArray[Any]:
    array = found.get(name)
    if array is None or array.shape != shape:
        has = "none" if array is None else f"shape {array.shape}"
        raise RgtoolError(
            f"run {source.name}, the parent, does not fit: '{name}' has shape {shape} here, "
            f"{has} there"
        )
    return array


def keep_along(source: Source, on: ReplicaParts, folder: RunFolder, keep: Sequence[str]) -> None:
    """Write the weights that all levels of a child start from, so that it can be a parent too.

    Parameters
    ----------
    source, on
        As for `ticket`.
    folder : RunFolder
        The child.
    keep : sequence of str
        Weights that stay: any of `launch.KEEPABLE`.
    """
    if on.recipe.control in ANEW:
        return
    for name in ("init", "rewind"):
        path = folder.weights(name)
        if name in keep and source.has(name) and not path.exists():
            write_tensors(path, taken_along(source, name, on))
