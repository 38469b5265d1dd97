"""Networks: the layers of the block maps, the functions of the literature, initial weights."""

from __future__ import annotations

import math

import numpy as np
import plain
import pytest
import torch
from torch import Tensor, nn

from rgtool.runner import machine
from rgtool.runner.models import BN_INITIALISERS, INITIALISERS, build, find_network, initialise
from rgtool.runner.replicas.randomness import generator
from rgtool.runner.replicas.training import evaluate, state_arrays
from rgtool.schemas.blocks import CIFAR_RESNETS, architecture
from rgtool.schemas.errors import UsageError

machine.prepare(torch.device("cpu"))
SHAPES = [((1, 8, 8), 10), ((3, 32, 32), 7)]


def initial(name: str, *, seed: int = 0, shape: tuple[int, int, int] = (3, 32, 32)) -> nn.Module:
    module = build(name, shape, 10)
    rng = generator(seed, "init")
    initialise(module, init="kaiming_normal", fan="fan_in", bn_init="uniform", rng=rng)
    return module


def tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in state_arrays(module).items()}


# Layers.


@pytest.mark.parametrize("width", ["", "w4"])
@pytest.mark.parametrize("depth", CIFAR_RESNETS)
def test_a_resnet_has_the_layers_of_its_block_map(depth: str, width: str) -> None:
    with torch.device("meta"):  # names and shapes alone
        module = build(depth + width, (3, 32, 32), 10)
    assert weights_of(module) == [
        (layer.name, layer.shape) for layer in architecture(depth + width).layers
    ]
    with_norm = {name for name, part in module.named_modules() if isinstance(part, nn.BatchNorm2d)}
    convolutions = {n for n, part in module.named_modules() if isinstance(part, nn.Conv2d)}
    # One BN a convolution, named as torchvision names it, and none without a BN has a bias.
    renamed = {
        n.replace("downsample.0", "downsample.1").replace("conv", "bn") for n in convolutions
    }
    assert with_norm == renamed
    assert all(module.get_submodule(name).bias is None for name in convolutions)


@pytest.mark.parametrize("name", ["lenet", "resnet8", "resnet8w4"])
@pytest.mark.parametrize(("shape", "classes"), SHAPES)
def test_layers_follow_the_images(name: str, shape: tuple[int, int, int], classes: int) -> None:
    module = build(name, shape, classes)
    layers = architecture(name, shape, classes).layers
    assert weights_of(module) == [(layer.name, layer.shape) for layer in layers]
    assert module(torch.zeros(2, *shape)).shape == (2, classes)


def weights_of(module: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of convolutions and linear layers, in their order."""
    return [
        (name, tuple(part.weight.shape))
        for name, part in module.named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear)
    ]


def test_names_are_held_to_those_that_can_be_trained() -> None:
    for name in ("lenet", "resnet20", "resnet20w8", "resnet20w16", "resnet50", "vgg16"):
        find_network(name)
    for name in ("resnet2O", "bert-base", "resnet50w4", "lenetw4", "resnet20w0", "resnet9"):
        with pytest.raises(UsageError, match="unknown"):
            find_network(name)


# Functions.


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["resnet8", "resnet20", "resnet8w4", "lenet"])
def test_the_forward_pass_is_that_of_the_literature(name: str, training: bool) -> None:
    # Width 16 against strided 1x1 convolutions, as He et al. and OpenLTH have the shortcut.
    module = initial(name).train(training)
    state, x = tensors(module), torch.randn(6, 3, 32, 32, generator=generator(1, "x"))
    with torch.no_grad():
        expected = plain.forward(state, x, training=training)
        found = module(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    after = tensors(module)
    for statistic in [n for n in state if "running" in n]:
        torch.testing.assert_close(after[statistic], state[statistic], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet8w4", "resnet8"])
def test_memory_formats_agree(name: str) -> None:
    module, x = initial(name), torch.randn(6, 3, 32, 32, generator=generator(1, "x"))
    contiguous = build(name, (3, 32, 32), 10).to(memory_format=torch.contiguous_format)
    contiguous.load_state_dict(module.state_dict())
    outputs = [
        module(x.contiguous(memory_format=torch.channels_last)),
        contiguous(x),
    ]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-4)
    for output in outputs:
        output.square().sum().backward()
    for one, other in zip(module.parameters(), contiguous.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        scale = float(other.grad.abs().max())
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4 * scale)


def test_a_score_is_the_mean_over_images_not_over_batches() -> None:
    module = initial("lenet", shape=(1, 8, 8))
    x = torch.randn(23, 1, 8, 8, generator=generator(1, "x"))
    y = torch.arange(23) % 10
    parts = list(zip(x.split(10), y.split(10), strict=True))
    module.train()
    score = evaluate(module, parts)
    assert not module.training
    logits = plain.forward(tensors(module), x, training=False)
    assert score.accuracy == int((logits.argmax(1) == y).sum()) / 23
    assert score.loss == pytest.approx(float(nn.functional.cross_entropy(logits, y)), rel=1e-5)


# Initial weights.


@pytest.mark.parametrize("init", INITIALISERS)
@pytest.mark.parametrize("fan", ["fan_in", "fan_out"])
def test_weights_have_the_moments_of_he_et_al(init: str, fan: str) -> None:
    module = build("resnet14", (3, 32, 32), 10)
    initialise(module, init=init, fan=fan, bn_init="uniform", rng=generator(0, "init"))
    for layer in architecture("resnet14").layers:
        weight = module.get_parameter(f"{layer.name}.weight").detach().double()
        std = math.sqrt(2 / getattr(layer, fan))
        assert abs(float(weight.mean())) < 4.5 * std / math.sqrt(layer.total), layer.name
        # The standard error of a standard deviation: std sqrt((kurtosis - 1) / 4 n).
        spread = std * math.sqrt((1.8 if init == "kaiming_uniform" else 3) / (4 * layer.total))
        assert abs(float(weight.square().mean().sqrt()) - std) < 4.5 * spread, layer.name
        bound = std * math.sqrt(3) if init == "kaiming_uniform" else math.inf
        assert float(weight.abs().max()) <= bound
    bias = module.get_parameter("fc.bias")
    assert 0 < float(bias.detach().abs().max()) <= 1 / math.sqrt(64)


@pytest.mark.parametrize("bn_init", BN_INITIALISERS)
def test_bn_weights_are_uniform_or_one_and_statistics_fresh(bn_init: str) -> None:
    module = initial("resnet32")
    module.train()(torch.randn(4, 3, 32, 32, generator=generator(1, "x")))  # moves the statistics
    rng = generator(0, "init")
    initialise(module, init="kaiming_normal", fan="fan_in", bn_init=bn_init, rng=rng)
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    weights = torch.cat([part.weight.detach() for part in norms])
    if bn_init == "ones":
        assert (weights == 1).all()
    else:
        assert weights.min() >= 0
        assert weights.max() < 1
        error = 1 / math.sqrt(12 * len(weights))
        assert abs(float(weights.mean()) - 0.5) < 4 * error
        assert float(weights.var()) == pytest.approx(1 / 12, rel=0.1)
    for part in norms:
        assert (part.bias == 0).all()
        assert (part.running_mean == 0).all()
        assert (part.running_var == 1).all()
        assert part.num_batches_tracked == 0


def test_initial_weights_follow_from_the_seed_alone() -> None:
    first, again, other = (state_arrays(initial("resnet8w4", seed=seed)) for seed in (0, 0, 1))
    trained = initial("resnet8w4", seed=5)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(3)
    initialise(
        trained, init="kaiming_normal", fan="fan_in", bn_init="uniform", rng=generator(0, "init")
    )
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        np.testing.assert_array_equal(array, state_arrays(trained)[name])
    assert (first["conv1.weight"] != other["conv1.weight"]).any()


def test_the_random_state_of_the_caller_stays_as_it_is() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    initial("resnet8w4")
    initial("lenet")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_streams_of_different_purposes_differ() -> None:
    purposes = [(0, "init"), (1, "init"), (0, "order", 0), (0, "order", 1), (0, "flip", 0)]
    seeds = {generator(*purpose).initial_seed() for purpose in purposes}
    assert len(seeds) == len(purposes)
