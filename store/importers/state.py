"""State dicts: which of their tensors are masks, which are weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.stored import described, hold_no_object, is_tensor, to_array
from .found import LevelData, Refused, Unreadable

# What wraps a network and says nothing: DataParallel, torch.compile, OpenLTH's PrunedModel.
_WRAPPERS = ("module.", "_orig_mod.", "model.")
_WEIGHT = re.compile(r"(.+)\.weight(_orig)?")
_STATE_KEYS = ("state_dict", "model_state_dict", "model", "net")


def state_dict(found: Any, where: str) -> Mapping[str, Any]:
    """Return the state dict in what a checkpoint holds: the whole of it, or one of its entries.

    Raises
    ------
    Unreadable
        There is none.
    Refused
        There is a whole pickled module instead.
    """
    hold_no_object(found, where)
    if isinstance(found, Mapping):
        for key in _STATE_KEYS:
            if isinstance(found.get(key), Mapping):
                return named(found[key], where)
        if any(hasattr(value, "shape") for value in found.values()):
            return named(found, where)
        for key in _STATE_KEYS:
            hold_no_object(found.get(key), f"{where}, {key}")
    raise Unreadable(f"{where}: holds no state dict")


def named(found: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Hold a mapping to printable texts as keys.

    Raises
    ------
    Refused
        A key is none.
    """
    for key in found:
        if not isinstance(key, str) or not key.isprintable() or len(key) > 500:
            raise Refused(f"{where}: an entry whose name is no plain text")
    return dict(found)


def unwrapped(names: Iterable[str], *, wrappers: tuple[str, ...] = _WRAPPERS) -> dict[str, str]:
    """Map names to what is left of them without the wrappers that all of them carry."""
    plain = {name: name for name in names}
    changed = bool(plain)
    while changed:
        changed = False
        for wrapper in wrappers:
            if all(short.startswith(wrapper) for short in plain.values()):
                plain = {name: short[len(wrapper) :] for name, short in plain.items()}
                changed = True
    return plain


def as_mask(value: Any, where: str) -> NDArray[np.bool_]:
    """Return a tensor or array of zeros and ones of any type as booleans.

    Raises
    ------
    Refused
        It holds other values, or is no tensor of real numbers.
    Unreadable
        Its file is damaged.
    """
    if not is_tensor(value):
        raise Refused(f"{where}: {described(value)} where a mask of numbers is due")
    array = to_array(value, where)
    if array.dtype == np.bool_:
        return np.array(array)
    kept = np.asarray(array == 1)
    odd = array != kept  # NaN is
    if odd.any():
        raise Refused(
            f"{where}: a mask that holds {array[odd].ravel()[0]}: 0 and 1 are all a mask may hold"
        )
    return kept


def pruned_state(state: Mapping[str, Any], where: str) -> LevelData:
    """Read a state dict of `torch.nn.utils.prune`: `X.weight_orig` beside `X.weight_mask`.

    Parameters of other names (`in_proj_weight_orig`) count under their whole name. Every weight of
    two or more dimensions counts as a layer; a mask is never inferred from zeros.
    """
    plain = unwrapped(state)
    names = set(plain.values())
    shapes: dict[str, tuple[int, ...]] = {}
    masks: dict[str, NDArray[np.bool_]] = {}
    weights: dict[str, NDArray[Any]] = {}
    for key, value in state.items():
        name = _masked(plain[key], names)
        if name is not None:
            masks[name] = as_mask(value, f"{where}, {name}")
        elif (match := _WEIGHT.fullmatch(plain[key])) is not None and _dimensions(value) >= 2:
            weights[match[1]] = to_array(value, f"{where}, {match[1]}")
            shapes[match[1]] = weights[match[1]].shape
        elif plain[key].endswith("_orig") and f"{plain[key][:-5]}_mask" in names:
            weights[plain[key][:-5]] = to_array(value, f"{where}, {key}")
    for name, mask in masks.items():
        if shapes.setdefault(name, mask.shape) != mask.shape:
            raise Refused(
                f"{where}, {name}: a mask of shape {mask.shape} for weights of {shapes[name]}"
            )
    return LevelData(shapes, masks, weights=weights)


def _masked(key: str, names: set[str]) -> str | None:
    """Return the layer that an entry is the mask of; None where it is something else."""
    base = key.removesuffix("_mask")
    if base == key or not (base.endswith(".weight") or f"{base}_orig" in names):
        return None
    return base.removesuffix(".weight")


def layer_weights(state: Mapping[str, Any], where: str) -> dict[str, NDArray[Any]]:
    """Return the weights of a state dict by layer, masked or not."""
    return dict(pruned_state(state, where).weights)


def _dimensions(value: Any) -> int:
    return len(getattr(value, "shape", ()))
