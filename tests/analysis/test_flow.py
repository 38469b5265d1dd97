"""The exact identities of a flow, over any masks and any pruning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rgtool.analysis import flow
from rgtool.store import published

NEVER_ALL_GONE = 1


@st.composite
def prunings(draw: st.DrawFn) -> np.ndarray:
    """Kept counts (T, G) of masks pruned at random, each group keeping a weight at the start."""
    groups = draw(st.integers(1, 6))
    levels = draw(st.integers(2, 8))
    total = draw(hnp.arrays(np.int64, groups, elements=st.integers(1, 10_000_000)))
    kept = [total]
    for _ in range(levels - 1):
        share = draw(hnp.arrays(np.float64, groups, elements=st.floats(0, 1)))
        following = np.floor(share * kept[-1]).astype(np.int64)
        # Half of the draws leave a group alone or take it all: the bounds are reached.
        if draw(st.booleans()):
            following[draw(st.integers(0, groups - 1))] = draw(st.sampled_from([0, 1]))
            following = np.minimum(following, kept[-1])
        keep = draw(hnp.arrays(np.bool_, groups))
        kept.append(np.where(keep, kept[-1], following))
    kept = np.array(kept)
    # A network with no weight left has no shares.
    kept[:, 0] = np.maximum(kept[:, 0], NEVER_ALL_GONE)
    return kept


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """Kept counts (T, G) of boolean masks, each a subset of the one before."""
    shape = (draw(st.integers(2, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 40)))
    ages = draw(hnp.arrays(np.int64, shape[1:], elements=st.integers(0, shape[0])))
    ages[0, 0] = shape[0]
    alive = np.arange(shape[0])[:, None, None] <= ages
    return alive.sum(axis=-1)


@given(prunings() | masks())
def test_shares_times_eigenvalues_sum_to_one(kept):
    share, eigenvalue = flow.shares(kept), flow.eigenvalues(kept)
    np.testing.assert_allclose(np.nansum(share[:-1] * eigenvalue, axis=-1), 1, rtol=1e-12)
    np.testing.assert_allclose(share.sum(axis=-1), 1, rtol=1e-12)


@given(prunings() | masks())
def test_eigenvalues_are_ratios_of_shares(kept):
    share = flow.shares(kept)
    alive = kept[:-1] > 0
    expected = share[1:][alive] / share[:-1][alive]
    np.testing.assert_allclose(flow.eigenvalues(kept)[alive], expected, rtol=1e-12)
    assert np.isnan(flow.eigenvalues(kept)[~alive]).all()


@given(prunings() | masks())
def test_bounds_are_reached_by_untouched_and_emptied_groups_alone(kept):
    alive = kept[:-1] > 0
    eigenvalue = flow.eigenvalues(kept)
    bound = np.broadcast_to(1 / flow.retention(kept)[:, None], alive.shape)
    untouched, emptied = kept[1:] == kept[:-1], kept[1:] == 0
    assert (eigenvalue[alive] >= 0).all() and (eigenvalue[alive] <= bound[alive]).all()
    np.testing.assert_array_equal((eigenvalue == bound)[alive], untouched[alive])
    np.testing.assert_array_equal((eigenvalue == 0)[alive], emptied[alive])


@given(prunings() | masks())
def test_exponents_are_at_most_one(kept):
    exponent = flow.exponents(kept)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log(flow.eigenvalues(kept)) / -np.log(flow.retention(kept))[:, None]
    exists = (kept[1:] > 0) & (flow.retention(kept) < 1)[:, None]
    assert (exponent[exists] <= 1).all()
    # The naive quotient loses digits where next to nothing was pruned.
    np.testing.assert_allclose(exponent[exists], expected[exists], rtol=1e-6, atol=1e-6)
    assert np.isnan(exponent[~exists]).all()


@given(prunings() | masks(), st.data())
def test_windows_telescope(kept, data):
    start = data.draw(st.integers(0, len(kept) - 2))
    end = data.draw(st.integers(start + 1, len(kept) - 1))
    alive = kept[end] > 0
    theta = flow.window_log_eigenvalues(kept, start, end)
    steps = flow.log_eigenvalues(kept)[start:end]
    np.testing.assert_allclose(theta[alive], steps[:, alive].mean(axis=0), atol=1e-10)
    total = (flow.shares(kept)[start] * np.exp((end - start) * theta))[kept[start] > 0].sum()
    assert total == pytest.approx(1, rel=1e-10)
    y = flow.window_exponents(kept, start, end)
    network = kept.sum(axis=-1)
    if network[end] < network[start]:
        expected = (end - start) * theta / np.log(network[start] / network[end])
        np.testing.assert_allclose(y[alive], expected[alive], rtol=1e-6, atol=1e-6)


def test_a_window_without_a_step_is_refused():
    kept = np.array([[4, 4], [3, 3]])
    for start, end in ((1, 1), (0, 2), (-1, 1)):
        with pytest.raises(ValueError, match="no window"):
            flow.window_log_eigenvalues(kept, start, end)


def test_leading_axes_are_runs():
    rng = np.random.default_rng(1)
    kept = np.sort(rng.integers(1, 1000, size=(3, 4, 6, 5)), axis=-2)[..., ::-1, :]
    for function in (flow.eigenvalues, flow.exponents, flow.log_eigenvalues, flow.shares):
        np.testing.assert_array_equal(function(kept)[1, 2], function(kept[1, 2]))
    together = flow.window_exponents(kept, 1, 4)
    np.testing.assert_array_equal(together[2, 3], flow.window_exponents(kept[2, 3], 1, 4))


@given(hnp.arrays(np.float64, 5, elements=st.floats(1e-6, 1)), st.floats(0.1, 10))
def test_clr_is_centred_and_blind_to_scale(values, factor):
    centred = flow.clr(values)
    assert centred.sum() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(flow.clr(factor * values), centred, atol=1e-9)


def test_group_sums_match_a_loop():
    rng = np.random.default_rng(2)
    values = rng.integers(0, 10**7, size=(3, 9))
    groups = ["b", "a", "a", "c", "b", "a", "c", "c", "b"]
    index = flow.group_index(groups, ("a", "b", "c"))
    summed = flow.group_sums(values, index, 3)
    for column, name in enumerate("abc"):
        expected = sum(values[:, i] for i, group in enumerate(groups) if group == name)
        np.testing.assert_array_equal(summed[:, column], expected)
    with pytest.raises(ValueError, match="group d is not among"):
        flow.group_index(["a", "d"], ("a", "b"))


def test_constant_growth_reproduces_the_published_drift():
    """The paper's Table 2, ImageNet: printed eigenvalues as the s of a replicator flow."""
    spectrum = published("resnet50-simclr-imagenet")
    share, growth = spectrum.share_start[None], spectrum.eigenvalue
    for _ in range(16):
        following = share[-1] * growth
        share = np.vstack([share, following / following.sum()])
    eigenvalue = flow.eigenvalues(share)
    np.testing.assert_array_equal(eigenvalue.mean(axis=0).round(3), [1.151, 1.091, 1.021, 0.951])
    np.testing.assert_array_equal(
        eigenvalue.std(axis=0, ddof=1).round(3), [0.015, 0.014, 0.013, 0.013]
    )
    slope = np.diff(flow.clr(share), axis=0)
    np.testing.assert_allclose(slope, np.broadcast_to(flow.clr(growth), slope.shape), atol=1e-12)


def test_nothing_is_an_exponent_where_nothing_is_pruned():
    kept = np.array([[60, 40], [60, 40], [48, 32]])
    assert np.isnan(flow.exponents(kept)[0]).all()
    np.testing.assert_allclose(flow.exponents(kept)[1], 0, atol=1e-12)


def test_the_unit_turns_exponents_into_logs_of_a_step_of_20_percent():
    kept = np.array([[500, 500], [440, 360]])
    np.testing.assert_allclose(
        flow.window_exponents(kept, 0, 1) * flow.UNIT, flow.window_log_eigenvalues(kept, 0, 1)
    )
    np.testing.assert_allclose(flow.UNIT, 0.22314355, rtol=1e-7)


@pytest.mark.parametrize(("start", "end"), [(0, 1), (1, 2), (0, 2)])
def test_windows_reach_from_the_first_level_to_the_last(start, end):
    kept = np.array([[60, 40], [50, 30], [40, 24]])
    share = kept / kept.sum(axis=-1, keepdims=True)
    expected = np.log(share[end] / share[start]) / (end - start)
    np.testing.assert_allclose(flow.window_log_eigenvalues(kept, start, end), expected)
    with pytest.raises(ValueError, match=f"no window {start}:3 in 3 levels"):
        flow.window_log_eigenvalues(kept, start, 3)
