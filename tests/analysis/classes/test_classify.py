"""Universality classes: tests of many pairs, distances, clusters, and what is refused."""

import json
import shutil
from pathlib import Path

import flows
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import chi2, wasserstein_distance
from sklearn.metrics import silhouette_score

import rgtool
from rgtool import RgtoolError, Store, against_published, classify, published
from rgtool.analysis.classes.classify import classify_subjects
from rgtool.analysis.classes.clusters import cluster, coassignment, stability
from rgtool.analysis.classes.criteria import CRITERIA, signature_of
from rgtool.analysis.classes.distances import clr_points, condensed, depth_distance, quantile_points
from rgtool.analysis.classes.evidence import Evidence
from rgtool.analysis.classes.pairs import all_pairs, draws_for, pair_tests, tail_p
from rgtool.analysis.classes.printed import PRINTED, common_function, printed_test, quantile_test
from rgtool.analysis.classes.same import same_class
from rgtool.analysis.classes.subjects import as_subject, gather
from rgtool.analysis.stats.contrast import centred
from rgtool.analysis.stats.level import holm
from rgtool.analysis.stats.moderation import moderate, shrunk_correlation
from rgtool.store import published_names

SIMCLR = [f"published:resnet50-simclr-{task}" for task in ("imagenet", "cifar10", "cifar100")]
SUPERVISED = [name.replace("simclr", "supervised") for name in SIMCLR]


def draw(rng, seeds, groups=9, shift=0.0):
    return shift + flows.SEED_SD * rng.standard_normal((seeds, groups))


# Tests of many pairs


def test_a_pair_among_many_is_same_class():
    """The oracle of the array core, pair by pair: everything but the random numbers of p."""
    rng = np.random.default_rng(0)
    thetas = [draw(rng, seeds, 5, 0.004 * e) for e, seeds in enumerate((1, 2, 3, 5, 7, 3))]
    thetas[3] = thetas[3] * 0.2
    found = pair_tests(thetas, np.random.default_rng(1), draws=(2999, False))
    for i, (a, b) in enumerate(zip(*all_pairs(6), strict=True)):
        if min(len(thetas[a]), len(thetas[b])) < 2:
            assert np.isnan([found.p[i], found.q[i], found.bound[i]]).all() and not found.same[i]
            assert found.widest[i] == -1 and np.isfinite(found.norm[i])
            continue
        one = same_class(thetas[a], thetas[b], np.random.default_rng(2), 2999)
        assert found.q[i] == pytest.approx(one.q)
        assert found.bound[i] == pytest.approx(one.reach.max(), rel=1e-6)
        assert found.widest[i] == one.reach.argmax()
        assert found.same[i] == one.equivalent.all()
        assert found.norm[i] == pytest.approx(np.linalg.norm(one.d))
        assert found.p[i] == pytest.approx(one.p, abs=4 * np.sqrt(0.25 / 2999))


def test_one_pair_takes_the_numbers_of_same_class():
    rng = np.random.default_rng(3)
    a, b = draw(rng, 3), draw(rng, 4)
    many = pair_tests([a, b], np.random.default_rng(4), draws=(999, False))
    assert many.p[0] == same_class(a, b, np.random.default_rng(4), 999).p


def test_pairs_of_two_groups_are_those_of_one_dimension():
    rng = np.random.default_rng(31)
    thetas = [draw(rng, seeds, 2) * (1 + e) for e, seeds in enumerate((2, 6, 4, 2, 3))]
    found = pair_tests(thetas, rng, draws=(1000, True))
    p = [same_class(thetas[a], thetas[b], rng, 1).p for a, b in zip(*all_pairs(5), strict=True)]
    np.testing.assert_allclose(found.p, p, rtol=1e-9)


def test_correlations_of_many_are_those_of_each():
    rows = np.random.default_rng(5).normal(size=(4, 5, 6))
    together = shrunk_correlation(rows)
    for one, alone in zip(together, rows, strict=True):
        np.testing.assert_allclose(one, shrunk_correlation(alone), rtol=1e-12)
    assert shrunk_correlation(rows[:, :2]).shape == (4, 6, 6)


def test_draws_serve_holm_and_then_are_pooled():
    for pairs in (1, 3, 36, 190, 300):
        number, pooled = draws_for(pairs)
        assert number >= 40 * pairs and not pooled
        assert holm(np.full(pairs, 1 / (number + 1)))[0] < 0.05
    assert draws_for(499_500) == (2_000_000, True)


def test_a_pool_gives_the_p_of_draws_of_its_own():
    rng = np.random.default_rng(6)
    thetas = [draw(rng, 3, 6, 0.004 * rng.normal(size=6)) for _ in range(12)]
    own = pair_tests(thetas, rng, draws=(4999, False))
    pooled = pair_tests(thetas, rng, draws=(200_000, True))
    np.testing.assert_array_equal(own.q, pooled.q)
    near = own.p > 0.01
    ratio = np.abs(np.log(pooled.p[near] / own.p[near]))
    assert np.median(ratio) < 0.15 and ratio.max() < 1.2  # right on average, not for each pair
    assert (pooled.p[~near] < 0.05).all() and (pooled.p > 0).all()


def test_size_in_a_family_of_one_class():
    """24 families of 190 pooled pairs: Holm at 5 % rejects something in few of them."""
    rng = np.random.default_rng(7)
    rejected = [
        (holm(pair_tests([draw(rng, 3) for _ in range(20)], rng, draws=(10_000, True)).p) < 0.05)
        for _ in range(24)
    ]
    assert np.mean([one.any() for one in rejected]) <= 0.125


def test_the_tail_is_continued_beyond_the_pool():
    rng = np.random.default_rng(8)
    pool = np.sort(rng.pareto(3, 400_000) + 1)  # P(Q > q) = q^-3
    q = np.array([2.0, 20.0, 200.0, 2000.0])
    np.testing.assert_allclose(np.log10(tail_p(q, pool)), -3 * np.log10(q), atol=0.5)
    light = np.sort(rng.chisquare(8, 400_000))
    assert (tail_p([60.0, 90.0], light) > chi2.sf([60.0, 90.0], 8)).all()  # errs to the safe side
    assert tail_p([1.0], np.array([0.0, 2.0, 3.0]))[0] == 3 / 4


def test_groups_must_agree():
    with pytest.raises(ValueError, match="need the same groups, not .3, 4. of them"):
        pair_tests([np.zeros((2, 3)), np.zeros((2, 4))], np.random.default_rng(0))
    with pytest.raises(ValueError, match="two groups or more"):
        pair_tests([np.zeros((2, 1)), np.zeros((2, 1))], np.random.default_rng(0))
    alike = pair_tests([np.ones((2, 3)), np.zeros((2, 3))], np.random.default_rng(0))
    assert np.isnan(alike.p).all() and not alike.same.any()


# Distances


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6))
def test_w1_is_that_of_scipy(k_a, k_b, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=k_a), rng.normal(size=k_b)
    points = quantile_points([a, b])
    found = np.abs(points[0] - points[1]).sum()
    assert found == pytest.approx(wasserstein_distance(a, b), abs=1e-12)


def test_depth_distance_is_the_integral():
    rng = np.random.default_rng(9)
    a, b = rng.normal(size=4), rng.normal(size=7)
    x = (np.arange(200_000) + 0.5) / 200_000
    curves = [np.interp(x, (np.arange(len(v)) + 0.5) / len(v), v) for v in (a, b)]
    oracle = np.sqrt(((curves[0] - curves[1]) ** 2).mean())
    assert depth_distance(a, b) == pytest.approx(oracle, rel=1e-6)
    assert depth_distance(a, a) == 0
    assert quantile_points([a, a[::-1]])[0] == pytest.approx(quantile_points([a])[0])  # blind to it
    assert depth_distance(a, a[::-1]) > 0


@given(st.floats(-1, 1), st.integers(0, 10**6))
def test_a_common_factor_does_not_count(log_factor, seed):
    """Scale invariance: clr distances and tests of spectra up to a factor of all eigenvalues."""
    rng = np.random.default_rng(seed)
    thetas = [draw(rng, 3, 4) for _ in range(3)]
    moved = [theta + log_factor * e for e, theta in enumerate(thetas)]
    one, other = (
        pair_tests(t, np.random.default_rng(0), draws=(9, False)) for t in (thetas, moved)
    )
    np.testing.assert_allclose(one.q, other.q, rtol=1e-6)
    np.testing.assert_allclose(one.bound, other.bound, rtol=1e-6)
    points = [clr_points([t.mean(axis=0) for t in x], np.full(4, 0.01)) for x in (thetas, moved)]
    np.testing.assert_allclose(pdist(points[0]), pdist(points[1]), rtol=1e-6, atol=1e-9)


# Clusters


def blobs(rng, sizes, apart=10.0):
    centres = apart * np.eye(len(sizes), 8)
    return np.concatenate(
        [c + rng.normal(size=(n, 8)) for c, n in zip(centres, sizes, strict=True)]
    )


@pytest.mark.parametrize("sizes", [(4, 4), (5, 1), (3, 4, 5), (2, 2, 2, 2, 2, 2), (1, 1)])
def test_clusters_that_lie_apart_are_found(sizes):
    points = blobs(np.random.default_rng(10), sizes)
    found = cluster(condensed(points, "euclidean"))
    expected = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    np.testing.assert_array_equal(found.labels, expected)
    assert cluster(condensed(points, "euclidean"), divided=False).number == 1


def test_silhouette_is_that_of_sklearn():
    points = np.random.default_rng(11).normal(size=(15, 3))
    found = cluster(condensed(points, "euclidean"))
    assert silhouette_score(points, found.labels) == pytest.approx(found.silhouette.max())


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_the_order_of_experiments_does_not_matter(seed):
    """Label permutation invariance: the same partition, whatever comes first."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(12, 3)) + 3 * rng.integers(3, size=(12, 1))
    order = rng.permutation(12)
    one = cluster(condensed(points, "euclidean")).labels
    other = cluster(condensed(points[order], "euclidean")).labels
    together = one[:, None] == one
    np.testing.assert_array_equal(together[np.ix_(order, order)], other[:, None] == other)
    assert other[0] == 1 and one[0] == 1


def test_coassignment_counts_draws():
    near, far = np.array([0.1, 1.0, 1.0]), np.array([1.0, 0.1, 1.0])
    found = coassignment([near, near, near, far])
    np.testing.assert_allclose(found, [[1, 0.75, 0.25], [0.75, 1, 0], [0.25, 0, 1]])
    np.testing.assert_allclose(stability(np.array([1, 1, 2]), found), [0.75, 0.75, 0.75])
    with pytest.raises(ValueError, match="at least one draw"):
        coassignment([])


# Published spectra


def test_two_published_spectra_are_a_chi_square():
    a, b = (np.log(rgtool.published(name).eigenvalue) for name in SIMCLR[:2])
    q, p = printed_test(a, b, np.random.default_rng(0), 9)
    d = centred(a) - centred(b)
    assert q == pytest.approx((d**2).sum() / (2 * (0.008**2 + 0.0029**2)))
    assert p == pytest.approx(chi2.sf(q, 3))
    rng = np.random.default_rng(1)
    noise = np.sqrt(PRINTED) * rng.normal(size=(2, 4000, 4))
    sizes = [printed_test(x, y, rng, 9)[1] < 0.05 for x, y in zip(*noise, strict=True)]
    assert np.mean(sizes) == pytest.approx(0.05, abs=0.012)


def test_size_against_a_published_spectrum():
    rng = np.random.default_rng(2)
    p = []
    for _ in range(300):
        own = 0.0068 * rng.normal(size=(3, 5))
        p.append(printed_test(own, np.sqrt(PRINTED) * rng.normal(size=5), rng, 199)[1])
    assert 0.015 <= np.mean(np.array(p) < 0.05) <= 0.09
    two, printed = 0.0068 * rng.normal(size=(2, 5)), 0.008 * rng.normal(size=5)
    d = centred(two).mean(axis=0) - centred(printed)
    own = moderate(centred(two).var(axis=0, ddof=1), 1, 2.0).variance / 2
    assert printed_test(two, printed, rng, 9)[0] == pytest.approx(
        (d**2 / (own + 0.8 * PRINTED)).sum()
    )
    lone = centred(two[0]) - centred(printed)
    q = (lone**2).sum() / (0.008**2 + PRINTED)
    assert printed_test(two[:1], printed, rng, 9)[0] == pytest.approx(q)
    assert printed_test(two[[0, 0]], printed, rng, 9)[0] == pytest.approx(q)


@pytest.mark.parametrize("truth", ["straight", "curved", "steps"])
@pytest.mark.parametrize("sizes", [(9, 5), (2, 5), (4, 12)])
def test_size_where_groups_differ(truth, sizes):
    """One quantile function, seen as means over 1/K: what makes W1 without any noise."""
    x = np.linspace(-1, 1, 180)
    fine = 0.1 * {"straight": x, "curved": x**3, "steps": np.round(1.5 * x)}[truth]
    a, b = (fine.reshape(k, -1).mean(axis=1) for k in sizes)
    rng = np.random.default_rng(3)
    p = []
    for _ in range(150):
        noise = [0.004 * rng.normal(size=(200, k)) for k in sizes]
        p.append(quantile_test(a + noise[0][0], b + noise[1][0], *noise))
    assert np.mean(np.array(p) < 0.05) <= 0.11
    assert quantile_test(a + 0.05, b, *noise) < 0.01


def test_the_common_function_explains_what_can_be_explained():
    fine = np.linspace(-0.1, 0.1, 45) ** 3
    a, b = fine.reshape(9, 5).mean(axis=1), fine.reshape(5, 9).mean(axis=1)
    for spectrum, fit in zip((a, b), common_function(a, b, 0.1, 0.2), strict=True):
        np.testing.assert_allclose(fit, spectrum, atol=1e-12)
    same = common_function(a, a[::-1], 0.1, 0.1)
    np.testing.assert_allclose(same[0], same[1])
    apart = common_function(np.zeros(3), np.ones(2), 0.1, 0.1)
    assert apart[0].mean() == pytest.approx(apart[1].mean()) and 0 < apart[0].mean() < 1


def test_tables_2_and_4_as_classes():
    """What can be certified of the paper's universality class: nothing is the same."""
    found = classify(experiments=[*SIMCLR, *SUPERVISED])
    verdict = dict(zip(zip(*all_pairs(6), strict=True), found.pairs.verdict, strict=True))
    assert "same" not in found.pairs.verdict
    assert verdict[0, 1] == verdict[0, 2] == verdict[0, 4] == "different"  # ImageNet, CIFAR
    assert verdict[0, 3] == "undecided" and verdict[4, 5] == "undecided"
    assert found.clusters.labels.tolist() == [1, 2, 2, 1, 3, 3]
    assert "undecided is not same" in found.summary()
    assert classify(experiments=published_names()).clusters.number >= 2


def test_published_verdicts_follow_the_papers_numbers():
    """Golden: ||Delta clr|| of Table 2, to be multiplied by a level (.57 and .71)."""
    found = classify(experiments=SIMCLR)
    np.testing.assert_allclose(found.pairs.columns["norm"][:2], [0.0515, 0.0793], atol=1e-4)
    assert signature_of(as_subject(published(SIMCLR[0]))) == (3, 0, 1, 0)


# Stores


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Two experiments of one spectrum, one of another, one that prunes more a level, a control."""
    store = tmp_path_factory.mktemp("several") / "store"
    other = {"1": 0.0, "3": 0.02}
    ids = {
        "one": flows.write_experiment(store, rng=1, noise=0.002, seeds=5),
        "twin": flows.write_experiment(store, rng=2, noise=0.002, seeds=5, epochs=20),
        "other": flows.write_experiment(store, rng=3, noise=0.002, seeds=5, lr=0.2, shift=other),
        "coarse": flows.write_experiment(store, rng=4, noise=0.002, seeds=5, levels=3, prune=0.36),
    }
    ids["control"] = flows.copy_counts(store, ids["one"], control="reinit", parent=ids["one"])
    return store, ids


def test_classes_of_a_store(several):
    store, ids = several
    found = classify(Store(store), draws=50)
    classes = dict(zip(found.experiments, found.clusters.labels, strict=True))
    assert set(classes) == {ids[name] for name in ("one", "twin", "other", "coarse")}
    assert classes[ids["one"]] == classes[ids["twin"]] == classes[ids["coarse"]]
    assert classes[ids["other"]] != classes[ids["one"]]
    assert found.number_of("different") == 3
    assert (found.certainty.stability >= 0.8).all()
    assert any("control reinit" in note and "by construction" in note for note in found.notes)
    assert any("theta = y ln(1/.8)" in note for note in found.notes)
    frame = found.to_frame()
    assert frame["class"].to_list() == sorted(frame["class"].to_list())
    assert set(found.pair_table.to_frame()["verdict"]) >= {"different"}
    assert found.matrix()[0][0] == "-" and found._repr_html_().count("<tr>") == 5
    assert found.plot().axes


def test_a_label_leaves_children_out(several):
    store, ids = several
    found = classify(Store(store), ["resnet8w4/digits", ids["one"]], draws=50)
    assert set(found.experiments) == {ids[name] for name in ("one", "twin", "other", "coarse")}


def test_equal_retention_compares_eigenvalues_and_certifies_sameness(several):
    store, ids = several
    found = classify(Store(store), [ids["one"], ids["twin"]], grouping="stage")
    assert found.pairs.verdict == ("same",)
    assert found.clusters.number == 1 and "not evidence that all are the same" in found.summary()
    oracle = [rgtool.eigen(Store(store), ids[name], by="stage").theta for name in ("one", "twin")]
    d = centred(oracle[0].mean(axis=0)) - centred(oracle[1].mean(axis=0))
    spectra = rgtool.compare(Store(store), ids["one"], ids["twin"], by="stage", masks=False)
    widest = spectra.names[spectra.spectra.reach.argmax()]
    assert found.pairs.columns["widest"].tolist() == [widest]
    assert found.pairs.columns["norm"][0] == pytest.approx(np.linalg.norm(d))


@pytest.mark.parametrize("by", sorted(CRITERIA.keys() - {"gamma"}))  # that has its own tests
def test_every_criterion(several, by):
    store, _ = several
    found = classify(Store(store), by=by, draws=20)
    assert found.clusters.number == 2
    assert f"by {by}" in found.title
    if by == "signature":
        assert any("blunt" in note for note in found.notes)
        assert "equal signs are not equal exponents" in found.summary()


def test_a_criterion_is_one_function_and_one_line(several, monkeypatch):
    """A pairwise p without draws is enough: classes then have no stability."""
    store, _ = several

    def by_size(subjects, weighting, rng):
        values = np.array([[subject.rate.mean()] for subject in subjects])
        distance = condensed(values, "euclidean")
        return Evidence(
            distance=distance,
            p=np.where(distance > 0.1, 1e-6, 0.5),
            same=np.zeros(len(distance), bool),
            draws=None,
            metric="difference of rates",
        )

    monkeypatch.setitem(CRITERIA, "rate", by_size)
    found = classify(Store(store), by="rate")
    assert found.clusters.number == 2
    assert found.certainty is None and found.plot().axes


def test_one_seed_against_five(several, tmp_path):
    store, ids = several
    copy = flows.write_experiment(store, rng=9, noise=0.002, seeds=1, epochs=33)
    try:
        found = classify(Store(store), [ids["one"], ids["other"], copy], draws=20)
    finally:
        import shutil

        for path in (store / "runs").glob(f"{copy}*"):
            shutil.rmtree(path)
    assert any("one seed, whose scatter is taken to be .008" in note for note in found.notes)
    assert any("2 pairs without a test: a lone seed" in note for note in found.notes)
    verdict = dict(zip(zip(*all_pairs(3), strict=True), found.pairs.verdict, strict=True))
    assert verdict == {(0, 1): "different", (0, 2): "undecided", (1, 2): "undecided"}
    assert np.isnan(found.pairs.p[1:]).all() and np.isfinite(found.pairs.distance).all()
    assert found.pairs.columns["widest"].tolist()[1:] == ["", ""]


def test_seeds_that_are_all_alike_have_no_test(tmp_path):
    """Counts that the recipe decides, as in a layerwise scope, are nobody's copies either."""
    store = tmp_path / "rgstore"
    for lr in (0.1, 0.2):
        flows.write_experiment(store, rng=1, noise=0.0, lr=lr)
    found = classify(Store(store), draws=20)
    assert found.pairs.verdict == ("undecided",) and np.isnan(found.pairs.p).all()
    assert any("seeds that are all alike" in note for note in found.notes)


def test_one_seed_each_has_no_test(tmp_path):
    store = tmp_path / "rgstore"
    for rng in (1, 2, 3):
        flows.write_experiment(store, rng=rng, seeds=1, epochs=rng)
    found = classify(Store(store), draws=20)
    assert found.clusters.number == 1 and set(found.pairs.verdict) == {"undecided"}
    assert any("3 pairs without a test" in note for note in found.notes)


def test_a_collapse_ends_the_window(tmp_path):
    store = tmp_path / "rgstore"
    a = flows.write_experiment(store, rng=1)
    b = flows.write_experiment(store, rng=2, collapse=5, epochs=20)
    found = classify(Store(store), [a, b], draws=20)
    assert found.levels == ("1:4", "1:4")
    assert any("group stem keeps no weight at level 5" in note for note in found.notes)


def test_networks_without_common_groups_are_compared_by_quantiles(tmp_path):
    store = tmp_path / "rgstore"
    flows.write_experiment(store, rng=1)
    flows.write_experiment(store, rng=2, architecture="lenet", exempt=("fc",), shift={"fc1": -0.05})
    found = classify(Store(store), draws=20)
    assert found.grouping == "block" and found.groups.tolist() == [2, 5]
    assert "depth" in found.pairs.columns and "same" not in found.pairs.verdict
    assert any("quantile functions" in note for note in found.notes)
    with pytest.raises(RgtoolError, match="lenet has no stages"):
        classify(Store(store), grouping="stage")


def test_against_the_literature(several):
    store, ids = several
    found = against_published(Store(store), [ids["one"]], grouping="stage")
    assert set(found.verdict) <= {"different", "undecided"}
    assert (found.groups == 3).all()
    assert list(found.rms) == sorted(found.rms)
    assert "not the same" in found.summary() and found._repr_html_()
    again = against_published(Store(store), [ids["one"]])
    assert again.printed == found.printed  # blocks 1.0, 2.0, 3.0 are not printed


def test_magnitudes_are_not_mixed(several):
    store, ids = several
    found = classify(Store(store), [ids["one"], ids["other"]], weighting="magnitude", draws=20)
    assert "shares of magnitude" in found.title
    with pytest.raises(RgtoolError, match="weightings are not mixed"):
        classify(Store(store), [ids["one"], SIMCLR[0]], weighting="magnitude")
    with pytest.raises(RgtoolError, match="null stands beside counts"):
        classify(Store(store), weighting="magnitude", by="anomalous")


def test_subjects_are_what_the_array_core_takes(several):
    store, ids = several
    subjects, grouping, _ = gather(Store(store), [ids["one"], ids["twin"]], None)
    assert grouping == "stage" and subjects[0].seeds == 5
    assert classify_subjects(subjects, grouping=grouping).pairs.verdict == ("same",)


WRONG = [
    (["one", "one"], {}, "at least two are needed"),
    (["one", "control"], {}, "trains the tickets of .* equal by construction"),
    (["one"], {}, "at least two are needed"),
    (["nothing", "one"], {}, "no experiment 'nothing'"),
    (["published:nothing", "one"], {}, "nothing published is named"),
    ([], {"by": "egen"}, "did you mean eigen"),
    ([], {"grouping": "blok"}, "did you mean block"),
    ([], {"weighting": "size"}, "weighting 'size' is unknown"),
    ([], {"draws": 0}, "at least one is needed"),
    ([], {"most": 3}, "4 experiments make 6 pairs, more than can be tested"),
    (["one", SIMCLR[0]], {"by": "anomalous"}, "has no counts, from which the null"),
]


@pytest.mark.parametrize(("names", "options", "words"), WRONG, ids=lambda v: str(v)[:40])
def test_wrong_input_is_told_in_words(several, names, options, words):
    store, ids = several
    with pytest.raises(RgtoolError, match=words) as error:
        classify(Store(store), [ids.get(name, name) for name in names], **options)
    assert len(str(error.value).splitlines()) <= 2


def test_no_store_and_an_empty_one(tmp_path):
    with pytest.raises(RgtoolError, match="rgstore holds no runs"):
        classify()  # the store of the working directory
    with pytest.raises(RgtoolError, match="holds no runs"):
        classify(Store(tmp_path / "nothing"))
    with pytest.raises(RgtoolError, match="holds no runs"):
        against_published(Store(tmp_path / "nothing"))


def test_experiments_without_common_densities(tmp_path):
    store = tmp_path / "rgstore"
    a = flows.write_experiment(store, rng=1, levels=3)
    b = flows.write_experiment(store, rng=2, levels=3, prune=0.7)
    with pytest.raises(RgtoolError, match="no two levels of .* lie between densities"):
        classify(Store(store), [a, b])


# The command


def test_the_command(several, cli, tmp_path):
    store, ids = several
    where = ("--store", str(store))
    plot = ("--plot", str(tmp_path / "x" / "c.png"))
    code, out, err = cli("classify", "--json", "--notes", *plot, *where)
    rows = json.loads(out)
    assert code == 0 and len(rows) == 4  # the control has the masks of another
    assert {"class", "experiment", "stability", "signature"} <= set(rows[0])
    assert (tmp_path / "x" / "c.png").read_bytes().startswith(b"\x89PNG")
    assert "trained on tickets of others" in err and "equal spectra are not equal tickets" in err
    code, out, _ = cli("classify", "--pairs", "--json", *where)
    assert code == 0 and len(json.loads(out)) == 6
    code, out, err = cli("classify", ids["one"], "--against", "published", *where)
    assert code == 0 and "published:resnet50" in out and "cannot be told from" in err
    code, out, err = cli("classify", "--published")
    assert code == 0 and "published:vgg16-cifar10" in out
    code, out, err = cli("classify", *SIMCLR)
    assert code == 0 and "of 3 experiments" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--against", "mine"], "literature is all there is"),
        (["--published", "x"], "takes no names"),
        (["--against", "published", "--pairs"], "goes without"),
        (["--plot", "c.gif"], "ends in .png"),
        (["--by", "colour"], "by 'colour' is unknown"),
    ],
)
def test_the_command_refuses_in_words(several, cli, arguments, words):
    code, out, err = cli("classify", *arguments, "--store", str(several[0]))
    assert (code, out) == (2, "")
    assert words in err and len(err.splitlines()) <= 2


def test_of_a_store_who_shares_no_density_with_the_others_is_left_out(tmp_path):
    store = tmp_path / "rgstore"
    kept = {
        flows.write_experiment(store, rng=1, prune=0.36, levels=4),
        flows.write_experiment(store, rng=2, levels=6),
    }
    short = flows.write_experiment(store, rng=3, prune=0.05, levels=5)
    found = classify(Store(store), draws=5)
    assert set(found.experiments) == kept
    assert any(note.startswith(f"left out: {short}") for note in found.notes)


def test_who_lacks_what_is_compared_is_named_and_of_a_store_left_out(tmp_path):
    store = tmp_path / "rgstore"
    kept = {flows.write_experiment(store, rng=i, lr=0.1 * i) for i in (1, 2)}
    other = flows.write_experiment(store, rng=3, pruner="snip")
    found = classify(Store(store), by="anomalous", draws=5)
    assert set(found.experiments) == kept and not found.signatures
    assert any(note.startswith("left out: ") and other in note for note in found.notes)
    with pytest.raises(
        RgtoolError, match=rf"\({other}\) has no null of its initial scales: .*snip"
    ):
        classify(Store(store), [*kept, other], by="anomalous")


def test_runs_in_common_are_counted_once_and_the_larger_experiment_stays(tmp_path):
    store = tmp_path / "rgstore"
    large = flows.write_experiment(store, rng=1, seeds=4)
    copies = flows.copy_counts(store, large, seeds=[2, 2], epochs=3)
    third = flows.write_experiment(store, rng=3, lr=0.3)
    found = classify(Store(store), draws=5)
    assert set(found.experiments) == {large, third}
    (note,) = [note for note in found.notes if note.startswith("left out: ")]
    assert f"{copies} has 2 of its 2 runs in common with" in note and large in note


def test_of_a_store_who_lacks_the_grouping_is_left_out(tmp_path, cli):
    store = tmp_path / "rgstore"
    kept = {flows.write_experiment(store, rng=i, lr=0.1 * i) for i in (1, 2)}
    lenet = flows.write_experiment(store, rng=3, architecture="lenet", exempt=("fc",))
    found = classify(Store(store), grouping="stage", draws=5)
    assert set(found.experiments) == kept and found.grouping == "stage"
    (note,) = [note for note in found.notes if note.startswith("left out: ")]
    assert note.startswith(f"left out: {lenet}: lenet has no stages")
    beside = against_published(Store(store), grouping="stage")
    assert set(beside.experiments) == kept
    assert any(note.startswith(f"left out: {lenet}: lenet has no") for note in beside.notes)
    for against in ((), ("--against", "published")):
        command = ("classify", "--grouping", "stage", *against, "--store", str(store))
        code, out, err = cli(*command, "--json")
        assert {row["experiment"] for row in json.loads(out)} >= kept
        assert code == 3 and f"left out: {lenet}" in err
        assert cli(*command, "--exclude", lenet).code == 0
    for names in ([lenet], [*kept, lenet]):  # who is named is asked for
        with pytest.raises(RgtoolError, match="lenet has no stages"):
            classify(Store(store), names, grouping="stage")
        with pytest.raises(RgtoolError, match="lenet has no stages"):
            against_published(Store(store), names, grouping="stage")
    for one in kept:
        shutil.rmtree(store / "runs" / f"{one}-s0")
    with pytest.raises(RgtoolError, match="lenet has no stages"):
        classify(Store(store), grouping="stage", exclude=[*kept])


def test_experiments_are_excluded(several, cli):
    store, ids = several
    where = ("--draws", "5", "--json", "--store", str(store))
    code, out, err = cli("classify", "--exclude", ids["coarse"], "--exclude", ids["other"], *where)
    assert code == 0 and ids["coarse"] not in err and f"{ids['control']} (control reinit)" in err
    assert {row["experiment"] for row in json.loads(out)} == {ids["one"], ids["twin"]}
    named = classify(Store(store), [ids["one"], ids["twin"], ids["other"]], exclude=[ids["twin"]])
    assert set(named.experiments) == {ids["one"], ids["other"]}
    code, out, _ = cli("classify", "--against", "published", "--exclude", ids["one"], *where)
    assert code == 0 and ids["one"] not in {row["experiment"] for row in json.loads(out)}
    code, out, _ = cli("classify", "--published", "--exclude", SIMCLR[0], *where)
    found = {row["experiment"] for row in json.loads(out)}
    assert code == 0 and SIMCLR[0] not in found and SIMCLR[1] in found
    code, out, err = cli("classify", ids["one"], ids["twin"], "--exclude", ids["other"], *where)
    assert code == 0 and len(json.loads(out)) == 2
    code, out, err = cli("classify", ids["one"], ids["twin"], "--exclude", "nobody", *where)
    assert (code, out) == (2, "") and "no experiment 'nobody'" in err


def test_what_is_excluded_does_not_count_among_too_many(several):
    store, ids = several
    found = classify(Store(store), most=3, exclude=[ids["other"]], draws=5)
    assert len(found.experiments) == 3
    for exclude in ((), SIMCLR[:1], [ids["control"]]):
        with pytest.raises(RgtoolError, match="4 experiments make 6 pairs"):
            classify(Store(store), most=3, draws=5, exclude=exclude)
