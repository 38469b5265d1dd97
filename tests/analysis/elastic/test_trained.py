"""Scores of maps against what their tickets reached: tau, equal densities, bad designs."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau
from stores import counts, describe, write_record, write_run

from rgtool import RgtoolError, Store
from rgtool.analysis.elastic import kendall as kendall_module
from rgtool.analysis.elastic.agreement import MEASURED, Spectra, agreement
from rgtool.analysis.elastic.draw import ALIKE, BlockCounts, matched_map, random_maps
from rgtool.analysis.elastic.kendall import kendall, relabellings
from rgtool.analysis.elastic.maps import as_transform, feeds_of
from rgtool.analysis.elastic.match_trained import match_trained
from rgtool.analysis.elastic.scores import Scoring, scores
from rgtool.analysis.elastic.stretched import Line, stretched_table
from rgtool.analysis.elastic.tickets import Tickets, tickets_of, whole
from rgtool.schemas.errors import UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tickets.stack import stack_of
from rgtool.schemas.tickets.transform import StageMap, Transform

SOURCE = Recipe(architecture="resnet26w2", task="digits")
TARGET = Recipe(architecture="resnet20w2", task="digits")
SEEDS = (0, 1, 2)
# Nine maps of the three normal blocks of a stage to two, each stage by one of its own.
CHOICES = ((1, 2), (1, 3), (2, 3))
MAPS = tuple(as_transform(choice) for choice in itertools.product(CHOICES, CHOICES, ((1, 2),)))


def child(transform: Transform, **fields: object) -> Recipe:
    return Recipe(
        architecture=TARGET.architecture,
        task="digits",
        **{"parent": SOURCE.experiment_id, "transform": str(transform), **fields},  # type: ignore[arg-type]
    )


def train(
    store: Path, recipe: Recipe, reached: Mapping[int, Sequence[float]], levels: Sequence[int]
) -> str:
    """Write runs of a child as a runner would: of each seed the accuracies of some levels."""
    for seed, accuracies in reached.items():
        description = describe(recipe, seed, max(levels))
        folder = RunFolder.of(store, description.run_id)
        folder.make()
        description.write(folder.description)
        kept = counts(recipe, seed, max(levels))
        for level, accuracy in zip(levels, accuracies, strict=True):
            write_record(store, recipe, description.run_id, level, kept, accuracy=accuracy)
    return recipe.experiment_id


def train_ticket(store: Path, recipe: Recipe, seed: int, of: int, reached: float) -> str:
    """Write a run of a child that trains the ticket of a seed, at levels 0 and 4."""
    parent = SOURCE.run_id(of)
    run = recipe.run_id(seed, parent)
    described = dataclasses.replace(describe(recipe, seed, 4), run_id=run, parent_run=parent)
    folder = RunFolder.of(store, run)
    folder.make()
    described.write(folder.description)
    for level in (0, 4):
        write_record(store, recipe, run, level, counts(recipe, seed, 4), accuracy=reached)
    return run


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a source, a target, and nine maps whose accuracy falls with their number."""
    folder = tmp_path_factory.mktemp("trained") / "store"
    for recipe in (SOURCE, TARGET):
        for seed in SEEDS:
            write_run(folder, seed, 6, recipe=recipe)
    for i, transform in enumerate(MAPS):
        reached = {seed: (0.95, 0.9 - 0.01 * i - 0.001 * seed) for seed in SEEDS}
        train(folder, child(transform), reached, (0, 4))
    return folder


# Kendall's tau

values = st.lists(st.integers(0, 5).map(float), min_size=5, max_size=5)


@given(st.lists(values, min_size=1, max_size=3), st.lists(values, min_size=1, max_size=3))
def test_tau_is_that_of_scipy(x: list[list[float]], y: list[list[float]]) -> None:
    found = kendall(x, y)
    assert found.shape == (len(x), len(y))
    for (i, a), (j, b) in itertools.product(enumerate(x), enumerate(y)):
        expected = kendalltau(a, b).statistic
        assert found[i, j] == pytest.approx(expected, nan_ok=True)


def test_all_relabellings_begin_with_none() -> None:
    found = relabellings([2, 3], np.random.default_rng(0))
    assert [stage.shape for stage in found] == [(12, 2), (12, 3)]
    rows = {(*a, *b) for a, b in zip(*(s.tolist() for s in found), strict=True)}
    assert len(rows) == 12
    assert [stage[0].tolist() for stage in found] == [[0, 1], [0, 1, 2]]


def test_of_many_relabellings_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kendall_module, "RELABELLINGS", 50)
    found = relabellings([8, 8], np.random.default_rng(0))
    assert [stage.shape for stage in found] == [(50, 8)] * 2
    assert all((np.sort(stage, axis=1) == np.arange(8)).all() for stage in found)
    assert [stage[0].tolist() for stage in found] == [[*range(8)]] * 2
    assert (found[0][1:] != found[1][1:]).any()


def made_tickets(reached: np.ndarray, density: np.ndarray | None = None) -> Tickets:
    """Tickets (C, S) of one level."""
    number, seeds = reached.shape
    return Tickets(
        experiments=tuple(f"child{i}" for i in range(number)),
        transforms=MAPS[:1] * number,
        controls=("none",) * number,
        seeds=tuple(range(seeds)),
        levels=(4,),
        accuracy=reached[:, :, None],
        density=(np.full(reached.shape, 0.4) if density is None else density)[:, :, None],
        own=np.full((*reached.shape, 1), 0.9),
    )


def spectra_of(maps: Sequence[Transform], rng: int = 0) -> Spectra:
    draw = np.random.default_rng(rng)
    feeds = zip(*(feeds_of(one, 3) for one in maps), strict=True)
    return Spectra(
        tuple(0.02 * draw.normal(size=3) for _ in range(3)),
        tuple(0.02 * draw.normal(size=2) for _ in range(3)),
        tuple(np.array(stage) for stage in feeds),
        (18, 72, 288),
    )


def test_tau_and_p_are_those_of_the_slow_way() -> None:
    spectra, draw = spectra_of(MAPS), np.random.default_rng(1)
    reached = draw.normal(size=(9, 4))
    found = agreement("", spectra, Scoring(), made_tickets(reached), draw).find("w1", 4)

    def tau(source: Sequence[np.ndarray]) -> float:
        cost = scores(Scoring(), source, spectra.target, spectra.feeds, spectra.weights)
        cost = cost.round(9)
        return float(np.mean([kendalltau(-cost, reached[:, s]).statistic for s in range(4)]))

    orders = itertools.product(itertools.permutations(range(3)), repeat=3)
    taus = [tau([t[[*o]] for t, o in zip(spectra.source, order, strict=True)]) for order in orders]
    assert found.tau.value == pytest.approx(taus[0])
    assert found.relabelled == len(taus) == 216
    assert found.p == pytest.approx(np.mean(np.array(taus) >= taus[0] - 1e-9))
    assert found.tau.low < found.tau.value < found.tau.high
    assert (found.maps, found.seeds, found.refused) == (9, 4, "")


def test_a_score_that_orders_the_maps_has_tau_1() -> None:
    spectra = spectra_of(MAPS)
    cost = spectra.costs(Scoring("position"), [np.arange(3)[None]] * 3)[0]
    reached = -cost[:, None] + np.array([0.0, 5.0, 9.0])
    draw = np.random.default_rng(0)
    found = agreement("", spectra, Scoring(), made_tickets(reached), draw).find("position", 4)
    assert found.tau.value == found.of_means == pytest.approx(1)
    assert found.p == found.least_p == pytest.approx(12 / 216)  # stage 3 is mapped alike
    other = agreement("", spectra, Scoring(), made_tickets(-reached), draw).find("position", 4)
    assert other.tau.value == pytest.approx(-1) and other.p == 1


def test_the_measured_density_is_a_score_too() -> None:
    draw = np.random.default_rng(0)
    density = np.stack([draw.permutation(np.linspace(0.3, 0.4, 9)) for _ in range(3)], axis=1)
    reached = 2 * density
    reached[:6, 1] = np.nan  # the tickets of every other seed are held to its own densities
    tickets = made_tickets(reached, density)
    found = agreement("", spectra_of(MAPS), Scoring(), tickets, draw).find(MEASURED, 4)
    assert (found.maps, found.seeds) == (9, 2)
    assert found.tau.value == pytest.approx(1)
    assert math.isnan(found.p) and found.relabelled == 0


# Designs that say nothing


def taus_of(reached: np.ndarray, maps: Sequence[Transform] = MAPS) -> dict[str, str]:
    found = agreement(
        "", spectra_of(maps), Scoring(), made_tickets(reached), np.random.default_rng(0)
    )
    return {tau.score: tau.refused for tau in found.taus if tau.against == "accuracy"}


def test_too_few_maps_have_no_tau() -> None:
    reached = np.random.default_rng(0).random((7, 3))
    assert taus_of(reached, MAPS[:7])["w1"] == "7 maps have all seeds, and 8 are needed"


def test_a_score_of_two_values_has_no_tau() -> None:
    same = [Transform((StageMap(one),)) for one in [(1, 2), (2, 1)] * 4 + [(1, 3)]]
    refused = taus_of(np.random.default_rng(0).random((9, 3)), same)
    assert refused["w1"] == "the maps have 2 values of it, and 3 are needed"
    assert refused["position"] == ""


def test_equal_accuracies_have_no_tau() -> None:
    reached = np.random.default_rng(0).random((9, 3))
    reached[:, 1] = 0.5
    assert taus_of(reached)["w1"] == "all maps of a seed are equally accurate"


def test_maps_without_seeds_that_most_have_are_left_out() -> None:
    reached = np.random.default_rng(0).random((9, 3))
    reached[4, 2] = np.nan
    draw = np.random.default_rng(0)
    tau = agreement("", spectra_of(MAPS), Scoring(), made_tickets(reached), draw).find("w1", 4)
    assert (tau.maps, tau.seeds) == (8, 3)
    reached[:6, 2] = np.nan
    tau = agreement("", spectra_of(MAPS), Scoring(), made_tickets(reached), draw).find("w1", 4)
    assert (tau.maps, tau.seeds) == (9, 2)
    assert math.isnan(tau.tau.low) and np.isfinite(tau.tau.value)


def test_seeds_that_no_map_shares_give_no_tau() -> None:
    reached = np.where(np.eye(9, dtype=bool), 0.5, np.nan)
    assert taus_of(reached)["w1"] == "no seed was trained with most of the maps"
    maps, seeds = whole(reached)
    assert not seeds.any() and maps.all()


def test_a_seed_that_half_of_the_maps_have_is_left_out() -> None:
    reached = np.array([[0.9, 0.8], [0.7, np.nan]])
    maps, seeds = whole(reached)
    assert maps.all() and seeds.tolist() == [True, False]


def test_few_relabellings_are_said() -> None:
    flat = [
        Transform(tuple(map(StageMap, choice)))
        for choice in itertools.product([(1, 2, 2), (1, 1, 2)], repeat=3)
    ]
    draw = np.random.default_rng(0)
    spectra = Spectra(
        tuple(draw.normal(size=2) for _ in range(3)),
        tuple(draw.normal(size=3) for _ in range(3)),
        tuple(np.array(s) for s in zip(*(feeds_of(one, 3) for one in flat), strict=True)),
        (1, 1, 1),
    )
    reached = draw.normal(size=(8, 2))
    tau = agreement("", spectra, Scoring(), made_tickets(reached), draw).find("w1", 4)
    said = [*tau.notes()]
    assert any("0.125 of the 8 ways to relabel the source" in note for note in said)
    assert any("2 seeds give tau no interval" in note for note in said)


# Equal densities


def test_tickets_are_held_to_the_own_one_of_their_seed(path: Path) -> None:
    store = Store(path)
    found = tickets_of(store, [child(MAPS[3]).experiment_id], TARGET.experiment_id)
    assert (found.seeds, found.levels, found.accuracy.shape) == (SEEDS, (0, 4), (1, 3, 2))
    own = store.counts(TARGET.experiment_id, "layer")
    for s in SEEDS:
        kept = own.kept[s].sum(axis=-1) / own.total.sum()
        expected = np.interp(-np.log(found.density[0, s, 1]), -np.log(kept), own.accuracy[s])
        assert found.own[0, s, 1] == pytest.approx(expected)
        assert found.own[0, s, 0] == own.accuracy[s, 0]
        assert found.accuracy[0, s, 1] == pytest.approx(0.87 - 0.001 * s)
    alone = tickets_of(store, [child(MAPS[3]).experiment_id], None)
    assert np.isnan(alone.own).all() and np.isnan(alone.difference).all()


def test_of_several_runs_of_a_seed_that_of_its_own_ticket_counts(
    path: Path, tmp_path: Path
) -> None:
    store, recipe = Store(tmp_path / "store"), child(MAPS[3])
    store.merge(path)
    name = recipe.experiment_id
    expected = tickets_of(store, [name], TARGET.experiment_id)
    crossed = [
        train_ticket(store.path, recipe, seed, of, 0.1) for seed, of in ((0, 1), (1, 0), (2, 0))
    ]
    again = [train_ticket(store.path, recipe, seed, seed, 0.5) for seed in SEEDS]
    # Runs of a store that has both, some of which tell no parent.
    found = tickets_of(Store(store.path), [name], TARGET.experiment_id)
    assert np.isfinite(expected.accuracy).all()
    assert found.accuracy[0, :, 1].tolist() == [0.5] * 3
    assert any(crossed[0] in note and "own ticket counts" in note for note in found.notes)
    meant = tickets_of(Store(store.path), [name], None, runs={*crossed})
    assert meant.accuracy[0, :, 1].tolist() == [0.1] * 3 and meant.notes == ()
    lines = [Line("first", name)]
    table = stretched_table(
        Store(store.path), "a", SOURCE.experiment_id, TARGET.experiment_id, lines, runs={*again[:2]}
    )
    assert table.to_frame().filter(level=4)["accuracy"].to_list() == [0.5]
    assert table.to_frame().filter(level=4)["seeds"].to_list() == [2]


def test_levels_that_nobody_trained_are_refused(path: Path) -> None:
    found = tickets_of(Store(path), [child(MAPS[0]).experiment_id], None)
    assert found.at(4) == 1
    with pytest.raises(UsageError, match=r"level 3 was not trained by any map: choose from 0, 4"):
        found.at(3)


# The results


def test_trained_maps_stand_beside_what_they_reached(path: Path) -> None:
    found = match_trained(path, "resnet26w2/digits", TARGET.experiment_id)
    frame = found.to_frame()
    assert frame.height == 9 and found.level == 4
    for row in frame.iter_rows(named=True):
        place = [str(one) for one in MAPS].index(row["transform"])
        assert row["experiment"] == child(MAPS[place]).experiment_id
        assert row["accuracy"] == pytest.approx(0.9 - 0.01 * place - 0.001)
        place = [str(one) for one in found.match.transforms].index(row["transform"])
        assert row["w1"] == found.match.w1[place] and row["rank"] == found.match.rank[place]
        assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert frame["rank"].is_sorted()
    tau = found.agreement.find("w1", 4)
    by_hand = kendalltau(-found.match.w1[found.places], frame["accuracy"]).statistic
    assert tau.tau.value == pytest.approx(by_hand)
    assert any("Kendall's tau of w1 against accuracy at level 4" in note for note in found.notes)
    assert found.agreement.to_frame().height == 2 * 2 * 5
    assert "least_p" in found.agreement.summary()


def test_maps_of_another_recipe_are_left_out_and_said(path: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    Store(store).merge(path)
    other = train(store, child(MAPS[0], lr=0.05), {0: (0.9, 0.5)}, (0, 4))
    shuffled = train(store, child(MAPS[0], control="reinit"), {0: (0.9, 0.5)}, (0, 4))
    found = match_trained(store, SOURCE.experiment_id, TARGET.experiment_id)
    assert found.to_frame().height == 9
    assert any(f"trained by another recipe ({other})" in note for note in found.notes)
    assert not any(shuffled in note for note in found.notes)


def test_what_was_not_trained_is_said(path: Path, tmp_path: Path) -> None:
    with pytest.raises(RgtoolError, match=r"no ticket of .* was trained as resnet26w2/digits"):
        match_trained(path, TARGET.experiment_id, SOURCE.experiment_id)
    with pytest.raises(UsageError, match="published:resnet20-cifar10"):
        match_trained(path, "published:resnet20-cifar10", TARGET.experiment_id)
    with pytest.raises(UsageError, match="level 2 was not trained"):
        match_trained(path, SOURCE.experiment_id, TARGET.experiment_id, at=2)


def test_a_stretch_is_held_to_its_first_ticket(path: Path) -> None:
    lines = [
        Line("first", child(MAPS[2]).experiment_id),
        Line("random map", child(MAPS[0]).experiment_id),
    ]
    found = stretched_table(
        Store(path), "a -> b", SOURCE.experiment_id, TARGET.experiment_id, lines, levels=[4]
    )
    first, other = found.to_frame().iter_rows(named=True)
    assert (first["ticket"], first["transform"]) == ("first", str(MAPS[2]))
    assert first["to_first"] is None
    assert other["to_first"] == pytest.approx(0.02)
    assert other["accuracy"] == pytest.approx(0.899)
    assert first["own"] - first["accuracy"] == pytest.approx(-first["difference"])
    assert any("random map: +0.0200" in note for note in found.notes)
    lines += [Line("drawn", child(MAPS[i]).experiment_id) for i in (3, 4)]
    more = stretched_table(
        Store(path), "a -> b", SOURCE.experiment_id, TARGET.experiment_id, lines, levels=[4]
    )
    assert any("2 maps more: -0.0200 to -0.0100 to it" in note for note in more.notes)
    one = stretched_table(
        Store(path),
        "a -> b",
        SOURCE.experiment_id,
        TARGET.experiment_id,
        lines,
        levels=[4],
        seeds=[1],
    )
    assert any("one seed: differences have no interval" in note for note in one.notes)
    assert one.to_frame()["seeds"].to_list() == [1] * 4


def test_a_ticket_sparser_than_all_own_levels_is_said(tmp_path: Path) -> None:
    store = tmp_path / "store"
    write_run(store, 0, 1, recipe=TARGET)
    lone = train(store, child(MAPS[0]), {0: (0.9, 0.5)}, (0, 4))
    found = stretched_table(
        Store(store), "a -> b", SOURCE.experiment_id, TARGET.experiment_id, [Line("given", lone)]
    )
    assert found.to_frame()["difference"].is_null().to_list() == [False, True]
    assert any("1 ticket of level 4 without an own one" in note for note in found.notes)
    with pytest.raises(RgtoolError, match="no map was trained"):
        stretched_table(Store(store), "a -> b", SOURCE.experiment_id, TARGET.experiment_id, [])


# Maps that are drawn


def test_densities_of_maps_follow_from_counts(path: Path) -> None:
    """The oracle: the kept weights of every layer, carried over one by one."""
    source, target = stack_of(SOURCE.architecture), stack_of(TARGET.architecture)
    counts = Store(path).counts(SOURCE.experiment_id, "block")
    blocks = BlockCounts.of(counts, source, target, [4, 6])
    layers = Store(path).counts(SOURCE.experiment_id, "layer")
    for transform in MAPS:
        for place, level in enumerate((4, 6)):
            kept = dict(zip(layers.names, layers.kept[:, level].mean(axis=0), strict=True))
            total = dict(zip(layers.names, layers.total, strict=True))
            names = [name for name in kept if not name.startswith("layer")]
            for s, feeds in enumerate(feeds_of(transform, 3), start=1):
                for block in (0, *feeds):
                    names += [n for n in kept if n.startswith(f"layer{s}.{block}.")]
            expected = sum(kept[n] for n in names) / sum(total[n] for n in names)
            assert blocks.density(transform)[place] == pytest.approx(expected)
            assert (blocks.density(transform) >= blocks.sparsest - 1e-12).all()
    with pytest.raises(RgtoolError, match="no record of level 9"):
        BlockCounts.of(counts, source, target, [9])


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 99))
def test_drawn_maps_use_every_block_or_none_twice(source: int, target: int, seed: int) -> None:
    drawn = next(random_maps([source, source], [target, target], np.random.default_rng(seed)))
    for feeds in feeds_of(drawn, 2):
        assert len(feeds) == target and 1 <= min(feeds) <= max(feeds) <= source
        assert len(set(feeds)) == min(source, target)


def test_a_matched_map_is_the_first_drawn_that_is_as_dense() -> None:
    kept = tuple(np.random.default_rng(stage).uniform(40, 60, (4, 1)) for stage in range(3))
    blocks = BlockCounts(stack_of("resnet20w2"), kept, np.array([50.0]), 700)
    chosen = Transform((StageMap((1, 3)),))
    differences = set()
    for seed in range(8):
        found = matched_map(blocks, chosen, [], np.random.default_rng(seed))
        for drawn in random_maps([4] * 3, [2] * 3, np.random.default_rng(seed)):
            apart = float(abs(np.log(blocks.density(drawn) / blocks.density(chosen))[0]))
            if apart <= ALIKE and feeds_of(drawn, 3) != feeds_of(chosen, 3):
                break
        assert found == (drawn, pytest.approx(apart))
        differences.add(round(apart, 6))
    assert max(differences) > 0  # not the nearest, which has the same blocks in another order
    assert found is not None
    again = matched_map(blocks, chosen, [found[0]], np.random.default_rng(0))
    assert again is not None and feeds_of(again[0], 3) != feeds_of(found[0], 3)
    lone = BlockCounts(stack_of("resnet26w2"), tuple(k[:1] for k in kept), np.array([50.0]), 700)
    assert (
        matched_map(lone, Transform((StageMap((1, 1, 1)),)), [], np.random.default_rng(0)) is None
    )
