"""chi of known errors: differences quotients, what rounding adds, verdicts, ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgtool.analysis.elastic.kendall import kendall
from rgtool.analysis.response import chi as answers
from rgtool.analysis.stats.seeds import SeedMean

RNG = np.random.default_rng(0)
STEP = np.log([0.8, 1.25])


def drawn(
    chi: np.ndarray, seeds: int, sd: float, rng: np.random.Generator, images: int = 10_000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log errors and log shares (S, K, 2), and the rounding of counts."""
    share = np.broadcast_to(STEP, (seeds, len(chi), 2))
    scatter = sd * rng.standard_normal(share.shape) + 0.1 * rng.standard_normal((seeds, 1, 1))
    wrong = np.rint(images * 0.2 * np.exp(chi[:, None] * share + scatter))
    error = answers.log_error(1 - wrong / images, 1 / images)
    return error, share, answers.rounding(error, share, 1 / images)


def test_a_power_of_the_share_has_its_exponent() -> None:
    true = np.array([-0.5, 0.0, 0.25])
    share = np.log([[0.1, 0.2], [0.3, 0.5], [0.2, 0.21]])[None]
    error = true[:, None] * share + 0.3
    np.testing.assert_allclose(answers.susceptibility(error, share), [true])
    bent = error + 4.0 * (share - share.mean(axis=-1, keepdims=True)) ** 2
    np.testing.assert_allclose(answers.susceptibility(bent, share), [true], atol=1e-12)


def test_what_cannot_be_told_is_missing() -> None:
    error, share = np.log([[[0.1, 0.2], [0.1, np.nan]]]), np.log([[[0.5, 0.5], [0.4, 0.6]]])
    assert np.isnan(answers.susceptibility(error, share)).all()


def test_no_error_counts_as_half_an_image() -> None:
    found = answers.log_error([1.0, 0.9, np.nan], 1 / 50)
    np.testing.assert_allclose(found, np.log([0.01, 0.1, np.nan]))
    assert np.isnan(answers.log_error([1.0], math.nan)).all()


def test_rounding_is_that_of_whole_images() -> None:
    images, share = 400, np.broadcast_to(STEP, (1, 1, 2))
    error = RNG.uniform(0.05, 0.06, (20_000, 1, 2))
    rounded = answers.log_error(1 - np.rint(error * images) / images, 1 / images)
    apart = answers.susceptibility(rounded, share) - answers.susceptibility(np.log(error), share)
    expected = answers.rounding(np.log([[[0.055, 0.055]]]), share, 1 / images)
    assert apart.var() == pytest.approx(float(expected[0, 0]), rel=0.05)
    assert not answers.rounding(np.log(error), share, math.nan).any()


def test_seeds_that_agree_by_chance_are_believed_to_half_an_image() -> None:
    error, share, least = drawn(np.array([0.0, 0.0]), 6, 0.02, np.random.default_rng(3), 100)
    values = answers.susceptibility(error, share)
    values[:, 0] = 0.0
    found = answers.mean_of(values, least)
    assert found.error[0] == pytest.approx(math.sqrt(least[:, 0].mean() / 6))
    assert found.error[1] >= math.sqrt(least[:, 1].mean() / 6)
    assert np.isnan(answers.mean_of(values).error[0])
    assert np.isnan(answers.mean_of(values[:1], least[:1]).error).all()


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_hold_chi_and_nothing_is_found_where_nothing_is(seeds: int) -> None:
    true, rng = np.array([-0.4, -0.1, 0.0, 0.1, 0.3]), np.random.default_rng(seeds)
    held, wrong = [], 0
    for _ in range(300):
        error, share, least = drawn(true, seeds, 0.04, rng)
        low, high = answers.mean_of(answers.susceptibility(error, share), least).ends()
        held.append((low <= true) & (true <= high))
        error, share, least = drawn(np.zeros(5), seeds, 0.04, rng)
        said = answers.judge(answers.mean_of(answers.susceptibility(error, share), least)).verdict
        wrong += bool({"falls", "rises"} & {*said})
    assert 0.91 < np.mean(held) < 0.98
    assert wrong / 300 < 0.085


def test_verdicts_say_where_the_error_goes() -> None:
    value, error = np.array([-0.5, 0.5, 0.0, 0.0, np.nan]), np.array([0.01, 0.01, 0.01, 1.0, 0.1])
    found = answers.judge(SeedMean(value, error, 9.0), margin=0.1)
    assert found.verdict == ("falls", "rises", "flat", "undecided", "")
    assert found.p[0] < 1e-4 and found.p[2] == 1.0 and np.isnan(found.p[4])
    wide = answers.judge(SeedMean(value, error, 9.0), margin=0.01)
    assert wide.verdict[2] == "undecided"


def test_p_is_corrected_for_the_number_of_groups() -> None:
    value, error = np.full(4, -2.5), np.ones(4)
    assert answers.judge(SeedMean(value, error, 20.0)).verdict == ("undecided",) * 4
    assert answers.judge(SeedMean(value[:1], error[:1], 20.0)).verdict == ("falls",)


@given(st.lists(st.floats(-2, 2), min_size=2, max_size=6), st.integers(0, 1000))
def test_answers_of_one_function_close(slope: list[float], seed: int) -> None:
    """chi_i = (g_i - m_i sum g) / (1 - m_i), by taking the derivative of perturbed counts."""
    g = np.array(slope)
    share = np.random.default_rng(seed).dirichlet(np.ones(len(g))) * 0.98 + 0.02 / len(g)
    small = 1e-5
    chi = np.empty(len(g))
    for i in range(len(g)):
        ends = []
        for by in (1 - small, 1 + small):
            others = share.sum() - share[i]
            change = np.full(len(g), np.log((others - (by - 1) * share[i]) / others))
            change[i] = np.log(by)
            ends.append(g @ change)
        chi[i] = (ends[1] - ends[0]) / (np.log1p(small) - np.log1p(-small))
    np.testing.assert_allclose(chi, (g - share * g.sum()) / (1 - share), rtol=1e-5, atol=1e-6)
    found = answers.closure(chi[None], share[None])
    assert found.value == pytest.approx(0.0, abs=1e-4) and math.isnan(found.low)


def test_a_sum_that_does_not_close_is_seen() -> None:
    chi = 1.0 + 0.1 * np.random.default_rng(0).standard_normal((5, 3))
    found = answers.closure(chi, np.full((5, 3), 1 / 3))
    assert found.low > 1.5 and found.value == pytest.approx(2.0, abs=0.2)


def test_ranks_are_the_mean_tau_of_seeds() -> None:
    y = np.array([0.4, 0.1, -0.2, -0.3])
    chi = -y + 0.2 * np.random.default_rng(1).standard_normal((6, 4))
    taus = [float(kendall(y[None], one[None])[0, 0]) for one in chi]
    found = answers.rank_agreement(chi, y)
    assert found.value == pytest.approx(np.mean(taus)) and -1 <= found.low < found.value
    half = 2.570581836 * np.std(taus, ddof=1) / math.sqrt(6)
    assert found.high == pytest.approx(found.value + half)
    assert math.isnan(answers.rank_agreement(chi[:2], y).low)
    for few in (chi[:, :2], chi[:, :0]):
        assert math.isnan(answers.rank_agreement(few, y[: few.shape[1]]).value)
    assert math.isnan(answers.rank_agreement(np.zeros((4, 3)), y[:3]).value)


def test_seeds_that_all_agree_may_hide_one_that_does_not() -> None:
    y = np.array([0.4, 0.1, -0.2])
    found = answers.rank_agreement(np.tile(-y, (5, 1)), y)
    assert (found.value, found.low) == (-1.0, -1.0)
    assert found.high == pytest.approx(-1 + 2 * (1 - 0.05**0.2))


def test_intervals_of_ranks_stay_among_ranks() -> None:
    y = np.array([0.4, 0.1, -0.2])
    found = answers.rank_agreement(np.stack([y, y, y, -y]), y)
    assert (found.value, found.low, found.high) == (0.5, -1.0, 1.0)
