"""What is kept of a source beside its records: files with their sums, scales, weights."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....schemas.records.layout import RunFolder
from ....schemas.tensors.safetensors import write_tensors
from ..found import Arrays, FoundRun, Unreadable, failure
from ..recognition.recognise import Recognised
from ..safe import digest

Weights = dict[str, NDArray[Any]]
FileEntry = dict[str, str]


def entries(found: FoundRun, paths: Iterable[Path]) -> list[FileEntry]:
    """Name files that were read, relative to their run, with their sha256.

    Raises
    ------
    Unreadable
        One is gone, or may not be read.
    """
    return [{"path": found.relative(path), "sha256": _file_digest(path)} for path in paths]


def _file_digest(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read ({error.strerror})") from None
    return _digest_of(path, (found.st_size, found.st_mtime_ns, found.st_ino))


@functools.lru_cache(maxsize=1)  # a table is the file of every level of all its runs
def _digest_of(path: Path, stamp: tuple[int, int, int]) -> str:
    return digest(path)


def scales(found: FoundRun, network: Recognised, notes: list[str]) -> dict[str, dict[str, float]]:
    """Return the root mean square of every counted layer's weights where training started."""
    return {
        name: {
            layer: float(np.sqrt(np.mean(np.square(weights, dtype=np.float64))))
            for layer, weights in arrays.items()
        }
        for name in found.starts
        if (arrays := _start(found, network, name, notes))
    }


def copy_weights(
    found: FoundRun,
    network: Recognised,
    names: Sequence[str],
    folder: RunFolder,
    notes: list[str],
) -> None:
    """Copy `init`, `rewind` or `dense` weights of the counted layers into a run's folder.

    Raises
    ------
    OSError
        The disk is full or not writable.
    """
    for name in names:
        if name == "dense":
            arrays = _dense(found, network, notes)
        elif name in found.starts:
            arrays = _start(found, network, name, notes)
        else:
            arrays = {}
            notes.append(f"no {name} weights are there to keep")
        if arrays:
            write_tensors(folder.weights(name), arrays)


def _start(found: FoundRun, network: Recognised, name: str, notes: list[str]) -> Weights:
    """Read weights that training started from, in canonical names; empty where some lack."""
    try:
        arrays = found.starts[name].read()
    except (Unreadable, OSError) as error:
        notes.append(f"{name} weights are left out: {failure(error)}")
        return {}
    weights = _of_layers(network, arrays)
    if any(x.shape != getattr(weights.get(x.name), "shape", None) for x in network.layers):
        notes.append(f"{name} weights are left out: not those of the counted layers")
        return {}
    return weights


def _dense(found: FoundRun, network: Recognised, notes: list[str]) -> Weights:
    """Read the weights at the end of level 0, in canonical names."""
    dense = next((level for level in found.levels if level.level == 0), None)
    try:
        weights = dense.read().weights if dense is not None else {}
    except (Unreadable, OSError) as error:
        notes.append(f"dense weights are left out: {failure(error)}")
        return {}
    arrays = _of_layers(network, weights)
    if len(arrays) < len(network.layers):
        notes.append("no weights of the trained dense network are there to keep")
        return {}
    return arrays


def _of_layers(network: Recognised, arrays: Arrays) -> Weights:
    """Return the arrays of the counted layers that are there, by canonical name."""
    names = network.located(arrays)
    pairs = zip(network.layers, network.sources, strict=True)
    return {layer.name: arrays[names[source]] for layer, source in pairs if source in names}
