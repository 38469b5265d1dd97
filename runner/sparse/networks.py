"""From a network of the runner to the units that train it. Each function reads like its network."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

from torch import nn

from ..networks.cifar_resnet import CifarResNet
from ..networks.lenet import LeNet
from ..networks.residual import BasicBlock, Bottleneck
from ..networks.resnet import ResNet
from ..networks.vgg import VGG
from .lanes import Size
from .signals import Context, Features, Images, Signal
from .units import Branch, Convolution, CrossEntropy, Linear, MaxPool, Mean, Shortcut, Unit


class Units:
    """The units of a network in the order of its forward pass; every method adds to them.

    Parameters
    ----------
    context : Context
        What they share.
    size : Size
        Of the images.
    between : callable
        Called after every unit, since those of many weights take their time.
    """

    def __init__(self, context: Context, size: Size, between: Callable[[], None]) -> None:
        self.context, self.images, self.between = context, Images(context, size), between
        self.in_order: list[Unit] = []
        self.loss: CrossEntropy
        # Whose gradients lie where: one is read until the one before it is written.
        self._turns = itertools.cycle(("gradient", "other gradient"))
        self._inner_turns = itertools.cycle(("inner gradient", "other inner gradient"))

    def _add(self, unit: Unit) -> None:
        self.in_order.append(unit)
        self.between()

    def convolve(self, x: Signal, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Signal:
        """Add a convolution and its batch norm."""
        return self._convolve(x, [Branch(conv, norm)], [next(self._turns)])[0]

    def _convolve(
        self, x: Signal, branches: list[Branch], gradients: list[str], stride: int = 1
    ) -> list[Signal]:
        unit = Convolution(self.context, x, branches, gradients, stride)
        self._add(unit)
        return unit.outputs

    def basic_block(self, x: Signal, block: BasicBlock) -> Signal:
        """Add a residual block; its shortcut is computed with its first convolution."""
        gradient = next(self._turns)
        branches, gradients = [Branch(block.conv1, block.bn1)], [next(self._inner_turns)]
        if block.downsample is not None:
            branches.append(Branch(*block.downsample))
            gradients.append(gradient)
        inner, *shortcut = self._convolve(x, branches, gradients, block.stride)
        self.in_order += [Shortcut(self.context, signal) for signal in shortcut]
        out = self._convolve(inner, [Branch(block.conv2, block.bn2)], [gradient])[0]
        return self._join(out, x, shortcut)

    def bottleneck(self, x: Signal, block: Bottleneck) -> Signal:
        """Add a residual block of three convolutions; its shortcut's stride is its own."""
        gradient = next(self._turns)
        y = self._convolve(x, [Branch(block.conv1, block.bn1)], [next(self._inner_turns)])[0]
        middle, gradients = [Branch(block.conv2, block.bn2)], [next(self._inner_turns)]
        y = self._convolve(y, middle, gradients, block.stride)[0]
        out = self._convolve(y, [Branch(block.conv3, block.bn3)], [gradient])[0]
        shortcut = []
        if block.downsample is not None:
            # Its part of the gradient of x is there before the first convolution adds it.
            x.added = "gradient of the shortcut"
            beside = dataclasses.replace(x.keep(), gradient=x.added)
            branches = [Branch(*block.downsample)]
            shortcut = self._convolve(beside, branches, [gradient], block.stride)
            self.in_order += [Shortcut(self.context, signal) for signal in shortcut]
        return self._join(out, x, shortcut)

    def _join(self, out: Signal, x: Signal, shortcut: list[Signal]) -> Signal:
        """Add what a block's shortcut computes, or what the block reads, to what it computes."""
        if shortcut:
            out.join(shortcut[0])
        else:
            x.added = out.gradient
            out.join(x.keep())
        return out

    def max_pool(self, x: Signal) -> Signal:
        """Add a pooling layer of 2x2 pixels."""
        unit = MaxPool(self.context, x, next(self._turns))
        self._add(unit)
        return unit.output

    def mean(self, x: Signal) -> Features:
        """Add the average over the pixels."""
        unit = Mean(self.context, x)
        self._add(unit)
        return unit.output

    def linear(self, x: Features, module: nn.Linear, *, rectified: bool = False) -> Features:
        """Add a linear layer."""
        unit = Linear(self.context, module, x, rectified=rectified)
        self._add(unit)
        return unit.output

    def classify(self, x: Features, module: nn.Linear) -> None:
        """Add the last linear layer and the loss."""
        self.loss = CrossEntropy(self.context, self.linear(x, module))


def _residual(units: Units, net: Any, stages: tuple[nn.Sequential, ...]) -> None:
    x = units.convolve(units.images.planes(), net.conv1, net.bn1)
    for block in itertools.chain(*stages):
        if isinstance(block, Bottleneck):
            x = units.bottleneck(x, block)
        elif isinstance(block, BasicBlock):
            x = units.basic_block(x, block)
    units.classify(units.mean(x), net.fc)


def _cifar_resnet(units: Units, net: CifarResNet) -> None:
    _residual(units, net, (net.layer1, net.layer2, net.layer3))


def _resnet(units: Units, net: ResNet) -> None:
    _residual(units, net, (net.layer1, net.layer2, net.layer3, net.layer4))


def _vgg(units: Units, net: VGG) -> None:
    x = units.images.planes()
    layers = list(net.features)
    for layer, following in itertools.zip_longest(layers, layers[1:]):
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            x = units.convolve(x, layer, following)
        elif isinstance(layer, nn.MaxPool2d):
            x = units.max_pool(x)
    units.classify(units.mean(x), net.fc)


def _lenet(units: Units, net: LeNet) -> None:
    x = units.linear(units.images.features(), net.fc1, rectified=True)
    units.classify(units.linear(x, net.fc2, rectified=True), net.fc)


NETWORKS: dict[type[nn.Module], Callable[..., None]] = {
    CifarResNet: _cifar_resnet,
    LeNet: _lenet,
    ResNet: _resnet,
    VGG: _vgg,
}


def add_units(units: Units, module: nn.Module) -> None:
    """Add the units of a network of `NETWORKS`."""
    NETWORKS[type(module)](units, module)


def unserved_part(module: nn.Module) -> str | None:
    """Say which part of a network has no units; None where all have."""
    if type(module) not in NETWORKS:
        return f"networks of the kind {type(module).__name__} have no sparse kernels"
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d) and part.kernel_size[0] > 3:
            size = part.kernel_size[0]
            return f"{name} is a convolution of {size}x{size}, sparse kernels have 3x3 and 1x1"
    return None
