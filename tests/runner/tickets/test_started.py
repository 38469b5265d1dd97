"""Runs that prune on from a ticket: their records begin there, and go on as their parent's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from children import column, folder, rows, train
from experiments import REPLICA_CASES, disk, diverging, go, replica_tasks, results, stop_at

from rgtool.analysis.curves.curve import curve_of
from rgtool.analysis.curves.matching import matching_density
from rgtool.analysis.spectrum.eigen import eigen
from rgtool.analysis.window import choose_window
from rgtool.runner.experiment import Outcome
from rgtool.runner.plan import Plan, plan
from rgtool.runner.pruners import registry
from rgtool.runner.pruning import kept_after
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask
from rgtool.store import Store
from rgtool.store.catalogue.parents import parent_of

PERTURBED = "perturb:layer=fc2:1.25"


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


def ask(store: Path, of: str, **changes: Any) -> Plan:
    """Plan a run that prunes on from a ticket, up to level 5."""
    options = {"model": "lenet", "task": "few-digits", "levels": 5, "store": store, **changes}
    return plan(parent=parent_of(Store(store), of), **options)


def network(run: RunFolder) -> dict[int, int]:
    """Kept weights of the network at every recorded level."""
    return {level: sum(column(run, level, "kept")) for level in run.recorded_levels()}


# What follows from a ticket.


@pytest.mark.parametrize("schedule", ["continue", "restart"])
@pytest.mark.parametrize(
    ("scope", "rounding"), [("global", "exact"), ("layerwise", "exact"), ("global", "openlth")]
)
@pytest.mark.parametrize("case", REPLICA_CASES)
def test_a_run_from_an_unchanged_ticket_has_the_records_of_its_parent(
    case: str, scope: str, rounding: str, schedule: str, tmp_path: Path
) -> None:
    of: dict[str, Any] = {**REPLICA_CASES[case], "levels": 3}
    found = go(tmp_path, **of, scope=scope, rounding=rounding, schedule=schedule)
    child = train(tmp_path, found.experiment_id, **of, start=1)
    assert child.experiment_id != found.experiment_id and child.seeds("done") == [0]
    mine, theirs = (folder(tmp_path, one) for one in (child, found))
    assert mine.recorded_levels() == [1, 2, 3]
    for level in (1, 2, 3):
        here, there = rows(mine, level), rows(theirs, level)
        if level == 1:  # what only the level before tells is missing
            for name in ("kept_prev", "network_kept_prev", "magnitude_prev"):
                assert {row.pop(name) for row in here} == {None}
                assert None not in {row.pop(name) for row in there}
        assert here == there
    for level in (1, 2, 3, 4):
        assert mine.mask(level).read_bytes() == theirs.mask(level).read_bytes()
    assert mine.read_description().scales == theirs.read_description().scales  # type: ignore[union-attr]


@pytest.mark.parametrize("schedule", ["continue", "restart"])
def test_a_run_may_begin_with_the_dense_network(schedule: str, tmp_path: Path) -> None:
    found = go(tmp_path, schedule=schedule)
    child = train(tmp_path, found.experiment_id, start=0)
    assert Store(tmp_path).description(child.runs[0]).recipe.start == 0
    mine, theirs = (folder(tmp_path, one) for one in (child, found))
    assert [rows(mine, level) for level in range(3)] == [rows(theirs, level) for level in range(3)]


def test_a_perturbed_run_begins_with_that_mask_and_prunes_as_many(
    parent: tuple[Path, Outcome],
) -> None:
    store, found = parent
    outcome = train(store, found.experiment_id, start=3, levels=5, transform=PERTURBED)
    alone = train(store, found.experiment_id, at="3", transform=PERTURBED)
    mine, theirs = folder(store, outcome), folder(store, found)
    assert rows(mine, 3) == rows(folder(store, alone), 3)
    of_parent = network(theirs)
    assert network(mine) == {level: of_parent[level] for level in (3, 4, 5)}
    assert column(mine, 4, "kept_prev") == column(mine, 3, "kept")
    assert column(mine, 4, "magnitude_prev") == column(mine, 3, "magnitude")
    for level in (4, 5, 6):
        later, before = read_mask(mine.mask(level)), read_mask(mine.mask(level - 1))
        assert not any((later[name] & ~before[name]).any() for name in later)
    assert column(mine, 5, "kept") != column(theirs, 5, "kept")


def test_layers_that_are_pruned_by_themselves_keep_what_the_change_left(tmp_path: Path) -> None:
    found = go(tmp_path, scope="layerwise", rounding="exact", levels=4)
    outcome = train(tmp_path, found.experiment_id, start=2, levels=4, transform=PERTURBED)
    run = folder(tmp_path, outcome)
    begun = column(run, 2, "kept")[1]
    assert begun == round(1.25 * column(folder(tmp_path, found), 2, "kept")[1])
    for level in (3, 4):
        assert column(run, level, "kept")[1] == kept_after(begun, begun, level - 2, 0.2, "exact")


@pytest.mark.parametrize("rounding", ["exact", "openlth"])
def test_a_ticket_may_be_pruned_on_another_task(rounding: str, tmp_path: Path) -> None:
    found = go(tmp_path, "resnet8w4", "few-digits", rounding=rounding, levels=3)
    options = {"model": "resnet8w4", "task": "synthetic", "start": 2, "levels": 4}
    outcome = train(tmp_path, found.experiment_id, **options)
    told = Store(tmp_path).description(outcome.runs[0]).recipe
    assert told.fresh == ("conv1",) and told.task == "synthetic"
    run, of = folder(tmp_path, outcome), folder(tmp_path, found)
    # The fresh layer is dense at first, and is pruned with the others from there on.
    counts = column(run, 2, "kept")
    assert counts[0] == 4 * 3 * 9 and counts[1:] == column(of, 2, "kept")[1:]
    assert column(run, 4, "kept")[0] < counts[0]
    kept, there = sum(counts), network(run)
    for level in (3, 4):
        kept = kept_after(kept, kept, 1, 0.2, rounding)
        assert there[level] == pytest.approx(kept, abs=1)
    made = ask(tmp_path, found.experiment_id, **options)
    assert [made.kept[level] for level in made.at] == [*there.values()]


def test_plans_know_what_will_be_kept(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    made = ask(store, found.experiment_id, start=2, transform=PERTURBED)
    assert made.at == (2, 3, 4, 5) and made.records == made.remaining() == 4
    of_parent = network(folder(store, found))
    assert [made.kept[level] for level in made.at] == [of_parent[level] for level in made.at]
    whole = dict(made.table().rows)
    assert whole["kept weights"] == " ".join(str(of_parent[level]) for level in made.at)
    assert whole["recipe.start"] == "2"


def test_scales_and_weights_are_kept_for_children(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    outcome = train(store, found.experiment_id, start=2, levels=3, transform=PERTURBED)
    run, of = folder(store, outcome), folder(store, found)
    for kind in ("init", "rewind"):
        assert run.weights(kind).read_bytes() == of.weights(kind).read_bytes()
    child = train(store, outcome.experiment_id, at=(2, 3))
    assert [rows(folder(store, child), n)[0]["loss"] for n in (2, 3)] == [
        rows(run, n)[0]["loss"] for n in (2, 3)
    ]
    with pytest.raises(UsageError, match='no mask of level 0, 1: at="2,3" would do'):
        train(store, outcome.experiment_id, levels=3)


# Interruption.


@pytest.mark.parametrize("case", REPLICA_CASES)
def test_a_run_that_was_stopped_anywhere_goes_on_to_the_same_bits(
    case: str, tmp_path: Path
) -> None:
    of = REPLICA_CASES[case]
    group = {"lenet": "block=fc2", "resnet": "block=2.0"}[case]
    options = {**of, "start": 1, "levels": 2, "transform": f"perturb:{group}:0.9"}
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for store in (whole, stopped):
        go(store, **of)
    label = f"{of['model']}/{of['task']}"
    train(whole, label, **options)
    for asked in (2, 5, 7, 3):  # questions: one before the seed, then 7 a level
        outcome = train(stopped, label, **options, should_stop=stop_at(asked))
        assert outcome.seeds("stopped") == [0]
    assert train(stopped, label, **options).seeds("done") == [0]
    assert results(stopped) == results(whole)
    before = disk(stopped / "runs")
    assert train(stopped, label, **options).seeds("known") == [0]
    assert disk(stopped / "runs") == before


def test_more_levels_go_on_where_it_was(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    options: dict[str, Any] = {"start": 2, "transform": PERTURBED}
    first = train(store, found.experiment_id, **options, levels=3)
    Store(store).compact()
    again = train(store, found.experiment_id, **options, levels=5)
    assert again.runs == first.runs and again.seeds("done") == [0]
    run = folder(store, again)
    assert run.recorded_levels() == [2, 3, 4, 5]
    fresh = train(store, found.experiment_id, **options, levels=5, seeds="2:0")
    assert network(folder(store, fresh, 2)) == network(run)


def test_a_level_that_diverges_is_the_last(
    parent: tuple[Path, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, found = parent
    diverging(monkeypatch, 0)
    options: dict[str, Any] = {"start": 2, "levels": 4, "seeds": 2}
    outcome = train(store, found.experiment_id, **options)
    assert [outcome.ends[seed].kind for seed in (0, 1)] == ["diverged", "done"]
    assert folder(store, outcome).recorded_levels() == [2]
    assert train(store, found.experiment_id, **options).ends[0].message == "diverged"
    runs = {run.run_id: run for run in Store(store).runs()}
    assert all(runs[name].finished for name in outcome.runs.values())


def test_a_gap_is_said(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    run = folder(store, train(store, found.experiment_id, start=2, levels=4))
    run.record(3).unlink()
    outcome = train(store, found.experiment_id, start=2, levels=4)
    assert outcome.seeds("failed") == [0]
    assert "the records of levels [2, 4] leave a gap" in str(outcome.ends[0].message)


# What the store and the analysis make of it.


def test_records_that_begin_at_a_level_are_a_flow(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    outcome = train(store, found.experiment_id, seeds=2, start=2, levels=5, transform=PERTURBED)
    opened, name = Store(store), outcome.experiment_id
    info = {run.run_id: run for run in opened.runs()}[outcome.runs[0]]
    assert (info.finished, info.child, info.asked, info.recorded) == (True, False, 4, 4)
    steps = opened.query(
        "SELECT level, count(eigenvalue), count(*) FROM flow WHERE run_id = ? AND "
        "grouping = 'layer' GROUP BY level ORDER BY level",
        [outcome.runs[0]],
    ).rows
    assert steps == [(2, 0, 3), (3, 3, 3), (4, 3, 3), (5, 3, 3)]
    window = choose_window(opened.counts(name, "layer"))
    assert window.levels == (2, 5)
    assert [str(note) for note in window.notes if "starts at" in str(note)] == []
    said = f"the tickets that {found.experiment_id} has at level 2, by {PERTURBED}: how"
    assert any(said in str(note) for note in window.notes)
    assert eigen(opened, name, by="layer").window == (2, 5)
    assert eigen(opened, name, by="layer", window=(3, 5)).window == (3, 5)
    with pytest.raises(UsageError, match="have no record of level 1"):
        eigen(opened, name, by="layer", window=(1, 5))
    curve = curve_of(opened, name, "a curve")
    assert curve.density.shape == (4,) and curve.seeds == 2
    with pytest.raises(RgtoolError, match="no run has the accuracy of the dense network"):
        matching_density(opened, name)
    # The store is about experiments that find their tickets from the beginning.
    assert opened.find_experiment("lenet/few-digits") == found.experiment_id


def test_few_levels_are_named_as_they_are(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    outcome = train(store, found.experiment_id, start=3, levels=4)
    with pytest.raises(RgtoolError, match=r"2 levels, a spectrum needs .*\(levels 3, 4 and 5\)"):
        eigen(Store(store), outcome.experiment_id, by="layer")


# What is refused.


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": 7}, "start is 7: it is the first level of the run, from 0 to its last one"),
        ({"start": -1}, "start is -1: it is the first level"),
        ({"start": 7, "levels": 9}, "has no mask of level 7: level 6 is its last"),
        ({"start": 2, "at": "2,3"}, "the first names single tickets of the parent"),
        ({"start": 2, "control": "reinit"}, "prunes on from a ticket, always back to the same"),
        ({"start": 2, "control": "permute"}, "prunes on from a ticket, always back to the same"),
        ({"start": 2, "pruner": "random"}, "pruner random cannot be chosen: a run prunes on by"),
        ({"start": 2, "prune": 0.5}, "prune cannot be chosen"),
        ({"at": "2", "pruner": "random"}, "pruner cannot be chosen"),
        ({"start": 2, "levels": 60}, "would have no weight left to train"),
        ({"start": 0, "transform": PERTURBED}, "level 0 is dense, no group can get weights"),
        ({"start": 6, "levels": 7, "transform": PERTURBED}, "there is no mask of level 7"),
        ({"at": "2", "transform": "perturb:layer=fc9:2"}, "layer 'fc9' is unknown"),
        ({"at": "2", "transform": "perturb:stage=1:2"}, "lenet has no grouping by stage"),
        ({"transform": PERTURBED}, "level 0 is dense"),
    ],
)
def test_what_cannot_be_is_refused(
    changes: dict[str, Any], said: str, found: tuple[Path, Outcome]
) -> None:
    store, experiment = found
    before = disk(store / "runs")
    with pytest.raises(UsageError) as refused:
        ask(store, experiment.experiment_id, **changes)
    assert said in str(refused.value) and len(refused.value.lines) == 1
    assert disk(store / "runs") == before


def test_a_start_needs_a_parent(tmp_path: Path) -> None:
    for start in (0, 2):
        with pytest.raises(UsageError, match=f"start={start} is of tickets of another experiment"):
            plan("lenet", "few-digits", start=start, levels=4, store=tmp_path)
    recipe = tmp_path / "mine.toml"
    recipe.write_text("start = 2")
    with pytest.raises(UsageError, match="start cannot be chosen: it is the level of a parent"):
        plan("lenet", "few-digits", recipe, store=tmp_path)


def test_a_pruner_of_ones_own_is_named_again(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine.py", tmp_path / "other.py"
    mine.write_text("def score(weights):\n    return {n: abs(w) for n, w in weights.items()}\n")
    other.write_text("def score(weights):\n    return {n: -abs(w) for n, w in weights.items()}\n")
    found = go(tmp_path, pruner=f"{mine}:score", levels=3)
    options: dict[str, Any] = {"start": 1, "levels": 3}
    child = train(tmp_path, found.experiment_id, **options, pruner=f"{mine}:score")
    assert child.seeds("done") == [0]
    runs = (folder(tmp_path, one) for one in (child, found))
    assert len({run.mask(4).read_bytes() for run in runs}) == 1
    with pytest.raises(UsageError, match="cannot be chosen: a run prunes on by that of its parent"):
        ask(tmp_path, found.experiment_id, **options, pruner=f"{other}:score")
    registry._FOUND.clear()  # as in another process
    with pytest.raises(UsageError, match='is one of your own, pruner="FILE.py:NAME" says where'):
        ask(tmp_path, found.experiment_id, **options)


def test_pruning_from_the_dense_network_has_no_ticket_to_go_on_from(tmp_path: Path) -> None:
    found = go(tmp_path, score_from="dense")
    with pytest.raises(UsageError, match="prunes at every level from the dense network on") as told:
        ask(tmp_path, found.experiment_id, start=1, levels=2)
    assert str(told.value).endswith(
        f'a run without parent="{found.experiment_id}" scores its own dense network at the same '
        "densities, at=1 trains the ticket"
    )
