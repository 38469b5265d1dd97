"""Which weights go: counts against published ones, choices against a sort."""

from __future__ import annotations

import itertools

import golden
import numpy as np
import plain
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pruned import OF_WEIGHTS, prune_once

from rgtool.runner.pruning import Mask, kept_after, kept_series, smallest
from rgtool.runner.replicas.randomness import generator
from rgtool.schemas.blocks import Layer, architecture
from rgtool.schemas.errors import UsageError
from rgtool.schemas.recipe import CHOICES, Recipe

OPENLTH_NAMES = {
    "cifar_resnet_14": "resnet14",
    "cifar_resnet_20": "resnet20",
    "cifar_resnet_20_32": "resnet20w32",
    "cifar_resnet_32": "resnet32",
    "cifar_resnet_44": "resnet44",
    "cifar_resnet_56": "resnet56",
    "cifar_resnet_110": "resnet110",
    "cifar_vgg_11": "vgg11",
    "cifar_vgg_13": "vgg13",
    "cifar_vgg_16": "vgg16",
    "cifar_vgg_19": "vgg19",
    "mnist_lenet_300_100": "lenet",
}
RULES = list(itertools.product(CHOICES["rounding"], CHOICES["scope"], OF_WEIGHTS))


def recipe_for(model: str, **changes: object) -> Recipe:
    return Recipe(architecture=model, task="digits", **changes)  # type: ignore[arg-type]


# Counts.


@pytest.mark.parametrize(("name", "ours"), OPENLTH_NAMES.items())
def test_counts_of_every_openlth_network(name: str, ours: str) -> None:
    # OpenLTH counts the linear layers of VGG too, and exempts its output layer as LeNet's.
    exempt = ("fc",) if ours.startswith(("vgg", "lenet")) else ()
    recipe = recipe_for(ours, rounding="openlth", exempt=exempt)
    expected = golden.kept("openlth", name)
    assert len(expected) == 21
    assert tuple(kept_series(architecture(ours).counted("all"), recipe, 20)) == expected


@pytest.mark.parametrize(
    ("source", "name", "ours", "prunable"),
    [
        ("cv_lth", "resnet18", "resnet18", "convolutions_without_stem"),
        ("cv_lth", "resnet50", "resnet50", "convolutions_without_stem"),
        ("prac", "resnet18", "resnet18", "convolutions"),
        ("prac", "res20s", "resnet20a", "convolutions"),
        ("prac", "res56s", "resnet56a", "convolutions"),
        ("prac", "vgg16_bn", "vgg16", "convolutions"),
    ],
)
def test_counts_of_torch_prune_codes(source: str, name: str, ours: str, prunable: str) -> None:
    layers = architecture(ours, (3, 32, 32), 10).counted(prunable)
    recipe = recipe_for(ours, rounding="round", prunable=prunable)
    expected = golden.kept(source, name)
    assert len(expected) == 19
    assert tuple(kept_series(layers, recipe, 18)) == expected


def test_exact_counts_do_not_drift() -> None:
    recipe = recipe_for("resnet20")
    found = kept_series(architecture("resnet20").counted(), recipe, 30)
    assert found == [round(270896 * 0.8**level) for level in range(31)]


@given(
    total=st.integers(1, 10**8),
    prune=st.floats(0.001, 0.999),
    rounding=st.sampled_from(CHOICES["rounding"]),
)
def test_counts_fall_and_stay_in_range(total: int, prune: float, rounding: str) -> None:
    kept = total
    for level in range(1, 12):
        after = kept_after(total, kept, level, prune, rounding)
        assert 0 <= after <= kept
        kept = after


@pytest.mark.parametrize(("rounding", "scope", "pruner"), RULES)
@pytest.mark.parametrize("model", ["lenet", "resnet8w2"])
def test_masks_have_the_counts_that_were_announced(
    model: str, rounding: str, scope: str, pruner: str
) -> None:
    network = architecture(model, (1, 8, 8), 10)
    layers, levels = network.counted(), 6
    recipe = recipe_for(
        model,
        rounding=rounding,
        scope=scope,
        pruner=pruner,
        exempt=network.exempt,
        prune=0.35,
    )
    masks = prune_often(layers, recipe, levels)
    counts = [sum(int(m.sum()) for m in mask.values()) for mask in masks]
    assert counts == kept_series(layers, recipe, levels)
    for before, after in itertools.pairwise(masks):
        assert all((after[name] <= before[name]).all() for name in before)
        assert all(after[name].all() for name in recipe.exempt)


def prune_often(layers: tuple[Layer, ...], recipe: Recipe, levels: int) -> list[Mask]:
    rng = np.random.default_rng(1)
    masks: list[Mask] = [{layer.name: np.ones(layer.shape, dtype=np.bool_) for layer in layers}]
    for level in range(1, levels + 1):
        weights = {n: rng.normal(size=m.shape).astype(np.float32) * m for n, m in masks[-1].items()}
        stream = generator(0, "prune", level)
        masks.append(prune_once(weights, masks[-1], layers, recipe, level, stream))
    return masks


# Choices.


@given(
    scores=hnp.arrays(np.float32, st.integers(0, 60), elements=st.sampled_from([0, 0.5, 1, 2])),
    data=st.data(),
)
def test_ties_are_broken_by_position(scores: np.ndarray, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(scores)))
    expected = np.zeros(len(scores), dtype=bool)
    expected[np.argsort(scores, kind="stable")[:count]] = True
    np.testing.assert_array_equal(smallest(scores, count), expected)


LAYERS = (
    Layer("a", "linear", (3, 4), "a", None),
    Layer("b", "linear", (2, 5), "b", None),
    Layer("c", "linear", (2, 2), "c", None),
)


@given(
    values=st.lists(st.integers(-3, 3), min_size=26, max_size=26),
    alive=st.lists(st.booleans(), min_size=26, max_size=26),
    prune=st.floats(0.05, 0.95),
    rounding=st.sampled_from(CHOICES["rounding"]),
    scope=st.sampled_from(CHOICES["scope"]),
    exempt=st.sampled_from([(), ("c",), ("a", "b")]),
)
def test_the_smallest_go_first_and_among_equals_the_first(
    values: list[int],
    alive: list[bool],
    prune: float,
    rounding: str,
    scope: str,
    exempt: tuple[str, ...],
) -> None:
    recipe = recipe_for("any", prune=prune, rounding=rounding, scope=scope, exempt=exempt)
    weights, mask = split(np.array(values, np.float32)), split(np.array(alive, bool))
    mask |= {name: np.ones_like(mask[name]) for name in exempt}
    level = 3
    found = prune_once(weights, mask, LAYERS, recipe, level)

    names = [layer.name for layer in LAYERS if layer.name not in exempt]
    parts = [(names, ["a", "b", "c"])] if scope == "global" else [([n], [n]) for n in names]
    expected = {name: mask[name].copy() for name in mask}
    for part, population in parts:
        kept = sum(int(mask[name].sum()) for name in population)
        total = sum(mask[name].size for name in population)
        remove = kept - kept_after(total, kept, level, prune, rounding)
        places = [
            (abs(float(weights[name].flat[i])), order, i)
            for order, name in enumerate(part)
            for i in range(mask[name].size)
            if mask[name].flat[i]
        ]
        for _, order, i in sorted(places)[:remove]:
            expected[part[order]].flat[i] = False
    for name in mask:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def split(flat: np.ndarray) -> dict[str, np.ndarray]:
    bounds = np.cumsum([layer.total for layer in LAYERS])[:-1]
    parts = np.split(flat, bounds)
    return {layer.name: p.reshape(layer.shape) for layer, p in zip(LAYERS, parts, strict=True)}


@pytest.mark.parametrize("exempt", [(), ("fc",)])
def test_the_rule_of_openlth_keeps_what_is_above_the_threshold(exempt: tuple[str, ...]) -> None:
    layers = architecture("lenet", (1, 8, 8), 10).counted()
    recipe = recipe_for("lenet", rounding="openlth", exempt=exempt)
    rng = np.random.default_rng(0)
    weights = {x.name: rng.normal(size=x.shape).astype(np.float32) for x in layers}
    state = {f"{name}.weight": torch.from_numpy(w) for name, w in weights.items()}
    mask: Mask = {layer.name: np.ones(layer.shape, dtype=np.bool_) for layer in layers}
    for level in (1, 2, 3):
        expected = plain.prune(state, mask, recipe)
        mask = prune_once(weights, mask, layers, recipe, level)
        for name in mask:
            np.testing.assert_array_equal(mask[name], expected[name])


def test_random_pruning_is_uniform_and_repeatable() -> None:
    layers = architecture("resnet8w4", (1, 8, 8), 10).counted()
    recipe = recipe_for("resnet8w4", pruner="random", prune=0.5)
    ones: Mask = {layer.name: np.ones(layer.shape, dtype=np.bool_) for layer in layers}
    weights = {name: np.full(m.shape, np.float32(i)) for i, (name, m) in enumerate(ones.items())}

    def draw(seed: int) -> Mask:
        return prune_once(weights, ones, layers, recipe, 1, generator(seed, "prune", 1))

    for name, again in draw(0).items():
        np.testing.assert_array_equal(again, draw(0)[name])
    assert any((draw(1)[name] != draw(0)[name]).any() for name in ones)
    # Magnitudes differ by layer and must not matter: every layer keeps about half.
    for name, kept in draw(0).items():
        assert abs(kept.mean() - 0.5) < 4 * 0.5 / np.sqrt(kept.size), name


# The end.


@pytest.mark.parametrize("rounding", CHOICES["rounding"])
@pytest.mark.parametrize("scope", CHOICES["scope"])
@pytest.mark.parametrize("exempt", [(), ("c",)])
def test_too_many_levels_are_refused_with_the_number_that_works(
    rounding: str, scope: str, exempt: tuple[str, ...]
) -> None:
    recipe = recipe_for("any", rounding=rounding, scope=scope, exempt=exempt, prune=0.6)
    with pytest.raises(UsageError, match="would have no weight left to train") as refused:
        kept_series(LAYERS, recipe, 50)
    most = int(str(refused.value).split(": level ")[1].split(" ")[0])
    counts = kept_series(LAYERS, recipe, most)
    assert counts[-1] > sum(layer.total for layer in LAYERS if layer.name in exempt)
    # The mask after the last level is computed too; exempt layers stay whole in it.
    masks = prune_often(LAYERS, recipe, most + 1)
    assert [sum(int(m.sum()) for m in mask.values()) for mask in masks[:-1]] == counts
    assert all(masks[-1][name].all() for name in exempt)
