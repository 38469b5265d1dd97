"""One pair in depth: spectra group by group, and the overlap of masks."""

import json
import math
from pathlib import Path

import flows
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rgtool
from rgtool import RgtoolError, Store, compare
from rgtool.analysis.classes.overlap import expected_overlap
from rgtool.analysis.classes.same import same_class
from rgtool.cli import main
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask


@given(st.integers(1, 40), st.data())
def test_expected_overlap_is_hypergeometric(total, data):
    a, b = (data.draw(st.integers(0, total)) for _ in range(2))
    mean, variance = expected_overlap(a, b, total)
    both = np.arange(min(a, b) + 1)
    ways = [math.comb(a, k) * math.comb(total - a, b - k) for k in both.tolist()]
    share = np.array(ways) / math.comb(total, b)
    assert mean == pytest.approx(share @ both)
    assert variance == pytest.approx(share @ (both - mean) ** 2, abs=1e-9)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Two experiments whose equal seeds keep the same weights, and one without masks."""
    store = tmp_path_factory.mktemp("pair") / "store"
    ids = {
        "one": flows.write_experiment(store, rng=1, masks=True, noise=0.002),
        "coarse": flows.write_experiment(
            store, rng=2, masks=True, noise=0.002, levels=3, prune=0.36
        ),
        "bare": flows.write_experiment(store, rng=3, epochs=20, shift={"1": 0.1}),
        "lone": flows.write_experiment(store, rng=4, epochs=30, seeds=1),
        "lenet": flows.write_experiment(store, rng=5, architecture="lenet", exempt=("fc",)),
    }
    return store, ids


def test_spectra_are_compared_as_same_class_does(pair):
    store, ids = pair
    found = compare(Store(store), ids["one"], ids["bare"], by="stage", draws=999)
    thetas = [rgtool.eigen(Store(store), ids[name], by="stage").theta for name in ("one", "bare")]
    oracle = same_class(*thetas, np.random.default_rng(0), 999)
    np.testing.assert_allclose(found.spectra.d, oracle.d, atol=1e-12)
    assert found.spectra.p == oracle.p and found.verdict == oracle.verdict == "different"
    assert found.names == ("stem", "1", "2", "3", "head")
    assert any("not all are stored" in note for note in found.notes)
    assert "equal spectra are not equal tickets" in found.summary()
    frame = found.overlap_table.to_frame()
    assert len(frame) == 6 * 5 and {"pairs", "overlap"}.isdisjoint(frame.columns)


def test_masks_are_counted_weight_by_weight(pair):
    """The oracle reads every mask and loops over the pairs of runs and the layers."""
    store, ids = pair
    found = compare(Store(store), ids["one"], ids["coarse"], by="stage", draws=99)
    assert [overlap.kind for overlap in found.overlaps] == ["same seed", "other seeds"]
    assert [overlap.pairs for overlap in found.overlaps] == [3, 6]
    same = found.overlaps[0]
    assert same.levels.tolist() == [[2, 1], [4, 2], [6, 3]]
    counts = Store(store).counts(ids["one"], "stage")
    shared = []
    for a, b in zip(counts.runs, Store(store).counts(ids["coarse"], "stage").runs, strict=True):
        masks = [read_mask(RunFolder.of(store, run).mask(level)) for run, level in ((a, 6), (b, 3))]
        both, one = dict.fromkeys(counts.names, 0), dict.fromkeys(counts.names, 0.0)
        for layer in counts.layers:
            first, second = (mask[layer.name] for mask in masks)
            both[layer.stage] += int((first & second).sum())
            one[layer.stage] += (first.sum() + second.sum()) / 2
        shared.append([both[name] / one[name] for name in counts.names])
    np.testing.assert_allclose(same.shared[-1], np.mean(shared, axis=0))
    assert (same.shared[-1] > 0.9).all()  # the same ranks, pruned twice by a little or once
    other = found.overlaps[1]
    assert (np.abs(other.z[-1]) < 4).all() and (same.z[-1] > 5).any()
    assert other.expected.shape == (3, 5)
    frame = found.overlap_table.to_frame()
    assert len(frame) == 2 * 3 * 5 and set(frame["pairs"]) == {"same seed", "other seeds"}
    assert "times what independent masks share" in found.summary()
    assert found._repr_html_().count("<tr>") == 6


def test_shares_are_compared_where_both_are_equally_dense(pair):
    """The oracle adds up what the runs of each keep."""
    store, ids = pair
    found = compare(Store(store), ids["one"], ids["coarse"], by="stage", masks=False)
    counts = [Store(store).counts(ids[name], "stage") for name in ("one", "coarse")]
    frame = found.overlap_table.to_frame()
    rows = frame.select("level_a", "level_b", "name", "share_a", "share_b", "share_difference")
    places = [(a, b, name) for a, b in ((2, 1), (4, 2), (6, 3)) for name in counts[0].names]
    assert [row[:3] for row in rows.rows()] == places
    for a, b, name, share_a, share_b, difference in rows.rows():
        expected = [
            np.mean([run[level][each.names.index(name)] / sum(run[level]) for run in each.kept])
            for each, level in zip(counts, (a, b), strict=True)
        ]
        assert (share_a, share_b) == pytest.approx(tuple(expected))
        assert difference == pytest.approx(expected[0] - expected[1])
    last = found.to_frame()
    assert last["share_a"].to_list() == frame["share_a"].to_list()[-5:]
    assert last["share_a"].sum() == pytest.approx(1)  # every group is pruned


def test_without_equal_densities_spectra_alone_are_compared(tmp_path, capsys):
    ids = [
        flows.write_experiment(tmp_path, rng=i, masks=True, prune=prune, levels=levels)
        for i, (prune, levels) in enumerate([(0.2, 9), (0.55, 3)])
    ]
    found = compare(Store(tmp_path), *ids)
    assert found.spectra is not None and found.overlaps == () and not len(found.shares.levels)
    assert "no two levels are equally dense" in found.summary()
    assert {"share_a", "overlap_same_seed"}.isdisjoint(found.to_frame().columns)
    assert found.overlap_table.to_frame().is_empty()
    with pytest.raises(SystemExit) as left:
        main(["compare", *ids, "--levels", "--json", "--store", str(tmp_path)])
    assert not left.value.code and json.loads(capsys.readouterr().out) == []


EMPTY = {"levels": 4, "collapse": 1}


@pytest.mark.parametrize(
    ("one", "other", "levels", "why"),
    [
        ({"levels": 1}, {"levels": 1}, [[1, 1]], "its longest run has 2 levels"),
        ({"levels": 2}, {"levels": 1, "prune": 0.36}, [[2, 1]], "its longest run has 2 levels"),
        ({"levels": 3}, {"levels": 4, "prune": 0.488}, [[3, 1]], "no two levels of"),
        (EMPTY, EMPTY, [[n, n] for n in (1, 2, 3, 4)], "keeps no weight at level 1"),
    ],
)
def test_one_seed_and_no_spectrum_have_shares_and_overlaps(tmp_path, one, other, levels, why):
    """As two tickets of two papers have: a mask of each, and nothing to test."""
    ids = [
        flows.write_experiment(tmp_path, rng=i, seeds=1, masks=True, **{"epochs": 9 + i, **fields})
        for i, fields in enumerate([one, other])
    ]
    found = compare(Store(tmp_path), *ids, by="stage")
    assert found.spectra is None and found.verdict == "undecided" and "no spectra" in found.title
    assert found.shares.levels.tolist() == levels
    assert found.overlaps[0].levels.tolist() == levels
    frame = found.to_frame()
    assert len(frame) == 5 and {"difference", "p"}.isdisjoint(frame.columns)
    assert (frame["overlap_same_seed"].drop_nulls() > 0.8).all()
    assert frame["share_a"].null_count() == 0 and frame["expected_same_seed"].max() < 1
    said = found.summary()
    assert why in said and "differ most in" in said and "without a test" in said
    assert found.overlap_table.to_frame()["overlap"].len() == 5 * len(levels)


def test_without_spectra_and_equal_densities_nothing_is_compared(tmp_path):
    ids = [
        flows.write_experiment(tmp_path, rng=i, seeds=1, masks=True, levels=1, prune=prune)
        for i, prune in enumerate([0.2, 0.22])
    ]
    with pytest.raises(RgtoolError, match="its longest run has 2 levels"):
        compare(Store(tmp_path), *ids)
    far = flows.write_experiment(tmp_path, rng=3, levels=4, prune=0.5)
    near = flows.write_experiment(tmp_path, rng=3, levels=2, prune=0.15)
    with pytest.raises(RgtoolError, match="no two levels of .*: leave one of them out"):
        compare(Store(tmp_path), far, near)


def test_levels_are_found_wherever_a_window_starts(tmp_path):
    one = flows.write_experiment(tmp_path, rng=1, seeds=1, masks=True, levels=2)
    other = flows.write_experiment(tmp_path, rng=2, seeds=1, masks=True, levels=1, prune=0.36)
    RunFolder.of(tmp_path, f"{one}-s0").record(1).unlink()
    found = compare(Store(tmp_path), one, other, by="stage")
    assert found.levels == ("2:2", "1:1") and found.shares.levels.tolist() == [[2, 1]]
    np.testing.assert_allclose(found.shares.a, found.shares.b, rtol=0.05)


def test_runs_without_a_pruned_level_do_not_hinder(tmp_path):
    one = flows.write_experiment(tmp_path, rng=1, seeds=2, masks=True, levels=1)
    other = flows.write_experiment(tmp_path, rng=2, seeds=2, masks=True, levels=1, epochs=3)
    RunFolder.of(tmp_path, f"{one}-s1").record(1).unlink()
    found = compare(Store(tmp_path), one, other, by="stage")
    assert found.seeds == (1, 2) and [one.pairs for one in found.overlaps] == [1, 1]
    RunFolder.of(tmp_path, f"{one}-s0").record(1).unlink()
    with pytest.raises(RgtoolError, match="no pruned level in common"):
        compare(Store(tmp_path), one, other, by="stage")


def test_order_and_exponents(pair):
    store, ids = pair
    one = compare(Store(store), ids["one"], ids["coarse"], by="block", draws=99)
    other = compare(Store(store), ids["coarse"], ids["one"], by="block", draws=99)
    np.testing.assert_allclose(one.spectra.d, -other.spectra.d, atol=1e-12)
    assert one.levels == ("2:6", "1:3") and other.levels == ("1:3", "2:6")
    np.testing.assert_allclose(one.overlaps[0].shared, other.overlaps[0].shared)
    assert any("theta = y ln(1/.8)" in note for note in one.notes)


def test_one_seed_is_told(pair):
    store, ids = pair
    found = compare(Store(store), ids["lone"], ids["bare"], draws=99, masks=False)
    assert found.verdict == "undecided" and "no test" in found.title
    assert any("a lone seed tells nothing" in note for note in found.notes)
    assert found.to_frame()["low"].null_count() == 5 == found.to_frame()["difference"].len()
    assert not found.overlaps


@pytest.mark.parametrize(
    ("a", "b", "options", "words"),
    [
        ("one", "one", {}, "named twice"),
        ("one", "nothing", {}, "no experiment 'nothing'"),
        ("resnet8w4/digits", "one", {}, "fits 4 experiments"),
        ("one", "lenet", {}, "groups differ: .* has 5 blocks .*; .* has 2 blocks .fc1, fc2"),
        ("one", "lenet", {"by": "stage"}, "lenet has no stages"),
        ("one", "bare", {"by": "stages"}, "did you mean stage"),
        ("one", "published:resnet20-cifar10", {}, "needs seeds and masks"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(pair, a, b, options, words):
    store, ids = pair
    with pytest.raises(RgtoolError, match=words) as error:
        compare(Store(store), ids.get(a, a), ids.get(b, b), **options)
    assert len(str(error.value).splitlines()) <= 2


def test_two_seeds_each_decide_next_to_nothing(tmp_path):
    a, b = (flows.write_experiment(tmp_path, rng=i, seeds=2, epochs=i) for i in (1, 2))
    found = compare(Store(tmp_path), a, b)
    assert found.verdict == "undecided"
    assert "next to nothing can be decided" in found.summary()
    classes = rgtool.classify(Store(tmp_path), [a, b])
    assert "1 undecided pair of two seeds each: next to nothing" in classes.summary()


def test_groups_that_match_only_in_part_are_refused_or_compared_by_quantiles(tmp_path):
    one = flows.write_experiment(tmp_path, rng=1)
    other = flows.write_experiment(tmp_path, rng=2, exempt=("fc",))
    with pytest.raises(RgtoolError, match="has 5 stages .*has 4 stages"):
        compare(Store(tmp_path), one, other, by="stage")
    found = rgtool.classify(Store(tmp_path), [one, other], draws=20)
    assert found.pairs.verdict != ("same",) and "W1" in found.metric
    assert any("quantile functions" in note for note in found.notes)


def test_a_control_has_the_masks_of_its_parent(tmp_path):
    one = flows.write_experiment(tmp_path, rng=1)
    control = flows.copy_counts(tmp_path, one, control="reinit", parent=one)
    with pytest.raises(RgtoolError, match="trains the tickets of .* equal by construction"):
        compare(Store(tmp_path), one, control)


def test_the_command(pair, capsys):
    store, ids = pair

    def call(*arguments):
        with pytest.raises(SystemExit) as left:
            main(["compare", *arguments, "--store", str(store)])
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    code, out, err = call(ids["one"], ids["coarse"], "--json")
    rows = json.loads(out)
    assert code == 0 and [row["name"] for row in rows] == ["stem", "1", "2", "3", "head"]
    assert rows[0]["overlap_same_seed"] > rows[0]["expected_same_seed"]
    assert "3 pairs with equal seeds: " in err
    code, out, _ = call(ids["one"], ids["coarse"], "--levels", "--json")
    assert code == 0 and len(json.loads(out)) == 30
    code, out, err = call(ids["one"], ids["bare"], "--no-masks")
    assert code == 0 and "not all are stored" not in err
    code, out, err = call(ids["one"], ids["one"])
    assert (code, out) == (2, "") and "named twice" in err
