"""Exponents over seeds and of one correlated curve, misfit, contradiction, copies and repeats."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from rgtool.analysis.curves.curve import PruningCurve, make_curve
from rgtool.analysis.gamma.correlated import ar1, sandwich
from rgtool.analysis.gamma.estimate import _parameters, gamma, problem_of
from rgtool.analysis.gamma.fit import fit, fit_each
from rgtool.analysis.gamma.gates import (
    Evidence,
    RelativeNoise,
    contradicts,
    gate,
    seed_slopes,
    sparse_slope,
)
from rgtool.analysis.gamma.misfit import functional_f
from rgtool.analysis.gamma.parameters import curve_interval, of_curve, of_seeds
from rgtool.analysis.gamma.power_law import LOG_D_HI, LOG_G, Bound, bounds_met, log_error
from rgtool.analysis.gamma.result import Fitted
from rgtool.analysis.gamma.shared import shared_gamma
from rgtool.analysis.values import Estimate

DENSITY = 0.8 ** np.arange(25)
X = np.log(DENSITY)


def along(rng: np.random.Generator, rho: float, seeds: int, levels: int = 25) -> np.ndarray:
    """Noise of sd 1 along curves, correlated from level to level."""
    root = np.linalg.cholesky(ar1(rho, levels))
    return rng.normal(size=(seeds, levels)) @ root.T


def logs(
    seeds: int, rng: int = 0, *, rho: float = 0.3, own: float = 0.0, sd: float = 0.03,
    onset: float = 0.2, plateau: float = 0.9, g: float = 0.6,
) -> np.ndarray:  # fmt: skip
    """Log errors of seeds, with exponents and onsets of their own."""
    draw = np.random.default_rng(rng)
    theta = np.tile(np.log([0.06, g, onset, plateau]), (seeds, 1))
    theta[:, 1:3] += own * draw.normal(size=(seeds, 2))
    return log_error(X, theta) + sd * along(draw, rho, seeds)


def curve_of(y: np.ndarray, name: str = "made", **kwargs) -> PruningCurve:
    labels = np.repeat(np.arange(len(y)), y.shape[1]).tolist()
    error = np.exp(np.minimum(y, 0)).ravel()
    return make_curve(name, np.tile(DENSITY[: y.shape[1]], len(y)), error, labels, task="cifar10")


# Over seeds


def test_the_interval_is_that_of_seeds_not_of_levels():
    found = gamma(None, curve_of(logs(5, own=0.1)))
    one = found.fitted
    own = one.parameters.seeds[:, LOG_G]
    half = student.ppf(0.975, 4) * own.std(ddof=1) / math.sqrt(5)
    assert found.estimate.value == pytest.approx(math.exp(own.mean()))
    ends = np.exp([own.mean() - half, own.mean() + half])
    assert (found.estimate.low, found.estimate.high) == pytest.approx(tuple(ends))
    assert one.onset.value == pytest.approx(np.exp(one.parameters.seeds[:, LOG_D_HI].mean()))
    assert one.profile.high - one.profile.low < 0.5 * (found.estimate.high - found.estimate.low)
    assert (found.verdict, one.parameters.scope) == ("quoted", "population")


def test_seeds_cover_where_the_profile_does_not():
    """Exponents of their own and AR(.6), three seeds: the profile covers a quarter."""
    covered, profiled = [], []
    for rng in range(40):
        one = gamma(None, curve_of(logs(3, rng, rho=0.6, own=0.1)))
        covered.append(one.estimate.low <= 0.6 <= one.estimate.high)
        profiled.append(one.fitted.profile.low <= 0.6 <= one.fitted.profile.high)
    assert np.mean(covered) >= 0.85  # 3 Monte-Carlo errors below .95
    assert np.mean(profiled) <= 0.55


def test_two_seeds_are_not_quoted_and_three_are():
    two, three = (gamma(None, curve_of(logs(n, 1, own=0.1))) for n in (2, 3))
    assert two.verdict == "not quoted" and "two seeds" in two.reason and "factor" in two.reason
    assert two.estimate.low < 0.6 < two.estimate.high
    assert math.isnan(two.gamma) and two.fitted.parameters.df == 1
    assert three.verdict == "quoted"


def test_seeds_without_levels_are_in_the_mean_curve_alone():
    y = logs(4)
    y[3, 3:] = np.nan
    curve = curve_of(np.where(np.isnan(y), -1.0, y))
    curve = dataclasses.replace(curve, error=np.exp(y))
    found = gamma(None, curve)
    assert found.fitted.parameters.fitted == 3
    assert np.isnan(found.fitted.parameters.seeds[3]).all()
    assert any("too few levels" in note and "seed 3 of 4" in note for note in found.notes)
    whole = gamma(None, curve_of(logs(4)[:3]))
    assert found.estimate.value == pytest.approx(whole.estimate.value, rel=1e-6)
    lone = dataclasses.replace(curve, error=curve.error[[0, 3]])
    assert gamma(None, lone).fitted.parameters.scope == "this curve"


@pytest.mark.parametrize(("levels", "fitted"), [(5, 4), (16, 5)])
def test_a_seed_that_ends_above_the_onset_has_no_exponent_of_its_own(levels, fitted):
    """Five dense levels alone fit any exponent: such a seed made .36 [.08, 1.6] of .6."""
    y = logs(5, own=0.1)
    curve = curve_of(y)
    error = curve.error.copy()
    error[0, levels:] = np.nan
    found = gamma(None, dataclasses.replace(curve, error=error))
    assert found.fitted.parameters.fitted == fitted and found.verdict == "quoted"
    assert any("none below the onset: seed 0 of 5" in n for n in found.notes) is (fitted == 4)
    if fitted == 4:
        whole = gamma(None, curve_of(y[1:]))
        assert found.estimate.value == pytest.approx(whole.estimate.value, rel=1e-6)


def test_whole_seeds_have_exponents_though_the_onset_lies_below_all_densities():
    curve = curve_of(logs(3)[:, :6])
    best = fit(problem_of(curve, None, "chance"))
    below = dataclasses.replace(best, theta=np.log([0.06, 0.6, 0.01, 0.9]))
    assert _parameters(curve, below)[0].fitted == 3


# A seed whose own exponent is that of a bound


@pytest.mark.parametrize("seeds", [5, 10])
def test_seeds_whose_own_fit_ends_at_a_bound_are_named_and_nothing_is_quoted(seeds):
    """One of ten that falls to chance at level 15 made .8 [.44, 1.4] of .6, quoted."""
    y = logs(seeds, own=0.1)
    y[-1, 15:] = math.log(0.9)
    found = gamma(None, curve_of(y))
    assert found.verdict == "not quoted" and math.isnan(found.gamma)
    assert found.fitted.fit.at_bounds == ()  # that of the mean curve does not
    words = f"fits by seed that end with gamma at its upper bound 8: seed {seeds - 1}"
    assert any(words in note for note in found.notes)
    if seeds == 10:
        assert "end at a bound, 1 of 10" in found.reason


@pytest.mark.parametrize(
    ("index", "bound", "quoted"),
    [(LOG_G, 0.01, False), (LOG_G, 8.0, False), (LOG_D_HI, 1e-3, False), (LOG_D_HI, 3.0, True)],
)
def test_only_an_onset_above_all_densities_leaves_the_exponent_told(index, bound, quoted):
    curve = curve_of(logs(5))
    one = gamma(None, curve).fitted
    theta = one.parameters.seeds.copy()
    theta[2, index] = math.log(bound)
    known = dataclasses.replace(one.parameters, seeds=theta)
    assert list(known.at_bounds) == [2]
    found = Evidence(one.fit, one.profile, one.exponent, known, None, RelativeNoise(1.0, 0.01), 1.0)
    verdict, reason = gate(found, curve, "chance")
    assert verdict == ("quoted" if quoted else "not quoted")
    assert quoted or "end at a bound, 1 of 5" in reason


def test_a_power_law_from_the_first_pruning_on_has_an_exponent():
    """Of an onset at its bound: ten times the bound moves the exponent by 2 %."""
    straight = log_error(X, np.log([0.02, 0.25, 30.0, 0.9]))
    problem = gamma(None, curve_of(logs(1))).fitted.fit.problem
    (theta,) = fit_each(problem, straight[None])
    assert bounds_met(theta) == (Bound(LOG_D_HI, "upper", 3.0),)
    assert np.exp(theta[LOG_G]) == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize(("factor", "verdict"), [(2.95, "quoted"), (3.05, "not quoted")])
def test_an_interval_as_wide_as_that_of_two_seeds_is_not_quoted(factor, verdict):
    curve = curve_of(logs(5))
    one = gamma(None, curve).fitted
    exponent = Estimate(0.6, 0.35, 0.35 * factor)
    found = Evidence(
        one.fit, one.profile, exponent, one.parameters, None, RelativeNoise(1.0, 0.01), 1.0
    )
    assert gate(found, curve, "chance")[0] == verdict
    if verdict == "not quoted":
        assert "spans a factor of 3" in gate(found, curve, "chance")[1]


def test_an_error_of_zero_in_one_seed_is_left_out_and_told():
    curve = curve_of(logs(3))
    error = curve.error.copy()
    error[1, 0] = 0.0
    found = gamma(None, dataclasses.replace(curve, error=error))
    assert any("1 errors of 0" in note for note in found.notes)
    assert np.isfinite(found.fitted.parameters.seeds).all()


def test_the_fitted_curve_is_the_mean_of_those_of_seeds():
    one = gamma(None, curve_of(logs(3, own=0.1))).fitted
    curves = log_error(X, one.parameters.seeds)
    np.testing.assert_allclose(one.parameters.curve(X), curves.mean(axis=0))
    low, high = one.parameters.band(X)
    half = student.ppf(0.975, 2) * curves.std(axis=0, ddof=1) / math.sqrt(3)
    np.testing.assert_allclose(high - low, 2 * half)
    assert one.rise == pytest.approx(
        np.mean([log_error(X, theta)[-1] - theta[0] for theta in one.parameters.seeds])
    )


def test_ends_beyond_what_is_searched_are_none():
    theta = np.tile(np.log([0.06, 0.5, 0.2, 0.9]), (3, 1))
    theta[:, LOG_G] = np.log([0.05, 1.0, 7.9])
    found = of_seeds(theta).interval(LOG_G)
    assert (found.low, found.high) == (0.0, np.inf)
    theta[:, LOG_G] = np.log([0.4, 0.5, 0.6])
    assert 0 < of_seeds(theta).interval(LOG_G).low < 0.5


# One curve, levels correlated


def slow_sandwich(jacobian: np.ndarray, residuals: np.ndarray, rho: float):
    """The covariance of least squares under AR(1), element by element."""
    n = len(residuals)
    omega = np.array([[rho ** abs(i - j) for j in range(n)] for i in range(n)])
    bread = np.linalg.inv(jacobian.T @ jacobian)
    rest = np.eye(n) - jacobian @ bread @ jacobian.T
    product = rest @ omega
    variance = (residuals**2).sum() / np.trace(product)
    df = np.trace(product) ** 2 / np.trace(product @ product)
    return variance * bread @ jacobian.T @ omega @ jacobian @ bread, df


def test_the_sandwich_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    jacobian, y = rng.normal(size=(20, 3)), along(rng, 0.5, 1, 20)[0]
    residuals = y - jacobian @ np.linalg.lstsq(jacobian, y)[0]
    found = sandwich(jacobian, residuals)
    covariance, df = slow_sandwich(jacobian, residuals, found.rho)
    np.testing.assert_allclose(found.covariance, covariance)
    assert found.df == pytest.approx(df)


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_lines_through_correlated_levels_are_covered(rho):
    """A line through 25 levels: least squares alone covers .74 under AR(.6)."""
    line = np.column_stack([np.ones(25), X - X.mean()])
    inverse, covered, rhos = np.linalg.pinv(line), [], []
    for y in along(np.random.default_rng(1), rho, 800):
        slope = (inverse @ y)[1]
        found = sandwich(line, y - line @ (inverse @ y))
        half = student.ppf(0.975, found.df) * math.sqrt(found.covariance[1, 1])
        covered.append(abs(slope) <= half)
        rhos.append(found.rho)
    assert 0.93 <= np.mean(covered) <= 0.995
    assert np.mean(rhos) == pytest.approx(rho + 0.2, abs=0.1)  # 1 / sqrt(25) is added


def test_residuals_that_vanish_have_no_width():
    found = sandwich(np.column_stack([np.ones(9), np.arange(9)]), np.zeros(9))
    assert 0 <= found.rho <= 0.95 and not found.covariance.any() and np.isfinite(found.df)


def test_the_interval_of_a_correlated_curve_is_wider_and_near_that_of_t():
    curve = curve_of(logs(1, 3, rho=0.8))
    found = gamma(None, curve)
    one = found.fitted
    wald = of_curve(one.fit).interval(LOG_G)
    assert found.estimate.low < one.profile.low and found.estimate.high > one.profile.high
    assert found.estimate.low == pytest.approx(wald.low, rel=0.03)
    assert found.estimate.high == pytest.approx(wald.high, rel=0.03)
    assert any("that of this one curve" in note for note in found.notes)
    assert found.to_frame()["scope"].to_list() == ["this curve"]


def test_independent_levels_of_one_curve_give_the_profile_back():
    best = fit(gamma(None, curve_of(logs(1))).fitted.fit.problem)
    plain = dataclasses.replace(
        of_curve(best), covariance=best.covariance(), df=float(best.problem.df)
    )
    found = curve_interval(best, plain, LOG_G)
    one = gamma(None, curve_of(logs(1))).fitted.profile
    assert (found.low, found.high) == pytest.approx((one.low, one.high))


# Misfit


def test_the_statistic_is_the_mean_over_the_scatter():
    r = along(np.random.default_rng(2), 0.5, 4)
    found = functional_f(r, 3)
    scatter = sum(r[:, n].var(ddof=1) for n in range(25))
    assert found.statistic == pytest.approx(4 * (r.mean(axis=0) ** 2).sum() / scatter)
    assert found.df[1] == pytest.approx(3 * found.df[0])


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_degrees_of_freedom_are_those_of_the_covariance(rho):
    """nu = tr(E)^2 / tr(E^2): 25 for white noise, fewer where levels go together."""
    rng, omega = np.random.default_rng(3), ar1(rho, 25)
    expected = 25**2 / (omega**2).sum()
    found = [functional_f(along(rng, rho, 40), 0).df[0] for _ in range(20)]
    assert np.mean(found) == pytest.approx(expected, rel=0.05)


def test_noise_is_seldom_a_misfit_and_a_shared_form_is_one():
    rng = np.random.default_rng(4)
    bump = np.exp(-(((np.arange(25) - 12) / 3) ** 2))
    noise = [along(rng, 0.6, 5) for _ in range(400)]
    assert np.mean([functional_f(r, 3).p < 0.05 for r in noise]) <= 0.09
    assert np.mean([functional_f(r + 2 * bump, 3).p < 0.05 for r in noise]) >= 0.9


def test_misfit_needs_three_seeds_and_levels_that_all_have():
    r = along(np.random.default_rng(5), 0.3, 3)
    assert functional_f(r[:2], 3) is None
    some = r.copy()
    some[0, 4:] = np.nan
    assert functional_f(some, 3).statistic == functional_f(r[:, :4], 3).statistic
    some[0, 3:] = np.nan
    assert functional_f(some, 3) is None


def test_a_plateau_told_wrongly_is_refused_once_there_are_seeds():
    """A plateau of .6 that is told as .9: 15 % off, and quoted the more surely without a test."""
    y = logs(5, plateau=0.6, onset=0.5)
    found = gamma(None, curve_of(y))
    assert found.verdict == "model rejected" and "--free-plateau" in found.reason
    assert found.fitted.misfit.p < 1e-3 and found.estimate.high < 0.6
    free = gamma(None, curve_of(y), plateau="free")
    assert free.verdict == "quoted" and free.estimate.low < 0.6 < free.estimate.high
    assert free.fitted.eps_dag == pytest.approx(0.6, rel=0.05)


def test_curves_without_noise_are_no_misfit_and_another_form_is_one():
    """Residuals of a ten-thousandth, those of densities from counts: F was 5380."""
    theta = np.tile(np.log([0.06, 0.6, 0.2, 0.9]), (5, 1))
    theta[:, 1:3] += 0.1 * np.random.default_rng(7).normal(size=(5, 2))
    counted = np.log(np.rint(1e6 * DENSITY) / 1e6)
    for x in (X, counted):
        found = gamma(None, curve_of(log_error(x, theta)))
        assert found.verdict == "quoted" and found.fitted.misfit.p > 0.9
    theta[:, 3] = math.log(0.6)
    other = gamma(None, curve_of(log_error(X, theta)))
    assert other.verdict == "model rejected" and other.fitted.misfit.p < 0.05


def test_misfit_sharpens_with_seeds():
    bump = 0.05 * np.exp(-(((X - X.mean()) / (0.1 * np.ptp(X))) ** 2))
    p = [gamma(None, curve_of(logs(n, 6) + bump)).fitted.misfit.p for n in (3, 20)]
    assert p[1] < 1e-3 < p[0]


def test_levels_at_chance_because_a_layer_is_empty_are_no_power_law():
    y = logs(5)
    for seed, level in enumerate((18, 19, 20, 18, 19)):
        y[seed, level:] = math.log(0.9)
    assert gamma(None, curve_of(y)).verdict in ("model rejected", "not quoted")
    assert gamma(None, curve_of(y[:1])).verdict in ("model rejected", "not quoted")


# A slope that contradicts the exponent


def test_a_slope_above_the_exponent_contradicts_it():
    y = logs(5, own=0.1)
    curve = curve_of(y)
    one = gamma(None, curve).fitted
    steep = sparse_slope(curve)
    assert not contradicts(curve, steep, one.exponent, one.parameters)
    below = one.parameters.seeds.copy()
    below[:, LOG_G] = np.log(seed_slopes(curve) - 0.05 - 0.02 * np.arange(5))
    known = of_seeds(below)
    # Intervals of slope and exponent overlap: every seed is held against its own exponent.
    assert steep.low < known.interval(LOG_G).high
    assert contradicts(curve, steep, known.interval(LOG_G), known)


def test_one_curve_contradicts_where_intervals_lie_apart():
    curve = curve_of(logs(1, sd=0.001))
    one = gamma(None, curve).fitted
    steep = sparse_slope(curve)
    for high, contradicted in ((steep.low + 0.01, False), (steep.low - 0.01, True)):
        exponent = dataclasses.replace(one.exponent, high=high)
        assert contradicts(curve, steep, exponent, one.parameters) is contradicted


def test_a_slope_that_contradicts_is_the_reason():
    """An exponent of .6 that is 1.1 below density .02: fits by seed end between the two."""
    curve = curve_of(logs(5, own=0.1))
    one = gamma(None, curve).fitted
    below = one.parameters.seeds.copy()
    below[:, LOG_G] = np.log(seed_slopes(curve) - 0.05)
    known = of_seeds(below)
    found = Evidence(
        one.fit, one.profile, known.interval(LOG_G), known, None, RelativeNoise(1.0, 0.01), 1.0
    )
    verdict, reason = gate(found, curve, "chance")
    assert verdict == "model rejected" and "the slope at the sparse end" in reason
    steeper = logs(5, sd=0.005, onset=0.08) + 0.5 * np.maximum(math.log(0.02) - X, 0)
    assert gamma(None, curve_of(steeper)).verdict == "model rejected"


def test_the_slope_of_one_curve_allows_for_correlation():
    curve = curve_of(logs(1, 2))
    last = curve.density <= 2.5 * curve.density[-1]
    x, y = np.log(curve.density[last]), np.log(curve.error[0, last])
    line = np.column_stack([np.ones_like(x), x])
    coefficients = np.linalg.lstsq(line, y)[0]
    known = sandwich(line, y - line @ coefficients)
    half = student.ppf(0.975, known.df) * math.sqrt(known.covariance[1, 1])
    found = sparse_slope(curve)
    assert found == pytest.approx(
        (-coefficients[1], -coefficients[1] - half, half - coefficients[1])
    )


# Seeds are counted, not rows


def numbers(curve: PruningCurve) -> dict:
    found = gamma(None, curve)
    assert isinstance(found.fitted, Fitted)
    row = found.to_row()
    return {k: v for k, v in row.items() if not isinstance(v, str)} | {"verdict": row["verdict"]}


@given(st.integers(1, 4), st.integers(0, 100), st.data())
def test_rows_that_repeat_change_nothing(seeds, rng, data):
    y = logs(seeds, rng, sd=0.05)[:, :14]
    density, error = np.tile(DENSITY[:14], seeds), np.exp(y).ravel()
    seed = np.repeat(np.arange(seeds), 14)
    times = np.array(data.draw(st.lists(st.integers(1, 10), min_size=14, max_size=14)))
    again = np.repeat(np.arange(len(seed)), np.tile(times, seeds))
    once = make_curve("a", density, error, seed.tolist(), task="cifar10")
    often = make_curve("a", density[again], error[again], seed[again].tolist(), task="cifar10")
    for name in ("density", "error", "runs", "weight"):
        np.testing.assert_array_equal(getattr(once, name), getattr(often, name))
    assert (once.relative_sd, once.noise) == pytest.approx(
        (often.relative_sd, often.noise), nan_ok=True
    )
    if (times > 1).any():
        assert any("written again" in note for note in often.notes)


def test_repeated_rows_are_not_quoted_the_more():
    """One seed of 12 levels, every row ten times: the signal stays below 15."""
    y = logs(1, 3, sd=0.02)[:, :10]
    one = make_curve("a", DENSITY[:10], np.exp(y[0]), task="cifar10")
    ten = make_curve("a", np.repeat(DENSITY[:10], 10), np.repeat(np.exp(y[0]), 10), task="cifar10")
    assert numbers(one) == pytest.approx(numbers(ten), nan_ok=True)
    assert numbers(one)["verdict"] == "not quoted"


def test_means_of_other_runs_still_count_as_so_many():
    found = make_curve("a", [1.0, 1.0, 0.8], [0.1, 0.1, 0.2], [0, 0, 0], runs=[3, 3, 5])
    assert found.runs.tolist() == [6, 5]


def test_seeds_that_are_copies_count_once():
    y = logs(3)
    copies = curve_of(y[[0, 1, 0, 2, 2]], "copies")
    assert copies.seeds == 3
    assert any("seed 2, 4" in note and "count once" in note for note in copies.notes)
    np.testing.assert_array_equal(copies.error, curve_of(y).error)
    np.testing.assert_array_equal(copies.runs, np.full(25, 3))
    alone = curve_of(y[[0, 0, 0]], "alone")
    assert (alone.seeds, alone.noise) == (1, "assumed")
    assert gamma(None, alone).noise.seed_sd == pytest.approx(0.034)


@pytest.mark.parametrize("written", [3, 4, 5, "float32"])
def test_copies_that_were_rounded_count_once_and_the_exact_ones_stay(written):
    y = np.exp(logs(3))
    again = y.astype(np.float32) if written == "float32" else y.round(written)
    found = curve_of(np.log(np.concatenate([again, y]).astype(np.float64)), "copies")
    assert (found.seeds, found.noise) == (3, "seeds")
    if written != "float32":
        np.testing.assert_allclose(found.error, y)
        assert found.members == ("3", "4", "5")
        assert any("seed 0, 1, 2" in note for note in found.notes)


@given(st.integers(0, 10**6), st.sampled_from([360, 1000, 2000, 10_000]))
def test_seeds_of_a_small_test_set_are_distinct(rng, images):
    """They coincide at single levels, and are one run only where they do at all of them."""
    draw = np.random.default_rng(rng)
    wrong = draw.binomial(images, np.linspace(0.08, 0.4, 9), size=(4, 9))
    wrong[1:, :6] = wrong[0, :6]
    wrong[1:, 8] = wrong[0, 8] + np.arange(1, 4)
    labels = np.repeat(np.arange(4), 9).tolist()
    found = make_curve("a", np.tile(DENSITY[:9], 4), wrong.ravel() / images, labels)
    assert found.seeds == 4


@pytest.mark.parametrize(("off", "seeds"), [(0.0, 1), (1e-4, 2)])
def test_a_unit_of_the_last_digit_at_one_level_tells_seeds_apart(off, seeds):
    y = np.exp(logs(1))[0]
    rounded = y.round(4)
    rounded[7] += off if rounded[7] > y[7] else -off  # away from it
    assert curve_of(np.log(np.stack([y, rounded]))).seeds == seeds


def test_the_beginning_of_a_run_is_a_copy_and_chance_is_none():
    y = np.exp(logs(2)[:, :8])
    density = np.concatenate([DENSITY[:8], DENSITY[:8], DENSITY[:5]])
    error = np.concatenate([y[0], y[1], y[0, :5]])
    found = make_curve("a", density, error, [0] * 8 + [1] * 8 + [2] * 5)
    assert found.seeds == 2
    few = make_curve("a", density[:-2], error[:-2], [0] * 8 + [1] * 8 + [2] * 3)
    assert few.seeds == 3


# Several curves


def test_levels_that_go_together_make_no_exponents_differ():
    """Equal exponents, AR(.6), three seeds: the F test of pooled residuals rejected .3 to .5."""
    rejected = []
    for rng in range(30):
        pair = [curve_of(logs(3, 2 * rng + n, rho=0.6, own=0.1), "ab"[n]) for n in (0, 1)]
        rejected.append(shared_gamma(None, pair).p < 0.05)
    assert np.mean(rejected) <= 0.17  # 3 Monte-Carlo errors above .05


def test_one_curve_beside_seeds_is_compared_by_its_own_interval():
    pair = [curve_of(logs(1, 1), "one"), curve_of(logs(3, 2), "three")]
    found = shared_gamma(None, pair)
    assert any("that of this one curve" in note for note in found.notes)
    assert 0 < found.p < 1 and np.isfinite(found.found.df[1])
