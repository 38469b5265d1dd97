"""Slow and obvious: the semantics of OpenLTH's training and pruning, written out plainly.

Networks are functions of named tensors, in PyTorch's default memory format; the mask is applied
before each forward pass; the optimizer is not fused; the schedule is a LambdaLR.
"""

from __future__ import annotations

import bisect
import math
import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rgtool.runner.replicas.loader import Loader
from rgtool.schemas.recipe import Recipe

State = dict[str, Tensor]
Masks = Mapping[str, np.ndarray]


def forward(state: Mapping[str, Tensor], x: Tensor, *, training: bool) -> Tensor:
    """Logits of a LeNet-300-100 or a CIFAR ResNet, by the names of its tensors."""
    if "fc1.weight" in state:
        x = x.flatten(1)
        for layer in ("fc1", "fc2"):
            x = functional.relu(x @ state[f"{layer}.weight"].T + state[f"{layer}.bias"])
        return x @ state["fc.weight"].T + state["fc.bias"]

    def norm(y: Tensor, name: str) -> Tensor:
        running = (state[f"{name}.running_mean"], state[f"{name}.running_var"])
        affine = (state[f"{name}.weight"], state[f"{name}.bias"])
        return functional.batch_norm(y, *running, *affine, training=training)

    x = functional.relu(norm(functional.conv2d(x, state["conv1.weight"], padding=1), "bn1"))
    for stage in (1, 2, 3):
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in state:
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = functional.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)
            y = functional.relu(norm(y, f"{name}.bn1"))
            y = functional.conv2d(y, state[f"{name}.conv2.weight"], padding=1)
            y = norm(y, f"{name}.bn2")
            if f"{name}.downsample.0.weight" in state:
                x = _shortcut(x, state[f"{name}.downsample.0.weight"])
                x = norm(x, f"{name}.downsample.1")
            x = functional.relu(y + x)
            block += 1
    x = functional.avg_pool2d(x, x.shape[3]).flatten(1)
    return x @ state["fc.weight"].T + state["fc.bias"]


def _shortcut(x: Tensor, weight: Tensor) -> Tensor:
    if weight.shape[0] < 32:  # oneDNN's own strided form is not safe for few channels
        return torch.einsum("bchw,oc->bohw", x[:, :, ::2, ::2], weight[:, :, 0, 0])
    return functional.conv2d(x, weight, stride=2)


def train(
    state: Mapping[str, Tensor],
    mask: Masks | None,
    loader: Loader,
    recipe: Recipe,
    start: int,
    end: int,
) -> State:
    """Train from iteration `start` up to `end` with fresh momentum; return the new state."""
    state = {name: tensor.clone().contiguous() for name, tensor in state.items()}
    parameters = {
        name: tensor.requires_grad_()
        for name, tensor in state.items()
        if "running" not in name and "num_batches" not in name
    }
    masks = {f"{name}.weight": torch.from_numpy(m).float() for name, m in (mask or {}).items()}
    optimizer = torch.optim.SGD(
        parameters.values(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        foreach=False,
        fused=False,
    )
    per_epoch = loader.iterations_per_epoch
    milestones = [_iteration(point, per_epoch) for point in recipe.milestones]
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda iteration: recipe.gamma ** bisect.bisect(milestones, iteration)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is advanced before the first step
        for _ in range(start):
            schedule.step()
    criterion = nn.CrossEntropyLoss()
    for epoch in range(math.ceil(end / per_epoch)):
        for number, (images, labels) in enumerate(loader.epoch(epoch)):
            if not start <= epoch * per_epoch + number < end:
                continue
            _apply(masks, state)
            optimizer.zero_grad()
            criterion(forward(state, images.contiguous(), training=True), labels).backward()
            optimizer.step()
            schedule.step()
    _apply(masks, state)
    return {name: tensor.detach() for name, tensor in state.items()}


def _iteration(point: str, per_epoch: int) -> int:
    number, unit = int(point[:-2]), point[-2:]
    return number * per_epoch if unit == "ep" else number


def _apply(masks: Mapping[str, Tensor], state: State) -> None:
    with torch.no_grad():
        for name, mask in masks.items():
            state[name] *= mask


def prune(state: Mapping[str, Tensor], mask: Masks, recipe: Recipe) -> dict[str, np.ndarray]:
    """Keep what is strictly above the weight at place ceil(p n) of all n kept ones, sorted."""
    count = math.ceil(recipe.prune * sum(int(m.sum()) for m in mask.values()))
    sizes = {name: state[f"{name}.weight"].abs().numpy() for name in mask}
    ranked = [sizes[name][m] for name, m in mask.items() if name not in recipe.exempt]
    threshold = np.sort(np.concatenate(ranked))[count]
    return {
        name: m if name in recipe.exempt else m & (sizes[name] > threshold)
        for name, m in mask.items()
    }
