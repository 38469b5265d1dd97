"""The predicted minimal transferable density: golden values, limits, and its own weakness."""

import json
from pathlib import Path

import flows
import numpy as np
import pytest

import rgtool
from rgtool import RgtoolError, Store, compare, published
from rgtool.analysis.classes.predict import (
    _refusal,
    _within,
    anchors,
    measured_levels,
)
from rgtool.analysis.classes.predict import predict_transfer as predict
from rgtool.analysis.values import NOTHING, Estimate
from rgtool.cli import main

IMAGENET = "published:resnet50-simclr-imagenet"
CIFAR10, CIFAR100 = (f"published:resnet50-simclr-cifar{n}" for n in (10, 100))


def test_tau_from_the_published_transfers():
    """Golden: Chen et al. 2021a, Secs. 4.1 and 4.2; Redman et al. 2021, Tables 2 and 4."""
    found = {(a.source.split("-")[1], a.target.split("-")[2]): (a.level, a.tau) for a in anchors()}
    golden = {
        ("simclr", "cifar10"): (11, 0.57),
        ("simclr", "cifar100"): (9, 0.71),
        ("supervised", "cifar10"): (11, 0.79),
        ("supervised", "cifar100"): (9, 0.68),
    }
    assert found.keys() == golden.keys()
    for key, (level, tau) in golden.items():
        assert found[key][0] == level
        assert found[key][1] == pytest.approx(tau, abs=0.006)
    assert np.mean([a.tau for a in anchors()]) == pytest.approx(0.69, abs=0.005)


def test_the_norm_is_that_of_the_printed_eigenvalues():
    logs = [np.log(rgtool.published(name).eigenvalue) for name in (IMAGENET, CIFAR10)]
    d = np.subtract(*[x - x.mean() for x in logs])
    found = predict(None, IMAGENET, CIFAR10)
    assert found.norm.value == pytest.approx(np.linalg.norm(d))
    assert found.level.value == pytest.approx(found.tau.value / found.norm.value)
    assert found.density.value == pytest.approx(0.8**found.level.value)
    assert found.verdict == "different" and found.refused == ""
    assert found.level.low < 11  # what Chen et al. 2021a found
    assert found.density.value < found.density.high


def test_no_end_lies_where_no_transfer_was_measured():
    """The noise of the norm alone would reach level 82, density 1e-8: nobody has been there."""
    found = rgtool.predict(None, IMAGENET, CIFAR10)
    assert measured_levels() == (2, 15)
    assert np.isnan(found.level.high) and np.isnan(found.density.low)
    assert "[?, " in found.title and any("no transfer was" in note for note in found.notes)
    assert found.to_frame()["density_low"][0] is None
    assert _within(9.0, 5.0, 14.0) == Estimate(9.0, 5.0, 14.0)
    assert _within(9.0, 1.5, 15.5) == Estimate(9.0, np.nan, np.nan)


def test_a_level_beyond_all_that_was_measured_is_no_prediction(tmp_path):
    """Spectra that differ by little, and certainly: the rule would say 1e-28 or so."""
    one = flows.write_experiment(
        tmp_path, rng=1, noise=1e-5, seeds=5, levels=9, architecture="resnet8w16"
    )
    other = flows.write_experiment(
        tmp_path,
        rng=2,
        noise=1e-5,
        seeds=5,
        levels=9,
        architecture="resnet8w16",
        epochs=20,
        shift={"1": 0.01},
    )
    found = predict(Store(tmp_path), one, other)
    assert found.verdict == "different" and found.norm.low > 0
    assert "the rule would say level" in found.refused and "levels 2 to 15" in found.refused
    assert found.level == NOTHING and found.density == NOTHING
    assert found.title.startswith("no prediction") and "1e-" not in found.summary()


def test_tau_of_some_transfers_alone():
    """What a score leaves out: the rule from the other three, by hand."""
    one, *others = anchors()
    found = predict(None, one.source, one.target, known=others)
    mean = np.mean([other.tau for other in others])
    assert found.tau.value == pytest.approx(mean)
    assert found.level.value == pytest.approx(mean / one.norm)
    assert np.median(found.drawn) == pytest.approx(found.level.value, rel=0.1)


def test_a_difference_that_may_be_none_predicts_nothing():
    found = predict(None, CIFAR10, CIFAR100)
    assert found.verdict == "undecided" and found.norm.low == 0
    assert found.refused.startswith("their spectra are not certainly different (p 0.1")
    assert found.level == NOTHING and found.density == NOTHING
    assert (
        found.title
        == f"no prediction of how far tickets of {CIFAR10} transfer to {CIFAR100}: "
        + (found.refused)
    )
    frame = found.to_frame()
    assert frame["level"][0] is None and frame["refused"][0] == found.refused
    assert "density" not in found.summary().splitlines()[1]


@pytest.mark.parametrize(
    ("verdict", "p", "norms", "level", "words"),
    [
        ("same", 0.7, [0.05] * 9, 9.0, "are the same within the margin, so"),
        ("undecided", np.nan, [0.05] * 9, 9.0, "their spectra are not tested, so"),
        ("undecided", 0.3, [0.05] * 9, 9.0, "not certainly different (p 0.3), so"),
        ("different", 0.01, [0.0] + [0.05] * 9, 9.0, "noise alone"),
        ("different", 0.01, [0.05] * 9, 15.5, "the rule would say level 15.5"),
        ("different", 0.01, [0.05] * 9, 1.9, "the rule would say level 1.9"),
        ("different", 0.01, [0.05] * 9, 15.0, ""),
    ],
)
def test_why_nothing_is_predicted(verdict, p, norms, level, words):
    said = _refusal(verdict, p, np.array(norms), level)
    assert words in said and bool(words) == bool(said)


def test_the_word_hypothesis_is_everywhere():
    found = rgtool.predict(None, IMAGENET, CIFAR100)
    assert "hypothesis" in found.title and "hypothesis" in found.summary()
    assert "hypothesis" in found._repr_html_()
    assert any("equal spectra are not equal tickets" in note for note in found.notes)


@pytest.mark.parametrize("truth", [0.0, 0.02, 0.08])
def test_the_interval_of_the_norm_covers(truth):
    """Norms of 200 differences of three seeds each: the 95 % interval holds the true one."""
    from rgtool.analysis.classes.predict import _middle_95, _norms
    from rgtool.analysis.classes.subjects import as_subject

    rng = np.random.default_rng(0)
    shift = truth * np.array([0.6, -0.6, 0.4, -0.34641016, -0.05358984])
    norm, covered = np.linalg.norm(shift - shift.mean()), []
    nobody = type("Nobody", (), {"printed": None})()
    assert as_subject(published(IMAGENET)).printed is not None
    for _ in range(200):
        a, b = 0.0068 * rng.standard_normal((2, 3, 5))
        low, high = _middle_95(_norms([nobody, nobody], [a + shift, b], rng, 399))
        covered.append(low <= norm <= high)
    assert np.mean(covered) >= 0.88


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    path = tmp_path_factory.mktemp("predict") / "store"
    ids = {
        "one": flows.write_experiment(path, rng=1, noise=0.002),
        "other": flows.write_experiment(
            path, rng=2, noise=0.002, epochs=20, shift={"1": 0.08, "3": -0.1}
        ),
        "lenet": flows.write_experiment(path, rng=3, architecture="lenet", exempt=("fc",)),
    }
    return path, ids


def test_without_a_test_nothing_is_said_of_the_distance(tmp_path):
    ids = [
        flows.write_experiment(tmp_path, rng=1, seeds=1),
        flows.write_experiment(tmp_path, rng=2, seeds=2, lr=0.3),
    ]
    found = predict(Store(tmp_path), *ids)
    assert np.isnan(found.p) and np.isnan([found.norm.low, found.norm.high]).all()
    assert "are not tested" in found.refused
    assert not any("hypothesis" in note for note in found.notes)
    pair = compare(Store(tmp_path), *ids)
    assert pair.to_frame()["equivalent"].to_list() == [None] * len(pair.names)


def test_experiments_of_a_store(store):
    path, ids = store
    found = predict(Store(path), ids["one"], ids["other"])
    assert found.experiments == (ids["one"], ids["other"])
    assert found.verdict == "different" and found.norm.low > 0
    back = predict(Store(path), ids["other"], ids["one"])
    assert back.norm.value == pytest.approx(found.norm.value)
    assert back.experiments == (ids["other"], ids["one"])


def test_against_a_published_spectrum_groups_are_matched(store):
    path, ids = store
    found = predict(Store(path), IMAGENET, ids["one"])
    assert found.experiments == (IMAGENET, ids["one"])
    assert "compared in the groups that both have: 1, 2, 3" in found.notes
    assert predict(Store(path), ids["one"], IMAGENET).norm.value == pytest.approx(found.norm.value)
    assert found.verdict in ("different", "undecided")


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("one", "one", "named twice"),
        ("one", "lenet", "groups differ"),
        ("nothing", "one", "no experiment 'nothing'"),
        (IMAGENET, "published:bert-base-mlm", "groups differ"),
        (IMAGENET, "published:resnet50-simclr", "begins 3 published names"),
        (IMAGENET, IMAGENET, "named twice"),
    ],
)
def test_what_cannot_be_predicted_is_refused_in_words(store, a, b, words):
    path, ids = store
    with pytest.raises(RgtoolError, match=words):
        predict(Store(path), ids.get(a, a), ids.get(b, b))


def test_the_command(store, capsys):
    """Nothing has ever scored the rule for these networks: their distance stands there, no more."""
    path, ids = store
    with pytest.raises(SystemExit) as left:
        main(["predict", ids["one"], ids["other"], "--json", "--store", str(path)])
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out)
    assert not left.value.code and row["verdict"] == "different" and row["norm"] > 0
    assert row["density"] is None and row["level"] is None and row["log_score"] is None
    assert "ever scored for resnet8w4" in row["refused"]
    assert "hypothesis" not in captured.err


def test_the_command_has_the_score_of_the_literature_beside(capsys):
    with pytest.raises(SystemExit) as left:
        main(["predict", IMAGENET, CIFAR10, "--json"])
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out)
    assert not left.value.code and row["refused"] == ""
    assert row["density"] == pytest.approx(0.8 ** row["level"])
    assert row["scored"] == 4 and row["log_score"] < row["constant_score"]
    assert row["worth"] == "undecided"
    assert "hypothesis" in captured.err and "not told from a constant" in captured.err
