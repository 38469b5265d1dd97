"""Other people's names for the layers of known networks.

A naming maps the names of a source to canonical ones (those of torchvision). Schemes know the names
of some code, whatever prefix they stand behind; `by_shape` knows a network by the shapes of its
layers in their order, where the names part them into its blocks.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from ....schemas.blocks import Architecture, Layer
from ....schemas.errors import UsageError
from ....schemas.tensors.wrapping import plain
from ..found import Shapes

Names = dict[str, str]
SETS = ("all", "convolutions", "convolutions_without_stem")
# Networks with the names and shapes of BERT that are others.
_NO_BERT = re.compile(r"\w+bert|electra|ernie|xlm", re.IGNORECASE)
_SHORTCUT = re.compile(r"shortcut|downsample|skip|ident|idconv|idpath|proj", re.IGNORECASE)


def namings(names: Sequence[str], masked: Sequence[str]) -> Iterator[tuple[str, Names]]:
    """Yield canonical names by scheme, of the names as they are, then behind more of their prefix.

    Parameters
    ----------
    names : sequence of str
        The names of all layers of a source.
    masked : sequence of str
        Those that have a mask, whose prefix counts.
    """
    for bare in _bared(names, masked):
        for scheme, rename in NAMINGS.items():
            canonical = rename(tuple(bare.values()))
            if canonical is not None:
                yield scheme, {name: canonical[short] for name, short in bare.items()}


def _bared(names: Sequence[str], masked: Sequence[str]) -> Iterator[Names]:
    """Yield names with less and less before them; of two that become one the masked one stays."""
    whole = {name: name for name in names}
    yield whole
    short = {name: plain(name) for name in names}
    if short != whole and (distinct := _distinct(short, masked)):
        yield distinct
    while component := _shared(short[name] for name in masked):
        short = {name: text.removeprefix(f"{component}.") for name, text in short.items()}
        if distinct := _distinct(short, masked):
            yield distinct


def _shared(names: Iterator[str]) -> str | None:
    """Return the first component that more than half of the names have before others."""
    firsts = [name.partition(".") for name in names]
    ((component, count),) = Counter(a if dot else "" for a, dot, _ in firsts).most_common(1)
    if not component or 2 * count <= len(firsts) or _NO_BERT.search(component):
        return None
    return component


def _distinct(short: Names, masked: Sequence[str]) -> Names | None:
    """Leave out what no longer has a name of its own; None where that is a masked layer."""
    taken = {short[name]: name for name in masked}
    if len(taken) < len(masked):
        return None
    return {name: text for name, text in short.items() if taken.setdefault(text, name) == name}


# Schemes: functions from all names of a source to canonical names, or None.


def _canonical(names: Sequence[str]) -> Names | None:
    """Names of torchvision, and those that differ in a word: `shortcut`, `linear`."""
    heads = dict.fromkeys(("classifier", "linear", "head", "head.fc"), "fc")
    return {
        name: heads.get(name)
        or re.sub(r"\.(shortcut|downsample)(\.0|\.conv)?$", ".downsample.0", name)
        for name in names
    }


def _openlth_resnet(names: Sequence[str]) -> Names | None:
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


def _openlth_vgg(names: Sequence[str]) -> Names | None:
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


def _openlth_lenet(names: Sequence[str]) -> Names | None:
    if not any(name.startswith("fc_layers.") for name in names):
        return None
    return {
        name: f"fc{int(m[1]) + 1}" if (m := re.fullmatch(r"fc_layers\.(\d+)", name)) else name
        for name in names
    }


def _bert(names: Sequence[str]) -> Names | None:
    if not any(name.startswith("bert.encoder.layer.") for name in names):
        return None
    return {name: name.removeprefix("bert.") for name in names}


NAMINGS: dict[str, Callable[[Sequence[str]], Names | None]] = {
    "torchvision": _canonical,
    "OpenLTH ResNet": _openlth_resnet,
    "OpenLTH VGG": _openlth_vgg,
    "OpenLTH LeNet": _openlth_lenet,
    "BERT": _bert,
}

# By shape.


def same_shape(known: tuple[int, ...] | None, found: tuple[int, ...]) -> bool:
    """Compare shapes; a table tells the number of weights alone."""
    return known is not None and (known == found or (math.prod(known),) == found)


def by_shape(network: Architecture, shapes: Shapes, *, asked: bool) -> Names | None:
    """Map the layers of a source to those of a network with as many of the same shapes, in order.

    The order is that of the source, else that of the names. Of a block only the order of equal
    shapes counts. Unless the user asks for this network, the names must part the layers into its
    blocks, and the shapes be known.
    """
    if not asked and (network.name == "bert-base" or any(len(s) < 2 for s in shapes.values())):
        return None  # which of its square matrices is the query no order tells
    for prunable in SETS:
        layers = counted(network, prunable)
        if len(layers) != len(shapes):
            continue
        for order in (list(shapes), forward_order(shapes)):
            names = _in_order(layers, order, shapes)
            if names is not None and (asked or _in_blocks(layers, names)):
                return names
    return None


def counted(network: Architecture, prunable: str) -> tuple[Layer, ...]:
    """Return the layers of a set, none where the network has no such set."""
    try:
        return network.counted(prunable)
    except UsageError:
        return ()


def forward_order(shapes: Shapes) -> list[str]:
    """Order names that a file has sorted: what sees the image, the numbers in names, the head."""

    def key(name: str) -> tuple[bool, bool, list[tuple[int, str]]]:
        shape = shapes[name]
        parts = [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", name)]
        return len(shape) == 2, len(shape) != 4 or shape[1] > 4, parts

    return sorted(shapes, key=key)


def _in_order(layers: Sequence[Layer], order: Sequence[str], shapes: Shapes) -> Names | None:
    names: Names = {}
    rest = iter(order)
    for _, members in itertools.groupby(layers, key=lambda layer: layer.block):
        block = list(members)
        # Shortcuts come last in a known network, wherever they stand in a source.
        free = sorted(itertools.islice(rest, len(block)), key=lambda n: bool(_SHORTCUT.search(n)))
        for layer in block:
            name = next((n for n in free if same_shape(layer.shape, shapes[n])), None)
            if name is None:
                return None
            free.remove(name)
            names[name] = layer.name
    return names


def _in_blocks(layers: Sequence[Layer], names: Names) -> bool:
    """Whether the names of every block's layers, and no others, share a prefix."""
    block = {layer.name: layer.block for layer in layers}
    parted: dict[str, list[list[str]]] = {}
    for name, canonical in names.items():
        parted.setdefault(block[canonical], []).append(name.split("."))
    for members in parted.values():
        if len(members) > 1:
            pairs = zip(min(members), max(members), strict=False)
            shared = [a for a, b in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]
            if sum(name.split(".")[: len(shared)] == shared for name in names) != len(members):
                return False
    return True
