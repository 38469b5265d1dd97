"""Epochs of runs: each once, whatever interrupts them, and equal to those of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from experiments import few_digits_file, go, only_run, replica_tasks, results, stop_at
from killed import killed_at

from rgtool.runner.event import Event
from rgtool.runner.replicas.checkpoint import CHECKPOINT_VARIABLE
from rgtool.schemas.records import epochs
from rgtool.schemas.records.epochs import Epoch, read_epochs
from rgtool.schemas.records.layout import RunFolder
from rgtool.store import Store

# Five batches an epoch, ten a level; the rewind point after two: an epoch that nobody ends before
# it, and ends after it.
CURVE = [(-1, 1), *((level, epoch) for level in range(3) for epoch in (1, 2))]
LEARNED = ("level", "epoch", "loss", "accuracy", "lr")


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica_tasks(monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run that nothing interrupted."""
    store: Path = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        replica_tasks(patched)
        go(store)
    return store


def told(folder: RunFolder) -> list[tuple[object, ...]]:
    """What the epochs of a run have in common with those of its repetition."""
    found = read_epochs(folder.epochs, folder.path.name)
    return [tuple(getattr(epoch, name) for name in LEARNED) for epoch in found]


def keys(folder: RunFolder) -> list[tuple[int, int]]:
    return [(epoch.level, epoch.epoch) for epoch in read_epochs(folder.epochs, folder.path.name)]


def folders(store: Path) -> list[RunFolder]:
    return [RunFolder(path) for path in sorted((store / "runs").iterdir())]


def test_every_epoch_is_there_in_order(whole: Path) -> None:
    folder = only_run(whole)
    found = read_epochs(folder.epochs, folder.path.name)
    assert keys(folder) == CURVE
    last = {epoch.level: epoch for epoch in found}
    for level in range(3):
        row = folder.read_record(level).slice(0, 1).to_pylist()[0]
        assert (last[level].loss, last[level].accuracy) == (row["train_loss"], row["train_accuracy"])
    times = [epoch.ended_at for epoch in found]
    assert None not in times
    assert times == sorted(times)  # type: ignore[type-var]
    assert all(epoch.images_per_second for epoch in found)


def test_the_learning_rate_is_that_of_the_last_step(tmp_path: Path) -> None:
    go(tmp_path, levels=0, epochs=3, rewind="0", milestones=["6it", "10it"], gamma=0.5, lr=0.4)
    (folder,) = folders(tmp_path)
    assert [lr for *_, lr in told(folder)] == [0.4, 0.2, 0.1]


@pytest.mark.parametrize("schedule", ["continue", "restart"])
def test_training_before_the_rewind_point_is_of_no_level(schedule: str, tmp_path: Path) -> None:
    go(tmp_path, levels=0, rewind="7it", schedule=schedule)
    after = [(0, 2)] if schedule == "continue" else [(0, 1), (0, 2)]
    assert keys(only_run(tmp_path)) == [(-1, 1), (-1, 2), *after]


def test_nothing_is_trained_and_nothing_told(tmp_path: Path) -> None:
    go(tmp_path, epochs=0, rewind="0")
    assert only_run(tmp_path).recorded_levels() == [0, 1, 2]
    assert not only_run(tmp_path).epochs.exists()


def test_events_tell_the_speed_that_is_written(tmp_path: Path) -> None:
    heard: list[Event] = []
    go(tmp_path, levels=0, on_event=heard.append)
    speeds = [event.images_per_second for event in heard if event.kind == "epoch"]
    folder = only_run(tmp_path)
    assert speeds == [e.images_per_second for e in read_epochs(folder.epochs, folder.path.name)]


def test_seeds_side_by_side_tell_what_each_tells_alone(whole: Path, tmp_path: Path) -> None:
    go(tmp_path, seeds=2, replicas=2)
    first, second = folders(tmp_path)
    assert told(first) == told(only_run(whole))
    assert keys(second) == CURVE
    assert told(second) != told(first)


def test_a_run_that_is_stopped_after_every_step_tells_each_epoch_once(
    whole: Path, tmp_path: Path
) -> None:
    while go(tmp_path, should_stop=stop_at(2)).seeds("stopped"):
        found = keys(only_run(tmp_path))
        assert found == CURVE[: len(found)]
    assert told(only_run(tmp_path)) == told(only_run(whole))


KILLED = """
import sys
from experiments import SMALL
from rgtool.runner.experiment import execute, plan
made = plan("lenet", sys.argv[3], store=sys.argv[2], **{"workers": 1, **SMALL})
begin()
execute(made)
"""


def test_a_run_that_is_killed_anywhere_tells_each_epoch_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints after every step are the most changes of files there can be."""
    task = few_digits_file(tmp_path)
    go(tmp_path / "whole", task=task)
    monkeypatch.setenv(CHECKPOINT_VARIABLE, "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "helpers"))
    store, kills = tmp_path / "killed", 0
    while killed_at(23, KILLED, str(store), task):
        kills += 1
        folder = only_run(store)
        found = keys(folder)
        assert found == CURVE[: len(found)]
        with folder.epochs.open("ab") as file:
            file.write(b'{"run_id": "' + folder.path.name.encode())  # as a kill within a line
    assert kills > 3
    assert told(only_run(store)) == told(only_run(tmp_path / "whole"))
    assert results(store) == results(tmp_path / "whole")


def test_what_was_written_beyond_the_checkpoint_goes(whole: Path, tmp_path: Path) -> None:
    """A process that was killed may have trained on after its last checkpoint."""
    assert go(tmp_path, should_stop=stop_at(15)).seeds("stopped") == [0]
    folder = only_run(tmp_path)
    known = keys(folder)
    level, epoch = known[-1]
    with folder.epochs.open("ab") as file:
        for beyond in (epoch + 1, epoch + 2):
            file.write(
                Epoch(run_id=folder.path.name, level=level, epoch=beyond, loss=9.0).line()
            )
    assert go(tmp_path, should_stop=stop_at(2)).seeds("stopped") == [0]
    assert keys(folder) == known
    go(tmp_path)
    assert told(folder) == told(only_run(whole))


def test_lost_weights_are_trained_again_and_told_once(tmp_path: Path) -> None:
    go(tmp_path, keep=())
    before = told(only_run(tmp_path))
    go(tmp_path, keep=(), levels=3)
    after = told(only_run(tmp_path))
    assert [row[:2] for row in after] == [*CURVE[1:], (-1, 1), (3, 1), (3, 2)]
    assert sorted(after[: len(CURVE)]) == sorted(before)


def test_a_run_that_diverges_tells_what_came_before(tmp_path: Path) -> None:
    go(tmp_path, lr=1e9, rewind="0", epochs=4)
    folder = only_run(tmp_path)
    assert folder.read_record(0)["diverged"][0].as_py()
    found = keys(folder)
    assert found == [(0, epoch + 1) for epoch in range(len(found))]
    assert len(found) < 4


def test_children_tell_their_own_epochs(tmp_path: Path) -> None:
    go(tmp_path, control="reinit")
    rows = Store(tmp_path).sql("SELECT control, run_id FROM runs").rows
    curves = {control: keys(RunFolder.of(tmp_path, run_id)) for control, run_id in rows}
    assert curves == {"none": CURVE, "reinit": CURVE[1:]}


def test_a_disk_that_takes_no_epochs_stops_no_run(whole: Path, tmp_path: Path) -> None:
    assert go(tmp_path, should_stop=stop_at(2)).seeds("stopped") == [0]
    folder = only_run(tmp_path)
    folder.epochs.mkdir()
    assert go(tmp_path).seeds("done") == [0]
    assert results(tmp_path) == results(whole)
    assert list(folder.epochs.iterdir()) == []


def test_identity_and_results_know_nothing_of_epochs(whole: Path, tmp_path: Path) -> None:
    go(tmp_path)
    folder = only_run(tmp_path)
    folder.epochs.unlink()
    assert results(tmp_path) == results(whole)
    assert Store(tmp_path).check().problems == ()
    assert go(tmp_path).seeds("known") == [0]
    assert epochs.FILE not in {path.name for path in folder.path.iterdir()}
