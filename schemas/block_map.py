"""Block maps that users write: which layer belongs to which block and stage."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from pathlib import Path

from .errors import Unreadable, UsageError
from .toml import read_toml

Blocks = Mapping[str, str]


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
