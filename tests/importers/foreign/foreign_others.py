"""Known networks as other people's code names their layers, and what wraps them.

As in `foreign_networks` only the keys of `state_dict` count; each builder names the code that it
follows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from foreign_networks import conv, tree
from torch import Tensor, nn


def _normalised(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(conv(inputs, outputs, kernel), nn.BatchNorm2d(outputs))


def kuangliu(
    counts: Sequence[int], width: int = 64, *, bottleneck: bool = False, classes: int = 10
) -> nn.Module:
    """kuangliu/pytorch-cifar: `layer2.0.shortcut.0`, `linear`; with three stages akamaster's."""
    stages, inputs = {}, width
    for stage, count in enumerate(counts):
        middle = width << stage
        outputs = middle * (4 if bottleneck else 1)
        blocks = []
        for _ in range(count):
            shapes = [(inputs, middle, 3), (middle, outputs, 3)]
            if bottleneck:
                shapes = [(inputs, middle, 1), (middle, middle, 3), (middle, outputs, 1)]
            block = {f"conv{i}": conv(*shape) for i, shape in enumerate(shapes, 1)}
            projected = _normalised(inputs, outputs, 1) if inputs != outputs else nn.Sequential()
            blocks.append(tree(**block, shortcut=projected))
            inputs = outputs
        stages[f"layer{stage + 1}"] = nn.Sequential(*blocks)
    return tree(conv1=conv(3, width), **stages, linear=nn.Linear(inputs, classes))


def akamaster(count: int) -> nn.Module:
    """akamaster/pytorch_resnet_cifar10, option A: shortcuts without weights."""
    stages, inputs = {}, 16
    for stage, outputs in enumerate((16, 32, 64), 1):
        blocks = []
        for _ in range(count):
            blocks.append(tree(conv1=conv(inputs, outputs), conv2=conv(outputs, outputs)))
            inputs = outputs
        stages[f"layer{stage}"] = nn.Sequential(*blocks)
    return tree(conv1=conv(3, 16), **stages, linear=nn.Linear(64, 10))


def weiaicunzai(counts: Sequence[int], *, bottleneck: bool) -> nn.Module:
    """weiaicunzai/pytorch-cifar100: `conv2_x.0.residual_function.3`, `shortcut.0`, `conv1.0`."""
    stages, inputs = {}, 64
    for stage, count in enumerate(counts):
        middle = 64 << stage
        outputs = middle * (4 if bottleneck else 1)
        blocks = []
        for _ in range(count):
            shapes = [(inputs, middle, 3), (middle, outputs, 3)]
            if bottleneck:
                shapes = [(inputs, middle, 1), (middle, middle, 3), (middle, outputs, 1)]
            parts = [m for s in shapes for m in (conv(*s), nn.BatchNorm2d(s[1]), nn.ReLU())]
            projected = _normalised(inputs, outputs, 1) if inputs != outputs else nn.Sequential()
            blocks.append(tree(residual_function=nn.Sequential(*parts), shortcut=projected))
            inputs = outputs
        stages[f"conv{stage + 2}_x"] = nn.Sequential(*blocks)
    return tree(conv1=_normalised(3, 64, 3), **stages, fc=nn.Linear(inputs, 100))


def hugging_face() -> nn.Module:
    """transformers' ResNet-50: shortcuts stand first, and are as large as the last convolution."""
    stages, inputs = [], 64
    for stage, count in enumerate((3, 4, 6, 3)):
        middle, outputs, blocks = 64 << stage, 256 << stage, []
        for _ in range(count):
            shapes = [(inputs, middle, 1), (middle, middle, 3), (middle, outputs, 1)]
            layer = nn.Sequential(*(tree(convolution=conv(*shape)) for shape in shapes))
            first = tree(convolution=conv(inputs, outputs, 1)) if inputs != outputs else None
            blocks.append(tree(**{"shortcut": first} if first else {}, layer=layer))
            inputs = outputs
        stages.append(tree(layers=nn.Sequential(*blocks)))
    embedder = tree(embedder=tree(convolution=conv(3, 64, 7)))
    encoder = tree(stages=nn.Sequential(*stages))
    head = nn.Sequential(nn.Flatten(), nn.Linear(2048, 1000))
    return tree(resnet=tree(embedder=embedder, encoder=encoder), classifier=head)


def numbered(network: nn.Module) -> nn.Module:
    """A network as the list of its children, as fastai and feature extractors take it."""
    return nn.Sequential(*network.children())


def stem_and_stages(network: nn.Module) -> nn.Module:
    """detectron2: `bottom_up.stem.conv1`, `bottom_up.res2.0.conv1`, no output layer."""
    stem, *stages = list(network.children())[:5]
    named = {f"res{i}": stage for i, stage in enumerate(stages, 2)}
    return tree(bottom_up=tree(stem=tree(conv1=stem), **named))


def plain_vgg(plan: Sequence[int]) -> nn.Module:
    """torchvision's VGG without batch normalisation, and one output layer; 0 is a pooling layer."""
    layers: list[nn.Module] = []
    inputs = 3
    for outputs in plan:
        if outputs:
            layers += [conv(inputs, outputs, bias=True), nn.ReLU()]
            inputs = outputs
        else:
            layers.append(nn.MaxPool2d(2))
    return tree(features=nn.Sequential(*layers), classifier=nn.Sequential(nn.Linear(inputs, 10)))


class Lightning(nn.Module):
    """A Lightning module: the network beside a loss with weights of the classes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.model = network
        self.criterion = nn.CrossEntropyLoss(weight=torch.arange(1.0, 11.0))


def averaged(network: nn.Module) -> nn.Module:
    """Return the average as its own code saves it; torch copies no module that is pruned."""
    average = torch.optim.swa_utils.AveragedModel(network)
    average.module = network
    return average


def compiled(network: nn.Module) -> nn.Module:
    """Wrap as `torch.compile` does, which compiles nothing before the first call."""
    wrapped: nn.Module = torch.compile(network, backend="eager")
    return wrapped


def renamed(state: dict[str, Tensor], inserted: str, every: int) -> dict[str, Tensor]:
    """Insert a component into names as FSDP and compiled parts do, at one place of each."""

    def rename(name: str) -> str:
        parts = name.split(".")
        at = min(every, len(parts) - 1)
        return ".".join([*parts[:at], inserted, *parts[at:]])

    return {rename(name): tensor for name, tensor in state.items()}
