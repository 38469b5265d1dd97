"""When layers lose their last weight: against networks that are pruned, draw by draw."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from untrained import pruned

from rgtool.analysis import scales
from rgtool.analysis.spectrum import emptying
from rgtool.analysis.spectrum.emptying import (
    Motion,
    empty_levels,
    excess_variance,
    motion,
    still,
)
from rgtool.analysis.spectrum.law import moved

TOTAL = np.array([150, 600, 1500])
TAU = np.log([0.5, 0.25, 0.2])
PRUNED = np.zeros(3, bool)


def targets(now: int, levels: int, retention: float = 0.8) -> np.ndarray:
    return now * retention ** np.arange(1, levels + 1)[:, None]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 10)), min_size=1, max_size=8),
    st.floats(0.1, 3),
)
def test_the_excess_variance_solves_its_equation(
    values: list[tuple[float, float]], mean: float
) -> None:
    square, noise = np.array(values).T
    found = float(excess_variance(square, noise, mean))
    at = float((square / (noise + found)).mean())
    if (square / noise).mean() <= mean:
        assert found < 1e-9
    else:
        assert at == pytest.approx(mean, rel=1e-6)


def test_many_means_are_each_by_itself() -> None:
    square, noise, means = np.array([9.0, 1.0, 4.0]), np.ones(3), np.array([0.5, 1.0, 2.0, 9.0])
    found = excess_variance(square, noise, means)
    alone = [float(excess_variance(square, noise, mean)) for mean in means]
    np.testing.assert_allclose(found, alone)
    assert (np.diff(found[:3]) < 0).all() and found[3] == 0


def test_levels_are_those_of_networks_that_are_pruned_on() -> None:
    """The law of the levels, against networks drawn given what is kept now.

    The slow way: from the present level each layer's weights are drawn beyond the threshold, and
    one threshold prunes them all. The fast one sets the threshold by expected counts, which do not
    give way to one another by chance: levels scatter somewhat more.
    """
    from scipy.special import erfc, erfcinv

    rng, kept, levels = np.random.default_rng(3), np.array([[30, 60, 40]]), 16
    found = empty_levels(
        kept.astype(float), TOTAL.astype(float), targets(130, levels), still(3).gains(
            np.arange(1.0, levels + 1), 2000, 1, rng), 2000, rng
    )[:, 0]  # fmt: skip
    share = (kept[0] + 0.5) / (TOTAL + 1)
    layer = np.repeat(np.arange(3), kept[0])
    slow = []
    for _ in range(2000):
        beyond = np.sqrt(2) * erfcinv(share[layer] * rng.random(len(layer)))
        assert (erfc(beyond / np.sqrt(2)) <= share[layer]).all()
        score = beyond / (np.sqrt(2) * erfcinv(share))[layer]  # 1 at the present threshold
        order = layer[np.argsort(-score)]
        empty = np.full(3, np.inf)
        for level in range(levels, 0, -1):
            left = np.bincount(order[: round(130 * 0.8**level)], minlength=3)
            empty[left == 0] = level
        slow.append(empty)
    for layers in range(3):
        one, other = found[:, layers], np.array(slow)[:, layers]
        assert np.median(one) == pytest.approx(np.median(other), abs=1)
        for level in (8, 10, 12, 14):
            assert (one <= level).mean() == pytest.approx((other <= level).mean(), abs=0.12)


def test_a_layer_that_gains_scale_lasts_and_one_that_loses_goes() -> None:
    kept, rng = np.array([[50.0, 50.0, 50.0]]), np.random.default_rng(0)
    total = np.array([1000.0, 1000.0, 1000.0])
    moving = Motion(np.array([-0.2, 0.0, 0.2]), np.full(3, 1e-9), np.zeros(3), 0.0)
    gains = moving.gains(0.22 * np.arange(1, 20), 300, 1, rng)
    found = empty_levels(kept, total, targets(150, 19), gains, 300, rng)[:, 0]
    early, middle, late = np.median(found, axis=0)
    assert early < middle < late


def test_untrained_networks_move_least_by_the_law_of_their_weights() -> None:
    total, keep = 10 * TOTAL, np.rint(22_500 * 0.8 ** np.arange(1, 6)).astype(int)
    time, gain = np.log(1 / 0.8) * np.arange(1.0, 6.0)[None], np.broadcast_to(TAU, (5, 3))
    right = 0
    for draw in range(100):
        kept = pruned(total, gain, keep, PRUNED, [9, draw], "uniform")[None].astype(float)
        by_law = [moved(kept, total.astype(float), time, law) for law in ("uniform", "gaussian")]
        right += by_law[0] < by_law[1]
    assert right >= 95


def test_uniform_layers_die_at_a_finite_threshold() -> None:
    """The larger scale alone is left when t passes sqrt(3) of the smaller: to 1 - 1/2 of it."""
    total, tau = np.array([10_000.0, 10_000.0]), np.array([1.0, 2.0])
    kept = total * (1 - 0.5 / tau)  # t is half of sqrt(3)
    left = np.array([[6000.0], [5200.0], [4800.0], [1000.0]])
    rng = np.random.default_rng(0)
    found = empty_levels(kept[None], total, left, still(2).gains(
        np.arange(1.0, 5.0), 200, 1, rng), 200, rng, "uniform")[:, 0]  # fmt: skip
    assert (found[:, 0] == 3).all() and np.isinf(found[:, 1]).all()


def test_an_empty_layer_of_the_largest_scale_sets_no_threshold() -> None:
    """It may have gained since: uniform weights of the others end before the middle of its own."""
    kept, rng = np.array([[0.0, 90.0, 90.0]]), np.random.default_rng(0)
    gains = iter([np.full((50, 1, 3), [9.0, 0.0, 0.0])] * 2)
    left = np.array([[90.0], [20.0]])
    found = empty_levels(kept, TOTAL.astype(float), left, gains, 50, rng, "uniform")
    assert (found[:, 0, 0] == 0).all() and (found[:, 0, 1:] >= 1).all()


def test_what_is_empty_is_empty_now_and_what_is_out_of_reach_never() -> None:
    kept, rng = np.array([[0.0, 5.0, 9.0], [3.0, 0.0, 9.0]]), np.random.default_rng(0)
    left = np.array([[10.0, 10.0], [4.0, 4.0], [0.5, 0.5]])
    gains = still(3).gains(np.arange(1.0, 4.0), 50, 2, rng)
    found = empty_levels(kept, TOTAL.astype(float), left, gains, 50, rng)
    assert (found[:, 0, 0] == 0).all() and (found[:, 1, 1] == 0).all()
    later = found[(found > 0) & np.isfinite(found)]
    assert set(later.tolist()) <= {1.0, 2.0} and np.isinf(found).any()


def moving_counts(drift: np.ndarray, own: float, walk: float, runs: int, rng: int) -> np.ndarray:
    """Counts (S, 8, G) of large layers whose log scales drift and wander, a level."""
    draw, total = np.random.default_rng(rng), 40 * TOTAL
    steps = drift + own * draw.standard_normal((runs, 1, 3))
    steps = steps + walk * draw.standard_normal((runs, 8, 3))
    keep = np.rint(total.sum() * 0.8 ** np.arange(1, 9)).astype(int)
    gains = TAU + steps.cumsum(axis=1)
    return np.array([pruned(total, one, keep, PRUNED, [rng, s]) for s, one in enumerate(gains)])


TIME = np.log(1 / 0.8) * np.arange(1, 9)


def test_motion_finds_the_drift_that_there_is() -> None:
    drift = np.array([0.06, 0.0, -0.03])
    kept, total = moving_counts(drift, 0.0, 0.0, 6, 1), 40.0 * TOTAL
    found = motion(kept.astype(float), total, np.tile(TIME, (6, 1)))
    assert found is not None
    true = (drift - drift @ total / total.sum()) / TIME[0]
    assert (np.abs(found.drift - true) < 4 * np.sqrt(found.error)).all()
    assert (found.error < 0.05**2).all()


def test_motion_tells_seeds_from_sampling_and_walks_from_both() -> None:
    """Means over 20 experiments of each kind, in units of time; sampling alone gives none."""
    total, times = 40.0 * TOTAL, np.tile(TIME, (4, 1))

    def means(own: float, walk: float) -> np.ndarray:
        found = [
            motion(moving_counts(np.zeros(3), own, walk, 4, rng).astype(float), total, times)
            for rng in range(20)
        ]
        return np.mean([[one.own.mean() ** 0.5, one.walk**0.5] for one in found if one], axis=0)

    still_own, still_walk = means(0.0, 0.0)
    assert still_own < 0.02 and still_walk < 0.02
    own, walk = means(0.02, 0.0)
    assert 0.05 < own < 0.11 and walk < 0.02  # .02 a level is .09 a unit, less what centring takes
    own, walk = means(0.0, 0.02)
    assert 0.03 < walk < 0.05 and own < 0.03  # .02 a level is .042 a root of the unit


def test_layers_too_small_to_be_measured_may_move_as_others_do() -> None:
    kept = moving_counts(np.array([0.0, 0.05, -0.05]), 0.0, 0.0, 3, 2).astype(float)
    kept[:, -1, 0] = 2
    found = motion(kept, 40.0 * TOTAL, np.tile(TIME, (3, 1)))
    assert found is not None and np.isinf(found.error[0]) and found.drift[0] == 0
    assert np.isfinite(found.error[1:]).all() and found.own[0] == found.own[1:].max()
    gains = next(found.gains(np.array([1.0]), 4000, 1, np.random.default_rng(0)))[:, 0]
    assert gains[:, 0].std() > 0.5 * gains[:, 1].std() > 0
    assert abs(gains[:, 0].mean()) < 0.1 * gains[:, 0].std()


@pytest.mark.parametrize("what", ["steps", "layers"])
def test_without_steps_or_layers_nothing_is_known(what: str) -> None:
    kept = moving_counts(np.zeros(3), 0.0, 0.0, 3, 2).astype(float)
    levels = 3 if what == "steps" else 8
    if what == "layers":
        kept[:, :, 1:] = 0
    assert motion(kept[:, :levels], 40.0 * TOTAL, np.tile(TIME, (3, 1))[:, :levels]) is None
    if what == "steps":
        assert motion(kept[:, :4], 40.0 * TOTAL, np.tile(TIME, (3, 1))[:, :4]) is not None


def test_drawn_slopes_keep_half_of_a_certain_drift_and_nothing_of_noise() -> None:
    rng, times = np.random.default_rng(0), np.array([1.0])
    drift = np.array([0.3, -0.3, 0.3, -0.3] * 5)
    certain = Motion(drift, np.full(20, 1e-8), np.zeros(20), 0.0)
    gains = next(certain.gains(times, 4000, 1, rng))[:, 0]
    np.testing.assert_allclose(gains.mean(axis=0), emptying.LASTING * drift, atol=0.02)
    assert gains.std(axis=0) == pytest.approx(0.15, rel=0.2)
    noise = Motion(drift, np.full(20, 0.5**2), np.zeros(20), 0.0)
    unsure = next(noise.gains(times, 4000, 1, rng))[:, 0]
    assert np.abs(unsure.mean(axis=0)).max() < 0.03


def test_runs_share_what_is_common_and_have_their_own() -> None:
    rng = np.random.default_rng(0)
    common = Motion(np.full(4, 0.3), np.full(4, 1e-8), np.zeros(4), 0.0)
    gains = next(common.gains(np.array([2.0]), 50, 3, rng))
    np.testing.assert_array_equal(gains[:, 0], gains[:, 2])
    own = Motion(np.zeros(4), np.ones(4), np.full(4, 0.04), 0.09)
    after = list(own.gains(np.array([1.0, 3.0]), 4000, 2, rng))
    assert after[0].std() == pytest.approx(np.sqrt(0.04 + 0.09), rel=0.05)
    assert after[1].std() == pytest.approx(np.sqrt(9 * 0.04 + 3 * 0.09), rel=0.05)
    assert abs(np.corrcoef(after[1][:, 0, 0], after[1][:, 1, 0])[0, 1]) < 0.06


def test_drift_that_was_before_may_begin_again() -> None:
    """Scales that stand still now, of layers that drifted: none is ahead, give or take."""
    rng, quiet = np.random.default_rng(0), np.full(8, 1e-6)
    before = Motion(np.array([0.4, -0.4] * 4), quiet, np.zeros(8), 0.0)
    now = Motion(np.zeros(8), quiet, np.zeros(8), 0.0, (before,))
    gains = next(now.gains(np.array([1.0]), 4000, 1, rng))[:, 0]
    assert np.abs(gains.mean(axis=0)).max() < 0.02
    assert gains.std() == pytest.approx(0.5 * np.sqrt(0.4**2 / 2), rel=0.25)
    alone = dataclasses.replace(now, before=())
    assert next(alone.gains(np.array([1.0]), 400, 1, rng)).std() < 0.01


def test_stretches_are_six_steps_each_from_the_end() -> None:
    kept = np.concatenate([moving_counts(np.zeros(3), 0.0, 0.0, 2, rng) for rng in (1, 2)], axis=1)
    total, time = 40.0 * TOTAL, np.tile(0.2 * np.arange(16.0), (2, 1))
    found = motion(kept.astype(float), total, time)
    assert found is not None and len(found.before) == 2  # 6, 6 and 3 steps
    for one, part in zip((found, *found.before), ((9, 16), (3, 10), (0, 4)), strict=True):
        stretch = slice(*part)
        alone = motion(kept[:, stretch].astype(float), total, time[:, stretch])
        assert alone is not None
        np.testing.assert_array_equal(one.drift, alone.drift)
        np.testing.assert_array_equal(one.error, alone.error)


def test_the_walk_is_what_increments_scatter_beyond_sampling() -> None:
    """By loops over runs and layers, with the covariance matrix of increments about their mean."""
    kept = moving_counts(np.zeros(3), 0.0, 0.03, 2, 4)[:, -7:].astype(float)
    total, step = 40.0 * TOTAL, TIME[0]
    s = scales.centred(scales.effective_scales(kept, total), total)
    weight, about = total / total.sum(), np.eye(6) - 1 / 6
    difference = np.eye(6, 7, k=1) - np.eye(6, 7)
    squares, noise = np.zeros((2, 2, 3))
    for run in range(2):
        layers = [
            np.trace(about @ difference @ one @ difference.T @ about)
            for one in scales.scale_covariance(kept[run], total)
        ]
        for layer in range(3):
            gain = np.diff(s[run, :, layer])
            squares[run, layer] = ((gain - gain.mean()) ** 2).sum() / (5 * step)
            moved = (np.eye(3)[layer] - weight) ** 2 @ layers
            noise[run, layer] = moved / (5 * step)
    found = motion(kept, total, np.tile(TIME[-7:], (2, 1)))
    assert found is not None and found.walk > 0
    assert found.walk == pytest.approx(float(excess_variance(squares, noise)), rel=1e-6)


def test_more_runs_know_the_drift_better() -> None:
    kept, total = moving_counts(np.zeros(3), 0.01, 0.0, 12, 5).astype(float), 40.0 * TOTAL
    few, many = (motion(kept[:n], total, np.tile(TIME, (n, 1))) for n in (3, 12))
    assert few is not None and many is not None
    assert 0.1 < (many.error / few.error).mean() < 0.6
