"""Comparisons of spectra from few seeds: identities, size, power, and the three verdicts."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import chi2, ttest_1samp, ttest_ind
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from rgtool.analysis.classes.same import same_class
from rgtool.analysis.nulls.beyond import differs
from rgtool.analysis.spectrum.verdicts import MARGIN
from rgtool.analysis.stats.contrast import (
    Known,
    Told,
    common_correlation,
    null_draws,
    one_sample,
    repeated,
    sample,
    told_of,
    two_samples,
)
from rgtool.analysis.stats.difference import KNOWN, difference_p
from rgtool.analysis.stats.level import holm
from rgtool.analysis.stats.moderation import (
    correlation_about_zero,
    effective_groups,
    helmert,
    lent,
    moderate,
)

SEED_SD = 0.0068
GROUPS = 9
DRAWS = 199
NAMES = [f"g{i}" for i in range(GROUPS)]
UNEQUAL = [(3, 5, 2, 1), (2, 5, 3, 1), (10, 2, 0.3, 1), (5, 3, 2, 1), (2, 10, 10, 1)]


def seeds(rng, number, shift=0.0, groups=GROUPS, scale=1.0):
    """Mean log eigenvalues of so many seeds, shape (number, groups)."""
    return shift + SEED_SD * scale * rng.normal(size=(number, groups))


def clr(x):
    return x - x.mean(axis=-1, keepdims=True)


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
    a, b = seeds(rng, 3), seeds(rng, 6, scale=2)
    found = same_class(a, b, rng, draws=9)
    variances = []
    for x in (clr(a), clr(b)):
        s2 = ((x - x.mean(axis=0)) ** 2).sum(axis=0) / (len(x) - 1)
        variances.append(moderate(s2, len(x) - 1, 2.0).variance / len(x))
    d = clr(a).mean(axis=0) - clr(b).mean(axis=0)
    np.testing.assert_allclose(found.d, d, rtol=1e-12)
    assert found.q == pytest.approx((d**2 / (variances[0] + variances[1])).sum())
    assert found.d.sum() == pytest.approx(0, abs=1e-15)
    assert found.seeds == (3, 6)


def test_drawn_seeds_scatter_as_far_as_any_estimate_says():
    data = clr(seeds(np.random.default_rng(29), 4, scale=np.linspace(0.2, 5, GROUPS)))
    own = data.var(axis=0, ddof=1)
    moderated = moderate(own, 3, 2.0).variance
    assert (own > moderated).any() and (own < moderated).any()
    np.testing.assert_allclose(sample(data).deviation ** 2, np.maximum(own, moderated))


def test_intervals_are_those_of_welch():
    """From five seeds on with a group's own variance, below with what other groups lend."""
    rng = np.random.default_rng(20)
    a, b = seeds(rng, 5), seeds(rng, 7, scale=3)
    found = same_class(a, b, rng, draws=9)
    welch = ttest_ind(clr(a), clr(b), equal_var=False)
    np.testing.assert_allclose([found.low, found.high], welch.confidence_interval(0.95))
    np.testing.assert_allclose(found.p_group, multipletests(welch.pvalue, method="holm")[1])
    inner = welch.confidence_interval(0.9)
    np.testing.assert_allclose(found.reach, np.maximum(-inner.low, inner.high))
    few = [lent(clr(x)) for x in (a[:3], b[:4])]
    squares = [one.variance / n for one, n in zip(few, (3, 4), strict=True)]
    df = sum(squares) ** 2 / sum(q**2 / f.df for q, f in zip(squares, few, strict=True))
    short = same_class(a[:3], b[:4], rng, draws=9)
    half = student.ppf(0.975, df) * np.sqrt(sum(squares))
    np.testing.assert_allclose(short.high - short.d, half)
    np.testing.assert_allclose(short.d - short.low, half)


@pytest.mark.parametrize("numbers", [(2, 4), (3, 5)])
def test_one_draw_at_a_time_is_the_slow_oracle(numbers):
    """Draw whole experiments and compare each from the start: the same distribution of Q."""
    rng = np.random.default_rng(3)
    data = [clr(seeds(rng, n, scale=1 + i)) for i, n in enumerate(numbers)]
    samples = [sample(x) for x in data]
    rows = [helmert(x) for x in data if len(x) > 2]
    rows = np.concatenate([h / np.sqrt((h**2).mean(axis=0)) for h in rows])
    np.testing.assert_allclose(common_correlation(samples), correlation_about_zero(rows))
    told = told_of(samples)
    drawn = []
    for _ in range(700):
        made = []
        for x, own in zip(data, told, strict=True):
            s2 = x.var(axis=0, ddof=1)
            sd = np.sqrt(np.maximum(moderate(s2, len(x) - 1, 2.0).variance, s2))
            z = rng.normal(size=x.shape) @ sqrtm(own.correlation).real * sd
            df = effective_groups(own.correlation) * (len(x) - 1)
            scale = np.sqrt(df / rng.chisquare(df))
            about = z - z.mean(axis=0)
            power = own.cancels if len(x) > 2 else 0
            made.append(scale * z.mean(axis=0) + scale**power * about)
        drawn.append(same_class(*made, rng, draws=1).q)
    fast = null_draws(samples, np.random.default_rng(4), 20_000)
    levels = [0.2, 0.5, 0.8, 0.95]
    np.testing.assert_allclose(
        [(fast > q).mean() for q in np.quantile(drawn, levels)],
        1 - np.array(levels),
        atol=0.06,
    )


def test_two_seeds_tell_no_correlation():
    """Their one row, scaled by itself, would say that all groups move together."""
    rng = np.random.default_rng(30)
    factor = rng.normal(size=(6, 1)) * np.linspace(-1, 1, GROUPS)
    many, two = sample(seeds(rng, 6) + 0.01 * factor), sample(seeds(rng, 2))
    alone = common_correlation([many])
    assert (np.abs(alone - np.eye(GROUPS)) > 0.1).any()
    np.testing.assert_array_equal(common_correlation([two, many]), alone)
    np.testing.assert_array_equal(common_correlation([two, two]), np.eye(GROUPS))


def test_the_stronger_correlation_is_told():
    """A factor that one experiment hangs on alone is its own, and the other has what both tell."""
    rng = np.random.default_rng(30)
    quiet = sample(seeds(rng, 15, groups=20))
    moved = sample(rng.normal(size=(4, 1)) * np.linspace(-1, 1, 20) + seeds(rng, 4, groups=20))
    of_quiet, of_moved = told_of([quiet, moved])
    common = common_correlation([quiet, moved])
    np.testing.assert_array_equal(of_quiet.correlation, common)
    np.testing.assert_array_equal(of_moved.correlation, common_correlation([moved]))
    assert of_quiet.cancels == 1
    groups = [effective_groups(one) for one in (of_moved.correlation, common)]
    assert of_moved.cancels == groups[0] / groups[1] < 0.5
    (alone,) = told_of([moved])
    assert alone.cancels == 1


@pytest.mark.parametrize("cancels", [1.0, 0.4])
@pytest.mark.parametrize("number", [2, 3])
def test_drawn_seeds_written_out(number, cancels):
    """The same random numbers, one draw after the other, with a loud group and a correlation."""
    one = sample(seeds(np.random.default_rng(30), number, scale=np.linspace(1, 4, GROUPS)))
    correlation = 0.6 * np.eye(GROUPS) + 0.4
    means, squares = one.drawn(Told(correlation, cancels), np.random.default_rng(31), 50)
    rng = np.random.default_rng(31)
    normal = rng.standard_normal((50, number, GROUPS))
    df = effective_groups(correlation) * (number - 1)
    scales = np.sqrt(df / rng.chisquare(df, 50))
    for z, scale, mean, square in zip(normal, scales, means, squares, strict=True):
        x = clr(z @ sqrtm(correlation) * one.deviation)
        s2 = moderate(x.var(axis=0, ddof=1), number - 1, 2.0).variance / number
        np.testing.assert_allclose(mean, scale * x.mean(axis=0), rtol=1e-6, atol=1e-12)
        expected = s2 if number == 2 else scale ** (2 * cancels) * s2
        np.testing.assert_allclose(square, expected, rtol=1e-6)


@pytest.mark.parametrize("number", [2, 3, 5])
@pytest.mark.parametrize("kind", ["alike", "unequal", "correlated"])
def test_size_of_both_tests(number, kind):
    """250 simulations: the standard error of a size of .05 is .014."""
    rng = np.random.default_rng([number, len(kind)])
    scale = np.exp(np.linspace(-0.7, 0.7, GROUPS)) if kind == "unequal" else np.ones(GROUPS)
    lag = np.abs(np.subtract.outer(range(GROUPS), range(GROUPS)))
    weight = 0.6 if kind == "correlated" else 0.0
    root = np.linalg.cholesky((1 - weight) * np.eye(GROUPS) + weight * np.exp(-lag / 3))
    same, null = [], []
    for _ in range(250):
        x = seeds(rng, 2 * number) @ root.T * scale
        same.append(same_class(x[:number], x[number:], rng, DRAWS).p)
        null.append(differs(x[:number], np.zeros(GROUPS), rng, DRAWS).p)
    assert share_rejected(same) <= 0.09 and share_rejected(null) <= 0.09
    if number > 2:  # with two seeds both are conservative
        assert share_rejected(same) >= 0.01 and share_rejected(null) >= 0.01


@pytest.mark.parametrize("numbers", UNEQUAL)
def test_size_where_numbers_and_scatter_differ(numbers):
    """Variances pooled over both experiments reject up to 94 of 100 such pairs."""
    first, second, one, other = numbers
    rng = np.random.default_rng([first, second])
    p = [
        same_class(seeds(rng, first, scale=one), seeds(rng, second, scale=other), rng, 99).p
        for _ in range(300)
    ]
    assert share_rejected(p) <= 0.09


@pytest.mark.parametrize("numbers", [(15, 4), (10, 3), (5, 5)])
def test_size_where_one_experiment_alone_hangs_on_a_factor(numbers):
    """With a correlation of both together it is .15 to .22, and .07 to .13 at p = .001."""
    rng = np.random.default_rng(33)
    loading = 0.02 * np.linspace(-1, 1, 20)
    p = []
    for _ in range(150):
        a = 0.006 * rng.normal(size=(numbers[0], 20))
        b = rng.normal(size=(numbers[1], 1)) * loading + 0.0012 * rng.normal(size=(numbers[1], 20))
        p.append(same_class(a, b, rng, 999).p)
    assert share_rejected(p) <= 0.1
    assert np.mean(np.array(p) <= 0.001) <= 0.05


def test_size_under_one_factor():
    rng = np.random.default_rng(21)
    loading = SEED_SD * np.cos(np.pi * (np.arange(20) + 0.5) / 20)
    p = []
    for _ in range(300):
        a, b = (
            seeds(rng, n, groups=20, scale=0.3 * m) + m * rng.normal(size=(n, 1)) * loading
            for n, m in ((3, 2), (5, 1))
        )
        p.append(same_class(a, b, rng, 99).p)
    assert share_rejected(p) <= 0.16


def test_power_for_two_percent_in_two_groups():
    rng = np.random.default_rng(5)
    shift = np.zeros(GROUPS)
    shift[:2] = 0.02
    found = {}
    for number in (2, 3):
        p = [
            same_class(seeds(rng, number, shift), seeds(rng, number), rng, DRAWS).p
            for _ in range(250)
        ]
        found[number] = share_rejected(p)
    assert found[2] <= 0.1 and 0.52 <= found[3] <= 0.74
    null = [differs(seeds(rng, 3, shift), np.zeros(GROUPS), rng, DRAWS).p for _ in range(150)]
    assert share_rejected(null) >= 0.7  # the null has no seeds of its own: its test is sharper


def test_equivalence_is_certified_rarely_where_it_is_false():
    """One group at the margin: `same` with a probability of at most 5 %."""
    rng = np.random.default_rng(6)
    shift = np.array([MARGIN * GROUPS / (GROUPS - 1)] + [0.0] * (GROUPS - 1))
    for first, second, scale in ((4, 4, 1), (5, 5, 1), (2, 10, 0.5)):
        verdicts = [
            same_class(
                seeds(rng, first, shift, scale=scale), seeds(rng, second, scale=scale), rng, 1
            ).verdict
            for _ in range(250)
        ]
        assert np.mean([verdict == "same" for verdict in verdicts]) <= 0.09


@pytest.mark.parametrize("groups", [2, 9])
def test_sameness_of_equal_spectra_never_falls_with_seeds(groups):
    rng = np.random.default_rng(groups)
    shares = [
        np.mean(
            [
                same_class(
                    seeds(rng, n, groups=groups), seeds(rng, n, groups=groups), rng, 1
                ).equivalent.all()
                for _ in range(200)
            ]
        )
        for n in (2, 3, 5, 8)
    ]
    assert (np.diff(shares) >= 0).all()
    assert shares[0] < 0.6 and shares[-1] > 0.98


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
    assert any("as certainly smaller" in note for note in tiny.notes(NAMES, (3, 3)))


def test_what_keeps_a_pair_undecided_is_named():
    rng = np.random.default_rng(22)
    scale = np.where(np.arange(GROUPS) == 4, 8.0, 0.5)
    found = same_class(seeds(rng, 5, scale=scale), seeds(rng, 5, scale=scale), rng, 199)
    assert found.verdict == "undecided"
    notes = "; ".join(found.notes(NAMES, (5, 5)))
    assert f"not certain to lie within +-0.02: g4 ({found.reach[4]:.3f})" in notes
    assert "seeds scatter in g4" in notes and "two seeds" not in notes
    two = same_class(seeds(rng, 2, scale=2), seeds(rng, 2, scale=2), rng, 199)
    assert two.verdict == "undecided"
    assert any("next to nothing can be decided" in note for note in two.notes(NAMES, (2, 2)))
    uneven = same_class(seeds(rng, 2, scale=2), seeds(rng, 5, scale=2), rng, 199)
    assert uneven.verdict == "undecided"
    assert not any("two seeds" in note for note in uneven.notes(NAMES, (2, 5)))
    more = (~two.equivalent).sum() - 3
    assert any(f"and {more} more group" in note for note in two.notes(NAMES, (2, 2)))


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


def test_the_order_does_not_matter():
    rng = np.random.default_rng(23)
    a, b = seeds(rng, 2, scale=2), seeds(rng, 6)
    one, other = (same_class(*x, np.random.default_rng(0), 9999) for x in ((a, b), (b, a)))
    np.testing.assert_allclose([one.low, one.high], [-other.high, -other.low])
    assert one.q == pytest.approx(other.q) and one.p == pytest.approx(other.p, abs=0.025)


# Seeds that are no seeds


@pytest.mark.parametrize("numbers", [(1, 10), (10, 1), (1, 1), (1, 3)])
def test_a_lone_seed_has_no_test(numbers):
    rng = np.random.default_rng(24)
    a, b = (seeds(rng, n, shift=0.1 * i * np.arange(GROUPS)) for i, n in enumerate(numbers))
    found = same_class(a, b, rng, 99)
    assert found.verdict == "undecided" and found.seeds == numbers
    assert np.isnan([found.p, found.q, *found.low, *found.high, *found.p_group]).all()
    assert not found.equivalent.any() and np.isfinite(found.d).all()
    assert found.tested == "no test"
    assert any("a lone seed tells nothing" in note for note in found.notes(NAMES, numbers))


def test_seeds_that_are_all_alike_are_one():
    rng = np.random.default_rng(25)
    a, b = seeds(rng, 2), seeds(rng, 5)
    a[1] = a[0] + 0.1  # a common factor does not count
    found = same_class(a, b, rng, 99)
    assert found.verdict == "undecided" and np.isnan(found.p) and found.seeds == (1, 5)
    notes = found.notes(NAMES, (2, 5))
    assert "no test" in notes[0] and "of 2 and 5 runs 1 and 5 differ" in notes[1]


def test_a_run_that_is_written_twice_counts_once():
    rng = np.random.default_rng(26)
    a, b = seeds(rng, 3), seeds(rng, 4)
    one = same_class(a, b, np.random.default_rng(0), 199)
    twice = same_class(np.concatenate([a[:2], a[:2], a]), b, np.random.default_rng(0), 199)
    assert twice.p == one.p and twice.q == one.q and twice.seeds == (3, 4)
    np.testing.assert_array_equal(twice.high, one.high)
    assert repeated(np.concatenate([a, a[1:]])).tolist() == [False] * 3 + [True] * 2
    almost = np.concatenate([a, a[:1] + 1e-9 * np.arange(GROUPS)])
    assert not repeated(almost).any()


# Two groups are one dimension


def test_two_groups_are_welch():
    rng = np.random.default_rng(10)
    p = []
    for _ in range(400):
        a, b = seeds(rng, 3, groups=2, scale=2), seeds(rng, 5, groups=2)
        p.append(same_class(a, b, rng, 1).p)
    welch = ttest_ind(clr(a)[:, 0], clr(b)[:, 0], equal_var=False)
    assert p[-1] == pytest.approx(welch.pvalue, rel=1e-9)
    assert 0.02 <= share_rejected(p) <= 0.095
    alone = one_sample(a, rng, 1)
    assert alone.p == pytest.approx(ttest_1samp(clr(a)[:, 0], 0).pvalue, rel=1e-9)


def test_two_groups_of_two_seeds_are_behrens_and_fisher():
    """Two Cauchy variables add their scales; others are drawn."""
    d, a, b = np.array([0.1, 2.0, 30.0]), np.array([1.0, 0.3, 1.0]), np.array([1.0, 4.0, 9.0])
    cauchy = 2 / np.pi * np.arctan((a + b) / d)
    np.testing.assert_allclose(difference_p(d, a, 1, b, 1), cauchy, rtol=1e-4)
    np.testing.assert_allclose(difference_p(-d, b, 1, a, 1), cauchy, rtol=1e-4)
    rng = np.random.default_rng(27)
    for df, scale in ((4, 0.3), (9, 3.0), (KNOWN, 1.0)):
        drawn = np.abs(rng.standard_t(1, 200_000) - scale * rng.standard_t(df, 200_000))
        p = difference_p([2.0], [1.0], 1, [scale], df)[0]
        assert p == pytest.approx((drawn >= 2).mean(), abs=0.005)
    x, y = seeds(rng, 2, groups=2), seeds(rng, 2, groups=2)
    errors = [abs(np.diff(clr(z)[:, 0])[0]) / 2 for z in (x, y)]
    apart = abs(clr(x)[:, 0].mean() - clr(y)[:, 0].mean())
    found = same_class(x, y, rng, 1)
    assert found.p == pytest.approx(2 / np.pi * np.arctan(sum(errors) / apart), rel=1e-3)
    p = [same_class(seeds(rng, 2, groups=2), seeds(rng, 2, groups=2), rng, 1).p for _ in range(400)]
    assert share_rejected(p) <= 0.03


# A variance that is known


def test_a_known_variance_is_not_estimated():
    """Beside it many seeds make Q a chi-square, up to what their variances are known by."""
    rng = np.random.default_rng(28)
    known = Known(np.zeros(4), 0.01**2)
    assert known.square == pytest.approx(0.75 * 0.01**2) and known.df == KNOWN
    p = [
        two_samples(
            sample(seeds(rng, 3, groups=4)), Known(clr(0.01 * rng.normal(size=4)), 1e-4), rng, 199
        ).p
        for _ in range(400)
    ]
    assert 0.015 <= share_rejected(p) <= 0.09
    # Beside a variance that is known all but alone, Q is a chi-square over what centring leaves.
    quiet = sample(seeds(rng, 200, groups=4, scale=0.001))
    far = Known(clr(np.array([0.012, -0.01, 0.0, 0.0])), 1e-4)
    found = two_samples(quiet, far, rng, 20_000)
    assert found.p == pytest.approx(chi2.sf(0.75 * found.q, 3), abs=0.015)


def test_draws_in_pieces_are_as_many(monkeypatch):
    monkeypatch.setattr("rgtool.analysis.stats.contrast.AT_ONCE", 1000)
    rng = np.random.default_rng(11)
    found = same_class(seeds(rng, 3), seeds(rng, 3), rng, 777)
    assert found.p * 778 == pytest.approx(round(found.p * 778))
    assert 0 < found.p <= 1


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), "3 groups and 4 cannot be compared"),
        (np.ones((2, 1)), np.ones((2, 1)), "two groups"),
        (np.ones(3), np.ones(3), "two groups"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, words):
    with pytest.raises(ValueError, match=words):
        same_class(a, b, np.random.default_rng(0))


def test_one_seed_has_no_p_against_a_null():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="two seeds"):
        differs(np.zeros((1, 3)), np.zeros(3), rng)
    with pytest.raises(ValueError, match="two groups"):
        differs(np.ones((3, 1)), np.zeros(1), rng)
    with pytest.raises(ValueError, match="all seeds are alike"):
        differs(np.ones((3, 4)), np.zeros(4), rng)
