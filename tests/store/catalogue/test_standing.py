"""How far runs are, and who is at work on them: by locks, signs of life, epochs and records."""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from pathlib import Path

import pytest
from stores import counts, data_of, describe, write_record, write_run

from rgtool.schemas.errors import UsageError
from rgtool.schemas.lock import lock
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.epochs import Epoch, write_epochs
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.words import ASCII_BARS
from rgtool.store import Store
from rgtool.store.catalogue.signs import ALIVE
from rgtool.store.catalogue.standing import Stand, Standing, standing

RECIPE = Recipe(architecture="resnet8w4", task="digits", epochs=10, rewind="0")


def begin(store: Path, seed: int = 0, asked: int = 5, reached: int = 2, **fields: object) -> Path:
    """A run of which levels are left, as a process that was stopped leaves it; its folder."""
    recipe = dataclasses.replace(RECIPE, **fields)  # type: ignore[arg-type]
    recorded = range(reached + 1)
    run_id = write_run(store, seed, asked, recipe=recipe, recorded=recorded, asked=asked)
    folder = RunFolder.of(store, run_id)
    folder.epochs.unlink(missing_ok=True)
    return folder.path


def only(found: Standing) -> Stand:
    (one,) = found.stands
    return one


def trained(folder: Path, *steps: tuple[int, int], run_id: str = "") -> None:
    """Write epochs of a run, and lines that are none of it around them."""
    name = run_id or folder.name
    write_epochs(
        RunFolder(folder).epochs,
        [Epoch(run_id=name, level=n, epoch=e, images_per_second=100.0 * e) for n, e in steps],
    )
    with RunFolder(folder).epochs.open("ab") as file:
        file.write(
            Epoch(run_id="another", level=4, epoch=9).line() + b'{"run_id": "' + name.encode()
        )


def hours_ago(folder: Path, hours: float) -> None:
    """Let nothing have been written since."""
    then = time.time() - 3600 * hours
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (then, then))


def test_every_state_is_told_by_what_is_there(tmp_path: Path) -> None:
    begin(tmp_path, 0)
    at_work = begin(tmp_path, 1)
    write_run(tmp_path, 2, 3, recipe=RECIPE)
    write_run(tmp_path, 3, 2, recipe=RECIPE, asked=5, diverged=True)
    write_run(tmp_path, 4, 2, recipe=RECIPE, asked=5, source="openlth")
    store = Store(tmp_path)
    with lock(at_work / "lock", "it"):
        found = store.standing(every=True)
        assert [(one.state, one.run.seed) for one in found.stands] == [
            ("at work", 1),
            ("stopped", 0),
            ("diverged", 3),
            ("done", 2),
        ]
        working = found.of("at work")[0]
        assert working.is_locked and str(working.holder) == f"{os.getpid()} on {platform.node()}"
        assert [one.run.seed for one in store.standing().stands] == [1, 0]
        assert found.said() == "1 at work, 1 stopped, 1 diverged, 1 done"
    assert [one.state for one in store.standing().stands] == ["stopped", "stopped"]
    assert [one.level for one in found.stands] == [3, 3, 2, 3]
    assert all(one.holder is None for one in found.stands[1:])


def test_nothing_of_the_store_changes(tmp_path: Path) -> None:
    folder = begin(tmp_path)
    (folder / "lock").write_text("7 elsewhere\n")
    before = data_of(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert only(Store(tmp_path).standing()).state == "at work"
    assert data_of(tmp_path) == before
    assert (folder / "lock").read_text() == "7 elsewhere\n"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


@pytest.mark.parametrize(
    ("signature", "hours", "state"),
    [
        ("7 elsewhere\n", 0.0, "at work"),
        ("7 elsewhere\n", 0.9 * ALIVE / 3600, "at work"),
        ("7 elsewhere\n", 1.1 * ALIVE / 3600, "stopped"),
        ("", 0.0, "stopped"),  # let go of
        ("7\n", 0.0, "stopped"),  # of a version that wrote no machine: the lock alone tells
        (f"7 {platform.node()}\n", 0.0, "stopped"),  # killed here, where locks reach
    ],
)
def test_where_locks_do_not_reach_signs_of_life_tell(
    tmp_path: Path, signature: str, hours: float, state: str
) -> None:
    folder = begin(tmp_path)
    (folder / "lock").write_text(signature)
    hours_ago(folder, hours)
    found = Store(tmp_path).standing()
    one = only(found)
    assert (one.state, one.is_locked) == (state, False)
    notes = " ".join(found.table().notes)
    assert ("by signs of life: the last within 5 min" in notes) == (state == "at work")
    assert ("what is stopped" in notes) == (state == "stopped")
    if state == "at work":
        assert str(one.holder) == "7 on elsewhere"
    assert one.seen is not None
    assert abs((found.taken_at - one.seen).total_seconds() - 3600 * hours) < 30


@pytest.mark.parametrize("name", ["epochs.jsonl", "checkpoint.safetensors", "records", "run.json"])
def test_whatever_a_run_writes_is_a_sign_of_life(tmp_path: Path, name: str) -> None:
    folder = begin(tmp_path)
    (folder / "lock").write_text("7 elsewhere\n")
    hours_ago(folder, 5)
    assert only(Store(tmp_path).standing()).state == "stopped"
    (folder / name).touch()
    os.utime(folder, (0, 0))  # which tells no more than its files
    assert only(Store(tmp_path).standing()).state == "at work"


def test_epochs_tell_where_a_run_is(tmp_path: Path) -> None:
    folder = begin(tmp_path)
    one = only(Store(tmp_path).standing())
    assert (one.level, one.epoch, one.epochs, one.images_per_second) == (3, None, 10, None)
    with lock(folder / "lock", "it"):
        assert only(Store(tmp_path).standing()).epoch == 0
    trained(folder, (2, 9), (2, 10), (3, 1), (3, 4))
    one = only(Store(tmp_path).standing())
    assert (one.level, one.epoch, one.images_per_second) == (3, 4, 400.0)
    trained(folder, (2, 9), (2, 10))  # the level before
    one = only(Store(tmp_path).standing())
    assert (one.level, one.epoch, one.images_per_second) == (3, None, 1000.0)
    trained(folder, (3, 10), (4, 2))  # a level that has ended since the records were read
    with lock(folder / "lock", "it"):
        one = only(Store(tmp_path).standing())
        left = one.seconds_left
    assert (one.level, one.epoch) == (4, 2)
    trained(folder, (3, 2))
    with lock(folder / "lock", "it"):
        before = only(Store(tmp_path).standing()).seconds_left
    assert before is not None and left == pytest.approx(before - 1.5)  # a level takes as long
    trained(folder, (3, 4), run_id="f" * 12)
    assert only(Store(tmp_path).standing()).epoch is None


def test_many_epochs_are_read_from_their_end(tmp_path: Path) -> None:
    folder = begin(tmp_path)
    trained(folder, *((level, epoch) for level in range(4) for epoch in range(1, 500)))
    assert RunFolder(folder).epochs.stat().st_size > 3 << 16
    assert (only(Store(tmp_path).standing()).epoch) == 499


def test_before_the_rewind_point_a_run_is_in_no_level(tmp_path: Path) -> None:
    folder = begin(tmp_path, reached=-1, rewind="2ep")
    assert only(Store(tmp_path).standing()).level == 0
    trained(folder, (-1, 1))
    found = Store(tmp_path).standing()
    one = only(found)
    assert (one.level, one.epoch, one.epochs, one.seconds_left) == (-1, 1, None, None)
    people = found.table().for_people()
    told = dict(zip(people.columns, people.rows[0], strict=True))
    assert (told["level"], told["epoch"], told["left"]) == ("rewind", "1", "unknown")


def test_the_time_left_is_that_of_the_levels_that_ran(tmp_path: Path) -> None:
    folder = begin(tmp_path, asked=7, reached=-1)
    kept = counts(RECIPE, 0, 7)
    assert only(Store(tmp_path).standing()).seconds_left is None
    for level, seconds in enumerate((500.0, 9.0, 3.0, 4.0, 5.0, 4.0)):
        write_record(tmp_path, RECIPE, folder.name, level, kept, wall_seconds=seconds)
    assert only(Store(tmp_path).standing()).seconds_left == 2 * 4.0  # the median of the last five
    trained(folder, (6, 5))
    assert only(Store(tmp_path).standing()).seconds_left == 1.5 * 4.0
    # Another seed has no level yet: those of the first tell.
    begin(tmp_path, 1, asked=7, reached=-1)
    assert [one.seconds_left for one in Store(tmp_path).standing().stands] == [6.0, 32.0]
    trained(begin(tmp_path, 2, asked=7, reached=-1), (-1, 4))  # which is of no level
    assert [one.seconds_left for one in Store(tmp_path).standing().stands] == [6.0, 32.0, 32.0]
    write_record(tmp_path, RECIPE, RECIPE.run_id(1), 0, counts(RECIPE, 1, 7), wall_seconds=10.0)
    assert [one.seconds_left for one in Store(tmp_path).standing().stands][:2] == [6.0, 70.0]
    # Another experiment has none that could.
    begin(tmp_path, 0, asked=7, reached=-1, lr=0.2)
    assert None in [one.seconds_left for one in Store(tmp_path).standing().stands]


@pytest.mark.parametrize(("schedule", "left"), [("continue", 0.75), ("restart", 0.4)])
def test_a_level_that_begins_at_the_rewind_point_is_shorter(
    tmp_path: Path, schedule: str, left: float
) -> None:
    folder = begin(tmp_path, asked=3, reached=2, rewind="2ep", schedule=schedule)
    trained(folder, (3, 4 if schedule == "continue" else 6))
    assert only(Store(tmp_path).standing()).seconds_left == pytest.approx(1.5 * left)


def test_levels_without_a_measured_time_tell_nothing(tmp_path: Path) -> None:
    folder = begin(tmp_path, reached=-1)
    kept = counts(RECIPE, 0, 5)
    write_record(tmp_path, RECIPE, folder.name, 0, kept, wall_seconds=None, accuracy=None)
    one = only(Store(tmp_path).standing())
    assert (one.seconds_left, one.accuracies, one.level) == (None, (), 1)


def child_of(store: Path, parent: Path, levels: int, *recorded: int) -> Path:
    """A child of a run that was asked for levels up to one."""
    recipe = dataclasses.replace(RECIPE, parent=RECIPE.experiment_id)
    run_id = recipe.run_id(0, parent.name)
    told = describe(recipe, 0, levels, run_id=run_id, parent_run=parent.name)
    folder = RunFolder.of(store, run_id)
    folder.make()
    told.write(folder.description)
    for level in recorded:
        write_record(store, recipe, run_id, level, counts(recipe, 0, levels))
    return folder.path


def test_a_child_waits_for_levels_of_its_parent(tmp_path: Path) -> None:
    parent = begin(tmp_path, asked=5, reached=2)
    child = child_of(tmp_path, parent, 4)

    def state() -> str:
        return {one.run.run_id: one.state for one in Store(tmp_path).standing().stands}[child.name]

    assert state() == "waiting"
    with lock(child / "lock", "it"):
        assert state() == "at work"
    for level in (3, 4):
        write_record(tmp_path, RECIPE, parent.name, level, counts(RECIPE, 0, 5))
    assert state() == "stopped"


def test_of_a_child_nothing_tells_the_levels_that_are_asked_for(tmp_path: Path) -> None:
    parent = begin(tmp_path, asked=5, reached=5)
    child = child_of(tmp_path, parent, 4, 0)
    one = only(Store(tmp_path).standing())
    assert (one.run.run_id, one.level, one.seconds_left) == (child.name, 0, None)
    trained(child, (0, 10), (2, 3))
    one = only(Store(tmp_path).standing())
    assert (one.level, one.epoch) == (2, 3)
    write_record(tmp_path, one_recipe(child), child.name, 4, counts(RECIPE, 0, 4))
    assert Store(tmp_path).standing().stands == ()


def one_recipe(folder: Path) -> Recipe:
    told = RunFolder(folder).read_description()
    assert told is not None
    return told.recipe


def test_selections_and_runs_that_stay_in_sight(tmp_path: Path) -> None:
    begin(tmp_path, 0)
    begin(tmp_path, 0, lr=0.2)
    done = write_run(tmp_path, 1, 2, recipe=RECIPE)
    store = Store(tmp_path)
    assert len(store.standing().stands) == 2
    (one,) = store.standing(["lr=0.2"]).stands
    assert one.run.label.endswith("lr=0.2")
    assert len(store.standing(["lr=0.2", RECIPE.experiment_id]).stands) == 2
    assert store.standing([done]).stands == ()
    assert only(store.standing([done], every=True)).state == "done"
    assert {one.run.run_id for one in standing(store, also={done}).stands} >= {done}
    with pytest.raises(UsageError, match="lr is 0.1 or 0.2 there"):
        store.standing(["lr=7"])


def test_a_missing_store_and_a_compacted_one(tmp_path: Path) -> None:
    found = Store(tmp_path / "none").standing()
    assert found.stands == () and "no run is at work or left unfinished" in found.summary()
    write_run(tmp_path, 0, 2, recipe=RECIPE)
    assert only(Store(tmp_path).standing(every=True)).seen is not None
    Store(tmp_path).compact()
    one = only(Store(tmp_path).standing(every=True))
    assert (one.state, one.level, one.seen) == ("done", 2, None)
    assert one.accuracies == pytest.approx((0.9, 0.89, 0.88))


def test_people_and_programs_get_what_is_theirs(tmp_path: Path) -> None:
    folder = begin(tmp_path)
    trained(folder, (3, 4))
    with lock(folder / "lock", "it"):
        found = dataclasses.replace(Store(tmp_path).standing(), bars=ASCII_BARS)
    table = found.table()
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["level"], row["levels"], row["epoch"], row["epochs"]) == (3, 5, 4, 10)
    assert (row["process"], row["host"]) == (str(os.getpid()), platform.node())
    assert row["seconds_left"] == pytest.approx(1.5 * 2.6)
    people = table.for_people()
    told = dict(zip(people.columns, people.rows[0], strict=True))
    assert (told["level"], told["epoch"], told["curve"]) == ("3/5", "4/10", "#=_")
    assert (told["images/s"], told["left"]) == (400, "4 s")
    assert told["held by"] == f"{os.getpid()} on {platform.node()}"
    assert told["last sign"] == "now" or told["last sign"].endswith(" ago")
    assert people.title == table.title and people.notes == table.notes
    assert found.table().first(0, "").people is not None
    begin(tmp_path, 1)
    cut = Store(tmp_path).standing().table().first(1, "all")
    assert len(cut.rows) == len(cut.for_people().rows) == 1
    assert "3/5" in found.summary() and "3/5" in found._repr_html_()
