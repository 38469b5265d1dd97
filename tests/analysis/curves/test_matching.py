"""The matching density, its interval, and what is said about it."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from synthetic import counts, without

from rgtool import RgtoolError
from rgtool.analysis.curves.matching import (
    DEFINITION,
    matching_density,
    matching_draws,
    matching_level,
)


def experiment(accuracy, **kwargs):
    """An experiment with these accuracies, (S, T)."""
    accuracy = np.asarray(accuracy, float)
    drawn = counts("lenet", seeds=len(accuracy), levels=accuracy.shape[1] - 1, **kwargs)
    return dataclasses.replace(drawn, accuracy=accuracy)


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(2, 5), st.integers(1, 8)),
        elements=st.sampled_from([0.5, 0.625, 0.75, 0.875]),
    )
)
def test_the_definition(accuracy):
    dense = accuracy[:, 0]
    bar = np.mean(dense) - np.std(dense, ddof=1)
    matching = [n for n in range(accuracy.shape[1]) if accuracy[:, n].mean() >= bar - 1e-12]
    assert matching_level(accuracy) == max(matching)


def test_by_hand():
    # Dense mean .90, std .01: the bar is .89.
    found = matching_density(
        None,
        experiment([[0.89, 0.90, 0.89, 0.80], [0.90, 0.91, 0.90, 0.80], [0.91, 0.89, 0.88, 0.80]]),
    )
    assert found.level.value == 2
    assert found.density.value == pytest.approx(0.64, abs=1e-4)
    assert found.seed_std == pytest.approx(0.01)
    assert found.dense_accuracy == pytest.approx(0.90)
    assert found.accuracy == pytest.approx(0.89)
    assert found.level.low <= 2 <= found.level.high
    assert found.density.low <= found.density.value <= found.density.high
    assert DEFINITION in found.summary()


def test_a_steep_fall_leaves_no_doubt_and_a_flat_one_does():
    rng = np.random.default_rng(5)
    noise = 0.002 * rng.normal(size=(5, 13))
    steep = np.where(np.arange(13) > 6, 0.5, 0.9) + noise
    found = matching_density(None, experiment(steep))
    assert (found.level.value, found.level.high) == (6, 6)
    flat = 0.9 - 0.0004 * np.arange(13) + noise
    found = matching_density(None, experiment(flat))
    assert found.level.high - found.level.low >= 3
    assert found.density.low < found.density.high


def test_draws_cover_the_true_level():
    """Nominal 95 %, 300 experiments of 5 seeds; the levels are coarse, so more may be covered."""
    rng = np.random.default_rng(6)
    mean = 0.9 - 0.001 * np.maximum(np.arange(17) - 3, 0) ** 1.5
    sd = np.hypot(0.003, 0.002)
    true = int(np.flatnonzero(mean >= mean[0] - sd)[-1])
    covered = 0
    for _ in range(300):
        accuracy = mean + 0.003 * rng.normal(size=(5, 1)) + 0.002 * rng.normal(size=(5, 17))
        low, high = np.quantile(matching_draws(accuracy, 400, rng), (0.025, 0.975))
        covered += low <= true <= high
    assert covered / 300 > 0.92


def test_the_same_question_has_the_same_answer():
    drawn = counts("resnet20", seeds=4)
    assert matching_density(None, drawn) == matching_density(None, drawn)
    assert matching_density(None, drawn, rng=np.random.default_rng(0)) == matching_density(
        None, drawn
    )


def test_one_seed_has_no_uncertainty_and_it_is_said():
    found = matching_density(None, experiment([[0.9, 0.91, 0.9, 0.89]]))
    assert found.level.value == 2
    assert all(map(math.isnan, (found.seed_std, found.level.low, found.density.high)))
    assert "no uncertainty can be given" in found.summary()
    row = found.to_frame().to_dicts()[0]
    assert row["density_low"] is None and row["density"] == pytest.approx(0.64, abs=1e-4)
    assert "nan" not in found.summary() and "nan" not in found._repr_html_()


def test_a_dip_and_an_open_end_are_said():
    found = matching_density(None, experiment([[0.9, 0.8, 0.9, 0.7], [0.91, 0.8, 0.91, 0.7]]))
    assert found.level.value == 2
    assert any("not monotone: below the bar at level 1" in note for note in found.notes)
    found = matching_density(None, experiment([[0.9, 0.91], [0.91, 0.92]]))
    assert found.level.value == 1
    assert any("upper bound" in note for note in found.notes)


def test_levels_and_runs_without_accuracy_are_left_out():
    drawn = counts("resnet20", seeds=3)
    found = matching_density(None, without(drawn, (1, 0), (2, 12)))
    assert found.runs == (drawn.runs[0], drawn.runs[2])
    assert any(drawn.runs[1] in note for note in found.notes)
    assert any("12 of 13 levels" in note for note in found.notes)


def test_without_a_dense_accuracy_there_is_nothing_to_match():
    drawn = counts("resnet20", seeds=2)
    with pytest.raises(RgtoolError, match="no run has the accuracy of the dense network"):
        matching_density(
            None, dataclasses.replace(drawn, accuracy=np.full(drawn.accuracy.shape, np.nan))
        )
