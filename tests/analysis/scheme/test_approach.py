"""kappa of flows: exact curves, noise, a slow fit beside, and what no kappa describes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import least_squares

from rgtool.analysis.scheme.approach import FLOOR, approach

TIME = np.array([0.0, 0.3, 0.9, 1.2, 2.0, 2.6, 3.5])
START = np.array([1.0, -0.4, 0.1, 0.0])


def curve(kappa: float, time: np.ndarray = TIME) -> np.ndarray:
    """Coordinates (T, G) that begin at `START` and move at first at minus that."""
    risen = time if kappa == 0 else -np.expm1(-kappa * time) / kappa
    return np.asarray(START * (1 - risen[:, None]))


@given(kappa=st.floats(-1.5, 2.5).map(lambda kappa: round(kappa, 4)))
def test_an_exact_curve_is_found_whatever_its_fate(kappa: float) -> None:
    x = curve(kappa)
    found = approach(x, np.full(x.shape, 1e-3), TIME)
    assert found.rate == pytest.approx(kappa, abs=1e-3)
    assert found.misfit < 1e-3
    if kappa > 0.05:
        np.testing.assert_allclose(found.fixed, START * (1 - 1 / kappa), atol=0.02 / kappa**2)
    elif kappa < -1e-3:
        assert np.isnan(found.fixed).all()


def test_a_slow_fit_of_all_numbers_at_once_agrees() -> None:
    """Six runs, noise and unequal variances: least squares over kappa, x* and c together."""
    rng = np.random.default_rng(0)
    variance = rng.uniform(1e-4, 1e-2, (6, len(TIME), 4))
    x = curve(0.7) + np.sqrt(variance) * rng.standard_normal(variance.shape)
    found = approach(x, variance, TIME)
    for run in range(6):
        weight = 1 / np.sqrt(variance[run] + FLOOR**2)

        def residuals(p: np.ndarray, run: int = run, weight: np.ndarray = weight) -> np.ndarray:
            fixed, c = p[1:5], p[5:]
            return np.ravel(weight * (fixed + c * np.exp(-p[0] * TIME[:, None]) - x[run]))

        slow = least_squares(residuals, [0.5, *np.zeros(4), *START], xtol=1e-12, ftol=1e-12)
        assert found.rate[run] == pytest.approx(slow.x[0], abs=2e-3)
        np.testing.assert_allclose(found.fixed[run], slow.x[1:5], atol=5e-3)
        assert found.misfit[run] == pytest.approx(2 * slow.cost / (4 * 5 - 1), rel=1e-3)


def test_kappa_does_not_depend_on_where_coordinates_begin_or_on_the_unit_of_the_network() -> None:
    x = curve(0.4) + 0.01 * np.random.default_rng(1).standard_normal((len(TIME), 4))
    variance = np.full(x.shape, 1e-3)
    one = approach(x, variance, TIME)
    moved = approach(x + np.array([5.0, -3.0, 0.0, 2.0]), variance, TIME + 7.0)
    assert moved.rate == pytest.approx(float(one.rate), abs=1e-6)
    np.testing.assert_allclose(moved.fixed - one.fixed, [5, -3, 0, 2], atol=1e-6)


def test_precise_levels_count_for_more() -> None:
    """A level that is off by much, and known to be, moves nothing."""
    x, variance = curve(0.5), np.full((len(TIME), 4), 1e-4)
    x[3] += 1.0
    variance[3] = 1e4
    assert approach(x, variance, TIME).rate == pytest.approx(0.5, abs=1e-3)
    assert abs(approach(x, np.full_like(variance, 1e-4), TIME).rate - 0.5) > 0.02


def test_a_jump_within_a_step_tells_no_kappa() -> None:
    """Between two levels lies all of the motion: any larger kappa does as well."""
    x = np.zeros((len(TIME), 4))
    x[0] = START
    found = approach(x, np.full(x.shape, 1e-4), TIME)
    assert np.isnan(found.rate) and np.isnan(found.fixed).all()
    late = np.zeros_like(x)
    late[-1] = START
    assert np.isnan(approach(late, np.full(x.shape, 1e-4), TIME).rate)


def test_leading_axes_are_flows_of_their_own() -> None:
    x = np.stack([curve(kappa) for kappa in (0.8, 0.0, -0.5)])[None]
    found = approach(x, np.full((len(TIME), 4), 1e-3), TIME)
    assert found.rate.shape == (1, 3) and found.fixed.shape == (1, 3, 4)
    np.testing.assert_allclose(found.rate, [[0.8, 0.0, -0.5]], atol=1e-3)


def test_three_levels_are_too_few() -> None:
    with pytest.raises(ValueError, match="3 levels: an approach needs 4"):
        approach(curve(1.0)[:3], np.ones((3, 4)), TIME[:3])
