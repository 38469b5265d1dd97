"""Weights of somebody else that training starts from: read safely, held to the network's shapes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from ..schemas.errors import RecordError, RgtoolError
from ..schemas.files import open_file
from ..schemas.pickles import short
from ..schemas.stored import described, hold_no_object, is_tensor, to_array
from ..schemas.tensors import read_tensors
from ..schemas.torch_files import read_torch
from ..schemas.wrapping import HOMES, beneath
from .training import Arrays


@dataclass(frozen=True)
class Pretrained:
    """Weights from a file, as far as they fit a network.

    Attributes
    ----------
    path : Path
        The file.
    arrays : dict of str to array
        Tensors by the network's own names.
    fresh : tuple of str
        Layers of the network that the file does not fill: they are drawn from the seed.
    digest : str
        Hash of the tensors that are used, whatever file they came in.
    """

    path: Path
    arrays: Arrays
    fresh: tuple[str, ...]
    digest: str

    @property
    def source(self) -> dict[str, str]:
        """Name and hash of the file, for the description of a run."""
        with open_file(self.path) as file:
            return {
                "path": self.path.name,
                "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
            }

    @property
    def note(self) -> str:
        """What is said of the layers that start afresh; empty where there are none."""
        if not self.fresh:
            return ""
        return (
            f"{self.path.name} has no fitting weights for {' and '.join(self.fresh)}: drawn from "
            "the seed"
        )


def read_pretrained(path: Path, module: nn.Module) -> Pretrained:
    """Read weights for a network from a safetensors file or one of `torch.save`.

    The first convolution and the output layer may differ, as where ImageNet's weights meet CIFAR;
    whatever else is missing or has another shape is an error.

    Raises
    ------
    RgtoolError
        There is no such file, it is damaged or executes code, or it is of another network.
    """
    found = _file_tensors(path)
    names = beneath(found, module.state_dict())
    found = {name: found[source] for name, source in names.items()}
    layers = [n for n, part in module.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    free = tuple(dict.fromkeys((layers[0], layers[-1])))
    arrays: Arrays = {}
    fresh: list[str] = []
    for name, tensor in module.state_dict().items():
        array = found.get(name)
        if array is None and name.endswith("num_batches_tracked"):  # torch had none before 0.4.1
            array = np.zeros((), np.int64)
        if array is not None and array.shape == tuple(tensor.shape):
            arrays[name] = array.astype(np.int64 if array.shape == () else np.float32)
            continue
        layer = name.rpartition(".")[0]
        if layer not in free:
            has = "no such tensor" if array is None else f"shape {array.shape}"
            raise RgtoolError(
                f"{path}: weights of another network: '{name}' has shape {tuple(tensor.shape)} "
                f"here, {has} in the file"
            )
        fresh.append(layer)
    names = tuple(dict.fromkeys(fresh))
    arrays = {n: a for n, a in arrays.items() if n.rpartition(".")[0] not in names}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise RgtoolError(f"{path}: '{name}' holds values that are not finite")
    return Pretrained(path, arrays, names, _content_digest(arrays))


def _content_digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()[:16]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # too long a name
        return False


def _file_tensors(path: Path) -> Arrays:
    if not _is_file(path):
        raise RgtoolError(f"{str(path)[:200]}: no such file; --init names weights in a file")
    if path.suffix == ".safetensors":
        try:
            return read_tensors(path)[0]
        except RecordError as error:
            raise RgtoolError(str(error)) from None
    found = read_torch(path)
    for home in HOMES:
        if isinstance(found, Mapping) and isinstance(found.get(home), Mapping):
            found = found[home]
    hold_no_object(found, str(path))
    if not isinstance(found, Mapping):
        raise RgtoolError(f"{path}: {described(found)}, where a state dict is expected")
    return {
        str(name): to_array(value, f"{path}, {short(name)}")
        for name, value in found.items()
        if is_tensor(value)
    }
