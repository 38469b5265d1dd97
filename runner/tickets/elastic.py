"""Elastic tickets: a network's tensors, weights and masks alike, carried to another depth.

As `change_depth` of Chen et al. 2021c (arXiv 2103.16547) does it: what lies in a source block,
convolutions and batch norm with its running statistics, goes to the target blocks that the block
feeds; block 0 of a stage goes one to one, with its shortcut; stem and head are copied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import numpy as np

from ...schemas.blocks import Architecture
from ...schemas.errors import RgtoolError, UsageError
from ...schemas.tickets.stack import Stack, stack_of
from ...schemas.tickets.transform import Transform
from ..replicas.training import Arrays


def stretched(
    arrays: Arrays,
    source: Architecture,
    target: Architecture,
    transform: Transform,
    names: Collection[str] = (),
) -> Arrays:
    """Carry the tensors of one network to another depth.

    Parameters
    ----------
    arrays : dict of str to array
        A state dict of the source, by the names of its tensors, or a mask, by those of layers.
    source, target : Architecture
        Networks of one family: they differ in the number of normal blocks alone.
    transform : Transform
        Which source block feeds which target blocks.
    names : collection of str
        All that the target needs; without it the weight, or the mask, of every layer of a block.

    Returns
    -------
    dict of str to array
        Those of the target; what several blocks are fed is copied.

    Raises
    ------
    UsageError
        The networks are of different families, the map does not fit them, or a block is no module.
    RgtoolError
        The source has nothing for a tensor that the target needs.

    Examples
    --------
    >>> from rgtool.schemas.blocks import architecture
    >>> deep, flat = architecture("resnet20"), architecture("resnet14")
    >>> masks = {layer.name: np.ones(layer.shape, bool) for layer in deep.layers}
    >>> found = stretched(masks, deep, flat, Transform.parse("0:0;2:1"))
    >>> sorted(found) == sorted(layer.name for layer in flat.layers)
    True
    """
    places = _places(source, target, transform)
    made: Arrays = {}
    for name, array in arrays.items():
        block = _module_of(name, places)
        if block is None:
            made[name] = array
            continue
        for place in places[block]:
            made[place + name.removeprefix(block)] = np.array(array)
    inside = {module for modules in places.values() for module in modules}
    layers = [layer.name for layer in target.layers if _module_of(layer.name, inside)]
    for name in names or [f"{layer}{kind}" for kind in _kinds(arrays, source) for layer in layers]:
        if name not in made:
            raise RgtoolError(
                f"{source.name} to {target.name} by {transform}: nothing of the source makes "
                f"'{name}'; its block holds no such tensor"
            )
    return made


def later_copies(network: Architecture, transform: Transform) -> tuple[str, ...]:
    """Name the layers of blocks that are fed by what feeds a block of their stage before them.

    Parameters
    ----------
    network : Architecture
        The target.
    transform : Transform
        A map that fits it.
    """
    stages = stack_of(network.name, network.layers).stages
    maps = transform.stages if len(transform.stages) > 1 else transform.stages * len(stages)
    later = {
        f"{stage.name}.{block}"
        for one, stage in zip(maps, stages, strict=True)
        for block, feed in enumerate(one.feeds, start=1)
        if feed in one.feeds[: block - 1]
    }
    return tuple(layer.name for layer in network.layers if layer.block in later)


def _kinds(arrays: Arrays, network: Architecture) -> list[str]:
    """Return what stands behind the names of layers: nothing in a mask, both in a mixture."""
    return [
        kind
        for kind in ("", ".weight")
        if any(f"{layer.name}{kind}" in arrays for layer in network.layers)
    ]


def _places(
    source: Architecture, target: Architecture, transform: Transform
) -> dict[str, list[str]]:
    """Return for the module of every source block the modules of the target that it feeds."""
    old, new = (stack_of(one.name, one.layers) for one in (source, target))
    stages = transform.resolve(old, new).stages
    stages = stages if len(stages) > 1 else stages * len(new.stages)
    here, there = _modules(source, old), _modules(target, new)
    places: dict[str, list[str]] = {module: [] for module in here.values()}
    for one, stage in zip(stages, new.stages, strict=True):
        for block, feed in enumerate((0, *one.feeds)):
            places[here[f"{stage.name}.{feed}"]].append(there[f"{stage.name}.{block}"])
    return places


def _module_of(name: str, modules: Iterable[str]) -> str | None:
    """Return which of some modules a tensor lies in; None where it lies in none."""
    return next((one for one in modules if name.startswith(f"{one}.")), None)


def _modules(network: Architecture, stack: Stack) -> dict[str, str]:
    """Return the module of every residual block: the path that its layers, and no others, share."""
    found = {}
    for block in _blocks(stack):
        names = [layer.name for layer in network.layers if layer.block == block]
        module = _shared_path(names)
        below = [layer.name for layer in network.layers if layer.name.startswith(f"{module}.")]
        if below != names:
            raise UsageError(
                f"{network.name}: block {block} ({', '.join(names)}) is no module by itself, so "
                "nobody knows which tensors beside these belong to it"
            )
        found[block] = module
    return found


def _blocks(stack: Stack) -> Iterator[str]:
    for stage in stack.stages:
        yield from (f"{stage.name}.{block}" for block in range(stage.depth + 1))


def _shared_path(names: Collection[str]) -> str:
    """Return the longest path of modules that names of layers share, their own names left out."""
    paths = [name.split(".")[:-1] for name in names]
    shared = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)
