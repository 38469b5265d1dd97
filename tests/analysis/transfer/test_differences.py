"""Accuracies at a density, and differences of few runs that pair by seed or do not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgtool.analysis.transfer.arms import Arm, unit_of
from rgtool.analysis.transfer.differences import difference, mean_of, paired, seed_pairs, unpaired

NONE = math.nan
UNIT = 1 / 360


def arm(accuracy, seeds=None, levels=None, density=None, condition="own"):
    """An arm of runs (S, T), by default at levels 0, 1, ... that keep .8."""
    accuracy = np.asarray(accuracy, float)
    levels = np.arange(accuracy.shape[1]) if levels is None else np.array(levels)
    density = 0.8**levels if density is None else np.asarray(density, float)
    return Arm(
        condition,
        condition,
        tuple(range(len(accuracy))) if seeds is None else tuple(seeds),
        levels,
        np.where(np.isfinite(accuracy), density, NONE),
        accuracy,
    )


def test_a_recorded_density_is_read_and_one_between_is_interpolated_in_its_logarithm():
    own = arm([[0.9, 0.8, 0.6]])
    assert own.at(0, 0.8) == 0.8
    assert own.at(0, 0.8 * math.exp(-0.04 * math.log(1.25))) == 0.8  # rounding of counts
    assert own.at(0, 0.8 * math.sqrt(0.8)) == pytest.approx(0.7)
    assert own.at(0, 0.8 ** (5 / 4)) == pytest.approx(0.75)


def test_nothing_is_said_beyond_the_levels_or_across_a_gap():
    own = arm([[0.9, 0.8, 0.6]])
    assert math.isnan(own.at(0, 0.5)) and math.isnan(own.at(0, NONE))
    gap = arm([[0.9, 0.8, 0.6, 0.5]], levels=[0, 1, 4, 5])
    assert math.isnan(gap.at(0, 0.8**2.5))
    assert gap.at(0, 0.8**4.5) == pytest.approx(0.55)
    missing = arm([[0.9, NONE, 0.6]])
    assert math.isnan(missing.at(0, 0.8)) and missing.at(0, 0.64) == 0.6
    assert math.isnan(arm([[NONE, NONE]]).at(0, 0.8))
    assert arm([[0.7]], levels=[4]).at(0, 0.8**4) == 0.7


def test_a_step_is_that_of_the_experiment():
    """A twentieth of a coarse step is more than one of a fine step."""
    near = 0.64 * 0.985
    assert arm([[0.9, 0.8, 0.6]], density=0.64 ** np.arange(3)).at(0, near) == 0.8
    assert arm([[0.9, 0.85, 0.8, 0.6]]).at(0, near) != 0.8


def test_what_an_image_is_worth_is_the_least_step():
    assert unit_of([arm([[0.9, 0.8]]), arm([[0.85, 0.8]])]) == pytest.approx(0.05)
    assert unit_of([arm([[0.9, 0.8], [0.9 + 1e-9, 0.8]])]) == pytest.approx(0.1)
    assert math.isnan(unit_of([arm([[0.5, 0.5]])]))


def test_pairs_have_the_interval_of_student():
    found = paired([0.01, 0.02, 0.06], UNIT)
    assert found.value == pytest.approx(0.03)
    half = 4.302653 * np.std([0.01, 0.02, 0.06], ddof=1) / math.sqrt(3)
    assert found.high == pytest.approx(0.03 + half, rel=1e-6)
    assert found.low == pytest.approx(0.03 - half, rel=1e-6)


def test_differences_that_agree_are_no_certainty():
    """Two of a few hundred images agree by chance: the interval is that of rounding."""
    for values in ([0.0, 0.0], [UNIT, UNIT]):
        found = paired(values, UNIT)
        half = 12.706205 * UNIT * math.sqrt(1 / 6) / math.sqrt(2)
        assert found.high - found.value == pytest.approx(half, rel=1e-6)
    assert mean_of([0.9, 0.9], UNIT).high == pytest.approx(
        0.9 + 12.706205 * UNIT * math.sqrt(1 / 12) / math.sqrt(2)
    )
    assert math.isnan(paired([0.0, 0.0], NONE).low)


def test_one_run_has_no_interval_and_none_has_nothing():
    assert paired([0.02], UNIT).value == 0.02 and math.isnan(paired([0.02], UNIT).low)
    assert math.isnan(mean_of([NONE, NONE], UNIT).value)
    assert mean_of([NONE, 0.5, 0.7], UNIT).value == pytest.approx(0.6)
    assert math.isnan(unpaired([0.5], [0.4, 0.5], UNIT).low)
    assert math.isnan(unpaired([], [0.4], UNIT).value)


def test_seeds_pair_by_number_and_unknown_ones_with_none():
    assert seed_pairs([3, None, 7], [7, 3, None]) == [(0, 1), (2, 0)]
    assert seed_pairs([3, 3, 7], [7, 3]) == [(2, 0)]
    assert seed_pairs([3, 7], [7, 3, 3]) == [(1, 0)]
    own = arm([[0.9, 0.8], [0.7, 0.6], [0.5, 0.1]], seeds=[5, 3, 8])
    moved = arm([[0.6, 0.5], [0.8, 0.75]], seeds=[3, 5])
    found = difference(moved, 1, own, UNIT)
    assert found.by_seed == pytest.approx({3: -0.1, 5: -0.05}) and found.pairs == 2
    assert found.estimate.value == pytest.approx(-0.075)


def test_runs_that_do_not_pair_are_compared_by_their_means():
    own = arm([[0.9, 0.8], [0.7, 0.6]], seeds=[5, 6])
    moved = arm([[0.6, 0.5], [0.8, 0.7]], seeds=[0, 1])
    found = difference(moved, 1, own, UNIT)
    assert found.pairs == 0 and found.estimate.value == pytest.approx(-0.1)
    half = 12.706205 * math.sqrt(2 * 0.02 / 2)
    assert found.estimate.high == pytest.approx(-0.1 + half, rel=1e-5)
    unknown = arm([[0.6, 0.5], [0.8, 0.7]], seeds=[None, None])
    assert difference(unknown, 1, own, UNIT).estimate == found.estimate


def test_one_run_of_each_that_do_not_pair_differ_without_an_interval():
    found = difference(arm([[0.6, 0.5]], seeds=[7]), 1, arm([[0.9, 0.8]], seeds=[0]), UNIT)
    assert found.pairs == 0 and found.estimate.value == pytest.approx(-0.3)
    assert math.isnan(found.estimate.low) and math.isnan(found.estimate.high)


def test_one_pair_that_is_left_serves_where_means_have_no_interval():
    own = arm([[0.9, 0.8]], seeds=[0])
    moved = arm([[0.6, 0.5], [0.6, 0.3]], seeds=[0, 1])
    found = difference(moved, 1, own, UNIT)
    assert found.by_seed == pytest.approx({0: -0.3}) and math.isnan(found.estimate.low)


def test_one_pair_of_several_runs_gives_way_to_their_means():
    own = arm([[0.9, 0.8], [0.7, 0.6]], seeds=[0, 5])
    moved = arm([[0.6, 0.5], [0.8, 0.7]], seeds=[0, 1])
    found = difference(moved, 1, own, UNIT)
    assert found.pairs == 0 and found.estimate.value == pytest.approx(-0.1)
    assert math.isfinite(found.estimate.low)


def test_a_seed_that_lacks_a_level_leaves_the_others():
    own = arm([[0.9, 0.8], [0.9, NONE], [0.9, 0.6]])
    moved = arm([[0.9, 0.7], [0.9, 0.7], [0.9, 0.7]])
    assert difference(moved, 1, own, UNIT).by_seed == pytest.approx({0: -0.1, 2: 0.1})
    empty = arm([[0.9, NONE]] * 3)
    assert not difference(empty, 1, own, UNIT).is_known


def test_densities_are_compared_and_not_levels():
    """The child's head is dense: it is denser at the level than the target's own."""
    own = arm([[0.9, 0.8, 0.6], [0.9, 0.8, 0.6]])
    moved = arm([[0.9, 0.7, 0.7]] * 2, density=[1.0, 0.8 ** (1 / 2), 0.8 ** (3 / 2)])
    assert difference(moved, 2, own, UNIT).estimate.value == pytest.approx(0.0)
    sparse = arm([[0.9, 0.7, 0.7]] * 2, density=[1.0, 0.5, 0.3])
    assert not difference(sparse, 2, own, UNIT).is_known


@given(
    st.lists(st.integers(0, 40), min_size=2, max_size=6),
    st.lists(st.integers(0, 40), min_size=2, max_size=6),
)
def test_means_are_compared_alike_either_way(a, b):
    one, other = np.array(a) / 40, np.array(b) / 40
    there, back = unpaired(one, other, 1 / 40), unpaired(other, one, 1 / 40)
    assert there.value == -back.value and there.low == pytest.approx(-back.high)
    assert there.low < there.value < there.high


def test_intervals_hold_the_truth_of_accuracies_that_are_whole_images():
    """Nominal 95 % of 400 experiments, with seeds that scatter by less than an image to three."""
    rng = np.random.default_rng(1)
    for sd in (0.3, 1.0, 3.0):
        for seeds in (2, 3, 5):
            held = 0
            for _ in range(400):
                images = np.rint(sd * rng.normal(size=(2, seeds)) + [[300.4], [320.4]])
                found = paired((images[0] - images[1]) / 360, UNIT)
                held += found.low <= -20 / 360 <= found.high
            assert held / 400 > 0.92
