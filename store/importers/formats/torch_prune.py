"""Any folder of files of torch that hold masks, one file a level.

`X.weight_mask` beside `X.weight_orig` as `torch.nn.utils.prune` has it, and all that `masks` knows.
"""

from __future__ import annotations

from ..found import Found
from ..ordering.series import find_series
from ..reading import reader
from ..tree import Tree

FORMAT = "torch_prune"
_SUFFIXES = (
    ".pth.tar", ".pt.tar", ".pt", ".pth", ".th", ".tar", ".ckpt", ".chkpt", ".bin", ".pt.gz",
    ".pth.gz",
)  # fmt: skip
SUFFIXES = (*_SUFFIXES, *(suffix.upper() for suffix in _SUFFIXES))


def find(tree: Tree) -> Found:
    """Find folders of masked state dicts in a tree."""
    return find_series(tree, FORMAT, SUFFIXES, reader(tree))
