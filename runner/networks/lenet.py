"""LeNet-300-100: two hidden layers, fully connected."""

from __future__ import annotations

import math

from torch import Tensor, nn

from . import InputShape


class LeNet(nn.Module):
    """Two hidden layers, fully connected (LeCun et al. 1998)."""

    def __init__(self, input_shape: InputShape, classes: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(math.prod(input_shape), 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc = nn.Linear(100, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, classes)."""
        x = self.fc1(x.flatten(1)).relu()
        logits: Tensor = self.fc(self.fc2(x).relu())
        return logits


def build(name: str, input_shape: InputShape, classes: int) -> nn.Module:
    """Build `lenet`."""
    return LeNet(input_shape, classes)
