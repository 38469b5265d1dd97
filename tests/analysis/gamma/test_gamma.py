"""Exponents of error curves: the model, its fit and intervals, gates, and published curves."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, least_squares
from scipy.stats import f as f_distribution
from scipy.stats import t as student

import rgtool
from rgtool.analysis.curves.curve import curve_of_published, make_curve
from rgtool.analysis.gamma.estimate import gamma
from rgtool.analysis.gamma.fit import FitProblem, descend, fit, fit_each
from rgtool.analysis.gamma.gates import Evidence, RelativeNoise, gate, rises, sparse_slope
from rgtool.analysis.gamma.misfit import Misfit
from rgtool.analysis.gamma.power_law import (
    LOG_D_HI,
    LOG_G,
    LOG_PLATEAU,
    A,
    Eq14,
    curve_and_jacobian,
    eq14,
    from_eq14,
    local_slope,
    log_d_lo,
    log_error,
    other_sign,
    to_eq14,
)
from rgtool.analysis.gamma.profile import profile
from rgtool.analysis.values import Estimate
from rgtool.store.literature import published_curve

SIGN = dict(
    eps_np=st.floats(0.01, 0.4),
    rise=st.floats(1.05, 20.0),
    g=st.floats(0.05, 4.0),
    p=st.floats(0.005, 0.9),
)


def truth(gamma: float = 0.5, onset: float = 0.2, eps_np: float = 0.06) -> np.ndarray:
    return np.log([eps_np, gamma, onset, 0.9])


def simulated(
    theta: np.ndarray, noise: float = 0.02, levels: int = 17, seed: int = 0, free: bool = False
) -> FitProblem:
    x = np.log(0.8) * np.arange(levels)
    y = log_error(x, theta) + noise * np.random.default_rng(seed).normal(size=levels)
    return FitProblem(x, y, np.ones(levels), None if free else math.log(0.9))


def seeds_curve(
    gamma: float = 0.5, seeds: int = 3, sd: float = 0.03, rng: int = 0, onset: float = 0.2, **kwargs
):
    density = 0.8 ** np.arange(17)
    draw = np.random.default_rng(rng).normal(size=(seeds, 17))
    error = np.exp(log_error(np.log(density), truth(gamma, onset)) + sd * draw)
    error = error.clip(max=0.9)
    return make_curve(
        kwargs.pop("name", "simulated"),
        np.tile(density, seeds),
        error.ravel(),
        np.repeat(np.arange(seeds), 17),
        task=kwargs.pop("task", "cifar10"),
        **kwargs,
    )


# The model and its sign


@given(**SIGN)
def test_the_sign_of_gamma_is_not_identifiable(eps_np, rise, g, p):
    """(gamma, p) and (-gamma, p (eps_dag/eps_np)^(1/gamma)) are one curve, and the map returns."""
    one = Eq14(eps_np, eps_np * rise, -g, p)
    other = other_sign(one)
    density = 0.8 ** np.arange(30)
    np.testing.assert_allclose(eq14(density, one), eq14(density, other), rtol=1e-9)
    np.testing.assert_allclose(other_sign(other), one, rtol=1e-9)


@given(**SIGN)
def test_theta_is_eq14_in_both_conventions(eps_np, rise, g, p):
    printed = Eq14(eps_np, eps_np * rise, -g, p)
    theta = from_eq14(printed)
    density = 0.8 ** np.arange(30)
    np.testing.assert_allclose(np.exp(log_error(np.log(density), theta)), eq14(density, printed))
    for sign in (-1, 1):
        back = to_eq14(theta, sign)
        assert math.copysign(1, back.gamma) == sign
        np.testing.assert_allclose(eq14(density, back), eq14(density, printed), rtol=1e-9)
    assert to_eq14(theta, -1).p == pytest.approx(np.exp(theta[LOG_D_HI]))  # gamma < 0: p is d_hi
    assert to_eq14(theta, 1).p == pytest.approx(np.exp(log_d_lo(theta)))  # gamma > 0: p is d_lo


@given(
    st.floats(-4, -0.5), st.floats(-3, 1.5), st.floats(-5, 1), st.floats(0.05, 3), st.floats(-5, 0)
)
def test_the_jacobian_is_that_of_the_curve(a, log_g, log_d_hi, reach, x):
    theta, at = np.array([a, log_g, log_d_hi, a + reach]), np.array([x])
    model, slopes = curve_and_jacobian(at, theta)
    assert model == pytest.approx(log_error(at, theta), abs=1e-12)
    for i, step in enumerate(np.eye(4) * 1e-6):
        numeric = (log_error(at, theta + step) - log_error(at, theta - step)) / 2e-6
        assert slopes[0, i] == pytest.approx(numeric[0], abs=2e-4 * (1 + abs(numeric[0])))
    numeric = (log_error(at - 1e-6, theta) - log_error(at + 1e-6, theta)) / 2e-6
    assert local_slope(at, theta)[0] == pytest.approx(numeric[0], abs=1e-4)


def test_between_the_two_densities_the_error_is_a_power_law():
    theta = np.log([0.01, 0.5, 0.9, 0.9])
    assert np.exp(log_d_lo(theta)) < 1e-3
    assert local_slope(np.log([0.03]), theta)[0] == pytest.approx(0.5, rel=0.01)


# The fit and its profile, against slow oracles


def oracle_fit(problem: FitProblem, log_g: float | None = None) -> tuple[float, np.ndarray]:
    """The best of many starts of SciPy alone, one after the other, without a Jacobian."""
    lower, upper = problem.bounds()
    columns = np.flatnonzero(problem.free)
    columns = columns[columns != LOG_G] if log_g is not None else columns
    best = np.inf, np.zeros(4)
    for start in problem.starts():
        whole = start.copy()
        if log_g is not None:
            whole[LOG_G] = log_g

        def residuals(values, whole=whole):
            whole[columns] = values
            return log_error(problem.log_density, whole) - problem.log_error

        inside = np.clip(whole[columns], lower[columns] + 1e-9, upper[columns] - 1e-9)
        found = least_squares(residuals, inside, bounds=(lower[columns], upper[columns]))
        if 2 * found.cost < best[0]:
            residuals(found.x)
            best = 2 * found.cost, whole.copy()
    return best


@pytest.mark.parametrize(
    ("gamma", "onset", "noise", "free"),
    [
        (0.15, 0.2, 0.02, False),
        (0.5, 0.05, 0.034, False),
        (2.0, 0.2, 0.02, False),
        (1.0, 0.2, 0.01, True),
    ],
)
def test_the_fit_finds_what_many_starts_of_scipy_find(gamma, onset, noise, free):
    problem = simulated(truth(gamma, onset), noise, seed=3, free=free)
    found, (ssr, theta) = fit(problem), oracle_fit(problem)
    assert found.starts >= 24
    assert found.ssr <= ssr * (1 + 1e-8)
    if found.ssr > ssr * (1 - 1e-6):
        np.testing.assert_allclose(found.theta[:3], theta[:3], atol=2e-3)


def test_the_profile_interval_is_that_of_a_slow_search():
    problem = simulated(truth(0.4, 0.15), 0.02, levels=15, seed=1)
    best = fit(problem)
    found = profile(best)
    limit = best.ssr * (1 + f_distribution.ppf(0.95, 1, problem.df) / problem.df)
    for end, step in ((found.low, -1), (found.high, 1)):
        near = math.log(found.estimate)
        far = near
        while oracle_fit(problem, far)[0] < limit:
            near, far = far, far + 0.2 * step
        crossing = brentq(lambda v: oracle_fit(problem, v)[0] - limit, near, far, xtol=1e-5)
        assert end == pytest.approx(math.exp(crossing), rel=2e-4)


def test_the_profile_of_the_onset_holds_the_fit_at_its_ends():
    best = fit(simulated(truth(0.5, 0.2), 0.02, seed=2))
    onset = profile(best, LOG_D_HI)
    assert onset.low < onset.estimate < onset.high
    inside = (onset.value > onset.low) & (onset.value < onset.high)
    assert (onset.ssr[inside] <= onset.threshold).all()
    assert (onset.ssr[~inside] >= onset.threshold * (1 - 1e-9)).all()


def test_an_interval_without_an_end_says_so():
    """A curve that has only just begun to rise fits any large exponent."""
    found = profile(fit(simulated(truth(2.0, 0.02), 0.02, levels=15, seed=4)))
    assert (found.high, found.unbounded) == (np.inf, "above")


def test_weights_count_a_level_as_often_as_repeating_it():
    base = simulated(truth(), 0.02)
    weight = np.where(np.arange(17) < 5, 2.0, 1.0)
    weighted = fit(dataclasses.replace(base, weight=weight))
    again = np.repeat(np.arange(17), weight.astype(int))
    repeated = FitProblem(
        base.log_density[again], base.log_error[again], np.ones(22), math.log(0.9)
    )
    np.testing.assert_allclose(weighted.theta, fit(repeated).theta, atol=1e-5)


@pytest.mark.parametrize("free", [False, True])
def test_the_covariance_is_that_of_a_linear_fit(free):
    """By numeric slopes at the minimum, weights and all; what is held has none."""
    base = simulated(truth(), 0.02, levels=25, free=free)
    found = fit(dataclasses.replace(base, weight=np.linspace(1, 3, 25)))
    columns = range(4 if free else 3)
    steps = np.eye(4)[: len(columns)] * 1e-6
    x, theta = base.log_density, found.theta
    slopes = [(log_error(x, theta + s) - log_error(x, theta - s)) / 2e-6 for s in steps]
    rows = np.array(slopes).T * np.sqrt(np.linspace(1, 3, 25))[:, None]
    expected = np.zeros((4, 4))
    expected[np.ix_(columns, columns)] = (
        np.linalg.inv(rows.T @ rows) * found.ssr / (25 - len(columns))
    )
    np.testing.assert_allclose(found.covariance(), expected, rtol=1e-4, atol=1e-12)


def test_fitting_curves_together_is_fitting_each():
    problem = simulated(truth(), 0.02)
    curves = problem.log_error + 0.02 * np.random.default_rng(5).normal(size=(6, 17))
    curves[2, :3] = curves[4, 9] = np.nan
    found = fit_each(problem, curves)
    for theta, curve in zip(found, curves, strict=True):
        has = np.isfinite(curve)
        one = FitProblem(problem.log_density[has], curve[has], np.ones(has.sum()), math.log(0.9))
        np.testing.assert_allclose(theta, fit(one).theta, atol=1e-4)
    free = fit_each(dataclasses.replace(problem, log_plateau=None), curves[:2])
    assert (free[:, 3] <= 0).all() and (free[:, 3] >= curves[:2].max() - 0.5).all()


@settings(max_examples=20)
@given(st.floats(0.2, 1.5), st.floats(0.1, 0.4), st.integers(0, 1000))
def test_a_curve_without_noise_gives_its_parameters_back(g, onset, seed):
    found = fit(simulated(truth(g, onset), 1e-6, levels=25, seed=seed))
    np.testing.assert_allclose(found.theta[:3], truth(g, onset)[:3], atol=1e-3)


def test_recovery_over_simulations():
    """Coverage and bias of the benchmark's middle cell, on few simulations."""
    covered, logs = [], []
    for seed in range(60):
        found = profile(fit(simulated(truth(), 0.02, seed=seed)))
        covered.append(found.low <= 0.5 <= found.high)
        logs.append(math.log(found.estimate / 0.5))
    assert np.mean(covered) >= 0.85  # 3.5 Monte-Carlo errors below .95
    assert abs(np.mean(logs)) < 0.03


# Golden numbers: Renda et al. 2020 (arXiv 2003.02389), ResNets on CIFAR-10, three trials a density.
# Interval ends here are roots; ends that were printed from a grid lie up to .003 inside of them.

RENDA = [  # network, with the dense row, g, low, high
    ("resnet20", False, 0.235, 0.206, 0.321),
    ("resnet56", False, 0.280, 0.265, 0.298),
    ("resnet20", True, 0.253, 0.207, 0.326),
    ("resnet56", True, 0.274, 0.259, 0.292),
]


def renda(network: str, dense: bool):
    found = published_curve(f"renda2020-{network}-cifar10")
    kept = (found.density < 1) | dense
    return curve_of_published(
        dataclasses.replace(
            found,
            density=found.density[kept],
            accuracy=found.accuracy[kept],
            seed=tuple(s for s, k in zip(found.seed, kept, strict=True) if k),
            runs=found.runs[kept],
        )
    )


@pytest.mark.parametrize(("network", "dense", "g", "low", "high"), RENDA)
def test_golden_exponents_of_renda(network, dense, g, low, high):
    """The mean curve and its profile, levels taken as independent."""
    found = gamma(None, renda(network, dense))
    one = found.fitted.profile
    assert one.estimate == pytest.approx(g, abs=5e-4)
    assert (one.low, one.high) == pytest.approx((low, high), abs=0.003)
    assert one.low <= low + 5e-4 and one.high >= high - 5e-4
    assert (found.verdict, found.gamma) == ("quoted", found.estimate.value)


@pytest.mark.parametrize("network", ["resnet20", "resnet56"])
def test_the_interval_of_renda_is_that_of_three_fits(network):
    """The t interval of log g over the trials, each fitted by SciPy alone."""
    curve = renda(network, False)
    logs = []
    for error in curve.error:
        problem = FitProblem(
            np.log(curve.density), np.log(error), np.ones(len(error)), math.log(0.9)
        )
        logs.append(oracle_fit(problem)[1][LOG_G])
    half = student.ppf(0.975, 2) * np.std(logs, ddof=1) / math.sqrt(3)
    found = gamma(None, curve)
    assert found.estimate.value == pytest.approx(math.exp(np.mean(logs)), rel=1e-3)
    assert found.estimate.low == pytest.approx(math.exp(np.mean(logs) - half), rel=2e-3)
    assert found.estimate.high == pytest.approx(math.exp(np.mean(logs) + half), rel=2e-3)
    np.testing.assert_allclose(found.fitted.parameters.seeds[:, LOG_G], logs, atol=1e-3)


# Chen et al. 2021a (arXiv 2012.06908), Fig. 3 read off: g, and what the gates say of it.
CHEN = {
    "none-cifar10": (0.131, "quoted"),
    "moco-cifar10": (0.200, "quoted"),
    "none-cifar100": (0.110, "quoted"),
    "supervised-cifar100": (0.146, "not quoted"),
    "simclr-cifar100": (0.064, "not quoted"),
    "moco-cifar100": (0.194, "quoted"),
    "none-svhn": (0.073, "not quoted"),
    "supervised-svhn": (0.065, "not quoted"),
    "simclr-svhn": (0.033, "not quoted"),
    "moco-svhn": (0.276, "not quoted"),
    "simclr-cifar10": (0.144, "not quoted"),
    "supervised-cifar10": (None, "refused"),
}


@pytest.mark.parametrize("name", CHEN)
def test_golden_exponents_of_chen(name):
    g, verdict = CHEN[name]
    found = gamma(None, f"published:chen2021a-{name}")
    assert found.verdict == verdict
    if g is None:
        assert "not seen to leave its plateau" in found.reason
        assert math.isnan(found.estimate.value) and math.isnan(found.gamma)
    else:
        assert found.estimate.value == pytest.approx(g, abs=5e-4)
    if verdict == "not quoted":
        wide = name in ("supervised-cifar100", "moco-svhn")
        assert ("spans a factor" if wide else "15 times are asked") in found.reason
        assert math.isnan(found.gamma)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("none-cifar10", 0.107, 0.167), ("moco-cifar10", 0.181, 0.223)]
)
def test_golden_intervals_of_chen(name, low, high):
    found = gamma(None, f"published:chen2021a-{name}")
    one = found.fitted.profile
    assert (one.low, one.high) == pytest.approx((low, high), abs=0.001)
    assert found.estimate.low < low and found.estimate.high > high  # levels go together
    assert found.fitted.parameters.scope == "this curve"


def test_the_method_of_the_paper_is_near_its_table():
    """Table 9's digits where the curve tells; it has no gates and says so."""
    for name, printed in (("none-cifar10", 0.14), ("none-cifar100", 0.11), ("none-svhn", 0.07)):
        found = gamma(None, f"published:chen2021a-{name}", method="paper")
        assert found.gamma == pytest.approx(printed, abs=0.01)
        assert found.fitted.eq14().gamma == pytest.approx(-found.gamma)
        assert (found.verdict, found.fitted.profile) == ("ungated", None)
    loose = gamma(None, "published:chen2021a-simclr-cifar100", method="paper")
    (row,) = loose.to_frame().to_dicts()
    assert (loose.estimate.low, loose.estimate.high) == (0, np.inf)
    assert (row["low"], row["high"], row["unbounded"]) == (None, None, "on both sides")


# Gates, noise, slope


def evidence(curve, noise: RelativeNoise, rise: float, **changes) -> Evidence:
    one = gamma(None, curve).fitted
    known = dict(
        fit=one.fit, profile=one.profile, exponent=one.exponent, parameters=one.parameters,
        misfit=None, noise=noise, rise=rise,
    )  # fmt: skip
    return Evidence(**(known | changes))


def test_the_gate_is_the_rise_over_the_noise_of_a_mean():
    curve, rise = seeds_curve(0.5), 0.6
    for noise, plateau, verdict in (
        (rise / 15.1, "chance", "quoted"),
        (rise / 14.9, "chance", "not quoted"),
        (rise / 39.9, "free", "not quoted"),
        (rise / 40.1, "free", "quoted"),
    ):
        found = evidence(curve, RelativeNoise(1.0, noise), rise)
        assert gate(found, curve, plateau)[0] == verdict


def test_the_gates_look_at_form_and_ends():
    curve, quiet = seeds_curve(0.5), RelativeNoise(1.0, 1e-3)
    rms = gamma(None, curve).fitted.rms
    found = evidence(curve, RelativeNoise(rms / 3.1, 1e-3), 0.6)
    verdict, reason = gate(found, curve, "chance")
    assert verdict == "model rejected" and "another form" in reason
    found = evidence(curve, quiet, 0.6, misfit=Misfit(9.0, 0.049, (3.0, 6.0)))
    verdict, reason = gate(found, curve, "chance")
    assert verdict == "model rejected" and "F(3.0, 6.0) 9.0, p 0.049" in reason
    found = evidence(curve, quiet, 0.6, misfit=Misfit(4.0, 0.051, (3.0, 6.0)))
    assert gate(found, curve, "chance")[0] == "quoted"
    for changes in (
        {"exponent": Estimate(0.5, 0.4, np.inf)},
        {"profile": dataclasses.replace(found.profile, high=np.inf)},
    ):
        verdict, reason = gate(found._replace(misfit=None, **changes), curve, "chance")
        assert verdict == "not quoted" and "unbounded above" in reason


def test_noise_is_pooled_over_the_curve_and_shrinks_with_seeds():
    curve = seeds_curve(seeds=40, sd=0.03)
    found = gamma(None, curve)
    assert found.noise.seed_sd == pytest.approx(0.03, rel=0.1)
    assert found.noise.mean_sd == pytest.approx(found.noise.seed_sd / math.sqrt(40))


def test_the_slope_needs_no_model():
    density = 0.8 ** np.arange(12)
    curve = make_curve(
        "line", np.tile(density, 2), np.tile(0.1 * density**-0.3, 2), [0] * 12 + [1] * 12
    )
    assert sparse_slope(curve).value == pytest.approx(0.3)
    one = make_curve("line", density, 0.1 * density**-0.3)
    assert sparse_slope(one) == pytest.approx((0.3, 0.3, 0.3))
    few = make_curve("few", [1.0, 0.5], [0.1, 0.2])
    assert all(math.isnan(v) for v in sparse_slope(few))


def test_a_constant_does_not_fit_a_rise():
    assert rises(fit(simulated(truth(), 0.02))) < 1e-6
    assert rises(fit(simulated(truth(0.5, 0.001), 0.02, seed=1))) > 0.05


def test_the_free_plateau_finds_a_plateau_that_is_reached():
    theta = np.log([0.05, 1.0, 0.3, 0.6])
    problem = simulated(theta, 0.01, levels=30, free=True)
    assert np.exp(fit(problem).theta[3]) == pytest.approx(0.6, rel=0.02)


# Results


def test_the_result_is_frozen_and_makes_a_frame():
    found = rgtool.gamma(None, "published:renda2020-resnet56")
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.curve = None  # type: ignore[misc]
    (row,) = found.to_frame().to_dicts()
    assert row["gamma"] == row["estimate"] == found.gamma
    assert row["gamma_negative"] == -row["gamma_positive"] == -found.estimate.value
    assert row["signal"] == pytest.approx(row["rise"] / row["noise"]) and row["signal"] > 15
    assert row["p_negative"] == pytest.approx(row["onset"])
    assert row["p_positive"] == pytest.approx(row["d_lo"])
    assert (row["scope"], row["verdict"], row["seeds"], row["levels"]) == (
        "population", "quoted", 3, 18
    )  # fmt: skip
    assert row["profile_low"] < row["profile"] < row["profile_high"]
    assert row["misfit"] > 0.05 and row["correlation"] is None
    assert "quoted: log error rises" in found.summary()
    assert found._repr_html_().count("<tr>") == 2


def test_a_refused_result_has_no_numbers_and_still_prints():
    found = gamma(None, "published:chen2021a-supervised-cifar10")
    (row,) = found.to_frame().to_dicts()
    assert [row[name] for name in ("gamma", "estimate", "low", "onset", "d_lo", "rise")] == [
        None
    ] * 6
    assert "refused" in found.summary() and "refused" in found._repr_html_()
    assert found.plot().get_axes()


def test_the_figure_shows_data_fit_band_and_exponents(tmp_path):
    from rgtool.analysis.plots.figures import save

    figure = rgtool.gamma(None, "published:renda2020-resnet56").plot()
    left, right = figure.get_axes()
    assert len(left.collections) >= 2  # bars and the band
    interval, middle, profiled, seeds = right.lines
    one = rgtool.gamma(None, "published:renda2020-resnet56")
    assert tuple(interval.get_xdata()) == (one.estimate.low, one.estimate.high)
    assert middle.get_xdata()[0] == one.estimate.value
    assert tuple(profiled.get_xdata()) == (one.fitted.profile.low, one.fitted.profile.high)
    assert len(seeds.get_xdata()) == 3
    save(figure, tmp_path / "gamma.svg")
    assert "test error" in (tmp_path / "gamma.svg").read_text()


# The descent: its starts, its bounds, what SciPy finishes, many at once


def best_by_scipy(problem: FitProblem, lower: np.ndarray, upper: np.ndarray) -> float:
    """The least weighted sum of squares inside a box, by SciPy alone from every start."""
    columns, root, sums = np.flatnonzero(problem.free), np.sqrt(problem.weight), []
    for start in problem.starts():
        whole = start.copy()

        def residuals(values, whole=whole):
            whole[columns] = values
            return root * (log_error(problem.log_density, whole) - problem.log_error)

        box = lower[columns], upper[columns]
        inside = np.clip(start[columns], box[0] + 1e-9, box[1] - 1e-9)
        found = least_squares(residuals, inside, bounds=box, xtol=1e-12, ftol=1e-12, gtol=1e-12)
        sums.append(2 * found.cost)
    return min(sums)


@pytest.mark.parametrize(
    ("parameter", "end", "value"),
    [
        (LOG_G, "lower", 0.7),
        (LOG_G, "upper", 0.3),
        (LOG_D_HI, "lower", 0.4),
        (LOG_D_HI, "upper", 0.1),
        (A, "lower", 0.075),
        (A, "upper", 0.05),
    ],
)
def test_every_start_ends_at_the_least_sum_inside_the_box(parameter, end, value):
    """The truth lies outside: what is held at its bound must not hold up the others."""
    problem = dataclasses.replace(simulated(truth(), 0.02), weight=np.linspace(0.5, 3, 17))
    box = dict(zip(("lower", "upper"), problem.bounds(), strict=True))
    box[end][parameter] = math.log(value)
    points = problem.log_density, problem.log_error, problem.weight
    theta, ssr = descend(*points, problem.starts(), problem.free, **box)
    np.testing.assert_allclose(ssr, best_by_scipy(problem, **box), rtol=1e-9)
    np.testing.assert_allclose(theta[:, parameter], math.log(value), atol=1e-12)


def test_starts_stand_at_even_distances_inside_the_box():
    """No minimum is further from a start than a factor 1.7 in either density or exponent."""
    for free, number in ((False, 30), (True, 60)):
        problem = simulated(truth(), 0.02, free=free)
        starts, (lower, upper) = problem.starts(), problem.bounds()
        assert starts.shape == (number, 4)
        assert ((starts >= lower - 1e-12) & (starts <= upper + 1e-12))[:, problem.free].all()
        for column, many in ((LOG_G, 5), (LOG_D_HI, 6)):
            factors = np.exp(np.diff(np.unique(starts[:, column])))
            assert len(factors) == many - 1
            assert ((factors > 2.2) & (factors < 2.8)).all()
        assert np.exp(starts[0, [LOG_G, LOG_D_HI]]) == pytest.approx([0.06, 0.015])
        least = np.sort(problem.log_error)[:3].mean()
        np.testing.assert_allclose(starts[:, A], least)
        plateaus = np.unique(starts[:, LOG_PLATEAU])
        most = problem.log_error.max()
        expected = [0.5 * most, most + 0.1] if free else [math.log(0.9)]
        np.testing.assert_allclose(plateaus, sorted(expected))


@pytest.mark.parametrize("iterations", [0, 1])
def test_what_the_descent_leaves_is_finished(monkeypatch, iterations):
    problem = dataclasses.replace(simulated(truth(), 0.05), weight=np.linspace(0.5, 3, 17))
    expected = fit(problem)
    monkeypatch.setattr("rgtool.analysis.gamma.fit._ITERATIONS", iterations)
    found = fit(problem)
    assert found.ssr == pytest.approx(expected.ssr, rel=1e-9)
    np.testing.assert_allclose(found.theta, expected.theta, atol=1e-6)
    residual = problem.log_error - log_error(problem.log_density, found.theta)
    assert found.ssr == pytest.approx(float(residual**2 @ problem.weight), rel=1e-12)
    assert found.agreeing == 0  # no start got there by itself


def test_starts_that_end_elsewhere_do_not_agree():
    """A small rise: other minima are near in sum, and still others."""
    counted = set()
    for seed in range(4):
        problem = simulated(truth(1.0, 0.1), 0.01, levels=12, seed=seed, free=True)
        found = fit(problem)
        ends = descend(
            problem.log_density,
            problem.log_error,
            problem.weight,
            problem.starts(),
            problem.free,
            *problem.bounds(),
        )[1]
        assert found.agreeing == (ends < ends.min() * 1.000001).sum()
        assert ends.max() < ends.min() + 1
        counted.add(found.agreeing)
    assert min(counted) < 60


def test_a_fit_takes_one_point_more_than_parameters():
    x = np.log(0.8) * np.arange(0, 17, 4)
    for points, free in ((4, False), (5, True)):
        y = log_error(x[:points], truth(1.0))
        problem = FitProblem(x[:points], y, np.ones(points), None if free else math.log(0.9))
        assert problem.df == 1
        assert fit(problem).ssr < 1e-6
        fewer = FitProblem(x[1:points], y[1:], np.ones(points - 1), problem.log_plateau)
        with pytest.raises(ValueError, match=f"at least {points} are needed"):
            fit(fewer)


def test_the_covariance_is_that_of_linear_least_squares():
    problem = dataclasses.replace(simulated(truth(), 0.02), weight=np.linspace(0.5, 3, 17))
    found = fit(problem)
    slopes = np.column_stack(
        [
            (log_error(problem.log_density, found.theta + h) - found_curve) / 1e-6
            for h in 1e-6 * np.eye(4)[:3]
            for found_curve in [log_error(problem.log_density, found.theta)]
        ]
    )
    normal = slopes.T @ (problem.weight[:, None] * slopes)
    expected = np.linalg.inv(normal) * found.ssr / (17 - 3)
    np.testing.assert_allclose(found.covariance()[:3, :3], expected, rtol=1e-3)
    assert (found.covariance()[3] == 0).all() and (found.covariance()[:, 3] == 0).all()
    assert found.rms == pytest.approx(math.sqrt(found.ssr / problem.weight.sum()))


def test_the_dense_error_is_held_to_five_below_the_least():
    """A curve that has no dense plateau wants it at any depth."""
    x = np.log(0.95) * np.arange(10)
    problem = FitProblem(x, -3 - 5 * x, np.ones(10), math.log(0.9))
    best = fit(problem)
    assert best.theta[A] == pytest.approx(-8)
    (again,) = fit_each(problem, problem.log_error[None])
    np.testing.assert_allclose(again, best.theta, atol=1e-6)


@pytest.mark.parametrize(("seed", "draw"), [(0, 17), (1, 114), (2, 81), (3, 95)])
def test_curves_fitted_together_reach_their_own_least(seed, draw):
    """A short curve with a free plateau: the least of a noisy draw lies in another corner."""
    problem = simulated(truth(0.5, 0.1), 0.03, levels=12, seed=seed, free=True)
    noise = 0.1 * np.random.default_rng(seed).normal(size=(150, 12))[draw]
    again = dataclasses.replace(problem, log_error=np.minimum(problem.log_error + noise, -1e-3))
    best, own = fit(problem), fit(again)
    assert np.abs(best.theta - own.theta).max() > 1
    (found,) = fit_each(problem, again.log_error[None])
    residual = again.log_error - log_error(again.log_density, found)
    assert float(residual @ residual) == pytest.approx(own.ssr, rel=1e-6)
