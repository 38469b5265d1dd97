"""Folders of safetensors files, one a level: masks alone, or masks beside weights.

`X.weight_mask` is a mask wherever it stands. In a file without such names every tensor must hold
zeros and ones alone, and is a mask.
"""

from __future__ import annotations

from pathlib import Path

from ....schemas.errors import RecordError
from ....schemas.tensors import read_tensors
from ..found import Found, LevelData, Refused, Unreadable
from ..series import find_series
from ..state import as_mask, named, pruned_state, unwrapped
from ..tree import Tree

FORMAT = "safetensors"


def find(tree: Tree) -> Found:
    """Find folders of safetensors files in a tree."""
    return find_series(tree, FORMAT, (".safetensors",), _read)


def _read(path: Path) -> LevelData:
    try:
        tensors, _ = read_tensors(path)
    except (RecordError, OSError) as error:
        raise Unreadable(str(error)) from None
    found = named(tensors, str(path))
    if not found:
        raise Refused(f"{path}: holds no tensors")
    if any(key.endswith(".weight_mask") for key in found):
        return pruned_state(found, str(path))
    if any(key.endswith((".weight", ".bias", ".running_mean")) and array.dtype.kind == "f"
           and ((array != 0) & (array != 1)).any() for key, array in found.items()):  # fmt: skip
        return pruned_state(found, str(path))  # a dense level: weights, no masks
    plain = unwrapped(found)
    masks = {
        plain[key].removesuffix("_mask").removesuffix(".weight"): as_mask(array, f"{path}, {key}")
        for key, array in found.items()
    }
    return LevelData({name: mask.shape for name, mask in masks.items()}, masks)
