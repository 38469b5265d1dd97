"""A run's folder that takes the place of another: loose or compacted, seen whole or not at all."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import stores

from rgtool.schemas.files import exchange
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import CORRECTED, RunFolder
from rgtool.schemas.records.manifest import Manifest
from rgtool.schemas.records.record import read_record, write_record
from rgtool.store import Store
from rgtool.store import exchange as exchanging
from rgtool.store.exchange import finish, take_place

RECIPE = Recipe(architecture="resnet8w4", task="digits")
RUN, OTHER = RECIPE.run_id(0), RECIPE.run_id(1)
OLD, NEW = [0.9, 0.89, 0.88, 0.87], [0.5] * 4


@pytest.fixture
def store(tmp_path: Path) -> Store:
    for seed in (0, 1):
        stores.write_run(tmp_path / "store", seed)
    return Store(tmp_path / "store")


@pytest.fixture(params=[True, False], ids=["exchange", "two renames"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Whether the system can exchange two folders."""
    if not request.param:
        monkeypatch.setattr(exchanging, "exchange", lambda one, other: False)
    yield request.param


def corrected(store: Store, folder: Path) -> Path:
    """Put the run together anew, with other accuracies."""
    old, new = RunFolder.of(store.path, RUN), RunFolder(folder)
    new.make()
    description = old.read_description()
    assert description is not None
    description.write(new.description)
    for level in old.recorded_levels():
        table = old.read_record(level)
        place = table.schema.get_field_index("accuracy")
        column = pa.array(NEW[:1] * table.num_rows, pa.float64())
        write_record(new.record(level), table.set_column(place, table.schema[place], column))
    return folder


def accuracies(store: Store, run_id: str = RUN) -> list[float]:
    query = "SELECT accuracy FROM levels WHERE run_id = ? ORDER BY level"
    return [found for (found,) in Store(store.path).query(query, [run_id]).rows]


def read_one_by_one(store: Store) -> list[float]:
    folder = RunFolder.of(store.path, RUN)
    return [folder.read_record(n)["accuracy"][0].as_py() for n in folder.recorded_levels()]


def test_two_folders_change_places(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    done = exchange(tmp_path / "a", tmp_path / "b")
    assert done or sys.platform not in ("linux", "darwin")
    if done:
        assert (tmp_path / "a" / "file").read_text() == "b"
        with pytest.raises(FileNotFoundError):
            exchange(tmp_path / "a", tmp_path / "nothing")


@pytest.mark.parametrize("compacted", [False, True])
def test_what_takes_the_place_is_the_run(
    compacted: bool, either_way: bool, store: Store, tmp_path: Path
) -> None:
    if compacted:
        store.compact()
    new = corrected(store, tmp_path / "new")
    counts = store.counts("resnet8w4/digits", by="stage").kept
    take_place(store.path, RUN, new)
    assert accuracies(store) == read_one_by_one(store) == NEW
    assert accuracies(store, OTHER) == OLD
    assert Store(store.path).runs()[0].recorded == 4
    assert (Store(store.path).counts("resnet8w4/digits", by="stage").kept == counts).all()
    assert not (store.path / CORRECTED).exists()
    assert new.exists() is either_way
    assert store.compact().runs == (1 if compacted else 2)
    assert accuracies(store) == read_one_by_one(store) == NEW
    assert accuracies(store, OTHER) == OLD
    folder = RunFolder.of(store.path, RUN)
    assert folder.loose_levels() == [] and not folder.anew.exists()
    assert Store(store.path).check().problems == ()
    assert sum(len(part.runs[RUN]) for part in Manifest.read(store.path).records) == 4


def test_a_second_correction_counts_after_a_compaction(store: Store, tmp_path: Path) -> None:
    store.compact()
    for place in "ab":
        take_place(store.path, RUN, corrected(store, tmp_path / place))
        assert accuracies(store) == NEW
        store.compact()
    assert accuracies(store) == NEW
    assert len(Manifest.read(store.path).records) == 1


def test_a_compaction_that_was_killed_before_it_removed_anything(
    store: Store, tmp_path: Path
) -> None:
    """The manifest lists the new part; mark, description and records are still there."""
    store.compact()
    take_place(store.path, RUN, corrected(store, tmp_path / "new"))
    shutil.copytree(store.path / "runs" / RUN, tmp_path / "kept")
    store.compact()
    shutil.rmtree(store.path / "runs" / RUN)
    shutil.copytree(tmp_path / "kept", store.path / "runs" / RUN)
    assert accuracies(store) == NEW
    store.compact()
    assert accuracies(store) == NEW
    assert RunFolder.of(store.path, RUN).loose_levels() == []


def test_the_mark_goes_before_the_records(store: Store, tmp_path: Path) -> None:
    """Killed in the middle of removing: what is gone is compacted."""
    store.compact()
    take_place(store.path, RUN, corrected(store, tmp_path / "new"))
    shutil.copytree(store.path / "runs" / RUN, tmp_path / "kept")
    store.compact()
    shutil.copytree(tmp_path / "kept", store.path / "runs" / RUN, dirs_exist_ok=True)
    folder = RunFolder.of(store.path, RUN)
    folder.anew.unlink()
    folder.record(1).unlink()
    assert accuracies(store) == NEW
    store.compact()
    assert accuracies(store) == NEW


@pytest.mark.parametrize("step", [1, 2, 3])
def test_killed_between_two_renames(step: int, store: Store, tmp_path: Path) -> None:
    """The states that a system which cannot exchange folders goes through."""
    new = corrected(store, tmp_path / "new")
    waiting, place = store.path / CORRECTED, store.path / "runs" / RUN
    waiting.mkdir()
    assert accuracies(store) == read_one_by_one(store) == OLD
    RunFolder(new).mark_anew()
    new.rename(waiting / RUN)
    if step > 1:
        place.rename(waiting / f".old-{RUN}")
    if step > 2:
        (waiting / RUN).rename(place)
    for _ in range(2):
        assert accuracies(store) == read_one_by_one(store) == NEW
        assert Store(store.path).check().problems == ()
        assert len(Store(store.path).runs()) == 2
        finish(store.path)
    assert not waiting.exists()
    assert read_record(RunFolder(place).record(0))["accuracy"][0].as_py() == NEW[0]


def test_a_query_meets_one_of_two_runs(store: Store, tmp_path: Path) -> None:
    """The folder is exchanged between two looks of one query: the query starts again."""
    new = corrected(store, tmp_path / "new")
    took = []

    def look(connection: object) -> list[tuple[float]]:
        before = connection.execute("SELECT accuracy FROM levels WHERE level = 0").fetchall()  # type: ignore[attr-defined]
        if not took:
            take_place(store.path, RUN, new)
            took.append(True)
        after = connection.execute("SELECT accuracy FROM levels WHERE level = 3").fetchall()  # type: ignore[attr-defined]
        return [*before, *after]

    assert sorted(store._reader.run(look)) == [(0.5,), (0.5,), (OLD[3],), (OLD[0],)]


def test_what_is_read_in_parts_says_that_it_is_mixed(store: Store, tmp_path: Path) -> None:
    from rgtool.schemas.errors import StoreError

    parts = store.stream("SELECT accuracy FROM levels", size=1)
    next(parts)
    take_place(store.path, RUN, corrected(store, tmp_path / "new"))
    with pytest.raises(StoreError, match="corrected while it was read"):
        list(parts)
