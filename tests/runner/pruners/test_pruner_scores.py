"""Scores of the pruners that need no images, each against its formula written out slowly."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scorings import random_mask, scoring_of, small
from torch import nn

from rgtool.runner.pruners import erk, increase, magnitude, movement, synflow
from rgtool.runner.pruners.registry import PRUNERS, find_pruner
from rgtool.runner.pruners.scoring import Scoring, no_images
from rgtool.runner.pruning import Mask, Scores, dense_mask, kept_of, next_mask
from rgtool.runner.replicas.randomness import generator
from rgtool.schemas.blocks import Layer, architecture
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.schemas.recipe import Recipe

OF_SMALL = (
    Layer("conv1", "conv", (3, 2, 3, 3), "conv1", None),
    Layer("conv2", "conv", (3, 3, 3, 3), "conv2", None),
    Layer("fc", "linear", (4, 12), "fc", None),
)


def recipe_for(**changes: object) -> Recipe:
    return Recipe(architecture="small", task="none", **changes)  # type: ignore[arg-type]


# SynFlow.


def flow_of(module: nn.Module) -> float:
    """R: the sum of the outputs for an image of ones, where nothing is negative."""
    module = copy.deepcopy(module).double().eval()
    for tensor in module.state_dict().values():
        tensor.copy_(tensor.abs())
    with torch.no_grad():
        return float(module(torch.ones(1, 2, 4, 4, dtype=torch.float64)).sum())


@pytest.mark.parametrize("share", [2.0, 0.6])
def test_synflow_is_what_a_weight_adds_to_the_flow(share: float) -> None:
    """R is linear in every single |w|: w dR/dw is what R loses without that weight."""
    module = small()
    mask = random_mask(module, share)
    scoring = scoring_of(module, mask)
    scores, pruned = synflow.scores(scoring), scoring.network()
    whole = flow_of(pruned)
    for name, kept in mask.items():
        weight = pruned.get_parameter(f"{name}.weight")
        assert scores[name].dtype == np.float64 and scores[name].shape == kept.shape
        for index in itertools.islice(np.ndindex(*kept.shape), 0, None, 3):
            before = weight.data[index].item()
            weight.data[index] = 0.0
            assert scores[name][index] == pytest.approx(whole - flow_of(pruned), rel=1e-9, abs=1e-9)
            weight.data[index] = before
        assert (scores[name][~kept] == 0).all()


def test_synflow_sums_over_paths_and_conserves_their_flow() -> None:
    """Without biases every cut through the network carries all of R (Tanaka et al., theorem 2)."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(32, 5, bias=False), nn.ReLU(), nn.Linear(5, 4, bias=False)
    )
    scores = synflow.scores(scoring_of(module))
    first, last = (module[i].weight.detach().abs().double().numpy() for i in (1, 3))
    np.testing.assert_allclose(scores["1"], first * last.sum(0)[:, None])
    np.testing.assert_allclose(scores["3"], last * first.sum(1)[None, :])
    assert scores["1"].sum() == pytest.approx(scores["3"].sum())


def test_synflow_holds_where_single_precision_ends() -> None:
    module = nn.Sequential(nn.Flatten(), *[nn.Linear(32, 32, bias=False) for _ in range(30)])
    for part in module[1:]:
        nn.init.constant_(part.weight, 10.0)  # type: ignore[union-attr, arg-type]
    scores = synflow.scores(scoring_of(module))
    np.testing.assert_allclose(scores["1"], 32.0 * 320.0**29 * 10.0 / 32.0, rtol=1e-12)


def test_synflow_says_where_a_layer_is_empty() -> None:
    mask = random_mask(small(), 0.5)
    mask["conv2"][:] = False
    module = small()
    for bias in ("conv1.bias", "conv2.bias", "fc.bias", "bn1.bias"):
        nn.init.zeros_(module.get_parameter(bias))
    with pytest.raises(RgtoolError, match="layer conv2 has run empty.*score_steps") as refused:
        synflow.scores(scoring_of(module, mask))
    assert str(refused.value).count("\n") <= 1


def test_a_hundred_steps_of_synflow_are_those_of_its_algorithm() -> None:
    """Tanaka et al., algorithm 1, in full; one step finds another mask."""
    module, recipe = small(), recipe_for(prune=0.9, pruner="synflow", score_steps=100)
    full = dense_mask(OF_SMALL)
    found = next_mask(score_with(module), weights_of(module), full, OF_SMALL, recipe, 1)
    mask, total = full, sum(m.size for m in full.values())
    for k in range(1, 101):
        keep = round(total * 0.1 ** (k / 100)) if k < 100 else round(total * (1 - 0.9))
        scores = synflow.scores(scoring_of(module, mask))
        flat = np.concatenate([np.where(mask[n], scores[n], -1.0).ravel() for n in mask])
        threshold = np.sort(flat)[-keep]
        mask = {n: mask[n] & (scores[n] >= threshold) for n in mask}
        assert sum(int(m.sum()) for m in mask.values()) == keep
    for name in mask:
        np.testing.assert_array_equal(found[name], mask[name])
    once = next_mask(
        score_with(module), weights_of(module), full, OF_SMALL,
        recipe_for(prune=0.9, pruner="synflow"), 1,
    )  # fmt: skip
    assert any((once[name] != found[name]).any() for name in found)


def score_with(module: nn.Module, pruner: str = "synflow") -> Callable[[Mask, int, float], Scores]:
    def score(mask: Mask, step: int, density: float) -> Scores:
        return find_pruner(pruner).scores(scoring_of(module, mask, density=density))

    return score


def weights_of(module: nn.Module) -> dict[str, np.ndarray]:
    return {
        x.name: module.get_parameter(f"{x.name}.weight").detach().numpy().copy() for x in OF_SMALL
    }


# Erdős-Rényi kernel.


def rigl_counts(layers: tuple[Layer, ...], density: float) -> list[float]:
    """`get_mask_random_erdos_renyi` of rigl/sparse_utils.py: eps is solved while one is above 1."""
    dense: set[str] = set()
    while True:
        divisor = rhs = 0.0
        for layer in layers:
            ones, zeros = layer.total * density, layer.total * (1 - density)
            if layer.name in dense:
                rhs -= zeros
            else:
                rhs += ones
                divisor += sum(layer.shape) / layer.total * layer.total
        eps = rhs / divisor
        probability = {x.name: eps * sum(x.shape) / x.total for x in layers if x.name not in dense}
        largest = max(probability.values())
        if largest <= 1:
            return [x.total * (1 if x.name in dense else probability[x.name]) for x in layers]
        dense |= {name for name, value in probability.items() if value == largest}


@pytest.mark.parametrize("model", ["lenet", "resnet8w4", "vgg11"])
def test_erk_keeps_the_counts_of_rigl_at_every_level(model: str) -> None:
    layers = architecture(model, (3, 32, 32), 10).counted("all")
    recipe = recipe_for(prune=0.6, pruner="erk")
    weights = {x.name: np.ones(x.shape, np.float32) for x in layers}
    mask = dense_mask(layers)
    for level in range(1, 5):
        masks = {}
        for seed in (0, 1):

            def score(left: Mask, step: int, density: float, at: tuple[int, int] = (seed, level)):  # type: ignore[no-untyped-def]
                rng = generator(at[0], "prune", at[1])
                return erk.scores(of_weights(weights, left, generator=rng))

            masks[seed] = next_mask(score, weights, mask, layers, recipe, level)
        whole = sum(int(m.sum()) for m in masks[0].values())
        expected = rigl_counts(layers, whole / sum(layer.total for layer in layers))
        for found in masks.values():
            counts = kept_of(found, [layer.name for layer in layers])
            np.testing.assert_allclose(counts, expected, atol=1.0)
        assert any((masks[0][name] != masks[1][name]).any() for name in mask)
        mask = masks[0]


def of_weights(weights: dict[str, np.ndarray], mask: Mask, **changes: object) -> Scoring:
    values: dict[str, object] = {
        "weights": weights,
        "rewind": {name: np.zeros_like(w) for name, w in weights.items()},
        "mask": mask,
        "network": small,
        "batches": no_images,
        "classes": 4,
        "input_shape": (2, 4, 4),
    }
    return Scoring(**{**values, **changes})  # type: ignore[arg-type]


def test_erk_draws_uniformly_within_a_layer() -> None:
    """Over many seeds every weight is kept as often as its neighbour (4 sigma)."""
    layers, share, seeds = OF_SMALL, 0.5, 400
    weights = {x.name: np.ones(x.shape, np.float32) for x in layers}
    often = {x.name: np.zeros(x.shape) for x in layers}
    for seed in range(seeds):
        scoring = of_weights(weights, dense_mask(layers), generator=generator(seed, "any"))
        for name, scores in erk.scores(scoring).items():
            often[name] += scores > np.quantile(scores, share)
    for name, times in often.items():
        mean = times.mean() / seeds
        assert np.abs(times / seeds - mean).max() < 4.5 * np.sqrt(mean * (1 - mean) / seeds), name


# Of weights alone, and of movement.


@given(data=st.data())
def test_increase_is_the_change_of_magnitude(data: st.DataObject) -> None:
    numbers = st.floats(-1e3, 1e3, width=32)
    end, begin = (
        np.array(data.draw(st.lists(numbers, min_size=6, max_size=6)), np.float32).reshape(2, 3)
        for _ in range(2)
    )
    ones = {"a": np.ones((2, 3), bool)}
    scores = increase.scores(of_weights({"a": end}, ones, rewind={"a": begin}))["a"]
    for i, j in np.ndindex(2, 3):
        assert scores[i, j] == abs(float(end[i, j])) - abs(float(begin[i, j]))


def test_movement_is_the_sum_that_training_has_made() -> None:
    sums = {"a": np.arange(6.0).reshape(2, 3)}
    ones = {"a": np.ones((2, 3), bool)}
    scoring = of_weights({"a": np.ones((2, 3), np.float32)}, ones, movement=sums)
    np.testing.assert_array_equal(movement.scores(scoring)["a"], sums["a"])
    with pytest.raises(UsageError, match="nothing was trained"):
        movement.scores(of_weights({"a": np.ones((2, 3), np.float32)}, ones))


def test_magnitude_is_the_magnitude_bit_for_bit() -> None:
    weights = weights_of(small())
    found = magnitude.scores(of_weights(weights, dense_mask(OF_SMALL)))
    for name, scores in found.items():
        assert scores.dtype == np.float32
        np.testing.assert_array_equal(scores, np.abs(weights[name]))


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_scores_every_weight(name: str) -> None:
    module = small()
    labels = torch.arange(8) % 4
    images = list(zip(torch.randn(8, 2, 4, 4).split(6), labels.split(6), strict=True))
    moved = {n: w.astype(np.float64) for n, w in weights_of(module).items()}
    mask = random_mask(module, 0.7)
    scores = PRUNERS[name](
        scoring_of(module, mask, lambda: iter(images), movement=moved, density=0.5)
    )
    assert {n: s.shape for n, s in scores.items()} == {x.name: x.shape for x in OF_SMALL}
    assert all(np.isfinite(s).all() for s in scores.values())


# Ties.


def test_of_equal_scores_the_smaller_weight_goes() -> None:
    layers = (Layer("a", "linear", (1, 6), "a", None), Layer("b", "linear", (1, 4), "b", None))
    weights = {
        "a": np.array([[5, -1, 4, 2, 9, -7]], np.float32),
        "b": np.array([[-3, 2, 8, 6]], np.float32),
    }
    zero_but_one = {"a": np.zeros((1, 6)), "b": np.array([[0.0, 0.0, 0.0, -1.0]])}
    recipe = recipe_for(prune=0.5)
    found = next_mask(
        lambda mask, step, density: zero_but_one, weights, dense_mask(layers), layers, recipe, 1
    )
    # -1 goes first whatever its weight; then 1, 2, 2 and 3 of the zeros.
    assert found["a"].tolist() == [[True, False, True, False, True, True]]
    assert found["b"].tolist() == [[False, False, True, False]]


@given(
    scores=st.lists(st.integers(0, 2), min_size=12, max_size=12),
    sizes=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    prune=st.floats(0.05, 0.95),
)
def test_ties_are_broken_as_a_sort_would(scores: list[int], sizes: list[int], prune: float) -> None:
    layers = (Layer("a", "linear", (3, 4), "a", None),)
    weights = {"a": np.array(sizes, np.float32).reshape(3, 4)}
    given_scores = {"a": np.array(scores, np.float64).reshape(3, 4)}
    found = next_mask(
        lambda mask, step, density: given_scores, weights, dense_mask(layers), layers,
        recipe_for(prune=prune), 1,
    )  # fmt: skip
    gone = 12 - round(12 * (1 - prune))
    order = sorted(range(12), key=lambda i: (scores[i], sizes[i], i))
    assert set(np.flatnonzero(~found["a"].ravel())) == set(order[:gone])


# Steps.


@given(
    steps=st.integers(1, 12),
    prune=st.floats(0.05, 0.99),
    scope=st.sampled_from(["global", "layerwise"]),
    exempt=st.sampled_from([(), ("fc",), ("conv1", "conv2")]),
)
def test_steps_lead_in_equal_ratios_to_the_count_of_one(
    steps: int, prune: float, scope: str, exempt: tuple[str, ...]
) -> None:
    module, seen = small(), list[tuple[int, int, float]]()
    weights, total = weights_of(module), sum(layer.total for layer in OF_SMALL)

    def score(mask: Mask, step: int, density: float) -> Scores:
        seen.append((step, sum(int(m.sum()) for m in mask.values()), density))
        return {name: np.abs(weight) for name, weight in weights.items()}

    many = recipe_for(prune=prune, scope=scope, exempt=exempt, score_steps=steps)
    one = recipe_for(prune=prune, scope=scope, exempt=exempt)
    found = next_mask(score, weights, dense_mask(OF_SMALL), OF_SMALL, many, 1)
    assert [step for step, _, _ in seen] == list(range(1, steps + 1))
    last = sum(int(m.sum()) for m in found.values())
    assert [kept for _, kept, _ in [*seen[1:], (0, last, 0.0)]] == [
        round(density * total) for _, _, density in seen
    ]
    asked = tuple(seen)
    direct = next_mask(score, weights, dense_mask(OF_SMALL), OF_SMALL, one, 1)
    for name in found:  # magnitudes do not change on the way
        np.testing.assert_array_equal(found[name], direct[name])
    if scope == "global" and not exempt:
        for step, _, density in asked:
            assert density * total == pytest.approx(total * (last / total) ** (step / steps), abs=1)
