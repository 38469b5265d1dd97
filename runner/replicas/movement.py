"""The sum that the pruner `movement` scores by, added to at every step of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

PREFIX = "movement/"  # of its tensors in a checkpoint


class Movement:
    """Minus the sum of lr g w of every weight, g the gradient of the loss alone, in float64.

    Parameters
    ----------
    weights : mapping of str to Parameter
        The weights in training, by their names.
    """

    def __init__(self, weights: Mapping[str, nn.Parameter]) -> None:
        self.weights = dict(weights)
        self.sums = {
            name: torch.zeros_like(weight, dtype=torch.float64, requires_grad=False)
            for name, weight in weights.items()
        }

    def add(self, lr: float | Tensor, overflow: Tensor | None) -> None:
        """Add the step that is due; one whose gradients overflow is none, as for the optimizer."""
        for name, weight in self.weights.items():
            if weight.grad is None:
                continue
            moved = weight.grad.double() * weight.double() * lr
            self.sums[name] -= moved if overflow is None else moved.where(overflow == 0, 0.0)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copy the sums into arrays, as a checkpoint has them."""
        return {PREFIX + name: total.cpu().numpy().copy() for name, total in self.sums.items()}

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the sums of a checkpoint."""
        for name, total in self.sums.items():
            total.copy_(torch.from_numpy(arrays[PREFIX + name]))

    def by_layer(self) -> dict[str, NDArray[Any]]:
        """Copy the sums into arrays, by the names of the layers."""
        return {
            name.removesuffix(".weight"): total.cpu().numpy().copy()
            for name, total in self.sums.items()
        }
