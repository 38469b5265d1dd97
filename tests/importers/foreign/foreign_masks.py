"""Writes the masks of a level in all the ways that people save them, by a network pruned for real.

Each way writes one file a level. `NAMED` tell the layers by name, `NUMBERED` by their order alone.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import prune

LAYERS = {"conv": (8, 3, 3, 3), "fc1": (30, 32), "fc2": (10, 30)}
LEVELS = 4
Masks = Mapping[str, Tensor]
Write = Callable[[Path, nn.Module, Masks], None]


class Masked(nn.Linear):
    """A layer with a buffer called `mask`, as TurboPrune and many own programs have it."""

    def __init__(self, weight: Tensor, mask: Tensor) -> None:
        super().__init__(weight.shape[1], weight.shape[0])
        self.weight = nn.Parameter(weight)
        self.register_buffer("mask", mask)


def network(seed: int = 0) -> nn.Module:
    """Build the network whose masks are written."""
    torch.manual_seed(seed)
    return nn.ModuleDict(
        {"conv": nn.Conv2d(3, 8, 3), "bn": nn.BatchNorm2d(8), "fc1": nn.Linear(32, 30),
         "fc2": nn.Linear(30, 10)}
    )  # fmt: skip


def levels(seed: int = 0) -> Iterator[tuple[nn.Module, dict[str, Tensor]]]:
    """Yield the network and its masks at every level, pruned by a fifth each, dense first."""
    trained = network(seed)
    for level in range(LEVELS):
        pruned = [(trained[name], "weight") for name in LAYERS]
        if level:
            prune.global_unstructured(pruned, prune.L1Unstructured, amount=0.2)
        else:
            for module, name in pruned:
                prune.identity(module, name)
        yield trained, {name: trained[name].weight_mask.clone() for name in LAYERS}
        with torch.no_grad():
            for module, _ in pruned:
                module.weight_orig += 0.01 * torch.randn(module.weight_orig.shape)


def kept(seed: int = 0) -> list[list[int]]:
    """Count the kept weights of every layer at every level."""
    return [[int(mask.sum()) for mask in masks.values()] for _, masks in levels(seed)]


def write(folder: Path, way: str, seed: int = 0) -> Path:
    """Write all levels in one way."""
    folder.mkdir(parents=True, exist_ok=True)
    ending, save = WAYS[way]
    for level, (trained, masks) in enumerate(levels(seed)):
        save(folder / f"level_{level}{ending}", trained, masks)
    return folder


def plain(trained: nn.Module) -> dict[str, Tensor]:
    """Return a state dict without the names of `torch.nn.utils.prune`."""
    return {
        name.removesuffix("_orig"): tensor.clone()
        for name, tensor in trained.state_dict().items()
        if not name.endswith("_mask")
    }


def effective(trained: nn.Module) -> dict[str, Tensor]:
    """Return a state dict in which pruned weights are zeros, and nothing else tells them."""
    masks = {f"{name}.weight": trained[name].weight_mask for name in LAYERS}
    return {name: t * masks.get(name, 1) for name, t in plain(trained).items()}


def beside(trained: nn.Module, name_of: Callable[[str], str], masks: Masks) -> dict[str, Tensor]:
    """Return a flat dictionary of weights and masks, these named by a function of the layer."""
    return plain(trained) | {name_of(layer): mask for layer, mask in masks.items()}


def wrapped(trained: nn.Module, name_of: str, masks: Masks) -> dict[str, Tensor]:
    """Return a flat dictionary of weights behind a prefix, and masks that have another."""
    weights = {f"model.{name}": tensor for name, tensor in plain(trained).items()}
    return weights | {name_of.format(layer): mask for layer, mask in masks.items()}


def _saved(content: Callable[[nn.Module, Masks], Any]) -> Write:
    return lambda path, trained, masks: torch.save(content(trained, masks), path)


def _pickled(content: Callable[[Masks], Any]) -> Write:
    return lambda path, trained, masks: path.write_bytes(pickle.dumps(content(masks))) and None


def _arrays(masks: Masks, ending: str = "") -> dict[str, Any]:
    return {f"{layer}{ending}": mask.numpy() for layer, mask in masks.items()}


def _objects(masks: Masks) -> Any:
    found = np.empty(len(masks), object)
    found[:] = list(_arrays(masks).values())
    return found


def _modules(trained: nn.Module, masks: Masks) -> dict[str, Tensor]:
    with torch.random.fork_rng():
        linear = {n: Masked(trained[n].weight_orig.detach(), masks[n]) for n in ("fc1", "fc2")}
        state = nn.ModuleDict({"conv": nn.Conv2d(3, 8, 3), **linear}).state_dict()
    return {**state, "conv.mask": masks["conv"].bfloat16()}


def _sparsifier(masks: Masks) -> dict[str, Any]:
    """Return the state of a sparsifier of `torch.ao.pruning`: masks by name, and its groups."""
    state = {f"{layer}.weight": {"mask": mask.to_sparse()} for layer, mask in masks.items()}
    return {"state": state, "groups": [{"sparsity_level": 0.2, "tensor_fqn": "conv.weight"}]}


NAMED: dict[str, tuple[str, Write]] = {
    "torch.nn.utils.prune": (".pt", _saved(lambda t, m: t.state_dict())),
    "by weight": (".pt", _saved(lambda t, m: {f"{n}.weight": x.bool() for n, x in m.items()})),
    "by layer": (".pth", _saved(lambda t, m: dict(m))),
    "by layer, as bytes": (".th", _saved(lambda t, m: {n: x.byte() for n, x in m.items()})),
    "_mask": (".bin", _saved(lambda t, m: {f"{n}_mask": x.long() for n, x in m.items()})),
    "DataParallel": (".pt", _saved(lambda t, m: {f"module.{n}.weight": x for n, x in m.items()})),
    "behind a prefix": (".pt", _saved(lambda t, m: {f"mask.{n}.weight": x for n, x in m.items()})),
    "NNI": (".pth", _saved(lambda t, m: {n: {"weight": x, "bias": None} for n, x in m.items()})),
    "pairs": (".pt", _saved(lambda t, m: list(m.items()))),
    "float8": (".pt", _saved(lambda t, m: {n: x.to(torch.float8_e4m3fn) for n, x in m.items()})),
    "sparse": (".pt", _saved(lambda t, m: {n: x.to_sparse() for n, x in m.items()})),
    "mask buffers": (".pt", _saved(_modules)),
    "under state_dict": (".ckpt", _saved(lambda t, m: {"state_dict": dict(m), "epoch": 3})),
    "under mask": (".tar", _saved(lambda t, m: {"state_dict": plain(t), "mask": dict(m)})),
    "under masks, wrapped": (
        ".pt",
        _saved(lambda t, m: {"model": {f"module.model.{n}": x for n, x in plain(t).items()},
                             "masks": {f"{n}.weight": x for n, x in m.items()}}),
    ),
    "under masks, in order": (
        ".pt", _saved(lambda t, m: {"net": plain(t), "masks": list(m.values())})
    ),
    "of a pruner": (
        ".pt", _saved(lambda t, m: {"state_dict": plain(t), "pruner": {"masks": dict(m)}})
    ),
    "beside a pickled network": (".pt", _saved(lambda t, m: {"model": t, "mask": dict(m)})),
    "a sparsifier": (".pt", _saved(lambda t, m: _sparsifier(m))),
    "a sparsifier beside": (
        ".pt", _saved(lambda t, m: {"model": plain(t), "sparsifier": _sparsifier(m)})
    ),
    "buffers of the whole": (".pt", _saved(lambda t, m: beside(t, "{}_mask".format, m))),
    "masks before weights": (".pt", _saved(lambda t, m: beside(t, "masks.{}.weight".format, m))),
    "before wrapped weights": (".pt", _saved(lambda t, m: wrapped(t, "mask.{}", m))),
    "behind their own prefix": (".pt", _saved(lambda t, m: wrapped(t, "pruned.{}.mask", m))),
    "safetensors, before wrapped weights": (
        ".safetensors", lambda p, t, m: save_file(wrapped(t, "mask.{}.weight", m), p)
    ),
    "mask modules": (".pt", _saved(lambda t, m: beside(t, "{}.masker.mask".format, m))),
    "pruning_mask": (".pt", _saved(lambda t, m: beside(t, "{}.pruning_mask.weight".format, m))),
    "_pruning_mask": (".pt", _saved(lambda t, m: beside(t, "{}.weight_pruning_mask".format, m))),
    "mangled": (".pt", _saved(lambda t, m: beside(t, "mask_{}___weight".format, m))),
    "under sparse_mask": (".pt", _saved(lambda t, m: {"net": plain(t), "sparse_mask": dict(m)})),
    "under Mask": (
        ".pt",
        _saved(lambda t, m: {"net": plain(t), "Mask": {f"{n}.weight": x for n, x in m.items()}}),
    ),
    "parametrized": (
        ".pt",
        _saved(lambda t, m: {
            **{f"{n}.parametrizations.weight.original": t[n].weight_orig for n in m},
            **{f"{n}.parametrizations.weight.0.mask": x for n, x in m.items()}}),
    ),
    "args beside": (".pt", _saved(lambda t, m: {**m, "args": Path("x"), "epoch": 9})),
    "npz": (".npz", lambda p, t, m: np.savez(p, **_arrays(m))),
    "npz, packed": (".npz", lambda p, t, m: np.savez_compressed(p, **_arrays(m, ".weight"))),
    "npy of a dictionary": (".npy", lambda p, t, m: np.save(p, _arrays(m), allow_pickle=True)),  # type: ignore[arg-type]
    "pickle of tensors": (".pkl", _pickled(dict)),
    "NNI with inputs and biases": (
        ".pth",
        _saved(lambda t, m: {
            n: {"weight": x, "bias": torch.ones(len(x)), "input_0": torch.ones(2, 9), "x": None}
            for n, x in m.items()}),
    ),
    "a table and a number beside": (
        ".pt", _saved(lambda t, m: {"loss": torch.tensor(0.5), "params": {"net": dict(m)}})
    ),
    "pickle of a dictionary": (".pkl", _pickled(lambda m: _arrays(m, ".weight"))),
    "safetensors": (".safetensors", lambda p, t, m: save_file(dict(m), p)),
    "safetensors, mask beside": (
        ".safetensors", lambda p, t, m: save_file(beside(t, "{}.mask".format, m), p)
    ),
    "safetensors, weight_mask beside": (
        ".safetensors", lambda p, t, m: save_file(beside(t, "{}.weight_mask".format, m), p)
    ),
    "safetensors in bfloat16": (
        ".safetensors",
        lambda p, t, m: save_file(
            {n: x.bfloat16() for n, x in beside(t, "{}.weight_mask".format, m).items()}, p
        ),
    ),
}  # fmt: skip
NUMBERED: dict[str, tuple[str, Write]] = {
    "list of tensors": (".pt", _saved(lambda t, m: list(m.values()))),
    "list of arrays": (".pickle", _pickled(lambda m: list(_arrays(m).values()))),
    "npz without names": (".npz", lambda p, t, m: np.savez(p, *_arrays(m).values())),
    "npy of objects": (".npy", lambda p, t, m: np.save(p, _objects(m), allow_pickle=True)),
}
WAYS = NAMED | NUMBERED
