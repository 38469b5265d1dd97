"""Masks that can be read and are none: values, types, names and levels that contradict."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hostile_case import EVERY_LEVEL, Case, Fires, any_of, counted, crashed, miscounted, reading
from hostile_layouts import LAYOUTS, TORCH_LAYOUTS, Alter, Layout, Masks, genuine, kept
from hostile_victim import Outcome, ask

NETWORKS = {"bert": ("bert.pooler.dense", "bert.encoder.layer.0.output.dense")}


def names(layout: Layout) -> tuple[str, str]:
    """Two layers of the layout's network to do something to."""
    return NETWORKS.get(layout.network, ("layer2.0.conv2", "layer3.0.conv1"))


def altered(layout: Layout, level: int | None, change: Callable[[Masks, Layout], Any]) -> Alter:
    """Change the masks of one level, or of all."""

    def alter(n: int, masks: Masks) -> Any:
        return change(dict(masks), layout) if level in (None, n) else masks

    return alter


def refused(
    id_: str, mechanism: str, layout: Layout, level: int | None,
    change: Callable[[Masks, Layout], Any], harm: Callable[[Outcome], bool], loader: str = "",
) -> Case:  # fmt: skip
    """Return a case that contradicts itself, so that no level of it can be believed."""
    alter = altered(layout, level, change)
    loader = loader or {"rahul": "pickled", "safetensors": "safetensors_file"}.get(
        layout.name, "torch_file"
    )
    place = layout.place(layout.levels[-1] if level is None else level)
    where = "all" if level is None else level
    return Case(
        f"{id_}-{where}-{layout.name}", mechanism, layout.name,
        lambda folder, marker: _quietly(layout, folder, alter), reading(loader, place, harm),
        Path(place).name,
    )  # fmt: skip


def _quietly(layout: Layout, folder: Path, alter: Alter) -> None:
    with warnings.catch_warnings():
        # torch deprecates some of the oddest tensors, which are in the wild all the same.
        warnings.simplefilter("ignore")
        layout.write(folder, alter)


def _with_value(value: float, dtype: torch.dtype) -> Callable[[Masks, Layout], Masks]:
    def change(masks: Masks, layout: Layout) -> Masks:
        name = names(layout)[0]
        mask = masks[name].to(dtype)
        mask.view(-1)[3] = value
        return {**masks, name: mask}

    return change


VALUES: dict[str, tuple[float, torch.dtype]] = {
    "nan": (float("nan"), torch.float32),
    "inf": (float("inf"), torch.float32),
    "minus-inf": (float("-inf"), torch.float64),
    "two": (2, torch.int32),
    "minus-one": (-1, torch.int32),
    "half": (0.5, torch.float32),
    "tiny": (1e-30, torch.float32),
    "nearly-one": (1 - 2**-24, torch.float32),
    "255": (255, torch.uint8),
    "int64-minimum": (-(2**63), torch.int64),
    "half-precision-max": (65504, torch.float16),
}


def _value_cases() -> Iterator[Case]:
    turns = ("openlth", "bert", "generic", "rahul", "cv_lth", "safetensors", "moco", "simclr")
    for turn, (id_, (value, dtype)) in enumerate(VALUES.items()):
        for step in (0, 3):
            layout = LAYOUTS[turns[(turn + step) % 8]]
            if layout.name == "safetensors" and dtype in (torch.int64, torch.float16):
                layout = LAYOUTS["openlth"]
            level = layout.levels[-1 - (turn + step) % 2]
            yield refused(f"value-{id_}", "mask with values besides 0 and 1", layout, level,
                          _rahul_arrays(_with_value(value, dtype)), miscounted)  # fmt: skip


def _rahul_arrays(change: Callable[[Masks, Layout], Masks]) -> Callable[[Masks, Layout], Masks]:
    """The pickles of that layout hold numpy arrays, not tensors."""

    def changed(masks: Masks, layout: Layout) -> Masks:
        after = change(masks, layout)
        if layout.name != "rahul":
            return after
        return {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in after.items()}

    return changed


def _replaced(make: Callable[[torch.Tensor], Any]) -> Callable[[Masks, Layout], Masks]:
    def change(masks: Masks, layout: Layout) -> Masks:
        name = names(layout)[0]
        return {**masks, name: make(masks[name])}

    return change


def _quantized(mask: torch.Tensor) -> torch.Tensor:
    with_scale = torch.quantize_per_tensor(mask.float(), 0.3, 0, torch.quint8)
    assert isinstance(with_scale, torch.Tensor)
    return with_scale


def _sparse_outside(mask: torch.Tensor) -> torch.Tensor:
    """Sparse, with an entry that lies far outside of its own shape."""
    index = torch.tensor([[0, 10**9]] * mask.ndim)
    return torch.sparse_coo_tensor(index, torch.ones(2), mask.shape, check_invariants=False)


def _sparse_doubled(mask: torch.Tensor) -> torch.Tensor:
    """Sparse, with one place twice, so that its value is 2."""
    index = torch.zeros(mask.ndim, 2, dtype=torch.int64)
    return torch.sparse_coo_tensor(index, torch.ones(2), mask.shape)


OTHERS: dict[str, tuple[str, Callable[[torch.Tensor], Any]]] = {
    "complex": ("complex mask", lambda m: torch.complex(m.float(), torch.ones(m.shape))),
    "meta": ("mask without data", lambda m: m.to("meta")),
    "quantized": ("quantized mask", _quantized),
    "sparse-outside": ("sparse mask", _sparse_outside),
    "sparse-doubled": ("sparse mask", _sparse_doubled),
    "text": ("mask that is no tensor", lambda m: "1" * m.numel()),
    "bytes": ("mask that is no tensor", lambda m: b"\1" * m.numel()),
    "list": ("mask that is no tensor", lambda m: [[2.0] * 4] * 4),
    "none": ("mask that is no tensor", lambda m: None),
    "number": ("mask that is no tensor", lambda m: 2.5),
    "dictionary": ("mask that is no tensor", lambda m: {"mask": m}),
    "scalar": ("mask of another shape", lambda m: torch.tensor(1)),
    "empty": ("mask of another shape", lambda m: torch.ones(0)),
    "many-axes": ("mask of another shape", lambda m: torch.ones((1,) * 60)),
}


def _type_cases() -> Iterator[Case]:
    turns = ("openlth", "generic", "cv_lth", "bert")
    for turn, (id_, (mechanism, make)) in enumerate(OTHERS.items()):
        for step in range(2):
            layout = LAYOUTS[turns[(turn + step) % 4]]
            level = 1 + (turn + step) % 3
            harm = any_of(miscounted, counted(kept(level, layout.network)))
            yield refused(f"type-{id_}", mechanism, layout, level, _replaced(make), harm)
    for layout in (LAYOUTS["openlth"], LAYOUTS["generic"]):
        nested = _replaced(lambda m: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]))
        yield refused("type-ragged", "nested tensor", layout, 1, nested, crashed)
    objects = _replaced(lambda m: np.array([None, "1"], dtype=object))
    yield refused("type-objects", "numpy array of objects", LAYOUTS["rahul"], 1, objects, crashed)


def _regrown(masks: Masks, layout: Layout) -> Masks:
    """Every third weight of one layer is back, so its level keeps what the one before cut."""
    name = names(layout)[0]
    mask = masks[name].clone()
    mask.view(-1)[::3] = 1
    return {**masks, name: mask}


def _transposed(masks: Masks, layout: Layout) -> Masks:
    name = names(layout)[1]
    return {**masks, name: masks[name].transpose(0, 1).contiguous()}


def _grown(masks: Masks, layout: Layout) -> Masks:
    """A layer with an output more than the level before had."""
    name = names(layout)[0]
    return {**masks, name: torch.cat([masks[name], masks[name][:1]])}


def _lacking(masks: Masks, layout: Layout) -> Masks:
    masks.pop(names(layout)[0])
    return masks


def _exchanged(masks: Masks, layout: Layout) -> Masks:
    """Another layer's name for one of them."""
    masks["another.layer"] = masks.pop(names(layout)[0])
    return masks


def _doubled(masks: Masks, layout: Layout) -> Masks:
    """One layer under two spellings, that say different things."""
    name = names(layout)[0]
    return {**masks, f"module.{name}": 1 - masks[name]}


def _none(masks: Masks, layout: Layout) -> Masks:
    return {}


CONTRADICTIONS = {
    "regrown": ("weights that grow again", _regrown),
    "transposed": ("shapes that change between levels", _transposed),
    "grown": ("shapes that change between levels", _grown),
    "lacking": ("layers that change between levels", _lacking),
    "exchanged": ("layers that change between levels", _exchanged),
    "doubled": ("one layer under two names", _doubled),
    "none": ("file without any mask", _none),
}


def _contradicts(outcome: Outcome) -> bool:
    """To compare a level with the one before fails, or finds weights and layers that came back."""
    return outcome.crashed or bool(outcome.result["regrown"] or outcome.result["new"])


def _contradiction_cases() -> Iterator[Case]:
    turns = ("openlth", "cv_lth", "generic", "safetensors", "bert", "moco")
    for turn, (id_, (mechanism, change)) in enumerate(CONTRADICTIONS.items()):
        for step in range(4):
            layout, level = LAYOUTS[turns[(turn + step) % 6]], 2 + step % 2
            made = refused(id_, mechanism, layout, level, change, crashed)
            places = layout.place(level - 1), layout.place(level)
            yield dataclasses.replace(made, fires=_comparing(places))


def _comparing(places: tuple[str, str]) -> Fires:
    return lambda folder, marker: _contradicts(
        ask("two_levels", *(folder / place for place in places))
    )


HOSTILE_NAMES: dict[str, tuple[str, Any]] = {
    "parent": ("layer name that is a path", "../../../../escaped"),
    "absolute": ("layer name that is a path", "/nowhere/escaped"),
    "slash": ("layer name that is a path", "layer2/conv2"),
    "nul": ("control characters in a layer name", "layer2\0conv2"),
    "newline": ("control characters in a layer name", "layer2\nconv2"),
    "escape": ("control characters in a layer name", "\x1b]0;owned\x07\x1b[2Jlayer2"),
    "right-to-left": ("control characters in a layer name", "layer2\u202e2vnoc"),
    "c1": ("control characters in a layer name", "layer2\x9b31m"),
    "surrogate": ("layer name that is no UTF-8", "layer2\ud800"),
    "megabyte": ("layer name of a megabyte", "layer2." * 150_000),
    "empty": ("layer name that is empty", ""),
    "number": ("layer name that is no text", 7),
    "tuple": ("layer name that is no text", ("layer2", "conv2")),
    "nothing": ("layer name that is no text", None),
    "sql": ("layer name with SQL in it", "x'); DROP TABLE layers; --"),
}


def _lost(layout: Layout) -> Callable[[Outcome], bool]:
    """As a file name it fails or leads away, printed it steers the terminal, or it is lost."""

    def harm(outcome: Outcome) -> bool:
        result, layers = outcome.result, len(genuine(1, layout.network))
        return outcome.crashed or result["raw"] or result["outside"] or result["layers"] != layers

    return harm


def _name_cases() -> Iterator[Case]:
    turns = list(TORCH_LAYOUTS.values())
    for turn, (id_, (mechanism, name)) in enumerate(HOSTILE_NAMES.items()):
        for step in (0, 3):
            layout = turns[(turn + step) % 6]
            made = refused(f"name-{id_}", mechanism, layout, None, _rename_to(name), _lost(layout),
                           "export")  # fmt: skip
            # A name is text: who neither opens, prints nor executes it may well keep it.
            odd = isinstance(name, str) and name.isprintable() and 0 < len(name) < 99
            sound = EVERY_LEVEL if odd else frozenset()
            yield dataclasses.replace(made, may_import=odd, sound_levels=sound)


def _rename_to(name: Any) -> Callable[[Masks, Layout], Any]:
    """One layer gets the name at every level, so no level contradicts another."""

    def change(masks: Any, layout: Layout) -> Any:
        masks[name] = masks.pop(names(layout)[0])
        return masks

    return change


def value_cases() -> list[Case]:
    return [*_value_cases(), *_type_cases(), *_contradiction_cases(), *_name_cases()]
