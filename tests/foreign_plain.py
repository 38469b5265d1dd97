"""Writes folders of state dicts and of safetensors, and tables, as anybody might have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import foreign_networks as networks
import torch
from foreign_layout import Layout, Tally, save
from foreign_vita import MODELS, Named, masks_of, prune_global, step
from torch import Tensor, nn

# Folders of state dicts by anybody.


def write_generic(
    folder: Path,
    model: str = "resnet8",
    *,
    levels: int = 3,
    seed: int = 1,
    wrap: str | None = None,
    prefix: str = "",
    pattern: str = "level_{:02d}.pt",
    linear: bool = True,
    mask_dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Layout:
    """Write a state dict a level; `wrap` is the key that holds it, if it stands in a dict.

    The network is pruned and trained on without going back, as most users do. Level 0 has no
    masks. `linear` prunes the fully connected layers too.
    """
    network = networks.seeded(MODELS[model], seed)
    generator = torch.Generator().manual_seed(seed)
    layers = generic_layers(network, linear=linear)
    tally = Tally(folder, "torch_prune", model)
    for level in range(levels + 1):
        step(network, generator)
        state = {prefix + name: tensor for name, tensor in network.state_dict().items()}
        for name in [n for n in state if n.endswith("_mask")]:
            state[name] = state[name].to(mask_dtype)
        content = {wrap: state, "epoch": 90} if wrap else state
        path = save(content, folder / pattern.format(level), device=device)
        tally.level(masks_of(layers), None, path)
        if level < levels:
            prune_global(layers, 0.2)
    return tally.layout()


def generic_layers(network: nn.Module, *, linear: bool) -> Named:
    """Return the convolutions and, if asked, the fully connected layers."""
    kinds = (nn.Conv2d, nn.Linear) if linear else (nn.Conv2d,)
    return [(n, module) for n, module in network.named_modules() if isinstance(module, kinds)]


def generic_masks(
    model: str, levels: int, seed: int, *, linear: bool = True
) -> Iterator[dict[str, Tensor]]:
    """Yield masks of levels 0 to `levels` by the names of the weights."""
    network = networks.seeded(MODELS[model], seed)
    generator = torch.Generator().manual_seed(seed)
    layers = generic_layers(network, linear=linear)
    for _ in range(levels + 1):
        yield masks_of(layers)
        step(network, generator)
        prune_global(layers, 0.2)
