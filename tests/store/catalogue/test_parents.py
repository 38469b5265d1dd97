"""From a selection to a parent: its runs by seed; and labels of stores that hold children."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from stores import counts, describe, write_record, write_run

from rgtool.analysis.named import look_up_all
from rgtool.schemas.errors import StoreError, UsageError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.store import Store
from rgtool.store.catalogue.inventory import is_finished
from rgtool.store.catalogue.parents import parent_of

FOUND = Recipe(architecture="resnet8w4", task="digits")


def write_child(store: Path, seed: int = 0, at: tuple[int, ...] = (1, 3), **fields: object) -> str:
    """Write a run that trains tickets of `FOUND` at some levels."""
    recipe = dataclasses.replace(FOUND, parent=FOUND.experiment_id, **fields)  # type: ignore[arg-type]
    parent = FOUND.run_id(seed)
    run_id = recipe.run_id(seed, parent)
    folder = RunFolder.of(store, run_id)
    folder.make()
    told = describe(recipe, seed, max(at), run_id=run_id, parent_run=parent)
    told.write(folder.description)
    for level in at:
        write_record(store, recipe, run_id, level, counts(recipe, seed, max(at)))
    return run_id


def test_runs_are_found_by_their_seeds(tmp_path: Path) -> None:
    runs = {seed: write_run(tmp_path, seed) for seed in (3, 0)}
    found = parent_of(Store(tmp_path), "resnet8w4/digits")
    assert found.experiment_id == FOUND.experiment_id and found.recipe == FOUND
    assert dict(found.runs) == runs
    assert dict(parent_of(Store(tmp_path), runs[3]).runs) == {3: runs[3]}
    assert parent_of(Store(tmp_path), Store(tmp_path).experiments()[0]).runs == found.runs


def test_an_import_without_seeds_has_those_of_its_replicates(tmp_path: Path) -> None:
    run_id = write_run(tmp_path, 0)
    folder = RunFolder.of(tmp_path, run_id)
    told = Store(tmp_path).description(run_id)
    dataclasses.replace(told, seed=None, replicate="7").write(folder.description)
    assert dict(parent_of(Store(tmp_path), run_id).runs) == {7: run_id}
    dataclasses.replace(told, seed=None, replicate="a").write(folder.description)
    with pytest.raises(UsageError, match="no run tells its seed"):
        parent_of(Store(tmp_path), run_id)


def test_runs_of_one_seed_are_refused_unless_one_is_named(tmp_path: Path) -> None:
    run_id = write_run(tmp_path, 0)
    told = Store(tmp_path).description(run_id)
    twin = RunFolder.of(tmp_path, f"{run_id}-abc")
    twin.make()
    dataclasses.replace(told, run_id=twin.path.name).write(twin.description)
    with pytest.raises(UsageError, match="have one seed, 0: name one of them as the parent"):
        parent_of(Store(tmp_path), "resnet8w4/digits")
    assert dict(parent_of(Store(tmp_path), twin.path.name).runs) == {0: twin.path.name}


def test_what_is_nowhere_is_no_parent(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no runs"):
        parent_of(Store(tmp_path), "lenet/digits")
    write_run(tmp_path)
    with pytest.raises(UsageError, match="no experiment 'lenet/digits'"):
        parent_of(Store(tmp_path), "lenet/digits")


# A store that holds children, too.


def test_a_label_means_the_experiment_that_finds_its_tickets(tmp_path: Path) -> None:
    write_run(tmp_path)
    for control in ("none", "shuffle"):
        write_child(tmp_path, control=control)
    store = Store(tmp_path)
    assert store.find_experiment("resnet8w4/digits") == FOUND.experiment_id
    assert store.find_experiment() == FOUND.experiment_id
    labels = {one.recipe.control: one.label for one in store.experiments() if one.recipe.parent}
    assert "control=shuffle" in labels["shuffle"]
    (own,) = [one.label for one in store.experiments() if one.recipe.parent is None]
    assert own == "resnet8w4/digits"
    for control, label in labels.items():
        (found,) = (
            one
            for one in store.experiments()
            if one.recipe.control == control and one.recipe.parent
        )
        assert store.find_experiment(label) == found.experiment_id
    # All that fits where several are welcome; and no run goes because of a label.
    assert len(store.find_experiments("resnet8w4/digits")) == 3
    with pytest.raises(UsageError, match="fits 3 experiments"):
        store.remove("resnet8w4/digits")


def test_a_label_means_no_child_of_an_experiment_that_is_gone(tmp_path: Path) -> None:
    child = write_child(tmp_path).partition("-")[0]
    store = Store(tmp_path)
    (one,) = store.experiments()
    assert one.label == f"resnet8w4/digits parent={FOUND.experiment_id}"
    assert one.label in str(store.runs().table())
    for text in ("resnet8w4/digits", "ResNet8w4/Digits", "resnet8w4/digits prune=.2"):
        with pytest.raises(UsageError, match=f"only children of {FOUND.experiment_id}: name one"):
            store.find_experiment(text)
    with pytest.raises(UsageError, match="only children"):
        parent_of(store, "resnet8w4/digits")
    named = (one.label, child, child[:6], "resnet8w4/digits control=none", None)
    assert {store.find_experiment(name) for name in named} == {child}
    store.name(child, "mine", tags=["paper"])
    for name in ("mine", "tag=paper", "resnet8w4/digits tag=paper"):
        assert Store(tmp_path).find_experiment(name) == child


def test_labels_of_children_alone_tell_them_apart_and_name_the_parent(tmp_path: Path) -> None:
    ids = {write_child(tmp_path, control=name).partition("-")[0] for name in ("none", "shuffle")}
    store = Store(tmp_path)
    of = f"parent={FOUND.experiment_id}"
    labels = [one.label for one in store.experiments()]
    assert sorted(labels) == [f"resnet8w4/digits control={c} {of}" for c in ("none", "shuffle")]
    assert {store.find_experiment(label) for label in labels} == ids
    with pytest.raises(UsageError, match="only children"):
        store.find_experiment("resnet8w4/digits")


def test_a_whole_store_of_children_is_said(tmp_path: Path) -> None:
    children = [write_child(tmp_path, control=control) for control in ("none", "shuffle")]
    ids = [child.partition("-")[0] for child in children]
    for find in (Store(tmp_path).find_experiment, lambda: look_up_all(tmp_path, [])):
        with pytest.raises(UsageError, match="2 experiments, all children, .* by construct") as e:
            find()
        assert all(one in str(e.value) for one in ids)


def test_children_with_gaps_are_finished_counted_and_compacted(tmp_path: Path) -> None:
    write_run(tmp_path)
    child = write_child(tmp_path, at=(1, 3))
    store = Store(tmp_path)
    (run,) = (run for run in store.runs() if run.child)
    assert (run.finished, run.recorded, run.asked, run.last_level) == (True, 2, 2, 3)
    found = store.counts(child.partition("-")[0], "layer")
    assert found.recorded.tolist() == [[False, True, False, True]]
    expected = counts(FOUND, 0, 3)
    assert (found.kept[0, [1, 3]] == expected[[1, 3]]).all()
    before = store.sql("SELECT * FROM flow ORDER BY ALL").rows
    assert store.compact().runs == 2
    assert Store(tmp_path).sql("SELECT * FROM flow ORDER BY ALL").rows == before
    assert RunFolder.of(tmp_path, child).recorded_levels() == [1, 3]


def test_a_child_is_finished_with_its_last_level() -> None:
    assert is_finished([1, 3], 3, False, child=True)
    assert is_finished([1, 3], 3, True, child=True)
    assert not is_finished([1], 3, True, child=True)
    assert not is_finished([], 0, False, child=True)
    assert not is_finished([1, 3], 3, False)
