"""Writes masks as arrays: as rahulvigneswaran's program does, and as anybody does with numpy.

The program prunes every parameter called a weight by a percentile of its own, goes back to the
initial weights and trains; it pickles its list of masks, and the arrays that it plots.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch
from foreign_layout import Layout, Tally
from foreign_plain import generic_masks
from torch import nn

_TESTS = 4  # of accuracy, a level


def write_lists(
    folder: Path, *, levels: int = 4, seed: int = 0, kind: str = "lt", tell: bool = True
) -> Layout:
    """Write the dumps of a run; `tell` writes what the program writes when all levels are done."""
    place = folder / "dumps" / "lt" / "fc1" / "mnist"
    place.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Linear(20, 30), nn.BatchNorm1d(30), nn.ReLU(), nn.Linear(30, 20), nn.Linear(20, 10)
    )
    weights = {n: p for n, p in network.named_parameters() if "weight" in n}
    initial = {n: p.detach().clone() for n, p in network.named_parameters()}
    masks = [np.ones_like(p.detach().numpy()) for p in weights.values()]
    inputs, classes = torch.randn(100, 20), torch.randint(0, 10, (100,))
    tally = Tally(place, "pickled_lists", "fc1")
    percents, best = np.zeros(levels), np.zeros(levels)
    for level in range(levels):
        if level:
            masks = [_pruned(p, m) for p, m in zip(weights.values(), masks, strict=True)]
            _rewind(network, initial, dict(zip(weights, masks, strict=True)))
        percents[level] = _percent(network)
        accuracies = _train(network, inputs, classes)
        best[level] = accuracies.max()
        path = place / f"{kind}_mask_{percents[level]}.pkl"
        path.write_bytes(pickle.dumps(masks))
        accuracies.dump(place / f"{kind}_all_accuracy_{percents[level]}.dat")
        numbered = {str(n): torch.from_numpy(m) for n, m in enumerate(masks) if m.ndim > 1}
        tally.level(numbered, best[level] / 100, path)
    if tell:
        percents.dump(place / f"{kind}_compression.dat")
        best.dump(place / f"{kind}_bestaccuracy.dat")
    return tally.layout()


def _pruned(parameter: nn.Parameter, mask: np.ndarray) -> np.ndarray:
    weights = parameter.detach().numpy()
    limit = np.percentile(abs(weights[np.nonzero(weights)]), 20)
    return np.where(abs(weights) < limit, 0, mask)


def _rewind(
    network: nn.Module, initial: dict[str, torch.Tensor], masks: dict[str, np.ndarray]
) -> None:
    for name, parameter in network.named_parameters():
        mask = masks.get(name, np.ones(()))
        parameter.data = (initial[name] * torch.from_numpy(mask)).float()


def _percent(network: nn.Module) -> float:
    arrays = [p.detach().numpy() for p in network.parameters()]
    return round(100 * sum(map(np.count_nonzero, arrays)) / sum(a.size for a in arrays), 1)


def _train(network: nn.Module, inputs: torch.Tensor, classes: torch.Tensor) -> np.ndarray:
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    accuracies = np.zeros(_TESTS)
    for turn in range(_TESTS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs), classes).backward()
        for parameter in network.parameters():
            assert parameter.grad is not None
            parameter.grad[parameter.detach().abs() < 1e-6] = 0
        optimizer.step()
        accuracies[turn] = 100 * float((network(inputs).argmax(1) == classes).float().mean())
    return accuracies


def write_numpy(folder: Path, model: str = "resnet8", *, levels: int = 3, seed: int = 1) -> Layout:
    """Write the masks of a level to an `.npz` file under the names of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tally = Tally(folder, "numpy", model)
    for level, masks in enumerate(generic_masks(model, levels, seed)):
        path = folder / f"level_{level}.npz"
        np.savez_compressed(path, **{name: mask.numpy() for name, mask in masks.items()})  # type: ignore[arg-type]
        tally.level(masks, None, path)
    return tally.layout()
