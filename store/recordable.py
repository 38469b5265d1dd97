"""What a loop of one's own may tell of itself, held to what there is to tell."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..schemas.errors import UsageError, choose
from ..schemas.records import epochs
from ..schemas.records.record import columns

# What follows from the masks, or from runs that are in the store.
_NOT_TOLD = ("prunable", "parent", "transform")
_COUNTED = ("network_total", "network_kept", "network_kept_prev", "diverged")
_OF_A_LEVEL = [name for name in columns("level") if name not in _COUNTED]
_OF_AN_EPOCH = [c.name for c in epochs.COLUMNS if c.type == "float64"]


def versions() -> dict[str, str]:
    """Return the versions of what computes, as far as it is loaded."""
    modules = ("rgtool", "torch", "numpy", "lightning", "accelerate", "timm")
    found = {name: getattr(sys.modules.get(name), "__version__", None) for name in modules}
    told = {name: str(version) for name, version in found.items() if version is not None}
    return {"python": platform.python_version(), **told}


def held_fields(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Hold fields of the recipe to those that a loop can tell."""
    for name in _NOT_TOLD:
        if name in told:
            raise UsageError(f"{name} is not told: masks, or runs in the store, say what it is")
    return {name: list(v) if isinstance(v, tuple) else v for name, v in told.items()}


def held_seed(seed: Any) -> int:
    """Hold a seed to whole numbers from 0 on."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise UsageError(f"seed is {seed!r}: a whole number from 0 on is needed")
    return seed


def held_numbers(numbers: Mapping[str, Any]) -> dict[str, float]:
    """Hold the numbers of a level to the columns of the record, and to their ranges."""
    held = _held("number of a level", numbers, _OF_A_LEVEL)
    diverged = not math.isfinite(held.get("loss", 0.0))
    for name, number in held.items():
        if number < 0 or not (diverged or math.isfinite(number)):
            raise UsageError(
                f"{name} is {number}: a number from 0 on is due; of a training that has diverged "
                "the loss is inf or nan"
            )
    return held


def held_epoch(numbers: Mapping[str, Any]) -> dict[str, float]:
    """Hold the numbers of an epoch to its columns; a loss that is not finite is none."""
    held = _held("number of an epoch", numbers, _OF_AN_EPOCH)
    held = {name: number for name, number in held.items() if math.isfinite(number)}
    for name, number in held.items():
        if number < 0:
            raise UsageError(f"{name} is {number}: a number from 0 on is due")
    return held


def _held(what: str, numbers: Mapping[str, Any], known: Sequence[str]) -> dict[str, float]:
    held = {}
    for name, value in numbers.items():
        name = choose(what, name, known)
        if value is None:
            continue
        held[name] = _number(name, value)
        if name.endswith("accuracy") and not 0 <= held[name] <= 1:
            raise UsageError(f"{name} is {held[name]}: a fraction is due, such as 0.913")
    return held


def _number(name: str, value: Any) -> float:
    """Return a number of Python, or the one of a tensor or array; texts and booleans are none."""
    try:
        if isinstance(value, str | bytes) or "bool" in str(getattr(value, "dtype", type(value))):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"{name} is a {type(value).__name__}: a number is due") from None
