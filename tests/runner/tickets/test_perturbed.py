"""Perturbed tickets: which weights change sides, how many, and what their records say."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from children import column, folder, rows, train
from experiments import REPLICA_CASES, disk, go, replica_tasks, results, stop_at
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rgtool.runner.experiment import Outcome
from rgtool.runner.pruning import Mask
from rgtool.runner.tickets.perturbed import Exchange, portions
from rgtool.runner.tickets.source import Source
from rgtool.schemas.blocks import Layer
from rgtool.schemas.errors import UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask, write_mask
from rgtool.schemas.tickets.perturbation import Perturbation
from rgtool.store import Store

LAYERS = tuple(
    Layer(name, "linear", shape, block, None)
    for name, shape, block in (
        ("a.0", (20, 30), "a"),
        ("a.1", (10, 10), "a"),
        ("b", (40, 20), "b"),
        ("c", (9, 7), "c"),
    )
)
LEVELS = 7  # masks of levels 0 to 6


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A run of which there are masks alone: nested, at rates that differ from layer to layer."""
    run = RunFolder(tmp_path_factory.mktemp("store") / "runs" / "of-masks")
    run.make()
    rng = np.random.default_rng(0)
    rates = {"a.0": 0.3, "a.1": 0.05, "b": 0.2, "c": 0.1}
    ranks = {layer.name: rng.permutation(layer.total).reshape(layer.shape) for layer in LAYERS}
    for level in range(LEVELS):
        write_mask(
            run.mask(level),
            {name: rank < rank.size * (1 - rates[name]) ** level for name, rank in ranks.items()},
        )
    return Source(run, Recipe(architecture="x", task="y"))


def exchange(source: Source, level: int, text: str) -> Exchange:
    wanted = Perturbation.read(text)
    assert wanted is not None
    return Exchange(source, level, wanted, LAYERS)


def size(mask: Mask, *names: str) -> int:
    return sum(int(mask[name].sum()) for name in names or mask)


# Which weights change sides.

GROUPS = {"block=a": ("a.0", "a.1"), "block=b": ("b",), "layer=a.1": ("a.1",)}
perturbations = st.tuples(
    st.sampled_from([*GROUPS]), st.sampled_from([0.7, 0.8, 0.93, 1.05, 1.2, 1.4])
)


@given(perturbations, st.integers(2, 4), st.sampled_from(["next", "random"]), st.integers(0, 9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_group_changes_by_the_factor_and_the_network_does_not(
    source: Source, wanted: tuple[str, float], level: int, choice: str, seed: int
) -> None:
    group, factor = wanted
    before = source.mask(level)
    one = exchange(source, level, f"perturb:{group}:{factor}:{choice}")
    try:
        after = one.mask(seed)
    except UsageError as error:
        assert "must not change" in str(error) or "too small" in str(error)
        return
    inside = GROUPS[group]
    assert size(after, *inside) == round(factor * size(before, *inside))
    assert size(after) == size(before)
    assert one.kept() == {name: size(after, name) for name in after}
    # Inside and outside all layers move one way.
    for name in after:
        is_up = (name in inside) == (factor > 1)
        moved = after[name] & ~before[name] if is_up else before[name] & ~after[name]
        assert (moved == (after[name] ^ before[name])).all()


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_the_next_to_go_go_and_the_last_to_have_gone_come_back(
    source: Source, factor: float
) -> None:
    level, levels = 3, [source.mask(n) for n in range(LEVELS)]
    after = exchange(source, level, f"perturb:block=a:{factor}").mask(0)
    reached = set()
    for name in after:
        moved = after[name] ^ levels[level][name]
        back = bool((moved & after[name]).any())
        step = -1 if back else 1
        for far in range(1, LEVELS):
            nearer, there = (levels[level + step * n][name] for n in (far - 1, far))
            pool = nearer ^ there
            left = int((moved & ~pool).sum())
            # All of a nearer pool are taken before any of a farther one.
            assert left == 0 or (moved & pool).sum() == pool.sum()
            moved &= ~pool
            if left == 0:
                reached.add(far)
                break
    assert max(reached) > 1  # of a.1, which loses few at a pruning, the pool reaches on


def test_shares_of_the_others_are_in_proportion_to_their_counts(source: Source) -> None:
    kept = {name: size(source.mask(2), name) for name in ("a.0", "a.1", "c")}
    for factor in (0.98, 1.1):
        moves = exchange(source, 2, f"perturb:block=b:{factor}:random").moves()
        change = moves["b"].change
        expected = {name: -change * n / sum(kept.values()) for name, n in kept.items()}
        assert {name: moves[name].change for name in kept} == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("choice", ["next", "random"])
def test_a_smaller_change_is_within_a_larger_one(source: Source, choice: str) -> None:
    before = source.mask(3)
    small, large = (
        exchange(source, 3, f"perturb:block=b:{factor}:{choice}").mask(0) for factor in (0.95, 0.8)
    )
    for name in before:
        few, many = small[name] ^ before[name], large[name] ^ before[name]
        assert not (few & ~many).any() and few.any()


def test_draws_follow_from_seed_and_level(source: Source) -> None:
    text = "perturb:block=b:0.9"
    first, again, other = (exchange(source, 3, text).mask(seed) for seed in (0, 0, 1))
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["b"] != other["b"]).any() and size(first, "b") == size(other, "b")


def test_random_takes_of_all_weights(source: Source) -> None:
    before, last = source.mask(2), source.mask(LEVELS - 1)
    after = exchange(source, 2, "perturb:block=b:0.8:random").mask(0)
    gone = before["b"] & ~after["b"]
    # As many of those that survive all prunings as of the others.
    share = size({"b": gone & last["b"]}) / size({"b": gone})
    assert share == pytest.approx(size(last, "b") / size(before, "b"), abs=0.15)
    assert (after["a.0"] & ~source.mask(0)["a.0"]).sum() == 0
    back = after["a.0"] & ~before["a.0"]
    assert (back & ~source.mask(1)["a.0"]).any()  # `next` would take of level 1 alone


weights = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=6)


@given(weights, st.integers(0, 200))
def test_portions_are_whole_and_fair(parts: list[tuple[int, int]], amount: int) -> None:
    share, most = (np.array(column) for column in zip(*parts, strict=True))
    found = portions(amount, share, most)
    assert found.sum() == min(amount, most.sum())
    assert (found >= 0).all() and (found <= most).all()
    if share.sum():
        ideal = amount * share / share.sum()
        assert (found >= np.minimum(np.floor(ideal), most)).all()
        if (ideal <= most).all() and amount <= most.sum():
            assert (abs(found - ideal) < 1).all() or (np.ceil(ideal) > most).any()


# What cannot be perturbed.


@pytest.mark.parametrize(
    ("level", "text", "said"),
    [
        (0, "perturb:block=b:0.8", "level 0 is dense, no group can get weights"),
        (3, "perturb:layer=c:0.999", "c keeps 46 weights at level 3 and would keep as many"),
        (3, "perturb:layer=c:0.001", "c keeps 46 weights at level 3 and would keep none"),
        (1, "perturb:block=b:1.5", "block b can get back 160 weights of 320 at level 1, and the"),
        (4, "perturb:block=b:0.01", "block b can give 118 weights of 325 at level 4, and the"),
        (6, "perturb:block=b:0.8", "can give 0 weights of 42 at level 6: there is no mask of lev"),
        (6, "perturb:block=b:1.2", "others can give 0 weights of 42 at level 6: there is no mask"),
        (1, "perturb:block=b:0.1:random", "the others can get back 191 weights of 576"),
        (1, "perturb:block=b:1.9:random", "block b can get back 160 weights of 576 at level 1"),
    ],
)
def test_what_cannot_be_perturbed_is_refused(
    source: Source, level: int, text: str, said: str
) -> None:
    one = exchange(source, level, text)
    with pytest.raises(UsageError) as refused:
        one.mask(0)
    message = str(refused.value)
    assert said in message and message.startswith(f"{one.wanted}, run of-masks: ")
    assert (":random takes any" in message) == ("there is no mask" in message)
    assert ("count must not change: a factor nearer to 1" in message) == ("nearer" in message)


def test_groups_that_have_no_one_to_exchange_with_are_refused(source: Source) -> None:
    one = exchange(source, 3, "perturb:block=b:0.8")
    alone = Exchange(source, 3, one.wanted, [x for x in LAYERS if x.name == "b"])
    with pytest.raises(UsageError, match="block b is all that is pruned, so it has nothing"):
        alone.moves()
    without = Exchange(source, 3, one.wanted, [x for x in LAYERS if x.name != "b"])
    with pytest.raises(UsageError, match="block b is never pruned, so it has nothing"):
        without.moves()


# As children.


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


@pytest.mark.parametrize("choice", ["", ":random"])
@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_child_trains_the_perturbed_ticket(
    factor: float, choice: str, parent: tuple[Path, Outcome]
) -> None:
    store, found = parent
    text = f"perturb:Layer=FC2:{factor}{choice}"
    outcome = train(store, found.experiment_id, seeds=2, at=(2, 3), transform=text)
    told = Store(store).description(outcome.runs[0]).recipe
    assert told.transform == f"perturb:layer=fc2:{factor}{choice}"
    for seed in (0, 1):
        child, of = (folder(store, one, seed) for one in (outcome, found))
        for level in (2, 3):
            mine, theirs = (read_mask(run.mask(level)) for run in (child, of))
            assert size(mine, "fc2") == round(factor * size(theirs, "fc2"))
            assert size(mine) == size(theirs) and (mine["fc"] == theirs["fc"]).all()
            assert column(child, level, "kept") == [size(mine, name) for name in mine]
            # No pruning leads from one perturbed level to the next.
            for name in ("kept_prev", "network_kept_prev", "magnitude_prev"):
                assert column(child, level, name) == [None] * 3
    assert rows(child, 3)[0]["loss"] != rows(of, 3)[0]["loss"]
    steps = "SELECT count(*) FROM flow WHERE run_id = ? AND (share IS NULL OR eigenvalue NOT NULL)"
    assert Store(store).query(steps, [outcome.runs[0]]).rows == [(0,)]


def test_weights_are_those_of_the_parent(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    text = "perturb:layer=fc2:1.25"
    child = folder(store, train(store, found.experiment_id, at="3", transform=text))
    for name in ("init", "rewind"):
        assert child.weights(name).read_bytes() == folder(store, found).weights(name).read_bytes()


def test_fresh_layers_stay_dense_and_exchange_nothing(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    options: dict[str, Any] = {"fresh": "fc2", "at": "3", "exempt": ()}
    with pytest.raises(UsageError, match="exempt cannot be chosen"):
        train(store, found.experiment_id, **options)
    with pytest.raises(UsageError, match="layer fc1 is all that is pruned"):
        train(store, found.experiment_id, fresh="fc2", at="3", transform="perturb:layer=fc1:.8")
    with pytest.raises(UsageError, match="layer fc is never pruned"):
        train(store, found.experiment_id, at="3", transform="perturb:layer=fc:.8")


@pytest.mark.parametrize("case", REPLICA_CASES)
def test_a_perturbed_child_that_was_stopped_goes_on_to_the_same_bits(
    case: str, tmp_path: Path
) -> None:
    of = REPLICA_CASES[case]
    group = {"lenet": "block=fc2", "resnet": "block=2.0"}[case]
    options = {**of, "at": (1, 2), "transform": f"perturb:{group}:0.9:random"}
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for store in (whole, stopped):
        go(store, **of)
    label = f"{of['model']}/{of['task']}"
    train(whole, label, **options)
    for asked in (2, 5, 7, 3):
        outcome = train(stopped, label, **options, should_stop=stop_at(asked))
        assert outcome.seeds("stopped") == [0]
    assert train(stopped, label, **options).seeds("done") == [0]
    assert results(stopped) == results(whole)
    before = disk(stopped / "runs")
    assert train(stopped, label, **options).seeds("known") == [0]
    assert disk(stopped / "runs") == before


def test_what_was_begun_goes_on_though_the_parent_was_pruned_on(
    parent: tuple[Path, Outcome],
) -> None:
    store, found = parent
    options: dict[str, Any] = {"at": "4", "transform": "perturb:layer=fc2:0.9"}
    outcome = train(store, found.experiment_id, **options, should_stop=stop_at(5))
    child, of = folder(store, outcome), folder(store, found)
    begun = child.mask(4).read_bytes()
    shutil.copyfile(of.mask(6), of.mask(5))  # other weights go next than did then
    assert train(store, found.experiment_id, **options).seeds("done") == [0]
    assert child.mask(4).read_bytes() == begun
    shutil.rmtree(child.path)
    train(store, found.experiment_id, **options)
    assert child.mask(4).read_bytes() != begun
