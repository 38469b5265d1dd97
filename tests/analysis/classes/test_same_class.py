"""Comparisons of spectra from few seeds: identities, size, power, and the three verdicts."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from rgtool.analysis.classes.pairs import same_class
from rgtool.analysis.nulls.excess import differs, excess
from rgtool.analysis.spectrum.verdicts import MARGIN
from rgtool.analysis.stats.contrast import centred, contrast
from rgtool.analysis.stats.level import holm
from rgtool.analysis.stats.moderation import helmert, moderate, shrunk_correlation

SEED_SD = 0.0068
GROUPS = 9
DRAWS = 199


def seeds(rng, number, shift=0.0, groups=GROUPS, scale=1.0):
    """Mean log eigenvalues of so many seeds, shape (number, groups)."""
    return shift + SEED_SD * scale * rng.normal(size=(number, groups))


def share_rejected(p_values):
    return np.mean(np.array(p_values) <= 0.05)


def test_helmert_keeps_the_squares_and_forgets_the_mean():
    data = np.random.default_rng(0).normal(size=(5, 3)) + [1, 2, 3]
    rows = helmert(data)
    residuals = data - data.mean(axis=0)
    assert rows.shape == (4, 3)
    np.testing.assert_allclose(rows.T @ rows, residuals.T @ residuals, rtol=1e-12)
    np.testing.assert_allclose(helmert(data + 7), rows, atol=1e-12)
    assert helmert(data[:1]).shape == (0, 3)


def test_holm_is_that_of_statsmodels():
    rng = np.random.default_rng(1)
    for size in (1, 2, 9, 60):
        p = rng.uniform(size=size) ** 3
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)
    np.testing.assert_allclose(holm([0.02, 0.02]), [0.04, 0.04])


def test_the_statistic_is_the_written_formula():
    rng = np.random.default_rng(2)
    a, b = seeds(rng, 3), seeds(rng, 4)
    found = same_class(a, b, rng, draws=9)
    clr_a, clr_b = (x - x.mean(axis=1)[:, None] for x in (a, b))
    squares = ((clr_a - clr_a.mean(axis=0)) ** 2).sum(axis=0)
    squares += ((clr_b - clr_b.mean(axis=0)) ** 2).sum(axis=0)
    variance = moderate(squares / 5, 5).variance
    d = clr_a.mean(axis=0) - clr_b.mean(axis=0)
    np.testing.assert_allclose(found.d, d, rtol=1e-12)
    assert found.q == pytest.approx((d**2 / (variance * (1 / 3 + 1 / 4))).sum())
    assert found.d.sum() == pytest.approx(0, abs=1e-15)


def test_one_seed_at_a_time_is_the_slow_oracle_of_the_draws():
    """Draw whole experiments and compare each from the start: the same distribution of Q."""
    rng = np.random.default_rng(3)
    a, b = seeds(rng, 3), seeds(rng, 3)
    fast = same_class(a, b, np.random.default_rng(4), draws=4000)
    noise = np.concatenate([helmert(centred(a)), helmert(centred(b))])
    variance = moderate((noise**2).mean(axis=0), 4).variance
    deviation = np.sqrt(variance)
    covariance = shrunk_correlation(noise) * np.outer(deviation, deviation)
    larger = 0
    for _ in range(1000):
        x, y = rng.multivariate_normal(np.zeros(GROUPS), covariance, size=(2, 3))
        larger += same_class(x, y, rng, draws=1).q >= fast.q
    assert fast.p == pytest.approx(larger / 1000, abs=0.06)


@pytest.mark.parametrize("number", [2, 3, 5])
@pytest.mark.parametrize("kind", ["alike", "unequal", "correlated"])
def test_size_of_both_tests(number, kind):
    """600 simulations: the standard error of a size of .05 is .009."""
    rng = np.random.default_rng([number, len(kind)])
    scale = np.exp(np.linspace(-0.7, 0.7, GROUPS)) if kind == "unequal" else np.ones(GROUPS)
    lag = np.abs(np.subtract.outer(range(GROUPS), range(GROUPS)))
    weight = 0.6 if kind == "correlated" else 0.0
    root = np.linalg.cholesky((1 - weight) * np.eye(GROUPS) + weight * np.exp(-lag / 3))
    same, null = [], []
    for _ in range(600):
        x = seeds(rng, 2 * number) @ root.T * scale
        same.append(same_class(x[:number], x[number:], rng, DRAWS).p)
        null.append(differs(x[:number], np.zeros(GROUPS), rng, DRAWS).p)
    assert 0.015 <= share_rejected(same) <= 0.085
    assert 0.015 <= share_rejected(null) <= 0.085


def test_power_for_two_percent_in_two_groups():
    rng = np.random.default_rng(5)
    shift = np.zeros(GROUPS)
    shift[:2] = 0.02
    same, null = [], []
    for _ in range(400):
        a, b = seeds(rng, 3, shift), seeds(rng, 3)
        same.append(same_class(a, b, rng, DRAWS).p)
        null.append(differs(a, np.zeros(GROUPS), rng, DRAWS).p)
    assert 0.6 <= share_rejected(same) <= 0.8
    assert share_rejected(null) >= 0.7  # the null has no seeds of its own, so its test is sharper


def test_equivalence_is_certified_rarely_where_it_is_false():
    """Two groups at the margin: `same` with a probability of at most 5 %."""
    rng = np.random.default_rng(6)
    shift = np.array([0.02, -0.02] + [0.0] * (GROUPS - 2))
    verdicts = [
        same_class(seeds(rng, 4, shift), seeds(rng, 4), rng, 99).verdict for _ in range(400)
    ]
    assert np.mean([verdict == "same" for verdict in verdicts]) <= 0.07
    assert np.mean([verdict == "different" for verdict in verdicts]) > 0.9


def test_three_verdicts():
    rng = np.random.default_rng(7)
    quiet = [seeds(rng, 3, scale=0.2) for _ in range(2)]
    assert same_class(*quiet, rng, 999).verdict == "same"
    far = np.linspace(-0.05, 0.05, GROUPS)
    found = same_class(quiet[0] + far, quiet[1], rng, 999)
    assert found.verdict == "different"
    assert found.p == pytest.approx(1 / 1000)
    assert (found.p_group[[0, -1]] < 0.05).all() and found.p_group.shape == (GROUPS,)
    assert not found.equivalent.all()
    loud = [seeds(rng, 2, scale=3) for _ in range(2)]
    assert same_class(*loud, rng, 999).verdict == "undecided"
    # A certain difference that is certainly negligible.
    tiny = same_class(quiet[0] + 0.1 * far, quiet[1], rng, 999)
    assert tiny.p < 0.05 and tiny.verdict == "same"


def test_the_margin_is_one_for_all_numbers_of_seeds_and_can_be_given():
    rng = np.random.default_rng(8)
    assert {same_class(seeds(rng, n), seeds(rng, n), rng, 9).delta for n in (3, 5)} == {MARGIN}
    assert same_class(seeds(rng, 5), seeds(rng, 5), rng, 9, delta=0.1).verdict == "same"


def test_a_common_factor_does_not_count():
    rng = np.random.default_rng(9)
    a, b = seeds(rng, 3), seeds(rng, 3)
    one = same_class(a, b, np.random.default_rng(0), 99)
    other = same_class(a + 0.3, b, np.random.default_rng(0), 99)
    np.testing.assert_allclose(one.d, other.d, atol=1e-12)
    assert one.p == other.p


def test_two_groups_are_one_dimension():
    rng = np.random.default_rng(10)
    p = [same_class(seeds(rng, 3, groups=2), seeds(rng, 3, groups=2), rng, 99) for _ in range(400)]
    assert p[0].df == 4
    assert 0.02 <= share_rejected([found.p for found in p]) <= 0.08
    # The interval of one difference of two normal samples is Student's.
    assert np.mean([(x.low[0] <= 0 <= x.high[0]) for x in p]) == pytest.approx(0.95, abs=0.035)


def test_draws_in_pieces_are_as_many(monkeypatch):
    monkeypatch.setattr("rgtool.analysis.stats.contrast.AT_ONCE", 1000)
    rng = np.random.default_rng(11)
    found = same_class(seeds(rng, 3), seeds(rng, 3), rng, 777)
    assert found.p * 778 == pytest.approx(round(found.p * 778))
    assert 0 < found.p <= 1


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), "cannot be compared"),
        (np.ones((1, 3)), np.ones((1, 3)), "at least four"),
        (np.ones((2, 3)), np.ones((1, 3)), "at least four"),
        (np.ones((2, 1)), np.ones((2, 1)), "two groups"),
        (np.ones((2, 3)), np.ones((2, 3)), "all seeds are alike"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, words):
    with pytest.raises(ValueError, match=words):
        same_class(a, b, np.random.default_rng(0))


def test_one_seed_has_no_p_against_a_null():
    with pytest.raises(ValueError, match="two seeds"):
        differs(np.zeros((1, 3)), np.zeros(3), np.random.default_rng(0))
    with pytest.raises(ValueError, match="two groups"):
        contrast([0.0], np.ones((3, 1)), 1.0, np.random.default_rng(0))


@pytest.mark.parametrize("number", [2, 3, 5])
def test_intervals_of_the_excess_cover(number):
    rng = np.random.default_rng(number)
    null_y, truth = rng.normal(size=GROUPS), np.linspace(-0.1, 0.1, GROUPS)
    covered = []
    for _ in range(500):
        y = null_y + truth + seeds(rng, number) * 4.5
        centre, low, high = excess(y, np.broadcast_to(null_y, y.shape))
        np.testing.assert_allclose(centre, (y - null_y).mean(axis=0))
        covered.append((low <= truth) & (truth <= high))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_excess_of_one_seed_has_no_interval_and_of_constant_groups_none():
    y = np.random.default_rng(0).normal(size=(3, 4))
    _, low, high = excess(y[:1], 0 * y[:1])
    assert np.isnan(low).all() and np.isnan(high).all()
    y[:, 1], y[:, 2] = 1.0, np.nan
    centre, low, high = excess(y, np.zeros_like(y))
    assert np.isnan([low[1], high[1], centre[2], low[2]]).all() and centre[1] == 1
    assert np.isfinite([low[0], high[3]]).all()
