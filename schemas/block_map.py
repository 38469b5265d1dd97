"""Which layer belongs to which block and stage: as users write it, or as names of parts tell."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import Unreadable, UsageError
from .toml import read_toml

Blocks = Mapping[str, str]
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


def read_blocks(path: Path) -> Blocks:
    """Read a block map: a TOML file of `"pattern of layer names" = "block"` lines.

    The first pattern that fits a layer counts. A block written `2.0` belongs to stage 2; `stem` and
    `head` are stages of their own; other names have no stage.

    Raises
    ------
    UsageError
        There is no such file, or it is something else.
    """
    try:
        found = read_toml(path)
    except Unreadable as error:
        raise UsageError(f"{path}: no block map ({error})") from None
    for pattern, block in found.items():
        if not isinstance(block, str) or not block:
            raise UsageError(f'{path}: {pattern} is no text: write "{pattern}" = "1.0"')
    if not found:
        raise UsageError(f'{path}: an empty block map: write lines such as "layer1.0.*" = "1.0"')
    return found


def stage_of(block: str) -> str | None:
    """Return the stage that a block's name tells: `1` of `1.0`, `stem`, `head`, or None."""
    if block in ("stem", "head"):
        return block
    match = re.fullmatch(r"(\d+)\.\d+", block)
    return match[1] if match else None


def block_of(blocks: Blocks, *names: str) -> str | None:
    """Return the block of the first pattern that fits one of a layer's names; None: none does."""
    for pattern, block in blocks.items():
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            return block
    return None


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
