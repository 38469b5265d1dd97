"""Intervals, bootstraps, draws and verdicts: slow oracles and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from synthetic import RESNET20, SEED_SD, STEP_SD, counts

from rgtool.analysis.spectrum import bootstrap, innovations, intervals
from rgtool.analysis.spectrum.eigen import eigen
from rgtool.analysis.spectrum.intervals import Method, estimate, parametric_draws
from rgtool.analysis.spectrum.verdicts import MARGIN, judge
from rgtool.analysis.stats.level import holm
from rgtool.analysis.stats.moderation import (
    correlation_about_zero,
    effective_groups,
    lent,
    moderate,
    seed_variance,
    shrunk_correlation,
    trigamma_inverse,
)
from rgtool.schemas.errors import UsageError

LOG_S = np.log(RESNET20[1:10])


def experiments(
    number: int, seeds: int, rng: np.random.Generator, steps: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Log eigenvalues (number, S, T, 9) of replicator flows, and the population's mean of them."""
    drift = LOG_S + SEED_SD * rng.normal(size=(number, seeds, 1, 9))
    drift = drift + STEP_SD * rng.normal(size=(number, seeds, steps, 9))
    return replicator(drift), replicator(np.tile(LOG_S, (1, 1, steps, 1))).mean(axis=(0, 1, 2))


def replicator(drift: np.ndarray) -> np.ndarray:
    log_m = np.zeros((*drift.shape[:2], drift.shape[2] + 1, drift.shape[3]))
    log_m[:, :, 0] = -math.log(drift.shape[3])
    for step in range(drift.shape[2]):
        grown = log_m[:, :, step] + drift[:, :, step]
        log_m[:, :, step + 1] = grown - np.log(np.exp(grown).sum(axis=-1, keepdims=True))
    return np.diff(log_m, axis=2)


# Moderation.


def test_trigamma_inverse_inverts() -> None:
    from scipy.special import polygamma

    x = np.array([1e-3, 0.1, 1.0, 7.5, 300.0])
    np.testing.assert_allclose(trigamma_inverse(polygamma(1, x)), x, rtol=1e-6)


def test_moderation_finds_the_prior_it_was_drawn_from() -> None:
    rng = np.random.default_rng(1)
    d0, s02, df, groups = 8.0, 0.04, 4, 20_000
    sigma2 = s02 * d0 / rng.chisquare(d0, groups)
    found = moderate(sigma2 * rng.chisquare(df, groups) / df, df)
    assert float(found.prior_df) == pytest.approx(d0, rel=0.1)
    assert float(found.prior_variance) == pytest.approx(s02, rel=0.03)
    assert float(found.df) == pytest.approx(d0 + df, rel=0.1)


def test_moderation_pools_what_does_not_differ() -> None:
    rng = np.random.default_rng(2)
    df, groups = 2, 12
    s2 = rng.chisquare(df, (500, groups)) / df
    found = moderate(s2, df)
    common = np.isinf(found.prior_df)
    assert 0.3 < common.mean() < 0.9
    assert (found.df[common] == groups * df).all()
    one = found.variance[common]
    np.testing.assert_allclose(one, np.broadcast_to(one[:, :1], one.shape))
    assert found.variance.mean() == pytest.approx(1, abs=0.15)


def test_moderation_of_one_experiment_is_that_of_many() -> None:
    s2 = np.random.default_rng(3).chisquare(3, (5, 7))
    together = moderate(s2, 3)
    for i, row in enumerate(s2):
        np.testing.assert_allclose(moderate(row, 3).variance, together.variance[i])


def test_one_group_and_absent_groups() -> None:
    assert moderate([0.5], 3).variance.tolist() == [0.5]
    found = moderate([0.5, np.nan, 0.7, 0.6], 3)
    assert np.isnan(found.variance).tolist() == [False, True, False, False]
    assert np.isfinite(float(found.df))
    np.testing.assert_array_equal(found.variance[[0, 2, 3]], moderate([0.5, 0.7, 0.6], 3).variance)
    two = moderate([0.5, 50.0], 3)  # two say nothing of how variances vary
    assert (two.variance.tolist(), float(two.df)) == ([0.5, 50.0], 3.0)


def test_a_loan_is_bounded() -> None:
    s2 = np.random.default_rng(21).chisquare(2, (200, 9)) / 2
    free, bound = moderate(s2, 2), moderate(s2, 2, most=1.0)
    assert np.isinf(free.prior_df).any() and (bound.prior_df <= 1.0).all()
    small = free.prior_df <= 1
    np.testing.assert_allclose(bound.variance[small], free.variance[small])
    capped = bound.variance[~small]
    mixed = (bound.prior_variance[~small, None] + 2 * s2[~small]) / 3
    np.testing.assert_allclose(capped, mixed)


def test_correlated_groups_are_worth_fewer() -> None:
    assert float(effective_groups(np.eye(2))) == pytest.approx(2**0.63)
    assert float(effective_groups(np.ones((20, 20)))) == 1.0
    half = 0.5 * (np.eye(20) + np.ones((20, 20)))
    assert float(effective_groups(half)) == pytest.approx(400 / (20 + 380 / 4))
    # Seeds of one factor tell less of the loan than seeds of independent groups.
    rng = np.random.default_rng(22)
    scatter = rng.normal(size=(400, 4, 20))
    factor = np.repeat(scatter[..., :1], 20, axis=-1) * np.linspace(0.5, 2, 20)
    assert lent(factor).df.mean() < lent(scatter).df.mean() - 0.05


def test_shrunk_correlation_is_a_correlation() -> None:
    rng = np.random.default_rng(4)
    mixing = rng.normal(size=(6, 6))
    r = shrunk_correlation(rng.normal(size=(8, 6)) @ mixing)
    np.testing.assert_allclose(np.diag(r), 1)
    np.testing.assert_allclose(r, r.T)
    assert np.linalg.eigvalsh(r).min() > 0
    long = rng.normal(size=(4000, 6)) @ mixing
    np.testing.assert_allclose(shrunk_correlation(long), np.corrcoef(long.T), atol=0.02)
    assert (shrunk_correlation(rng.normal(size=(2, 6))) == np.eye(6)).all()


# Intervals.


def loud_steps(steps: np.ndarray) -> None:
    """Make the steps of the first group scatter so much that theirs is the wider interval."""
    mean = steps[:, :, 0].mean(axis=1, keepdims=True)
    steps[:, :, 0] = mean + 8 * (steps[:, :, 0] - mean)


def lent_by_hand(theta: np.ndarray) -> tuple[np.ndarray, float]:
    """Moderated variances of seeds (S, G) and their df, the prior worth one seed at most."""
    from scipy.optimize import brentq
    from scipy.special import digamma, polygamma

    groups, d = theta.shape[1], len(theta) - 1
    own = theta.var(axis=0, ddof=1)
    z = np.log(own) - digamma(d / 2) + math.log(d / 2)
    excess = z.var(ddof=1) - polygamma(1, d / 2)
    found = brentq(lambda x: polygamma(1, x / 2) - excess, 1e-3, 1e6) if excess > 0 else math.inf
    d0 = min(found, 1.0)
    prior = math.exp(z.mean() + digamma(d0 / 2) - math.log(d0 / 2))
    c = shrunk_correlation(theta)
    effective = min(groups**2 / sum(value**2 for value in c.ravel()), groups**0.63)
    weight = d0 / (d0 + d)
    df = max(d, 1 / (1 / (d0 + d) + weight**2 / (effective * d)))
    return (d0 * prior + d * own) / (d0 + d), df


def innovations_by_hand(steps: np.ndarray) -> np.ndarray:
    """Variance of theta by residuals about mean trajectory and each run's own line: shape (G,)."""
    seeds, length, groups = steps.shape
    time = np.arange(length)
    hat = np.array([np.polyval(np.polyfit(time, one, 1), time) for one in np.eye(length)])
    by_chance = -np.diagonal(hat, 1).sum() / (length - 2)
    gamma = np.zeros((2, groups))
    for group in range(groups):
        trajectory = steps[:, :, group].mean(axis=0) if seeds > 1 else np.zeros(length)
        for run in range(seeds):
            series = steps[run, :, group] - trajectory
            fit = stats.linregress(time, series)
            residual = series - fit.intercept - fit.slope * time
            for lag in (0, 1):
                gamma[lag, group] += sum(
                    residual[t] * residual[t + lag] for t in time[: -lag or None]
                )
    gamma /= max(seeds - 1, 1) * (length - 2)
    if (gamma[1] / gamma[0]).mean() - by_chance < -0.25:
        long_run = gamma[0] + 2 * (1 - 1 / length) * gamma[1]
        return np.maximum(long_run, gamma[0] / length) / length
    return gamma[0] / length


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_few_seeds_are_lent_variance_written_out(seeds: int) -> None:
    steps = experiments(1, seeds, np.random.default_rng(5))[0][0]
    loud_steps(steps)
    found = estimate(steps)
    theta = steps.mean(axis=1)
    variance, df = lent_by_hand(theta)
    lend = stats.t.ppf(0.975, df) * np.sqrt(variance / seeds)
    own = stats.t.ppf(0.975, (seeds - 1) * 14) * np.sqrt(innovations_by_hand(steps) / seeds)
    assert own[0] > lend[0] and (own[1:] < lend[1:]).any()
    np.testing.assert_allclose(found.high - found.centre, np.maximum(lend, own), rtol=1e-6)
    np.testing.assert_allclose(found.low + found.high, 2 * theta.mean(axis=0), atol=1e-12)
    # At the confidence 1 - p the interval ends at 0.
    for group, p in enumerate(found.p_values()):
        edge = found.half_width(1 - p)[group]
        assert edge == pytest.approx(abs(found.centre[group]), rel=1e-6)


@pytest.mark.parametrize(("seeds", "groups"), [(5, 9), (3, 2), (2, 1)])
def test_many_seeds_and_few_groups_stand_alone(seeds: int, groups: int) -> None:
    steps = experiments(1, seeds, np.random.default_rng(6))[0][0][..., :groups]
    found, plain = estimate(steps), estimate(steps, "t")
    np.testing.assert_array_equal(found.low, plain.low)
    assert "Student" in found.name and plain.name == "t"
    theta = steps.mean(axis=1)
    for group in range(groups):
        low, high = stats.t.interval(
            0.95, seeds - 1, theta[:, group].mean(), stats.sem(theta[:, group])
        )
        assert (found.low[group], found.high[group]) == pytest.approx((low, high))


def test_a_bend_that_all_seeds_share_is_no_noise() -> None:
    """Runs that follow one curve with little scatter: their own lines are far from it."""
    rng = np.random.default_rng(7)
    curve = 0.05 * (np.arange(16)[:, None] / 15) ** 3 * np.linspace(-1, 1, 9)
    steps = curve + 1e-4 * rng.normal(size=(4, 16, 9))
    found = estimate(steps)
    assert (found.high - found.low < 5e-4).all()
    assert (innovations.innovations(steps).variance < 1e-9).all()
    assert (innovations.innovations(steps[:1]).variance[0] > 1e-9).any()


@pytest.mark.parametrize(
    ("method", "seeds", "least", "most"),
    [
        ("moderated", 2, 0.94, 0.99),
        ("moderated", 3, 0.91, 0.97),
        ("moderated", 5, 0.92, 0.98),
        ("bootstrap", 3, 0.91, 0.98),
        ("bootstrap", 5, 0.91, 0.97),
        ("t", 3, 0.92, 0.98),
        ("hierarchical", 3, 0.89, 0.96),
        ("cluster", 3, 0.68, 0.80),
        ("iid", 3, 0.74, 0.86),
        ("block", 3, 0.74, 0.87),
        ("paper", 3, 0.99, 1.01),
    ],
)
def test_coverage_is_that_of_the_published_design(
    method: Method, seeds: int, least: float, most: float
) -> None:
    """The table of docs/spectra.md has these from more simulations and draws."""
    steps, target = experiments(300, seeds, np.random.default_rng(6))
    covered = []
    for one in steps:
        found = estimate(one, method, draws=399)
        covered.append((found.low <= target) & (target <= found.high))
    assert least < np.mean(covered) < most


def test_one_run_covers_itself_and_not_the_population() -> None:
    rng = np.random.default_rng(7)
    seed = SEED_SD * rng.normal(size=(600, 1, 1, 9))
    steps = seed + STEP_SD * rng.normal(size=(600, 1, 16, 9))
    own, population = [], []
    for one, truth in zip(steps, seed, strict=True):
        found = estimate(one)
        assert found.scope == "this run"
        own.append((found.low <= truth[0, 0]) & (truth[0, 0] <= found.high))
        population.append((found.low <= 0) & (found.high >= 0))
    assert np.mean(own) == pytest.approx(0.95, abs=0.015)
    assert 0.6 < np.mean(population) < 0.8


@pytest.mark.parametrize("seeds", [1, 4])
def test_noise_in_the_levels_does_not_widen_the_floor(seeds: int) -> None:
    rng = np.random.default_rng(8)
    levels = 0.02 * rng.normal(size=(seeds, 17, 90))
    theta = np.diff(levels, axis=1).mean(axis=1)
    floor = innovations.innovations(np.diff(levels, axis=1)).variance
    assert floor.mean() < 4 * (theta**2).mean()
    white = 0.02 * rng.normal(size=(seeds, 16, 90))
    np.testing.assert_allclose(
        innovations.innovations(white).variance.mean(), 0.02**2 / 16, rtol=0.1
    )


def test_a_few_steps_set_no_floor() -> None:
    steps = experiments(1, 3, np.random.default_rng(8))[0][0]
    assert (innovations.innovations(steps[:, :3]).variance == 0).all()
    assert (innovations.innovations(steps[:, :4]).variance > 0).all()
    assert (innovations.innovations(steps[:1, :3]).variance > 0).all()
    assert (innovations.innovations(steps[:1, :2]).variance == 0).all()


def test_bootstrap_weights_are_resamples() -> None:
    rng = np.random.default_rng(9)
    for method in ("iid", "cluster", "bootstrap", "block", "hierarchical"):
        weights = bootstrap.WEIGHTS[method](rng, 2000, 3, 8).reshape(2000, 3, 8)
        np.testing.assert_allclose(weights.sum(axis=(1, 2)), 1)
        np.testing.assert_allclose(weights.mean(axis=0), np.full((3, 8), 1 / 24), atol=0.004)
    blocks = bootstrap._stationary(rng, 4000, 30)
    assert ((blocks * 30) % 1 == 0).all()


@pytest.mark.parametrize("seeds", [3, 8])
def test_the_bootstrap_is_as_wide_as_few_seeds_need_it(seeds: int) -> None:
    """Deviations of resampled means, times what makes their sd that of Student's t."""
    steps = experiments(1, seeds, np.random.default_rng(20))[0][0]
    found = estimate(steps, "bootstrap", rng=1)
    narrow = estimate(steps, "cluster", rng=1)
    factor = math.sqrt(seeds / (seeds - 1)) * stats.t.ppf(0.975, seeds - 1) / stats.norm.ppf(0.975)
    np.testing.assert_allclose(found.low - found.centre, factor * (narrow.low - found.centre))
    np.testing.assert_allclose(found.high - found.centre, factor * (narrow.high - found.centre))
    assert found.scope == "population" and math.isnan(found.df)
    if seeds == 8:
        plain = estimate(steps, "t")
        np.testing.assert_allclose(found.high - found.low, plain.high - plain.low, rtol=0.15)


def test_same_seed_same_bootstrap() -> None:
    steps = experiments(1, 4, np.random.default_rng(10))[0][0]
    first, second = (estimate(steps, "hierarchical", rng=3) for _ in range(2))
    np.testing.assert_array_equal(first.low, second.low)
    assert (estimate(steps, "hierarchical", rng=4).low != first.low).any()


@pytest.mark.parametrize("seeds", [3, 5])
def test_draws_have_the_moments_of_the_interval(seeds: int) -> None:
    steps = experiments(1, seeds, np.random.default_rng(11))[0][0]
    loud_steps(steps)
    found = estimate(steps)
    if seeds < 5:  # steps set the width of the first group
        assert found.half_width(0.95)[0] > 1.2 * stats.t.ppf(0.975, found.df) * math.sqrt(
            found.variance[0] / seeds
        )
    theta = steps.mean(axis=1)
    drawn = parametric_draws(found, theta, 40_000)
    low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975], axis=0)
    width = found.high - found.low
    np.testing.assert_allclose(middle / width, found.centre / width, atol=0.01)
    np.testing.assert_allclose((high - low) / width, 1, atol=0.06)
    ranks = stats.spearmanr(drawn).statistic
    np.testing.assert_allclose(ranks, shrunk_correlation(theta), atol=0.05)
    with pytest.raises(ValueError, match="t interval"):
        parametric_draws(estimate(steps, "iid"), theta)


@pytest.mark.parametrize(
    ("method", "seeds"), [("bootstrap", 2), ("hierarchical", 2), ("cluster", 1), ("t", 1)]
)
def test_too_few_seeds_for_a_method(method: Method, seeds: int) -> None:
    with pytest.raises(ValueError, match="needs"):
        estimate(np.zeros((seeds, 4, 3)), method)
    with pytest.raises(UsageError, match=f"method {method} needs"):
        eigen(None, counts("resnet20", seeds=seeds), method=method)


# Verdicts.


def test_verdicts_by_interval_and_margin() -> None:
    steps = np.zeros((6, 12, 5)) + np.array([0.06, -0.06, 0.004, 0.0, 0.012])
    noise = np.array([0.005, 0.005, 0.0005, 0.0015, 0.02])[:, None, None]
    rng = np.random.default_rng(12)
    wobble = rng.normal(size=(6, 1, 5)) * noise[:, 0, 0]
    steps = steps + wobble - wobble.mean(axis=0) + 1e-6 * rng.normal(size=steps.shape)
    found = estimate(steps, "t")
    judged = judge(found, np.zeros(5, bool))
    assert judged.verdict == ("relevant", "irrelevant", "relevant", "marginal", "indeterminate")
    assert judged.strong.tolist() == [True, True, False, False, False]
    assert judged.within.tolist() == [False, False, True, True, False]
    assert judged.margin == MARGIN == 0.02
    assert (judged.p[:2] < 0.001).all()
    wide = judge(found, np.zeros(5, bool), margin=1.0)
    assert wide.within.all()
    assert judge(found, np.array([1, 0, 0, 0, 0], bool)).verdict[0] == "exempt"


@pytest.mark.parametrize("method", ["bootstrap", "hierarchical", "cluster", "iid", "block"])
def test_a_bootstrap_certifies_by_its_90_percent_interval(method: Method) -> None:
    """Two one-sided tests at 5 % (Schuirmann 1987) whatever the interval is made by."""
    steps = np.array(experiments(1, 4, np.random.default_rng(18))[0][0])
    steps -= steps.mean(axis=(0, 1))
    wide, narrow = (estimate(steps, method, confidence=c, rng=1) for c in (0.95, 0.9))
    reach = np.maximum(-narrow.low, narrow.high)
    group = int(reach.argmax())
    width = 1.0001 * float(reach[group])
    assert max(-wide.low[group], wide.high[group]) > width
    assert judge(wide, np.zeros(9, bool), margin=width).within[group]


def test_holm_is_holm() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, np.nan, 0.03]), [0.03, 0.06, np.nan, 0.06])
    assert np.isnan(holm([np.nan])).all()


# Spectra.


def test_the_bootstrap_stands_beside_from_three_seeds_on() -> None:
    assert np.isfinite(eigen(None, counts("resnet20", seeds=3)).boot.low).all()
    assert eigen(None, counts("resnet20", seeds=2)).boot is None


def test_draws_of_a_spectrum() -> None:
    spectrum = eigen(None, counts("lenet", seeds=4, task="mnist"))
    drawn = spectrum.draws(500)
    assert drawn.shape == (500, 3)
    np.testing.assert_allclose(drawn[:, 2], np.log(spectrum.eigenvalue.value[2]))
    with pytest.raises(UsageError, match="two seeds"):
        eigen(None, counts("resnet20", seeds=1)).draws()


def test_draws_of_seeds_that_repeat_each_other() -> None:
    """Two runs, each read twice: products of residuals do not vary, so nothing is shrunk."""
    spectrum = eigen(None, counts("resnet20", seeds=2).select([0, 0, 1, 1]))
    drawn = spectrum.draws(2000)
    assert np.isfinite(drawn).all()
    np.testing.assert_allclose(drawn.mean(axis=0), np.log(spectrum.eigenvalue.value), atol=0.01)


def test_magnitudes_weigh_where_all_runs_tell_them() -> None:
    import dataclasses

    experiment = counts("resnet20", seeds=3)
    with pytest.raises(UsageError, match="tell no magnitudes"):
        eigen(None, experiment, weighting="magnitude")
    magnitude = experiment.kept * 0.5
    same = eigen(None, dataclasses.replace(experiment, magnitude=magnitude), weighting="magnitude")
    np.testing.assert_allclose(same.eigenvalue.value, eigen(None, experiment).eigenvalue.value)
    magnitude[1, 4, 2] = np.nan
    with pytest.raises(UsageError, match="weightings are not mixed"):
        eigen(None, dataclasses.replace(experiment, magnitude=magnitude), weighting="magnitude")


def test_one_run_of_an_experiment_by_itself() -> None:
    experiment = counts("resnet20", seeds=3)
    alone = eigen(None, experiment.select([1]))
    assert (alone.runs, alone.scope) == ((experiment.runs[1],), "this run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "hierarchic"}, "did you mean hierarchical"),
        ({"weighting": "size"}, "weighting 'size'"),
        ({"rule": "tosd"}, "did you mean tost"),
        ({"margin": -0.1}, "margin is -0.1"),
    ],
)
def test_wrong_choices_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        eigen(None, counts("resnet20", seeds=3), **arguments)  # type: ignore[arg-type]


# Boundaries, and the statistics written out as loops.


@pytest.mark.parametrize("length", [3, 4, 5, 6, 7, 12])
@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_the_scatter_of_steps_written_out(seeds: int, length: int) -> None:
    rng = np.random.default_rng(20)
    for weight in (0.0, 0.4, 0.7, 1.0):  # of noise in the levels beside noise in the steps
        steps = (1 - weight) * rng.normal(size=(40, seeds, length, 3))
        steps += weight * np.diff(rng.normal(size=(40, seeds, length + 1, 3)), axis=2)
        steps += np.array([0.5, -0.2, 0.0]) * np.arange(length)[:, None]
        found = innovations.innovations(steps)
        if seeds > 1 and length == 3:  # one degree of freedom a seed is too few
            assert found.variance.shape == (40, 3) and (found.variance == 0).all()
            continue
        expected = [innovations_by_hand(one) for one in steps]
        np.testing.assert_allclose(found.variance, expected, rtol=1e-8)
        assert found.df == max(seeds - 1, 1) * (length - 2)


def test_two_steps_and_straight_lines_have_no_scatter() -> None:
    rng = np.random.default_rng(21)
    assert (innovations.innovations(rng.normal(size=(3, 2, 4))).variance == 0).all()
    line = np.arange(8.0)[:, None] * np.array([1.0, -2.0]) + 3
    np.testing.assert_allclose(innovations.detrended(line), 0, atol=1e-12)
    # A group without scatter neither breaks the pooled autocorrelation nor counts in it.
    noise = np.diff(rng.normal(size=(2, 9, 3)), axis=1)
    still = np.concatenate([np.zeros((2, 8, 1)), noise, np.full((2, 8, 1), np.nan)], axis=2)
    found = innovations.innovations(still).variance
    np.testing.assert_allclose(found[1:4], innovations_by_hand(noise))
    assert found[0] == 0 and np.isnan(found[4])


def test_one_run_written_out() -> None:
    steps = np.random.default_rng(22).normal(size=(1, 7, 2))
    found = estimate(steps, confidence=0.9)
    half = stats.t.ppf(0.95, 5) * np.sqrt(innovations_by_hand(steps))
    np.testing.assert_allclose(found.low, steps[0].mean(axis=0) - half)
    np.testing.assert_allclose(found.high, steps[0].mean(axis=0) + half)
    assert (found.df, found.seeds, found.scope) == (5, 1, "this run")
    three, two = estimate(steps[:, :3]), estimate(steps[:, :2])
    assert np.isfinite(three.low).all() and three.df == 1
    assert np.isnan(two.low).all() and np.isnan(two.high).all() and two.seeds == 1
    np.testing.assert_allclose(two.centre, steps[0, :2].mean(axis=0))


def test_p_values_and_other_confidences_are_students() -> None:
    steps = np.random.default_rng(23).normal(size=(4, 6, 3))
    found = estimate(steps, "t")
    expected = stats.ttest_1samp(steps.mean(axis=1), 0.0)
    np.testing.assert_allclose(found.p_values(), expected.pvalue)
    low, high = found.quantile(0.8)
    interval = expected.confidence_interval(0.8)
    np.testing.assert_allclose([low, high], [interval.low, interval.high])


def test_the_papers_spread_takes_two_steps() -> None:
    ratios = np.array([[[1.1, 0.9], [1.3, 0.7]], [[1.2, 0.8], [1.2, 1.0]]])
    mean, spread = intervals.paper_numbers(ratios)
    np.testing.assert_allclose(mean, [1.2, 0.85])
    np.testing.assert_allclose(spread, [0.1 / math.sqrt(2), 0.2 / math.sqrt(2)])
    mean, spread = intervals.paper_numbers(ratios[:, :1])
    np.testing.assert_allclose(mean, [1.15, 0.85])
    assert np.isnan(spread).tolist() == [True, True]
    found = estimate(np.log(ratios), "paper")
    np.testing.assert_allclose(np.exp(found.low), [1.2 - 0.1 / math.sqrt(2), 0.85 - 0.1 * 2**0.5])
    np.testing.assert_allclose(np.exp(found.high), [1.2 + 0.1 / math.sqrt(2), 0.85 + 0.1 * 2**0.5])
    # A spread that is wider than the mean reaches down to 0.
    wide = estimate(np.log([[[0.1], [3.0], [0.1]]]), "paper")
    assert np.exp(wide.low[0]) == 0 and np.isfinite(wide.high[0])


def test_the_ends_of_a_bootstrap_are_quantiles_of_its_means() -> None:
    steps = np.random.default_rng(24).normal(size=(3, 8, 2))
    found = estimate(steps, "iid", confidence=0.8, draws=999, rng=5)
    weights = bootstrap.WEIGHTS["iid"](np.random.default_rng(5), 999, 3, 8).reshape(999, 3, 8)
    means = np.einsum("dst,stg->dg", weights, steps)
    np.testing.assert_allclose([found.low, found.high], np.quantile(means, [0.1, 0.9], axis=0))
    assert found.inner is not None
    np.testing.assert_allclose(found.inner, np.quantile(means, [0.05, 0.95], axis=0))


@pytest.mark.parametrize("method", ["moderated", "iid"])
def test_many_experiments_are_estimated_as_each_alone(method: Method) -> None:
    """The defaults of both ways are the same: confidence, draws, seed."""
    steps = np.random.default_rng(25).normal(size=(2, 3, 8, 4))
    for one, found in zip(steps, intervals.estimate_all(steps, method), strict=True):
        alone = estimate(one, method)
        for name in ("low", "high", "centre", "variance"):
            np.testing.assert_allclose(getattr(found, name), getattr(alone, name))


@pytest.mark.parametrize("shape", [(3, 4), (4,), (0, 4, 2), (3, 0, 2), (3, 4, 0), (1, 3, 4, 2)])
def test_steps_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"steps of shape \(seeds, steps, groups\) are due"):
        estimate(np.zeros(shape))


@pytest.mark.parametrize(
    ("method", "seeds", "steps"),
    [
        ("hierarchical", 3, 1),
        ("cluster", 2, 1),
        ("t", 2, 1),
        ("iid", 1, 3),
        ("block", 1, 3),
        ("moderated", 1, 1),
        ("paper", 1, 1),
    ],
)
def test_the_fewest_seeds_and_steps_do(method: Method, seeds: int, steps: int) -> None:
    data = np.random.default_rng(26).normal(size=(seeds, steps, 2))
    assert np.isfinite(estimate(data, method, draws=50).centre).all()
    for fewer, least in ((data[1:], f"{seeds} seeds"), (data[:, 1:], f"{steps} steps")):
        if fewer.size:
            with pytest.raises(ValueError, match=f"method {method} needs {least}"):
                estimate(fewer, method, draws=50)


def test_moderation_written_out() -> None:
    """Smyth 2004, section 6.2, for variances that differ by more than chance."""
    from scipy.optimize import brentq
    from scipy.special import digamma, polygamma

    s2, df = np.array([0.002, 0.01, 0.4, 1.5, 0.03, 0.2]), 3
    logs = np.log(s2) - digamma(df / 2) + np.log(df / 2)
    excess = logs.var(ddof=1) - polygamma(1, df / 2)
    d0 = 2 * brentq(lambda x: float(polygamma(1, x)) - excess, 1e-3, 1e3, xtol=1e-14)
    s02 = np.exp(logs.mean() + digamma(d0 / 2) - np.log(d0 / 2))
    found = moderate(s2, df)
    assert float(found.prior_df) == pytest.approx(d0, rel=1e-8)
    assert float(found.prior_variance) == pytest.approx(s02, rel=1e-8)
    np.testing.assert_allclose(found.variance, (d0 * s02 + df * s2) / (d0 + df), rtol=1e-8)
    assert float(found.df) == pytest.approx(min(d0 + df, 6 * df), rel=1e-8)


def test_degrees_of_freedom_stand_for_every_experiment() -> None:
    found = moderate(np.array([[0.5], [0.7], [0.2]]), 3)
    assert found.df.tolist() == [3, 3, 3] and found.prior_df.tolist() == [0, 0, 0]
    alike = moderate(np.zeros((2, 4)), 3)
    assert alike.df.tolist() == [3, 3] and (alike.variance == 0).all()
    three = moderate([0.5, 0.5, 0.5], 3)  # as many as have something to lend
    assert np.isinf(three.prior_df) and float(three.df) == 9


def test_a_group_without_variance_does_not_spoil_the_prior() -> None:
    s2 = np.random.default_rng(27).chisquare(4, 30) / 4
    guarded = moderate(np.append(s2, 0.0), 4)
    raised = moderate(np.append(s2, 1e-5 * np.median(np.append(s2, 0.0))), 4)
    assert float(guarded.prior_df) == pytest.approx(float(raised.prior_df), rel=1e-9)
    assert float(guarded.prior_variance) == pytest.approx(float(raised.prior_variance), rel=1e-9)


def test_rounding_is_no_variance() -> None:
    theta = np.array([[0.1, 0.1, 0.1], [0.1 + 4e-14, 0.1 + 4e-13, 0.3]])
    found = seed_variance(theta)
    assert found[0] == 0
    np.testing.assert_allclose(found[1:], theta.var(axis=0, ddof=1)[1:])


@pytest.mark.parametrize("y", [1.2e7, 5e7, 9e-7, 1e-9])
def test_the_ends_of_trigamma_are_asymptotes(y: float) -> None:
    """1/x^2 near 0 and 1/x far out, beyond the values at which limma goes over to them."""
    assert float(trigamma_inverse([y])[0]) == (1 / math.sqrt(y) if y > 1 else 1 / y)
    inside = trigamma_inverse([1e7, 1e-6])
    assert inside[0] != 1 / math.sqrt(1e7) and inside[1] != 1 / 1e-6


def test_shrinkage_written_out() -> None:
    """Schafer & Strimmer 2005: lambda = sum var(r_ij) / sum r_ij^2 over the pairs, at most 1."""
    rng = np.random.default_rng(28)
    data = rng.normal(size=(7, 4)) @ rng.normal(size=(4, 4))
    n = len(data)
    z = (data - data.mean(axis=0)) / data.std(axis=0, ddof=1)
    above = below = 0.0
    for i in range(4):
        for j in range(4):
            if i != j:
                w = z[:, i] * z[:, j]
                above += n / (n - 1) ** 3 * ((w - w.mean()) ** 2).sum()
                below += (n / (n - 1) * w.mean()) ** 2
    assert 0 < above / below < 1
    expected = (1 - above / below) * np.corrcoef(data.T)
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(shrunk_correlation(data), expected, rtol=1e-10)


@pytest.mark.parametrize("rows", [2, 3, 6])
def test_shrinkage_about_zero_written_out(rows: int) -> None:
    """Of every correlation the part remains that normal rows do not feign."""
    rng = np.random.default_rng(32)
    data = rng.normal(size=(rows, 4)) * 0.3 + rng.normal(size=(rows, 1))
    z = data / np.sqrt((data**2).mean(axis=0))
    found = z.T @ z / rows
    seen = np.mean([found[i, j] ** 2 for i in range(4) for j in range(4) if i != j])
    part = (rows * seen - 1) / (rows - 1) / seen
    assert 0 < part < 1
    expected = part * found
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(correlation_about_zero(z), expected, rtol=1e-10)
    factor = np.abs(rng.normal(size=(rows, 1))) * [1, -1, 1, 1]
    factor /= np.sqrt((factor**2).mean(axis=0))
    signs = np.outer([1, -1, 1, 1], [1, -1, 1, 1])
    np.testing.assert_allclose(correlation_about_zero(factor), signs)  # nothing is taken off it
    np.testing.assert_array_equal(correlation_about_zero(np.eye(4) * 2), np.eye(4))
    assert (correlation_about_zero(z[:1]) == np.eye(4)).all()


def test_shrinkage_is_never_more_than_whole() -> None:
    """Rows that say little: the identity, and no correlation of the opposite sign."""
    data = np.random.default_rng(29).normal(size=(50, 8, 2))
    found = shrunk_correlation(data)
    whole = (found == np.eye(2)).all(axis=(1, 2))
    assert 0 < whole.sum() < 50
    for one, r in zip(data, found, strict=True):
        assert (r * np.corrcoef(one.T) >= 0).all()
    assert (shrunk_correlation(data[0, :, :1]) == 1).all()
    assert (shrunk_correlation(data[:, :2]) == np.eye(2)).all()
    assert (shrunk_correlation(data[:, :3])[:, 0, 1] != 0).any()  # three rows tell something


def test_a_group_that_does_not_vary_is_correlated_with_none() -> None:
    data = np.random.default_rng(30).normal(size=(6, 3)) + np.arange(6.0)[:, None]
    still = np.column_stack([data[:, :2], np.full(6, 0.5), data[:, 2]])
    found = shrunk_correlation(still)
    assert (found[2] == [0, 0, 1, 0]).all()
    assert (shrunk_correlation(np.ones((4, 3))) == np.eye(3)).all()
    np.testing.assert_allclose(
        np.delete(np.delete(found, 2, 0), 2, 1), shrunk_correlation(data), rtol=1e-12
    )


def test_scatter_that_is_just_chance_pools_wholly() -> None:
    """Variances whose logarithms scatter by trigamma(1), to the last bit and around it."""
    one = np.repeat(np.random.default_rng(31).uniform(0.1, 10, 100), 201)
    apart = math.exp(math.pi / math.sqrt(6))
    last = one * apart**2
    last += np.tile(np.arange(-100, 101), 100) * np.spacing(last)
    found = moderate(np.column_stack([one, one * apart, last]), 2)
    assert (found.prior_df > 1e9).all() and np.isinf(found.prior_df).any()
    assert (found.df == 6).all()
    np.testing.assert_allclose(found.variance[:, 0], found.variance[:, 2], rtol=1e-6)
