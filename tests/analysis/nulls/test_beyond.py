"""What an experiment has beyond a null: intervals that cover, and verdicts."""

import dataclasses

import numpy as np
import pytest
from synthetic import counts

from rgtool.analysis.flow import log_share_variance
from rgtool.analysis.nulls.beyond import against_null, beyond
from rgtool.analysis.nulls.untrained import null_groups
from rgtool.analysis.spectrum.eigen import eigen
from rgtool.analysis.spectrum.many import _columns
from rgtool.analysis.stats.seeds import SeedMean, seed_mean
from rgtool.analysis.window import choose_window

GROUPS = 9
UNIT = np.log(1.25)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_intervals_cover(number):
    rng = np.random.default_rng(number)
    null_y, truth = rng.normal(size=GROUPS), np.linspace(-0.1, 0.1, GROUPS)
    covered = []
    for _ in range(500):
        y = null_y + truth + 0.03 * rng.normal(size=(number, GROUPS))
        found = beyond(y, np.broadcast_to(null_y, y.shape))
        np.testing.assert_allclose(found.value, (y - null_y).mean(axis=0))
        low, high = found.ends()
        covered.append((low <= truth) & (truth <= high))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)


def test_from_five_seeds_on_it_is_students_interval():
    from scipy import stats

    values = np.random.default_rng(1).normal(size=(6, 4)) * [1, 2, 5, 50]
    low, high = seed_mean(values).ends()
    for group in range(4):
        own = stats.ttest_1samp(values[:, group], 0).confidence_interval()
        assert (low[group], high[group]) == pytest.approx((own.low, own.high))


def test_one_seed_has_no_interval_and_constant_groups_have_none():
    y = np.random.default_rng(0).normal(size=(3, 4))
    assert np.isnan(beyond(y[:1], 0 * y[:1]).ends()).all()
    y[:, 1], y[:, 2] = 1.0, np.nan
    found = beyond(y, np.zeros_like(y))
    low, high = found.ends()
    assert np.isnan([low[1], high[1], found.value[2], low[2]]).all() and found.value[1] == 1
    assert np.isfinite([low[0], high[3]]).all()
    # What has no scatter lends none: the others have the interval that they have alone.
    alone = beyond(y[:, [0, 3]], np.zeros((3, 2)))
    np.testing.assert_allclose(low[[0, 3]], alone.ends()[0])


def test_a_certain_difference_within_the_margin_is_none():
    value = np.array([0.001, 0.3, -0.3, 0.3, 0.05, np.nan, 0.2])
    error = np.array([1e-4, 0.01, 0.01, 0.4, 0.03, 0.01, np.nan])
    found = against_null(SeedMean(value, error, 4.0), 0.02)
    assert found == ("none", "above", "below", "undecided", "undecided", "", "undecided")


@pytest.mark.parametrize(("value", "verdict"), [(0.0895, "none"), (0.0898, "above")])
def test_the_margin_is_that_of_a_step_of_twenty_per_cent(value, verdict):
    """Two one-sided tests at 5 %: the 90 % interval, against .02 / ln 1.25 = .08963."""
    assert against_null(SeedMean(np.array([value]), np.array([1e-5]), 4.0), 0.02) == (verdict,)
    wide = SeedMean(np.array([0.0]), np.array([0.0415]), 4.0)  # 90 %: .0885, 95 %: .115
    assert against_null(wide, 0.02) == ("none",)


def untrained(seeds=5, shift=0.0):
    """ResNet-20 as N1 has it, the last stage growing by `shift` in y."""
    made = counts("resnet20", "stage", seeds=seeds, levels=12)
    network = made.kept.sum(axis=-1).astype(float)
    kept, _ = null_groups(made, network)
    rng = np.random.default_rng(7)
    steps = np.log(network[:, :1] / network)[..., None]
    kept = kept * np.exp(steps * shift * (np.arange(5) == 3))
    kept[:, 1:] *= np.exp(0.002 * rng.normal(size=kept[:, 1:].shape))
    return dataclasses.replace(made, kept=np.rint(kept).astype(np.int64))


def test_a_spectrum_says_where_it_lies_against_its_null():
    spectrum = eigen(None, untrained())
    assert set(spectrum.against_null) == {"none"}
    np.testing.assert_allclose(
        spectrum.exponent.value - spectrum.canonical, spectrum.anomalous.value
    )
    moved = eigen(None, untrained(shift=0.3))
    assert dict(zip(moved.names, moved.against_null, strict=True))["3"] == "above"
    frame = moved.to_frame()
    assert frame["against_null"].to_list() == list(moved.against_null)
    # Many at once say the same.
    rows = _columns([choose_window(untrained(shift=0.3))], None)
    assert list(rows["against_null"]) == list(moved.against_null)
    np.testing.assert_allclose(rows["anomalous_low"], moved.anomalous.low)


def test_the_margin_that_is_asked_for_is_that_of_the_null_too():
    spectrum = eigen(None, untrained(shift=0.03), margin=0.001)
    wide = eigen(None, untrained(shift=0.03))
    assert "above" in spectrum.against_null and "above" not in wide.against_null


def test_a_certain_p_of_a_negligible_difference_is_put_in_words():
    spectrum = eigen(None, untrained(shift=0.03))
    assert spectrum.untrained.p < 0.05 and set(spectrum.against_null) == {"none"}
    (said,) = [note for note in spectrum.notes if "differs from that of the initial" in note]
    assert "by less than 0.09 in every exponent" in said


def test_one_seed_decides_nothing_and_exempt_groups_are_not_judged():
    spectrum = eigen(None, counts("lenet", "layer", seeds=1))
    assert spectrum.against_null == ("undecided", "undecided", "")


def few_weights(rng, seeds):
    """Counts of Gaussian layers at the ends of a window that leaves 3 to 40 weights in each."""
    total, tau = np.array([3000, 2000, 400, 60]), np.array([1.0, 1.1, 1.6, 2.5])
    weights = [tau[g] * np.abs(rng.normal(size=(seeds, n))) for g, n in enumerate(total)]
    cut = -np.sort(-np.concatenate(weights, axis=1), axis=1)[:, [2000, 80]]
    return np.stack([(own[:, None] > cut[..., None]).sum(axis=-1) for own in weights], axis=-1)


def test_the_sampling_of_counts_is_that_of_draws():
    """Variance of log M(end)/M(start) over untrained runs, beside what their counts say of it."""
    kept = few_weights(np.random.default_rng(3), 2000)
    moved = np.diff(np.log(kept / kept.sum(axis=-1, keepdims=True)), axis=1)[:, 0]
    said = log_share_variance(kept).mean(axis=0)
    assert said / moved.var(axis=0) == pytest.approx(1, abs=0.3)


def test_seeds_that_agree_by_chance_certify_no_more_than_their_counts():
    values = np.array([[-1.249, 0.1], [-1.2491, 0.2], [-1.2492, 0.15]])
    sampling = np.full((3, 2), 0.01)
    low, high = seed_mean(values, sampling).ends()
    half = 1.96 * np.sqrt(0.01 / 3)
    assert (high - low)[0] / 2 == pytest.approx(half, rel=1e-3)
    bare = seed_mean(values).ends()
    assert (high - low)[1] == pytest.approx((bare[1] - bare[0])[1])
    at_null = values + [1.2491, 0]
    assert against_null(seed_mean(at_null), 0.02)[0] == "none"
    assert against_null(seed_mean(at_null, sampling), 0.02)[0] == "undecided"


@pytest.fixture(scope="module")
def vgg():
    """VGG-16 at levels 1:11: block 5.1 has three weights left in all three seeds."""
    return eigen(None, "published:tanaka2020-vgg16-cifar100-magnitude")


def test_three_weights_in_every_seed_are_undecided(vgg):
    at = vgg.names.index("5.1")
    assert vgg.against_null[at] == "undecided"
    for width in (vgg.anomalous.high - vgg.anomalous.low, vgg.exponent.high - vgg.exponent.low):
        assert width[at] > 0.2
    assert vgg.boot.high[at] / vgg.boot.low[at] > 1.1
    assert vgg.eigenvalue.high[at] / vgg.eigenvalue.low[at] > 1.1


def test_the_p_of_all_groups_leaves_out_what_has_a_few_weights(vgg):
    assert vgg.untrained.p > 0.05
    assert any("without 4.1, 4.2, 5.0, 5.1, 5.2: fewer than 10" in note for note in vgg.notes)
