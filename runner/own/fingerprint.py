"""What tells two networks of one source apart: a source may read files, settings, versions."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ...schemas.blocks import Layer
from ...schemas.errors import RgtoolError
from ...schemas.records.description import Description
from ..networks import InputShape

PLACE = "network"  # its name among the files of a description
_DIGITS = 5
_NEAR = 1e-3  # of the largest output: machines round otherwise


def fingerprint(module: nn.Module, input_shape: InputShape) -> str:
    """Describe a network that was just built, its random numbers from a fixed seed.

    Returns
    -------
    str
        JSON: shapes of parameters and buffers, types of the parts, the text of the whole, and the
        logits in `eval()` of two fixed images.
    """
    named = (*module.named_parameters(), *module.named_buffers())
    return json.dumps(
        {
            "shapes": {name: "x".join(map(str, tensor.shape)) for name, tensor in named},
            "parts": {name: type(part).__name__ for name, part in module.named_modules() if name},
            "text": text_of(module),
            "output": [_rounded(number) for number in _output(module, input_shape)],
        },
        ensure_ascii=False,
    )


def text_of(module: nn.Module) -> str:
    """Return a network's text, without the places in memory that some parts name."""
    return re.sub(r"\b0x[0-9a-f]+", "0x", repr(module))


def file_of(told: str) -> tuple[dict[str, str], ...]:
    """Return a fingerprint as a description has it among its files; none, if it is empty."""
    digest = hashlib.sha256(told.encode()).hexdigest()
    return ({"path": PLACE, "sha256": digest, "text": told},) if told else ()


def difference(before: str, now: str, *, same_torch: bool = True) -> str:
    """Say in what two networks differ; empty: they are one.

    The text and the numbers that are drawn are those of a version of PyTorch.
    """
    one, other = json.loads(before), json.loads(now)
    for what in ("shapes", "parts"):
        names = {*one[what], *other[what]}
        for name in sorted(names, key=lambda name: [*one[what], *other[what]].index(name)):
            then, there = one[what].get(name, "absent"), other[what].get(name, "absent")
            if then != there:
                return f"{name} was {then or 'a number'}, is {there or 'a number'}"
    if same_torch and one["text"] != other["text"]:
        lines = itertools.zip_longest(
            one["text"].splitlines(), other["text"].splitlines(), fillvalue=""
        )
        then, there = next(pair for pair in lines if pair[0] != pair[1])
        return f"{then.strip()} is {there.strip()} now"
    if same_torch and not _near(one["output"], other["output"]):
        return "the same weights and images give other outputs"
    return ""


def hold_network(run: str, description: Description | None, now: str, torch_now: str) -> None:
    """Hold the network of a run that goes on to what it was.

    Raises
    ------
    RgtoolError
        It is another.
    """
    files = description.files if description is not None else ()
    before = next((file["text"] for file in files if file["path"] == PLACE), None)
    if description is None or before is None or not now:
        return
    found = difference(before, now, same_torch=description.versions.get("torch") == torch_now)
    if found:
        raise RgtoolError(
            f"{run} was made with another network of the same source ({found}): it reads something "
            "that its hash does not see, such as a file; put that back, or write it into the source"
        )


def hold_layers(run: str, before: Mapping[str, Sequence[int]], layers: Sequence[Layer]) -> None:
    """Hold layers to those of a record.

    Raises
    ------
    RgtoolError
        They are others.
    """
    then = {name: "x".join(map(str, shape)) for name, shape in before.items()}
    now = {layer.name: "x".join(map(str, layer.shape)) for layer in layers}
    for name in (*then, *now):
        if then.get(name) != now.get(name):
            raise RgtoolError(
                f"{run} was made with another network: {name} was {then.get(name, 'absent')}, is "
                f"{now.get(name, 'absent')}; put its source back, or use another store"
            )


def _rounded(number: float) -> float | str:
    return float(f"{number:.{_DIGITS}g}") if np.isfinite(number) else str(number)


def _near(one: list[Any], other: list[Any]) -> bool:
    before, now = np.array(one, dtype=np.float64), np.array(other, dtype=np.float64)
    if before.shape != now.shape:
        return False
    largest = np.abs(before[np.isfinite(before)]).max(initial=0.0)
    return bool(np.allclose(now, before, rtol=0, atol=_NEAR * largest, equal_nan=True))


def _output(module: nn.Module, input_shape: InputShape) -> list[float]:
    pixels = torch.arange(2 * int(np.prod(input_shape)), dtype=torch.float64) * 0.37 % 4 - 2
    channels, height, width = input_shape
    images = pixels.float().reshape(2, height, width, channels).permute(0, 3, 1, 2)
    with torch.no_grad():
        output: list[float] = module.eval()(images).double().flatten().tolist()
    return output
