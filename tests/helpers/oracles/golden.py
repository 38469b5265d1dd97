"""What other programs count and save of their own networks, by program and by its names.

The programs are OpenLTH (facebookresearch/open_lth), CV_LTH (Chen et al. 2021a) and PrAC (Zhang et
al. 2021), each at a pruning fraction of .2. The numbers are those of their own code.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from typing import Any

# Prunable weights, and how many of them are kept after 20 levels (OpenLTH) or 18 (the others).
ENDS = {
    ("openlth", "cifar_resnet_14"): (174128, 2001),
    ("openlth", "cifar_resnet_20"): (270896, 3116),
    ("openlth", "cifar_resnet_32"): (464432, 5347),
    ("openlth", "cifar_resnet_44"): (657968, 7579),
    ("openlth", "cifar_resnet_56"): (851504, 9810),
    ("openlth", "cifar_resnet_110"): (1722416, 19851),
    ("openlth", "cifar_resnet_20_32"): (1081440, 12462),
    ("openlth", "cifar_vgg_11"): (9222848, 106326),
    ("openlth", "cifar_vgg_13"): (9407168, 108451),
    ("openlth", "cifar_vgg_16"): (14715584, 169652),
    ("openlth", "cifar_vgg_19"): (20024000, 230855),
    ("openlth", "mnist_lenet_300_100"): (266200, 3062),
    ("cv_lth", "resnet18"): (11157504, 200996),
    ("cv_lth", "resnet50"): (23445504, 422357),
    ("prac", "res20s"): (267696, 4822),
    ("prac", "res56s"): (848304, 15282),
    ("prac", "vgg16_bn"): (14710464, 265000),
    ("prac", "resnet18"): (11159232, 201027),
}

# Digests of the names, shapes and types of a network's tensors; `masked` where it is pruned.
KEYS = {
    ("openlth", "cifar_resnet_14"): "42c6f987be93c7bc",
    ("openlth", "cifar_resnet_20"): "b2c270236c2c9fed",
    ("openlth", "cifar_resnet_56"): "47b4ebbae1a8c54d",
    ("openlth", "cifar_resnet_20_32"): "42712cf345a6cac6",
    ("openlth", "cifar_vgg_16"): "e2ddfdc966acdb1b",
    ("openlth", "mnist_lenet_300_100"): "d4b4c4318029d76f",
    ("cv_lth", "resnet18"): "69ca8b8d26578a4b",
    ("cv_lth", "resnet50"): "e6464cd93de509cd",
    ("prac", "res20s"): "9e9c7a23fd3155a4",
    ("prac", "res56s"): "7ef652a6ef387eba",
    ("prac", "vgg16_bn"): "78f998a059513d53",
}
MASKED_KEYS = {
    ("cv_lth", "resnet18"): "1c9e7777138cd5d7",
    ("cv_lth", "resnet50"): "2f88b62c9d7f935b",
    ("prac", "res20s"): "0dd5ae878c2c52c3",
    ("prac", "vgg16_bn"): "8c451e14f4719af1",
}


def kept(program: str, model: str) -> tuple[int, ...]:
    """Kept weights by level, from the first by the program's rule to the last that it counted.

    OpenLTH removes ceil(n / 5) + 1 of n weights; the others round n / 5, which is never a half.
    """
    total, last = ENDS[program, model]
    openlth = program == "openlth"

    def prune(n: int, level: int) -> int:
        return n - (-(-n // 5) + 1) if openlth else n - (n + 2) // 5

    levels = range(20 if openlth else 18)
    series = tuple(itertools.accumulate(levels, prune, initial=total))
    assert series[-1] == last, f"{program}, {model}: {series[-1]} weights are left, not {last}"
    return series


def digest(state: Mapping[str, Any]) -> str:
    """Digest of a state dict's keys: one line `name shape dtype` a tensor, in its order."""
    lines = [f"{name} {tuple(tensor.shape)} {tensor.dtype}" for name, tensor in state.items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
