"""Any folder of state dicts that `torch.nn.utils.prune` masked, one file a level.

`X.weight_mask` beside `X.weight_orig`, in a plain state dict or under `state_dict`.
"""

from __future__ import annotations

from pathlib import Path

from ....schemas.torch_files import read_torch
from ..found import Found, LevelData
from ..series import find_series
from ..state import pruned_state, state_dict
from ..tree import Tree

FORMAT = "torch_prune"
SUFFIXES = (".pth.tar", ".pt", ".pth", ".tar", ".ckpt", ".bin", ".pt.gz", ".pth.gz")


def find(tree: Tree) -> Found:
    """Find folders of masked state dicts in a tree."""
    return find_series(tree, FORMAT, SUFFIXES, _read)


def _read(path: Path) -> LevelData:
    return pruned_state(state_dict(read_torch(path), str(path)), str(path))
