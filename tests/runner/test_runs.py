"""Whole runs: identical every time, resumed from anywhere, extended, and their controls."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments import (
    SMALL,
    disk,
    few_digits,
    go,
    kept,
    only_run,
    results,
    stop_at,
    synthetic,
)
from pruned import prune_once

from rgtool.runner import data
from rgtool.runner.event import Event
from rgtool.runner.experiment import Outcome, plan, run
from rgtool.runner.models import build
from rgtool.runner.pruning import kept_after
from rgtool.runner.replicas.checkpoint import CHECKPOINT_VARIABLE
from rgtool.runner.replicas.loader import test_batches as whole_test_set
from rgtool.runner.replicas.randomness import generator
from rgtool.runner.replicas.training import evaluate, load_arrays
from rgtool.runner.speed import estimate
from rgtool.schemas.errors import RgtoolError, UsageError
from rgtool.schemas.records.description import BY_LEVEL, BY_LEVEL_WHY, Description
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask, read_tensors, write_mask, write_tensors
from rgtool.store import Store

CPU = torch.device("cpu")
DIGITS, COLOURS = few_digits(), synthetic(150, augment=("flip", "crop4"))
TASKS = {"few-digits": DIGITS, "synthetic": COLOURS}


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, images in TASKS.items():
        monkeypatch.setitem(data.DATASETS, name, lambda folder, images=images: images)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of an experiment of `SMALL` that nothing interrupted."""
    store: Path = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(data.DATASETS, "few-digits", lambda folder: DIGITS)
        assert go(store).seeds("done") == [0]
    return store


def message(outcome: Outcome, seed: int = 0) -> str:
    assert outcome.ends[seed].kind == "failed"
    text = outcome.ends[seed].message
    assert text.count("\n") <= 1
    return text


def description(store: Path) -> dict[str, object]:
    """What identical runs say of themselves; the sum covers the times, too.

    Which kernels trained a level is not known any more where the description was lost on the way.
    """
    values = json.loads(only_run(store).description.read_text())
    for name in (BY_LEVEL, BY_LEVEL_WHY):
        values["machine"].pop(name)
    own = ("created_at", "updated_at", "rgtool_sum")
    return {name: value for name, value in values.items() if name not in own}


# The same again.


def test_two_runs_are_identical(whole: Path, tmp_path: Path) -> None:
    go(tmp_path)
    assert results(tmp_path) == results(whole)
    assert description(tmp_path) == description(whole)
    assert kept(whole) == [50200, 40159, 32126]
    names = sorted(p.relative_to(only_run(whole).path).as_posix() for p in disk_paths(whole))
    assert names == [
        "lock",
        *[f"masks/000{level}.safetensors" for level in range(4)],
        *[f"records/000{level}.parquet" for level in range(3)],
        "run.json",
        "weights/init.safetensors",
        "weights/rewind.safetensors",
    ]


def disk_paths(store: Path) -> list[Path]:
    return [path for path in store.rglob("*") if path.is_file()]


def test_seeds_differ(whole: Path, tmp_path: Path) -> None:
    go(tmp_path, seeds=[1])
    folder, other = only_run(tmp_path), only_run(whole)
    assert folder.path.name.removesuffix("1") == other.path.name.removesuffix("0")
    assert read_tensors(folder.weights("init"))[0]["fc.weight"].tolist() != (
        read_tensors(other.weights("init"))[0]["fc.weight"].tolist()
    )
    assert [r["kept"] for r in folder.read_record(2).to_pylist()] != [
        r["kept"] for r in other.read_record(2).to_pylist()
    ]


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    go(tmp_path)
    before, events = disk(tmp_path), list[Event]()
    for levels in (2, 1):
        outcome = go(tmp_path, levels=levels, on_event=events.append)
        assert outcome.seeds("known") == [0]
    assert [event.kind for event in events] == ["known", "known"]
    assert disk(tmp_path) == before


def test_more_levels_are_added_as_if_they_had_been_asked_for_at_once(
    whole: Path, tmp_path: Path
) -> None:
    for levels in (0, 1, 2):
        assert go(tmp_path, levels=levels).seeds("done") == [0]
    assert results(tmp_path) == results(whole)
    assert description(tmp_path) == description(whole)


def test_a_compacted_run_is_known_and_can_be_extended(whole: Path, tmp_path: Path) -> None:
    go(tmp_path, levels=1)
    assert Store(tmp_path).compact().runs == 1
    assert not only_run(tmp_path).loose_levels()
    before = disk(tmp_path)
    assert go(tmp_path, levels=1).seeds("known") == [0]
    assert disk(tmp_path) == before
    assert go(tmp_path).seeds("done") == [0]
    assert results(tmp_path) == results(whole)
    created = Description.read(only_run(whole).description).created_at[:10]
    found = only_run(tmp_path).read_description()
    assert found is not None
    assert found.created_at[:10] == created
    assert found.scales == Description.read(only_run(whole).description).scales


def test_events_tell_of_epochs_and_levels(tmp_path: Path) -> None:
    events: list[Event] = []
    go(tmp_path, levels=1, on_event=events.append)
    told = [(event.kind, event.level, event.epoch) for event in events]
    assert told == [
        ("epoch", 0, 1),  # up to the rewind point
        *[("epoch", 0, 1), ("epoch", 0, 2), ("level", 0, 0)],
        *[("epoch", 1, 1), ("epoch", 1, 2), ("level", 1, 0), ("done", 1, 0)],
    ]
    levels = [event for event in events if event.kind == "level"]
    assert [event.density for event in levels] == [1, 40159 / 50200]
    for event in levels:
        assert event.accuracy == only_run(tmp_path).read_record(event.level)["accuracy"][0].as_py()


# What is recorded.


def test_records_hold_what_the_masks_and_weights_say(tmp_path: Path) -> None:
    go(tmp_path, keep=("init", "rewind", "dense"))
    folder = only_run(tmp_path)
    dense = read_tensors(folder.weights("dense"))[0]
    module = build("lenet", DIGITS.input_shape, 10)
    load_arrays(module, dense)
    score = evaluate(module, whole_test_set(DIGITS, CPU))
    first = folder.read_record(0).to_pylist()
    assert (first[0]["accuracy"], first[0]["loss"]) == (score.accuracy, score.loss)
    for row in first:
        weight = dense[f"{row['layer']}.weight"].astype(np.float64)
        assert row["magnitude"] == pytest.approx(np.abs(weight).sum(), rel=1e-12)
    before = None
    for level in range(3):
        mask, table = read_mask(folder.mask(level)), folder.read_record(level).to_pylist()
        assert [row["layer"] for row in table] == list(mask)
        for row in table:
            assert row["kept"] == mask[row["layer"]].sum()
            assert row["kept_prev"] == (None if before is None else before[row["layer"]][0])
            assert row["magnitude_prev"] == (None if before is None else before[row["layer"]][1])
        before = {row["layer"]: (row["kept"], row["magnitude"]) for row in table}


def test_the_description_holds_scales_versions_and_the_machine(whole: Path) -> None:
    found = Description.read(only_run(whole).description)
    assert (found.seed, found.levels, found.source) == (0, 2, "rgtool")
    for name in ("init", "rewind"):
        arrays = read_tensors(only_run(whole).weights(name))[0]
        for layer, scale in found.scales[name].items():
            weight = arrays[f"{layer}.weight"].astype(np.float64)
            assert scale == pytest.approx(math.sqrt((weight**2).mean()), rel=1e-12)
    assert found.versions["torch"] == torch.__version__
    assert found.versions["data_sha256"] == DIGITS.sha256
    assert found.machine["threads"] == 1


@pytest.mark.parametrize("keep", [(), ("dense",), ("init",)])
def test_weights_that_are_not_kept_change_nothing(
    keep: tuple[str, ...], whole: Path, tmp_path: Path
) -> None:
    go(tmp_path, keep=keep, should_stop=stop_at(12))
    go(tmp_path, keep=keep)
    weights = only_run(tmp_path).path / "weights"
    assert sorted(path.stem for path in weights.iterdir()) == sorted(keep)
    assert without_weights(tmp_path) == without_weights(whole)
    assert description(tmp_path) == description(whole)


def without_weights(store: Path) -> dict[str, object]:
    return {name: value for name, value in results(store).items() if "/weights/" not in name}


def test_layerwise_pruning_counts_every_layer_by_itself(tmp_path: Path) -> None:
    go(tmp_path, scope="layerwise")
    before = {row["layer"]: row["total"] for row in only_run(tmp_path).read_record(0).to_pylist()}
    for level in (1, 2):
        for row in only_run(tmp_path).read_record(level).to_pylist():
            if row["exempt"]:
                assert row["kept"] == row["total"]
                continue
            right = kept_after(row["total"], before[row["layer"]], level, 0.2, "openlth")
            assert row["kept"] == right
            before[row["layer"]] = right


def test_random_pruning_has_the_same_counts_and_other_masks(whole: Path, tmp_path: Path) -> None:
    go(tmp_path, pruner="random")
    assert kept(tmp_path) == kept(whole)
    random, magnitude = (read_mask(only_run(store).mask(1)) for store in (tmp_path, whole))
    assert any((random[name] != magnitude[name]).any() for name in random)
    expected = 39159 / 49200  # without the output layer, which is exempt
    error = math.sqrt(expected * (1 - expected) / random["fc1"].size)
    assert abs(random["fc1"].mean() - expected) < 4 * error
    # Every level draws from a stream of its own; weights do not matter.
    made = plan("lenet", "few-digits", **{**SMALL, "pruner": "random"})
    mask = read_mask(only_run(tmp_path).mask(0))
    for level in (1, 2):
        rng = generator(0, "prune", level)
        mask = prune_once(mask, mask, made.layers, made.recipe, level, rng)
        for name, array in read_mask(only_run(tmp_path).mask(level)).items():
            np.testing.assert_array_equal(array, mask[name])


def test_the_last_level_that_weights_allow_is_recorded(tmp_path: Path) -> None:
    changes = {"prune": 0.9, "rewind": "0"}
    assert go(tmp_path, levels=1, **changes).seeds("done") == [0]
    with pytest.raises(UsageError, match="level 1 is the last for lenet at prune 0.9"):
        go(tmp_path, levels=2, **changes)
    assert kept(tmp_path) == [50200, 5019]


# Interrupted.


@pytest.mark.parametrize("task", TASKS)
def test_a_run_that_is_stopped_after_every_step_is_the_same(task: str, tmp_path: Path) -> None:
    model = "resnet8w4"  # with BN; lenet is what the other tests take
    go(tmp_path / "whole", model, task)
    store = tmp_path / "stopped"
    stops = 0
    # The question before the seed, one step, the question after it.
    while (outcome := go(store, model, task, should_stop=stop_at(2))).seeds("stopped"):
        stops += 1
        assert only_run(store).checkpoint.exists()
    assert outcome.seeds("done") == [0]
    assert stops == 1 + 3 * 7  # nobody asks after the last step of a level
    assert results(store) == results(tmp_path / "whole")
    assert not only_run(store).checkpoint.exists()


def test_a_run_that_is_stopped_once_anywhere_is_the_same(whole: Path, tmp_path: Path) -> None:
    for asked in range(2, 1 + 1 + 3 * 7 + 1, 4):
        store = tmp_path / str(asked)
        assert go(store, should_stop=stop_at(asked)).seeds("stopped") == [0]
        assert go(store).seeds("done") == [0]
        assert results(store) == results(whole), asked
        assert description(store) == description(whole)


def test_nothing_is_begun_once_a_stop_was_asked_for(tmp_path: Path) -> None:
    outcome = go(tmp_path, seeds=3, should_stop=lambda: True)
    assert outcome.seeds("stopped") == [0, 1, 2]
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_time_budget_stops_inside_a_level(whole: Path, tmp_path: Path) -> None:
    assert go(tmp_path, time_budget=1e-6).seeds("stopped") == [0]
    assert only_run(tmp_path).checkpoint.exists()
    assert go(tmp_path).seeds("done") == [0]
    assert results(tmp_path) == results(whole)


def test_checkpoints_are_written_as_time_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def look(event: Event) -> None:
        if event.kind == "epoch":
            seen.append(only_run(tmp_path).checkpoint.exists())

    go(tmp_path, levels=0, rewind="0", on_event=look)
    shutil.rmtree(tmp_path)
    monkeypatch.setenv(CHECKPOINT_VARIABLE, "0")
    go(tmp_path, levels=0, rewind="0", on_event=look)
    assert seen == [False, False, True, True]
    monkeypatch.setenv(CHECKPOINT_VARIABLE, "soon")
    assert "is 'soon': give seconds" in message(go(tmp_path, levels=1, rewind="0"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 40)


def other_network(path: Path) -> None:
    metadata = read_tensors(path)[1]
    write_tensors(path, {"fc.weight": np.zeros((2, 2), np.float32)}, metadata)


def no_metadata(path: Path) -> None:
    write_tensors(path, read_tensors(path)[0])


def absurd_metadata(path: Path) -> None:
    write_tensors(path, read_tensors(path)[0], {"state": "[1]"})


DAMAGES = (Path.unlink, cut, empty, garbage, other_network)


@pytest.mark.parametrize("damage", [*DAMAGES, no_metadata, absurd_metadata])
def test_a_damaged_checkpoint_costs_time_only(
    damage: Callable[[Path], None], whole: Path, tmp_path: Path
) -> None:
    go(tmp_path, should_stop=stop_at(13))  # inside level 1
    damage(only_run(tmp_path).checkpoint)
    assert go(tmp_path).seeds("done") == [0]
    assert results(tmp_path) == results(whole)


@pytest.mark.parametrize(
    ("name", "damage"), [("init", Path.unlink), *[("rewind", damage) for damage in DAMAGES]]
)
def test_lost_weights_are_computed_again(
    name: str, damage: Callable[[Path], None], whole: Path, tmp_path: Path
) -> None:
    go(tmp_path, should_stop=stop_at(13))
    damage(only_run(tmp_path).weights(name))
    assert go(tmp_path).seeds("done") == [0]
    assert results(tmp_path) == results(whole)


def test_a_checkpoint_of_a_recorded_level_is_ignored(whole: Path, tmp_path: Path) -> None:
    # Killed between the record and the removal of the checkpoint.
    go(tmp_path, should_stop=stop_at(6))
    stale = only_run(tmp_path).checkpoint.read_bytes()
    go(tmp_path, levels=0)
    only_run(tmp_path).checkpoint.write_bytes(stale)
    assert go(tmp_path).seeds("done") == [0]
    assert results(tmp_path) == results(whole)


def test_a_mask_without_its_record_is_written_again(whole: Path, tmp_path: Path) -> None:
    # Killed between the mask of the next level and the record of this one.
    go(tmp_path)
    folder = only_run(tmp_path)
    folder.record(2).unlink()
    write_mask(folder.mask(3), read_mask(folder.mask(0)))
    assert go(tmp_path).seeds("done") == [0]
    assert results(tmp_path) == results(whole)


def test_scales_are_told_where_the_run_was_killed_before_them(whole: Path, tmp_path: Path) -> None:
    go(tmp_path, levels=0)
    path = only_run(tmp_path).description
    dataclasses.replace(Description.read(path), scales={}).write(path)
    go(tmp_path)
    assert description(tmp_path) == description(whole)
    path.unlink()  # and where the description is gone
    go(tmp_path, levels=3)
    assert description(tmp_path) == {**description(whole), "levels": 3}


def test_what_killed_processes_were_writing_is_removed(whole: Path, tmp_path: Path) -> None:
    go(tmp_path, should_stop=stop_at(13))
    folder = only_run(tmp_path).path
    for left in (".checkpoint.safetensors.17.part", "records/.0001.parquet.17.part"):
        (folder / left).write_bytes(b"half")
    go(tmp_path)
    assert results(tmp_path) == results(whole)
    assert not list(folder.rglob("*.part"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
@pytest.mark.parametrize("victim", ["records/{}0001.parquet{}", "{}checkpoint.safetensors{}"])
def test_a_full_disk_is_reported_and_the_run_goes_on(
    victim: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECKPOINT_VARIABLE, "0")

    def fill(event: Event) -> None:
        if event.kind == "level":  # the temporary file of what is written next
            name = victim.format(".", f".{os.getpid()}.part")
            (only_run(tmp_path).path / name).symlink_to("/dev/full")

    text = message(go(tmp_path, on_event=fill))
    assert f"the disk that holds {tmp_path} is full" in text
    assert "same command again" in text
    assert kept(tmp_path) == kept(whole)[:1]
    assert not list(tmp_path.rglob("*.part"))
    assert go(tmp_path).seeds("done") == [0]
    assert results(tmp_path) == results(whole)


def test_other_failures_of_the_disk_name_what_failed(tmp_path: Path) -> None:
    go(tmp_path, levels=0)
    folder = only_run(tmp_path)
    shutil.rmtree(folder.path / "masks")
    (folder.path / "masks").write_text("")
    text = message(go(tmp_path))
    assert str(folder.path / "masks") in text
    assert os.strerror(errno.EEXIST) in text


# What is missing.


@pytest.mark.parametrize("damage", [Path.unlink, cut, garbage, empty])
def test_a_lost_mask_is_named_with_the_remedy(
    damage: Callable[[Path], None], whole: Path, tmp_path: Path
) -> None:
    go(tmp_path, levels=1)
    folder = only_run(tmp_path)
    damage(folder.mask(2))
    text = message(go(tmp_path))
    assert f"run {folder.path.name}: the mask of level 2 cannot be read" in text
    assert "move its records from level 1 on away" in text
    folder.record(1).unlink()
    assert go(tmp_path).seeds("done") == [0]
    assert results(tmp_path) == results(whole)


def test_a_gap_is_named_with_the_remedy(whole: Path, tmp_path: Path) -> None:
    go(tmp_path)
    folder = only_run(tmp_path)
    folder.record(1).unlink()
    text = message(go(tmp_path))
    assert "records of levels [0, 2] leave a gap; move those after the gap away" in text
    folder.record(2).unlink()
    assert go(tmp_path).seeds("done") == [0]
    assert results(tmp_path) == results(whole)


@pytest.mark.parametrize("damage", [cut, garbage, empty])
def test_a_broken_last_record_is_named_with_the_remedy(
    damage: Callable[[Path], None], whole: Path, tmp_path: Path
) -> None:
    go(tmp_path, levels=1)
    folder = only_run(tmp_path)
    damage(folder.record(1))
    text = message(go(tmp_path))
    assert f"{folder.record(1)}: not a readable Parquet file" in text
    assert "once that file is moved away, level 1 is computed again" in text
    folder.record(1).unlink()
    assert go(tmp_path).seeds("done") == [0]
    assert results(tmp_path) == results(whole)


def test_a_broken_description_is_named_with_the_remedy(whole: Path, tmp_path: Path) -> None:
    go(tmp_path, levels=1)
    path = only_run(tmp_path).description
    path.write_text("{}")
    text = message(go(tmp_path))
    assert f"{path}: not a description of a run" in text
    assert "once it is moved away, it is written again" in text
    path.unlink()
    assert go(tmp_path).seeds("done") == [0]
    assert results(tmp_path) == results(whole)
    assert description(tmp_path) == description(whole)


def test_a_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(RgtoolError, match="a file is in the way; name a folder with --store"):
        go(tmp_path / "store")


# Elsewhere.


def test_a_run_does_not_go_on_with_other_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tmp_path, levels=1)
    before = disk(only_run(tmp_path).path / "records")
    other = DIGITS.x_train.copy()
    other[3, 4, 4] ^= 1
    changed = dataclasses.replace(DIGITS, x_train=other)
    monkeypatch.setitem(data.DATASETS, "few-digits", lambda folder: changed)
    text = message(go(tmp_path))
    assert f"run {only_run(tmp_path).path.name} began on other data (data_sha256 was" in text
    assert "bring the same files, or use another store" in text
    assert disk(only_run(tmp_path).path / "records") == before


def test_other_libraries_and_machines_are_warned_of(whole: Path, tmp_path: Path) -> None:
    go(tmp_path, levels=1)
    path = only_run(tmp_path).description
    old = Description.read(path)
    versions, machine = {**old.versions, "torch": "1.0"}, {**old.machine, "threads": 2}
    dataclasses.replace(old, versions=versions, machine=machine).write(path)
    events: list[Event] = []
    assert go(tmp_path, on_event=events.append).seeds("done") == [0]
    warnings = [event.message for event in events if event.kind == "warning"]
    assert len(warnings) == 2
    assert f"goes on under other conditions: torch was 1.0, is {torch.__version__}" in warnings[0]
    assert "threads was 2, is 1" in warnings[1]
    assert results(tmp_path) == results(whole)
    found = Description.read(path)
    assert found.versions["torch"] == torch.__version__
    assert found.history == (
        f"from level 2: torch was 1.0, is {torch.__version__}",
        "from level 2: threads was 2, is 1",
    )


def test_a_second_process_is_told_who_is_at_work(whole: Path, tmp_path: Path) -> None:
    second: list[Outcome] = []

    def ask(event: Event) -> None:
        if event.kind == "level" and event.level == 1:
            second.append(go(tmp_path))

    assert go(tmp_path, on_event=ask).seeds("done") == [0]
    text = message(second[0])
    who = f"(id {os.getpid()} on {platform.node()})"
    assert f"in the hands of another process {who}; it is left to that one" in text
    assert results(tmp_path) == results(whole)


# Divergence.


@pytest.mark.parametrize("rewind", ["0", "2it", "7it"])
def test_divergence_ends_a_run_with_a_record_that_says_so(rewind: str, tmp_path: Path) -> None:
    outcome = go(tmp_path, lr=1e9, rewind=rewind, seeds=2)
    assert outcome.seeds("diverged") == [0, 1]
    for path in (tmp_path / "runs").iterdir():
        folder = RunFolder(path)
        assert folder.recorded_levels() == [0]
        rows = folder.read_record(0).to_pylist()
        assert all(row["diverged"] and row["accuracy"] is None for row in rows)
        assert all(row["kept"] == row["total"] and row["magnitude"] is None for row in rows)
        assert not folder.checkpoint.exists()
    before = disk(tmp_path)
    again = go(tmp_path, lr=1e9, rewind=rewind, seeds=2)
    assert [(e.kind, e.message) for e in again.ends.values()] == [("known", "diverged")] * 2
    assert disk(tmp_path) == before


def test_one_seed_diverges_and_the_others_go_on(tmp_path: Path) -> None:
    go(tmp_path, seeds=3, levels=0)
    folders = [RunFolder(path) for path in sorted((tmp_path / "runs").iterdir())]
    arrays = read_tensors(folders[1].weights("rewind"))[0]
    arrays["fc.weight"][:] = np.nan
    write_tensors(folders[1].weights("rewind"), arrays)
    outcome = go(tmp_path, seeds=3)
    assert [event.kind for event in outcome.ends.values()] == ["done", "diverged", "done"]
    assert [folder.recorded_levels() for folder in folders] == [[0, 1, 2], [0, 1], [0, 1, 2]]
    (record,) = {
        tuple(r.values()) for r in folders[1].read_record(1).select(["diverged"]).to_pylist()
    }
    assert record == (True,)
    assert folders[1].read_record(1)["network_kept"][0].as_py() == 40159
    info = {run.seed: run for run in Store(tmp_path).runs()}
    assert [(info[seed].finished, info[seed].diverged) for seed in range(3)] == [
        (True, False),
        (True, True),
        (True, False),
    ]


# Controls.


def test_a_control_trains_the_found_masks_from_new_weights(whole: Path, tmp_path: Path) -> None:
    assert go(tmp_path, control="reinit").seeds("done") == [0]
    found = only_run(whole).path.name
    (control,) = {path.name for path in (tmp_path / "runs").iterdir()} - {found}
    run, parent = (RunFolder.of(tmp_path, name) for name in (control, found))
    # The found run is the same as without a control.
    assert {k: v for k, v in results(tmp_path).items() if k.startswith(found)} == results(whole)
    told = Description.read(run.description)
    assert told.parent_run == found
    assert told.recipe.parent == Description.read(parent.description).experiment_id
    assert control == told.recipe.run_id(0, found)
    assert told.recipe.control == "reinit"
    for level in range(3):
        assert run.mask(level).read_bytes() == parent.mask(level).read_bytes()
        mine, theirs = (folder.read_record(level).to_pylist() for folder in (run, parent))
        assert [row["kept"] for row in mine] == [row["kept"] for row in theirs]
        assert all(a["magnitude"] != b["magnitude"] for a, b in zip(mine, theirs, strict=True))
    assert not run.mask(3).exists()  # nothing is pruned here
    assert not list((run.path / "weights").iterdir())
    before = disk(tmp_path)
    assert go(tmp_path, control="reinit").seeds("known") == [0]
    assert disk(tmp_path) == before


def test_a_control_draws_new_weights_for_every_level(tmp_path: Path) -> None:
    # With a learning rate too small to move a weight, magnitudes are those of the initial ones.
    go(tmp_path, control="reinit", lr=1e-30, rewind="0")
    by_run = [
        {
            RunFolder(path).read_record(level).to_pylist()[-1]["magnitude"]  # never pruned
            for level in range(3)
        }
        for path in (tmp_path / "runs").iterdir()
    ]
    found, control = sorted(by_run, key=len)
    assert (len(found), len(control)) == (1, 3)
    assert not found & control


def test_a_control_is_resumed_and_extended_to_the_same_bits(tmp_path: Path) -> None:
    go(tmp_path / "whole", control="reinit")
    store = tmp_path / "stopped"
    # Questions: one before the seed, 22 in the found run, then 7 a level of the control.
    for asked in (10, 4, 16, 9):
        assert go(store, control="reinit", should_stop=stop_at(asked)).seeds("stopped") == [0]
    go(store, control="reinit")
    assert results(store) == results(tmp_path / "whole")
    for one in (store, tmp_path / "whole"):
        go(one, control="reinit", levels=3)
    assert results(store) == results(tmp_path / "whole")


def test_a_control_without_its_masks_names_the_run_that_has_lost_them(tmp_path: Path) -> None:
    go(tmp_path)
    parent = only_run(tmp_path)
    parent.mask(1).unlink()
    text = message(go(tmp_path, control="reinit"))
    assert f"run {parent.path.name}: the mask of level 1 cannot be read" in text
    assert "move its records from level 0 on away" in text
    for level in range(3):
        parent.record(level).unlink()
    assert go(tmp_path, control="reinit").seeds("done") == [0]


def test_a_control_of_a_run_that_diverged_is_left_out_each_time(tmp_path: Path) -> None:
    for _ in range(2):
        outcome = go(tmp_path, lr=1e9, control="reinit")
        assert "diverged" in (outcome.ends[0].kind, outcome.ends[0].message)
        assert len(list((tmp_path / "runs").iterdir())) == 1


# Wrong requests.


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model": "resnet2O"}, "model 'resnet2O' is unknown: did you mean resnet"),
        ({"task": "digit"}, "data set 'digit' is unknown: did you mean"),
        ({"levels": -1}, "levels is -1: it is the number of prunings, from 0 to 9999"),
        ({"levels": 500}, "is the last for lenet at prune 0.2"),
        ({"seeds": 0}, "seeds 0: give a count such as 5, at most 100000, or seeds such as 3,7"),
        ({"seeds": [1, -1]}, "give a count such as 5"),
        ({"seeds": 2.5}, "seeds 2.5: give a count such as 5"),
        ({"seeds": ["a"]}, "seeds ['a']: give a count such as 5"),
        ({"seeds": "0,b"}, "seeds 0,b: give a count such as 5"),
        ({"workers": 0}, "workers is 0: at least one process is needed"),
        ({"keep": ("init", "all")}, "keep 'all' is unknown: choose from dense, init, rewind"),
        ({"device": "tpu"}, "device 'tpu' is unknown: use auto, cpu, cuda or cuda:1"),
        ({"control": "renit"}, "control 'renit' is unknown: did you mean reinit"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_done(
    changes: dict[str, object], text: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        go(tmp_path / "store", **changes)  # type: ignore[arg-type]
    assert text in str(refused.value)
    assert not (tmp_path / "store").exists()


def test_a_dry_run_in_python_is_the_plan(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"rgtool\.plan takes the same and computes nothing"):
        run("lenet", "digits", store=tmp_path / "store", dry_run=True)
    assert not (tmp_path / "store").exists()


def test_a_plan_tells_what_is_left_to_do(tmp_path: Path) -> None:
    def remaining(**changes: object) -> int:
        options = {**SMALL, "store": tmp_path, **changes}
        return plan("lenet", "few-digits", **options).remaining()

    assert remaining() == 3
    assert remaining(seeds=2, control="reinit") == 12
    go(tmp_path, levels=1)
    assert remaining() == 1
    assert remaining(seeds=2, control="reinit") == 10
    assert remaining(levels=0) == 0


def test_an_estimate_knows_the_size_of_what_is_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "PROBE_SECONDS", 0.02)
    options = {**SMALL, "store": tmp_path, "seeds": 2, "lr": 1e9}  # that diverges, if it is run
    found = estimate.estimate(plan("resnet8w4", "few-digits", **options))
    module = build("resnet8w4", DIGITS.input_shape, 10)
    assert found.parameters == sum(p.numel() for p in module.parameters())
    assert found.plan.kept[0] == 4964
    assert (found.plan.records, found.remaining) == (6, 6)
    assert found.images_per_second > 0
    assert found.seconds > 0
    assert not list(tmp_path.iterdir())
    go(tmp_path, "resnet8w4", seeds=2)
    used = sum(path.stat().st_size for path in disk_paths(tmp_path))
    assert 0.5 < found.disk / used < 2
