"""ResNets of four stages, as torchvision has them, with a stem for small images or large ones."""

from __future__ import annotations

from torch import Tensor, nn

from ...schemas.blocks import RESNETS, small_images
from . import InputShape
from .residual import BasicBlock, Block, Bottleneck, stage


class ResNet(nn.Module):
    """ResNet of He et al. 2016, table 1; torchvision's state dicts fit.

    Images up to 64 pixels meet a 3x3 stem without pooling (Chen et al. 2021a), larger ones the
    published 7x7 stem with a stride of 2 and a pooling layer.
    """

    def __init__(
        self, plan: tuple[int, ...], block: Block, input_shape: InputShape, classes: int
    ) -> None:
        super().__init__()
        channels = input_shape[0]
        self.small = small_images(input_shape)
        if self.small:
            self.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        else:
            self.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        grow = block.expansion
        self.layer1 = stage(block, 64, 64, plan[0], stride=1)
        self.layer2 = stage(block, 64 * grow, 128, plan[1], stride=2)
        self.layer3 = stage(block, 128 * grow, 256, plan[2], stride=2)
        self.layer4 = stage(block, 256 * grow, 512, plan[3], stride=2)
        self.fc = nn.Linear(512 * grow, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, classes)."""
        x = self.bn1(self.conv1(x)).relu_()
        if not self.small:
            x = nn.functional.max_pool2d(x, 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def build(name: str, input_shape: InputShape, classes: int) -> nn.Module:
    """Build `resnet18` to `resnet152`."""
    plan, bottleneck = RESNETS[name]
    return ResNet(plan, Bottleneck if bottleneck else BasicBlock, input_shape, classes)
