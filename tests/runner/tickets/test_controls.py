"""What controls draw anew, on arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rgtool.runner.pruning import Mask
from rgtool.runner.tickets.controls import permuted, scattered, shuffled

SHAPES = {"a": (4, 6), "b": (3, 2, 3, 3), "c": (2, 5)}


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """A mask, and one within it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    share = draw(st.floats(0, 1))
    return {name: rng.random(shape) < share for name, shape in SHAPES.items()}


def counts(mask: Mask) -> dict[str, int]:
    return {name: int(kept.sum()) for name, kept in mask.items()}


@given(masks(), st.integers(0, 5))
def test_a_shuffled_mask_keeps_as_many_of_every_layer(mask: Mask, level: int) -> None:
    found = shuffled(mask, 3, level)
    assert counts(found) == counts(mask)
    assert {name: kept.shape for name, kept in found.items()} == SHAPES
    again = shuffled(mask, 3, level)
    assert all((found[name] == again[name]).all() for name in mask)


def test_seeds_levels_and_layers_are_shuffled_apart() -> None:
    rng = np.random.default_rng(0)
    half = rng.random((20, 20)) < 0.5
    mask = {"a": half, "b": half}
    drawn = [shuffled(mask, seed, level)["a"] for seed in (0, 1) for level in (1, 2)]
    drawn.append(shuffled(mask, 0, 1)["b"])
    different = {array.tobytes() for array in [half, *drawn]}
    assert len(different) == 6


@given(masks())
def test_a_scattered_mask_keeps_as_many_of_the_network(mask: Mask) -> None:
    found = scattered(mask, 1, fixed=["c"])
    assert (found["c"] == mask["c"]).all()
    assert sum(counts(found).values()) == sum(counts(mask).values())
    assert {name: kept.shape for name, kept in found.items()} == SHAPES


@given(masks(), masks())
def test_scattered_masks_of_levels_lie_within_each_other(one: Mask, other: Mask) -> None:
    inner = {name: one[name] & other[name] for name in one}
    outer, within = scattered(one, 2), scattered(inner, 2)
    assert all((within[name] <= outer[name]).all() for name in one)


def test_a_scattered_mask_takes_weights_whatever_their_layer() -> None:
    mask = {"large": np.ones((100, 100), bool), "small": np.zeros((10, 100), bool)}
    found = counts(scattered(mask, 0))
    assert found["small"] > 850 and sum(found.values()) == 10_000
    assert counts(scattered(mask, 0, fixed=[*mask])) == counts(mask)


def test_layers_and_seeds_are_scattered_apart() -> None:
    mask = {"a": np.arange(400).reshape(20, 20) < 200, "b": np.arange(400).reshape(20, 20) < 200}
    one, other = scattered(mask, 0), scattered(mask, 1)
    assert len({kept.tobytes() for kept in (*one.values(), *other.values())}) == 4


@given(masks(), st.integers(0, 5))
def test_permuted_weights_are_those_that_are_kept(mask: Mask, level: int) -> None:
    rng = np.random.default_rng(level)
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    found = permuted(weights, mask, 0, level)
    for name, kept in mask.items():
        assert sorted(found[name][kept]) == sorted(weights[name][kept])
        assert (found[name][~kept] == weights[name][~kept]).all()
        assert found[name].dtype == np.float32


def test_weights_are_permuted_anew_at_every_level_and_left_as_they_were() -> None:
    weights = {"a": np.arange(100.0).reshape(10, 10)}
    mask = {"a": np.ones((10, 10), bool)}
    one, other = (permuted(weights, mask, 0, level)["a"] for level in (1, 2))
    assert (one != other).any() and (one != weights["a"]).any()
    assert (weights["a"].ravel() == np.arange(100)).all()
