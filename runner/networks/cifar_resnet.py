"""ResNets of 6 n + 2 layers for small images."""

from __future__ import annotations

import re

from torch import Tensor, nn

from . import InputShape
from .residual import BasicBlock, stage


class CifarResNet(nn.Module):
    """ResNet of He et al. 2016, section 4.2.

    Shortcuts that change the width are 1x1 convolutions, as in OpenLTH.
    """

    def __init__(self, depth: int, width: int, input_shape: InputShape, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks = (depth - 2) // 6
        self.layer1 = stage(BasicBlock, width, width, blocks, stride=1)
        self.layer2 = stage(BasicBlock, width, 2 * width, blocks, stride=2)
        self.layer3 = stage(BasicBlock, 2 * width, 4 * width, blocks, stride=2)
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, classes)."""
        x = self.bn1(self.conv1(x)).relu_()
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def build(name: str, input_shape: InputShape, classes: int) -> nn.Module:
    """Build `resnet20`, `resnet20w8` and their kin."""
    match = re.fullmatch(r"resnet(\d+)(?:w(\d+))?", name)
    assert match is not None  # the block maps know the name
    return CifarResNet(int(match[1]), int(match[2] or 16), input_shape, classes)
