"""The networks of the foreign formats, by the names and shapes of their tensors.

They are never called: what counts is that `state_dict` has the keys of the original's, in its
order. Each is a tree of plain modules, so the definitions read like the key lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn


def tree(**children: nn.Module) -> nn.Module:
    """Return a module with these children, in this order."""
    node = nn.Module()
    for name, child in children.items():
        node.add_module(name, child)
    return node


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a network from a seed, leaving the global generator alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def conv(inputs: int, outputs: int, kernel: int = 3, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, bias=bias)


def convolutions(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield names and modules of the convolutions, in order."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            yield name, module


# OpenLTH.

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)


def openlth_resnet(depth: int, width: int = 16) -> nn.Module:
    """cifar_resnet_{depth}_{width}: the blocks of all stages in one sequence."""
    blocks, inputs = [], width
    for outputs in (width, 2 * width, 4 * width):
        for _ in range((depth - 2) // 6):
            blocks.append(_openlth_block(inputs, outputs))
            inputs = outputs
    return tree(
        conv=conv(3, width),
        bn=nn.BatchNorm2d(width),
        blocks=nn.Sequential(*blocks),
        fc=nn.Linear(inputs, 10),
    )


def _openlth_block(inputs: int, outputs: int) -> nn.Module:
    shortcut = [] if inputs == outputs else [conv(inputs, outputs, 1), nn.BatchNorm2d(outputs)]
    return tree(
        conv1=conv(inputs, outputs),
        bn1=nn.BatchNorm2d(outputs),
        conv2=conv(outputs, outputs),
        bn2=nn.BatchNorm2d(outputs),
        shortcut=nn.Sequential(*shortcut),
    )


def openlth_vgg(plan: Sequence[int] = VGG16) -> nn.Module:
    """cifar_vgg_16: a 0 in the plan is a pooling layer, which counts in the names."""
    layers: list[nn.Module] = []
    inputs = 3
    for outputs in plan:
        if outputs:
            layers.append(tree(conv=conv(inputs, outputs, bias=True), bn=nn.BatchNorm2d(outputs)))
            inputs = outputs
        else:
            layers.append(nn.MaxPool2d(2))
    return tree(layers=nn.Sequential(*layers), fc=nn.Linear(inputs, 10))


def openlth_lenet(*widths: int) -> nn.Module:
    """mnist_lenet_{widths}: `fc_layers` and `fc`."""
    sizes = (784, *widths)
    hidden = [nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)]
    return tree(fc_layers=nn.ModuleList(hidden), fc=nn.Linear(sizes[-1], 10))


def openlth(name: str) -> nn.Module:
    """Return the network of an OpenLTH model name."""
    kind, numbers = name.split("_")[1], [int(n) for n in name.split("_")[2:]]
    if kind == "lenet":
        return openlth_lenet(*numbers)
    if kind == "vgg":
        if numbers != [16]:
            raise ValueError(f"no plan for {name}")
        return openlth_vgg()
    return openlth_resnet(*numbers)


# torchvision's layout, which CV_LTH, MoCo, SimCLR and most of the world use.


def resnet(
    blocks: Sequence[int],
    *,
    bottleneck: bool = False,
    stem: int = 3,
    classes: int = 10,
    head: nn.Module | None = None,
) -> nn.Module:
    """Return a ResNet with stages `layer1` to `layer4`; `stem` is the size of the first kernel."""
    stages, inputs = {}, 64
    for stage, count in enumerate(blocks):
        outputs = (64 << stage) * (4 if bottleneck else 1)
        members = []
        for _ in range(count):
            members.append(_residual(inputs, outputs, bottleneck))
            inputs = outputs
        stages[f"layer{stage + 1}"] = nn.Sequential(*members)
    return tree(
        conv1=conv(3, 64, stem),
        bn1=nn.BatchNorm2d(64),
        **stages,
        fc=head or nn.Linear(inputs, classes),
    )


def _residual(inputs: int, outputs: int, bottleneck: bool) -> nn.Module:
    middle = outputs // 4 if bottleneck else outputs
    shapes = [(inputs, middle, 1), (middle, middle, 3), (middle, outputs, 1)]
    if not bottleneck:
        shapes = [(inputs, outputs, 3), (outputs, outputs, 3)]
    children: dict[str, nn.Module] = {}
    for number, (a, b, kernel) in enumerate(shapes, 1):
        children[f"conv{number}"] = conv(a, b, kernel)
        children[f"bn{number}"] = nn.BatchNorm2d(b)
    if inputs != outputs:
        pair = conv(inputs, outputs, 1), nn.BatchNorm2d(outputs)
        children["downsample"] = nn.Sequential(*pair)
    return tree(**children)


def resnet18(stem: int = 3, classes: int = 10, head: nn.Module | None = None) -> nn.Module:
    return resnet((2, 2, 2, 2), stem=stem, classes=classes, head=head)


def resnet50(stem: int = 3, classes: int = 10, head: nn.Module | None = None) -> nn.Module:
    return resnet((3, 4, 6, 3), bottleneck=True, stem=stem, classes=classes, head=head)


def resnet8() -> nn.Module:
    """Return torchvision's layout on a small scale, with a down-sampling convolution."""
    return tree(
        conv1=conv(3, 8),
        bn1=nn.BatchNorm2d(8),
        layer1=nn.Sequential(_residual(8, 8, False)),
        layer2=nn.Sequential(_residual(8, 16, False)),
        fc=nn.Linear(16, 10),
    )


# PrAC.


class Normalize(nn.Module):
    """Holds mean and standard deviation of the channels as buffers."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2470, 0.2435, 0.2616]).view(1, 3, 1, 1))


def prac_resnet(depth: int) -> nn.Module:
    """res20s, res56s: the shortcuts have no parameters (option A)."""
    stages, inputs = {}, 16
    for stage, outputs in enumerate((16, 32, 64), 1):
        members = []
        for _ in range((depth - 2) // 6):
            block = dict(_openlth_block(inputs, outputs).named_children())
            members.append(tree(**{**block, "shortcut": nn.Sequential()}))
            inputs = outputs
        stages[f"layer{stage}"] = nn.Sequential(*members)
    return tree(
        normalize=Normalize(),
        conv1=conv(3, 16),
        bn1=nn.BatchNorm2d(16),
        **stages,
        fc=nn.Linear(64, 10),
    )


def prac_vgg16_bn(plan: Sequence[int] = VGG16) -> nn.Module:
    """vgg16_bn: torchvision's numbering of `features`, with biases, and one `classifier`."""
    layers: list[nn.Module] = []
    inputs = 3
    for outputs in plan:
        if outputs:
            layers += [conv(inputs, outputs, bias=True), nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        else:
            layers.append(nn.MaxPool2d(2))
    return tree(
        features=nn.Sequential(*layers),
        classifier=nn.Linear(inputs, 10),
        normalize=Normalize(),
    )
