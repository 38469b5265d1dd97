"""Residual networks as stages of blocks: what can be stretched or squeezed into what."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..blocks import GROUP, Layer, architecture
from ..errors import UsageError

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class StageBlocks:
    """The residual blocks of one stage.

    Attributes
    ----------
    name : str
        Stage.
    depth : int
        Number of normal blocks: all but block 0.
    first, normal : tuple of tuple of int
        Shapes of the layers of block 0, and of every normal block; empty where there is none.
    """

    name: str
    depth: int
    first: Shapes
    normal: Shapes

    @property
    def weights(self) -> int:
        """Number of weights of a normal block: 18 width^2 in a CIFAR ResNet; 0 without blocks."""
        return sum(math.prod(shape) for shape in self.normal)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the normal blocks: `1.1`, `1.2`, ..."""
        return tuple(f"{self.name}.{block}" for block in range(1, self.depth + 1))


@dataclass(frozen=True)
class Stack:
    """The residual blocks of a network, stage by stage.

    Attributes
    ----------
    name : str
        Name of the network, for messages.
    stages : tuple of StageBlocks
        In the order of the forward pass.
    """

    name: str
    stages: tuple[StageBlocks, ...]

    @property
    def depths(self) -> tuple[int, ...]:
        """Number of normal blocks of every stage."""
        return tuple(stage.depth for stage in self.stages)


def stack_of(name: str, layers: Iterable[Layer] | None = None) -> Stack:
    """Return the residual blocks of a network.

    Parameters
    ----------
    name : str
        An architecture.
    layers : iterable of Layer, optional
        Its counted layers, where they are known better than from its name.

    Raises
    ------
    UsageError
        The network has no stages of residual blocks, or normal blocks of one stage differ.

    Examples
    --------
    >>> stack_of("resnet32").depths
    (4, 4, 4)
    """
    blocks: dict[str, dict[str, list[Layer]]] = {}
    for layer in architecture(name).layers if layers is None else layers:
        if layer.stage not in (None, "stem", "head"):
            blocks.setdefault(str(layer.stage), {}).setdefault(layer.block, []).append(layer)
    # A layer by itself, as in VGG, has no shortcut around it; a table tells no layers.
    several = [
        len(b) > 1 or b[0].kind == GROUP for stage in blocks.values() for b in stage.values()
    ]
    if not all(several) or not several:
        raise UsageError(
            f"{name} has no stages of residual blocks: elastic tickets are stretched or squeezed "
            "between networks such as resnet20 and resnet32"
        )
    return Stack(name, tuple(_stage_blocks(name, key, found) for key, found in blocks.items()))


def _stage_blocks(network: str, stage: str, blocks: dict[str, list[Layer]]) -> StageBlocks:
    expected = [f"{stage}.{block}" for block in range(len(blocks))]
    if list(blocks) != expected:
        raise UsageError(
            f"{network}: stage {stage} has blocks {', '.join(blocks)}, expected {expected[0]} to "
            f"{expected[-1]} in this order"
        )
    first, *normal = (tuple(layer.shape for layer in found) for found in blocks.values())
    if len(set(normal)) > 1:
        raise UsageError(
            f"{network}: the normal blocks of stage {stage} differ in shape ("
            f"{'; '.join(_shapes(shapes) for shapes in dict.fromkeys(normal))}): none can stand "
            "for another"
        )
    return StageBlocks(stage, len(normal), first, normal[0] if normal else ())


def check_family(source: Stack, target: Stack) -> None:
    """Hold two networks to be of one family: they differ in the number of normal blocks alone.

    Raises
    ------
    UsageError
        They differ in more; the message says in what.
    """
    difference = _difference(source, target)
    if difference:
        raise UsageError(
            f"{source.name} and {target.name} are of different families ({difference}): a ticket "
            "is stretched or squeezed between networks whose stages differ in depth alone"
        )


def same_family(source: Stack, target: Stack) -> bool:
    """Tell whether two networks differ in the number of normal blocks alone."""
    return _difference(source, target) is None


def _difference(source: Stack, target: Stack) -> str | None:
    if len(source.stages) != len(target.stages):
        return f"{len(source.stages)} and {len(target.stages)} stages"
    for old, new in zip(source.stages, target.stages, strict=True):
        if old.first != new.first:
            return f"block {old.name}.0 has {_shapes(old.first)} and {_shapes(new.first)}"
        if old.depth and new.depth and old.normal != new.normal:
            return (
                f"blocks of stage {old.name} have {_shapes(old.normal)} and {_shapes(new.normal)}"
            )
    return None


def _shapes(shapes: Iterable[tuple[int, ...]]) -> str:
    return " + ".join("x".join(map(str, shape)) for shape in shapes)
