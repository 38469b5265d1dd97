"""Children: the parent's records bit for bit, controls, gaps, resumed, beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from children import column, folder, rows, train
from experiments import REPLICA_CASES, disk, diverging, go, replica_tasks, results, stop_at

from rgtool.runner.experiment import Outcome
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors
from rgtool.store import Store


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A store with an experiment of two seeds, not to be written."""
    store: Path = tmp_path_factory.mktemp("found")
    with pytest.MonkeyPatch.context() as patch:
        replica_tasks(patch)
        return store, go(store, seeds=2)


# What a child has of its parent.


@pytest.mark.parametrize("schedule", ["continue", "restart"])
@pytest.mark.parametrize("rewind", ["0", "2it"])
@pytest.mark.parametrize("case", REPLICA_CASES)
def test_a_child_of_the_own_task_has_the_records_of_its_parent(
    case: str, rewind: str, schedule: str, tmp_path: Path
) -> None:
    of = REPLICA_CASES[case]
    found = go(tmp_path, **of, rewind=rewind, schedule=schedule)
    child = train(tmp_path, found.experiment_id, **of)
    assert child.experiment_id != found.experiment_id
    for level in range(3):
        mine, theirs = (rows(folder(tmp_path, one), level) for one in (child, found))
        assert mine == theirs
        assert folder(tmp_path, child).mask(level).read_bytes() == (
            folder(tmp_path, found).mask(level).read_bytes()
        )


def test_levels_are_trained_by_themselves(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    child = folder(store, train(store, found.experiment_id, at="2"))
    assert child.recorded_levels() == [2]
    (mine, theirs) = (rows(run, 2) for run in (child, folder(store, found)))
    # What only the level before tells is missing.
    assert all(row.pop("magnitude_prev") is None for row in mine)
    assert all(row.pop("magnitude_prev") > 0 for row in theirs)
    assert mine == theirs and mine[0]["kept_prev"] > mine[0]["kept"]
    train(store, found.experiment_id, at=(0, 1))
    assert child.recorded_levels() == [0, 1, 2]
    assert [rows(child, level) for level in (0, 1)] == [
        rows(folder(store, found), level) for level in (0, 1)
    ]


def test_a_child_says_whose_tickets_it_trains(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    outcome = train(store, found.experiment_id, seeds=2, at=(0, 2))
    for seed in (0, 1):
        told = Store(store).description(outcome.runs[seed])
        assert told.parent_run == found.runs[seed]
        assert told.recipe.parent == found.experiment_id and told.levels == 2
        assert outcome.runs[seed] == told.recipe.run_id(seed, found.runs[seed])
    before = disk(store / "runs")
    assert train(store, found.experiment_id, seeds=2, at=(0, 2)).seeds("known") == [0, 1]
    assert disk(store / "runs") == before
    runs = {run.run_id: run for run in Store(store).runs()}
    assert all(runs[name].finished for name in outcome.runs.values())


def test_seeds_are_paired_as_asked(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    outcome = train(store, found.experiment_id, seeds="10:1,0")
    told = [Store(store).description(run).parent_run for run in outcome.runs.values()]
    assert [*outcome.runs] == [10, 0] and told == [found.runs[1], found.runs[0]]
    again = train(store, found.experiment_id, seeds={10: 1})
    assert again.seeds("known") == [10]
    apart = rows(folder(store, outcome, 10), 1), rows(folder(store, found, 1), 1)
    kept = [[row["kept"] for row in one] for one in apart]
    # The ticket is that of seed 1, the order of the images its own.
    assert kept[0] == kept[1] and apart[0] != apart[1]


# Controls.


def test_a_control_of_a_parent_is_the_control_of_before(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    child = train(store, found.experiment_id, control="reinit")
    then = go(store, control="reinit")
    assert then.experiment_id == child.experiment_id and then.seeds("known") == [0]


@pytest.mark.parametrize("control", ["shuffle", "random", "permute"])
def test_controls_find_their_tickets_first(control: str, tmp_path: Path) -> None:
    outcome = go(tmp_path, control=control)
    assert outcome.seeds("done") == [0] and len(Store(tmp_path).experiments()) == 2
    told = Store(tmp_path).description(outcome.runs[0])
    assert train(tmp_path, told.parent_run, control=control).seeds("known") == [0]


@pytest.mark.parametrize("control", ["shuffle", "random", "permute", "reinit"])
def test_controls_keep_what_they_say(control: str, parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    child = folder(store, train(store, found.experiment_id, control=control))
    theirs = folder(store, found)
    for level in (1, 2):
        mine, there = (column(run, level, "kept") for run in (child, theirs))
        assert (mine == there) == (control != "random") and sum(mine) == sum(there)
        masks = [read_mask(run.mask(level)) for run in (child, theirs)]
        same = all((masks[0][name] == masks[1][name]).all() for name in masks[0])
        assert same == (control in ("permute", "reinit"))
        assert masks[0]["fc"].all()  # exempt
        assert column(child, level, "kept_prev") == column(child, level - 1, "kept")
    assert rows(child, 1)[0]["loss"] != rows(theirs, 1)[0]["loss"]
    # Masks of level 0 keep all, and its weights are the parent's.
    same = rows(child, 0) == rows(theirs, 0)
    assert same == (control in ("shuffle", "random"))


def test_weights_of_a_shuffled_mask_are_the_parents(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    # With a rate too small to move a weight, magnitudes are those of the weights at the beginning.
    child = folder(store, train(store, found.experiment_id, control="shuffle", lr=1e-30))
    start = read_tensors(folder(store, found).weights("rewind"))[0]
    mask = read_mask(child.mask(2))
    expected = [np.abs(start[f"{n}.weight"].astype(float))[mask[n]].sum() for n in mask]
    assert column(child, 2, "magnitude") == pytest.approx(expected, rel=1e-6)


def test_permuted_weights_have_the_parents_magnitudes(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    still, moved = (
        folder(store, train(store, found.experiment_id, control=control, lr=1e-30))
        for control in ("none", "permute")
    )
    one, other = (column(run, 2, "magnitude") for run in (still, moved))
    assert one == pytest.approx(other, rel=1e-6)
    assert rows(still, 2)[0]["loss"] != rows(moved, 2)[0]["loss"]


# Layers that are not the parent's.


def test_fresh_layers_are_drawn_and_stay_dense(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    outcome = train(store, found.experiment_id, fresh="fc2")
    child = folder(store, outcome)
    assert Store(store).description(outcome.runs[0]).recipe.fresh == ("fc2",)
    for level in (1, 2):
        mine, theirs = (column(run, level, "kept") for run in (child, folder(store, found)))
        assert mine == [theirs[0], 30_000, theirs[2]]
        assert column(child, level, "kept_prev")[1] == 30_000
    own, start = (read_tensors(run.weights("rewind"))[0] for run in (child, folder(store, found)))
    differ = {name for name in own if (own[name] != start[name]).any()}
    assert differ == {"fc2.weight", "fc2.bias"}
    first = read_tensors(folder(store, found).weights("init"))[0]
    assert (own["fc2.weight"] != first["fc2.weight"]).mean() > 0.99  # drawn for this alone


def test_a_stem_that_sees_other_images_is_drawn(tmp_path: Path) -> None:
    found = go(tmp_path, "resnet8w4", "few-digits")
    outcome = train(tmp_path, found.experiment_id, "resnet8w4", "synthetic")
    assert outcome.seeds("done") == [0]
    recipe = Store(tmp_path).description(outcome.runs[0]).recipe
    assert recipe.fresh == ("conv1",) and recipe.augment == ("flip", "crop4")
    assert column(folder(tmp_path, outcome), 2, "kept")[0] == 4 * 3 * 9


# Children of children, of what is compacted, and of a run.


def test_a_child_can_be_a_parent(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    child = train(store, found.experiment_id, control="shuffle")
    grandchild = train(store, child.experiment_id)
    assert rows(folder(store, grandchild), 2) == rows(folder(store, child), 2)
    told = Store(store).description(grandchild.runs[0])
    assert (told.recipe.parent, told.parent_run) == (child.experiment_id, child.runs[0])


def test_a_child_of_a_schedule_that_restarts_can_be_a_parent(tmp_path: Path) -> None:
    found = go(tmp_path, schedule="restart")
    child = train(tmp_path, found.experiment_id)
    grandchild = train(tmp_path, child.experiment_id)
    assert [rows(folder(tmp_path, grandchild), level) for level in range(3)] == [
        rows(folder(tmp_path, found), level) for level in range(3)
    ]


def test_a_parent_may_be_compacted(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    Store(store).compact()
    child = train(store, found.experiment_id, at=(0, 2))
    assert rows(folder(store, child), 0) == rows(folder(store, found), 0)
    assert Store(store).compact().runs == 1
    assert not folder(store, child).loose_levels()
    assert train(store, found.experiment_id, at=(0, 2)).seeds("known") == [0]
    assert train(store, found.experiment_id, at=(0, 1, 2)).seeds("done") == [0]
    assert folder(store, child).recorded_levels() == [0, 1, 2]


# Interruption, and others beside it.


@pytest.mark.parametrize("case", REPLICA_CASES)
def test_a_child_that_was_stopped_anywhere_goes_on_to_the_same_bits(
    case: str, tmp_path: Path
) -> None:
    of = REPLICA_CASES[case]
    for store in (tmp_path / "whole", tmp_path / "stopped"):
        go(store, **of)
    options: dict[str, Any] = {**of, "control": "shuffle", "fresh": ("fc",), "at": (1, 2)}
    label = f"{of['model']}/{of['task']}"
    train(tmp_path / "whole", label, **options)
    # Questions: one before the seed, then 7 a level.
    for asked in (2, 5, 7, 3):
        outcome = train(tmp_path / "stopped", label, **options, should_stop=stop_at(asked))
        assert outcome.seeds("stopped") == [0]
    assert train(tmp_path / "stopped", label, **options).seeds("done") == [0]
    assert results(tmp_path / "stopped") == results(tmp_path / "whole")


def test_a_level_that_diverges_leaves_the_others_alone(
    parent: tuple[Path, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, found = parent
    diverging(monkeypatch, 0)
    outcome = train(store, found.experiment_id, seeds=2, at=(0, 2))
    assert [outcome.ends[seed].kind for seed in (0, 1)] == ["diverged", "done"]
    child = folder(store, outcome)
    assert child.recorded_levels() == [0, 2]
    assert column(child, 2, "diverged") == [True] * 3
    again = train(store, found.experiment_id, at=(0, 2))
    assert (again.ends[0].kind, again.ends[0].message) == ("known", "diverged")
    monkeypatch.undo()


def test_a_child_leaves_a_level_that_diverged_behind(parent: tuple[Path, Outcome]) -> None:
    store, found = parent
    assert train(store, found.experiment_id, lr=1e9).seeds("diverged") == [0]
    (child,) = (run for run in Store(store).runs() if run.child)
    folder = RunFolder.of(store, child.run_id)
    assert folder.recorded_levels() == [0, 1, 2] and child.finished
    assert column(folder, 2, "magnitude_prev") == [None] * 3
    assert column(folder, 2, "kept_prev") == column(folder, 1, "kept")
