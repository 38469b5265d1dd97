"""Which network a source holds, from the names and shapes of its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ....schemas.block_map import Blocks, block_of, stage_of
from ....schemas.blocks import GROUP, Layer
from ....schemas.tensors.wrapping import before, beneath, copies, plain
from ..found import LevelData, Refused, Shapes
from .naming import Names
from .networks import Source, is_known, known_network


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
    notes : tuple of str
        For the user.
    """

    architecture: str
    layers: tuple[Layer, ...]
    sources: tuple[str, ...]
    prunable: str
    exempt: tuple[str, ...]
    why: str
    notes: tuple[str, ...] = ()

    def located(self, names: Collection[str]) -> dict[str, str]:
        """Map the layers, by their names in the source, to the names that another file has.

        They are the same, or stand behind another prefix: a network is often wrapped at some
        levels only. A layer that is not there is left out.
        """
        if all(source in names for source in self.sources):
            return dict(zip(self.sources, self.sources, strict=True))
        short = _without_shared(self.sources)
        found = beneath(names, short.values())
        if len(found) < len(short):
            return {source: source for source in self.sources if source in names}
        return {source: found[tail] for source, tail in short.items()}


def recognise(
    data: LevelData, *, named: str | None = None, blocks: Blocks | None = None
) -> Recognised:
    """Find the network that a level is of.

    Parameters
    ----------
    data : LevelData
        A level at which something is pruned.
    named : str, optional
        The architecture as the user names it: one that is known must fit, any other is a name.
    blocks : mapping of str to str, optional
        The user's block map, patterns of source names to blocks; it goes before what is known.

    Raises
    ------
    Refused
        The architecture named does not fit, or the block map leaves a layer out.
    """
    every = tuple(data.kept or data.masks)
    other = beside(data.shapes, every)
    masked = tuple(name for name in every if name not in other)
    notes = tuple(_said_of_copies(other))
    found = None if blocks else known_network(Source.of(data, masked), named)
    if found is not None:
        if named is not None and not is_known(named):
            notes += (f"not called {named}: these are the layers of {found.network.name}",)
        sources = tuple(found.sources.values())
        return Recognised(
            found.network.name,
            found.layers,
            sources,
            found.prunable,
            found.exempt,
            found.why,
            notes,
        )
    layers = tuple(_layers(data.shapes, masked, blocks))
    if len({layer.stage is None for layer in layers}) > 1:
        raise Refused("the block map gives some layers a stage and others none")
    return Recognised(
        architecture=named or _name(layers),
        layers=layers,
        sources=masked,
        prunable="masked",
        exempt=(),
        why="block map given" if blocks else "names and shapes of no known network",
        notes=notes,
    )


def _layers(shapes: Shapes, masked: Sequence[str], blocks: Blocks | None) -> Iterator[Layer]:
    """Yield the layers of a network that is not known."""
    names = _without_wrappers(masked)
    # The groups of a table may be the blocks or stages themselves.
    groups = blocks is None and all(
        len(shapes[name]) == 1 and (stage_of(name) or name.isdecimal()) for name in masked
    )
    for name in masked:
        shape = tuple(shapes[name])
        yield Layer(names[name], _kind(shape), shape, *_group(name, names[name], blocks, groups))


def beside(shapes: Shapes, masked: Collection[str]) -> dict[str, str]:
    """Map the masks that are of no layer of the network to its own one, or to nothing.

    Biases and weights of normalisations have fewer than two dimensions, copies of the network
    (`ema.module.`) masks of their own.
    """
    layers = [name for name in masked if len(shapes[name]) > 1]
    if not layers:  # a table tells numbers alone
        return {}
    return {**{name: "" for name in masked if len(shapes[name]) < 2}, **copies(layers)}


def _said_of_copies(other: Mapping[str, str]) -> Iterator[str]:
    pairs = {before(name, own): before(own, name) for name, own in other.items() if own}
    for copy, own in pairs.items():
        yield f"{copy} is a copy: its masks are left out, those of {own or 'the network'} are taken"


def _group(name: str, short: str, blocks: Blocks | None, groups: bool) -> tuple[str, str | None]:
    """Return block and stage; `groups` where the names are those of blocks or stages themselves."""
    if blocks is None:
        return short, (stage_of(name) or name) if groups else None
    block = block_of(blocks, name, short)
    if block is None:
        raise Refused(f"the block map has no pattern for layer {name}")
    return block, stage_of(block)


def _kind(shape: tuple[int, ...]) -> str:
    return {1: GROUP, 2: "linear"}.get(len(shape), "conv")


def _name(layers: Sequence[Layer]) -> str:
    """Name an unknown network after its layers, the same wherever it lies."""
    text = json.dumps([(layer.name, layer.shape) for layer in layers])
    return f"net-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _without_wrappers(names: Sequence[str]) -> Names:
    """Take off what torch and Lightning put before the names of any network, if all carry it."""
    short = {name: plain(name) for name in names}
    for wrapper in ("module.", "model.", "module."):
        if all(text.startswith(wrapper) for text in short.values()):
            short = {name: text.removeprefix(wrapper) for name, text in short.items()}
    return short if len(set(short.values())) == len(short) else {name: name for name in names}


def _without_shared(names: Sequence[str]) -> Names:
    """Take off all that names share before their last component."""
    parts = {name: plain(name).split(".") for name in names}
    first, last = min(parts.values()), max(parts.values())
    cut = 0
    while cut < min(len(first), len(last)) - 1 and first[cut] == last[cut]:
        cut += 1
    return {name: ".".join(text[cut:]) for name, text in parts.items()}
