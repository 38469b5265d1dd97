"""Which stretch or squeeze fits: scores, probabilities, published orderings, and bad input."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import synthetic
from command import Cli
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from stores import write_run

import rgtool
from rgtool import RgtoolError, Store, match, match_all
from rgtool.analysis.elastic import match as match_module
from rgtool.analysis.elastic.blocks import NormalBlocks, of_counts, of_published
from rgtool.analysis.elastic.orderings import (
    concordance,
    jittered,
    orderings,
    published_blocks,
    published_scores,
    published_theta,
)
from rgtool.analysis.elastic.scores import (
    Scoring,
    first_share,
    push,
    scores,
    verdict_counts,
)
from rgtool.analysis.spectrum.noise import PUBLISHED_SD
from rgtool.schemas.errors import StoreError, UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.tickets.transform import Transform
from rgtool.store.counts import Counts

R56, R32 = "published:resnet56-cifar10", "published:resnet32-cifar10"
SCORES = ("w1", "position", "signature", "density")


@pytest.fixture
def nowhere(tmp_path: Path) -> Store:
    return Store(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of narrow ResNet-14, -20 and -26 on one task, two seeds each, and what is no such."""
    folder = tmp_path_factory.mktemp("match") / "store"
    for depth, seeds in ((14, 2), (20, 2), (26, 2)):
        recipe = Recipe(architecture=f"resnet{depth}w2", task="digits")
        for seed in range(seeds):
            write_run(folder, seed, levels=4, recipe=recipe)
    write_run(folder, 0, 4, recipe=Recipe(architecture="resnet14w2", task="cifar10"))
    write_run(folder, 0, 4, recipe=Recipe(architecture="lenet", task="digits", exempt=("fc",)))
    return folder


@pytest.fixture
def store(path: Path) -> Store:
    return Store(path)


def blocks(architecture: str = "resnet20", **changes: object) -> NormalBlocks:
    return of_counts(synthetic.counts(architecture, **changes))  # type: ignore[arg-type]


# Golden numbers: Tables 3, 7 and 8 of Redman et al. 2021, maps and orderings of Chen et al. 2021c


@pytest.mark.parametrize(
    ("scoring", "stages", "expected"),
    [
        (Scoring("w1"), (1, 2, 3), (29, 0, 4)),
        (Scoring("position"), (1, 2, 3), (27, 0, 6)),
        (Scoring("signature", 0.01), (1, 2, 3), (26, 3, 4)),
        (Scoring("signature", 0.01), (1,), (13, 14, 6)),
        (Scoring("signature", 0.02), (1,), (19, 14, 0)),
    ],
)
def test_agreement_with_the_published_orderings(
    scoring: Scoring, stages: tuple[int, ...], expected: tuple[int, int, int]
) -> None:
    found = concordance(scoring, stages=stages)
    assert (found.wins, found.ties, found.losses) == expected
    assert sum(expected) == len(orderings()) == 33


def test_what_w1_misses_density_explains() -> None:
    w1, dense = concordance(Scoring("w1")).gap, concordance(Scoring("density")).gap
    missed = [claim for (_, _, claim), gap in zip(orderings(), w1, strict=True) if gap < 0]
    assert missed == ["earlier_blocks"] * 4
    assert (dense[w1 < 0] > 0).all()


@pytest.mark.parametrize(
    ("pair", "maps", "best", "worst"),
    [
        ((56, 32), "published", ("0:0;1:1;4:2;5:3;8:4", 0.0059), ("0:0;5:1;6:2;7:3;8:4", 0.0133)),
        ((56, 32), "all", ("0:0;1:1;3:2;5:3;8:4", 0.0058), ("0:0;4:1;5:2;6:3;7:4", 0.0140)),
        (
            (32, 56),
            "published",
            ("0:0;1:1,2;2:3,4;3:5,6;4:7,8", 0.0075),
            ("0:0;1:1,2,3,4,5;2:6;3:7;4:8", 0.0149),
        ),
    ],
)
def test_best_and_worst_maps(nowhere: Store, pair, maps, best, worst) -> None:
    names = [f"published:resnet{depth}-cifar10" for depth in pair]
    found = match(nowhere, *names, maps=maps, draws=10)
    assert (str(found.best), round(found.w1[0], 4)) == best
    assert (str(found.transforms[-1]), round(found.w1[-1], 4)) == worst
    assert (np.diff(found.w1) >= 0).all()


def test_jitter_keeps_what_is_printed() -> None:
    spectra = jittered(0.005, 50, np.random.default_rng(0))
    printed = published_theta()
    for name, stages in spectra.items():
        for drawn, stage in zip(stages, printed[name], strict=True):
            assert drawn.shape == (50, len(stage))
            assert np.abs(np.exp(drawn) - np.exp(stage)).max() <= 0.005
    found = concordance(Scoring("w1"), spectra)
    assert found.wins.shape == (50,) and (found.wins + found.ties + found.losses == 33).all()
    assert found.wins.min() >= 25
    one = {name: tuple(stage[7] for stage in stages) for name, stages in spectra.items()}
    assert concordance(Scoring("w1"), one).wins == found.wins[7]
    alone = published_scores(Scoring("position"), one)["32>44"]
    assert alone == pytest.approx(published_scores(Scoring("position"), spectra)["32>44"][7])


# Scores against slow ones

thetas = st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=7)


def slow(score: str, made: list[list[float]], target: list[list[float]], weights, margin, level):
    def verdict(theta: float) -> str:
        above = math.exp(theta) - 1
        return "marginal" if abs(above) <= margin else "relevant" if above > 0 else "irrelevant"

    if score == "density":
        left, right = (
            sum(
                w * sum((0.8 * math.exp(theta)) ** level for theta in stage)
                for w, stage in zip(weights, stages, strict=True)
            )
            for stages in (made, target)
        )
        return math.log(left / right)
    values = []
    for one, other in zip(made, target, strict=True):
        if score == "w1":
            values.append(wasserstein_distance(one, other))
        elif score == "position":
            squares = [(a - b) ** 2 for a, b in zip(one, other, strict=True)]
            values.append(math.sqrt(sum(squares) / len(squares)))
        else:
            kinds = ("relevant", "marginal", "irrelevant")
            counts = [[[*map(verdict, s)].count(kind) for kind in kinds] for s in (one, other)]
            values.append(sum(abs(a - b) for a, b in zip(*counts, strict=True)) / 2 / len(one))
    return sum(values) / len(values)


@pytest.mark.parametrize("score", SCORES)
@given(
    st.lists(st.tuples(thetas, st.integers(1, 6)), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
    st.sampled_from([0.005, 0.01, 0.05]),
    st.integers(1, 20),
)
def test_scores_are_those_of_the_slow_way(score, stages, random, margin, level) -> None:
    source = [theta for theta, _ in stages]
    target = [[random.uniform(-0.2, 0.2) for _ in range(k)] for _, k in stages]
    maps = [
        [[random.randint(1, len(theta)) for _ in range(k)] for _ in range(3)] for theta, k in stages
    ]
    weights = [random.randint(1, 10_000) for _ in stages]
    found = scores(
        Scoring(score, margin, level),
        [np.array(s) for s in source],
        [np.array(t) for t in target],
        [np.array(m) for m in maps],
        weights,
    )
    for c in range(3):
        made = [[s[i - 1] for i in m[c]] for s, m in zip(source, maps, strict=True)]
        expected = slow(score, made, target, weights, margin, level)
        assert found[c] == pytest.approx(expected, abs=1e-9)


@given(thetas, st.randoms(use_true_random=False))
def test_a_spectrum_fits_itself(theta: list[float], random) -> None:
    order = list(range(1, len(theta) + 1))
    mixed = random.sample(order, len(order))
    values = {
        score: scores(
            Scoring(score), [np.array(theta)], [np.array(theta)], [np.array([order, mixed])], [9]
        )
        for score in SCORES
    }
    for score in ("w1", "signature", "density"):  # these do not see the order
        np.testing.assert_allclose(values[score], 0, atol=1e-12)
    assert values["position"][0] == 0
    assert (values["w1"] <= values["position"] + 1e-12).all()


def test_draws_are_leading_axes() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(4, 5, 3)), rng.normal(size=(4, 5, 2))
    feeds = np.array([[1, 2], [1, 3], [2, 3]])
    for score in SCORES:
        found = scores(Scoring(score), [source], [target], [feeds], [18])
        assert found.shape == (4, 5, 3)
        one = scores(Scoring(score), [source[2, 3]], [target[2, 3]], [feeds], [18])
        np.testing.assert_allclose(found[2, 3], one)
    assert push(source, feeds).shape == (4, 5, 3, 2)


def test_the_ends_of_the_margin_are_marginal() -> None:
    counts = verdict_counts(np.log([1.01, 0.99, 1.0101, 0.9899, 1.0]), 0.01)
    assert counts.tolist() == [1, 3, 1]


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=4, max_size=4), min_size=1))
def test_the_first_place_is_shared(costs: list[list[float]]) -> None:
    share = first_share(np.array(costs))
    expected = np.zeros(4)
    for row in costs:
        first = [i for i, cost in enumerate(row) if cost == min(row)]
        expected[first] += 1 / len(first) / len(costs)
    np.testing.assert_allclose(share, expected)
    assert share.sum() == pytest.approx(1)


# The ranking


def test_ranks_and_probabilities(nowhere: Store) -> None:
    found = match(nowhere, R32, R56, draws=400)
    assert found.probability.sum() == pytest.approx(1)
    assert found.draws == 400
    # Appended and interpolated copies are one set of blocks: w1 cannot tell them apart.
    assert found.rank[:3].tolist() == [1, 1, 3]
    assert found.probability[0] == pytest.approx(found.probability[1])
    assert any("2 maps share the first place by w1: it does not see" in n for n in found.notes)
    again = match(nowhere, R32, R56, draws=400)
    np.testing.assert_array_equal(found.probability, again.probability)
    other = match(nowhere, R32, R56, draws=400, rng=1)
    assert (found.probability != other.probability).any()
    position = match(nowhere, R32, R56, score="position", draws=50)
    assert position.rank.tolist() == list(range(1, 13))


@pytest.mark.parametrize("score", SCORES)
def test_probabilities_are_those_of_every_draw(score, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle: one draw at a time. Draws are taken in chunks."""
    source, target = published_blocks("resnet44"), published_blocks("resnet32")
    monkeypatch.setattr(match_module, "_AT_ONCE", 700.0)  # four draws a chunk
    found = match(None, source, target, score=score, draws=41)
    rng = np.random.default_rng(0)
    drawn, goal = source.draws(41, rng), target.draws(41, rng)
    feeds = [np.array([t.stages[0].feeds for t in found.transforms])] * 3
    weights = [stage.weights for stage in target.stack.stages]
    total = np.zeros(len(found.transforms))
    for d in range(41):
        theta, wanted = [s[d] for s in drawn], [s[d] for s in goal]
        costs = Scoring(score).cost(scores(Scoring(score), theta, wanted, feeds, weights))
        total += first_share(costs[None])
    np.testing.assert_allclose(found.probability, total / 41)


def test_what_is_published_has_an_assumed_scatter() -> None:
    one = published_blocks("resnet56")
    drawn = np.concatenate(one.draws(4000, np.random.default_rng(0)), axis=-1)
    assert drawn.shape == (4000, 24)
    np.testing.assert_allclose(drawn.mean(axis=0), np.concatenate(one.theta), atol=6e-4)
    np.testing.assert_allclose(drawn.std(axis=0), PUBLISHED_SD, rtol=0.06)
    assert pytest.approx(0.0085, abs=5e-5) == PUBLISHED_SD
    assert all((sd == PUBLISHED_SD).all() for sd in one.sd)


def test_many_maps_get_fewer_draws_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_module, "_IN_ALL", 60_000.0)  # at 1000 a draw, or more
    found = match(None, published_blocks("resnet56"), published_blocks("resnet32"), maps="all")
    assert found.draws == 60
    assert any("share of 60 draws" in n and "not 2,000: there are many" in n for n in found.notes)


@pytest.mark.parametrize("score", SCORES)
def test_stages_apart_are_the_best_of_all_combinations(score) -> None:
    source, target = published_blocks("resnet44"), published_blocks("resnet20")
    scoring = Scoring(score)
    found = match(None, source, target, score=score, draws=1)
    maps = [transform.stages[0].feeds for transform in found.transforms]
    weights = [stage.weights for stage in target.stack.stages]
    least = min(
        scoring.cost(
            scores(scoring, source.theta, target.theta, [np.array([m]) for m in choice], weights)
        )[0]
        for choice in itertools.product(maps, repeat=3)
    )
    assert scoring.cost(np.array(found.apart_value)) == pytest.approx(least)
    assert found.apart is not None
    found.apart.resolve(source.stack, target.stack)


def test_the_most_frequent_winner_is_named_where_it_is_not_the_first(nowhere: Store) -> None:
    found = match(nowhere, R56, R32)
    often = found.transforms[int(np.argmax(found.probability))]
    assert often != found.best
    assert any(f"most often first is {often}" in note for note in found.notes)


def test_the_result_shows_itself(nowhere: Store) -> None:
    found = match(nowhere, R56, R32, draws=20)
    frame = found.to_frame()
    assert frame.columns[:4] == ["rank", "transform", "family", "published"]
    assert frame.height == 17 and frame["published"][0] == "56>32 keep1458"
    assert found.title in found.summary() and "probability" in found.summary()
    assert "stage 1: source 1.020 0.980 1.070" in found.summary()
    assert "target 0.990 1.060 1.060 1.080" in found.summary()
    assert "<table" in found._repr_html_()
    np.testing.assert_allclose(found.pushed()[0], [1.02, 1.06, 1.05, 1.08])
    assert any("no seeds are published of published:resnet56-cifar10" in n for n in found.notes)


# Experiments with seeds


def test_the_flow_of_an_experiment_is_pushed_block_by_block() -> None:
    source, target = blocks("resnet20"), blocks("resnet32", rng=1)
    found = match(None, source, target, draws=50)
    assert source.seeds == 5 and found.draws == 50
    spectrum = source.spectrum
    assert spectrum is not None
    by_name = dict(zip(spectrum.names, spectrum.eigenvalue.value, strict=True))
    feeds = found.best.stages[0].feeds
    for stage, made in zip("123", found.pushed(), strict=True):
        np.testing.assert_allclose(made, [by_name[f"{stage}.{i}"] for i in feeds], rtol=1e-4)


def test_draws_are_those_of_the_spectrum() -> None:
    one = blocks("resnet20")
    drawn = one.draws(30, np.random.default_rng(3))
    whole = one.spectrum.draws(30, np.random.default_rng(3))  # type: ignore[union-attr]
    place = one.spectrum.names.index("2.1")  # type: ignore[union-attr]
    np.testing.assert_allclose(drawn[1][:, 0], whole[:, place], rtol=1e-3)
    many = np.concatenate(one.draws(6000, np.random.default_rng(0)), axis=-1)
    # sd is the scale of a t, and the draws have the t's own standard deviation.
    df = one.spectrum.interval.df  # type: ignore[union-attr]
    ratio = many.std(axis=0) / np.concatenate(one.sd)
    np.testing.assert_allclose(ratio, np.sqrt(df / (df - 2)), rtol=0.07)


def test_other_pruning_shares_are_put_in_one_unit() -> None:
    fine = blocks("resnet20", prune=0.2, levels=12, noise=0)
    coarse_counts = synthetic.counts("resnet20", prune=0.2, levels=12, noise=0)
    every_second = dataclasses.replace(
        coarse_counts,
        levels=np.arange(7),
        recorded=coarse_counts.recorded[:, ::2],
        kept=coarse_counts.kept[:, ::2],
        magnitude=coarse_counts.magnitude[:, ::2],
        accuracy=coarse_counts.accuracy[:, ::2],
        recipe=dataclasses.replace(coarse_counts.recipe, prune=0.36),
    )
    coarse = of_counts(every_second)
    assert coarse.scale == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_allclose(np.concatenate(coarse.theta), np.concatenate(fine.theta), atol=2e-3)
    found = match(None, fine, coarse, draws=1)
    assert str(found.best) == "0:0;1:1;2:2" and found.w1[0] < 2e-3
    assert any("a step prunes 0.36" in note for note in found.notes)
    assert any("the recipes differ in prune too" in note for note in found.notes)


def test_one_seed_has_no_probabilities_and_it_is_said() -> None:
    found = match(None, blocks("resnet20", seeds=1), blocks("resnet32"))
    assert np.isnan(found.probability).all() and found.draws == 0
    assert any("no probabilities: resnet20/cifar10" in n and "one seed" in n for n in found.notes)
    assert np.isfinite(found.w1).all() and found.rank[0] == 1


def test_a_collapsed_block_is_named() -> None:
    made = synthetic.counts("resnet20", seeds=2)
    kept = made.kept.copy()
    place = made.names.index("2.1")
    kept[1, 2:, place] = 0
    dead: Counts = dataclasses.replace(made, kept=kept)
    with pytest.raises(RgtoolError, match="block 2.1 has collapsed .eigenvalue 0.*--window a:b"):
        of_counts(dead)
    kept[1, 2:, place] = made.kept[1, 2:, place]
    kept[1, 7:, place] = 0
    late = of_counts(dataclasses.replace(made, kept=kept))
    found = match(None, late, blocks("resnet32"), draws=5)
    assert any("the window ends at level 6: group 2.1 keeps no" in note for note in found.notes)
    printed = dataclasses.replace(
        rgtool.published("resnet20-cifar10"), eigenvalue=np.array([1.07, 1.07, 0, 1.02, 0.9, 1])
    )
    with pytest.raises(RgtoolError, match="block 2.1 has collapsed"):
        of_published(printed)


# A target without a spectrum


def test_of_an_architecture_only_densities_can_be_told(nowhere: Store) -> None:
    found = match(nowhere, R32, "resnet44")
    assert np.isnan(found.w1).all() and np.isnan(found.rank).all() and not found.ranked
    assert np.isfinite(found.density).all()
    assert "resnet44 has no spectrum: w1, position and signature cannot be told" in found.notes[3]
    assert "listed, not ranked" in found.notes[3]
    assert found.to_frame()["rank"].null_count() == found.to_frame().height
    ranked = match(nowhere, R32, "resnet44", score="density", draws=100)
    assert ranked.ranked and (np.diff(ranked.density) <= 1e-12).all()
    assert ranked.probability.sum() == pytest.approx(1)
    source = published_blocks("resnet32")
    feeds = np.array(ranked.best.stages[0].feeds) - 1
    survive = sum(
        stage.weights * (0.8 * np.exp(theta[feeds])) ** 13
        for stage, theta in zip(source.stack.stages, source.theta, strict=True)
    ).sum()
    alike = sum(stage.weights * 6 * 0.8**13 for stage in source.stack.stages)
    assert ranked.density[0] == pytest.approx(math.log(survive / alike))
    with pytest.raises(UsageError, match="nothing to draw beside the source"):
        found.plot()
    assert len(ranked.plot().axes) == 6


def test_a_source_needs_a_spectrum(nowhere: Store) -> None:
    with pytest.raises(UsageError, match="resnet20 is an architecture, and no spectrum comes with"):
        match(nowhere, "resnet20", R32)


# All pairs


def test_every_pair_of_the_published_depths(nowhere: Store) -> None:
    found = match_all(nowhere, published=True, draws=200)
    assert len(found.experiments) == 5 and len(found.pairs) == 20
    assert [one.architecture for one in found.experiments] == [
        f"resnet{depth}" for depth in (14, 20, 32, 44, 56)
    ]
    for target in range(5):
        several = [pair for pair in found.pairs if pair.target == target]
        assert [pair.rank for pair in several] == [1, 2, 3, 4]
        assert sum(pair.probability for pair in several) == pytest.approx(1)
    best = match(nowhere, R56, R32, draws=1)
    assert found.matrix[4, 2] == pytest.approx(best.w1[0])
    assert np.isnan(np.diag(found.matrix)).all() and np.isfinite(found.matrix).sum() == 20
    assert found.to_frame()["transform"][8] == str(best.best)
    assert " 0:0;1:1;4:2;5:3;8:4 " in found.summary()
    assert any("8 published spectra that are not of residual blocks" in n for n in found.notes)
    assert "<table" in found._repr_html_()
    assert len(found.plot().axes) == 1


def test_pairs_of_a_store(store: Store) -> None:
    found = match_all(store, draws=50)
    assert [one.label for one in found.experiments] == [
        f"resnet{depth}w2/digits" for depth in (14, 20, 26)
    ]
    assert len(found.pairs) == 6 and found.draws == 50
    # resnet14w2/cifar10 has no partner on its task; lenet has no blocks.
    assert any("left out" in n and "lenet has no stages of residual" in n for n in found.notes)
    two = match_all(store, ["resnet14w2/digits", "resnet26w2/digits"], draws=5)
    assert len(two.pairs) == 2
    mixed = match_all(store, [R56, R32, R56], draws=5)
    assert len(mixed.pairs) == 2


def test_a_selection_means_all_that_it_fits(path: Path, tmp_path: Path, cli: Cli) -> None:
    shutil.copytree(path, tmp_path / "store")
    store = Store(tmp_path / "store")
    for depth in (14, 26):
        store.name(f"resnet{depth}w2/digits", tags=["paper"])
    found = match_all(store, ["tag=paper"], draws=5)
    assert {one.label for one in found.experiments} == {"resnet14w2/digits", "resnet26w2/digits"}
    code, out, err = cli("match", "--all", "tag=paper", R56, "--store", str(store.path), "--json")
    assert code == 0 and len(json.loads(out)) == 2, err


def test_experiments_are_excluded_from_all_pairs(
    store: Store, nowhere: Store, path: Path, cli: Cli
) -> None:
    found = match_all(store, draws=5, exclude=["resnet20w2/digits", "lenet/digits"])
    assert {one.label for one in found.experiments} == {"resnet14w2/digits", "resnet26w2/digits"}
    assert not any("left out" in note for note in found.notes)
    printed = match_all(nowhere, published=True, draws=5, exclude=[R56])
    assert R56 not in {one.name for one in printed.experiments} and len(printed.experiments) == 4
    with pytest.raises(UsageError, match="leave the names out"):
        match_all(nowhere, [R56, R32], exclude=[R56])
    code, out, _ = cli(
        "match", "--all", "--exclude", "resnet20w2/digits", "--store", str(path), "--json"
    )
    assert code == 3 and len(json.loads(out)) == 2  # lenet has no blocks
    both = ("--exclude", "resnet20w2/digits", "--exclude", "lenet/digits")
    assert cli("match", "--all", *both, "--store", str(path)).code == 0
    code, out, err = cli("match", R56, R32, "--exclude", R56)
    assert (code, out) == (2, "") and "--exclude goes with --all" in err


def test_pairs_with_one_seed_have_no_probabilities() -> None:
    several = [blocks("resnet14"), blocks("resnet20", seeds=1), blocks("resnet26")]
    found = match_all(None, several, draws=40)
    assert all(math.isnan(pair.probability) for pair in found.pairs)
    assert found.draws == 0 and any("one seed" in note for note in found.notes)


def test_twins_are_told_apart() -> None:
    twin = dataclasses.replace(blocks("resnet20", rng=5), name="ab12cd34ef56")
    found = match_all(None, [blocks("resnet20"), twin, blocks("resnet32")], draws=5)
    assert len({*found.names}) == 3 and "resnet20/cifar10 ab12cd34ef56" in found.names
    assert len(found.pairs) == 4  # twins of one depth are not matched with each other


def test_selections_without_a_pair(store: Store, nowhere: Store) -> None:
    with pytest.raises(StoreError, match="holds no runs"):
        match_all(nowhere)
    with pytest.raises(UsageError, match="no two of the 1 experiments .*resnet20/cifar10"):
        match_all(nowhere, ["published:resnet20-cifar10"])
    with pytest.raises(UsageError, match="no two of the 2 experiments"):
        match_all(store, ["resnet14w2/cifar10", "resnet20w2/digits"])
    with pytest.raises(UsageError, match="published takes every spectrum of the literature"):
        match_all(store, [R56], published=True)
    with pytest.raises(UsageError, match="lenet has no stages"):
        match_all(store, ["lenet/digits", "resnet20w2/digits"])


# The command


def test_the_command_ranks(cli: Cli, path: Path, tmp_path: Path) -> None:
    figure = tmp_path / "figures" / "match.svg"
    code, out, err = cli(
        "match", "resnet14w2/digits", "resnet26w2/digits", "--store", str(path), "--draws", "50",
        "--plot", str(figure), "--json", "--notes",
    )  # fmt: skip
    assert code == 0, err
    rows = json.loads(out)
    assert [row["rank"] for row in rows] == [1]  # one block can only be copied
    assert rows[0]["transform"] == "0:0;1:1,2,3" and rows[0]["probability"] == 1
    assert "stage 1: source" in err and "draws of the spectra" in err
    assert figure.read_text().startswith("<?xml")


def test_the_command_prints_as_much_as_is_asked(cli: Cli) -> None:
    code, out, err = cli("match", R56, R32, "--maps", "all", "--draws", "10", "--top", "3")
    assert code == 0 and len(out.splitlines()) == 4
    assert "3 of 70 rows; --top 0 prints all" in err
    assert (
        len(cli("match", R56, R32, "--maps", "all", "--draws", "10", "--top", "0")[1].splitlines())
        == 71
    )
    code, out, _ = cli("match", R32, "resnet44", "--csv")
    assert code == 0 and "0:0;1:1,3;2:2,4;3:5;4:6" in out


def test_own_maps_are_ranked_too(cli: Cli, nowhere: Store) -> None:
    code, out, _ = cli(
        "match", R32, R56, "--map", "0:0;4:1;3:2,3;2:4,5,6;1:7,8", "--draws", "9", "--json"
    )
    assert code == 0
    (own,) = [row for row in json.loads(out) if row["family"] == "other"]
    assert own["transform"] == "0:0;1:7,8;2:4,5,6;3:2,3;4:1"
    found = match(nowhere, R32, R56, transforms=[Transform.parse(own["transform"])], draws=9)
    assert len(found.transforms) == 13


def test_the_command_for_all(cli: Cli, path: Path, tmp_path: Path) -> None:
    code, out, err = cli("match", "--all", "--store", str(path), "--draws", "20", "--json")
    assert code == 3 and len(json.loads(out)) == 6
    assert "left out" in err
    figure = tmp_path / "all.png"
    code, out, _ = cli("match", "--all", "--published", "--draws", "20", "--plot", str(figure))
    assert code == 0 and len(out.splitlines()) == 21 and figure.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((R56,), "1 experiments are named: give SOURCE and TARGET"),
        ((R56, R32, R32), "3 experiments are named"),
        ((R56, R32, "--score", "w2"), "score 'w2' is unknown: choose from"),
        ((R56, R32, "--maps", "any"), "maps 'any' is unknown"),
        ((R56, R32, "--margin", "-1"), "margin is -1.0"),
        ((R56, R32, "--margin", "nan"), "margin is nan"),
        ((R56, R32, "--level", "0"), "level is 0"),
        ((R56, R32, "--draws", "0"), "draws is 0"),
        ((R56, R32, "--top", "-1"), "--top -1"),
        ((R56, R32, "--window", "1:5"), "has no levels to choose from"),
        (("--all", "--published", "--window", "1:5"), "has no levels to choose from"),
        ((R56, R32, "--plot", "x.txt"), "--plot x.txt: a figure ends in"),
        ((R56, R32, "--map", "0:0;1:1,,2"), "\n  0:0;1:1,,2\n          ^"),
        ((R56, R32, "--map", "0:0;1:1;2:2"), "makes 2 normal blocks in stage 1, and resnet32"),
        ((R56, R32, "--map", "0:0;1:1;2:2;3:3;9:4"), "takes block 9 of stage 1"),
        (("--all", R56, R32, "--map", "0:0"), "--map goes with one SOURCE and TARGET"),
        ((R56, "published:vgg16-cifar10"), "vgg16 has no stages of residual blocks"),
        ((R56, "published:resnet50-simclr-imagenet"), "is printed by stage"),
        ((R56, "lenet"), "lenet has no stages of residual blocks"),
        ((R56, "resnet20w8"), "different families"),
        ((R56, "resnet8"), "resnet8 has no normal block in stage 1"),
        ((R56, "resnet21"), "'resnet21' is unknown: a CIFAR ResNet has 6 n + 2"),
        ((R56, "published:resnet38-cifar10"), "nothing published is named"),
        (("resnet20/cifar10", R32), "holds no runs"),
        (("--all",), "holds no runs"),
    ],
)
def test_wrong_input_is_said_in_words(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = cli("match", *arguments)
    assert code in (1, 2) and out == ""
    assert words in err and "Traceback" not in err
