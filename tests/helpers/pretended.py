"""A device that there is none of: shapes and devices are worked out, nothing is computed.

PyTorch's fake tensors refuse an operation on tensors of two devices, as a GPU does. They need a
device that this build of PyTorch knows but that is not `cuda`, which aborts the interpreter of a
build without it: a backend of Python's own, which is registered for good, so in a process of its
own.

    python pretended.py NETWORK PRECISION [left]

trains and scores a network there; with `left` the labels stay on the CPU. Exit code 77: this
PyTorch lacks one of the private interfaces that are used.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rgtool.runner.data import load
from rgtool.runner.models import build
from rgtool.runner.replicas import training
from rgtool.runner.replicas.loader import Loader, test_batches
from rgtool.runner.replicas.training import Trainer, evaluate
from rgtool.schemas.recipe import Recipe

LACKING = 77

try:
    from torch._subclasses import fake_tensor
    from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
    from torch.utils.backend_registration import (
        _DummyBackendModule,
        _setup_privateuseone_for_python_backend,
    )

    _ = fake_tensor.CONSTANT_NUMEL_LIMIT
except (ImportError, AttributeError) as error:
    print(error)
    sys.exit(LACKING)

_KEPT: list[object] = []  # what is registered is gone when its object is


class _Module(_DummyBackendModule):  # type: ignore[misc,valid-type]
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


def install() -> torch.device:
    """Make the device known."""
    _setup_privateuseone_for_python_backend("pretend", _Module())
    # Which operations compute in half precision a build knows of its own devices alone.
    registered = torch.library.Library("_", "IMPL")
    registered.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    _KEPT.append(registered)
    fake_tensor.CONSTANT_NUMEL_LIMIT = -1  # constants would be computed, on no device
    training.sgd = plain_sgd  # type: ignore[assignment]
    return torch.device("pretend", 0)


def plain_sgd(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    momenta: Sequence[Tensor],
    *,
    lr: Tensor,
    momentum: float,
    weight_decay: float,
    **options: Any,
) -> None:
    """The fused step, which exists for devices of the build alone, by its formula."""
    for weight, gradient, velocity in zip(parameters, gradients, momenta, strict=True):
        velocity.mul_(momentum).add_(gradient + weight_decay * weight)
        weight.sub_(lr * velocity)


def moved(module: nn.Module, device: torch.device) -> nn.Module:
    """Put a network on the device: in its shapes and strides, without its values."""
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, tensor in [*tensors.items()]:
                if tensor is not None:
                    there = torch.empty_strided(
                        tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device
                    )
                    is_weight = isinstance(tensor, nn.Parameter)
                    tensors[name] = nn.Parameter(there) if is_weight else there  # type: ignore[assignment]
    return module


def main(network: str, precision: str, *left: str) -> None:
    """Train an epoch and score the test set."""
    device, images = install(), load("digits").balanced_subset(100)
    module = build(network, images.input_shape, 10)
    recipe = Recipe(architecture=network, task="digits", precision=precision, batch_size=32)
    with FakeTensorMode(allow_non_fake_inputs=True):
        moved(module, device)
        loader = Loader(images, batch_size=32, augment=("flip", "crop4"), seed=0, device=device)
        if left:
            loader.labels = torch.zeros(len(images.y_train), dtype=torch.int64)
        mask = {
            name: np.ones(tuple(part.weight.shape), dtype=np.bool_)
            for name, part in module.named_modules()
            if isinstance(part, nn.Conv2d | nn.Linear)
        }
        trainer = Trainer(module, recipe, loader, mask)
        module.train()
        for number, draw in enumerate(loader.draws(0)):
            trainer.set_rate(number)
            trainer.step(*loader.gather(draw))
        assert isinstance(trainer.lr, Tensor)
        assert {tensor.device for tensor in (*trainer.tensors(), trainer.lr)} == {device}
        try:
            evaluate(module, test_batches(images, device))
        except DataDependentOutputException:
            print("waits for the device once, to read the score")


if __name__ == "__main__":
    main(*sys.argv[1:])
