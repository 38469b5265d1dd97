"""Weights that runs have kept, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..schemas.blocks import Layer
from ..schemas.errors import StoreError
from ..schemas.records.layout import RunFolder
from ..schemas.tensors.safetensors import read_tensors

if TYPE_CHECKING:
    from .store import Store


def layer_weights(
    store: Store, run_id: str, name: str, layers: Sequence[Layer]
) -> tuple[NDArray[Any], ...]:
    """Read the weights of a run's counted layers.

    Parameters
    ----------
    store : Store
        Where the run is.
    run_id : str
        Its full id.
    name : str
        `init`, `rewind` or `dense`: what `--keep` kept.
    layers : sequence of Layer, length L
        The counted layers.

    Returns
    -------
    tuple of array, length L
        Flat arrays of N_l weights, in the order of the layers and the units of the network.

    Raises
    ------
    StoreError
        The run has not kept them, or a layer is missing or not finite or has another size.
    RecordError
        The file is damaged.
    """
    try:
        tensors, _ = read_tensors(RunFolder.of(store.path, run_id).weights(name))
    except FileNotFoundError:
        raise StoreError(
            f"run {run_id} has kept no {name} weights: they are kept by runs and imports with "
            f"--keep {name}"
        ) from None
    return tuple(_layer(tensors, layer, f"{name} weights of run {run_id}") for layer in layers)


def _layer(tensors: dict[str, NDArray[Any]], layer: Layer, where: str) -> NDArray[Any]:
    # Runs keep the whole state of the network, imports the counted layers by their own names.
    for key in (f"{layer.name}.weight", layer.name):
        if key in tensors:
            found = tensors[key]
            break
    else:
        raise StoreError(f"{where}: layer {layer.name} is missing")
    if found.size != layer.total:
        raise StoreError(
            f"{where}: layer {layer.name} has {found.size:,} weights, expected {layer.total:,}"
        )
    if not np.isfinite(found).all():
        raise StoreError(f"{where}: layer {layer.name} is not finite, training diverged")
    return found.ravel()
