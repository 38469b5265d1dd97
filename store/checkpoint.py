"""The network in a checkpoint that any program wrote: its layers, and their weights as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..schemas.block_map import told_groups
from ..schemas.blocks import Architecture, Layer, architecture
from ..schemas.errors import Refused
from ..schemas.tensors.checkpoints import read_checkpoint
from ..schemas.tensors.wrapping import beneath
from ..schemas.words import listed
from .importers.found import Arrays, LevelData
from .importers.masks import pruned_state
from .importers.recognition.naming import forward_order
from .importers.recognition.networks import is_known
from .importers.recognition.recognise import recognise
from .importers.state import state_dict

_QUERY = re.compile(r"(?:.+\.)?encoder\.layer\.(\d{1,2})\.attention\.self\.query")
# Tables that are looked up and no matrix that is multiplied with: by the last part of their names.
_TABLE = re.compile(r"(?:.*_)?embed(?:ding|ding_layer|_tokens|_positions|_in)?s?|wte|wpe")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network and its weights.

    Attributes
    ----------
    file : str
        Name of the file.
    network : Architecture
        Its layers, in the order of the forward pass as far as names tell it.
    weights : mapping of str to array
        Those of every layer, 0 where a mask of the file prunes them. All are finite floats.
    notes : tuple of str
        What was left out.
    """

    file: str
    network: Architecture
    weights: Mapping[str, NDArray[Any]]
    notes: tuple[str, ...] = ()


def read_network(path: Path, named: str | None = None) -> Checkpoint:
    """Read a checkpoint as a network: a known one, or one of all its matrices.

    Parameters
    ----------
    path : Path
        A file of torch, numpy or safetensors.
    named : str, optional
        The known network that it must be of.

    Raises
    ------
    Unreadable
        There is no such file, or it is cut off or something else.
    Refused
        It would execute code, holds no weights, or those of another network.
    """
    data = _dense(path)
    bert = _bert(data.weights)
    if bert is not None and named in (None, bert.name):
        return _taken(path, data, bert, _beneath(bert, data.weights))
    tables = [name for name in data.weights if _is_table(name, data.weights[name])]
    rest = {name: array for name, array in data.weights.items() if name not in tables}
    if not rest:
        raise Refused(f"{path}: holds no matrix but {listed(tables)}")
    ordered = _ordered(rest)
    masks = {name: rest[name] != 0 for name in ordered}
    shapes = {name: rest[name].shape for name in ordered}
    try:
        found = recognise(LevelData(shapes, masks, weights=rest), named=named)
    except Refused as error:
        raise Refused(f"{path}: {error}") from None
    if is_known(found.architecture):
        network = replace(architecture(found.architecture), layers=found.layers)
    else:
        network = Architecture(found.architecture, _regrouped(found.layers))
    sources = {layer.name: name for layer, name in zip(found.layers, found.sources, strict=True)}
    return _taken(path, data, network, sources, found.notes)


def read_weights(path: Path, network: Architecture) -> Checkpoint:
    """Read the weights of a network from a checkpoint, whatever wraps the names of its layers.

    Raises
    ------
    Unreadable, Refused
        As `read_network`; a layer is missing, or has another shape.
    """
    data = _dense(path)
    sources = _beneath(network, data.weights)
    for layer in network.layers:
        if layer.name not in sources:
            raise Refused(f"{path}: weights of another network, layer {layer.name} is missing")
        if (shape := data.weights[sources[layer.name]].shape) != layer.shape:
            raise Refused(
                f"{path}: weights of another network, {sources[layer.name]} has shape {shape} "
                f"instead of {layer.shape}"
            )
    return _taken(path, data, network, sources)


def _dense(path: Path) -> LevelData:
    """Read the matrices of a file, and the masks beside them."""
    data = pruned_state(state_dict(read_checkpoint(path), str(path)), str(path))
    if not data.weights:
        raise Refused(f"{path}: holds no weights of layers, such as conv1.weight")
    return data


def _taken(
    path: Path,
    data: LevelData,
    network: Architecture,
    sources: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Checkpoint:
    """Take the weights of a network's layers, by their names in the file."""
    weights = {layer.name: _finite(data, sources[layer.name], path) for layer in network.layers}
    left = [name for name in data.weights if name not in sources.values()]
    said = [f"{path.name}: left out {listed(left)}"] if left else []
    return Checkpoint(path.name, network, weights, (*notes, *said))


def _finite(data: LevelData, name: str, path: Path) -> NDArray[Any]:
    """Return the weights of a layer as floats: the magnitude of an integer may be none."""
    array = data.weights[name]
    wide = array.dtype.kind == "f" and array.dtype.itemsize >= 4
    found = array if wide else array.astype(np.float64 if array.dtype.kind != "f" else np.float32)
    if not np.isfinite(found).all():
        raise Refused(f"{path}: layer {name} holds values that are not finite")
    return found * data.masks[name] if name in data.masks else found


def _bert(weights: Arrays) -> Architecture | None:
    """Return the network with the layers of a BERT, of whatever size, whose names these are."""
    queries = {int(m[1]): weights[name] for name in weights if (m := _QUERY.fullmatch(name))}
    if not queries:
        return None
    network = architecture(f"bert{max(queries) + 1}x{queries[max(queries)].shape[0]}")
    sources = _beneath(network, weights)
    # The pooler is often replaced or taken off.
    there = tuple(layer for layer in network.layers if layer.name in sources)
    if len(there) < len(network.layers) - 1:
        return None
    fits = all(weights[sources[layer.name]].shape == layer.shape for layer in there)
    return replace(network, layers=there) if fits else None


def _beneath(network: Architecture, weights: Arrays) -> dict[str, str]:
    return beneath(weights, [layer.name for layer in network.layers])


def _is_table(name: str, array: NDArray[Any]) -> bool:
    return array.ndim == 2 and _TABLE.fullmatch(name.rpartition(".")[2]) is not None


def _ordered(weights: Arrays) -> list[str]:
    """List layers in the order of the forward pass: that of the file, unless it has sorted them."""
    names = list(weights)
    shapes = {name: array.shape for name, array in weights.items()}
    return forward_order(shapes) if names == sorted(names) else names


def _regrouped(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Put the layers of an unknown network into the blocks and stages that their names tell."""
    groups = told_groups([layer.name for layer in layers])
    return tuple(
        replace(layer, block=block, stage=stage)
        for layer, (block, stage) in zip(layers, groups, strict=True)
    )
