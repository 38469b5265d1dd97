"""The counted layers of a module; blocks and stages as the names of its parts tell them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from torch import nn

from ..schemas.block_map import Blocks, block_of, stage_of
from ..schemas.blocks import Layer
from ..schemas.errors import UsageError

# Parts that are a stage, and the block in it: torchvision's `layer1.0.`, `denseblock1.denselayer2.`
# of DenseNet, `block1.layer.0.` of wide ResNets, `conv2_x.0.residual_function.`, and
# `stages.0.blocks.1.` of timm.
_STAGED = (
    re.compile(
        r"(?:^|\.)(?:layer|stage|group|block|denseblock|conv)_?(\d+)(?:_x)?\."
        r"(?:[A-Za-z]\w*\.)?(?:denselayer|layer|block|unit)?_?(\d+)\."
    ),
    re.compile(r"(?:^|\.)(?:stages|layers|levels|groups)\.(\d+)\.(?:blocks|layers)\.(\d+)\."),
)
_Group = tuple[str, str | None]  # block and stage


def layers_of(module: nn.Module, blocks: Blocks | None = None) -> tuple[Layer, ...]:
    """Return the convolutions and linear layers of a module, in their order.

    A weight that several parts share is counted once, with the first of them.

    Parameters
    ----------
    module : nn.Module
        The network.
    blocks : mapping of str to str, optional
        Patterns of layer names to blocks, see `schemas.block_map`. Without it parts such as
        `layer1.0` or `stages.0.blocks.1` are block and stage, what stands before the first of them
        is the stem, behind the last the head, between two of them a part of the one that follows.
        Where there are none, layers that share a numbered part, such as `blocks.3`, are a block,
        and every other layer is one of its own; there are no stages then.

    Raises
    ------
    UsageError
        The block map leaves a layer out, or gives some layers a stage and others none.
    """
    parts = counted_parts(module)
    names = list(parts)
    groups = _stages(names) or _numbered(names) if blocks is None else _mapped(names, blocks)
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


def _mapped(names: Sequence[str], blocks: Blocks) -> list[_Group]:
    groups: list[_Group] = []
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


def _stages(names: Sequence[str]) -> list[_Group]:
    """Return block and stage of every layer; nothing where no name tells any."""
    told = [_staged(name) for name in names]
    places = [place for place, group in enumerate(told) if group is not None]
    if not places:
        return []
    groups: list[_Group] = []
    following: _Group = ("head", "head")
    for place in reversed(range(len(names))):
        following = told[place] or following
        groups.append(("stem", "stem") if place < places[0] else following)
    return groups[::-1]


def _staged(name: str) -> _Group | None:
    for pattern in _STAGED:
        if match := pattern.search(name):
            return f"{match[1]}.{match[2]}", match[1]
    return None


def _numbered(names: Sequence[str]) -> list[_Group]:
    shared = [_numbered_part(name) for name in names]
    count = Counter(shared)
    return [
        (part if part and count[part] > 1 else name, None)
        for name, part in zip(names, shared, strict=True)
    ]


def _numbered_part(name: str) -> str:
    """Return the first part around a layer that has a number: `blocks.3` of `blocks.3.attn.qkv`."""
    parts = name.split(".")[:-1]
    for place, part in enumerate(parts):
        if part[-1:].isdigit():
            return ".".join(parts[: place + 1])
    return ""
