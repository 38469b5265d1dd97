"""The operator of a flow: recovered where it is known, its eigenvalues, clusters and tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from rgtool.analysis.response.operator import (
    Interval,
    contrasts,
    eigen_of,
    identity_p,
    interval_of,
    mean_eigenvalue,
    operators,
    verdict_of,
)


def starts(groups: int, factor: float = 0.8) -> np.ndarray:
    """The unperturbed run, and every group thinner and thicker: (2 K + 1, K - 1)."""
    one = np.log(factor) * np.eye(groups)
    return np.concatenate([np.zeros((1, groups)), one, -one]) @ contrasts(groups)


def drawn(
    rng: np.random.Generator, true: np.ndarray, seeds: int, noise: float = 0.0375
) -> np.ndarray:
    """J of seeds, from runs with noise of their own and of the seed."""
    size = len(true)
    x = np.broadcast_to(starts(size + 1), (seeds, 2 * size + 3, size))
    own = noise * rng.standard_normal((*x.shape[:2], size + 1)) @ contrasts(size + 1)
    return operators(x, x @ true.T + own + rng.standard_normal((seeds, 1, size)))


@pytest.mark.parametrize("groups", [2, 3, 7])
def test_contrasts_are_orthonormal_and_blind_to_a_common_factor(groups: int) -> None:
    basis = contrasts(groups)
    np.testing.assert_allclose(basis.T @ basis, np.eye(groups - 1), atol=1e-12)
    np.testing.assert_allclose(np.ones(groups) @ basis, 0, atol=1e-12)


@given(st.integers(2, 6), st.integers(0, 1000))
def test_an_operator_is_found_whatever_is_common_to_a_seed(groups: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.standard_normal((3, groups - 1, groups - 1))
    x = np.broadcast_to(starts(groups), (3, 2 * groups + 1, groups - 1))
    y = np.einsum("sij,srj->sri", true, x) + rng.standard_normal((3, 1, groups - 1))
    np.testing.assert_allclose(
        operators(x + rng.standard_normal((3, 1, groups - 1)), y), true, atol=1e-8
    )


def test_an_operator_is_that_of_least_squares_with_a_constant() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 9, 3))
    y = rng.standard_normal((2, 9, 3))
    for seed, found in enumerate(operators(x, y)):
        design = np.column_stack([x[seed], np.ones(9)])
        np.testing.assert_allclose(found, np.linalg.lstsq(design, y[seed])[0][:3].T, atol=1e-10)


def test_starts_that_do_not_span_are_refused() -> None:
    x = starts(4)[None, :3]
    with pytest.raises(ValueError, match="span 2 of 3 dimensions"):
        operators(x, x)


def test_constant_growth_is_the_identity_whatever_the_growth() -> None:
    """Exponents y are no eigenvalues: a replicator flow has J = 1."""
    growth = np.array([0.5, -0.3, 0.1, 2.0])
    kept = np.exp(np.random.default_rng(0).standard_normal((6, 4)))
    z = np.log(np.stack([kept, kept * np.exp(growth)])) @ contrasts(4)
    np.testing.assert_allclose(operators(z[:1], z[1:]), [np.eye(3)], atol=1e-10)


def test_every_seed_tells_of_an_eigenvalue_what_its_derivative_does() -> None:
    rng = np.random.default_rng(4)
    mean = np.diag([1.5, 0.9, 0.2]) + 0.3 * rng.standard_normal((3, 3))
    apart = rng.standard_normal((4, 3, 3))
    apart -= apart.mean(axis=0)
    small = 1e-6
    found = eigen_of(mean + small * apart)
    np.testing.assert_allclose(found.seeds.mean(axis=0), found.values, atol=1e-12)
    assert np.all(np.diff(np.abs(found.values)) <= 1e-12)
    for seed, own in enumerate(apart):
        moved = eigen_of((mean + small * own)[None])
        np.testing.assert_allclose(moved.values, found.seeds[seed], atol=1e-9)
        for k in range(3):
            turn = np.vdot(moved.right[:, k], found.right[:, k])
            vector = moved.right[:, k] * turn / abs(turn)
            np.testing.assert_allclose(vector, found.loadings[seed][:, k], atol=1e-9)


def test_errors_are_those_of_the_mean_over_seeds() -> None:
    found = eigen_of(drawn(np.random.default_rng(5), np.diag([1.3, 0.8, 0.2]), 6))
    expected = found.seeds.real.std(axis=0, ddof=1) / np.sqrt(6)
    np.testing.assert_allclose(found.error, expected)


def test_the_mean_eigenvalue_is_the_trace() -> None:
    matrix = np.random.default_rng(0).standard_normal((2, 4, 4))
    expected = [np.linalg.eigvals(one).mean().real for one in matrix]
    np.testing.assert_allclose(mean_eigenvalue(matrix), expected)


def test_eigenvalues_that_are_apart_stand_alone_and_those_that_are_not_are_one() -> None:
    rng = np.random.default_rng(0)
    apart = eigen_of(drawn(rng, np.diag([1.3, 0.8, 0.2]), 8))
    assert apart.clusters == [[0], [1], [2]]
    matrix = drawn(rng, np.eye(4), 8)
    equal = eigen_of(matrix)
    assert equal.clusters == [[0, 1, 2, 3]]
    np.testing.assert_allclose(equal.told([0, 1, 2, 3]), mean_eigenvalue(matrix), atol=1e-9)
    two = eigen_of(drawn(rng, np.diag([1.2, 1.2, 0.1, 0.1]), 10, 0.02))
    assert [len(one) for one in two.clusters] == [2, 2]


def test_a_pair_is_told_by_its_modulus_and_only_where_it_surely_is_one() -> None:
    rng = np.random.default_rng(0)
    turn = 0.8 * np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])
    pair = eigen_of(drawn(rng, turn, 8))
    assert pair.clusters == [[0, 1]] and pair.is_pair([0, 1])
    told = interval_of(pair.told([0, 1]))
    assert told.value == pytest.approx(abs(pair.values[0])) and told.low < 0.8 < told.high
    small = 0.8 * np.array([[1.0, -0.02], [0.02, 1.0]])
    doubtful = eigen_of(drawn(rng, small, 8))
    assert doubtful.clusters == [[0, 1]] and not doubtful.is_pair([0, 1])
    assert not eigen_of(drawn(rng, np.diag([0.8, 0.8]), 8)).is_pair([0])


@pytest.mark.parametrize("true", [[1.0, 1.0, 1.0, 1.0], [1.3, 1.0, 0.7, 0.4], [0.0, 0.0, 0.0]])
def test_intervals_hold_eigenvalues(true: list[float]) -> None:
    rng, held, wrong = np.random.default_rng(1), [], 0
    for _ in range(200):
        found = eigen_of(drawn(rng, np.diag(true), 6))
        rank = np.argsort(np.argsort(-found.values.real, kind="stable"), kind="stable")
        said = []
        for cluster in found.clusters:
            told = interval_of(found.told(cluster))
            of = np.sort(true)[::-1][rank[cluster]].mean()
            held.append(told.low <= of <= told.high)
            said += [(verdict_of(told), of)]
        wrong += any(
            (v == "relevant" and x <= 1) or (v == "irrelevant" and x >= 1) for v, x in said
        )
    assert 0.90 < np.mean(held) < 0.99 and wrong / 200 < 0.1


def test_the_identity_is_rejected_where_it_is_not_there() -> None:
    rng = np.random.default_rng(2)
    small = [identity_p(drawn(rng, np.eye(3), 5), rng, 399) < 0.05 for _ in range(100)]
    assert np.mean(small) < 0.12
    assert identity_p(drawn(rng, 0.7 * np.eye(3), 5), rng, 999) < 0.01
    one = np.array([0.8, 0.9, 1.0, 0.85])
    expected = ttest_1samp(one, 1.0).pvalue
    assert identity_p(one.reshape(4, 1, 1), rng) == pytest.approx(expected)
    assert np.isnan(identity_p(np.eye(3)[None], rng))
    assert np.isnan(identity_p(np.tile(0.5 * np.eye(3), (4, 1, 1)), rng))


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (1.2, 0.05, "relevant"),
        (-1.2, 0.05, "relevant"),
        (0.8, 0.05, "irrelevant"),
        (-0.8, 0.05, "irrelevant"),
        (0.0, 0.1, "irrelevant"),
        (1.01, 0.03, "marginal"),
        (1.0, 0.05, "marginal"),  # by the 90 % interval, not by that of 95 %
        (1.05, 0.2, "indeterminate"),
        (0.97, 0.5, "indeterminate"),
        (0.9, np.nan, ""),
    ],
)
def test_verdicts_of_eigenvalues(value: float, error: float, verdict: str) -> None:
    assert verdict_of(Interval(value, error, 9)) == verdict


def test_p_of_an_eigenvalue() -> None:
    one = Interval(0.9, 0.05, 9)
    assert one.p_of(0.9) == pytest.approx(1.0)
    assert one.p_of(1.0) == pytest.approx(0.0766, abs=1e-3)  # t = -2 with 9 degrees of freedom
    assert one.p_contracts == pytest.approx(0.0383, abs=1e-3)
    assert Interval(-0.9, 0.05, 9).p_contracts == pytest.approx(0.0383, abs=1e-3)
    assert Interval(1.1, 0.05, 9).p_contracts > 0.95
    assert one.high - one.low == pytest.approx(2 * 2.262157 * 0.05)


def test_seeds_that_are_alike_certify_nothing() -> None:
    assert np.isnan(interval_of(np.full(5, 0.3)).error) and np.isnan(interval_of(np.ones(1)).error)
