"""Fates of flows: of simulated counts, of published schemes, and of what is too little for one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import synthetic
from scipy.special import erfcinv

from rgtool import RgtoolError
from rgtool.analysis import flow
from rgtool.analysis.nulls.initial import initial_scale_kept
from rgtool.analysis.scheme.fixed_point import (
    MOST_KEPT,
    ROUGH,
    FixedPoint,
    fate_of,
    followed_shares,
    mean_rate,
    of_scales,
    of_shares,
    without_finite_size,
)
from rgtool.analysis.values import Estimate
from rgtool.analysis.window import LEAST_WEIGHTS, Window, choose_window
from rgtool.store.literature import published_flow

TIME = 0.5 * np.arange(10)
PUSH = np.array([1.0, 0.3, -0.3, -1.0])


def kept(
    kappa: float | None, seeds: int = 4, network: float = 2e6, seed: int = 0, noise: float = 0.02
) -> np.ndarray:
    """Counts (S, T, 4) of which log shares follow kappa, or stand still where it is None."""
    rng = np.random.default_rng(seed)
    moved = TIME if kappa == 0 else 0 * TIME
    if kappa:
        moved = -np.expm1(-kappa * TIME) / kappa
    x = PUSH * (1 - 0.4 * moved[:, None]) + noise * rng.standard_normal((seeds, 1, 4))
    share = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    return rng.poisson(share * network * np.exp(-TIME)[:, None]).astype(float)


@pytest.mark.parametrize(
    ("kappa", "fate"), [(0.8, "attracted"), (-0.4, "repelled"), (0.0, "steady"), (None, "still")]
)
def test_fates_are_told_apart(kappa: float | None, fate: str) -> None:
    found = followed_shares(kept(kappa), TIME)
    assert found.fate == fate
    if kappa is None:
        assert np.isnan(found.rate.value) and np.isnan(found.rates.value).all()
        assert found.speed < 0.02
    else:
        assert found.rate.low < kappa < found.rate.high
        assert found.rate.high - found.rate.low < 0.2
        assert found.p < 0.01 and found.misfit < ROUGH


def test_the_fixed_point_is_where_it_goes_on_to() -> None:
    found = followed_shares(kept(0.8), TIME)
    np.testing.assert_allclose(found.fixed, PUSH * (1 - 0.4 / 0.8), atol=0.05)
    assert np.isnan(followed_shares(kept(-0.4), TIME).fixed).all()
    # What is drawn somewhere by sizes of groups is not said to have a fixed point.
    held = followed_shares(kept(0.8), TIME, free=False)
    assert held.fate == "slowing" and np.isnan(held.fixed).all()
    assert followed_shares(kept(-0.4), TIME, free=False).fate == "quickening"
    assert followed_shares(kept(0.0), TIME, free=False).fate == "undecided"
    assert followed_shares(kept(None), TIME, free=False).fate == "still"


def test_speed_is_that_of_exponents() -> None:
    counts = kept(0.8)
    found = followed_shares(counts, TIME)
    y = flow.window_exponents(counts, 0, len(TIME) - 1)
    y = y - y.mean(axis=-1, keepdims=True)
    assert found.speed == pytest.approx(np.sqrt((y.mean(axis=0) ** 2).mean()), rel=1e-2)
    last = flow.window_exponents(counts, len(TIME) - 4, len(TIME) - 1)
    last = last - last.mean(axis=-1, keepdims=True)
    assert found.late == pytest.approx(np.sqrt((last.mean(axis=0) ** 2).mean()), rel=1e-2)


def test_chance_is_what_sampling_makes_of_the_last_third() -> None:
    """Counts that lose weights at random, many times: their late speed is `chance`."""
    rng = np.random.default_rng(0)
    share = np.array([0.1, 0.2, 0.3, 0.4])
    late, chance = [], []
    for _ in range(40):
        counts = [np.full((3, 4), 20_000) * share]
        for _ in TIME[1:]:
            counts.append(rng.binomial(counts[-1].astype(int), np.exp(-0.5)).astype(float))
        found = followed_shares(np.stack(counts, axis=1), TIME)
        late.append(found.late**2)
        chance.append(found.chance**2)
    assert np.mean(late) == pytest.approx(np.mean(chance), rel=0.35)


def test_groups_have_exponents_of_their_own() -> None:
    found = followed_shares(kept(0.8), TIME)
    np.testing.assert_allclose(found.rates.value[[0, 3]], 0.8, atol=0.1)
    assert np.isnan(found.rates.value[[1, 2]]).all()  # they move less than the margin


def test_several_exponents_are_told_where_the_later_one_certainly_differs() -> None:
    decay = 0.5 * np.exp(-0.4 * TIME) + 0.5 * np.exp(-3 * TIME)
    x = PUSH * decay[:, None]
    share = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    rng = np.random.default_rng(0)
    counts = rng.poisson(share * 2e7 * np.exp(-TIME)[:, None], (5, len(TIME), 4)).astype(float)
    found = followed_shares(counts, TIME)
    assert found.bent and found.later.value < found.rate.value
    assert abs(found.later.value - 0.4) < abs(found.rate.value - 0.4)
    assert not followed_shares(kept(0.8, seeds=5), TIME).bent


def test_one_run_has_no_fate_and_few_levels_no_later_kappa() -> None:
    lone = followed_shares(kept(0.8, seeds=1), TIME)
    assert lone.fate == "undecided" and np.isnan([lone.rate.low, lone.p]).all()
    assert lone.rate.value == pytest.approx(0.8, abs=0.1)
    few = followed_shares(kept(0.8)[:, :4], TIME[:4])
    assert np.isnan(few.later.value) and not few.bent


def test_motion_that_is_not_certain_has_no_fate() -> None:
    wide, narrow = Estimate(0.5, 0.4, 0.6), Estimate(0.5, 0.42, 0.58)
    loud = np.array([[0.9, -0.9], [-0.8, 0.8], [0.4, -0.4]])
    assert fate_of(loud, 0.3, wide, narrow) == "undecided"
    assert fate_of(loud, 0.01, wide, narrow) == "attracted"
    assert fate_of(loud, 0.01, wide, narrow, rough=True) == "slowing"
    assert fate_of(loud, 0.01, Estimate(0.5, -0.1, 1.1), narrow) == "undecided"
    level = Estimate(0.05, 0.01, 0.09)
    assert fate_of(loud, 0.01, level, Estimate(0.05, 0.02, 0.08)) == "steady"


def test_what_a_rule_sets_is_the_same_in_all_runs_and_certain() -> None:
    counts = np.repeat(kept(0.8, seeds=1, noise=0.0), 3, axis=0)
    found = followed_shares(counts, TIME)
    assert found.fate == "attracted" and found.rate.low == found.rate.high == found.rate.value
    assert mean_rate(np.array([0.5, 0.5])) == Estimate(0.5, 0.5, 0.5)
    assert np.isnan(mean_rate(np.array([0.5, np.nan])).value)


# Finite size


def window(shares: np.ndarray, total: np.ndarray, levels: int = 12) -> Window:
    """LeNet's layers with given shares (levels + 1, 3) at every level, two runs."""
    made = synthetic.counts("lenet", "layer", seeds=2, levels=1, task="digits")
    network = total.sum() * 0.8 ** np.arange(levels + 1)
    counts = np.minimum(np.rint(shares * network[:, None]), total).astype(np.int64)
    kept = np.stack([counts, counts])
    changed = dataclasses.replace(
        made,
        levels=np.arange(levels + 1),
        recorded=np.ones(kept.shape[:2], bool),
        kept=kept,
        magnitude=np.full(kept.shape, np.nan),
        accuracy=np.full(kept.shape[:2], np.nan),
        total=total,
        exempt=np.zeros(3, bool),
    )
    return choose_window(changed)


def test_levels_are_looked_at_once_size_lets_go_and_while_there_are_weights() -> None:
    """A group of 400 weights is whole until it holds its third; it ends with ten weights."""
    total = np.array([100_000, 400, 100_000])
    equal = np.full((43, 3), 1 / 3)
    found, notes = without_finite_size(window(equal, total, 42))
    counts = found.counts.kept[0]
    assert notes == ()
    assert counts[found.start, 1] / 400 <= MOST_KEPT < counts[found.start - 1, 1] / 400
    assert counts[found.end].min() >= LEAST_WEIGHTS > counts[found.end + 1].min()


def test_a_group_that_its_size_holds_to_the_end_is_named() -> None:
    total = np.array([100_000, 5_000, 100_000])
    found, notes = without_finite_size(window(np.full((13, 3), 1 / 3), total))
    assert found.levels == (1, 12)
    assert "fc2 keeps over 81% of all weights as long as every group has 10" in notes[0]
    assert of_shares(found).fate in ("slowing", "quickening", "undecided")
    # Whoever asks for levels gets these.
    assert of_shares(found.between(2, 5), chosen=True).levels == (2, 5)
    with pytest.raises(RgtoolError, match="3 levels are asked for, and a fixed point takes 4"):
        of_shares(found.between(2, 4), chosen=True)


def test_too_few_levels_with_weights_are_told() -> None:
    total = np.array([2000, 40, 2000])
    shares = np.array([0.4975, 0.005, 0.4975]) * np.ones((8, 1))
    with pytest.raises(RgtoolError, match=r"^3 levels from level 1 on have 10 weights in every gr"):
        of_shares(window(shares, total, 7))


def test_a_lone_group_has_no_fixed_point() -> None:
    made = window(np.full((13, 3), 1 / 3), np.array([1000, 1000, 1000]))
    lone = dataclasses.replace(made.counts, exempt=np.array([False, True, True]))
    with pytest.raises(RgtoolError, match="fewer than two groups are pruned"):
        of_shares(dataclasses.replace(made, counts=lone))


# Published flows: the fixed point of SynFlow, and the others


def published(scheme: str, by: str = "block") -> FixedPoint:
    counts = published_flow(f"tanaka2020-vgg16-cifar100-{scheme}").counts(by)
    return of_shares(choose_window(counts))


def test_synflow_is_drawn_to_equal_shares() -> None:
    """VGG-16, 14 layers: every share is .06 to .085 where 1/14 is .071; kappa about .6."""
    found = published("synflow")
    assert found.fate == "attracted" and found.levels == (10, 19)
    assert found.rate.value == pytest.approx(0.611, abs=0.002)
    assert (found.rate.low, found.rate.high) == pytest.approx((0.395, 0.828), abs=0.002)
    assert found.fixed.sum() == pytest.approx(1)
    assert found.fixed.min() > 0.06 and found.fixed.max() < 0.085
    # In the end it moves by no more than chance in the counts makes.
    assert found.late < found.chance
    first = dict(zip(found.names, found.rates.value, strict=True))["1.0"]
    assert first == pytest.approx(0.66, abs=0.01)


def test_finite_size_bounds_the_fixed_point_of_synflow() -> None:
    """The stem's 1728 weights are a fourteenth below .14 %; ten weights are at .0011 %."""
    first, last = published("synflow").reach
    assert first == pytest.approx(1728 / 0.0844 / 14_761_664, rel=0.01)
    assert last == pytest.approx(10 / 0.0605 / 14_761_664, rel=0.01)
    by_stage = published("synflow", "stage")
    np.testing.assert_allclose(by_stage.fixed, np.array([2, 2, 3, 3, 3, 1]) / 14, atol=0.025)


@pytest.mark.parametrize(
    ("scheme", "fate", "scale"),
    [
        ("magnitude", "quickening", "still"),
        ("random", "still", "still"),
        ("snip", "repelled", "attracted"),
        ("grasp", "quickening", "slowing"),
    ],
)
def test_the_other_schemes_have_no_fixed_point_of_shares(
    scheme: str, fate: str, scale: str
) -> None:
    """Magnitude pruning of untrained weights stands still in effective scales alone."""
    assert published(scheme).fate == fate
    layers = published_flow(f"tanaka2020-vgg16-cifar100-{scheme}").counts("layer")
    assert of_scales(choose_window(layers), "block").fate == scale


# Effective scales


def untrained(seeds: int = 4, drift: float = 0.0) -> Window:
    """A wide ResNet-20 of Gaussian weights whose scales differ, pruned by one threshold.

    Scales of the first stage may drift by ds / dln d.
    """
    made = synthetic.counts("resnet20w64", "layer", seeds=seeds, levels=12)
    rng, total = np.random.default_rng(0), made.total.astype(float)
    density = 0.8 ** np.arange(13)
    stage = np.array([layer.stage == "1" for layer in made.layers])
    counts = []
    for _ in range(seeds):
        own = rng.uniform(0.05, 0.2, len(total)) * np.exp(0.01 * rng.standard_normal(len(total)))
        scale = own * np.exp(drift * -np.log(density)[:, None] * stage)
        each = [
            initial_scale_kept(total, one, d * total.sum())
            for one, d in zip(scale, density, strict=True)
        ]
        counts.append(np.minimum(rng.poisson(each), total))
    kept = np.array(counts).astype(np.int64)
    kept = np.minimum.accumulate(kept, axis=1)
    kept[:, 0] = made.total
    return choose_window(dataclasses.replace(made, kept=kept))


def test_untrained_weights_stand_still_in_scales_and_not_in_shares() -> None:
    found = of_scales(untrained(), "stage")
    assert found.fate == "still" and found.names == ("stem", "1", "2", "3", "head")
    assert found.speed < 0.08 and np.isnan(found.rate.value)
    assert of_shares(untrained()).fate != "still"


def test_scales_that_training_moves_are_seen_in_units_of_exponents() -> None:
    """A scale that moves by eta moves the log of what is kept by E eta, E = x f(x) / q(x)."""
    window = untrained(drift=0.15)
    found = of_scales(window, "stage")
    assert found.fate != "still" and found.p < 0.05
    layers, kept = (
        window.counts.layers,
        window.kept[:, (found.levels[0] + found.levels[1]) // 2 - 1],
    )
    total = window.counts.total
    stages = np.array([layer.stage for layer in layers])
    x = np.sqrt(2) * erfcinv(kept.mean(axis=0) / total)
    answer = x * np.sqrt(2 / np.pi) * np.exp(-(x**2) / 2) / (kept.mean(axis=0) / total)
    used = np.isin(stages, found.names)
    moved = 0.15 * ((stages == "1") - (total * (stages == "1"))[used].sum() / total[used].sum())
    own = [(kept.mean(axis=0) * answer * moved)[stages == name].sum() for name in found.names]
    own /= np.array([kept.mean(axis=0)[stages == name].sum() for name in found.names])
    assert found.speed == pytest.approx(np.sqrt((own**2).mean()), rel=0.1)
