"""The test that permutes labels, and predictors of experiments that were held out."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from rgtool.analysis.transfer.mantel import Mantel, mantel, ranked_values
from rgtool.analysis.transfer.predictors import held_out, winner
from rgtool.analysis.values import Refusal


def distances(rng, size):
    places = rng.normal(size=(size, 3))
    return np.sqrt(((places[:, None] - places[None]) ** 2).sum(axis=-1))


def slowly(distance, loss):
    """The oracle: SciPy's correlation of every permutation, one by one."""
    size = len(loss)
    pairs = [(i, j) for i in range(size) for j in range(size) if i != j]
    pairs = [(i, j) for i, j in pairs if np.isfinite(loss[i, j])]
    y = [loss[pair] for pair in pairs]
    found = [
        stats.spearmanr([distance[order[i], order[j]] for i, j in pairs], y).statistic
        for order in itertools.permutations(range(size))
    ]
    return found[0], np.mean(np.array(found) >= found[0] - 1e-9)


@pytest.mark.parametrize("size", [4, 5])
def test_against_the_slow_oracle(size):
    rng = np.random.default_rng(size)
    for missing in (0, 1, 4):
        distance, loss = distances(rng, size), rng.normal(size=(size, size)).round(1)
        row, column = np.nonzero(~np.eye(size, dtype=bool))
        loss[row[:missing], column[:missing]] = np.nan
        found = mantel(distance, loss)
        assert isinstance(found, Mantel)
        assert (found.rho, found.p) == pytest.approx(slowly(distance, loss))
        assert found.pairs == size * (size - 1) - missing


def test_ranks_are_those_of_scipy():
    values = np.random.default_rng(0).integers(0, 5, (7, 12)).astype(float)
    np.testing.assert_array_equal(ranked_values(values), stats.rankdata(values, axis=1))


def test_three_experiments_are_refused_and_four_have_a_least_p():
    rng = np.random.default_rng(0)
    three = mantel(distances(rng, 3), rng.normal(size=(3, 3)))
    assert isinstance(three, Refusal) and "6 permutations" in three.reason
    distance = distances(rng, 4)
    found = mantel(distance, distance)
    assert isinstance(found, Mantel)
    assert found.permutations == 24 and found.least == found.p == 1 / 24 and found.rho == 1.0


def test_a_target_that_tells_no_loss_is_left_out_and_stays_a_source():
    rng = np.random.default_rng(2)
    distance = distances(rng, 5)
    loss = distance + 0.01
    loss[:, 2] = np.nan
    found = mantel(distance, loss)
    assert isinstance(found, Mantel)
    assert (found.pairs, found.experiments, found.rho) == (16, 5, 1.0)
    assert found.p == pytest.approx(slowly(distance, loss)[1])


def test_what_does_not_vary_or_is_not_known_is_refused():
    same = np.ones((5, 5))
    distance = distances(np.random.default_rng(1), 5)
    for x, y in ((same, distance), (distance, same), (distance, np.full((5, 5), np.nan))):
        found = mantel(x, y)
        assert isinstance(found, Refusal) and "alike" in found.reason
    holey = distance.copy()
    holey[0, 1] = np.nan
    found = mantel(holey, distance)
    assert isinstance(found, Refusal) and "not known" in found.reason


def test_nearer_experiments_that_lose_more_have_a_large_p():
    distance = distances(np.random.default_rng(3), 5)
    found = mantel(distance, -distance)
    assert isinstance(found, Mantel)
    assert found.rho == -1.0 and found.p == 1.0


@pytest.mark.parametrize(("size", "permutations"), [(7, 5040), (8, 10_000)])
def test_up_to_seven_experiments_all_permutations_are_gone_through(size, permutations):
    distance = distances(np.random.default_rng(6), size)
    found = mantel(distance, distance)
    assert isinstance(found, Mantel) and found.permutations == permutations


def test_many_experiments_are_drawn_and_the_seed_decides():
    rng = np.random.default_rng(4)
    distance, loss = distances(rng, 9), rng.normal(size=(9, 9))
    found = [mantel(distance, loss, seed) for seed in (0, 0, 1)]
    assert all(isinstance(one, Mantel) and one.permutations == 10_000 for one in found)
    assert found[0] == found[1] != found[2]
    follows = mantel(distance, distance)
    assert isinstance(follows, Mantel) and follows.p == follows.least == 1e-4


@pytest.mark.parametrize("of", ["target", "source"])
def test_losses_that_go_with_an_experiment_are_not_rejected_too_often(of):
    """Nominal 5 % of 400 matrices of five: entries of a row or a column are not independent."""
    rng = np.random.default_rng(5)
    small = 0
    for _ in range(400):
        loss = np.tile(rng.exponential(size=5), (5, 1)) + 0.1 * rng.normal(size=(5, 5))
        found = mantel(distances(rng, 5), loss if of == "target" else loss.T)
        assert isinstance(found, Mantel)
        small += found.p <= 0.05
    assert small / 400 < 0.08


GROWS = np.array([0.01, 0.05, 0.2])


def losses(rng, strength):
    """Losses (E, E, T) that grow along the levels, by the strength of a pair."""
    loss = strength[..., None] * GROWS * (1 + 0.02 * rng.normal(size=(*strength.shape, 3)))
    loss[np.arange(len(loss)), np.arange(len(loss))] = np.nan
    return loss


def rmse(scores):
    assert not isinstance(scores, Refusal)
    return {score.predictor: score.rmse for score in scores}


def test_the_predictor_that_losses_follow_wins():
    rng = np.random.default_rng(6)
    distance, overlap = distances(rng, 5), rng.uniform(0.1, 0.4, (5, 5, 3))
    flat = held_out(losses(rng, np.ones((5, 5))), distance, overlap)
    assert rmse(flat)["constant"] > 10 * rmse(flat)["density"]
    assert rmse(flat)["spectra"] < 2 * rmse(flat)["density"]
    assert winner(held_out(losses(rng, distance), distance, overlap)).predictor == "spectra"
    by_mask = losses(rng, np.ones((5, 5))) + (0.5 - overlap)
    assert winner(held_out(by_mask, distance, overlap)).predictor == "masks"


def test_held_out_by_hand():
    """Four experiments, one level: what is held out is told by the pairs of the other three."""
    loss = np.full((4, 4, 1), np.nan)
    values = {(0, 1): 1.0, (1, 2): 2.0, (2, 3): 6.0}
    for pair, value in values.items():
        loss[(*pair, 0)] = value
    found = held_out(loss, np.ones((4, 4)) - np.eye(4), None)
    assert not isinstance(found, Refusal)
    # Without 0: mean 4 for 1. Without 1: 6 for 1 and 2. Without 2: 1 for 2 and 6. Without 3: 1.5.
    missed = [3, 5, 4, -1, -5, -4.5]
    assert found[0].rmse == pytest.approx(math.sqrt(np.mean(np.square(missed))))
    assert [score.predictor for score in found] == ["constant", "density", "spectra"]
    assert len({round(score.rmse, 12) for score in found}) == 1  # one level, one distance
    assert (found[0].held_out, found[0].losses) == (4, 6)
    assert winner(found).predictor == "constant"  # of equal ones the simplest


def test_a_line_stays_within_what_it_was_drawn_through():
    """Experiment 3 lies far away, and loses as the others do."""
    distance = np.array([[0, 1, 2, 40], [1, 0, 3, 41], [2, 3, 0, 42], [40, 41, 42, 0.0]])
    loss = np.minimum(distance, 3)[..., None] / 10
    loss[np.arange(4), np.arange(4)] = np.nan
    found = held_out(loss, distance, None)
    assert rmse(found)["spectra"] < 0.1


def test_too_few_experiments_are_refused_and_masks_that_are_missing_take_no_part():
    rng = np.random.default_rng(7)
    three = held_out(losses(rng, np.ones((3, 3))), distances(rng, 3), None)
    assert isinstance(three, Refusal) and "3 experiments" in three.reason
    overlap = np.full((5, 5, 3), 0.2)
    overlap[0, 1] = np.nan
    assert "masks" not in rmse(held_out(losses(rng, np.ones((5, 5))), distances(rng, 5), overlap))
    empty = held_out(np.full((4, 4, 1), np.nan), distances(rng, 4), None)
    assert isinstance(empty, Refusal)
