"""`Store.merge` and `rgtool merge`: stores brought together, each run whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from command import Cli
from killed import killed_at
from stores import counts, data_of, describe, write_record, write_run
from test_compact import as_version_1

from rgtool.schemas.errors import StoreError, UsageError
from rgtool.schemas.lock import lock
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.records.record import read_record
from rgtool.schemas.records.record import write_record as write_table
from rgtool.schemas.tensors.safetensors import read_mask, write_tensors
from rgtool.store import Store

DIGITS = Recipe(architecture="resnet8w4", task="digits")
QUERIES = [f"FROM {view} ORDER BY ALL" for view in ("runs", "levels", "layers", "flow", "epochs")]


def loose(path: Path) -> None:
    pass


def compacted(path: Path) -> None:
    Store(path).compact()


def of_0_1_0(path: Path) -> None:
    compacted(path)
    as_version_1(path)


STATES = [loose, compacted, of_0_1_0]
state = pytest.mark.parametrize("state", STATES, ids=lambda s: s.__name__)
other_state = pytest.mark.parametrize("other", STATES, ids=lambda s: s.__name__)
State = Callable[[Path], None]


def make(path: Path, state: State, *runs: tuple[int, int]) -> Path:
    """Make a store of runs, each a seed and its number of levels, with weights of their own."""
    for seed, levels in runs:
        run_id = write_run(path, seed=seed, levels=levels)
        weights = RunFolder.of(path, run_id).weights("init")
        write_tensors(weights, {"conv1": np.full(4, seed, np.float32)})
    state(path)
    return path


def answers(path: Path) -> list[list[tuple[object, ...]]]:
    store = Store(path)
    found = [store.sql(query).rows for query in QUERIES]
    assert store.problems == ()
    assert store.check().problems == ()
    return found


def folder(path: Path, seed: int) -> RunFolder:
    return RunFolder.of(path, DIGITS.run_id(seed))


@state
@other_state
def test_two_stores_become_one(tmp_path: Path, state: State, other: State) -> None:
    """New, the same, longer there, longer here: as if all had been written into one store."""
    one = make(tmp_path / "one", state, (0, 2), (1, 2), (2, 3))
    two = make(tmp_path / "two", other, (0, 2), (1, 4), (2, 1), (3, 2))
    wanted = answers(make(tmp_path / "all", loose, (0, 2), (1, 4), (2, 3), (3, 2)))
    before = data_of(two)
    planned = Store(one).merge(two, dry_run=True)
    report = Store(one).merge(two)
    assert planned == report
    assert [(run.outcome, run.levels) for run in report.runs] == [
        ("same", ()), ("grown", (3, 4)), ("same", ()), ("new", (0, 1, 2)),
    ]  # fmt: skip
    assert report.exit_code == 0
    assert data_of(two) == before
    for _ in range(2):
        assert answers(one) == wanted
        again = Store(one).merge(two)
        assert {run.outcome for run in again.runs} == {"same"}
        Store(one).compact()
    for seed in range(4):
        assert folder(one, seed).weights("init").exists()


@state
def test_a_store_that_is_not_there_yet_becomes_a_copy(tmp_path: Path, state: State) -> None:
    two = make(tmp_path / "two", state, (0, 2), (1, 3))
    write_run(two, seed=5, levels=2, asked=4)
    folder(two, 5).checkpoint.write_bytes(folder(two, 0).weights("init").read_bytes())
    assert Store(tmp_path / "new").merge(two, dry_run=True).count("new") == 3
    assert not (tmp_path / "new").exists()
    Store(tmp_path / "new").merge(two)
    assert answers(tmp_path / "new") == answers(two)
    assert folder(tmp_path / "new", 5).checkpoint.exists()
    assert not folder(tmp_path / "new", 0).anew.exists()


def test_several_stores_are_planned_as_they_are_merged(tmp_path: Path) -> None:
    sources = [
        make(tmp_path / "a", loose, (0, 2), (1, 1)),
        make(tmp_path / "b", compacted, (0, 3), (1, 1)),
        make(tmp_path / "c", loose, (0, 2), (2, 1)),
    ]
    planned = Store(tmp_path / "s").merge(sources, dry_run=True)
    assert [run.outcome for run in planned.runs] == ["new", "new", "grown", "same", "same", "new"]
    assert planned == Store(tmp_path / "s").merge(sources)
    assert len(answers(tmp_path / "s")[1]) == 4 + 2 + 2


@state
def test_other_content_under_one_id_stays_where_it_is(tmp_path: Path, state: State) -> None:
    one = make(tmp_path / "one", state, (0, 2), (1, 2))
    two = make(tmp_path / "two", loose, (1, 2), (2, 1))
    kept = counts(DIGITS, 99, 4)
    for level in range(5):
        write_record(two, DIGITS, DIGITS.run_id(1), level, kept)
    before = answers(one)
    report = Store(one).merge(two)
    assert [run.outcome for run in report.runs] == ["left", "new"]
    assert report.exit_code == 3
    assert f"it is not run {DIGITS.run_id(1)} of this store" in report.runs[0].notes[0]
    assert "other kept" in report.runs[0].notes[0]
    Store(one).remove(DIGITS.run_id(2))
    assert answers(one) == before


def test_another_accuracy_is_another_content(tmp_path: Path) -> None:
    one, two = (make(tmp_path / name, loose, (0, 2)) for name in ("one", "two"))
    write_record(two, DIGITS, DIGITS.run_id(0), 2, counts(DIGITS, 0, 2), accuracy=0.5)
    report = Store(one).merge(two)
    assert report.exit_code == 1
    assert "other accuracy at level 2" in report.runs[0].notes[0]


def test_what_a_machine_measures_is_no_content(tmp_path: Path) -> None:
    one, two = (make(tmp_path / name, loose, (0, 2)) for name in ("one", "two"))
    write_record(two, DIGITS, DIGITS.run_id(0), 2, counts(DIGITS, 0, 2), wall_seconds=99.0)
    assert Store(one).merge(two).runs[0].outcome == "same"


def test_numbers_that_are_none_are_equal_to_themselves(tmp_path: Path) -> None:
    one, two = (make(tmp_path / name, loose, (0, 1)) for name in ("one", "two"))
    for path in (one, two):
        write_record(path, DIGITS, DIGITS.run_id(0), 1, counts(DIGITS, 0, 1), loss=float("nan"))
    assert Store(one).merge(two).runs[0].outcome == "same"


@state
def test_a_gap_is_filled_from_the_other_store(tmp_path: Path, state: State) -> None:
    wanted = answers(make(tmp_path / "all", loose, (0, 4)))
    one = make(tmp_path / "one", loose, (0, 4))
    two = make(tmp_path / "two", state, (0, 2))
    place = folder(one, 0)
    place.record(2).unlink()
    table = read_record(place.record(3))
    for name in ("kept_prev", "magnitude_prev", "network_kept_prev"):
        at = table.schema.get_field_index(name)
        field = table.schema.field(at)
        table = table.set_column(at, field, pa.nulls(table.num_rows, field.type))
    write_table(place.record(3), table)
    report = Store(one).merge(two)
    assert (report.runs[0].outcome, report.runs[0].levels) == ("grown", (2,))
    found = answers(one)
    assert [found[view] for view in (0, 1, 3)] == [wanted[view] for view in (0, 1, 3)]
    before, after = (folder(one, 0).read_record(level) for level in (2, 3))
    for name in ("kept", "magnitude", "network_kept"):
        assert after[f"{name}_prev"].to_pylist() == before[name].to_pylist()


@state
def test_masks_and_weights_that_lack_come_in(tmp_path: Path, state: State) -> None:
    one, two = (make(tmp_path / name, state, (0, 2)) for name in ("one", "two"))
    folder(one, 0).weights("init").unlink()
    before = answers(one)
    for dry_run in (True, False):
        (run,) = Store(one).merge(two, dry_run=dry_run).runs
        assert (run.outcome, run.levels, run.files) == ("grown", (), 1)
    assert (
        folder(one, 0).weights("init").read_bytes() == folder(two, 0).weights("init").read_bytes()
    )
    assert answers(one) == before
    assert not folder(one, 0).anew.exists()


@pytest.mark.parametrize("checkpointed", [True, False])
def test_the_state_inside_a_level_is_that_of_the_longer_run(
    tmp_path: Path, checkpointed: bool
) -> None:
    one = make(tmp_path / "one", loose, (0, 1))
    two = make(tmp_path / "two", loose, (0, 2))
    write_tensors(folder(one, 0).checkpoint, {"of": np.zeros(1)})
    if checkpointed:
        write_tensors(folder(two, 0).checkpoint, {"of": np.ones(1)})
    assert Store(two).merge(one).runs[0].outcome == "same"
    assert folder(two, 0).checkpoint.exists() is checkpointed
    assert Store(one).merge(two).runs[0].outcome == "grown"
    found = folder(one, 0).checkpoint
    assert found.exists() is checkpointed
    if checkpointed:
        assert found.read_bytes() == folder(two, 0).checkpoint.read_bytes()


def test_damaged_files_are_named_and_the_rest_comes_in(tmp_path: Path) -> None:
    two = make(tmp_path / "two", loose, (0, 2), (1, 2), (2, 2), (3, 2))
    damaged = folder(two, 0).weights("init")
    damaged.write_bytes(damaged.read_bytes()[:-2] + b"xx")
    broken = folder(two, 1).record(1)
    broken.write_bytes(broken.read_bytes()[:-50])
    folder(two, 2).description.write_text("{")
    report = Store(tmp_path / "s").merge(two)
    assert report.exit_code == 3
    outcomes = {run.run_id: run for run in report.runs}
    assert {run_id: run.outcome for run_id, run in outcomes.items()} == {
        DIGITS.run_id(0): "new", DIGITS.run_id(1): "left", DIGITS.run_id(3): "new",
    }  # fmt: skip
    assert str(damaged) in outcomes[DIGITS.run_id(0)].notes[0]
    assert str(broken) in outcomes[DIGITS.run_id(1)].notes[0]
    assert {Path(problem.path) for problem in report.problems} == {
        broken, folder(two, 2).description,
    }  # fmt: skip
    assert not folder(tmp_path / "s", 0).weights("init").exists()
    assert len(answers(tmp_path / "s")[1]) == 6


def test_what_is_broken_here_is_named_and_stays(tmp_path: Path) -> None:
    one, two = (make(tmp_path / name, loose, (0, 2)) for name in ("one", "two"))
    folder(one, 0).description.write_text("{")
    (run,) = Store(one).merge(two).runs
    assert run.outcome == "left"
    assert "rgtool rm" in run.notes[0]
    Store(one).remove(DIGITS.run_id(0))
    assert Store(one).merge(two).runs[0].outcome == "new"


@pytest.mark.parametrize("where", ["one", "two"])
def test_a_run_that_a_process_writes_stays(tmp_path: Path, where: str) -> None:
    make(tmp_path / "one", loose, (0, 2))
    make(tmp_path / "two", loose, (0, 3), (1, 1))
    with lock(folder(tmp_path / where, 0).path / "lock", "the run"):
        for dry_run in (True, False):
            report = Store(tmp_path / "one").merge(tmp_path / "two", dry_run=dry_run)
            assert [run.outcome for run in report.runs] == ["left", "new"]
            assert f"id {os.getpid()}" in report.runs[0].notes[0]
    assert Store(tmp_path / "one").merge(tmp_path / "two").count("grown") == 1


def test_a_store_that_cannot_be_written_is_read_all_the_same(tmp_path: Path) -> None:
    two = make(tmp_path / "two", compacted, (0, 2))
    write_run(two, seed=1, levels=2)
    for path in [*two.rglob("*"), two]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = data_of(two)
    assert Store(tmp_path / "s").merge(two).count("new") == 2
    for path in [two, *two.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert data_of(two) == before
    folder(tmp_path / "s", 1).weights("init").parent.joinpath("w").write_text("mine to write")


def test_what_was_removed_here_comes_back_and_is_not_mixed(tmp_path: Path) -> None:
    """The compacted rows of a removed run are those of an earlier one."""
    one = make(tmp_path / "one", compacted, (0, 4), (1, 2))
    two = make(tmp_path / "two", loose, (0, 2))
    Store(one).remove(DIGITS.run_id(0))
    assert Store(one).merge(two).runs[0].outcome == "new"
    wanted = answers(make(tmp_path / "all", loose, (0, 2), (1, 2)))
    for _ in range(2):
        assert answers(one) == wanted
        Store(one).compact()


def test_what_is_no_store_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    one, two = (make(tmp_path / name, loose, (seed, 1)) for seed, name in enumerate(("one", "two")))
    before = data_of(one)
    for path, words in [
        (tmp_path / "nothing", "is no store"),
        (tmp_path, "is no store"),
        (one, "is the store itself"),
        (one / ".." / "one", "is the store itself"),
    ]:
        with pytest.raises(UsageError, match=words):
            Store(one).merge([two, path])
    (two / "compact").mkdir()
    (two / "compact" / "manifest.json").write_text('{"version": 99}')
    with pytest.raises(StoreError, match="newer rgtool"):
        Store(one).merge(two)
    assert data_of(one) == before


# Imports: ids may differ where the masks do not.


def write(folder: Path, way: tuple[int, ...]) -> Path:
    """Write masks of levels, a file each: two ways that begin alike have the same ones so far."""
    folder.mkdir()
    mask = np.ones(64, bool)
    for level in range(len(way) + 1):
        if level:
            rng = np.random.default_rng([level, *way[:level]])
            mask = mask & ~np.isin(np.arange(64), rng.choice(np.flatnonzero(mask), 7, False))
        both = {"a.weight_mask": mask.reshape(8, 8), "b.weight_mask": mask[::-1].reshape(4, 16)}
        write_tensors(folder / f"level_{level}.safetensors", both)
    return folder


def imported(store: Path, source: Path) -> str:
    (run,) = Store(store).import_runs(source).runs
    return run.run_id


def masks_of(store: Path, run_id: str) -> dict[int, dict[str, list[bool]]]:
    place = RunFolder.of(store, run_id)
    return {
        n: {name: mask.ravel().tolist() for name, mask in read_mask(place.mask(n)).items()}
        for n in place.recorded_levels()
    }


@state
@other_state
def test_an_import_under_another_name_is_one_run(
    tmp_path: Path, state: State, other: State
) -> None:
    way = (0, 1, 2, 0)
    one, two = tmp_path / "one", tmp_path / "two"
    mine = imported(one, write(tmp_path / "p", way[:2]))
    theirs = imported(two, write(tmp_path / "q", way))
    assert mine != theirs
    whole = masks_of(two, theirs)
    state(one)
    other(two)
    planned = Store(one).merge(two, dry_run=True)
    report = Store(one).merge(two)
    assert planned == report
    (run,) = report.runs
    assert (run.outcome, run.here, run.levels) == ("grown", mine, (3, 4))
    assert masks_of(one, mine) == whole
    assert {run.run_id for run in Store(one).runs()} == {mine}
    assert [run.outcome for run in Store(one).merge(two).runs] == ["same"]
    assert [run.new for run in Store(one).import_runs(tmp_path / "q").runs] == [()]
    before = answers(one)
    Store(one).compact()
    assert answers(one) == before


def test_imports_that_part_are_two_runs(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    mine = imported(one, write(tmp_path / "p", (0, 1, 2)))
    theirs = imported(two, write(tmp_path / "q", (0, 1, 1)))
    (run,) = Store(one).merge(two).runs
    assert (run.outcome, run.here) == ("new", theirs)
    assert {run.run_id for run in Store(one).runs()} == {mine, theirs}
    answers(one)


def test_another_description_here_stays_and_is_told(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    source = write(tmp_path / "p", (0, 1, 2))
    mine = imported(one, source)
    shutil.copytree(one, two)
    place = RunFolder.of(two, mine)
    old = place.read_description()
    assert old is not None
    recipe = dataclasses.replace(old.recipe, task="other")
    dataclasses.replace(old, recipe=recipe, experiment_id=recipe.experiment_id).write(
        place.description
    )
    before = answers(one)
    (run,) = Store(one).merge(two).runs
    assert run.outcome == "same"
    assert recipe.experiment_id in run.notes[0]
    assert run.notes[0].endswith("again with --task other")
    assert answers(one) == before


def tell(store: Path, run_id: str, level: int, **numbers: float | bool) -> None:
    """Tell numbers of a level of an import, as a manifest does."""
    record = RunFolder.of(store, run_id).record(level)
    table = read_record(record)
    for name, value in numbers.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array([value] * table.num_rows))
    write_table(record, table)


def told(store: Path, run_id: str) -> list[tuple[object, ...]]:
    query = "SELECT level, accuracy, loss, diverged FROM levels WHERE run_id = ? ORDER BY level"
    return Store(store).query(query, [run_id]).rows


@state
@other_state
def test_numbers_that_nobody_told_here_come_in(tmp_path: Path, state: State, other: State) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    mine = imported(one, write(tmp_path / "p", (0, 1)))
    shutil.copytree(one, two)
    tell(one, mine, 2, accuracy=0.7)
    tell(two, mine, 0, accuracy=0.9)
    tell(two, mine, 1, accuracy=0.1, loss=float("inf"), diverged=True)
    masks = masks_of(one, mine)
    state(one)
    other(two)
    wanted = [(0, 0.9, None, False), (1, 0.1, float("inf"), True), (2, 0.7, None, False)]
    planned = Store(one).merge(two, dry_run=True)
    report = Store(one).merge(two)
    assert planned == report
    assert (report.runs[0].outcome, report.runs[0].levels) == ("grown", ())
    assert report.runs[0].notes == (
        "accuracy comes in at level(s) 0, 1, where none was told",
        "diverged comes in at level(s) 1, where none was told",
        "loss comes in at level(s) 1, where none was told",
    )
    for _ in range(2):
        assert told(one, mine) == wanted
        assert masks_of(one, mine) == masks
        answers(one)
        assert [run.outcome for run in Store(one).merge(two).runs] == ["same"]
        Store(one).compact()
    assert [run.outcome for run in Store(two).merge(one).runs] == ["grown"]
    assert told(two, mine) == wanted


@pytest.mark.parametrize("here", [{"accuracy": 0.5}, {"loss": 1.0}], ids=str)
def test_an_import_that_is_told_otherwise_is_left_with_the_way_out(
    tmp_path: Path, here: dict[str, float]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    mine = imported(one, write(tmp_path / "p", (0, 1)))
    shutil.copytree(one, two)
    tell(one, mine, 1, **here)
    tell(two, mine, 1, accuracy=0.6, loss=float("inf"), diverged=True)
    before = answers(one)
    (run,) = Store(one).merge(two).runs
    assert run.outcome == "left"
    assert "it has the masks of run" in run.notes[0]
    wrong = "accuracy" if "accuracy" in here else "loss, diverged"
    assert f"other {wrong} at level 1: that one stays; import either again" in run.notes[0]
    assert answers(one) == before


# Killed on the way.


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("state", [loose, compacted], ids=lambda s: s.__name__)
def test_killed_at_any_step_a_run_is_the_old_one_or_the_new(tmp_path: Path, state: State) -> None:
    one = make(tmp_path / "one", state, (0, 1), (1, 1))
    two = make(tmp_path / "two", compacted, (0, 2), (2, 1))
    kinds = {
        seed: [by_run(make(tmp_path / f"{seed}-{levels}", loose, (seed, levels)), seed)
               for levels in lengths]
        for seed, lengths in {0: (1, 2), 1: (1,), 2: (1,)}.items()
    }  # fmt: skip
    code = "from pathlib import Path; from rgtool.store import Store; "
    code += "store = Store(sys.argv[2]); begin(); store.merge(sys.argv[3])"
    ended = False
    for step in range(1, 120, 7):
        copy = tmp_path / f"copy{step}"
        shutil.copytree(one, copy)
        ended = not killed_at(step, code, str(copy), str(two))
        found = {run.seed for run in Store(copy).runs()}
        assert {0, 1} <= found <= {0, 1, 2}
        assert all(by_run(copy, seed) in kinds[seed] for seed in found)
        answers(copy)
        assert Store(copy).merge(two).exit_code == 0
        assert [by_run(copy, seed) for seed in range(3)] == [kinds[s][-1] for s in range(3)]
        if ended:
            break
    assert ended


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let every longer file fail to be written, as on a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_where_the_disk_gets_full_what_came_in_is_told(tmp_path: Path, cli: Cli) -> None:
    two = make(tmp_path / "two", loose, (0, 2), (1, 2), (2, 2), (3, 2))
    ids = sorted(DIGITS.run_id(seed) for seed in range(4))
    large = RunFolder.of(two, ids[1]).weights("dense")
    write_tensors(large, {"conv1": np.ones(200_000, np.float32)})
    with files_up_to(400_000):
        done = cli("merge", str(two), "--store", str(tmp_path / "one"), "--csv")
    assert done.code == 3
    assert [line.split(",")[1] for line in done.out.splitlines()[1:]] == ["new", *["left"] * 3]
    assert f"{ids[1]}: {tmp_path / 'one'}: cannot be written" in done.err
    assert f"{ids[3]}: the store cannot be written any more" in done.err
    assert sorted(path.name for path in (tmp_path / "one" / ".importing").iterdir()) == [
        "last",
        "lock",
    ]
    Store(tmp_path / "one").merge(two)
    assert answers(tmp_path / "one") == answers(two)


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_where_the_disk_is_full_at_once_nothing_is_left_behind(tmp_path: Path) -> None:
    two = make(tmp_path / "two", loose, (0, 2))
    one = make(tmp_path / "one", loose, (1, 2))
    with files_up_to(0), pytest.raises(StoreError, match="cannot be written"):
        Store(one).merge(two)
    assert [path.name for path in (one / ".importing").iterdir() if path.is_dir()] == []


def by_run(path: Path, seed: int) -> list[list[tuple[object, ...]]]:
    views = ("runs", "levels", "layers", "flow")
    query = "FROM {} WHERE run_id = ? ORDER BY ALL"
    return [Store(path).query(query.format(v), [DIGITS.run_id(seed)]).rows for v in views]


# The command.


def test_the_command_says_what_it_did(tmp_path: Path, cli: Cli) -> None:
    one = make(tmp_path / "one", loose, (0, 2))
    two = make(tmp_path / "two", compacted, (0, 3), (1, 1))
    three = make(tmp_path / "three", loose, (1, 1))
    write_record(three, DIGITS, DIGITS.run_id(1), 0, counts(DIGITS, 1, 1), accuracy=0.3)
    arguments = ["merge", str(two), str(three), "--store", str(one), "--json"]
    planned = cli(*arguments, "--dry-run")
    done = cli(*arguments)
    assert planned.code == done.code == 3
    assert json.loads(planned.out) == json.loads(done.out)
    assert [row["outcome"] for row in json.loads(done.out)] == ["grown", "new", "left"]
    assert "1 new, 1 grown, 0 the same, 1 left" in done.err
    assert "nothing was changed" in planned.err
    assert cli("merge", str(tmp_path / "x"), "--store", str(one)).code == 2


def test_a_run_without_levels_gains_them_and_has_none_to_give(tmp_path: Path) -> None:
    begun = describe(DIGITS, 0, 3)
    place = folder(tmp_path / "one", 0)
    place.make()
    begun.write(place.description)
    two = make(tmp_path / "two", loose, (0, 3))
    assert Store(two).merge(tmp_path / "one").runs[0].outcome == "left"
    assert Store(tmp_path / "one").merge(two).runs[0].outcome == "grown"
    assert answers(tmp_path / "one") == answers(two)
