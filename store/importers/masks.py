"""What a checkpoint says of one level: which of its entries are masks, and of which weights.

Masks stand beside weights, under names that say so (`X.weight_mask` of `torch.nn.utils.prune`,
`X.mask`, `X.parametrizations.weight.0.mask` of `torch.ao.pruning`, `mask.X`), under a key of their
own (`mask`, `masks`), or alone: a dictionary or a list of arrays of zeros and ones.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.tensors.stored import InFile, Strange, StrangeTensor, described, is_tensor, to_array
from ...schemas.tensors.wrapping import HOMES, beneath
from .found import LevelData, Refused
from .state import WRAPPERS, home, named, unwrapped
from .zeros import HINT, is_zero_one, share_of_zeros

_WEIGHT = re.compile(r"(.+)\.(?:weight(?:_orig)?|parametrizations\.weight\.original)")
# Parameters that recurrent layers and attention have in place of one weight.
_NAMED_WEIGHT = re.compile(
    r"(?:.+\.)?(?:weight_(?:ih|hh|hr)_l\d+(?:_reverse)?|weight_(?:ih|hh)|(?:in|[qkv])_proj_weight)"
)
_PARAMETRIZED = re.compile(r"(.+)\.parametrizations\.(\w+)\.\d+\.mask")
# Keys under which masks stand beside a state dict; sparsifiers of torch.ao have them in `state`.
_APART = ("mask", "masks", "mask_dict", "masks_dict", "weight_masks", "pruning_masks", "state")
_BEFORE = ("mask.", "masks.")
_BEFORE_ALL = (*WRAPPERS, *_BEFORE, "state.")
_AFTER = ("_mask", ".mask")
# What a component of a name has to say of masks.
_MASK_WORD = re.compile(
    r"(?:^|_)(?:pruning_|prune_|sparse_|sparsity_|weight_)?mask(?:s|er)?_?$|^mask_(?=.)",
    re.IGNORECASE,
)
_OF_WEIGHTS = (".weight", ".bias", ".running_mean")  # how entries of a state dict end
_PARAMETERS = ("weight", "bias", "mask")
_DEPTH = 8  # of dictionaries in dictionaries
_MOST = 2_000_000  # entries of these, which is as many as a pickle without repetitions builds

Masks = dict[str, NDArray[np.bool_]]


def level_of(found: Any, where: str, *, any_name: bool = False) -> LevelData:
    """Read what a checkpoint holds as one level.

    Parameters
    ----------
    found : object
        What `schemas.tensors.checkpoints.read_checkpoint` returns.
    where : str
        Its file, for messages.
    any_name : bool
        Whether floats that are no mask are weights under any name, not only as in a state dict.

    Raises
    ------
    Refused
        It is a whole pickled module, holds no tensors, or masks of other values than 0 and 1.
    Unreadable
        It is damaged.
    """
    _hold_small(found, where)
    apart = _apart(found, where)
    if apart is not None:  # then whatever is strange beside them is not missed
        found = {key: value for key, value in found.items() if not isinstance(value, Strange)}
    state = home(found, where)
    data = LevelData({}) if state is None else pruned_state(state, where)
    if data.masks:
        return data
    if apart is not None:
        return _joined(data, apart, where)
    if state is not None and (found_beside := _beside(state, where)) is not None:
        return found_beside
    entries = named(dict(_entries(_innermost(found if state is None else state))), where)
    if not entries:
        raise Refused(f"{where}: holds no state dict and no masks")
    if not data.weights:  # perhaps dictionaries in dictionaries
        data = pruned_state(entries, where)
    if data.masks or _of_weights(entries, where):
        return data
    if any_name and _of_weights(entries, where, any_name=True):
        return _weights(entries, where)
    return _alone(entries, where)


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


# Masks among weights.


def pruned_state(state: Mapping[str, Any], where: str) -> LevelData:
    """Read a state dict: its masks, and the weights beside them.

    Parameters of other names (`in_proj_weight_orig`) count under their whole name. Every weight of
    two or more dimensions counts as a layer; a mask is never inferred from zeros.
    """
    plain = unwrapped(state)
    by_name = {plain[key]: value for key, value in state.items()}
    shapes: dict[str, tuple[int, ...]] = {}
    masks: Masks = {}
    weights: dict[str, NDArray[Any]] = {}
    example = ""
    for key, value in by_name.items():
        parameter = _masked(key, value, by_name)
        if parameter is not None:
            layer = _layer(parameter)
            masks[layer] = as_mask(value, f"{where}, {layer}")
            example = example or key
        elif (match := _WEIGHT.fullmatch(key)) is not None and _dimensions(value) >= 2:
            weights[match[1]] = to_array(value, f"{where}, {match[1]}")
            shapes[match[1]] = weights[match[1]].shape
        elif _NAMED_WEIGHT.fullmatch(key) and _dimensions(value) >= 2:
            weights[key] = to_array(value, f"{where}, {key}")
            shapes[key] = weights[key].shape
        elif key.endswith("_orig") and f"{key[:-5]}_mask" in by_name:
            weights[key[:-5]] = to_array(value, f"{where}, {key}")
    return held(LevelData(shapes, masks, weights=weights, masks_from=_such_as(example)), where)


def layer_weights(state: Mapping[str, Any], where: str) -> dict[str, NDArray[Any]]:
    """Return the weights of a state dict by layer, masked or not."""
    return dict(pruned_state(state, where).weights)


def _masked(key: str, value: Any, entries: Mapping[str, Any]) -> str | None:
    """Return the parameter that an entry is the mask of; None where it is something else."""
    if (match := _PARAMETRIZED.fullmatch(key)) is not None:
        return f"{match[1]}.{match[2]}"
    base = key.removesuffix("_mask")
    if base != key and (base.endswith(".weight") or f"{base}_orig" in entries):
        return base
    # Buffers called `mask` are those of attention, too: one of weights has their shape.
    shape = getattr(value, "shape", None)
    return next(
        (name for base in _bases(key) for name in (base, f"{base}.weight")
         if getattr(entries.get(name), "shape", None) == shape is not None),
        None,
    )  # fmt: skip


def _bases(key: str) -> Iterator[str]:
    """Yield what is left of a name without what says that it is a mask."""
    yield from (key.removesuffix(ending) for ending in _AFTER if key.endswith(ending))
    yield from (key.removeprefix(before) for before in _BEFORE if key.startswith(before))


def _layer(parameter: str) -> str:
    return parameter.removesuffix(".weight")


def _dimensions(value: Any) -> int:
    return len(getattr(value, "shape", ()))


def held(data: LevelData, where: str) -> LevelData:
    """Hold masks to the shapes of their weights, and bring them into their order.

    Masks without weights come last and give their own shapes.
    """
    shapes = dict(data.shapes)
    for name, mask in data.masks.items():
        if shapes.setdefault(name, mask.shape) != mask.shape:
            raise Refused(
                f"{where}, {name}: a mask of shape {mask.shape} for weights of {shapes[name]}"
            )
    masks = {name: data.masks[name] for name in shapes if name in data.masks}
    return dataclasses.replace(data, shapes=shapes, masks=masks)


def _such_as(example: str) -> str:
    return f"entries such as {example}" if example else ""


# Masks apart from weights, and masks alone.


def _apart(found: Any, where: str) -> Mapping[str, Any] | None:
    """Return the masks under a key of their own, there or one dictionary deeper."""
    top = found if isinstance(found, Mapping) else {}
    for part in (top, *(v for k, v in top.items() if k not in HOMES and isinstance(v, Mapping))):
        for key in _APART:
            entries = dict(_entries(part.get(key)))
            if key == "state":  # an optimizer has one, too
                entries = {n: value for n, value in entries.items() if n.endswith(".mask")}
            if entries:
                return named(entries, f"{where}, {key}")
        for key in part:
            entries = dict(_entries(part[key])) if _may_hold_masks(key, part[key]) else {}
            if entries and all(_says_mask(f"mask.{n}", v, where) for n, v in entries.items()):
                return named(entries, f"{where}, {key}")
    return None


def _may_hold_masks(key: Any, value: Any) -> bool:
    return isinstance(key, str) and "mask" in key.lower() and not _is_array(value)


def _joined(data: LevelData, entries: Mapping[str, Any], where: str) -> LevelData:
    """Put masks beside the weights that they are of, by name, or in order where they have none.

    Raises
    ------
    Refused
        A mask holds other values than 0 and 1, or has another shape than its weights.
    """
    alone = _alone(entries, where)
    masks = alone.masks
    whole = masks.keys() <= data.shapes.keys()
    tails = {name: name for name in masks} if whole else _tails(masks)
    layers = tails if whole else beneath(data.shapes, tails)
    if len(layers) == len(masks):
        masks = {layer: masks[tails[tail]] for tail, layer in layers.items()}
    elif list(alone.shapes.values()) == list(data.shapes.values()):
        masks = dict(zip(data.shapes, masks.values(), strict=True))
    return held(dataclasses.replace(data, masks=masks, masks_from=alone.masks_from), where)


def _beside(state: Mapping[str, Any], where: str) -> LevelData | None:
    """Read masks that stand in a state dict under other names than their weights.

    What a name says is a mask, holds zeros and ones alone and has the name and the shape of a
    weight behind some prefix, is one. Buffers that are none of weights are left alone.
    """
    bare = {_bare(key): key for key, value in state.items() if _says_mask(key, value, where)}
    rest = {key: value for key, value in state.items() if key not in bare.values()}
    if not bare or not rest:
        return None
    data = pruned_state(rest, where)
    tails = {name: name for name in bare}
    places = beneath(data.shapes, tails)
    if not places and len(bare) > 1:  # they have a prefix, too
        tails = _tails(bare)
        places = beneath(data.shapes, tails)
    keys = {layer: bare[tails[tail]] for tail, layer in places.items()}
    masks = {
        layer: as_mask(state[key], f"{where}, {key}")
        for layer, key in keys.items()
        if data.shapes[layer] == state[key].shape
    }
    if not masks:
        return None
    example = _such_as(next(iter(bare.values())))
    return held(dataclasses.replace(data, masks=masks, masks_from=example), where)


def _says_mask(key: str, value: Any, where: str) -> bool:
    """Tell whether an entry is called a mask and holds zeros and ones alone."""
    called = "mask" in key.lower() and is_tensor(value) and _dimensions(value)
    return bool(called) and is_zero_one(to_array(value, f"{where}, {key}"))


def _bare(key: str) -> str:
    """Return the layer that an entry called a mask is of, if its name is that of the layer.

    Examples
    --------
    >>> _bare("masks.conv1.weight"), _bare("fc.weight_pruning_mask"), _bare("mask_fc___weight")
    ('conv1', 'fc', 'fc')
    >>> _bare("conv1.masker.mask"), _bare("layer1_mask")
    ('conv1', 'layer1')
    """
    parts = [_MASK_WORD.sub("", part) for part in key.replace("___", ".").split(".")]
    return _layer(".".join(part for part in parts if part))


def _tails(names: Iterable[str]) -> dict[str, str]:
    """Map names without the components that all of them begin with to the names."""
    parts = {name: name.split(".") for name in names}
    first, last = min(parts.values()), max(parts.values())
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(first[:-1], last[:-1], strict=False))
    cut = len(list(shared))
    return {".".join(text[cut:]): name for name, text in parts.items()}


def _of_weights(entries: Mapping[str, Any], where: str, *, any_name: bool = False) -> bool:
    """Tell whether entries are those of a network: floats that are no mask, under its names."""
    arrays = (
        to_array(value, f"{where}, {key}")
        for key, value in entries.items()
        if is_tensor(value) and (any_name or key.endswith(_OF_WEIGHTS))
    )
    kinds = "fi" if any_name else "f"  # quantized weights are whole numbers
    return any(a.dtype.kind in kinds and not is_zero_one(a) for a in arrays)


def _weights(entries: Mapping[str, Any], where: str) -> LevelData:
    """Read entries that are weights, under whatever names; those of one axis are no layers."""
    plain = unwrapped(entries)
    arrays = {
        _layer(plain[key]): to_array(value, f"{where}, {key}")
        for key, value in entries.items()
        if is_tensor(value) and _dimensions(value) >= 2
    }
    return LevelData({name: array.shape for name, array in arrays.items()}, weights=arrays)


def _alone(entries: Mapping[str, Any], where: str) -> LevelData:
    """Read entries that are masks, all of them."""
    plain = unwrapped(entries, wrappers=_BEFORE_ALL)
    masks: Masks = {}
    flat_too = all(_dimensions(value) < 2 for value in entries.values())  # masks laid out in rows
    for key, value in entries.items():
        name = plain[key]
        module, _, parameter = key.rpartition(".")
        if parameter not in _PARAMETERS and f"{module}.weight" in entries:
            continue  # NNI has masks of inputs and outputs, too
        if not flat_too and _is_record(value, where):
            continue
        for ending in (*_AFTER, ".weight"):
            name = name.removesuffix(ending) or name
        if name in masks:
            raise Refused(f"{where}: two masks of layer {name}")
        try:
            masks[name] = as_mask(value, f"{where}, {key}")
        except Refused as error:
            zeros = is_tensor(value) and share_of_zeros([to_array(value, where)])
            raise Refused(f"{error}; {HINT}" if zeros else str(error)) from None
    shapes = {name: mask.shape for name, mask in masks.items()}
    return LevelData(shapes, masks, masks_from=f"masks alone, {_such_as(next(iter(entries)))}")


def _is_record(value: Any, where: str) -> bool:
    """Tell whether an entry beside masks is a row of measured numbers, such as losses."""
    array = to_array(value, where) if is_tensor(value) else np.zeros(())
    return array.ndim == 1 and array.dtype.kind == "f" and not is_zero_one(array)


def _hold_small(found: Any, where: str) -> None:
    """Refuse what is small in a file and without end to whoever goes through it.

    A pickle may name one list in another again and again, and so on at every depth.
    """
    sizes: dict[tuple[int, int], int] = {}

    def size(value: Any, depth: int) -> int:
        """Count the entries down to a depth, each as often as it is met."""
        if not depth or not isinstance(value, Mapping | list | tuple):
            return 1
        key = (id(value), depth)
        if key not in sizes:
            sizes[key] = 1 + sum(size(inner, depth - 1) for _, inner in _items(value))
            if max(sizes[key], len(sizes)) > _MOST:
                raise Refused(f"{where}: lists in lists that repeat more than {_MOST:,} entries")
        return sizes[key]

    size(found, 2 * _DEPTH)  # as far as `_innermost` and `_entries` go


def _innermost(found: Any) -> Any:
    """Return the dictionary or list in a checkpoint that all of its tensors are in."""
    for _ in range(_DEPTH):
        parts = found.values() if isinstance(found, Mapping) else ()
        inner = [value for value in parts if next(_entries(value), None) is not None]
        if len(inner) != 1 or _is_array(inner[0]) or "weight" in inner[0]:  # of one layer
            break
        found = inner[0]
    return found


def _entries(found: Any, before: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, Any]]:
    """Yield the tensors in dictionaries and lists, under names with dots; lists are numbered.

    Nothing else counts, nor do single numbers.

    Raises
    ------
    Refused
        A tensor has a name that is no text.
    """
    if _is_array(found):
        yield before or "0", found
    elif depth:
        for key, value in _items(found):
            if isinstance(key, str):
                yield from _entries(value, f"{before}.{key}" if before else key, depth - 1)
            elif _is_array(value):
                raise Refused(f"a tensor under {key!r:.20}, where a name is due")


def _is_array(value: Any) -> bool:
    array = isinstance(value, InFile | np.ndarray | StrangeTensor)
    return array and getattr(value, "shape", None) != ()


def _items(found: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(found, Mapping):
        return found.items()
    if not isinstance(found, Sequence) or isinstance(found, str | bytes | bytearray):
        return ()
    if found and all(isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], str) for x in found):
        return found
    return [(str(i), value) for i, value in enumerate(found)]
