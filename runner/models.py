"""The networks that can be trained. Adding one is a module in `networks/` and a line in `MODELS`.

Module names are the canonical layer names of `schemas.blocks`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..schemas import blocks
from ..schemas.blocks import CIFAR_RESNETS, RESNETS, VGG_PLANS, Architecture, Layer
from ..schemas.errors import UsageError, did_you_mean
from .networks import InputShape, cifar_resnet, lenet, resnet, vgg

# Functions of a name, an input shape and a number of classes.
MODELS: dict[str, Callable[..., nn.Module]] = {
    "lenet": lenet.build,
    **dict.fromkeys(CIFAR_RESNETS, cifar_resnet.build),
    **dict.fromkeys(RESNETS, resnet.build),
    **dict.fromkeys(VGG_PLANS, vgg.build),
}
POOLED = tuple(VGG_PLANS)  # networks whose last pooling is a choice of the recipe
_WIDTH = re.compile(r"w\d+$")
_ANY_IMAGE: InputShape = (3, 32, 32)


def check_model(name: str) -> None:
    """Hold a name to the networks that can be trained.

    Raises
    ------
    UsageError
        The runner has no such network; the message offers the nearest names.
    """
    if name in MODELS:
        return
    if _WIDTH.sub("", name) not in CIFAR_RESNETS:
        raise UsageError(f"model '{name}' is unknown: {did_you_mean(name, MODELS)}")
    blocks.architecture(name)  # rejects a width of 0


def build(
    name: str, input_shape: InputShape, classes: int, *, pooling: str | None = None
) -> nn.Module:
    """Build a network that passes `check_model`, channels last, with PyTorch's initial values.

    `pooling` is the recipe's, and counts for the networks of `POOLED`.
    """
    check_model(name)
    chosen = {"pooling": pooling} if pooling is not None and name in POOLED else {}
    with torch.random.fork_rng(devices=[]):  # the caller's random state stays as it is
        module = MODELS[_WIDTH.sub("", name)](name, input_shape, classes, **chosen)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def architecture(
    name: str, input_shape: InputShape = _ANY_IMAGE, classes: int = 10
) -> Architecture:
    """Return the layers of a network: of its block map, or of the module where there is none.

    Without a map, layers inside `layerS.B` belong to block B of stage S, as torchvision names them;
    without such names every layer is a block and there are no stages.

    Raises
    ------
    UsageError
        The runner has no such network.
    """
    check_model(name)
    if _WIDTH.sub("", name) in blocks.known_names():
        return blocks.architecture(name, input_shape, classes)
    with torch.device("meta"):  # names and shapes alone
        module = build(name, input_shape, classes)
    weights = [
        (part_name, part)
        for part_name, part in module.named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear)
    ]
    staged = any(re.match(r"layer\d+\.\d+\.", part_name) for part_name, _ in weights)
    layers = [_counted_layer(part_name, part, staged) for part_name, part in weights]
    if staged:  # what stands before the first stage is the stem, what stands behind it the head
        first = next(i for i, layer in enumerate(layers) if layer.stage != "head")
        stem = [Layer(x.name, x.kind, x.shape, "stem", "stem") for x in layers[:first]]
        layers = stem + layers[first:]
    return Architecture(name, tuple(layers))


def _counted_layer(name: str, part: nn.Module, staged: bool) -> Layer:
    kind = "conv" if isinstance(part, nn.Conv2d) else "linear"
    shape = tuple(part.get_parameter("weight").shape)
    inside = re.match(r"layer(\d+)\.(\d+)\.", name)
    if inside:
        return Layer(name, kind, shape, f"{inside[1]}.{inside[2]}", inside[1])
    return Layer(name, kind, shape, "head" if staged else name, "head" if staged else None)


def initialise(
    module: nn.Module,
    *,
    init: str,
    fan: str,
    bn_init: str,
    rng: torch.Generator,
    head_init: str = "same",
) -> None:
    """Draw initial weights in place, in the order of the modules.

    Weights of convolutions and linear layers follow `init` (He et al. 2015), their biases
    U(-1, 1) / sqrt(fan_in) as PyTorch's default, BN weights `bn_init` (OpenLTH: U(0, 1)), BN biases
    are 0. With `head_init="torch"` the last linear layer follows PyTorch's default too.
    """
    head = next(reversed([part for part in module.modules() if isinstance(part, nn.Linear)]), None)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(math.prod(part.weight.shape[1:]))
            if part is head and head_init == "torch":
                nn.init.uniform_(part.weight, -bound, bound, generator=rng)
            else:
                INITIALISERS[init](part.weight, fan, rng)
            if part.bias is not None:
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
    "pretrained": _kaiming_normal,  # of the layers that the file does not fill
}
BN_INITIALISERS: dict[str, Callable[[Tensor, torch.Generator], object]] = {
    "uniform": lambda weight, rng: nn.init.uniform_(weight, generator=rng),
    "ones": lambda weight, rng: nn.init.ones_(weight),
}
