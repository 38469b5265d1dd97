"""What a prediction is worth when it is met: log scores and coverage, also where they could break.

The designs are those that break a score: a spread of nothing, an outcome that never came, a tie,
an outcome far from all that was predicted.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rgtool.analysis.scoreboard.laws import (
    LEAST,
    Outcome,
    chance_of,
    interval,
    levels_of,
    log_score,
    meets,
    student_of,
)
from rgtool.schemas.errors import UsageError
from rgtool.schemas.records.predictions import Chance, Levels, Student

PROBABILITIES = st.lists(st.floats(0.01, 1), min_size=2, max_size=30)


def levels(*weights: float, first: int = 1) -> Levels:
    return Levels(first, tuple(w / sum(weights) for w in weights))


def test_a_level_scores_the_log_of_its_probability():
    law = levels(1, 2, 5, 2)  # levels 1, 2, 3, and all beyond
    assert log_score(law, Outcome(2, 2)) == pytest.approx(math.log(0.2))
    assert log_score(law, Outcome(3, 3)) == pytest.approx(math.log(0.5))


def test_what_never_came_scores_all_that_lies_beyond():
    law = levels(1, 2, 5, 2)
    assert log_score(law, Outcome(3, math.inf)) == pytest.approx(math.log(0.7))
    assert log_score(law, Outcome(40, math.inf)) == pytest.approx(math.log(0.2))
    assert log_score(law, Outcome(-math.inf, math.inf)) == pytest.approx(0)


def test_a_level_beyond_the_grid_shares_what_lies_beyond_with_all_others_there():
    """Which of the levels beyond it was is not asked: the law does not tell them apart."""
    law = levels(1, 2, 5, 2)
    assert log_score(law, Outcome(9, 9)) == pytest.approx(math.log(0.2))


def test_a_level_before_the_grid_was_held_for_impossible():
    assert log_score(levels(1, 1, first=4), Outcome(2, 2)) == -math.inf
    assert log_score(Levels(1, (0.0, 1.0, 0.0)), Outcome(1, 1)) == -math.inf


@given(PROBABILITIES)
def test_scores_are_proper(weights):
    """No other law has a higher expected score under the true one."""
    truth = levels(*weights)
    other = levels(*weights[::-1])
    cells = [Outcome(1 + i, 1 + i) for i in range(len(weights) - 1)]
    cells.append(Outcome(len(weights), math.inf))
    expected = [
        sum(p * log_score(law, cell) for p, cell in zip(truth.probability, cells, strict=True))
        for law in (truth, other)
    ]
    assert expected[0] >= expected[1] - 1e-9


@given(PROBABILITIES, st.integers(1, 28))
def test_scores_of_censored_outcomes_are_proper_too(weights, at):
    """Where a run ends at level `at` the outcome is a level before or a bound."""
    truth, other = levels(*weights), levels(*weights[::-1])
    at = min(at, len(weights) - 1)
    expected = []
    for law in (truth, other):
        cells = [Outcome(1 + i, 1 + i) for i in range(at)] + [Outcome(1 + at, math.inf)]
        chances = [*truth.probability[:at], sum(truth.probability[at:])]
        expected.append(sum(p * log_score(law, c) for p, c in zip(chances, cells, strict=True)))
    assert expected[0] >= expected[1] - 1e-9


def test_draws_become_levels_with_a_share_for_anything():
    law = levels_of(np.array([2.0, 3.0, 3.0, np.inf]), first=1, last=5)
    assert law.first == 1 and len(law.probability) == 6
    assert sum(law.probability) == pytest.approx(1)
    assert min(law.probability) == pytest.approx(LEAST / 6)
    assert law.probability[2] == pytest.approx(0.5 * (1 - LEAST) + LEAST / 6)
    assert law.probability[-1] == pytest.approx(0.25 * (1 - LEAST) + LEAST / 6)


def test_draws_that_all_agree_leave_a_finite_score():
    """A spread of nothing: what was certain and did not come costs much, and not everything."""
    law = levels_of(np.full(100, 3.0), first=1, last=10)
    assert log_score(law, Outcome(3, 3)) == pytest.approx(math.log(1 - LEAST + LEAST / 11))
    assert -7.1 < log_score(law, Outcome(8, 8)) < -6.9


def test_a_level_is_the_nearest_one():
    law = levels_of(np.array([2.49, 2.51]), first=2, last=3)
    assert law.probability[0] == pytest.approx(law.probability[1])
    assert levels_of(np.array([-3.0]), first=0, last=3).probability[0] > 0.9


def test_students_law_scores_a_cell_about_the_outcome():
    law = student_of(0.3, 0.1, 4)
    found = log_score(law, Outcome(0.40, 0.42))
    assert found == pytest.approx(math.log(np.diff(stats.t.cdf([1.0, 1.2], 4))[0]))


def test_a_number_that_has_a_bound_alone_scores_the_tail():
    """A group that has run empty has an exponent below that of its last weight."""
    law = student_of(0.3, 0.1, 4)
    found = log_score(law, Outcome(-math.inf, 0.2))
    assert found == pytest.approx(math.log(stats.t.cdf(-1, 4)))
    assert meets(law, Outcome(-math.inf, 0.2)) is None
    assert meets(law, Outcome(-math.inf, -0.2)) is False
    assert math.isfinite(log_score(student_of(0.3, 0.01, 1000), Outcome(-math.inf, -99.0)))


@pytest.mark.parametrize("away", [5.0, 50.0, 1e3, 1e6])
@pytest.mark.parametrize("side", [-1, 1])
def test_far_from_all_that_was_predicted_the_score_is_finite(away, side):
    law = student_of(0.0, 0.01, 1000)
    found = log_score(law, Outcome(*sorted((side * away, side * (away + 0.01)))))
    assert math.isfinite(found) and found < -100
    if away == 5:  # 500 sds: the density times the width of the cell
        assert found == pytest.approx(stats.t.logpdf(500.5, 1000), rel=0.01)  # a cell of one sd


@pytest.mark.parametrize("at", [2.0, 7.0, 9.0])
def test_both_tails_keep_their_digits(at):
    law = student_of(0.0, 1.0, 1000)
    found = log_score(law, Outcome(at, at + 0.5))
    assert found == pytest.approx(log_score(law, Outcome(-at - 0.5, -at)), rel=1e-9)
    assert found == pytest.approx(math.log(stats.t.sf(at, 1000) - stats.t.sf(at + 0.5, 1000)))


def test_a_spread_of_nothing_is_no_less_than_the_cell_of_an_outcome():
    """Copies of one run have a sd of 0: certainty that nothing has earned."""
    law = student_of(0.3, 0.0, 3)
    assert law.scale > 0
    assert math.isfinite(log_score(law, Outcome(0.9, 0.91)))
    assert log_score(law, Outcome(0.295, 0.305)) < 0


@pytest.mark.parametrize("numbers", [(math.nan, 1, 3), (0, math.inf, 3), (0, 1, math.nan)])
def test_what_is_no_number_is_no_law(numbers):
    with pytest.raises(UsageError, match="finite"):
        student_of(*numbers)
    with pytest.raises(UsageError, match="no draws"):
        levels_of(np.array([]), 0, 3)


def test_the_better_of_two_scores_its_chance_and_a_tie_is_half_of_each():
    law = Chance(0.8)
    assert log_score(law, Outcome(1, 1)) == pytest.approx(math.log(0.8))
    assert log_score(law, Outcome(0, 0)) == pytest.approx(math.log(0.2))
    half = 0.5 * math.log(0.8) + 0.5 * math.log(0.2)
    assert log_score(law, Outcome(0.5, 0.5)) == pytest.approx(half)


@given(st.floats(0.02, 0.98), st.floats(0.02, 0.98), st.floats(0, 0.5))
def test_ties_do_not_make_the_score_improper(truth, other, ties):
    """With ties that fall on both sides alike, the true chance has the highest expected score."""

    def expected(p: float) -> float:
        law = Chance(p)
        sure = truth * log_score(law, Outcome(1, 1)) + (1 - truth) * log_score(law, Outcome(0, 0))
        return (1 - ties) * sure + ties * log_score(law, Outcome(0.5, 0.5))

    mixed = (1 - ties) * truth + ties / 2
    assert expected(mixed) >= expected(other) - 1e-9


def test_a_chance_leaves_a_share_for_the_other():
    assert chance_of(1.0).probability == pytest.approx(1 - LEAST / 2)
    assert chance_of(0.0).probability == pytest.approx(LEAST / 2)
    assert chance_of(0.5).probability == 0.5


def test_an_outcome_is_met_missed_or_open():
    law = levels(*([1] * 40), first=1)  # 95 % lies in levels 1 to 39 or so
    low, high = interval(law)
    assert (low, high) == (1, 39)
    law = levels(0.01, 0.5, 0.48, 0.01)
    assert interval(law) == (2, 3)
    assert meets(law, Outcome(2, 2)) is True
    assert meets(law, Outcome(1, 1)) is False
    assert meets(law, Outcome(3, math.inf)) is None  # it may be 3 and it may be 9
    assert meets(law, Outcome(4, math.inf)) is False
    assert meets(law, Outcome(-math.inf, 1)) is False
    assert meets(law, Outcome(1, 2)) is None
    assert meets(law, Outcome(3, 4)) is None


def test_an_interval_without_an_end_meets_what_never_came():
    law = levels(0.1, 0.1, 0.8)
    assert interval(law) == (1, math.inf)
    assert meets(law, Outcome(2, math.inf)) is True


def test_the_interval_of_students_law():
    low, high = interval(student_of(1.0, 0.1, 5))
    half = 0.1 * stats.t.ppf(0.975, 5)
    assert (low, high) == (pytest.approx(1 - half), pytest.approx(1 + half))
    assert meets(Student(1.0, 0.1, 5.0), Outcome(1.0, 1.01)) is True
    assert meets(Student(1.0, 0.1, 5.0), Outcome(2.0, 2.01)) is False


def test_of_two_there_is_no_interval():
    assert meets(Chance(0.9), Outcome(0, 0)) is None


def test_intervals_of_the_true_law_cover():
    rng = np.random.default_rng(0)
    truth = levels(*rng.random(12))
    at = rng.choice(12, 4000, p=truth.probability) + 1
    found = [meets(truth, Outcome(x, x) if x < 12 else Outcome(12, math.inf)) for x in at.tolist()]
    assert 0.94 < np.mean(found) <= 1
