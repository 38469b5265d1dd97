"""Intervals, draws, verdicts and the linearity test: slow oracles, coverage and size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from synthetic import RESNET20, SEED_SD, STEP_SD, counts

from rgtool.analysis import flow
from rgtool.analysis.nulls.initial import initial_scale_kept, initial_scales
from rgtool.analysis.spectrum import bootstrap, intervals
from rgtool.analysis.spectrum.eigen import eigen
from rgtool.analysis.spectrum.intervals import Method, estimate, parametric_draws
from rgtool.analysis.spectrum.linearity import change_point, linearity, odd_first_step
from rgtool.analysis.spectrum.verdicts import default_margin, judge
from rgtool.analysis.stats.level import holm
from rgtool.analysis.stats.moderation import (
    moderate,
    seed_variance,
    shrunk_correlation,
    trigamma_inverse,
)
from rgtool.schemas.blocks import architecture
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


def test_moderated_t_written_out() -> None:
    steps = experiments(1, 4, np.random.default_rng(5))[0][0]
    found = estimate(steps)
    theta = steps.mean(axis=1)
    moderated = moderate(theta.var(axis=0, ddof=1), 3)
    floor = np.zeros(9)
    for group in range(9):
        squares = 0.0
        for run in range(4):
            series = steps[run, :, group]
            fit = stats.linregress(np.arange(16), series)
            squares += float(((series - fit.intercept - fit.slope * np.arange(16)) ** 2).sum())
        floor[group] = squares / (4 * 14) / 16
    variance = np.maximum(moderated.variance, floor)
    half = stats.t.ppf(0.975, float(moderated.df)) * np.sqrt(variance / 4)
    np.testing.assert_allclose(found.low, theta.mean(axis=0) - half)
    np.testing.assert_allclose(found.high, theta.mean(axis=0) + half)
    wider = estimate(steps, sampling=np.full(9, 1e-3))
    assert (wider.high - wider.low > found.high - found.low).all()


@pytest.mark.parametrize(
    ("method", "seeds", "least", "most"),
    [
        ("moderated", 2, 0.94, 0.99),
        ("moderated", 3, 0.93, 0.98),
        ("moderated", 5, 0.92, 0.98),
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


def test_noise_in_the_levels_does_not_widen_the_floor() -> None:
    rng = np.random.default_rng(8)
    levels = 0.02 * rng.normal(size=(4, 17, 9))
    theta = np.diff(levels, axis=1).mean(axis=1)
    floor = intervals.mean_variance(np.diff(levels, axis=1))
    assert floor.mean() < 4 * theta.var(axis=0, ddof=1).mean()
    white = 0.02 * rng.normal(size=(4, 16, 9))
    np.testing.assert_allclose(intervals.mean_variance(white).mean(), 0.02**2 / 16, rtol=0.3)


def test_bootstrap_weights_are_resamples() -> None:
    rng = np.random.default_rng(9)
    for method in ("iid", "cluster", "block", "hierarchical"):
        weights = bootstrap.WEIGHTS[method](rng, 2000, 3, 8).reshape(2000, 3, 8)
        np.testing.assert_allclose(weights.sum(axis=(1, 2)), 1)
        np.testing.assert_allclose(weights.mean(axis=0), np.full((3, 8), 1 / 24), atol=0.004)
    blocks = bootstrap._stationary(rng, 4000, 30)
    assert ((blocks * 30) % 1 == 0).all()


def test_same_seed_same_bootstrap() -> None:
    steps = experiments(1, 4, np.random.default_rng(10))[0][0]
    first, second = (estimate(steps, "hierarchical", rng=3) for _ in range(2))
    np.testing.assert_array_equal(first.low, second.low)
    assert (estimate(steps, "hierarchical", rng=4).low != first.low).any()


def test_draws_have_the_moments_of_the_interval() -> None:
    steps = experiments(1, 5, np.random.default_rng(11))[0][0]
    found = estimate(steps)
    theta = steps.mean(axis=1)
    drawn = parametric_draws(found, theta, 40_000)
    np.testing.assert_allclose(drawn.mean(axis=0), found.centre, atol=2e-4)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(low, found.low, atol=5e-4)
    np.testing.assert_allclose(high, found.high, atol=5e-4)
    np.testing.assert_allclose(np.corrcoef(drawn.T), shrunk_correlation(theta), atol=0.03)
    with pytest.raises(ValueError, match="t interval"):
        parametric_draws(estimate(steps, "iid"), theta)


@pytest.mark.parametrize(("method", "seeds"), [("hierarchical", 2), ("cluster", 1), ("t", 1)])
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
    assert judged.margin == default_margin(6) == 0.01 and default_margin(4) == 0.02
    assert (judged.p[:2] < 0.001).all()
    wide = judge(found, np.zeros(5, bool), margin=1.0)
    assert wide.within.all()
    assert judge(found, np.array([1, 0, 0, 0, 0], bool)).verdict[0] == "exempt"


@pytest.mark.parametrize("method", ["hierarchical", "cluster", "iid", "block"])
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


# Linearity.


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_size_of_the_linearity_test_on_replicator_flows(seeds: int) -> None:
    steps, _ = experiments(400, seeds, np.random.default_rng(13))
    rejected = []
    for one in steps:
        delta_clr = one - one.mean(axis=-1, keepdims=True)
        rejected.append(linearity(delta_clr).rejected)
    assert np.mean(rejected) < 0.08


def test_power_of_the_linearity_test_against_the_curved_null_flow() -> None:
    layers = architecture("resnet20").counted()
    network = sum(layer.total for layer in layers)
    kept = initial_scale_kept(
        [layer.total for layer in layers], initial_scales(layers), network * 0.8 ** np.arange(1, 18)
    )
    names = tuple(dict.fromkeys(str(layer.block) for layer in layers))
    groups = flow.group_sums(kept, flow.group_index([x.block for x in layers], names), len(names))
    curved = np.diff(flow.clr(flow.shares(groups[:, 1:10])), axis=0)
    rng = np.random.default_rng(14)
    for seeds in (1, 3):
        found = []
        for _ in range(60):
            noise = SEED_SD * rng.normal(size=(seeds, 1, 9))
            noise = noise + STEP_SD * rng.normal(size=(seeds, 16, 9))
            found.append(linearity(curved + noise - noise.mean(axis=-1, keepdims=True)))
        assert np.mean([one.rejected for one in found]) > 0.95
    strongest = np.abs(found[-1].correction).argmax()
    assert np.isfinite(found[-1].correction[strongest])


def test_an_odd_first_step_and_a_change_are_seen() -> None:
    rng = np.random.default_rng(15)
    steps = 0.01 * rng.normal(size=(3, 16, 6))
    first = np.full((3, 6), 0.3)
    assert (np.abs(odd_first_step(first, steps)) > 3).all()
    sampling = np.zeros((16, 6))
    assert change_point(steps, sampling)[1] > 0.01
    steps[:, 9:] += 0.03 * np.array([1, -1, 1, -1, 1, -1])
    place, p = change_point(steps, sampling)
    assert (place, p < 0.01) == (9, True)


@pytest.mark.parametrize(("seeds", "length", "groups"), [(1, 5, 11), (2, 7, 2), (3, 11, 5)])
def test_size_of_the_search_for_a_change(seeds: int, length: int, groups: int) -> None:
    """Few steps know their scatter badly: taken as known, 40 and 20 % of true flows were called."""
    rng = np.random.default_rng(16)
    found = []
    for _ in range(200):
        steps = SEED_SD * rng.normal(size=(seeds, 1, groups))
        steps = steps + STEP_SD * rng.normal(size=(seeds, length, groups))
        steps -= steps.mean(axis=-1, keepdims=True)
        found.append(change_point(steps, np.zeros((length, groups)), draws=99)[1])
    assert np.mean(np.array(found) <= 0.05) < 0.1


@pytest.mark.parametrize("length", [2, 3, 11])
def test_size_of_the_odd_first_step(length: int) -> None:
    """|z| > 3 is as rare as it says, .0027, however few the later steps are."""
    rng = np.random.default_rng(17)
    z = odd_first_step(rng.normal(size=(3, 20_000)), rng.normal(size=(3, length, 20_000)))
    assert np.mean(np.abs(z) > 3) == pytest.approx(0.0027, abs=0.0015)


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


def plain_mean_variance(steps: np.ndarray) -> np.ndarray:
    """Residuals about a line by polyfit, autocovariances by loops: shape (G,)."""
    seeds, length, groups = steps.shape
    time = np.arange(length)
    hat = np.array([np.polyval(np.polyfit(time, one, 1), time) for one in np.eye(length)])
    by_chance = -np.diagonal(hat, 1).sum() / (length - 2)
    gamma = np.zeros((2, groups))
    for run in range(seeds):
        for group in range(groups):
            series = steps[run, :, group]
            residual = series - np.polyval(np.polyfit(time, series, 1), time)
            for lag in (0, 1):
                pairs = sum(residual[t] * residual[t + lag] for t in range(length - lag))
                gamma[lag, group] += pairs / (seeds * (length - 2))
    if (gamma[1] / gamma[0]).mean() - by_chance < -0.25:
        long_run = gamma[0] + 2 * (1 - 1 / length) * gamma[1]
        return np.maximum(long_run, gamma[0] / length) / length
    return gamma[0] / length


@pytest.mark.parametrize("length", [3, 4, 5, 6, 7, 12])
@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_the_variance_of_theta_written_out(seeds: int, length: int) -> None:
    rng = np.random.default_rng(20)
    for weight in (0.0, 0.4, 0.7, 1.0):  # of noise in the levels beside noise in the steps
        steps = (1 - weight) * rng.normal(size=(40, seeds, length, 3))
        steps += weight * np.diff(rng.normal(size=(40, seeds, length + 1, 3)), axis=2)
        steps += np.array([0.5, -0.2, 0.0]) * np.arange(length)[:, None]
        expected = [plain_mean_variance(one) for one in steps]
        np.testing.assert_allclose(intervals.mean_variance(steps), expected, rtol=1e-8)


def test_two_steps_and_straight_lines_have_no_scatter() -> None:
    rng = np.random.default_rng(21)
    assert (intervals.mean_variance(rng.normal(size=(3, 2, 4))) == 0).all()
    line = np.arange(8.0)[:, None] * np.array([1.0, -2.0]) + 3
    np.testing.assert_allclose(intervals.detrended(line), 0, atol=1e-12)
    # A group without scatter neither breaks the pooled autocorrelation nor counts in it.
    noise = np.diff(rng.normal(size=(2, 9, 3)), axis=1)
    still = np.concatenate([np.zeros((2, 8, 1)), noise, np.full((2, 8, 1), np.nan)], axis=2)
    found = intervals.mean_variance(still)
    np.testing.assert_allclose(found[1:4], intervals.mean_variance(noise))
    assert found[0] == 0 and np.isnan(found[4])


def test_the_sampling_of_small_groups_written_out() -> None:
    kept = np.array(
        [
            [[9000, 3100, 4000, 100], [7000, 2800, 3000, 80], [5000, 2502, 2000, 60]],
            [[9000, 3100, 4000, 100], [7100, 2700, 3100, 80], [5200, 2498, 2100, 60]],
            [[9000, 3100, 4000, 100], [7100, 2700, 3100, 80], [5200, 2500, 2100, 60]],
        ]
    )
    found = intervals.sampling_variance(kept, [False, False, False, True])
    mean, network = kept.mean(axis=0), kept.sum(axis=2).mean(axis=0)
    expected = 0.0
    for step in range(2):
        lost = 1 - network[step + 1] / network[step]
        expected += lost / ((1 - lost) * mean[step, 2]) / 2**2
    # 2500 weights on average are not few, and what is exempt is not sampled.
    np.testing.assert_allclose(found, [0, 0, expected, 0], rtol=1e-12)
    kept[0, 2, 1] -= 3
    assert intervals.sampling_variance(kept, np.zeros(4, bool))[1] > 0
    still = np.array([[[10, 20], [10, 20]]])
    assert (intervals.sampling_variance(still, np.zeros(2, bool)) == 0).all()


def test_one_run_written_out() -> None:
    steps = np.random.default_rng(22).normal(size=(1, 7, 2))
    found = estimate(steps, confidence=0.9)
    half = stats.t.ppf(0.95, 5) * np.sqrt(intervals.mean_variance(steps))
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
    """The defaults of both ways are the same: confidence, draws, seed, nothing sampled."""
    steps = np.random.default_rng(25).normal(size=(2, 3, 8, 4))
    for one, found in zip(steps, intervals.estimate_all(steps, method), strict=True):
        alone = estimate(one, method)
        for name in ("low", "high", "centre", "variance"):
            np.testing.assert_allclose(getattr(found, name), getattr(alone, name))
    variance, df = intervals.moderated_variances(steps)
    nothing, same = intervals.moderated_variances(steps, np.zeros((2, 4)))
    np.testing.assert_array_equal(variance, nothing)
    np.testing.assert_array_equal(df, same)


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
    two = moderate([0.5, 0.5], 3)  # two groups have something to lend
    assert np.isinf(two.prior_df) and float(two.df) == 6


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
    inside = trigamma_inverse([9.9e6, 1.1e-6])
    assert inside[0] != 1 / math.sqrt(9.9e6) and inside[1] != 1 / 1.1e-6


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
    other = one * math.exp(math.pi / math.sqrt(3))
    other += np.tile(np.arange(-100, 101), 100) * np.spacing(other)
    found = moderate(np.column_stack([one, other]), 2)
    assert (found.prior_df > 1e9).all() and np.isinf(found.prior_df).any()
    assert (found.df == 4).all()
    np.testing.assert_allclose(found.variance[:, 0], found.variance[:, 1], rtol=1e-6)
