"""Architectures as lists of prunable layers, grouped into blocks, stages and roles.

Counts, shapes and groups are all that the analysis needs to know of a network, so an architecture
can be analysed here that the runner cannot train. Names are canonical: those of torchvision,
without the `.weight`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .errors import UsageError, did_you_mean
from .roles import role_of
from .spelling import asked
from .words import either

GROUPINGS = ("layer", "block", "stage", "role")
# ResNet-50 has 6 n + 2 layers too, but the name belongs to torchvision's.
CIFAR_RESNETS = tuple(f"resnet{depth}" for depth in range(8, 111, 6) if depth != 50)
_CIFAR_RESNET = re.compile(r"resnet([0-9]{1,4})(a?)(?:w([0-9]{1,18}))?")
_BERT = re.compile(r"bert([0-9]{1,2})x([0-9]{1,4})")
GROUP = "group"  # the kind of a layer of which a table tells the number of weights alone
MOST_WIDTH = 4096  # channels of the first stage: of a resnet8 then 1.3 thousand million weights
# Convolutions of each stage of Simonyan & Zisserman 2015; stages end in a pooling layer.
VGG_PLANS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2,) * 5, "vgg16": (2, 2, 3, 3, 3)}
VGG_PLANS["vgg19"] = (2, 2, 4, 4, 4)


@dataclass(frozen=True)
class Layer:
    """One prunable weight tensor.

    Attributes
    ----------
    name : str
        Qualified name of the module, such as `layer1.0.conv2`.
    kind : str
        `conv` or `linear`; `group` where a table tells counts and no shapes.
    shape : tuple of int
        Shape of the weight, output channels first.
    block : str
        Block: `1.0`, ..., or `stem`, `head`; a layer's own name where there are none.
    stage : str or None
        Stage: `1`, ..., or `stem`, `head`; None where the architecture has no stages.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    block: str
    stage: str | None

    @property
    def total(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def fan_in(self) -> int:
        """Weights that feed one output unit (as `torch.nn.init` counts them)."""
        return math.prod(self.shape[1:])

    @property
    def fan_out(self) -> int:
        """Weights that one input unit feeds."""
        return self.shape[0] * math.prod(self.shape[2:])

    @property
    def role(self) -> str | None:
        """What it does in its block; None where its name does not tell."""
        return role_of(self.name, self.block)

    def group(self, by: str) -> str | None:
        """Return the group of this layer in a grouping of `GROUPINGS`, None where it has none."""
        found: str | None = getattr(self, "name" if by == "layer" else by)
        return found


@dataclass(frozen=True)
class Architecture:
    """The layers of a network, and how the literature prunes it by default.

    Attributes
    ----------
    name : str
        Canonical name, such as `resnet20` or `resnet8w4`.
    layers : tuple of Layer
        All convolutions and linear layers, in the order of the forward pass.
    prunable : str
        The set of layers that published studies prune and count: `all`, `convolutions`,
        `convolutions_without_stem`, or `masked` (in an import: the layers that have a mask).
    exempt : tuple of str
        Layers that are counted and never pruned.
    """

    name: str
    layers: tuple[Layer, ...]
    prunable: str = "all"
    exempt: tuple[str, ...] = ()

    def counted(self, prunable: str | None = None) -> tuple[Layer, ...]:
        """Return the layers that count in the set `prunable` (default: the architecture's)."""
        prunable = prunable or self.prunable
        if prunable in ("all", "masked"):
            return self.layers
        layers = tuple(layer for layer in self.layers if layer.kind == "conv")
        if prunable == "convolutions_without_stem":
            layers = tuple(layer for layer in layers if layer.stage != "stem")
        if not layers:
            none = f"{self.name} has no {prunable.replace('_', ' ')}"
            raise UsageError(f"{none}: use {asked('prunable', 'all')}")
        return layers


def groupings(layers: Sequence[Layer]) -> tuple[str, ...]:
    """Name the groupings that layers have: those in which each of them has a group.

    Examples
    --------
    >>> groupings(architecture("resnet20").layers), groupings(architecture("lenet").layers)
    (('layer', 'block', 'stage', 'role'), ('layer', 'block'))
    """
    return tuple(by for by in GROUPINGS if all(layer.group(by) is not None for layer in layers))


def groups_of(layers: Sequence[Layer], by: str, network: str) -> tuple[str, ...]:
    """Return the group of every layer.

    Parameters
    ----------
    layers : sequence of Layer
        The counted layers of a network.
    by : str
        A grouping of `GROUPINGS`.
    network : str
        What the message calls it.

    Raises
    ------
    UsageError
        The network has no such grouping; the message says which ones it has.
    """
    found = [group for layer in layers if (group := layer.group(by)) is not None]
    if len(found) < len(layers):
        raise UsageError(f"{network} has no {by}s: group by {either(groupings(layers))}")
    return tuple(found)


def coarsest(layers: Iterable[Layer]) -> str:
    """Name the coarsest part of a network that layers have: `stage`, or `block` without stages."""
    return "stage" if any(layer.stage is not None for layer in layers) else "block"


def architecture(
    name: str, input_shape: tuple[int, int, int] | None = None, classes: int | None = None
) -> Architecture:
    """Look up an architecture.

    Parameters
    ----------
    name : str
        `lenet`, `resnet8` to `resnet110` (CIFAR family; `resnet20w8` has 8 channels in stage 1
        instead of 16; `resnet20a` has shortcuts without weights), `resnet18` to `resnet152`
        (torchvision family), `vgg11` to `vgg19`, or `bert-base`, which is `bert12x768`: 12 layers
        of width 768.
    input_shape : (channels, height, width), optional
        Shape of an image; by default that of the data set the architecture was published with.
    classes : int, optional
        Number of classes; by default that of the same data set.

    Raises
    ------
    UsageError
        The name is unknown; the message offers the nearest ones.

    Examples
    --------
    >>> sum(layer.total for layer in architecture("resnet20").counted())
    270896
    """
    cifar_resnet = _CIFAR_RESNET.fullmatch(name)
    if cifar_resnet and name not in FIXED:
        depth, width = int(cifar_resnet[1]), int(cifar_resnet[3] or 16)
        if width > MOST_WIDTH:
            raise UsageError(f"'{name}' is unknown: a width of at most {MOST_WIDTH} is built")
        if depth >= 8 and depth % 6 == 2 and width >= 1:
            shape, projected = input_shape or (3, 32, 32), not cifar_resnet[2]
            return _cifar_resnet(depth, width, shape, classes or 10, projected)
        if depth not in (18, 50):
            raise UsageError(
                f"'{name}' is unknown: a CIFAR ResNet has 6 n + 2 layers (resnet8, resnet14, "
                "resnet20, ... resnet110) and perhaps a width (resnet20w8)"
            )
    if (bert := _BERT.fullmatch(name)) and int(bert[1]) and int(bert[2]):
        return _bert(int(bert[1]), int(bert[2]))
    if name in FIXED:
        return FIXED[name](input_shape, classes)
    raise UsageError(f"architecture '{name}' is unknown: {did_you_mean(name, known_names())}")


def canonical(name: str) -> str:
    """Return the name of an architecture in lower case, where it is known so.

    Examples
    --------
    >>> canonical("ResNet20"), canonical("MyNet")
    ('resnet20', 'MyNet')
    """
    lower = name.lower()
    families = _CIFAR_RESNET.fullmatch(lower) or _BERT.fullmatch(lower)
    return lower if lower in FIXED or families else name


def small_images(input_shape: tuple[int, int, int]) -> bool:
    """Tell whether a ResNet of torchvision's family gets the stem for small images.

    Chen et al. 2021a replace the 7x7 stem by a 3x3 one without pooling for images of 32x32 pixels.
    """
    return input_shape[1] <= 64


def known_names() -> tuple[str, ...]:
    """Name the architectures that have a block map (widths such as `w8` left out)."""
    return (*FIXED, *CIFAR_RESNETS)


def with_width(name: str, width: int | None) -> str:
    """Return the canonical name of a CIFAR ResNet with `width` channels in its first stage.

    Raises
    ------
    UsageError
        The architecture has no width to choose, or the name carries another one already.

    Examples
    --------
    >>> with_width("resnet20", 8), with_width("resnet20", 16)
    ('resnet20w8', 'resnet20')
    """
    if width is None:
        return name.removesuffix("w16") if name.startswith("resnet") else name
    match = re.fullmatch(r"resnet[0-9]{1,4}", name)
    if match is None or name in FIXED:
        raise UsageError(f"width goes with a CIFAR ResNet such as resnet20, not with '{name}'")
    if not 1 <= width <= MOST_WIDTH:
        raise UsageError(f"width is {width}: from 1 to {MOST_WIDTH} channels are possible")
    return name if width == 16 else f"{name}w{width}"


def size_of(name: str) -> tuple[str, int, int]:
    """Return family, width and depth that the name of an architecture tells.

    Within a family networks differ in size alone. Width is the number of channels of the first
    stage, depth the number in the name.

    Raises
    ------
    UsageError
        The name is unknown, or tells no size (lenet, bert-base).

    Examples
    --------
    >>> size_of("resnet20w8")
    ('CIFAR ResNet', 8, 20)
    """
    architecture(name)  # an unknown name gets its own message
    cifar_resnet = _CIFAR_RESNET.fullmatch(name)
    if cifar_resnet and name not in FIXED:
        family = "CIFAR ResNet" + (" with shortcuts without weights" if cifar_resnet[2] else "")
        return family, int(cifar_resnet[3] or 16), int(cifar_resnet[1])
    if name in RESNETS:
        family = "ResNet of bottlenecks" if RESNETS[name][1] else "ResNet of basic blocks"
        return family, 64, int(name.removeprefix("resnet"))
    if name in VGG_PLANS:
        return "VGG", 64, int(name.removeprefix("vgg"))
    if bert := _BERT.fullmatch(name):
        return "BERT", int(bert[2]), int(bert[1])
    raise UsageError(f"the name {name} tells no width and depth: networks of a family are needed")


def _lenet(input_shape: tuple[int, int, int] | None, classes: int | None) -> Architecture:
    # LeNet-300-100 of LeCun et al. 1998, as in Frankle & Carbin 2019; the output layer is exempt.
    sizes = (math.prod(input_shape or (1, 28, 28)), 300, 100, classes or 10)
    names = ("fc1", "fc2", "fc")
    layers = tuple(
        Layer(name, "linear", (fan_out, fan_in), block=name, stage=None)
        for name, fan_in, fan_out in zip(names, sizes, sizes[1:], strict=False)
    )
    return Architecture("lenet", layers, exempt=("fc",))


def _cifar_resnet(
    depth: int, width: int, input_shape: tuple[int, int, int], classes: int, projected: bool
) -> Architecture:
    # He et al. 2016, section 4.2: shortcuts of a 1x1 convolution where the size changes (option
    # B, as in OpenLTH), or shortcuts without weights (option A, as in PrAC).
    layers = [Layer("conv1", "conv", (width, input_shape[0], 3, 3), "stem", "stem")]
    c_in = width
    for stage in (1, 2, 3):
        c_out = width * 2 ** (stage - 1)
        for block in range((depth - 2) // 6):
            prefix, group = f"layer{stage}.{block}", (f"{stage}.{block}", f"{stage}")
            layers.append(Layer(f"{prefix}.conv1", "conv", (c_out, c_in, 3, 3), *group))
            layers.append(Layer(f"{prefix}.conv2", "conv", (c_out, c_out, 3, 3), *group))
            if c_in != c_out and projected:
                layers.append(Layer(f"{prefix}.downsample.0", "conv", (c_out, c_in, 1, 1), *group))
            c_in = c_out
    layers.append(Layer("fc", "linear", (classes, c_in), "head", "head"))
    name = f"resnet{depth}{'' if projected else 'a'}" + ("" if width == 16 else f"w{width}")
    return Architecture(name, tuple(layers))


def _torchvision_resnet(
    name: str, plan: tuple[int, ...], bottleneck: bool
) -> Callable[[tuple[int, int, int] | None, int | None], Architecture]:
    def build(input_shape: tuple[int, int, int] | None, classes: int | None) -> Architecture:
        channels, expansion = (input_shape or (3, 224, 224))[0], 4 if bottleneck else 1
        kernel = 3 if input_shape and small_images(input_shape) else 7
        layers = [Layer("conv1", "conv", (64, channels, kernel, kernel), "stem", "stem")]
        c_in = 64
        for stage, blocks in enumerate(plan, start=1):
            width = 64 * 2 ** (stage - 1)
            for block in range(blocks):
                prefix, group = f"layer{stage}.{block}", (f"{stage}.{block}", f"{stage}")
                c_out = width * expansion
                shapes = (
                    ((width, c_in, 1, 1), (width, width, 3, 3), (c_out, width, 1, 1))
                    if bottleneck
                    else ((width, c_in, 3, 3), (width, width, 3, 3))
                )
                layers += [
                    Layer(f"{prefix}.conv{i}", "conv", shape, *group)
                    for i, shape in enumerate(shapes, start=1)
                ]
                if block == 0 and (stage > 1 or c_in != c_out):
                    layers.append(
                        Layer(f"{prefix}.downsample.0", "conv", (c_out, c_in, 1, 1), *group)
                    )
                c_in = c_out
        layers.append(Layer("fc", "linear", (classes or 1000, c_in), "head", "head"))
        return Architecture(name, tuple(layers), prunable="convolutions_without_stem")

    return build


def _vgg(
    name: str, plan: tuple[int, ...]
) -> Callable[[tuple[int, int, int] | None, int | None], Architecture]:
    # The positions are those of torchvision's vgg16_bn().features: convolution, BN, ReLU or pool.
    def build(input_shape: tuple[int, int, int] | None, classes: int | None) -> Architecture:
        layers: list[Layer] = []
        c_in, position = (input_shape or (3, 32, 32))[0], 0
        for stage, convolutions in enumerate(plan, start=1):
            c_out = min(64 * 2 ** (stage - 1), 512)
            for block in range(convolutions):
                group = (f"{stage}.{block}", f"{stage}")
                layers.append(Layer(f"features.{position}", "conv", (c_out, c_in, 3, 3), *group))
                c_in, position = c_out, position + 3
            position += 1
        layers.append(Layer("fc", "linear", (classes or 10, 512), "head", "head"))
        return Architecture(name, tuple(layers), prunable="convolutions")

    return build


def _bert(depth: int, hidden: int) -> Architecture:
    # Devlin et al. 2019; the matrices that Chen et al. 2020a prune: six an encoder layer, and the
    # pooler. An encoder layer is a block; there are no stages.
    inner = 4 * hidden
    parts = {f"attention.self.{part}": (hidden, hidden) for part in ("query", "key", "value")}
    parts |= {"attention.output.dense": (hidden, hidden)}
    parts |= {"intermediate.dense": (inner, hidden), "output.dense": (hidden, inner)}
    layers = [
        Layer(f"encoder.layer.{i}.{part}", "linear", shape, block=f"{i}", stage=None)
        for i in range(depth)
        for part, shape in parts.items()
    ]
    layers.append(Layer("pooler.dense", "linear", (hidden, hidden), block="head", stage=None))
    name = "bert-base" if (depth, hidden) == (12, 768) else f"bert{depth}x{hidden}"
    return Architecture(name, tuple(layers))


# Blocks a stage and whether they are bottlenecks (He et al. 2016, table 1).
RESNETS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
    "resnet152": ((3, 8, 36, 3), True),
}
FIXED: dict[str, Callable[[tuple[int, int, int] | None, int | None], Architecture]] = {
    "lenet": _lenet,
    **{name: _torchvision_resnet(name, *plan) for name, plan in RESNETS.items()},
    **{name: _vgg(name, plan) for name, plan in VGG_PLANS.items()},
    "bert-base": lambda input_shape, classes: _bert(12, 768),
}
