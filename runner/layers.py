"""The counted layers of a module; blocks and stages as the names of its parts tell them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..schemas.block_map import Blocks, Group, block_of, stage_of, told_groups
from ..schemas.blocks import Layer
from ..schemas.errors import UsageError


def layers_of(module: nn.Module, blocks: Blocks | None = None) -> tuple[Layer, ...]:
    """Return the convolutions and linear layers of a module, in their order.

    A weight that several parts share is counted once, with the first of them.

    Parameters
    ----------
    module : nn.Module
        The network.
    blocks : mapping of str to str, optional
        Patterns of layer names to blocks, see `schemas.block_map`. Without it the names tell.

    Raises
    ------
    UsageError
        The block map leaves a layer out, or gives some layers a stage and others none.
    """
    parts = counted_parts(module)
    names = list(parts)
    groups = told_groups(names) if blocks is None else _mapped(names, blocks)
    return tuple(
        Layer(
            name,
            "conv" if isinstance(part, nn.Conv2d) else "linear",
            tuple(part.weight.shape),
            *group,
        )
        for (name, part), group in zip(parts.items(), groups, strict=True)
    )


def counted_parts(module: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """Return the parts whose weights are counted, by their names."""
    found: dict[int, tuple[str, nn.Conv2d | nn.Linear]] = {}
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            found.setdefault(id(part.weight), (name, part))
    return dict(found.values())


def _mapped(names: Sequence[str], blocks: Blocks) -> list[Group]:
    groups: list[Group] = []
    for name in names:
        block = block_of(blocks, name)
        if block is None:
            raise UsageError(
                f'the block map has no pattern for layer {name}: add a line "{name}" = "head", say'
            )
        groups.append((block, stage_of(block)))
    if len({stage is None for _, stage in groups}) > 1:
        plain = next(block for block, stage in groups if stage is None)
        raise UsageError(
            f"the block map gives some layers a stage and block '{plain}' none: write it as 1.0, "
            "stem or head"
        )
    return groups
