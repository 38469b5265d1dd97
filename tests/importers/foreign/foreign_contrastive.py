"""Writes the checkpoints of CV_LTH's MoCo and SimCLR runs."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path

import foreign_networks as networks
import torch
from foreign_layout import Layout, Tally, save
from foreign_vita import cloned, masks_of, prune_global, put_masks, step
from torch import nn
from torch.nn.utils import prune


def write_moco(
    folder: Path,
    model: str = "resnet8",
    *,
    levels: int = 2,
    per_level: int = 10,
    every_epoch: bool = True,
    seed: int = 1,
    queue: int = 16,
    optimizer: bool = True,
    device: str = "cpu",
) -> Layout:
    """Write MoCo's checkpoints: epochs from 0, pruned before the first and after each `per_level`.

    The key encoder carries the same masks as the query encoder, whose weights alone count. With
    `every_epoch` false only the last epoch of each level is there.
    """
    network = networks.seeded(lambda: _moco(model, queue), seed)
    encoder, key = network.module.encoder_q, network.module.encoder_k
    layers = [pair for pair in networks.convolutions(encoder) if pair[0] != "conv1"]
    keys = [pair for pair in networks.convolutions(key) if pair[0] != "conv1"]
    generator = torch.Generator().manual_seed(seed)
    init = cloned(encoder.state_dict())
    tally = Tally(folder, "cv_lth_moco", model)
    tally.level(masks_of(layers), None, written=False)
    for level in range(1, levels + 1):
        masks = prune_global(layers, 0.2)
        for part, named in ((encoder, layers), (key, keys)):
            for _, module in named:
                if prune.is_pruned(module):
                    prune.remove(module, "weight")
            part.load_state_dict(init)
            put_masks(named, masks)
        files = []
        for epoch in range((level - 1) * per_level, level * per_level):
            if not every_epoch and (epoch + 1) % per_level:
                continue
            trained = step(network, generator, decay=1e-4)
            content = {"epoch": epoch + 1, "arch": model, "state_dict": network.state_dict()}
            if optimizer:
                content["optimizer"] = trained.state_dict()
            files.append(save(content, folder / f"checkpoint_{epoch:04d}.pth.tar", device=device))
        tally.level(masks_of(layers), None, *files)
    return tally.layout()


def _moco(model: str, queue: int) -> nn.Module:
    inside = nn.Module()
    for name in ("queue", "queue_test"):
        inside.register_buffer(name, nn.functional.normalize(torch.randn(128, queue), dim=0))
        inside.register_buffer(name.replace("queue", "queue_ptr"), torch.zeros(1, dtype=torch.long))
    encoder = _headed(model, lambda width: _moco_head(width))
    inside.add_module("encoder_q", encoder)
    inside.add_module("encoder_k", copy.deepcopy(encoder))
    return networks.tree(module=inside)


def _moco_head(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 128))


def _headed(model: str, head: Callable[[int], nn.Module]) -> nn.Module:
    """Return an ImageNet network with a head of its own."""
    if model == "resnet8":
        network = networks.resnet8()
        network.fc = head(16)
        return network
    builders = {"resnet18": (networks.resnet18, 512), "resnet50": (networks.resnet50, 2048)}
    build, width = builders[model]
    return build(stem=7, head=head(width))


def write_simclr(
    folder: Path,
    model: str = "resnet8",
    *,
    levels: int = 2,
    per_level: int = 10,
    every_epoch: bool = True,
    seed: int = 1,
    optimizer: bool = True,
    device: str = "cpu",
) -> Layout:
    """Write SimCLR's models: epochs from 1, pruned before the first and after each `per_level`.

    `model_pruned{e}.pt` is the same as `model_{e}.pt`: it is saved before the pruning.
    """

    def head(width: int) -> nn.Module:
        return networks.tree(fc1=nn.Linear(width, width), fc2=nn.Linear(width, 128))

    network = networks.seeded(lambda: networks.tree(module=_headed(model, head)), seed)
    inside = network.module
    layers = [pair for pair in networks.convolutions(inside) if pair[0] != "conv1"]
    generator = torch.Generator().manual_seed(seed)
    init = cloned(inside.state_dict())
    tally = Tally(folder, "cv_lth_simclr", model)
    tally.level(masks_of(layers), None, written=False)
    for level in range(1, levels + 1):
        prune_global(layers, 0.2)  # pruning is never removed here, only the weights go back
        state = inside.state_dict()
        state |= {n if n in state else f"{n}_orig": tensor for n, tensor in init.items()}
        inside.load_state_dict(state)
        files = []
        for epoch in range((level - 1) * per_level + 1, level * per_level + 1):
            if not every_epoch and epoch % per_level:
                continue
            trained = step(network, generator, decay=1e-6)
            content = {"epoch": epoch, "state_dict": network.state_dict()}
            if optimizer:
                content["optim"] = trained.state_dict()
            files.append(save(content, folder / f"model_{epoch}.pt", device=device))
        shutil.copyfile(files[-1], folder / f"model_pruned{level * per_level}.pt")
        tally.level(masks_of(layers), None, *files)
    return tally.layout()
