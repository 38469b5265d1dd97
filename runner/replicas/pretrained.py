"""Weights of somebody else that training starts from: read safely, held to the network's shapes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from ...schemas.errors import RecordError, RgtoolError
from ...schemas.files import open_file
from ...schemas.tensors.pickles import short
from ...schemas.tensors.safetensors import read_tensors
from ...schemas.tensors.stored import described, hold_no_object, is_tensor, to_array
from ...schemas.tensors.torch_files import read_torch
from ...schemas.tensors.wrapping import HOMES, before, beneath, copies
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
    beside : str
        What else of the same network the file holds and is not taken, such as an average.
    pruned : int
        Weights that the file's masks have pruned: they start at zero.
    """

    path: Path
    arrays: Arrays
    fresh: tuple[str, ...]
    digest: str
    beside: str = ""
    pruned: int = 0

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
        """What is said of the layers that start afresh, and of what else is in the file."""
        name, said = self.path.name, list[str]()
        if self.fresh:
            layers = " and ".join(self.fresh)
            said.append(f"{name} has no fitting weights for {layers}: drawn from the seed")
        if self.beside:
            said.append(f"{name} holds a copy of the network, {self.beside}, which is not taken")
        if self.pruned:
            said.append(f"{self.pruned} weights of {name} are pruned by its masks: they start at 0")
        return "; ".join(said)


def read_pretrained(path: Path, module: nn.Module) -> Pretrained:
    """Read weights for a network from a safetensors file or one of `torch.save`.

    The first convolution and the output layer may differ, as where ImageNet's weights meet CIFAR;
    whatever else is missing or has another shape is an error.

    Raises
    ------
    RgtoolError
        There is no such file, it is damaged or executes code, or it is of another network.
    """
    tensors, pruned = _effective(_file_tensors(path), path)
    sources = beneath(tensors, module.state_dict())
    copied = copies(tensors)
    found = {name: tensors[source] for name, source in sources.items()}
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
    again = tuple(dict.fromkeys(fresh))
    arrays = {n: a for n, a in arrays.items() if n.rpartition(".")[0] not in again}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise RgtoolError(f"{path}: '{name}' holds values that are not finite")
    beside = {before(copy, own) for copy, own in copied.items() if own in sources.values()}
    zeros = sum(pruned.get(sources[name], 0) for name in arrays if name in sources)
    digest = _content_digest(arrays)
    return Pretrained(path, arrays, again, digest, " and ".join(sorted(beside)), zeros)


def _effective(tensors: Arrays, path: Path) -> tuple[Arrays, dict[str, int]]:
    """Join `X_orig` and `X_mask` of `torch.nn.utils.prune` into X; count what the masks prune."""
    joined, pruned = dict(tensors), dict[str, int]()
    for name in [n.removesuffix("_mask") for n in tensors if n.endswith("_mask")]:
        if f"{name}_orig" not in tensors:
            continue
        weights, mask = joined.pop(f"{name}_orig"), joined.pop(f"{name}_mask")
        if weights.shape != mask.shape or ((mask != 0) & (mask != 1)).any():
            raise RgtoolError(f"{path}: '{name}_mask' is no mask of '{name}_orig'")
        joined[name] = weights * mask
        pruned[name] = int(mask.size - np.count_nonzero(mask))
    return joined, pruned


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
