"""What happens to weights and masks between the levels of an OpenLTH run."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import torch
from foreign_layout import State


def openlth_prune(
    weights: State, masks: State, fraction: float, ignored: Collection[str] = ()
) -> State:
    """Remove ceil(fraction n) + 1 weights of n by magnitude, as OpenLTH does.

    The number is taken over all layers, the threshold over those that may be pruned; a weight at
    the threshold goes. The weights must be distinct there for exact counts, see `untie`.
    """
    remove = math.ceil(fraction * sum(int(mask.sum()) for mask in masks.values()))
    threshold = _threshold(weights, masks, remove, ignored)
    return {
        name: mask if name in ignored else mask * (weights[name].abs() > threshold).to(mask.dtype)
        for name, mask in masks.items()
    }


def untie(weights: State, masks: State, fraction: float, ignored: Collection[str] = ()) -> None:
    """Move weights that tie with the threshold up by one unit in the last place, but for one.

    Among millions of random float32 numbers ties are common; each would remove one weight more.
    """
    remove = math.ceil(fraction * sum(int(mask.sum()) for mask in masks.values()))
    threshold = _threshold(weights, masks, remove, ignored)
    names = [name for name in masks if name not in ignored]
    below = sum(int(((weights[n].abs() < threshold) & (masks[n] != 0)).sum()) for n in names)
    stay = remove + 1 - below
    for name in names:
        tied = ((weights[name].abs() == threshold) & (masks[name] != 0)).nonzero()
        for place in tied[stay:]:
            at = tuple(place.tolist())
            value = weights[name][at]
            weights[name][at] = torch.nextafter(value, 2 * value)
        stay = max(0, stay - len(tied))


def _threshold(weights: State, masks: State, remove: int, ignored: Collection[str]) -> float:
    kept = [
        weights[name].abs()[mask != 0].numpy()
        for name, mask in masks.items()
        if name not in ignored
    ]
    return float(np.partition(np.concatenate(kept), remove)[remove])


def prunable(network: torch.nn.Module) -> list[str]:
    """Return the names of the weights that OpenLTH prunes: of all Conv2d and Linear layers."""
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    return [f"{n}.weight" for n, module in network.named_modules() if isinstance(module, kinds)]


def trained(start: State, masks: State, generator: torch.Generator) -> State:
    """Move all weights at random by a third of their spread, and mask them."""
    end: State = {}
    for name, tensor in start.items():
        end[name] = tensor.clone()
        if tensor.is_floating_point():
            spread = 0.3 * float(tensor.std(correction=0)) + 1e-3
            end[name] += spread * torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            end[name].abs_()
        if name in masks:
            end[name] *= masks[name]
    return end


def deeper(tensors: State) -> State:
    """Carry a network to one with a block more in each stage: the last of a stage twice."""
    numbers = sorted({int(n.split(".")[1]) for n in tensors if n.startswith("blocks.")})
    per_stage = len(numbers) // 3
    target: State = {n: t for n, t in tensors.items() if n.startswith(("conv", "bn"))}
    for number in numbers:
        stage, local = divmod(number, per_stage)
        copies = (local, local + 1) if local == per_stage - 1 else (local,)
        for copy in copies:
            prefix = f"blocks.{stage * (per_stage + 1) + copy}."
            target |= {
                prefix + n.split(".", 2)[2]: t.clone()
                for n, t in tensors.items()
                if n.startswith(f"blocks.{number}.")
            }
    return target | {n: t for n, t in tensors.items() if n.startswith("fc")}
