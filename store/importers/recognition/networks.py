"""Which known network the layers of a source are, and in which layers they are not those of one."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from ....schemas.blocks import (
    CIFAR_RESNETS,
    FIXED,
    MOST_WIDTH,
    Architecture,
    Layer,
    architecture,
    known_names,
)
from ....schemas.errors import UsageError
from ..found import LevelData, Refused, Shapes
from .naming import SETS, Names, by_shape, counted, forward_order, namings, same_shape

_SHOWN = 3  # differences from a network that does not fit
# Images of the known data sets; a table tells how many weights a stem has and not their shape.
_IMAGES = (None, (3, 32, 32), (3, 224, 224), (1, 32, 32), (1, 224, 224))
Image = tuple[int, int, int]


@dataclass(frozen=True)
class Source:
    """The layers of a source.

    Attributes
    ----------
    shapes : tuple of (str, tuple of int)
        All of them, in its order.
    masked : tuple of str
        Those that have a mask.
    whole : bool
        Whether the source has its weights, so that a layer which is not there is none of its.
    """

    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    masked: tuple[str, ...]
    whole: bool

    @classmethod
    def of(cls, data: LevelData, masked: tuple[str, ...]) -> Source:
        """Take the layers of a level, `masked` of which are those of the network with a mask."""
        weights = {name: array.shape for name, array in data.weights.items()}
        shapes = {name: tuple(shape) for name, shape in {**data.shapes, **weights}.items()}
        layers = {n: s for n, s in shapes.items() if n in masked or len(s) > 1}
        return cls(tuple(layers.items()), masked, set(masked) <= weights.keys())


@dataclass(frozen=True)
class Fit:
    """A known network and the names of its layers in a source.

    Attributes
    ----------
    network : Architecture
        The network.
    prunable : str
        The set of its layers that have a mask.
    sources : mapping of str to str
        Canonical names of the masked layers to those of the source, in the network's order.
    why : str
        What it was concluded from.
    """

    network: Architecture
    prunable: str
    sources: Mapping[str, str]
    why: str

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The masked layers."""
        return tuple(layer for layer in self.network.layers if layer.name in self.sources)

    @property
    def exempt(self) -> tuple[str, ...]:
        """Layers that studies of this network count and never prune: OpenLTH's last ones."""
        with_fc = "fc" in self.sources and re.match("lenet|vgg", self.network.name)
        return ("fc",) if with_fc else ()


@functools.lru_cache(maxsize=16)  # the runs of a folder or a table have the same layers
def known_network(source: Source, named: str | None) -> Fit | None:
    """Find the network that has these layers; None where no known one does.

    Parameters
    ----------
    source : Source
        The layers.
    named : str or None
        The architecture as the user names it: one that is known must fit.

    Raises
    ------
    Refused
        It does not fit.
    """
    shapes = dict(source.shapes)
    for how, names, networks in _attempts(source, named):
        wanted = {names[name]: shapes[name] for name in source.masked}
        if not wanted.keys() <= _canonical_names():
            continue
        for network in networks:
            prunable = _fitting(network, wanted, set(names.values()) if source.whole else None)
            if prunable is not None:
                return _fit(network, prunable, {names[name]: name for name in source.masked}, how)
    if named is not None and is_known(named):
        raise Refused(_misfit(source, named))
    return None


def is_known(name: str) -> bool:
    """Whether an architecture has a block map."""
    try:
        architecture(name)
    except UsageError:
        return False
    return True


def _attempts(
    source: Source, named: str | None
) -> Iterator[tuple[str, Names, Iterable[Architecture]]]:
    """Yield namings with the networks that they may be of, the surest first."""
    shapes = dict(source.shapes)
    for scheme, names in namings(tuple(shapes), source.masked):
        renamed = {canonical: shapes[name] for name, canonical in names.items()}
        yield f"{scheme} names, shapes", names, _by_name(renamed, named)
    asked = named is not None and is_known(named)
    for some in (shapes, {name: shapes[name] for name in source.masked}):
        for network in _by_order(some, named):
            found = by_shape(network, some, asked=asked)
            if found is not None:
                yield "order and shapes", found, (network,)


@functools.cache
def _canonical_names() -> frozenset[str]:
    """Names of layers of all known networks, by which most unknown ones are told at once."""
    return frozenset(x.name for name in known_names() for x in architecture(name).layers)


def _fit(network: Architecture, prunable: str, sources: Names, how: str) -> Fit:
    ordered = {x.name: sources[x.name] for x in network.layers if x.name in sources}
    return Fit(network, prunable, ordered, f"{how} of {network.name}, {len(ordered)} masks")


def _fitting(network: Architecture, wanted: Shapes, there: set[str] | None) -> str | None:
    """Name the set of layers of a network that these are; None where the network does not fit."""
    if _foreign(network, wanted) or (there is not None and _absent(network, there)):
        return None
    for prunable in SETS:
        if {layer.name for layer in counted(network, prunable)} == set(wanted):
            return prunable
    # Part of a larger network has its names too: then at least half of the weights must be there.
    covered = sum(layer.total for layer in network.layers if layer.name in wanted)
    return "masked" if 2 * covered > sum(layer.total for layer in network.layers) else None


def _foreign(network: Architecture, wanted: Shapes) -> list[str]:
    """Name the layers that the network does not have, or not of this shape."""
    due = {layer.name: layer.shape for layer in network.layers}
    return [name for name, shape in wanted.items() if not same_shape(due.get(name), shape)]


def _absent(network: Architecture, there: set[str]) -> list[str]:
    """Name the layers that a source should have; stem and head are often replaced or taken off."""
    ends = network.layers[0].name, network.layers[-1].name
    return [x.name for x in network.layers if x.name not in there and x.name not in ends]


# What does not fit.


def _misfit(source: Source, named: str) -> str:
    """Say in which layers a source differs from the network that the user names."""
    tried = [(network, names) for _, names, some in _attempts(source, named) for network in some]
    due = {layer.name for layer in tried[0][0].layers}

    def extra(names: Names) -> int:
        return sum(names[name] not in due for name in source.masked)

    if 2 * min(extra(names) for _, names in tried) >= len(source.masked):  # its names say little
        tried += _in_order(source, named)
    told = [(extra(names), _differences(network, names, source)) for network, names in tried]
    _, faults = min(told, key=lambda pair: (pair[0], len(pair[1])))
    more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    own = known_network(source, None)
    of = f"; they are those of {own.network.name}" if own is not None else ""
    return f"the layers are not those of {named}: {', '.join(faults[:_SHOWN])}{more}{of}"


def _in_order(source: Source, named: str) -> Iterator[tuple[Architecture, Names]]:
    """Yield the network named with its layers set against those of the source by their sizes."""
    shapes = {n: s for n, s in source.shapes if source.whole or n in source.masked}
    for network in _by_order(shapes, named):
        for prunable in SETS:
            layers = counted(network, prunable)
            if len(shapes) <= 2 * len(layers):
                for order in (list(shapes), forward_order(shapes)):
                    yield network, _aligned(layers, order, shapes)


def _aligned(layers: Sequence[Layer], order: Sequence[str], shapes: Shapes) -> Names:
    """Name layers as those of as many weights at their place; the rest keeps its own name."""
    sizes = [math.prod(shapes[name]) for name in order]
    due = [layer.total for layer in layers]
    names = {name: name for name in order}
    for tag, a, b, c, d in SequenceMatcher(None, due, sizes, autojunk=False).get_opcodes():
        if tag in ("equal", "replace"):
            pairs = zip(order[c:d], layers[a:b], strict=False)
            names |= {name: layer.name for name, layer in pairs}
    return names


def _differences(network: Architecture, names: Names, source: Source) -> list[str]:
    shapes, due = dict(source.shapes), {layer.name: layer.shape for layer in network.layers}
    wanted = {names[name]: name for name in source.masked}
    said = [
        f"{wanted[name]} {_fault(shapes[wanted[name]], due.get(name))}"
        for name in _foreign(network, {new: shapes[old] for new, old in wanted.items()})
    ]
    absent = _absent(network, set(names.values())) if source.whole else []
    said += [f"{name} is missing" for name in absent]
    if source.whole and said:
        return said
    sets = [[x.name for x in counted(network, one) if x.name not in wanted] for one in SETS]
    return said + [f"{name} has no mask" for name in min(filter(None, sets), key=len, default=[])]


def _fault(shape: tuple[int, ...], due: tuple[int, ...] | None) -> str:
    if due is None:
        return "is extra"
    if len(shape) == 1:
        return f"has {shape[0]} weights instead of {math.prod(due)}"
    return f"has shape {shape} instead of {due}"


# The networks that layers may be of.


def _by_name(shapes: Shapes, named: str | None) -> Iterator[Architecture]:
    """Yield the networks that these canonical names may belong to."""
    stem = next((s for n, s in shapes.items() if n in ("conv1", "features.0", "fc1")), None)
    option = "" if any(".downsample." in name for name in shapes) else "a"
    options = [f"{name}{option}" for name in CIFAR_RESNETS]
    return _candidates(named, options, stem, shapes.get("layer1.0.conv1", stem), shapes.get("fc"))


def _by_order(shapes: Shapes, named: str | None) -> Iterator[Architecture]:
    """Yield the networks that layers may be of whose names tell nothing."""
    order = forward_order(shapes)
    stem = shapes[order[0]]
    head = next((shapes[name] for name in reversed(order) if len(shapes[name]) == 2), None)
    options = [f"{name}{option}" for name in CIFAR_RESNETS for option in ("", "a")]
    return _candidates(named, options, stem, stem, head)


def _candidates(
    named: str | None,
    options: Sequence[str],
    stem: tuple[int, ...] | None,
    first: tuple[int, ...] | None,
    head: tuple[int, ...] | None,
) -> Iterator[Architecture]:
    """Yield the network named, else the known ones, for the images and classes of stem and head.

    `first` is the shape of a layer as wide as the first stage of a CIFAR ResNet.
    """
    width = _width(first)
    if named is not None and is_known(named):
        names = [named]
    else:
        names = [*FIXED, *(f"{name}{width}" for name in options if width is not None)]
    for name in names:
        for image in _images(stem):
            yield _architecture(name, image, _classes(name, image, head))


def _images(stem: tuple[int, ...] | None) -> tuple[Image | None, ...]:
    if stem is None:
        return (None,)
    if len(stem) == 1:
        return _IMAGES
    if len(stem) != 4:
        return ((1, 1, stem[1]),)
    size = 32 if stem[2] == 3 else 224
    return ((stem[1], size, size),)


def _classes(name: str, image: Image | None, head: tuple[int, ...] | None) -> int | None:
    if head is None or len(head) > 2:
        return None
    if len(head) == 2:
        return head[0]
    return max(head[0] // _architecture(name, image, None).layers[-1].fan_in, 1)


def _width(first: tuple[int, ...] | None) -> str | None:
    """Return what the name of a CIFAR ResNet says of its width; None where none is built."""
    if first is None:
        return ""
    width = math.isqrt(first[0] // 9) if len(first) == 1 else first[0]
    return f"w{width}" if 1 <= width <= MOST_WIDTH else None


_architecture = functools.lru_cache(maxsize=1024)(architecture)
