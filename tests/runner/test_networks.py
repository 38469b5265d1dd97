"""VGG and torchvision's ResNets: golden counts, and the functions that torchvision computes."""

from __future__ import annotations

import importlib
from types import ModuleType

import golden
import pytest
import torch
from torch import nn

from rgtool.runner import machine, models
from rgtool.runner.datasets.vision import torchvision_datasets
from rgtool.runner.models import architecture, build, initialise
from rgtool.runner.networks import cifar_resnet
from rgtool.runner.replicas.randomness import generator
from rgtool.schemas import blocks

machine.prepare(torch.device("cpu"))
SMALL, LARGE = (3, 32, 32), (3, 96, 96)
# Ours, and who counts the same before the first pruning.
GOLDEN = {
    ("vgg11", "all"): ("openlth", "cifar_vgg_11"),
    ("vgg13", "all"): ("openlth", "cifar_vgg_13"),
    ("vgg16", "all"): ("openlth", "cifar_vgg_16"),
    ("vgg19", "all"): ("openlth", "cifar_vgg_19"),
    ("vgg16", "convolutions"): ("prac", "vgg16_bn"),
    ("resnet18", "convolutions"): ("prac", "resnet18"),
    ("resnet18", "convolutions_without_stem"): ("cv_lth", "resnet18"),
    ("resnet50", "convolutions_without_stem"): ("cv_lth", "resnet50"),
}


def meta(name: str, shape: tuple[int, int, int] = SMALL, classes: int = 10) -> nn.Module:
    with torch.device("meta"):  # names and shapes alone
        return build(name, shape, classes)


def counted(module: nn.Module, prunable: str) -> int:
    """Count weights from the module itself, without the block map."""
    parts = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    if prunable != "all":
        parts = [part for part in parts if isinstance(part, nn.Conv2d)]
    return sum(p.weight.numel() for p in parts[prunable == "convolutions_without_stem" :])


@pytest.mark.parametrize(("name", "prunable"), GOLDEN)
def test_prunable_counts_are_golden(name: str, prunable: str) -> None:
    expected, *_ = golden.kept(*GOLDEN[name, prunable])
    assert counted(meta(name), prunable) == expected
    layers = architecture(name, SMALL, 10).counted(prunable)
    assert sum(layer.total for layer in layers) == expected


@pytest.mark.parametrize(
    ("shape", "classes"), [(SMALL, 10), (LARGE, 1000), ((1, 28, 28), 7), ((3, 65, 65), 3)]
)
@pytest.mark.parametrize("name", [*blocks.RESNETS, *blocks.VGG_PLANS])
def test_a_network_has_the_layers_of_its_block_map(
    name: str, shape: tuple[int, int, int], classes: int
) -> None:
    module = meta(name, shape, classes)
    found = [
        (part_name, tuple(part.weight.shape))
        for part_name, part in module.named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear)
    ]
    expected = blocks.architecture(name, shape, classes).layers
    assert found == [(layer.name, layer.shape) for layer in expected]


# The functions.


@pytest.fixture(scope="module")
def torchvision() -> ModuleType:
    torchvision_datasets()  # also beside a torch without CUDA
    return importlib.import_module("torchvision.models")


def both(mine: nn.Module, theirs: nn.Module, shape: tuple[int, int, int], count: int = 2) -> None:
    """Hold two networks with the same weights to the same logits, statistics and gradients."""
    x = torch.randn(count, *shape, generator=generator(1, "x"))
    for training in (True, False):
        mine.train(training)
        theirs.train(training)
        outputs = mine(x.contiguous(memory_format=torch.channels_last)), theirs(x)
        scale = float(outputs[1].detach().abs().max())
        torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-4 * scale)
    named = dict(theirs.named_buffers())
    for name, buffer in mine.named_buffers():
        torch.testing.assert_close(buffer, named[name], rtol=1e-3, atol=1e-4)


def randomise(module: nn.Module) -> None:
    initialise(
        module, init="kaiming_normal", fan="fan_out", bn_init="uniform", rng=generator(0, "init")
    )


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvision_computes_the_same_from_the_same_state(
    name: str, torchvision: ModuleType
) -> None:
    mine = build(name, LARGE, 1000)
    randomise(mine)
    theirs = getattr(torchvision, name)(weights=None)
    theirs.load_state_dict(mine.state_dict())  # strict: every name and shape
    both(mine, theirs, LARGE)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_small_images_meet_the_stem_of_chen_et_al(name: str, torchvision: ModuleType) -> None:
    mine = build(name, SMALL, 10)
    randomise(mine)
    theirs = getattr(torchvision, name)(weights=None, num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    theirs.load_state_dict(mine.state_dict())
    both(mine, theirs, SMALL)


@pytest.mark.parametrize("pooling", [None, "max", "average"])
def test_vgg_is_torchvisions_with_one_linear_layer(
    pooling: str | None, torchvision: ModuleType
) -> None:
    """OpenLTH and PrAC average the last 2 x 2 positions, where torchvision takes their maximum."""
    mine = build("vgg16", SMALL, 10, pooling=pooling)
    randomise(mine)
    theirs = nn.Sequential()
    theirs.features = torchvision.vgg16_bn(weights=None, init_weights=False).features
    if pooling == "average":
        theirs.features[-1] = nn.AvgPool2d(kernel_size=2, stride=2)
    theirs.flat = nn.Flatten()
    theirs.fc = nn.Linear(512, 10)
    theirs.load_state_dict(mine.state_dict())
    both(mine, theirs, SMALL, count=4)


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 28), (3, 40, 40)])
def test_vgg_takes_images_of_any_size(shape: tuple[int, int, int], pooling: str) -> None:
    assert build("vgg11", shape, 3, pooling=pooling)(torch.zeros(2, *shape)).shape == (2, 3)


def test_the_output_layer_may_start_as_pytorchs_own() -> None:
    module = build("resnet8w4", SMALL, 10)
    settings = {"init": "kaiming_normal", "fan": "fan_out", "bn_init": "ones"}
    initialise(module, **settings, rng=generator(0, "init"))  # type: ignore[arg-type]
    wide = float(module.get_parameter("fc.weight").detach().abs().max())
    initialise(module, **settings, head_init="torch", rng=generator(0, "init"))  # type: ignore[arg-type]
    # A fan_out of 10 classes would make the first logits large: sqrt(2 / 10) a weight.
    assert wide > 0.5
    assert float(module.get_parameter("fc.weight").detach().abs().max()) <= 1 / 16**0.5


# Without a block map.


@pytest.mark.parametrize("shape", [SMALL, (1, 8, 8)])
def test_layers_without_a_map_follow_from_the_module(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mine(name: str, shape: tuple[int, int, int], classes: int) -> nn.Module:
        return cifar_resnet.build("resnet14", shape, classes)

    monkeypatch.setitem(models.MODELS, "mine", mine)
    found = architecture("mine", shape, 10)
    assert found.layers == blocks.architecture("resnet14", shape, 10).layers
    monkeypatch.setitem(models.MODELS, "flat", lambda *_: nn.Sequential(nn.Linear(4, 3)))
    (layer,) = architecture("flat").layers
    assert (layer.name, layer.block, layer.stage, layer.shape) == ("0", "0", None, (3, 4))
