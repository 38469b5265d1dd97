"""Effective scales: untrained networks stand still in them, at every density and in every group."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from rgtool.analysis import scales
from rgtool.analysis.nulls.initial import DISTRIBUTIONS, initial_scale_kept

TOTAL = np.array([144, 1296, 2592, 10_368])
# Where other laws than the Gaussian one prune four weights of the first layer as well.
LARGE = np.array([1440, 1296, 2592, 10_368])
TAU = np.array([0.5, 0.17, 0.12, 0.06])


LAWS = {
    "gaussian": np.random.Generator.standard_normal,
    "uniform": lambda rng, size: rng.uniform(-math.sqrt(3), math.sqrt(3), size),
    "laplace": lambda rng, size: rng.laplace(scale=1 / math.sqrt(2), size=size),
}


def untrained(
    rng: np.random.Generator,
    networks: int,
    density: np.ndarray,
    law: str = "gaussian",
    total: np.ndarray = TOTAL,
) -> np.ndarray:
    """Counts (S, L, G) of networks of such weights that one threshold prunes to the densities."""
    index = np.repeat(np.arange(len(total)), total)
    weights = np.abs(LAWS[law](rng, (networks, total.sum()))) * TAU[index]
    order = index[np.argsort(-weights, axis=1)]
    keep = np.rint(density * total.sum()).astype(int)
    return np.array([[np.bincount(one[:k], minlength=len(total)) for k in keep] for one in order])


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(sorted(DISTRIBUTIONS)),
    st.lists(st.floats(-1, 1), min_size=2, max_size=6),
    st.lists(st.integers(10**6, 10**8), min_size=6, max_size=6),
    st.lists(st.floats(-2, 0.5), min_size=1, max_size=5),
)
def test_an_untrained_network_is_a_fixed_point(
    law: str, logs: list[float], sizes: list[int], thresholds: list[float]
) -> None:
    """At expected counts, up to the half counts: of large layers they are next to nothing."""
    total, tau = np.array(sizes[: len(logs)], float), np.exp(logs)
    t = np.exp(np.array(thresholds))[:, None] * tau.min()  # below sqrt(3): no layer is empty
    kept = total * DISTRIBUTIONS[law].kept(t / tau)
    found = scales.centred(scales.effective_scales(kept, total, law), total)
    truth = scales.centred(np.log(tau), total)
    np.testing.assert_allclose(found, np.broadcast_to(truth, found.shape), atol=1e-3)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 10**9), st.integers(0, 30) | st.integers(0, 10**9), st.booleans())
def test_the_kept_share_is_that_of_a_gaussian_beyond_the_threshold(
    total: int, some: int, dense: bool
) -> None:
    """By quadrature, not by the inverse functions that are used, at both ends."""
    some = min(some, total)
    kept = total - some if dense else some
    x = math.exp(-float(scales.effective_scales([kept], [total])[0]))
    beyond, _ = integrate.quad(lambda u: math.exp(-u * u / 2), x, x + 12, epsabs=0, limit=200)
    inside, _ = integrate.quad(lambda u: math.exp(-u * u / 2), 0, x, epsabs=0, limit=200)
    factor = math.sqrt(2 / math.pi)
    assert factor * beyond * (total + 1) == pytest.approx(kept + 0.5, rel=1e-6)
    assert factor * inside * (total + 1) == pytest.approx(total - kept + 0.5, rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 10**9))
def test_scales_rise_with_what_is_kept_and_are_finite(total: int) -> None:
    kept = np.unique(np.linspace(0, total, 50).astype(int))
    found = scales.effective_scales(kept[:, None], [total])[:, 0]
    assert np.isfinite(found).all() and (np.diff(found) > 0).all()


@pytest.mark.parametrize(
    ("law", "sparse"),
    [("gaussian", (0.2, 0.08)), ("uniform", (0.4, 0.3)), ("laplace", (0.2, 0.08))],
)
def test_drawn_networks_stand_still_and_scatter_as_predicted(
    law: str, sparse: tuple[float, float]
) -> None:
    """Mean and covariance of centred scales over levels, against networks that are pruned."""
    networks, total = 600, TOTAL if law == "gaussian" else LARGE
    density = np.array([0.9, 0.5, *sparse])  # down to where uniform layers run empty
    kept = untrained(np.random.default_rng(5), networks, density, law, total)
    found = scales.centred(scales.effective_scales(kept, total, law), total)
    truth = scales.centred(np.log(TAU), total)
    weights = total / total.sum()
    expected = initial_scale_kept(total, TAU, density * total.sum(), distribution=law)
    layers = scales.scale_covariance(expected, total, law)
    # Centring a vector of independent layers is one matrix: the slow way to the same covariance.
    centring = np.eye(len(total)) - weights
    predicted = np.einsum("ij,jnm,ij->inm", centring, layers, centring)
    sd = np.sqrt(np.einsum("inn->ni", predicted))
    assert (np.abs(found.mean(axis=0) - truth) < 0.15 * sd + 4 * sd / math.sqrt(networks)).all()
    for layer in range(len(total)):
        sampled = np.cov(found[:, :, layer].T)
        scale = np.sqrt(np.outer(np.diag(predicted[layer]), np.diag(predicted[layer])))
        assert np.abs((sampled - predicted[layer]) / scale).max() < 0.2


def test_the_variance_is_that_of_either_end() -> None:
    """1/pruned where dense, 1/(x^4 kept) where sparse."""
    total = np.array([10.0**9])
    dense = scales.scale_covariance([[10**9 - 10**4]], total)[0, 0, 0]
    assert dense == pytest.approx(1 / 10**4, rel=1e-3)
    sparse = scales.scale_covariance([[50]], total)[0, 0, 0]
    x = math.exp(-float(scales.effective_scales([50], total)[0]))
    assert sparse == pytest.approx(1 / (x**4 * 50), rel=0.1)


def test_levels_are_correlated_in_the_order_of_their_counts_not_of_their_places() -> None:
    kept = np.array([[500, 90], [300, 60], [100, 20]])
    forward = scales.scale_covariance(kept, [1000, 200])
    backward = scales.scale_covariance(kept[::-1], [1000, 200])
    np.testing.assert_allclose(forward, backward[:, ::-1, ::-1])
    np.testing.assert_allclose(forward, np.swapaxes(forward, 1, 2))
    assert (np.linalg.eigvalsh(forward) > 0).all()


@pytest.mark.parametrize(("law", "last"), [("gaussian", 9), ("uniform", 5), ("laplace", 9)])
def test_drift_is_the_slope_of_centred_scales_and_covers_nothing(law: str, last: int) -> None:
    """eta of untrained networks is 0 within its sampling error, in every layer."""
    total = TOTAL if law == "gaussian" else LARGE
    density = 0.8 ** np.arange(2, last + 1)
    kept = untrained(np.random.default_rng(7), 400, density, law, total)
    time = -np.log(density)
    eta, variance = scales.scale_drift(kept, total, time, law)
    centred = scales.centred(scales.effective_scales(kept, total, law), total)
    np.testing.assert_allclose(eta[3], np.polyfit(time, centred[3], 1)[0])
    z = eta / np.sqrt(variance)
    inside = (np.abs(z) < 1.96).mean(axis=0)
    assert (np.abs(inside - 0.95) < 0.045).all()
    assert np.abs(z.std(axis=0) - 1).max() < 0.15


def test_drift_takes_the_times_of_every_run() -> None:
    kept = untrained(np.random.default_rng(8), 3, 0.8 ** np.arange(2, 7))
    times = np.arange(5) * np.array([1.0, 1.1, 2.0])[:, None]
    found = scales.scale_drift(kept, TOTAL, times)
    for run in range(3):
        alone = scales.scale_drift(kept[run], TOTAL, times[run])
        np.testing.assert_allclose(found.eta[run], alone.eta)
        np.testing.assert_allclose(found.variance[run], alone.variance)


def test_drift_measures_a_scale_that_grows() -> None:
    density = 0.8 ** np.arange(1, 9)
    total = TOTAL * 1000
    growth = np.array([0.05, 0.0, -0.03, 0.01])
    kept = np.array(
        [
            initial_scale_kept(total, TAU * d**-growth, np.array([d * total.sum()]))[0]
            for d in density
        ]
    )
    eta = scales.scale_drift(kept, total, -np.log(density)).eta
    np.testing.assert_allclose(eta, scales.centred(growth, total), atol=1e-4)


@pytest.mark.parametrize(("law", "last"), [("gaussian", 20), ("uniform", 5), ("laplace", 20)])
def test_a_group_of_unequal_layers_stands_still(law: str, last: int) -> None:
    total, index = TOTAL * 10**5, np.array([0, 1, 0, 1])
    density = 0.8 ** np.arange(1, last)
    layers = initial_scale_kept(total, TAU, density * total.sum(), distribution=law)
    found = scales.group_scales(layers, total, index, 2, law)
    means = [np.average(np.log(TAU[index == g]), weights=total[index == g]) for g in (0, 1)]
    difference = np.full(len(density), means[0] - means[1])
    np.testing.assert_allclose(found[:, 0] - found[:, 1], difference, atol=1e-3)


def test_a_group_of_one_layer_is_that_layer() -> None:
    kept, index = np.array([[100.0, 1200, 900, 0], [144, 800, 30, 5]]), np.arange(4)
    one = scales.effective_scales(kept, TOTAL)
    np.testing.assert_allclose(scales.group_scales(kept, TOTAL, index, 4), one)


def test_layers_with_too_few_kept_or_pruned_and_exempt_ones_are_not_usable() -> None:
    kept = np.array([[[50, 50, 97, 50, 96], [4, 3, 20, 50, 4]]])
    total, exempt = [100] * 5, np.array([False] * 3 + [True, False])
    assert scales.usable(kept, total, exempt).tolist() == [True, False, False, False, True]
