"""Which network a source holds, from the names and shapes of its weights."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...schemas.block_map import Blocks, block_of, stage_of
from ...schemas.blocks import CIFAR_RESNETS, FIXED, GROUP, Architecture, Layer, architecture
from ...schemas.errors import UsageError
from .found import Refused, Shapes

_PRUNABLE = ("all", "convolutions", "convolutions_without_stem", "masked")


@dataclass(frozen=True)
class Recognised:
    """The counted layers of a source, under canonical names where the network is known.

    Attributes
    ----------
    architecture : str
        Canonical name, the name given, or one that follows from names and shapes.
    layers : tuple of Layer
        The counted layers, in the order of the forward pass, or of the source.
    sources : tuple of str
        Their names in the source.
    prunable : str
        The set of layers that is counted.
    exempt : tuple of str
        Canonical names of layers that studies of this network may count and never prune.
    why : str
        What it was concluded from.
    """

    architecture: str
    layers: tuple[Layer, ...]
    sources: tuple[str, ...]
    prunable: str
    exempt: tuple[str, ...]
    why: str


def recognise(
    shapes: Shapes,
    masked: Sequence[str],
    *,
    named: str | None = None,
    blocks: Blocks | None = None,
) -> Recognised:
    """Find the network that has these weights.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        All weights of the source, in its order.
    masked : sequence of str
        Those that have a mask.
    named : str, optional
        The architecture as the user names it: one that is known must fit, any other is a name.
    blocks : mapping of str to str, optional
        The user's block map, patterns of source names to blocks; it goes before what is known.

    Raises
    ------
    Refused
        The architecture named does not fit, or the block map leaves a layer out.
    """
    found = None if blocks else _known(shapes, masked, named)
    if found is not None:
        return found
    plain = blocks is None and all(stage_of(name) or name.isdecimal() for name in masked)
    layers = tuple(
        Layer(name, _kind(shapes[name]), shapes[name], *_group(name, blocks, plain))
        for name in masked
    )
    staged = {layer.stage is None for layer in layers}
    if len(staged) > 1:
        raise Refused("the block map gives some layers a stage and others none")
    return Recognised(
        architecture=named or _name(layers),
        layers=layers,
        sources=tuple(masked),
        prunable="masked",
        exempt=(),
        why="block map given" if blocks else "names and shapes of no known network",
    )


def _group(name: str, blocks: Blocks | None, plain: bool) -> tuple[str, str | None]:
    """Return block and stage; `plain` where the names are those of blocks or stages themselves."""
    if blocks is None:
        return name, (stage_of(name) or name) if plain else None
    block = block_of(blocks, name)
    if block is None:
        raise Refused(f"the block map has no pattern for layer {name}")
    return block, stage_of(block)


def _kind(shape: tuple[int, ...]) -> str:
    return {1: GROUP, 2: "linear"}.get(len(shape), "conv")


def _name(layers: Sequence[Layer]) -> str:
    """Name an unknown network after its layers, the same wherever it lies."""
    text = json.dumps([(layer.name, layer.shape) for layer in layers])
    return f"net-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _known(shapes: Shapes, masked: Sequence[str], named: str | None) -> Recognised | None:
    known = named is not None and _is_known(named)
    for scheme, rename in NAMINGS.items():
        names = rename(tuple(shapes))
        if names is None:
            continue
        wanted = {names[name]: shapes[name] for name in masked}
        for network in _candidates({names[name]: shape for name, shape in shapes.items()}, named):
            prunable = _fitting(network, wanted)
            if prunable is not None:
                return _recognised(network, prunable, names, wanted, scheme)
    if known:
        raise Refused(f"the layers are not those of {named}: {_first_difference(shapes, masked)}")
    return None


def _is_known(name: str) -> bool:
    try:
        architecture(name)
    except UsageError:
        return False
    return True


def _first_difference(shapes: Shapes, masked: Sequence[str]) -> str:
    name = next(iter(masked), None)
    return f"found {name} of shape {shapes[name]} and {len(masked) - 1} more" if name else "no mask"


def _fitting(network: Architecture, wanted: Shapes) -> str | None:
    """Name the set of layers of a network that these are; None where the network does not fit."""
    all_layers = {layer.name: layer.shape for layer in network.layers}
    if any(not _same(all_layers.get(name), shape) for name, shape in wanted.items()):
        return None
    for prunable in _PRUNABLE[:3]:
        try:
            counted = network.counted(prunable)
        except UsageError:
            continue
        if {layer.name for layer in counted} == set(wanted):
            return prunable
    # Part of a larger network has its names too: then at least half of the weights must be there.
    covered = sum(layer.total for layer in network.layers if layer.name in wanted)
    return "masked" if 2 * covered > sum(layer.total for layer in network.layers) else None


def _same(known: tuple[int, ...] | None, found: tuple[int, ...]) -> bool:
    """Compare shapes; a table tells the number of weights alone."""
    return known is not None and (known == found or (math.prod(known),) == found)


def _recognised(
    network: Architecture, prunable: str, names: Mapping[str, str], wanted: Shapes, scheme: str
) -> Recognised:
    source = {canonical: name for name, canonical in names.items()}
    layers = tuple(layer for layer in network.layers if layer.name in wanted)
    return Recognised(
        architecture=network.name,
        layers=layers,
        sources=tuple(source[layer.name] for layer in layers),
        prunable=prunable,
        # OpenLTH counts the output layer of VGG and LeNet and never prunes it.
        exempt=("fc",) if "fc" in wanted and re.match("lenet|vgg", network.name) else (),
        why=f"{scheme} names, shapes of {network.name}, {len(layers)} masks",
    )


def _candidates(shapes: Shapes, named: str | None) -> Iterator[Architecture]:
    """Yield the networks that these canonical names may belong to, the one named first."""
    fixed = named is not None and _is_known(named)
    options = [str(named)] if fixed else [*FIXED, *_cifar_names(shapes)]
    stem = next((s for n, s in shapes.items() if n in ("conv1", "features.0", "fc1")), None)
    head = shapes.get("fc")
    image = None
    if stem is not None and len(stem) > 1:
        size = 32 if len(stem) == 4 and stem[2] == 3 else 224
        image = (stem[1], size, size) if len(stem) == 4 else (1, 1, stem[1])
    yield from (
        _architecture(name, image, head[0] if head and len(head) == 2 else None) for name in options
    )


# The runs of a folder or a table are held to the same networks.
_architecture = functools.lru_cache(maxsize=128)(architecture)


def _cifar_names(shapes: Shapes) -> list[str]:
    first = shapes.get("conv1") or shapes.get("layer1.0.conv1")
    width = f"w{first[0]}" if first is not None and len(first) == 4 and first[0] != 16 else ""
    option = "" if any(".downsample." in name for name in shapes) else "a"
    return [f"{name}{option}{width}" for name in CIFAR_RESNETS]


# Naming schemes: functions from all names of a source to canonical names, or None.


def _canonical(names: Sequence[str]) -> dict[str, str] | None:
    """Names of torchvision; the classifier of one linear layer is the head."""
    return {name: {"classifier": "fc", "linear": "fc"}.get(name, name) for name in names}


def _openlth_resnet(names: Sequence[str]) -> dict[str, str] | None:
    """`conv`, `blocks.{i}.conv1`, `blocks.{i}.shortcut.0`, `fc`; a third of the blocks a stage."""
    numbers = [int(m[1]) for name in names if (m := re.match(r"blocks\.(\d+)\.", name))]
    if not numbers or (max(numbers) + 1) % 3 or max(numbers) > 1000:
        return None
    depth = (max(numbers) + 1) // 3

    def rename(name: str) -> str:
        match = re.fullmatch(r"blocks\.(\d+)\.(conv1|conv2|shortcut\.0)", name)
        if match is None:
            return {"conv": "conv1"}.get(name, name)
        stage, block = divmod(int(match[1]), depth)
        return f"layer{stage + 1}.{block}.{match[2].replace('shortcut', 'downsample')}"

    return {name: rename(name) for name in names}


def _openlth_vgg(names: Sequence[str]) -> dict[str, str] | None:
    """`layers.{i}.conv`, where pooling layers have a number too; torchvision counts BN and ReLU."""
    numbers = sorted(int(m[1]) for n in names if (m := re.fullmatch(r"layers\.(\d+)\.conv", n)))
    if not numbers or numbers[-1] > 1000:
        return None
    # Each convolution takes three positions there and one here, each pooling layer one in both.
    position = {number: number + 2 * place for place, number in enumerate(numbers)}

    def rename(name: str) -> str:
        match = re.fullmatch(r"layers\.(\d+)\.conv", name)
        return f"features.{position[int(match[1])]}" if match else name

    return {name: rename(name) for name in names}


def _openlth_lenet(names: Sequence[str]) -> dict[str, str] | None:
    if not any(name.startswith("fc_layers.") for name in names):
        return None
    return {
        name: f"fc{int(m[1]) + 1}" if (m := re.fullmatch(r"fc_layers\.(\d+)", name)) else name
        for name in names
    }


def _bert(names: Sequence[str]) -> dict[str, str] | None:
    if not any(name.startswith("bert.encoder.layer.") for name in names):
        return None
    return {name: name.removeprefix("bert.") for name in names}


NAMINGS: dict[str, Callable[[Sequence[str]], dict[str, str] | None]] = {
    "torchvision": _canonical,
    "OpenLTH ResNet": _openlth_resnet,
    "OpenLTH VGG": _openlth_vgg,
    "OpenLTH LeNet": _openlth_lenet,
    "BERT": _bert,
}
