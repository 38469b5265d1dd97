"""Blocks and stages as the names of a network's parts tell them, where nobody says them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

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
Group = tuple[str, str | None]  # block and stage


def told_groups(names: Sequence[str]) -> list[Group]:
    """Return block and stage of every layer, as the names in the order of the network tell them.

    Parts such as `layer1.0` or `stages.0.blocks.1` are block and stage, what stands before the
    first of them is the stem, behind the last the head, between two of them a part of the one that
    follows. Where there are none, layers that share a numbered part, such as `blocks.3`, are a
    block, and every other layer is one of its own; there are no stages then.

    Examples
    --------
    >>> told_groups(["conv1", "layer1.0.conv1", "fc"])
    [('stem', 'stem'), ('1.0', '1'), ('head', 'head')]
    >>> told_groups(["blocks.3.query", "blocks.3.key", "last"])
    [('blocks.3', None), ('blocks.3', None), ('last', None)]
    """
    return _stages(names) or _numbered(names)


def _stages(names: Sequence[str]) -> list[Group]:
    """Return block and stage of every layer; nothing where no name tells any."""
    told = [_staged(name) for name in names]
    places = [place for place, group in enumerate(told) if group is not None]
    if not places:
        return []
    groups: list[Group] = []
    following: Group = ("head", "head")
    for place in reversed(range(len(names))):
        following = told[place] or following
        groups.append(("stem", "stem") if place < places[0] else following)
    return groups[::-1]


def _staged(name: str) -> Group | None:
    for pattern in _STAGED:
        if match := pattern.search(name):
            return f"{match[1]}.{match[2]}", match[1]
    return None


def _numbered(names: Sequence[str]) -> list[Group]:
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
