"""The identities of a flow, held by the runner's own prunings of random weights."""

import itertools

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pruned import OF_WEIGHTS, prune_once

from rgtool.analysis import flow
from rgtool.schemas.blocks import Layer, architecture
from rgtool.schemas.recipe import CHOICES, Recipe

RULES = list(itertools.product(OF_WEIGHTS, CHOICES["scope"], CHOICES["rounding"]))
LEVELS = 4


@st.composite
def prunings(draw: st.DrawFn) -> tuple[tuple[Layer, ...], Recipe, np.ndarray, np.ndarray]:
    """Layers, recipe, kept counts and sums of kept |w|, both (T, L), of masks pruned in turn.

    Weights are drawn anew at every level, as training would leave others.
    """
    totals = draw(st.lists(st.integers(20, 400), min_size=2, max_size=6))
    layers = tuple(Layer(f"l{i}", "linear", (n, 1), f"l{i}", None) for i, n in enumerate(totals))
    pruner, scope, rounding = draw(st.sampled_from(RULES))
    recipe = Recipe(
        architecture="lenet",
        task="digits",
        pruner=pruner,
        scope=scope,
        rounding=rounding,
        prune=draw(st.floats(0.05, 0.6)),
        exempt=("l1",) if draw(st.booleans()) else (),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scales = 10.0 ** rng.uniform(-1, 1, len(layers))
    mask = {layer.name: np.ones(layer.shape, np.bool_) for layer in layers}
    kept, magnitudes = [], []
    for level in range(LEVELS + 1):
        weights = {
            layer.name: (scale * rng.standard_normal(layer.shape)).astype(np.float32)
            for layer, scale in zip(layers, scales, strict=True)
        }
        if level:
            generator = torch.Generator().manual_seed(level)
            before = mask
            mask = prune_once(weights, mask, layers, recipe, level, generator)
            assert all((mask[name] <= before[name]).all() for name in mask)
        kept.append([int(mask[layer.name].sum()) for layer in layers])
        magnitudes.append([np.abs(weights[x.name] * mask[x.name]).sum() for x in layers])
    assume(any(kept[-1]))  # a network that has lost every weight has no shares, and is not trained
    return layers, recipe, np.array(kept), np.array(magnitudes, np.float64)


@settings(max_examples=60, deadline=None)
@given(prunings())
def test_counts_never_rise_and_shares_times_eigenvalues_sum_to_one(pruned):
    _, _, kept, _ = pruned
    assert (np.diff(kept, axis=0) <= 0).all()
    share, eigenvalue = flow.shares(kept), flow.eigenvalues(kept)
    np.testing.assert_allclose(np.nansum(share[:-1] * eigenvalue, axis=1), 1, rtol=1e-12)
    bound = 1 / flow.retention(kept)[:, None]
    alive = kept[:-1] > 0
    assert (eigenvalue[alive] <= np.broadcast_to(bound, alive.shape)[alive]).all()
    exponent = flow.exponents(kept)
    assert (exponent[np.isfinite(exponent)] <= 1).all()


@settings(max_examples=60, deadline=None)
@given(prunings())
def test_exempt_layers_grow_by_one_over_retention_with_exponent_one(pruned):
    layers, recipe, kept, _ = pruned
    fixed = [i for i, layer in enumerate(layers) if layer.name in recipe.exempt]
    rho = flow.retention(kept)
    for i in fixed:
        assert (kept[:, i] == layers[i].total).all()
        np.testing.assert_allclose(flow.eigenvalues(kept)[:, i], 1 / rho, rtol=1e-12)
        np.testing.assert_allclose(flow.exponents(kept)[rho < 1, i], 1, rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(prunings())
def test_a_windows_exponent_is_that_of_its_steps_weighted_by_what_they_prune(pruned):
    _, _, kept, _ = pruned
    if (kept[-1] == 0).any() or (np.diff(kept.sum(axis=1)) == 0).any():
        return  # a group without weights has no exponent, a step that prunes nothing neither
    log_rho = -np.log(flow.retention(kept))
    whole = flow.window_exponents(kept, 0, LEVELS)
    steps = (flow.exponents(kept) * log_rho[:, None]).sum(axis=0) / log_rho.sum()
    np.testing.assert_allclose(whole, steps, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(prunings())
def test_shares_of_magnitude_keep_the_sum_rule(pruned):
    _, _, _, magnitudes = pruned
    share, eigenvalue = flow.shares(magnitudes), flow.eigenvalues(magnitudes)
    np.testing.assert_allclose(np.nansum(share[:-1] * eigenvalue, axis=1), 1, rtol=1e-9)


def test_bounds_are_those_of_counts_alone():
    """The kept weights of one group can grow while training: no bound on its magnitude's growth."""
    magnitudes = np.array([[10.0, 10.0], [16.0, 4.0]])
    counts = np.array([[100, 100], [90, 70]])
    assert flow.eigenvalues(magnitudes)[0, 0] > 1 / flow.retention(counts)[0]


@given(st.sampled_from(["lenet", "resnet8w4", "resnet20", "vgg16", "resnet50"]))
def test_the_first_shares_are_those_of_the_architecture(name):
    network = architecture(name)
    layers = network.counted()
    for pruner, scope, rounding in RULES[:2]:
        recipe = Recipe(
            architecture=name, task="digits", pruner=pruner, scope=scope, rounding=rounding
        )
        totals = np.array([layer.total for layer in architecture(recipe.architecture).counted()])
        np.testing.assert_array_equal(flow.shares(totals), totals / sum(x.total for x in layers))
