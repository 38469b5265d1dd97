"""Whole steps of the sparse kernels against the dense path, and what is not served."""

from __future__ import annotations

import copy
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pruned import prune_once
from sparse_parts import error, sets
from torch import Tensor, nn
from torch.nn import functional as F

from rgtool.runner.models import build, initialise
from rgtool.runner.networks.cifar_resnet import CifarResNet
from rgtool.runner.networks.residual import BasicBlock, Bottleneck
from rgtool.runner.networks.resnet import ResNet
from rgtool.runner.networks.vgg import VGG
from rgtool.runner.pruning import Mask
from rgtool.runner.sparse import Executor, Missing, describe, library, unserved
from rgtool.runner.sparse.library import FOLDER, load
from rgtool.schemas.blocks import Layer
from rgtool.schemas.recipe import Recipe

RECIPE = Recipe(architecture="resnet20", task="cifar10")
SMALL = (3, 8, 8)
NETWORKS = {
    "cifar resnet": lambda: CifarResNet(8, 5, SMALL, 10),
    "resnet": lambda: ResNet((1, 2, 1, 1), BasicBlock, SMALL, 10),
    "bottlenecks": lambda: ResNet((2, 1, 1, 1), Bottleneck, SMALL, 10),
    "vgg": lambda: VGG((1, 1, 1, 1), SMALL, 10, "max"),
    "vgg average": lambda: VGG((1, 1, 1, 1), SMALL, 10, "average"),
    "lenet": lambda: build("lenet", SMALL, 10),
}
LIGHT = ("cifar resnet", "lenet")  # the others have hundreds of channels
needs_kernels = pytest.mark.parametrize("chosen", sets())
every_network = pytest.mark.parametrize(
    ("name", "chosen"),
    [(name, chosen) for name in NETWORKS for chosen in (sets() if name in LIGHT else sets()[-1:])],
)


def made(name: str, density: float) -> tuple[nn.Module, Mask]:
    module = NETWORKS[name]().to(memory_format=torch.channels_last)
    rng = torch.Generator().manual_seed(1)
    initialise(module, init="kaiming_normal", fan="fan_in", bn_init="uniform", rng=rng)
    draws = np.random.default_rng(0)
    mask = {}
    for layer, part in module.named_modules():
        if isinstance(part, nn.BatchNorm2d):
            # At 0 a channel that has lost its weights would be at the corner of max(0, .).
            nn.init.normal_(part.bias, generator=rng)
        if isinstance(part, nn.Conv2d | nn.Linear):
            mask[layer] = draws.random(part.weight.shape) < density
            with torch.no_grad():
                part.weight.mul_(torch.from_numpy(mask[layer]))
    return module.train(), mask


def zeros(module: nn.Module) -> dict[str, Tensor | None]:
    return {n: torch.zeros_like(p, requires_grad=False) for n, p in module.named_parameters()}


def batch(seed: int, images: int = 21) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(images, *SMALL, generator=rng).contiguous(memory_format=torch.channels_last)
    return x, torch.randint(10, (images,), generator=rng)


def dense_step(
    module: nn.Module,
    momenta: dict[str, Tensor | None],
    mask: Mask,
    x: Tensor,
    y: Tensor,
    lr: float,
) -> tuple[float, int]:
    """A step as plain as can be: gradients of kept weights, momentum, decay."""
    module.zero_grad()
    logits = module(x)
    loss = F.cross_entropy(logits, y)
    loss.backward()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            step = parameter.grad + RECIPE.weight_decay * parameter
            if (kept := mask.get(name.removesuffix(".weight"))) is not None and "weight" in name:
                step = step * torch.from_numpy(kept)
            momentum = momenta[name]
            if momentum is not None:
                step = momentum.mul_(RECIPE.momentum).add_(step)
            parameter.sub_(lr * step)
    return loss.item() * len(y), int((logits.argmax(1) == y).sum())


def arrays(module: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("density", [1.0, 0.05])
@every_network
def test_a_step_is_the_dense_one(name: str, density: float, chosen: str) -> None:
    module, mask = made(name, density)
    exact = copy.deepcopy(module).double()
    momenta, exact_momenta = zeros(module), zeros(exact)
    executor = Executor(module, momenta, mask, RECIPE, SMALL, 32, library(chosen))
    assert executor.name == f"sparse {chosen}"
    x, y = batch(0)
    loss, correct = executor.step(x, y, 0.01)
    expected, expected_correct = dense_step(exact, exact_momenta, mask, x.double(), y, 0.01)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert correct == expected_correct
    buffers = dict(exact.named_buffers())
    for buffer, values in module.named_buffers():
        assert error(values, buffers[buffer]) < 1e-4
    for parameter, momentum in momenta.items():
        assert momentum is not None
        found, right = momentum.double(), exact_momenta[parameter]
        assert right is not None
        if "features" in parameter and "bias" in parameter and right.abs().max() < 1e-4:
            continue  # a bias before a batch norm: its gradient is rounding alone
        # An input of max(0, .) near 0 may fall on its other side: a whole gradient is compared.
        assert float((found - right).norm()) <= 0.05 * float(right.norm()) + 1e-7, parameter
    head = "fc.weight"
    assert error(momenta[head], exact_momenta[head]) < 2e-4


@every_network
def test_what_is_pruned_stays_zero_and_what_lies_unmasked_moves(name: str, chosen: str) -> None:
    module, mask = made(name, 0.3)
    unmasked = mask.pop("fc")
    with torch.no_grad():
        module.get_parameter("fc.weight").add_(1)
    executor = Executor(module, zeros(module), mask, RECIPE, SMALL, 21, library(chosen))
    before = module.get_parameter("fc.weight").detach().clone()
    for seed in range(3):
        executor.step(*batch(seed), 0.1)
    for layer, kept in mask.items():
        weight = module.get_parameter(f"{layer}.weight").detach().numpy()
        assert not weight[~kept].any()
        assert weight[kept].all()
    assert (module.get_parameter("fc.weight") != before).all()
    assert unmasked.shape == tuple(before.shape)


@every_network
def test_equal_steps_have_equal_bits_whatever_came_before(name: str, chosen: str) -> None:
    """A smaller batch behind a larger one finds dead lanes full of the larger one's values."""
    module, mask = made(name, 0.3)
    momenta = zeros(module)
    executor = Executor(module, momenta, mask, RECIPE, SMALL, 40, library(chosen))
    executor.step(*batch(0, 40), 0.1)
    other, others = copy.deepcopy(module), copy.deepcopy(momenta)
    fresh = Executor(other, others, mask, RECIPE, SMALL, 99, library(chosen))
    for seed, images in ((1, 5), (2, 33)):
        x, y = batch(seed, images)
        assert executor.step(x, y, 0.1) == fresh.step(x.contiguous(), y, 0.1)
        assert arrays(module) == arrays(other)
        for momentum, its in zip(momenta.values(), others.values(), strict=True):
            assert momentum is not None and its is not None
            assert momentum.numpy().tobytes() == its.numpy().tobytes()


@needs_kernels
def test_weights_that_others_write_are_read(chosen: str) -> None:
    module, mask = made("cifar resnet", 0.3)
    start = copy.deepcopy(module.state_dict())
    momenta = zeros(module)
    executor = Executor(module, momenta, mask, RECIPE, SMALL, 21, library(chosen))
    first = executor.step(*batch(0), 0.1)
    module.load_state_dict(start)
    for momentum in momenta.values():
        assert momentum is not None
        momentum.zero_()
    assert executor.step(*batch(0), 0.1) == first


@needs_kernels
@pytest.mark.parametrize(
    ("name", "units"), [("cifar resnet", 9), ("bottlenecks", 22), ("vgg", 10), ("lenet", 3)]
)
def test_the_making_can_be_ended_between_any_two_units(name: str, units: int, chosen: str) -> None:
    module, mask = made(name, 0.3)
    before = arrays(module)
    asked = 0

    def between() -> None:
        nonlocal asked
        asked += 1
        if asked == units:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        Executor(module, zeros(module), mask, RECIPE, SMALL, 9, library(chosen), between)
    assert asked == units
    assert arrays(module) == before
    asked = units
    Executor(module, zeros(module), mask, RECIPE, SMALL, 9, library(chosen), between)
    assert asked == 2 * units  # the last one is the last unit


@needs_kernels
def test_without_momentum(chosen: str) -> None:
    module, mask = made("lenet", 0.3)
    exact = copy.deepcopy(module).double()
    momenta: dict[str, Tensor | None] = dict.fromkeys(zeros(module))
    recipe = dataclasses.replace(RECIPE, momentum=0.0)
    executor = Executor(module, momenta, mask, recipe, SMALL, 21, library(chosen))
    for seed in range(3):
        x, y = batch(seed)
        executor.step(x, y, 0.1)
        dense_step(exact, momenta, mask, x.double(), y, 0.1)
    for name, parameter in exact.named_parameters():
        assert error(module.get_parameter(name).detach(), parameter.detach()) < 1e-5


@needs_kernels
def test_masks_differ_no_more_than_by_another_order_of_summation(chosen: str) -> None:
    """Beside the sparse path stands the dense one on the same images in another order."""
    recipe = dataclasses.replace(RECIPE, prune=0.5)

    def pruned(way: str) -> np.ndarray:
        module, mask = made("cifar resnet", 0.5)
        momenta = zeros(module)
        executor = Executor(module, momenta, mask, RECIPE, SMALL, 64, library(chosen))
        for seed in range(6):
            x, y = batch(seed, 64)
            if way == "sparse":
                executor.step(x, y, 0.05)
            else:
                order = torch.arange(64) if way == "dense" else torch.arange(63, -1, -1)
                dense_step(module, momenta, mask, x[order], y[order], 0.05)
        layers = [Layer(n, "conv", m.shape, "stem", None) for n, m in mask.items()]
        weights = {n: module.get_parameter(f"{n}.weight").detach().numpy() for n in mask}
        new = prune_once(weights, mask, layers, recipe, 1)
        return np.concatenate([array.ravel() for array in new.values()])

    dense = pruned("dense")
    sparse, other = ((pruned(way) != dense).sum() for way in ("sparse", "reversed"))
    assert dense.sum() > 500
    assert sparse <= max(2 * other, 0.01 * dense.sum())


@needs_kernels
@pytest.mark.parametrize("name", ["cifar resnet", "vgg", "lenet"])
def test_a_network_that_has_lost_a_layer_goes_on(name: str, chosen: str) -> None:
    module, mask = made(name, 0.5)
    lost = list(mask)[1]
    mask[lost][:] = False
    with torch.no_grad():
        module.get_parameter(f"{lost}.weight").zero_()
    exact = copy.deepcopy(module).double()
    executor = Executor(module, zeros(module), mask, RECIPE, SMALL, 21, library(chosen))
    x, y = batch(0)
    loss, _ = executor.step(x, y, 0.1)
    assert loss == pytest.approx(dense_step(exact, zeros(exact), mask, x.double(), y, 0.1)[0])
    assert all(tensor.isfinite().all() for tensor in module.state_dict().values())
    assert not module.get_parameter(f"{lost}.weight").any()


@needs_kernels
def test_a_diverging_run_has_a_loss_that_says_so(chosen: str) -> None:
    module, mask = made("cifar resnet", 0.5)
    executor = Executor(module, zeros(module), mask, RECIPE, SMALL, 21, library(chosen))
    losses = [executor.step(*batch(seed), 1e30)[0] for seed in range(4)]
    assert not np.isfinite(losses[-1])


@needs_kernels
def test_one_value_a_channel_is_refused_as_torch_refuses_it(chosen: str) -> None:
    shape = (3, 4, 4)
    module = CifarResNet(8, 4, shape, 10).train()
    executor = Executor(module, zeros(module), None, RECIPE, shape, 1, library(chosen))
    x, y = torch.randn(1, *shape), torch.tensor([1])
    with pytest.raises(ValueError, match="more than 1 value per channel") as theirs:
        module(x)
    before = arrays(module)
    with pytest.raises(ValueError, match="more than 1 value per channel") as ours:
        executor.step(x, y, 0.1)
    assert str(ours.value) == str(theirs.value).replace("torch.Size(", "").replace(")", "")
    assert arrays(module) == before


@needs_kernels
def test_a_batch_that_there_is_no_memory_for_is_refused(chosen: str) -> None:
    module, mask = made("lenet", 0.5)
    executor = Executor(module, zeros(module), mask, RECIPE, SMALL, 21, library(chosen))
    x, y = batch(0)
    before = arrays(module)
    for images, labels in (
        (x[:0], y[:0]),
        (x.double(), y),
        (x[:, :2], y),
        (x, y[1:]),
        batch(0, 22),
    ):
        with pytest.raises(ValueError, match="1 to 21 images of"):
            executor.step(images, labels, 0.1)
    for label in (-1, 10):
        with pytest.raises(IndexError, match="between 0 and 9"):
            executor.step(x, torch.full_like(y, label), 0.1)
    assert arrays(module) == before


# What is not served, and where there are no kernels.


def test_what_is_served() -> None:
    for name in NETWORKS:
        assert unserved(NETWORKS[name](), RECIPE, SMALL) is None
    for name in ("resnet20", "resnet56", "vgg16", "resnet18", "resnet50"):
        with torch.device("meta"):
            module = build(name, (3, 32, 32), 10)
        assert "CPU" in str(unserved(module, RECIPE, (3, 32, 32)))


@pytest.mark.parametrize(
    ("module", "changes", "words"),
    [
        (lambda: NETWORKS["lenet"](), {"precision": "bf16"}, "float32, not bf16"),
        (lambda: NETWORKS["lenet"]().double(), {}, "float32"),
        (lambda: NETWORKS["lenet"]().requires_grad_(False), {}, "frozen"),
        (lambda: nn.Linear(3, 10), {}, "kind Linear"),
        (lambda: ResNet((1, 1, 1, 1), BasicBlock, (3, 96, 96), 10), {}, "conv1 .* 7x7"),
    ],
)
def test_what_is_not_served_is_said(module: object, changes: dict[str, str], words: str) -> None:
    recipe = dataclasses.replace(RECIPE, **changes)
    with pytest.raises(AssertionError, match=words):
        assert unserved(module(), recipe, SMALL) is None  # type: ignore[operator]


def test_no_kernels_are_told(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="not compiled: install a C compiler"):
        load(tmp_path)


@needs_kernels
def test_kernels_of_another_source_are_refused(chosen: str, tmp_path: Path) -> None:
    assert describe() == sets()[-1]
    file = next(FOLDER.glob("_kernels*"))
    shutil.copy(file, tmp_path)
    source = (FOLDER / "kernels.c").read_text()
    (tmp_path / "kernels.c").write_text(source)
    assert load(tmp_path).widest_set() >= 0
    (tmp_path / "kernels.c").write_text(source + "\n")
    with pytest.raises(Missing, match="compiled from another version of kernels.c"):
        load(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    content = file.read_bytes()
    for damaged in (b"no library", content[:4096], content[: len(content) // 2], content):
        (broken / file.name).write_bytes(damaged)  # the last one lacks its source
        with pytest.raises(Missing, match="cannot be loaded"):
            load(broken)
