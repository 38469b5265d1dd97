"""Recipes of published studies: the fields that each of them fixes.

A recipe is a function from an architecture to fields of `Recipe`; its docstring is the paper's
table. The runner picks those that it can run, imports those that the files were made with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .blocks import Architecture


def frankle2020(network: Architecture) -> dict[str, Any]:
    """Frankle, Dziugaite, Roy & Carbin 2020, as the defaults of OpenLTH have it.

    CIFAR ResNets: SGD with momentum .9, learning rate .1, a tenth at epochs 80 and 120 of 160,
    batch 128, weight decay 1e-4, rewinding to iteration 1000. LeNet-300-100: SGD .1 without
    momentum, 40 epochs, rewinding to the initial weights.
    """
    if network.name == "lenet":
        return {
            "momentum": 0.0,
            "weight_decay": 0.0,
            "epochs": 40,
            "milestones": (),
            "rewind": "0it",
        }
    return {}


def chen2021a(network: Architecture) -> dict[str, Any]:
    """Chen et al. 2021a (arXiv 2012.06908): tickets of ResNet-18 and ResNet-50 downstream.

    SGD with momentum .9, learning rate .1, a tenth at epochs 91 and 136 of 182, batch 256, weight
    decay 2e-4, the smallest 20 % of all convolutions but the stem, rounded as torch.nn.utils.prune
    does it, rewinding to the initial weights. Convolutions start as torchvision's do (fan_out).
    """
    return {
        "fan": "fan_out",
        "bn_init": "ones",
        "weight_decay": 2e-4,
        "epochs": 182,
        "milestones": ("91ep", "136ep"),
        "batch_size": 256,
        "rounding": "round",
        "prunable": "convolutions_without_stem",
        "rewind": "0it",
    }


def zhang2021(network: Architecture) -> dict[str, Any]:
    """Zhang et al. 2021 (PrAC): chen2021a with batch 128, weight decay 1e-4, the stem pruned."""
    return {
        **chen2021a(network),
        "weight_decay": 1e-4,
        "batch_size": 128,
        "prunable": "convolutions",
    }


def chen2020a(network: Architecture) -> dict[str, Any]:
    """Chen et al. 2020a (arXiv 2007.12223): tickets of pretrained BERT.

    AdamW 2e-5, batch 32, 3 epochs a level, rewinding to the pretrained weights; step k removes
    1/(10 - k) of what remains, a tenth of the whole.
    """
    return {
        "init": "pretrained",
        "bn_init": "none",
        "optimizer": "adamw",
        "lr": 2e-5,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "epochs": 3,
        "milestones": (),
        "batch_size": 32,
        "augment": (),
        "prune": 0.1,
        "rounding": "round",
        "prunable": "all",
        "rewind": "0it",
    }


PUBLISHED: dict[str, Callable[[Architecture], dict[str, Any]]] = {
    "frankle2020": frankle2020,
    "chen2021a": chen2021a,
    "zhang2021": zhang2021,
    "chen2020a": chen2020a,
}
