"""Spectra of experiments whose flow is known, their intervals, and what is said in words."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from synthetic import RESNET20, counts, first_levels, whole_in, without

from rgtool import RgtoolError
from rgtool.analysis import flow
from rgtool.analysis.nulls.untrained import null
from rgtool.analysis.spectrum.eigen import eigen
from rgtool.analysis.spectrum.verdicts import judge_as_paper
from rgtool.schemas.notes import Rank


def test_without_noise_the_growth_is_found():
    experiment = counts("resnet20", seeds=2, noise=0.0)
    spectrum = eigen(None, experiment)
    found = flow.clr(spectrum.eigenvalue.value)
    expected = flow.clr(np.array(RESNET20))
    np.testing.assert_allclose(found, expected, atol=2e-3)  # small groups round their counts
    assert spectrum.window == (1, 12)
    assert spectrum.scope == "this run"  # both seeds are one
    # Every log eigenvalue drifts by -log(1 + Var_M lambda), though nothing is random.
    assert (spectrum.paper.sd > 0.001).all()
    # The interval is of the one run, and its drift is no noise.
    assert np.isfinite(spectrum.eigenvalue.low).all()
    wobble = experiment.kept.copy()
    wobble[1, -1] += np.rint(2e-3 * wobble[1, -1] * np.array([1, -1] * 5 + [0])).astype(int)
    growth = eigen(None, dataclasses.replace(experiment, kept=wobble)).eigenvalue
    assert ((growth.low <= growth.value) & (growth.value <= growth.high)).all()
    assert (np.log(growth.high / growth.low) < 4e-3).all()


def test_estimates_follow_from_the_ends_of_the_window():
    experiment = counts("resnet20", seeds=3)
    spectrum = eigen(None, experiment, window=(2, 9))
    share = experiment.kept / experiment.kept.sum(axis=-1, keepdims=True)
    network = experiment.kept.sum(axis=-1)
    theta = np.log(share[:, 9] / share[:, 2]) / 7
    np.testing.assert_allclose(spectrum.theta, theta, rtol=1e-12)
    np.testing.assert_allclose(spectrum.eigenvalue.value, np.exp(theta.mean(axis=0)), rtol=1e-12)
    y = 7 * theta / np.log(network[:, 2] / network[:, 9])[:, None]
    np.testing.assert_allclose(spectrum.exponent.value, y.mean(axis=0), rtol=1e-12)
    ratios = share[:, 3:10] / share[:, 2:9]
    np.testing.assert_allclose(spectrum.paper.mean, ratios.mean(axis=(0, 1)), rtol=1e-12)
    sd = np.mean([one.std(axis=0, ddof=1) for one in ratios], axis=0)
    np.testing.assert_allclose(spectrum.paper.sd, sd, rtol=1e-12)


def test_interval_over_seeds_by_students_t_alone():
    spectrum = eigen(None, counts("resnet20", seeds=4), method="t")
    low, high = stats.t.interval(
        0.95, 3, loc=spectrum.theta.mean(axis=0), scale=stats.sem(spectrum.theta, axis=0)
    )
    np.testing.assert_allclose(spectrum.eigenvalue.low, np.exp(low), rtol=1e-12)
    np.testing.assert_allclose(spectrum.eigenvalue.high, np.exp(high), rtol=1e-12)
    # Retention is nearly the same for all seeds, so the exponent's interval is the same, scaled.
    scale = -math.log(0.8)
    np.testing.assert_allclose(spectrum.exponent.low, low / scale, atol=1e-4)
    np.testing.assert_allclose(spectrum.exponent.high, high / scale, atol=1e-4)


def test_interval_of_one_run_is_of_its_detrended_ratios():
    experiment = counts("resnet20", seeds=1)
    spectrum = eigen(None, experiment)
    ratios = flow.log_eigenvalues(experiment.kept[0, 1:])
    steps = np.arange(len(ratios))
    for group, series in enumerate(ratios.T):
        fit = stats.linregress(steps, series)
        residual = series - fit.intercept - fit.slope * steps
        sd = math.sqrt((residual**2).sum() / (len(steps) - 2))
        half = stats.t.ppf(0.975, len(steps) - 2) * sd / math.sqrt(len(steps))
        assert spectrum.eigenvalue.low[group] == pytest.approx(
            np.exp(series.mean() - half), rel=1e-12
        )
        assert spectrum.eigenvalue.high[group] == pytest.approx(
            np.exp(series.mean() + half), rel=1e-12
        )
    width = np.log(experiment.kept.sum(axis=-1)[0, [1, -1]])
    scale = len(steps) / (width[0] - width[1])
    np.testing.assert_allclose(
        spectrum.exponent.high - spectrum.exponent.value,
        scale * np.log(spectrum.eigenvalue.high / spectrum.eigenvalue.value),
        rtol=1e-9,
    )
    assert spectrum.scope == "this run"
    assert "one seed" in spectrum.summary()


def test_the_null_of_an_untrained_network_is_its_spectrum():
    """Counts that N1 itself keeps: the null beside them is the estimate, layer by layer."""
    model = null("resnet20", by="layer", levels=(0, 12))
    kept = np.rint(model.share * model.total.sum() * 0.8 ** np.arange(13)[:, None])
    experiment = counts("resnet20", by="layer", seeds=2)
    experiment = dataclasses.replace(experiment, kept=np.stack([kept, kept]).astype(np.int64))
    spectrum = eigen(None, experiment)
    np.testing.assert_allclose(spectrum.eigenvalue.value, spectrum.untrained.eigenvalue, rtol=2e-3)
    expected = null("resnet20", by="layer", levels=(1, 12))
    np.testing.assert_allclose(spectrum.untrained.eigenvalue, expected.eigenvalue, rtol=1e-4)
    np.testing.assert_allclose(
        spectrum.anomalous.value, spectrum.exponent.value - spectrum.canonical
    )
    assert np.abs(spectrum.anomalous.value).max() < 0.01


def test_the_null_takes_the_recipe_and_the_measured_retention():
    experiment = counts("resnet20", by="stage", seeds=2, prune=0.3, levels=8)
    recipe = dataclasses.replace(experiment.recipe, fan="fan_out")
    spectrum = eigen(None, dataclasses.replace(experiment, recipe=recipe))
    expected = null("resnet20", fan="fan_out", prune=0.3, levels=(1, 8))
    np.testing.assert_allclose(spectrum.untrained.eigenvalue, expected.eigenvalue, rtol=1e-3)
    np.testing.assert_allclose(spectrum.canonical, expected.exponent, atol=5e-3)


@pytest.mark.parametrize("change", [{"pruner": "random"}, {"scope": "layerwise"}])
def test_pruning_that_is_blind_to_scales_has_a_flat_null(change):
    experiment = counts("resnet20", seeds=2)
    recipe = dataclasses.replace(experiment.recipe, **change)
    spectrum = eigen(None, dataclasses.replace(experiment, recipe=recipe))
    np.testing.assert_allclose(spectrum.untrained.eigenvalue, 1, rtol=1e-9)
    (said,) = [note for note in spectrum.notes if note.startswith("the spectrum")]
    assert "that of equal retention" in said and "initial scales" not in spectrum.notes[0]


def test_an_unknown_initialiser_has_no_null_and_it_is_said():
    experiment = counts("resnet20", seeds=2)
    recipe = dataclasses.replace(experiment.recipe, init="orthogonal")
    spectrum = eigen(None, dataclasses.replace(experiment, recipe=recipe))
    frame = spectrum.to_frame()
    assert frame["canonical"].null_count() == frame["anomalous"].null_count() == frame.height
    assert any("no null is shown: initialiser 'orthogonal'" in note for note in spectrum.notes)
    assert frame["eigenvalue"].null_count() == 0


def test_exempt_groups_are_shown_without_verdict():
    experiment = counts("lenet", seeds=3, task="mnist")
    spectrum = eigen(None, experiment)
    assert spectrum.names == ("fc1", "fc2", "fc")
    assert spectrum.exempt.tolist() == [False, False, True]
    assert spectrum.verdict[2] == "exempt"
    assert spectrum.eigenvalue.value[2] == pytest.approx(1.25, rel=1e-3)
    assert spectrum.exponent.value[2] == spectrum.canonical[2] == 1
    row = spectrum.to_frame().to_dicts()[2]
    assert row["low"] is None and row["exponent_high"] is None
    assert any(note.startswith("fc: exempt") for note in spectrum.notes)


def test_the_papers_rule():
    mean = [1.15, 0.95, 1.009, 0.985, 1.0, 1.02]
    spread = [0.01, 0.02, 0.01, 0.02, 0.0, float("nan")]
    expected = ("relevant", "irrelevant", "marginal", "marginal", "marginal", "indeterminate")
    assert judge_as_paper(mean, spread, np.zeros(6, bool)).verdict == expected
    spectrum = eigen(None, counts("resnet20", seeds=5), rule="paper")
    judged = judge_as_paper(spectrum.paper.mean, spectrum.paper.sd, spectrum.exempt)
    assert spectrum.verdict == judged.verdict
    assert {"relevant", "irrelevant", "marginal"} == set(spectrum.verdict)


def test_a_result_shows_itself():
    spectrum = eigen(None, counts("resnet20", seeds=3))
    frame = spectrum.to_frame()
    assert frame["name"].to_list() == ["stem", *(f"{s}.{b}" for s in "123" for b in "012"), "head"]
    np.testing.assert_array_equal(frame["eigenvalue"].to_numpy(), spectrum.eigenvalue.value)
    text = spectrum.summary()
    assert "resnet20/cifar10" in text and "levels 1:12" in text
    assert {"low", "boot_low", "anomalous_low", "verdict"} <= set(text.splitlines()[1].split())
    assert "nan" not in text and "nan" not in spectrum._repr_html_()
    assert spectrum._repr_html_().count("<tr>") == 12


@settings(max_examples=25)
@given(
    st.sampled_from([("lenet", "block"), ("resnet8", "stage"), ("resnet20", "block")]),
    st.integers(1, 3),
    st.integers(2, 8),
    st.integers(0, 1000),
)
def test_no_value_is_missing_without_a_word(which, seeds, levels, rng):
    spectrum = eigen(None, counts(*which, seeds=seeds, levels=levels, rng=rng))
    frame = spectrum.to_frame()
    always = ["eigenvalue", "mean", "exponent", "canonical_eigenvalue", "canonical", "anomalous"]
    assert frame.select(always).null_count().sum_horizontal().item() == 0
    assert not any(frame[name].is_nan().any() for name in always)
    judged = frame.filter(~frame["exempt"])
    words = "\n".join(spectrum.notes)
    assert (judged["low"].null_count() > 0) == ("no interval" in words)
    assert (judged["spread"].null_count() > 0) == ("no spread" in words)
    assert ("one seed" in words) == (seeds == 1)
    assert ("no intervals" in spectrum.title) == ("no interval" in words)


@pytest.mark.parametrize("seeds", [2, 3])
def test_an_exponent_is_as_uncertain_as_its_eigenvalue(seeds):
    """Small groups: the sampling of their counts is in both intervals."""
    experiment = counts("resnet8", seeds=seeds, levels=8)
    assert (experiment.kept[:, -1] < 2500).any()
    spectrum = eigen(None, experiment)
    scale = -math.log(0.8)
    np.testing.assert_allclose(
        spectrum.exponent.low * scale, np.log(spectrum.eigenvalue.low), atol=1e-3
    )
    np.testing.assert_allclose(
        spectrum.exponent.high * scale, np.log(spectrum.eigenvalue.high), atol=1e-3
    )


def test_the_window_ends_before_a_collapse():
    experiment = counts("resnet20", seeds=2)
    kept = experiment.kept.copy()
    kept[1, 7:, 0] = 0
    collapsed = dataclasses.replace(experiment, kept=kept)
    spectrum = eigen(None, collapsed)
    assert spectrum.window == (1, 6)
    assert (
        "the window ends at level 6: group stem keeps no weight at level 7 of run "
        + experiment.runs[1]
    ) in spectrum.notes
    with pytest.raises(RgtoolError, match="window 1:9: group stem keeps no weight at level 7"):
        eigen(None, collapsed, window=(1, 9))
    kept[1, 2:, 0] = 0
    with pytest.raises(RgtoolError, match="group stem keeps no weight at level 2"):
        eigen(None, dataclasses.replace(experiment, kept=kept))


def test_a_gap_ends_the_window_and_it_is_said():
    experiment = counts("resnet20", seeds=2)
    spectrum = eigen(None, without(experiment, (0, 6)))
    assert spectrum.window == (1, 5)
    assert f"run {experiment.runs[0]} has no record of level 6" in "\n".join(spectrum.notes)
    whole = eigen(None, first_levels(experiment, 6))
    np.testing.assert_array_equal(spectrum.eigenvalue.value, whole.eigenvalue.value)
    with pytest.raises(RgtoolError, match="no record of level 6"):
        eigen(None, without(experiment, (0, 6)), window=(1, 8))
    with pytest.raises(
        RgtoolError, match="no record of level 2, so no step .* --window 3:12, which"
    ):
        eigen(None, without(experiment, (1, 2)))
    assert eigen(None, without(experiment, (1, 2)), window=(3, 12)).window == (3, 12)
    every_other = without(experiment, *((1, level) for level in range(2, 13, 2)))
    with pytest.raises(RgtoolError, match="import the missing levels$"):
        eigen(None, every_other)


def test_an_import_without_its_first_levels_starts_later():
    experiment = counts("resnet20", seeds=2)
    dense_missing = eigen(None, without(experiment, (0, 0), (1, 0)))
    assert dense_missing.window == (1, 12)
    assert not any(note.startswith("the window") for note in dense_missing.notes)
    later = eigen(None, without(experiment, (0, 1)))
    assert later.window == (2, 12)
    assert "the window starts at level 2" in "\n".join(later.notes)


def test_seeds_of_different_length_share_one_window():
    experiment = counts("resnet20", seeds=3)
    shorter = without(experiment, *((2, level) for level in range(8, 13)))
    spectrum = eigen(None, shorter)
    assert spectrum.window == (1, 7) and len(spectrum.runs) == 3
    assert "the longest run goes to level 12" in "\n".join(spectrum.notes)
    started = without(experiment, *((2, level) for level in range(2, 13)))
    spectrum = eigen(None, started)
    assert spectrum.window == (1, 12)
    assert spectrum.runs == experiment.runs[:2]
    left_out = f"run {experiment.runs[2]} is left out: it has 2 of the 3 levels"
    assert any(note.startswith(left_out) for note in spectrum.notes)


@pytest.mark.parametrize(("levels", "found"), [(1, "1 level,"), (2, "2 levels,")])
def test_fewer_than_three_levels_are_refused(levels, found):
    experiment = first_levels(counts("lenet", seeds=2, task="digits"), levels)
    with pytest.raises(RgtoolError, match=found) as error:
        eigen(None, experiment)
    assert "--levels" in str(error.value) and "lenet/digits" in str(error.value)
    assert error.value.exit_code == 1


def test_an_experiment_that_prunes_nothing_is_refused():
    experiment = counts("resnet20", seeds=2)
    still = dataclasses.replace(experiment, kept=np.repeat(experiment.kept[:, :1], 13, axis=1))
    with pytest.raises(RgtoolError, match="nothing was pruned"):
        eigen(None, still)


@pytest.mark.parametrize("window", [(3, 3), (5, 2), (-1, 4)])
def test_a_window_without_a_step_is_a_usage_error(window):
    with pytest.raises(RgtoolError, match="holds no step") as error:
        eigen(None, counts("resnet20", seeds=2), window=window)
    assert error.value.exit_code == 2


def test_a_window_past_the_records_is_a_usage_error():
    with pytest.raises(RgtoolError, match="reaches past the last level recorded, 12"):
        eigen(None, counts("resnet20", seeds=2), window=(1, 40))


def test_an_unknown_grouping_offers_the_nearest():
    with pytest.raises(RgtoolError, match="did you mean block"):
        eigen(None, by="blocks")  # refused before the store is looked at


def test_a_lone_group_has_nothing_to_be_compared_with():
    experiment = counts("lenet", seeds=2, task="digits")
    exempt = np.array([False, True, True])
    kept = experiment.kept.copy()
    kept[..., 1] = experiment.total[1]
    spectrum = eigen(None, dataclasses.replace(experiment, exempt=exempt, kept=kept))
    assert any("no group can be compared" in note for note in spectrum.notes)


@pytest.mark.parametrize("method", ["iid", "block"])
def test_one_step_has_nothing_to_resample(method):
    experiment = counts("resnet20", seeds=1)
    with pytest.raises(RgtoolError, match=f"method {method} needs 3 steps and the window has 1"):
        eigen(None, experiment, window=(1, 2), method=method)
    assert np.isfinite(eigen(None, experiment, window=(1, 4), method=method).interval.low).all()


def copies_of(found, *positions):
    """The same runs again, under other names."""
    runs = tuple(f"copy{n}" for n in range(len(positions)))
    return dataclasses.replace(found.select(positions), runs=runs)


def test_copies_count_once():
    three = counts("resnet20", seeds=3)
    bare, twice = eigen(None, three), eigen(None, copies_of(three, 0, 1, 0, 2, 1))
    assert twice.interval.seeds == 3 and twice.runs == ("copy0", "copy1", "copy3")
    for what in ("eigenvalue", "boot", "exponent", "anomalous"):
        one, other = getattr(bare, what), getattr(twice, what)
        np.testing.assert_array_equal(one.low, other.low)
        np.testing.assert_array_equal(one.high, other.high)
    assert twice.verdict == bare.verdict and twice.untrained.p == bare.untrained.p
    assert any(
        n.startswith("2 runs of 5 (copy2, copy4) with the counts of another") for n in twice.notes
    )
    assert not any("with the counts of another" in note for note in bare.notes)
    alone = eigen(None, copies_of(three, 0, 0, 0))
    assert alone.boot is None and alone.interval.scope == "this run" and alone.interval.seeds == 1
    with pytest.raises(RgtoolError, match=r"method t needs 2 seeds \(copies count once\)"):
        eigen(None, copies_of(three, 0, 0), method="t")


def test_a_run_and_its_beginning_are_copies():
    three = counts("resnet20", seeds=3)
    kept = copies_of(three, 0, 1, 2, 0)
    short = without(kept, *((3, level) for level in range(9, 13)))
    assert eigen(None, short).interval.seeds == 3


def test_seeds_that_differ_by_a_few_weights_are_said_to_agree_too_closely():
    rng = np.random.default_rng(1)
    one = counts("resnet20", seeds=1, levels=8)
    kept = np.repeat(one.kept, 5, axis=0)
    kept[1:, :, 1:4] -= rng.integers(1, 3, kept[1:, :, 1:4].shape)
    near = dataclasses.replace(copies_of(one, *[0] * 5), kept=np.sort(kept, axis=1)[:, ::-1])
    said = "seeds agree more closely than the sampling of their counts allows"
    assert any(note.startswith(said) for note in eigen(None, near).notes)
    assert not any(note.startswith(said) for note in eigen(None, counts("resnet20")).notes)


def test_one_seed_speaks_of_its_run():
    first = eigen(None, counts("resnet20", seeds=1)).notes[0]
    assert first.startswith("in this run the share of ")
    assert not eigen(None, counts("resnet20", seeds=2)).notes[0].startswith("in this run")
    assert eigen(None, counts("resnet20", seeds=3), method="iid").notes[0].startswith("in these ")


def test_where_all_groups_are_exempt_there_is_no_flow():
    found = counts("resnet20")
    with pytest.raises(RgtoolError, match="every group is exempt from pruning"):
        eigen(None, dataclasses.replace(found, exempt=np.ones(len(found.names), bool)))


@pytest.mark.parametrize("method", ["moderated", "t"])
def test_seeds_whose_counts_the_recipe_decides_make_nothing_certain(method):
    one = counts("resnet20", seeds=1, levels=8)
    copies = copies_of(one, 0, 0, 0)
    copies = dataclasses.replace(
        copies,
        kept=copies.kept * 1000,
        total=copies.total * 1000,
        magnitude=copies.kept * np.array([1.0, 1.1, 1.2])[:, None, None],
    )
    spectrum = eigen(None, copies, window=(1, 3), method=method)
    assert np.isnan(spectrum.eigenvalue.low).all() and set(spectrum.verdict) == {"indeterminate"}
    words = "\n".join(spectrum.notes)
    assert "all seeds are alike (are they copies of one run?): no interval" in words
    longer = eigen(None, copies, method=method)
    assert np.isnan(longer.eigenvalue.low).all()
    assert longer.boot is None or np.isnan(longer.boot.low).all()
    assert longer.interval.df == 2  # groups without a variance have nothing to lend
    alone = eigen(None, copies.select([0]), method="moderated").linear
    assert longer.linear is not None and alone is not None
    assert longer.linear.p_all == alone.p_all


def test_magnitudes_that_vanish_have_no_share():
    experiment = counts("resnet20", seeds=2)
    magnitude = experiment.kept * 0.5
    magnitude[1, 4] = 0
    with pytest.raises(RgtoolError, match=r"-s1, level 4: the magnitudes of group stem sum to 0"):
        eigen(None, dataclasses.replace(experiment, magnitude=magnitude), weighting="magnitude")


def test_a_group_that_the_null_empties_is_named():
    experiment = counts("resnet20", "stage", seeds=2, levels=12)
    uniform = dataclasses.replace(experiment.recipe, init="kaiming_uniform", prune=0.5)
    kept = np.maximum(experiment.total * 0.5 ** np.arange(13)[:, None], 1).astype(np.int64)
    kept = np.stack([kept, np.minimum(kept + (kept > 1000), experiment.total)])
    spectrum = eigen(None, dataclasses.replace(experiment, recipe=uniform, kept=kept))
    dead = [n for n, y in zip(spectrum.names, spectrum.anomalous.value, strict=True) if np.isnan(y)]
    assert dead
    assert f"{', '.join(dead)}: the null would have lost every weight" in "\n".join(spectrum.notes)


def test_a_small_group_is_said_to_be_what_it_is():
    words = {
        (seeds, method): "\n".join(
            eigen(None, counts("resnet8", seeds=seeds, levels=8), method=method).notes
        )
        for seeds, method in ((1, "moderated"), (2, "moderated"), (2, "t"), (2, "paper"))
    }
    assert all("fewer than 2500 weights" in text for text in words.values())
    lent = [case for case, text in words.items() if "lean on those of the other groups" in text]
    assert lent == [(2, "moderated")]
    assert "certified within" not in words[2, "paper"]


def test_the_correction_stands_beside_its_group():
    """Groups that are exempt have none, and do not shift those of the others."""
    experiment = whole_in(counts("resnet20", "stage", seeds=3), "stem")
    kept = experiment.kept.copy()
    kept[:, :, 1] = np.rint(kept[:, :, 1] * np.exp(-0.005 * np.arange(13) ** 2))
    never = {"exempt": np.arange(5) == 0, "exempt_layers": ("conv1",)}
    spectrum = eigen(None, dataclasses.replace(experiment, kept=kept, **never))
    assert spectrum.linear is not None and spectrum.linear.rejected
    frame = spectrum.to_frame()
    assert frame["correction"].to_list()[0] is None
    np.testing.assert_array_equal(frame["correction"].to_numpy()[1:], spectrum.linear.correction)
    assert any("correction (c/b) stand in --json" in note for note in spectrum.notes)
    steady = eigen(None, counts("resnet20", seeds=2, noise=0.0))
    assert np.isnan(steady.correction).all() or steady.linear.rejected


def test_an_exempt_group_has_exponent_1_of_counts_alone():
    made = counts("lenet", seeds=3)
    made = dataclasses.replace(
        made, magnitude=made.kept * np.linspace(1, 2, made.kept.shape[1])[:, None]
    )
    for weighting in ("count", "magnitude"):
        spectrum = eigen(None, made, weighting=weighting)
        (note,) = [note for note in spectrum.notes if note.startswith("fc: exempt")]
        assert ("exponent 1 by construction" in note) is (weighting == "count")


@pytest.mark.parametrize(
    ("seeds", "method", "said"),
    [
        (10, "iid", "95 % intervals of these runs (iid)"),
        (1, "iid", "95 % intervals of this run (iid)"),
        (1, "moderated", "95 % intervals of this run (Student's t of its steps)"),
    ],
)
def test_the_title_says_what_intervals_are_of(seeds, method, said):
    assert eigen(None, counts(seeds=seeds), method=method).title.endswith(said)


def test_the_papers_rule_is_named_where_it_is_asked_for():
    for rule, said in (("tost", False), ("paper", True)):
        notes = eigen(None, counts(seeds=3), window=(1, 2), rule=rule).notes
        assert any("the paper's rule gives no verdict" in note for note in notes) is said


def test_a_certain_bend_within_the_margin_is_a_detail():
    bends = {}
    for size in (1e-4, 0.5):
        made = counts(seeds=5, noise=0.0)
        levels = np.arange(made.kept.shape[1])[:, None]
        groups = np.linspace(-1, 1, made.kept.shape[2])
        noise = 1e-7 * np.random.default_rng(0).normal(size=made.kept.shape)
        kept = 1e9 * made.total * np.exp(-0.223 * levels + noise)
        kept *= np.exp(size * groups * (levels / levels.max()) ** 2)
        made = dataclasses.replace(
            made, kept=kept.astype(np.int64), total=kept.max(axis=(0, 1)).astype(np.int64)
        )
        (bends[size],) = [n for n in eigen(None, made).notes if "growth is not constant" in n]
    assert bends[1e-4].rank == Rank.DETAIL and "less than the margin" in bends[1e-4]
    assert bends[0.5].rank == Rank.CAUTION and "less than the margin" not in bends[0.5]
