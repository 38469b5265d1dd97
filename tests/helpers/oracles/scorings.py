"""What a pruner sees of a small network, without a run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rgtool.runner.layers import counted_parts
from rgtool.runner.pruners.scoring import Scoring, no_images
from rgtool.runner.pruning import Mask


class Small(nn.Module):
    """A convolution with batch norm, another, an average, a linear layer: 165 counted weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.conv2 = nn.Conv2d(3, 3, 3, padding=1)
        self.pool, self.fc = nn.AvgPool2d(2), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        logits: Tensor = self.fc(self.pool(self.conv2(x).relu()).flatten(1))
        return logits


def small(seed: int = 0) -> Small:
    """The network, its weights and batch norm drawn from a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = Small()
        nn.init.uniform_(module.bn1.weight)
    return module.eval()


def random_mask(module: nn.Module, share: float, seed: int = 0) -> Mask:
    """A mask that keeps about a share of every layer, and never nothing."""
    rng = np.random.default_rng(seed)
    found: Mask = {}
    for name, part in counted_parts(module).items():
        mask = rng.random(tuple(part.weight.shape)) < share
        mask.flat[0] = True
        found[name] = mask
    return found


def scoring_of(
    module: nn.Module,
    mask: Mask | None = None,
    images: Callable[[], Iterator[tuple[Tensor, Tensor]]] = no_images,
    **changes: Any,
) -> Scoring:
    """What a pruner sees of a network whose weights are masked, of images of shape (2, 4, 4)."""
    module = copy.deepcopy(module)
    masks = mask if mask is not None else random_mask(module, 2.0)
    with torch.no_grad():
        for name, kept in masks.items():
            module.get_parameter(f"{name}.weight").mul_(torch.from_numpy(kept))
    weights = {n: module.get_parameter(f"{n}.weight").detach().numpy().copy() for n in masks}
    values: dict[str, Any] = {
        "weights": weights,
        "rewind": {name: np.zeros_like(weight) for name, weight in weights.items()},
        "mask": masks,
        "network": lambda: copy.deepcopy(module),
        "batches": images,
        "classes": 4,
        "input_shape": (2, 4, 4),
    }
    return Scoring(**{**values, **changes})
