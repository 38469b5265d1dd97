"""Folders of safetensors files, one a level: masks alone, or masks beside weights.

`X.weight_mask` is a mask wherever it stands. In a file without such names every tensor must hold
zeros and ones alone, and is a mask.
"""

from __future__ import annotations

from ..found import Found
from ..ordering.series import find_series
from ..reading import reader
from ..tree import Tree

FORMAT = "safetensors"


def find(tree: Tree) -> Found:
    """Find folders of safetensors files in a tree."""
    return find_series(tree, FORMAT, (".safetensors",), reader(tree))
