"""SNIP, GraSP, Fisher and OBD against their formulas, written out in float64."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scored
import torch
from scored import Exact, assert_close, data, scoring
from torch import nn

from rgtool.runner import models
from rgtool.runner.pruners import fisher, gradients, grasp, obd, snip
from rgtool.runner.pruners.gradients import multiply_adds
from rgtool.runner.pruners.scoring import Scoring, no_images
from rgtool.schemas.errors import UsageError

SCHEMES = {"snip": snip, "grasp": grasp, "fisher": fisher, "obd": obd}
NETWORKS = pytest.mark.parametrize("network", scored.NETWORKS)


def of(network: str, images: int = 7, **changes: object) -> Scoring:
    known = {"plain": scored.Plain, "smooth": lambda: scored.Plain(smooth=True), **scored.NETWORKS}
    return scoring(known[network](), *data(images), **changes)  # type: ignore[arg-type]


def image_gradients(exact: Exact) -> torch.Tensor:
    """Gradients of single images, shape (B, N)."""
    point = exact.point.clone().requires_grad_()
    return torch.stack([torch.autograd.grad(one, point)[0] for one in exact.image_losses(point)])


def gauss_newton(exact: Exact) -> torch.Tensor:
    """The diagonal of mean_b J_b' (diag p_b - p_b p_b') J_b."""
    jacobian = torch.autograd.functional.jacobian(exact.image_logits, exact.point)
    p = exact.image_logits(exact.point).softmax(1)
    inner = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    return torch.einsum("bcn,bcd,bdn->n", jacobian, inner, jacobian) / len(p)


@NETWORKS
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_snip_is_the_slope_of_the_loss(network: str, mode: str) -> None:
    one = of(network, mode=mode)
    exact = Exact(one)
    assert_close(snip.scores(one), (exact.point * exact.slopes()).abs())


@NETWORKS
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_grasp_is_the_hessian_times_the_gradient(network: str, mode: str) -> None:
    one = of(network, mode=mode)
    exact = Exact(one, grasp.TEMPERATURE)
    gradient = exact.slopes() * exact.kept  # of the weights that there are
    assert_close(grasp.scores(one), exact.point * (exact.hessian() @ gradient), rtol=1e-3)


def test_grasp_tells_what_removal_does_to_the_gradient() -> None:
    """Taking a share e off a weight changes the squared norm of the gradient by -2 e w (H g)."""
    one = of("mixed", keep=1)
    exact, step = Exact(one, grasp.TEMPERATURE), 1e-5
    norm, found = exact.gradient().square().sum(), scored.flat(grasp.scores(one))
    for i in (0, 17, 200):
        exact.point[i] *= 1 - step
        change = (exact.gradient().square().sum() - norm) / step
        exact.point[i] /= 1 - step
        assert change.item() == pytest.approx(-2 * found[i], rel=1e-3)


@NETWORKS
def test_fisher_is_the_mean_square_of_the_gradients_of_images(network: str) -> None:
    one = of(network)
    exact = Exact(one)
    squares = image_gradients(exact).square().mean(0)
    assert_close(fisher.scores(one), exact.point.square() * squares)


@pytest.mark.parametrize("network", ["mixed", "plain"])
def test_obd_is_the_diagonal_of_the_hessian(network: str) -> None:
    one = of(network)
    exact = Exact(one)
    assert_close(obd.scores(one), exact.point.square() * exact.curvatures() / 2, rtol=1e-3)


@pytest.mark.parametrize("network", [*scored.NETWORKS, "smooth"])
def test_obd_is_the_diagonal_of_gauss_newton(network: str) -> None:
    one = of(network)
    exact = Exact(one)
    assert_close(obd.scores(one), exact.point.square() * gauss_newton(exact) / 2)


@pytest.mark.parametrize("network", ["smooth", "twice"])
def test_obd_is_not_that_of_the_hessian_where_its_docs_say_so(network: str) -> None:
    one = of(network)
    exact = Exact(one)
    hessian = (exact.point.square() * exact.hessian().diagonal() / 2).numpy()
    assert np.abs(scored.flat(obd.scores(one)) - hessian).max() > 0.01 * np.abs(hessian).max()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("model", ["lenet", "resnet8w2"])
def test_networks_of_the_package(scheme: str, model: str) -> None:
    module = models.build(model, (1, 8, 8), scored.CLASSES)
    one = scoring(module, *data(3, (1, 8, 8)))
    exact = Exact(one, grasp.TEMPERATURE if scheme == "grasp" else 1)
    assert_close(SCHEMES[scheme].scores(one), _by_autograd(scheme, exact), rtol=1e-3)


def _by_autograd(scheme: str, exact: Exact) -> torch.Tensor:
    """The formulas again, in float64, without anything as large as a Hessian."""
    point = exact.point
    if scheme == "snip":
        return (point * exact.gradient()).abs()
    if scheme == "grasp":
        vector = exact.gradient() * exact.kept
        return point * torch.autograd.functional.hvp(exact.loss, point, vector)[1]
    if scheme == "fisher":
        return point.square() * image_gradients(exact).square().mean(0)
    return point.square() * gauss_newton(exact) / 2


# How it is computed.


@pytest.mark.parametrize(("network", "passes"), [("mixed", 2), ("twice", 2), ("odd", 7)])
def test_a_batch_passes_at_once_where_it_can(network: str, passes: int) -> None:
    one = of(network)
    batches: list[int] = []
    one.module.register_forward_pre_hook(lambda module, inputs: batches.append(len(inputs[0])))
    fisher.scores(one)
    assert batches[4:] == ([4, 3] if passes == 2 else [1] * passes)  # behind the trial


@pytest.mark.parametrize("scheme", SCHEMES)
def test_batches_do_not_matter_in_evaluation(scheme: str) -> None:
    few, whole = (SCHEMES[scheme].scores(of("mixed", batch=batch)) for batch in (3, 7))
    assert_close(few, torch.from_numpy(scored.flat(whole)), rtol=1e-5)


@pytest.mark.parametrize("scheme", ["fisher", "obd"])
def test_single_images_in_pieces(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scored.flat(SCHEMES[scheme].scores(of("mixed")))
    monkeypatch.setattr(gradients, "_AT_ONCE", 1)
    assert_close(SCHEMES[scheme].scores(of("mixed")), torch.from_numpy(whole), rtol=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pruned_weights_and_unused_ones_score_zero(scheme: str) -> None:
    one = of("odd")
    found = SCHEMES[scheme].scores(one)
    assert list(found) == list(one.mask)
    for name, scores in found.items():
        assert scores.shape == one.mask[name].shape
        assert not scores[~one.mask[name]].any()
    assert not found["unused"].any() and found["twice"].any()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_frozen_weights_are_scored_too(scheme: str) -> None:
    free, frozen = of("mixed"), of("mixed")
    frozen.module.requires_grad_(False)
    expected = torch.from_numpy(scored.flat(SCHEMES[scheme].scores(free)))
    assert_close(SCHEMES[scheme].scores(frozen), expected, rtol=1e-7)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_network_that_is_sure_is_still_ranked(scheme: str) -> None:
    """The softmax of logits that lie 30 apart is 1 in float32, and its gradient would be 0."""
    one = of("plain")
    with torch.no_grad():
        one.module.fc.bias.copy_(torch.tensor([30.0, 0, 0]))
    images = data(4)[0]
    sure = dataclasses.replace(
        one, network=lambda: one.module, batches=lambda: iter([(images, torch.zeros(4).long())])
    )
    assert SCHEMES[scheme].scores(sure)["fc"][0].any()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_dropout_draws_follows_from_the_step(scheme: str) -> None:
    def found(mode: str, generator: int = 2) -> np.ndarray:
        one = scoring(scored.Plain(drop=0.5), *data(7), mode=mode)
        one.generator.manual_seed(generator)
        return scored.flat(SCHEMES[scheme].scores(one))

    torch.manual_seed(0)
    first = found("train")
    torch.manual_seed(1)
    assert np.array_equal(found("train"), first)
    assert not np.array_equal(found("train", generator=3), first)
    assert not np.array_equal(found("eval"), first)


def test_every_batch_drops_others() -> None:
    x, y = data(4)
    once, twice = (
        scoring(scored.Plain(drop=0.5), x.repeat(n, 1, 1, 1), y.repeat(n), mode="train")
        for n in (1, 2)
    )
    first, both = snip.scores(once), snip.scores(twice)
    assert not np.allclose(first["fc"], both["fc"])


def test_both_passes_of_grasp_drop_the_same() -> None:
    """H v is what the gradient changes by along v, where both have the same draws."""
    one = scoring(scored.Plain(drop=0.5), *data(7), mode="train")
    before = gradients.loss_gradient(one)
    product = gradients.hessian_product(one, before)
    step = 1e-3
    with torch.no_grad():
        for name, v in before.items():
            one.module.get_parameter(f"{name}.weight").add_(step * v)
    for name, after in gradients.loss_gradient(one).items():
        change = (after - before[name]) / step
        torch.testing.assert_close(change, product[name], rtol=0.02, atol=1e-3)


def test_multiplications_are_those_of_the_way_forward() -> None:
    positions = {"first": 20, "grouped": 9, "around": 9, "along": 9, "fc": 1}
    one = of("mixed")
    expected = sum(positions[name] * weight.size for name, weight in one.weights.items())
    assert multiply_adds(one.module, one.mask, data(1)[0]) == expected
    twice = of("twice")
    assert multiply_adds(twice.module, twice.mask, data(1)[0]) == 2 * 8 * 8 + 8 * scored.CLASSES


# What cannot be scored.


@pytest.mark.parametrize("scheme", ["fisher", "obd"])
def test_batch_statistics_tie_images_together(scheme: str) -> None:
    with pytest.raises(UsageError, match=r"^norm takes the statistics.*score_mode=\"eval\", or"):
        SCHEMES[scheme].scores(of("mixed", mode="train"))
    assert SCHEMES[scheme].scores(of("plain", mode="train"))  # has none


@pytest.mark.parametrize("scheme", ["fisher", "obd"])
def test_batch_norm_without_statistics(scheme: str) -> None:
    module = scored.Mixed()
    module.norm = nn.BatchNorm2d(4, track_running_stats=False)
    with pytest.raises(UsageError, match='eval" and a batch norm that keeps statistics, or'):
        SCHEMES[scheme].scores(scoring(module, *data(7)))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_images(scheme: str) -> None:
    blind = dataclasses.replace(of("plain"), batches=no_images)
    with pytest.raises(UsageError, match="the pruner looks at images, and there are none here"):
        SCHEMES[scheme].scores(blind)


def test_a_hessian_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    one = of("mixed")
    each = multiply_adds(one.module, one.mask, data(1)[0]) * scored.CLASSES
    monkeypatch.setattr(obd, "MOST", 7 * each)
    obd.scores(one)
    monkeypatch.setattr(obd, "MOST", 7 * each - 1)
    with pytest.raises(UsageError, match=r"for 7 images and 3 classes.*score_images=6 is the most"):
        obd.scores(of("mixed"))
    monkeypatch.setattr(obd, "MOST", 3 * each - 1)
    with pytest.raises(UsageError, match="at most: use fisher$"):
        obd.scores(of("mixed"))
