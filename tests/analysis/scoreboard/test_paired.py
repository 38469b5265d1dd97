"""Mean differences of scores over predictions that are not independent, by simulation."""

import math

import numpy as np
import pytest

from rgtool.analysis.scoreboard.paired import LEAST_UNITS, effective_units, paired, verdict


def test_one_prediction_tells_nothing_of_others():
    found = paired([0.7], [("a",)])
    assert found.value == 0.7 and math.isnan(found.low) and math.isnan(found.high)
    assert verdict(found, [("a",)]) == "undecided"


def test_without_predictions_there_is_no_mean():
    assert math.isnan(paired([], []).value)
    assert verdict(paired([], []), []) == "undecided"


def test_copies_of_one_prediction_are_one():
    """Ten rows of one unit: no interval, whatever their number."""
    found = paired(np.linspace(0.5, 0.7, 10), [("a",)] * 10)
    assert math.isnan(found.low)
    assert effective_units([("a",)] * 10) == 1


def test_repetition_changes_nothing():
    values, units = [0.1, 0.5, -0.2, 0.9, 0.3, 0.2], [(x,) for x in "abcdef"]
    once = paired(values, units)
    five = paired(np.repeat(values, 5), [unit for unit in units for _ in range(5)])
    assert five.value == pytest.approx(once.value)
    assert (five.low, five.high) == (pytest.approx(once.low), pytest.approx(once.high))


def test_of_units_by_themselves_it_is_students_interval():
    from scipy import stats

    values = np.array([0.1, 0.5, -0.2, 0.9, 0.3])
    found = paired(values, [(str(i),) for i in range(5)])
    half = stats.t.ppf(0.975, 4) * values.std(ddof=1) / math.sqrt(5)
    assert found.high - found.value == pytest.approx(half)


def test_what_is_certain_of_few_decides_nothing():
    """Equal differences have a sd of 0; five of five on one side happens in one of sixteen."""
    units = [(str(i),) for i in range(LEAST_UNITS)]
    same = [0.4] * LEAST_UNITS
    assert verdict(paired(same[:-1], units[:-1]), units[:-1]) == "undecided"
    assert verdict(paired(same, units), units) == "better"
    assert verdict(paired([-0.4] * LEAST_UNITS, units), units) == "worse"


def test_a_score_that_is_lost_for_good_is_not_averaged_away():
    """Probability 0 for what came: minus infinity, without an interval, and never better."""
    units = [(str(i),) for i in range(8)]
    found = paired([1.0] * 7 + [-math.inf], units)
    assert found.value == -math.inf and math.isnan(found.low)
    assert verdict(found, units) == "worse"


def test_both_lost_for_good_is_no_difference_at_all():
    with pytest.raises(ValueError, match="no number"):
        paired([math.nan, 1.0], [("a",), ("b",)])


def test_crossed_units_count_as_the_fewer():
    """Two sources by two tasks are four pairs, and two of each."""
    units = [(s, t) for s in "ab" for t in "cd"]
    assert effective_units(units) == 2
    assert effective_units([("x", str(i)) for i in range(9)]) == 1  # one loser of nine orderings


def rate(design, skewed: bool, number: int = 400) -> float:
    """How often a difference is found where there is none."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(number):
        values, units = design(rng, skewed)
        wrong += verdict(paired(values, units), units) != "undecided"
    return wrong / number


def noise(rng, size, skewed):
    """Differences of log scores have a long tail where one of both was far off; mean 0."""
    return 1 - rng.exponential(size=size) if skewed else rng.normal(size=size)


def clusters(count):
    def design(rng, skewed):
        of_cluster = noise(rng, count, skewed)
        values = np.repeat(of_cluster, 5) + 0.2 * rng.normal(size=5 * count)
        return values, [(str(i),) for i in range(count) for _ in range(5)]

    return design


def matrix(count):
    """Every experiment to every other: effects of sources, of targets, and of pairs."""

    def design(rng, skewed):
        source, target = noise(rng, count, skewed), noise(rng, count, skewed)
        pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
        values = [source[i] + target[j] + rng.normal() for i, j in pairs]
        return values, [(str(i), str(j)) for i, j in pairs]

    return design


def unequal(rng, skewed):
    """One experiment has half of all predictions."""
    of_cluster = noise(rng, 9, skewed)
    sizes = [8, *[1] * 8]
    values = np.repeat(of_cluster, sizes) + 0.3 * rng.normal(size=16)
    return values, [(str(i),) for i, size in enumerate(sizes) for _ in range(size)]


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize(
    "design", [clusters(6), clusters(12), clusters(30), matrix(6), matrix(10), unequal]
)
def test_a_difference_that_is_none_is_seldom_found(design, skewed):
    """Nominal .05; a mean of few skewed scores is too sure of itself, and by no more than this."""
    assert rate(design, skewed) <= (0.13 if skewed else 0.08)


def test_a_difference_that_is_there_is_found():
    rng, found = np.random.default_rng(2), 0
    for _ in range(100):
        values = np.repeat(1.0 + rng.normal(size=12), 5)
        units = [(str(i),) for i in range(12) for _ in range(5)]
        found += verdict(paired(values, units), units) == "better"
    assert found > 80


def test_taking_rows_for_independent_would_find_what_is_not_there():
    """The design has teeth: five seeds counted as five predictions are wrong in half of all."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(200):
        values, _ = clusters(6)(rng, False)
        wrong += verdict(paired(values, own := [(str(i),) for i in range(30)]), own) != "undecided"
    assert wrong > 60
