"""Matrices of transfers: losses, what was known before, and what is said of both."""

import dataclasses

import numpy as np
import pytest
from synthetic import counts

from rgtool import RgtoolError
from rgtool.analysis.transfer.matrix_estimate import measure_matrix

TASKS = ("digits", "mnist", "fashion-mnist", "svhn", "cifar10")
LEVELS = 6
FALL = np.array([0, 0.0, 0.005, 0.01, 0.03, 0.06, 0.1])


def experiment(task, strength, rng, accuracy=None):
    """A ResNet-20 whose first blocks grow faster by `strength`."""
    drawn = counts(seeds=3, levels=LEVELS, task=task, rng=rng, noise=0.3)
    kept = drawn.kept.astype(float)
    kept[:, 1:, :5] *= np.exp(strength * np.arange(1, LEVELS + 1))[:, None]
    kept *= (drawn.kept.sum(axis=-1) / kept.sum(axis=-1))[..., None]
    kept = np.minimum(np.rint(kept).astype(np.int64), drawn.total)
    noise = 0.002 * np.random.default_rng(rng).normal(size=drawn.accuracy.shape)
    level = 0.9 - 0.1 * FALL if accuracy is None else accuracy
    return dataclasses.replace(
        drawn, kept=kept, accuracy=(level + noise).round(4), experiment_id=f"own-{task}"
    )


def matrix(strengths, loses, *, at=(0, 2, 4, 6), accuracy=None, tasks=TASKS):
    """Experiments of these strengths, whose tickets lose `loses(a, b)` times FALL."""
    own = [
        experiment(task, strength, rng, None if accuracy is None else accuracy.get(task))
        for rng, (task, strength) in enumerate(zip(tasks, strengths, strict=False))
    ]
    children = {}
    for a, one in enumerate(own):
        for b, other in enumerate(own):
            if a == b:
                continue
            draw = np.random.default_rng(100 * a + b)
            lost = loses(strengths[a], strengths[b]) * FALL + 0.001 * draw.normal(size=(3, 7))
            children[a, b] = {
                "transferred": dataclasses.replace(
                    one,
                    recipe=other.recipe,
                    accuracy=(other.accuracy - lost).clip(0, 1).round(4),
                    experiment_id=f"moved-{a}-{b}",
                ),
                "shuffle": dataclasses.replace(
                    one,
                    recipe=other.recipe,
                    accuracy=(other.accuracy - 2 * lost - FALL).clip(0, 1).round(4),
                    experiment_id=f"shuffled-{a}-{b}",
                ),
            }
    return measure_matrix(None, own, children, at=at)


def said(found):
    return "\n".join(found.notes)


STRENGTHS = (0.0, 0.01, 0.04, 0.08, 0.1)


@pytest.fixture(scope="module")
def follows():
    """Losses that follow the distance of spectra."""
    return matrix(STRENGTHS, lambda a, b: 20 * abs(a - b))


def test_a_row_for_every_pair(follows):
    frame = follows.to_frame()
    assert len(frame) == 20
    assert follows.levels == (2, 4, 6) and frame["told"].to_list() == [3] * 20
    (row,) = frame.filter(source="digits", target="cifar10").to_dicts()
    assert row["loss"] == pytest.approx(2 * FALL[[2, 4, 6]].mean(), abs=0.002)
    assert row["loss_low"] < row["loss"] < row["loss_high"]
    assert row["loss_shuffle"] == pytest.approx(5 * FALL[[2, 4, 6]].mean(), abs=0.004)
    assert row["distance"] > frame["distance"].min() and row["same"] is False


def test_losses_that_follow_spectra_are_found(follows):
    rows = {row["predictor"]: row for row in follows.predictors.to_frame().to_dicts()}
    assert rows["spectra"]["p"] <= 2 / 120 and rows["spectra"]["rho"] > 0.9
    assert rows["spectra"]["rmse"] < rows["density"]["rmse"] < rows["constant"]["rmse"]
    assert rows["spectra"]["held_out"] == 5 and rows["constant"]["rho"] is None
    assert rows["masks"]["rmse"] is None  # no store, no masks
    assert "spectra misses least" in said(follows)
    assert "120 permutations of 5 experiments, 20 pairs" in said(follows)
    assert "tells no more than density" not in said(follows)


def test_masks_that_overlap_less_where_tickets_lose_more_tell_the_loss(follows):
    found = dataclasses.replace(follows, overlap=1 - follows.loss)
    assert found.mantel("masks").rho == pytest.approx(1)
    rows = {row["predictor"]: row for row in found.predictors.to_frame().to_dicts()}
    assert rows["masks"]["rho"] == pytest.approx(1)
    assert rows["masks"]["rmse"] < rows["density"]["rmse"]
    assert rows["masks"]["p"] == pytest.approx(1 / 120)


def test_losses_that_do_not_follow_are_not():
    found = matrix(STRENGTHS, lambda a, b: 1 + 20 * b)
    rows = {row["predictor"]: row for row in found.predictors.to_frame().to_dicts()}
    assert rows["spectra"]["p"] > 0.05
    flat = matrix(STRENGTHS, lambda a, b: 1)
    assert "the distance of spectra tells no more than density alone" in said(flat)
    assert "density misses least" in said(flat)


def test_equal_spectra_whose_tickets_lose_are_said():
    found = matrix((0.0, 0.0, 0.1, 0.1), lambda a, b: 2)
    frame = found.to_frame()
    assert frame["same"].any()
    assert "spectra are certified the same and tickets lose nevertheless: " in said(found)
    assert "lose nevertheless" not in said(matrix((0.0, 0.0, 0.1, 0.1), lambda a, b: 0))


def test_three_experiments_are_not_tested_and_four_have_a_least_p():
    three = matrix(STRENGTHS[:3], lambda a, b: abs(a - b))
    assert "no test of the distance of spectra: 3 experiments have 6 permutations" in said(three)
    assert "no predictor is held out: 3 experiments" in said(three)
    assert len(three.to_frame()) == 6
    assert three.predictors.to_frame()["p"].null_count() == 4
    four = matrix(STRENGTHS[:4], lambda a, b: 20 * abs(a - b))
    assert "with 4 experiments no p can be below 1/24 = 0.042" in said(four)
    assert "no p can be below" not in said(matrix(STRENGTHS, lambda a, b: abs(a - b)))


def test_a_target_that_guesses_tells_no_loss():
    guessing = {"svhn": np.full(LEVELS + 1, 0.196)}
    found = matrix(STRENGTHS, lambda a, b: 0, accuracy=guessing)
    rows = [row for row in found.to_frame().to_dicts() if row["target"] == "svhn"]
    assert [(row["told"], row["loss"]) for row in rows] == [(0, None)] * 4
    assert "no loss is told on svhn" in said(found)
    assert "16 pairs" in said(found)


def test_losses_that_agree_over_seeds_are_no_certainty():
    """Their interval is that of rounding to whole images, three of which make a mean."""
    own, other = (experiment(task, 0.05 * rng, rng) for rng, task in enumerate(TASKS[:2]))
    lower = dataclasses.replace(own, accuracy=(other.accuracy - 0.01).round(4), experiment_id="x")
    found = measure_matrix(None, [own, other], {(0, 1): {"transferred": lower}}, at=(2, 4, 6))
    (row,) = found.to_frame().to_dicts()
    unit = found.transfers[0, 1].unit
    half = 4.302653 * unit / 3 * np.sqrt(1 / 6) / np.sqrt(3)
    assert row["loss"] == pytest.approx(0.01)
    assert row["loss_high"] - row["loss"] == pytest.approx(half, rel=1e-6)


def test_levels_of_unlike_seeds_have_a_mean_loss_without_an_interval():
    own, other = (experiment(task, 0.05 * rng, rng) for rng, task in enumerate(TASKS[:2]))
    accuracy = (other.accuracy - 0.01).round(4)
    accuracy[0, 4] = np.nan
    lower = dataclasses.replace(own, accuracy=accuracy, experiment_id="x")
    found = measure_matrix(None, [own, other], {(0, 1): {"transferred": lower}}, at=(2, 4, 6))
    (row,) = found.to_frame().to_dicts()
    assert row["told"] == 3 and row["loss"] == pytest.approx(0.01)
    assert row["loss_low"] is None and row["loss_high"] is None
    assert "no interval of the mean loss of digits to mnist: its levels are not of" in said(found)


def test_an_interval_that_is_there_or_of_one_seed_is_not_missed(follows):
    assert "no interval of the mean loss" not in said(follows)
    own, other = (
        experiment(task, 0.05 * rng, rng).select([0]) for rng, task in enumerate(TASKS[:2])
    )
    lower = dataclasses.replace(own, accuracy=other.accuracy - 0.01, experiment_id="x")
    found = measure_matrix(None, [own, other], {(0, 1): {"transferred": lower}}, at=(2, 4))
    assert found.to_frame()["loss_low"].to_list() == [None]
    assert "no interval of the mean loss" not in said(found)


def test_levels_are_a_table_of_their_own(follows):
    frame = follows.level_table.to_frame()
    assert len(frame) == 20 * 3 * 4
    assert set(frame["condition"]) == {"own", "transferred", "shuffle"}
    assert follows.level_table.title == follows.title


def test_other_networks_are_refused():
    own = [counts("lenet", seeds=2, task="digits"), counts(seeds=2)]
    with pytest.raises(RgtoolError, match="networks differ: lenet, resnet20: a matrix is of one"):
        measure_matrix(None, own, {})
