"""Every operation of the sparse kernels against torch in float64, in every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sparse_parts import STILL, Workshop, error, pair_sums, read, sets
from torch import Tensor, nn
from torch.nn import functional as F

from rgtool.runner.sparse.lanes import LANES, Size, aligned, to_lanes
from rgtool.runner.sparse.library import Rule
from rgtool.runner.sparse.signals import Features, Images
from rgtool.runner.sparse.units import Branch, Convolution, CrossEntropy, Linear, MaxPool, Mean

TOLERANCE = 1e-5  # of a tensor's largest value
AMPLIFIED = 3e-5  # where a batch norm of few, nearly equal values takes some of 24 bits
EVERY_SET = pytest.mark.parametrize("chosen", sets())
DENSITIES = {"all": 1.0, "some": 0.3, "few": 0.05, "one": -1.0, "none": 0.0, "no row": -2.0}
# Images, input and output channels, height, width, stride.
SHAPES = [
    (16, 3, 16, 32, 32, 1),
    (21, 16, 16, 32, 32, 1),
    (16, 16, 32, 32, 32, 2),
    (16, 32, 64, 16, 16, 2),
    (16, 64, 64, 8, 8, 1),
    (37, 8, 7, 7, 7, 1),
    (37, 5, 6, 7, 7, 2),
    (9, 8, 8, 6, 6, 2),
    (17, 4, 9, 5, 12, 1),
    (17, 4, 9, 9, 10, 2),
    (30, 9, 8, 4, 4, 1),
    (33, 8, 8, 2, 2, 1),
    (33, 7, 5, 2, 2, 2),
    (48, 4, 4, 1, 1, 1),
    (31, 3, 5, 1, 1, 2),
    (3, 2, 1, 3, 3, 1),
]


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def draw_mask(rng: np.random.Generator, shape: tuple[int, ...], density: str) -> np.ndarray:
    share = DENSITIES[density]
    mask = rng.random(shape) < share
    if share == -1:
        mask[shape[0] // 2, shape[1] // 2].flat[0] = True
    if share == -2:
        mask = rng.random(shape) < 0.5
        mask[shape[0] // 2] = False
        mask[:, 0] = False
    return mask


def double(values: object, grad: bool = False) -> Tensor:
    found = values.detach() if isinstance(values, Tensor) else torch.from_numpy(values)
    return found.double().clone().requires_grad_(grad)


def normed(branch: Branch, y: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The batch norm of a branch in float64, and its weight and bias."""
    weights = [double(branch.norm.weight, True), double(branch.norm.bias, True)]
    return F.batch_norm(y, None, None, *weights, training=True, eps=branch.norm.eps), weights


def a_branch(
    shop: Workshop, rng: np.random.Generator, mask: np.ndarray, stride: int, bias: bool = False
) -> Branch:
    outputs, inputs, side, _ = mask.shape
    conv = nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=bias)
    norm = nn.BatchNorm2d(outputs)
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(normal(rng, *mask.shape)))
        norm.weight.copy_(torch.from_numpy(rng.random(outputs) + 0.5))
        norm.bias.copy_(torch.from_numpy(normal(rng, outputs)))
        norm.running_mean.copy_(torch.from_numpy(normal(rng, outputs)))
    conv = conv.to(memory_format=torch.channels_last)
    shop.layer(conv, mask)
    shop.layer(norm)
    return Branch(conv, norm)


JOINED = ("joined", "joined raw")
CASES = [
    (kind, shape, density)
    for kind in ("normed", *JOINED, "images")
    for shape in SHAPES
    for density in DENSITIES
    if not (kind == "images" and shape[-1] == 2)  # no network strides over its images
    and not (kind in JOINED and density not in ("some", "one"))
]


@EVERY_SET
@pytest.mark.parametrize(("kind", "shape", "density"), CASES, ids=str)
def test_a_convolution_forth_and_back(
    kind: str, shape: tuple[int, ...], density: str, chosen: str
) -> None:
    """Outputs, both gradients, the batch norm's own, and all sums; of one branch and of two."""
    images, inputs, outputs, height, width, stride = shape
    rng = np.random.default_rng([images, outputs, height, stride])
    shop = Workshop(chosen, images)
    masks = [draw_mask(rng, (outputs, inputs, 3, 3), density)]
    if kind != "normed":
        masks.append(draw_mask(rng, (outputs + 1, inputs, 1, 1), density))
    branches = [a_branch(shop, rng, mask, stride) for mask in masks]
    x, skip = (normal(rng, images, inputs, height, width) for _ in range(2))
    factors = normal(rng, 4, inputs)
    source = shop.source(x, None if kind == "images" else "of the source")
    z = double(x)
    if kind != "images":
        source.scale, source.shift = factors[:2]
        z = z * double(factors[0])[:, None, None] + double(factors[1])[:, None, None]
    if kind.startswith("joined"):
        beside = shop.source(skip)
        source.added = beside.gradient = "added"
        shop.context.arena.reserve("added", beside.size.floats(images))
        if kind == "joined raw":
            beside.scale, beside.shift = factors[2:]
            skip = skip * beside.scale[:, None, None] + beside.shift[:, None, None]
        source.join(beside)
        z = z + double(skip)
    z.requires_grad_()
    unit = Convolution(shop.context, source, branches, ["one", "two"][: len(masks)], stride)
    activation = z if kind == "images" else z.relu()
    weights = [double(branch.conv.weight, True) for branch in branches]
    raws = [
        F.conv2d(activation, w, stride=stride, padding=w.shape[-1] // 2).detach().requires_grad_()
        for w in weights
    ]

    unit.forward(images)

    found = read(unit.raw, images, unit.size)
    expected = torch.cat(raws, 1).detach().numpy()
    assert error(found, expected) < TOLERANCE
    beyond = expected - unit.pivots[:, None, None]
    assert error(unit.sums, pair_sums(beyond, beyond)) < TOLERANCE
    if source.kept is not None:
        assert error(read(source.kept, images, source.size), activation.detach()) < TOLERANCE

    arriving = [normal(rng, *raw.shape) for raw in raws]
    outs = []
    for branch, signal, raw, g in zip(branches, unit.outputs, raws, arriving, strict=True):
        shop.give(signal, raw.detach().numpy(), g)
        outs.append(normed(branch, raw))
        outs[-1][0].backward(double(g))
    added = normal(rng, *x.shape) if source.added else np.zeros_like(x)
    if source.added:
        shop.context.arena.array("added")[: beside.size.floats(images)] = to_lanes(added).ravel()
    unit.backward(images, STILL)

    total = activation.new_zeros(())
    for w, raw in zip(weights, raws, strict=True):
        y = F.conv2d(activation, w, stride=stride, padding=w.shape[-1] // 2)
        total = total + (y * raw.grad).sum()
    if kind != "images":
        total = total + (activation * double(added)).sum()
    total.backward()
    largest = max(float(w.grad.abs().max()) for w in weights)
    for branch, mask, w, (_, own) in zip(branches, masks, weights, outs, strict=True):
        moved = shop.momenta[branch.conv.weight].numpy()
        assert not moved[~mask].any()
        assert error(moved, w.grad.numpy() * mask, largest) < AMPLIFIED
        for parameter, of_own in zip((branch.norm.weight, branch.norm.bias), own, strict=True):
            # Cancelling sums are held to what sums of so many draws come to.
            scale = float(np.sqrt(images * unit.size.pixels))
            assert error(shop.momenta[parameter], of_own.grad, scale) < TOLERANCE
    if kind != "images":
        assert error(shop.gradient(source, images), z.grad) < AMPLIFIED
        sums = pair_sums(z.grad.numpy(), x)
        scale = float(np.sqrt(images * height * width) * z.grad.abs().max() * np.abs(x).max())
        assert error(source.sums, sums, scale) < TOLERANCE


@EVERY_SET
def test_running_statistics_and_a_bias_that_cancels(chosen: str) -> None:
    rng = np.random.default_rng(0)
    shop = Workshop(chosen, 21)
    branch = a_branch(shop, rng, np.ones((5, 4, 3, 3), dtype=np.bool_), 1, bias=True)
    x, g = normal(rng, 21, 4, 6, 6), normal(rng, 21, 5, 6, 6)
    norm = nn.BatchNorm2d(5)
    norm.load_state_dict(branch.norm.state_dict())
    unit = Convolution(shop.context, shop.source(x), [branch], ["one"], 1)

    unit.forward(21)
    y = branch.conv(torch.from_numpy(x))
    out = norm(y)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert error(getattr(branch.norm, name), getattr(norm, name)) < TOLERANCE
    scale, shift = (
        torch.from_numpy(a)[:, None, None] for a in (unit.norms[0].scale, unit.norms[0].shift)
    )
    normalised = torch.from_numpy(read(unit.raw, 21, unit.size)) * scale + shift
    assert error(normalised, out.detach()) < TOLERANCE

    shop.give(unit.outputs[0], read(unit.raw, 21, unit.size), g)
    bias = branch.conv.bias.detach().clone()
    unit.backward(21, Rule(0.1, 0.9, 0.5))
    assert torch.allclose(shop.momenta[branch.conv.bias], 0.5 * bias)
    assert torch.allclose(branch.conv.bias, bias - 0.05 * bias)


@EVERY_SET
def test_a_variance_is_found_beside_a_large_mean(chosen: str) -> None:
    rng = np.random.default_rng(0)
    shop = Workshop(chosen, 37)
    branch = a_branch(shop, rng, np.ones((3, 1, 1, 1), dtype=np.bool_), 1)
    x = np.float32(300) + normal(rng, 37, 1, 8, 8)
    unit = Convolution(shop.context, shop.source(x, None), [branch], ["one"], 1)
    unit.forward(37)
    raw = read(unit.raw, 37, unit.size).astype(np.float64)
    expected = branch.norm.weight.detach().numpy() / np.sqrt(raw.var((0, 2, 3)) + branch.norm.eps)
    assert error(unit.norms[0].scale, expected) < TOLERANCE


@EVERY_SET
@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 5), (2, 2), (1, 1), (1, 6)])
@pytest.mark.parametrize("is_raw", [False, True])
def test_max_pooling(is_raw: bool, height: int, width: int, chosen: str) -> None:
    images, channels = 21, 5
    rng = np.random.default_rng(height)
    # Few values, so that windows have ties.
    x = rng.integers(-3, 4, (images, channels, height, width)).astype(np.float32)
    x = np.maximum(x, 0) if is_raw else x
    shop = Workshop(chosen, images)
    source = shop.source(x)
    z = double(x)
    if not is_raw:
        source.scale, source.shift = (np.full(channels, v, dtype=np.float32) for v in (-2, 1))
        z = 1 - 2 * z
    z.requires_grad_()
    unit = MaxPool(shop.context, source, "pooled")
    unit.forward(images)
    expected = F.max_pool2d(z.relu(), 2, ceil_mode=True)
    found = read(unit.values, images, unit.output.size)
    assert np.array_equal(found, expected.detach().numpy())

    g = normal(rng, *expected.shape)
    shop.give(unit.output, found, g)
    unit.backward(images, STILL)
    expected.backward(double(g))
    assert np.array_equal(shop.gradient(source, images), z.grad.float().numpy())
    assert np.allclose(source.sums, pair_sums(z.grad.numpy(), x), atol=1e-4)


@EVERY_SET
@pytest.mark.parametrize("joined", [False, True])
def test_the_mean_over_pixels(joined: bool, chosen: str) -> None:
    images, channels = 37, 6
    rng = np.random.default_rng(1)
    x, skip = (normal(rng, images, channels, 5, 3) for _ in range(2))
    shop = Workshop(chosen, images)
    source = shop.source(x)
    source.scale, source.shift = normal(rng, 2, channels)
    z = double(x) * double(source.scale)[:, None, None] + double(source.shift)[:, None, None]
    if joined:
        source.join(shop.source(skip))
        z = z + double(skip)
    z = z.detach().requires_grad_()
    unit = Mean(shop.context, source)
    unit.forward(images)
    mean = z.relu().mean((2, 3))
    assert error(unit.output.values[:, :images].T, mean.detach()) < TOLERANCE

    g = normal(rng, images, channels)
    assert unit.output.gradient is not None
    unit.output.gradient[:] = 0
    unit.output.gradient[:, :images] = g.T
    unit.backward(images, STILL)
    mean.backward(double(g))
    assert error(shop.gradient(source, images), z.grad) < TOLERANCE
    assert np.allclose(source.sums, pair_sums(z.grad.numpy(), x), atol=1e-4)


@EVERY_SET
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize(("images", "inputs", "outputs"), [(128, 60, 30), (37, 17, 10), (1, 3, 2)])
def test_a_linear_layer(
    images: int, inputs: int, outputs: int, rectified: bool, density: str, chosen: str
) -> None:
    rng = np.random.default_rng(images)
    shop = Workshop(chosen, images)
    mask = draw_mask(rng, (outputs, inputs), density)
    layer = shop.layer(nn.Linear(inputs, outputs), mask)
    lanes = -(-images // LANES) * LANES
    x = aligned((inputs, lanes))
    x[:, :images] = np.maximum(normal(rng, inputs, images), 0)
    unit = Linear(shop.context, layer, Features(x, np.zeros_like(x)), rectified=rectified)
    of_input = aligned(x.shape)
    unit.source = Features(x, of_input)
    unit.forward(images)
    weight, bias = double(layer.weight, True), double(layer.bias, True)
    z = double(x[:, :images].T.copy(), True)
    y = F.linear(z.relu(), weight, bias)
    y = y.relu() if rectified else y
    assert error(unit.output.values[:, :images].T, y.detach()) < TOLERANCE

    g = normal(rng, images, outputs)
    if rectified:  # the layer behind leaves no gradient where this one's output is 0
        g *= y.detach().numpy() > 0
    assert unit.output.gradient is not None
    unit.output.gradient[:, :images] = g.T
    unit.backward(images, STILL)
    y.backward(double(g))
    assert error(of_input[:, :images].T, z.grad) < TOLERANCE
    assert error(shop.momenta[layer.weight], weight.grad * torch.from_numpy(mask)) < TOLERANCE
    assert error(shop.momenta[layer.bias], bias.grad) < TOLERANCE


@EVERY_SET
@pytest.mark.parametrize(("images", "classes"), [(37, 10), (1, 2), (16, 100)])
def test_cross_entropy(images: int, classes: int, chosen: str) -> None:
    rng = np.random.default_rng(classes)
    shop = Workshop(chosen, images)
    features = Features(shop.context.features(classes), shop.context.features(classes))
    logits = 30 * normal(rng, images, classes)
    features.values[:] = np.nan  # dead lanes may hold anything
    features.values[:, :images] = logits.T
    labels = torch.from_numpy(rng.integers(classes, size=images))
    loss, correct = CrossEntropy(shop.context, features)(labels)
    z = double(logits, True)
    expected = F.cross_entropy(z, labels)
    expected.backward()
    assert loss == pytest.approx(images * expected.item(), rel=1e-9)
    assert correct == int((z.argmax(1) == labels).sum())
    assert features.gradient is not None
    assert error(features.gradient[:, :images].T, z.grad) < TOLERANCE
    assert not features.gradient[:, images:].any()


@EVERY_SET
def test_what_is_not_a_number_stays_so(chosen: str) -> None:
    """That a diverging run is seen: max(0, .) of it is not 0."""
    shop = Workshop(chosen, 16)
    source = shop.source(np.full((16, 2, 4, 4), np.nan, dtype=np.float32))
    source.scale = source.shift = np.ones(2, dtype=np.float32)
    unit = Mean(shop.context, source)
    unit.forward(16)
    assert np.isnan(unit.output.values).all()


@EVERY_SET
@pytest.mark.parametrize("as_features", [False, True])
def test_images_are_laid_out_whatever_their_strides(as_features: bool, chosen: str) -> None:
    shop = Workshop(chosen, 37)
    images = torch.from_numpy(normal(np.random.default_rng(0), 37, 3, 5, 4))
    laid = Images(shop.context, Size(3, 5, 4))
    where = laid.features().values if as_features else None
    if where is None:
        laid.planes()
    for strided in (images, images.contiguous(memory_format=torch.channels_last)):
        laid.take(strided)
        if where is not None:
            assert np.array_equal(where[:, :37].T, images.flatten(1).numpy())
            assert not where[:, 37:].any()
        else:
            assert np.array_equal(laid._values, to_lanes(images.numpy()))
