"""Which files are the levels of a run, and in which order: names people give, and the masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from rgtool.store import Store
from rgtool.store.importers.report import ImportedRun

KEPT = (650, 520, 416, 333, 266, 213)  # of 750 - 100 weights, a fifth less a level
State = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def pruned(levels: int = 5, seed: int = 0, inputs: int = 20) -> list[State]:
    """Return the state dicts of a network that `torch.nn.utils.prune` prunes level by level."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(inputs, 25), nn.ReLU(), nn.Linear(25, 6))
    weights = [(net[0], "weight"), (net[2], "weight")]
    states = []
    for level in range(levels):
        if level:
            prune.global_unstructured(weights, prune.L1Unstructured, amount=0.2)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=1e-3)
        states.append({name: tensor.clone() for name, tensor in net.state_dict().items()})
    return states


def lay(folder: Path, files: Mapping[str, State]) -> Path:
    """Save state dicts under a folder, by their paths in it."""
    for name, state in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / name)
    return folder


def levels_of(store: Store, run: ImportedRun) -> dict[int, int]:
    rows = store.query(
        "SELECT level, network_kept FROM levels WHERE run_id = ? ORDER BY level", [run.run_id]
    ).rows
    return dict(rows)
