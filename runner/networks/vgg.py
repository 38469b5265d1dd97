"""VGG with BN for small images: one linear layer behind the convolutions."""

from __future__ import annotations

from torch import Tensor, nn

from ...schemas.blocks import VGG_PLANS
from . import InputShape


class VGG(nn.Module):
    """VGG of Simonyan & Zisserman 2015 with BN, as Zhang et al. 2021 and OpenLTH train it.

    `features` is numbered as torchvision's `vgg16_bn`. Images that have shrunk to a pixel pass the
    remaining pooling layers as they are. What is left at the end (2 x 2 positions of an image of
    32 x 32) is averaged, as in both studies, or with `pooling="max"` pooled as after every stage.
    """

    def __init__(
        self, plan: tuple[int, ...], input_shape: InputShape, classes: int, pooling: str
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        c_in = input_shape[0]
        for number, convolutions in enumerate(plan):
            c_out = min(64 << number, 512)
            for _ in range(convolutions):
                layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out)]
                layers.append(nn.ReLU(inplace=True))
                c_in = c_out
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        if pooling == "average":
            layers.pop()
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, classes)."""
        logits: Tensor = self.fc(self.features(x).mean((2, 3)))
        return logits


def build(name: str, input_shape: InputShape, classes: int, pooling: str = "max") -> nn.Module:
    """Build `vgg11` to `vgg19`."""
    return VGG(VGG_PLANS[name], input_shape, classes, pooling)
