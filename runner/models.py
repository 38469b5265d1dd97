"""The networks. Adding one is a class and a line in `MODELS`; its layers stand in the block maps.

Module names are the canonical layer names of `schemas.blocks`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..schemas.blocks import CIFAR_RESNETS, architecture
from ..schemas.errors import UsageError, did_you_mean

InputShape = tuple[int, int, int]


class LeNet(nn.Module):
    """LeNet-300-100: two hidden layers, fully connected (LeCun et al. 1998)."""

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


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.stride = stride
        self.downsample = None
        if c_in != c_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c_in, H, W) to (B, c_out, H / stride, W / stride)."""
        shortcut = x
        if self.downsample is not None:
            # The stride of the 1x1 convolution, taken before it: the same sums, and oneDNN's own
            # strided form writes past its workspace for few channels (oneDNN issue 6035).
            shortcut = self.downsample(x[..., :: self.stride, :: self.stride])
        x = self.bn1(self.conv1(x)).relu()
        total: Tensor = self.bn2(self.conv2(x)) + shortcut
        return total.relu()


class CifarResNet(nn.Module):
    """ResNet of 6 n + 2 layers for small images (He et al. 2016, section 4.2).

    Shortcuts that change the width are 1x1 convolutions, as in OpenLTH.
    """

    def __init__(self, depth: int, width: int, input_shape: InputShape, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks = (depth - 2) // 6
        self.layer1 = self._stage(width, width, blocks, stride=1)
        self.layer2 = self._stage(width, 2 * width, blocks, stride=2)
        self.layer3 = self._stage(2 * width, 4 * width, blocks, stride=2)
        self.fc = nn.Linear(4 * width, classes)

    @staticmethod
    def _stage(c_in: int, c_out: int, blocks: int, stride: int) -> nn.Sequential:
        first = BasicBlock(c_in, c_out, stride)
        return nn.Sequential(first, *(BasicBlock(c_out, c_out, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, classes)."""
        x = self.bn1(self.conv1(x)).relu()
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def _cifar_resnet(name: str, input_shape: InputShape, classes: int) -> nn.Module:
    match = re.fullmatch(r"resnet(\d+)(?:w(\d+))?", name)
    assert match is not None  # the block maps know the name
    return CifarResNet(int(match[1]), int(match[2] or 16), input_shape, classes)


MODELS: dict[str, Callable[[str, InputShape, int], nn.Module]] = {
    "lenet": lambda name, input_shape, classes: LeNet(input_shape, classes),
    **dict.fromkeys(CIFAR_RESNETS, _cifar_resnet),
}


def check(name: str) -> None:
    """Hold a name to the networks that can be trained.

    Raises
    ------
    UsageError
        The runner has no such network; the message offers the nearest names.
    """
    if re.sub(r"w\d+$", "", name) not in MODELS:
        raise UsageError(f"model '{name}' is unknown: {did_you_mean(name, MODELS)}")
    architecture(name)  # rejects a width where there is none


def build(name: str, input_shape: InputShape, classes: int) -> nn.Module:
    """Build a network that passes `check`, channels last, with PyTorch's own initial values."""
    check(name)
    with torch.random.fork_rng(devices=[]):  # the caller's random state stays as it is
        module = MODELS[re.sub(r"w\d+$", "", name)](name, input_shape, classes)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def initialise(
    module: nn.Module, *, init: str, fan: str, bn_init: str, rng: torch.Generator
) -> None:
    """Draw initial weights in place, in the order of the modules.

    Weights of convolutions and linear layers follow `init` (He et al. 2015), their biases
    U(-1, 1) / sqrt(fan_in) as PyTorch's default, BN weights `bn_init` (OpenLTH: U(0, 1)), BN biases
    are 0.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            INITIALISERS[init](part.weight, fan, rng)
            if part.bias is not None:
                bound = 1 / math.sqrt(math.prod(part.weight.shape[1:]))
                nn.init.uniform_(part.bias, -bound, bound, generator=rng)
        elif isinstance(part, nn.BatchNorm2d):
            BN_INITIALISERS[bn_init](part.weight, rng)
            nn.init.zeros_(part.bias)
            part.reset_running_stats()


def _kaiming_normal(weight: Tensor, fan: str, rng: torch.Generator) -> None:
    nn.init.kaiming_normal_(weight, mode=fan, nonlinearity="relu", generator=rng)  # type: ignore[arg-type]


def _kaiming_uniform(weight: Tensor, fan: str, rng: torch.Generator) -> None:
    nn.init.kaiming_uniform_(weight, mode=fan, nonlinearity="relu", generator=rng)  # type: ignore[arg-type]


INITIALISERS: dict[str, Callable[[Tensor, str, torch.Generator], None]] = {
    "kaiming_normal": _kaiming_normal,
    "kaiming_uniform": _kaiming_uniform,
}
BN_INITIALISERS: dict[str, Callable[[Tensor, torch.Generator], object]] = {
    "uniform": lambda weight, rng: nn.init.uniform_(weight, generator=rng),
    "ones": lambda weight, rng: nn.init.ones_(weight),
}
