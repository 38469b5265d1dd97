"""The networks that can be trained. Adding one is a module in `networks/` and a line in `MODELS`.

Module names are the canonical layer names of `schemas.blocks`. Networks of the user's own need no
line, see `own`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..schemas import blocks
from ..schemas.block_map import read_blocks
from ..schemas.blocks import CIFAR_RESNETS, RESNETS, VGG_PLANS, Architecture, with_width
from ..schemas.entry_points import added, added_names
from ..schemas.errors import UsageError, did_you_mean, known_name
from .layers import layers_of
from .networks import InputShape, cifar_resnet, lenet, resnet, vgg
from .own.function import (
    OwnFunction,
    from_entry_point,
    from_object,
    from_reference,
    is_reference,
)
from .own.network import OwnNetwork
from .own.trial import Traits

# Functions of a name, an input shape and a number of classes.
MODELS: dict[str, Callable[..., nn.Module]] = {
    "lenet": lenet.build,
    **dict.fromkeys(CIFAR_RESNETS, cifar_resnet.build),
    **dict.fromkeys(RESNETS, resnet.build),
    **dict.fromkeys(VGG_PLANS, vgg.build),
}
POOLED = tuple(VGG_PLANS)  # networks whose last pooling is a choice of the recipe
AS_BUILT = "built"  # the initialiser that keeps what the network's own code has drawn
_WIDTH = re.compile(r"w\d+$", re.IGNORECASE)
_ANY_IMAGE: InputShape = (3, 32, 32)


@dataclass(frozen=True)
class KnownNetwork:
    """A network of `MODELS`, by its canonical name."""

    name: str

    sources = ()  # is part of rgtool

    def build(
        self, input_shape: InputShape, classes: int, *, pooling: str | None = None
    ) -> nn.Module:
        """Build it, channels last; `pooling` is the recipe's, and counts for those of `POOLED`."""
        chosen = {"pooling": pooling} if pooling is not None and self.name in POOLED else {}
        module = MODELS[_family(self.name)](self.name, input_shape, classes, **chosen)
        return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def traits(self, input_shape: InputShape, classes: int) -> Traits:
        """Return its layers: of the block map, or of the module where there is none."""
        if _family(self.name) in blocks.known_names():
            return Traits(blocks.architecture(self.name, input_shape, classes))
        with torch.device("meta"):  # names and shapes alone
            module = self.build(input_shape, classes)
        return Traits(Architecture(self.name, layers_of(module)))


Network = KnownNetwork | OwnNetwork
Builder = Callable[..., nn.Module]


def find_network(
    model: str | Builder | Network, *, width: int | None = None, block_map: Path | None = None
) -> Network:
    """Find a network.

    Parameters
    ----------
    model : str, callable or network
        A name of `MODELS` or of an installed package's entry point, a function that builds one, or
        where such a function lies: `my.py:build`, `package.module:build`.
    width : int, optional
        Channels in the first stage of a CIFAR ResNet.
    block_map : Path, optional
        Blocks of a network of the user's own, see `schemas.block_map`.

    Raises
    ------
    UsageError
        There is no such network; the message offers the nearest names.
    """
    if isinstance(model, KnownNetwork | OwnNetwork):
        return model
    if isinstance(model, str):
        model = _in_known_case(model)
    if isinstance(model, nn.Module):
        raise UsageError(
            f"a network itself ({type(model).__name__}) was given: give the function that builds "
            "it, such as lambda: Net(), since every seed has one of its own"
        )
    function = _own(model) if isinstance(model, str) else from_object(model)
    if function is None:
        if block_map is not None:
            raise UsageError(f"--blocks {block_map}: the blocks of {model} are known")
        return _known(with_width(str(model), width))
    if width is not None:
        raise UsageError("width goes with a CIFAR ResNet such as resnet20, not with your function")
    if function.hidden:
        raise UsageError(
            f"{function.place} uses {', '.join(function.hidden)}, whose value no text tells, so "
            "that two networks would have one name: write the value into the source, or give "
            "functools.partial(function, width=8) with numbers, texts, lists or dicts of these"
        )
    pairs = () if block_map is None else tuple(read_blocks(block_map).items())
    return OwnNetwork(function, pairs)


def is_network(model: str) -> bool:
    """Tell whether a text names a network of rgtool or of an installed package."""
    if is_reference(model):
        return False
    return _family(_in_known_case(model)) in MODELS or added("rgtool.models", model) is not None


def _in_known_case(model: str) -> str:
    """Return a name of `MODELS`, perhaps with a width, as it is written there."""
    family = _family(model)
    known = known_name(family, MODELS)
    return model if known is None else known + model.removeprefix(family).lower()


def _own(model: str) -> OwnFunction | None:
    """Find the user's own function that a text names, by its place or by an entry point."""
    if _family(model) in MODELS:
        return None
    if is_reference(model):
        return from_reference(model)
    found = added("rgtool.models", model)
    return from_entry_point(found) if found else None


def _known(name: str) -> KnownNetwork:
    if name not in MODELS:
        if _family(name) not in CIFAR_RESNETS:
            names = [*MODELS, *added_names("rgtool.models")]
            near = did_you_mean(name, names)
            raise UsageError(f"model '{name}' is unknown: {near}")
        blocks.architecture(name)  # rejects a width of 0
    return KnownNetwork(name)


def _family(name: str) -> str:
    return _WIDTH.sub("", name)


def build(
    name: str, input_shape: InputShape, classes: int, *, pooling: str | None = None
) -> nn.Module:
    """Build a network by its name, with PyTorch's initial values; see `KnownNetwork.build`."""
    with torch.random.fork_rng(devices=[]):  # the caller's random state stays as it is
        return find_network(name).build(input_shape, classes, pooling=pooling)


def architecture(
    model: str | Builder | Network, input_shape: InputShape = _ANY_IMAGE, classes: int = 10
) -> Architecture:
    """Return the layers of a network, see `find_network`.

    Raises
    ------
    UsageError
        The runner has no such network.
    """
    return find_network(model).traits(input_shape, classes).architecture


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
    are 0. With `head_init="torch"` the last linear layer follows PyTorch's default too. `AS_BUILT`
    leaves all as the network's own code has drawn it, and so are parts of other kinds always.
    """
    if init == AS_BUILT:
        return
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
