"""Compacted runs whose folders are gone, and runs that were made anew under their ids."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from stores import counts, describe, write_record, write_run

from rgtool.schemas.errors import RecordError
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder, make_runs
from rgtool.schemas.records.manifest import Manifest
from rgtool.store import Store

DIGITS = Recipe(architecture="resnet8w4", task="digits")
QUERIES = [f"FROM {view} ORDER BY ALL" for view in ("runs", "levels", "layers", "flow")]


def answers(path: Path) -> list[list[tuple[object, ...]]]:
    store = Store(path)
    found = [store.sql(query).rows for query in QUERIES]
    assert store.problems == ()
    return found


def folder(path: Path, seed: int) -> RunFolder:
    return RunFolder.of(path, DIGITS.run_id(seed))


def write_anew(path: Path, seed: int, levels: int, **numbers: object) -> str:
    """Write a run over a compacted one of its id, as a runner does, with other accuracies.

    Its description is the same text: what is done twice in a second may be.
    """
    description = describe(DIGITS, seed, levels)
    place = folder(path, seed)
    place.make()
    description.write(place.description)
    kept = counts(DIGITS, seed + 50, levels)
    for level in range(len(place.recorded_levels()), levels + 1):
        write_record(path, DIGITS, description.run_id, level, kept, **numbers)
    return description.run_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of four compacted runs, in two parts."""
    store = tmp_path / "s"
    for seed in range(3):
        write_run(store, seed=seed, levels=3)
    Store(store).compact()
    write_run(tmp_path / "other", seed=3, levels=2)
    Store(tmp_path / "other").compact()
    shutil.copytree(tmp_path / "other", store, dirs_exist_ok=True)
    return store


def rest(path: Path, *seeds: int) -> list[list[tuple[object, ...]]]:
    """What a store answers that never had other runs than these."""
    fresh = path.with_name(f"fresh{''.join(map(str, seeds))}")
    for seed in seeds:
        write_run(fresh, seed=seed, levels=2 if seed == 3 else 3)
    return answers(fresh)


@pytest.mark.parametrize("seed", range(4))
def test_a_compacted_run_whose_folder_is_gone_is_gone(path: Path, seed: int) -> None:
    wanted = rest(path, *({0, 1, 2, 3} - {seed}))
    shutil.rmtree(folder(path, seed).path)
    gone = DIGITS.run_id(seed)
    assert answers(path) == wanted
    assert gone not in {run.run_id for run in Store(path).runs()}
    assert (folder(path, seed).recorded_levels(), folder(path, seed).read_description()) == (
        [],
        None,
    )
    with pytest.raises(RecordError):
        folder(path, seed).read_record(0)
    assert Store(path).query("FROM runs", runs=[gone]).rows == []
    assert Store(path).compact().dropped == (gone,)
    assert gone not in Manifest.read(path).every
    assert answers(path) == wanted
    assert Store(path).compact().dropped == ()


def test_all_runs_may_go(path: Path) -> None:
    Store(path).compact()  # from here on the manifest lists all that is there
    for seed in range(4):
        shutil.rmtree(folder(path, seed).path)
    assert answers(path) == [[], [], [], []]
    assert len(Store(path).compact().dropped) == 4
    assert Manifest.read(path).every == frozenset()
    assert answers(path) == [[], [], [], []]
    write_run(path, seed=0, levels=3)
    assert answers(path) == rest(path, 0)
    Store(path).compact()
    assert answers(path) == rest(path, 0)


def test_a_store_that_was_copied_without_the_folders_of_runs_is_whole(path: Path) -> None:
    before = answers(path)
    shutil.rmtree(path / "runs")
    assert answers(path) == before
    Store(path).compact()
    assert answers(path) == before
    make_runs(path)  # as whoever writes the next run does
    write_run(path, seed=9, levels=1)
    assert answers(path)[0][:4] == before[0]
    Store(path).compact()
    assert [row for row in answers(path)[1] if not str(row[0]).endswith("s9")] == before[1]


@pytest.mark.parametrize("levels", [1, 5], ids=["shorter", "longer"])
def test_a_run_that_is_made_anew_is_not_mixed_with_the_compacted_one(
    path: Path, levels: int
) -> None:
    shutil.rmtree(folder(path, 1).path)
    fresh = path.with_name("fresh")
    for seed in (0, 2, 3):
        write_run(fresh, seed=seed, levels=2 if seed == 3 else 3)
    write_anew(fresh, 1, levels, accuracy=0.25)
    write_anew(path, 1, levels, accuracy=0.25)
    assert folder(path, 1).anew.exists()
    assert answers(path) == answers(fresh)
    assert folder(path, 1).recorded_levels() == list(range(levels + 1))
    assert Store(path).compact().dropped == ()
    assert answers(path) == answers(fresh)
    assert not folder(path, 1).anew.exists()
    assert folder(path, 1).recorded_levels() == list(range(levels + 1))
    assert folder(path, 1).loose_levels() == []
    assert answers(path) == answers(fresh)


def test_a_run_that_is_only_begun_anew_has_no_levels(path: Path) -> None:
    shutil.rmtree(folder(path, 1).path)
    wanted = answers(path)
    folder(path, 1).make()  # killed before it is described
    assert answers(path) == wanted
    assert folder(path, 1).recorded_levels() == []
    for _ in range(2):
        Store(path).compact()
        assert answers(path) == wanted
        assert folder(path, 1).recorded_levels() == []


def test_a_corrected_run_takes_the_place_of_a_compacted_one(path: Path) -> None:
    """Put together elsewhere, marked, and exchanged: what is loose of it counts, not the rows."""
    made = path.with_name("made")
    recipe = dataclasses.replace(DIGITS, lr=0.3)
    corrected = {"recipe": recipe, "experiment_id": recipe.experiment_id}
    staged = folder(made, 1)
    staged.make()
    dataclasses.replace(describe(DIGITS, 1, 3), **corrected).write(staged.description)
    for level in range(4):
        write_record(made, DIGITS, DIGITS.run_id(1), level, counts(DIGITS, 1, 3), accuracy=0.5)
    staged.mark_anew()
    folder(path, 1).path.rename(path / "old")
    staged.path.rename(folder(path, 1).path)
    before = answers(path)
    query = (
        "SELECT DISTINCT experiment_id, accuracy FROM levels JOIN flow USING (run_id, level) "
        f"WHERE run_id = '{DIGITS.run_id(1)}'"
    )
    for _ in range(2):
        assert Store(path).sql(query).rows == [(recipe.experiment_id, 0.5)]
        assert answers(path) == before
        Store(path).compact()
    assert not folder(path, 1).anew.exists()


def test_what_is_marked_during_a_compaction_is_not_removed_by_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(path, seed=7, levels=2)
    written = Manifest.write

    def exchange(manifest: Manifest) -> Manifest:
        done = written(manifest)
        shutil.rmtree(folder(path, 7).path)
        write_anew(path, 7, 2, accuracy=0.125)
        return done

    monkeypatch.setattr(Manifest, "write", exchange)
    Store(path).compact()
    monkeypatch.undo()
    assert folder(path, 7).loose_levels() == [0, 1, 2]
    query = f"SELECT DISTINCT accuracy FROM levels WHERE run_id = '{DIGITS.run_id(7)}'"
    for _ in range(2):
        assert Store(path).sql(query).rows == [(0.125,)]
        Store(path).compact()
    assert folder(path, 7).loose_levels() == []


def test_a_compacted_run_keeps_a_folder_with_a_file_in_it(tmp_path: Path) -> None:
    """An imported table has no masks; many a program that copies leaves out empty folders."""
    rows = [f"x,0,{level},fc{n},{50 - 9 * level},50" for level in range(3) for n in (1, 2)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["experiment,seed,level,group,kept,total", *rows]) + "\n")
    store = tmp_path / "s"
    (run,) = Store(store).import_runs(table).runs
    before = answers(store)
    assert Store(store).compact().runs == 1
    assert any(path.is_file() for path in RunFolder.of(store, run.run_id).path.iterdir())
    assert answers(store) == before
    shutil.rmtree(RunFolder.of(store, run.run_id).path)
    assert answers(store) == [[], [], [], []]
    assert [found.new for found in Store(store).import_runs(table).runs] == [(0, 1, 2)]
    for _ in range(2):
        assert [rows[:1] for rows in answers(store)[1]] == [rows[:1] for rows in before[1]]
        Store(store).compact()


def test_a_removed_run_is_trained_anew(tmp_path: Path) -> None:
    import rgtool

    store = tmp_path / "s"
    options = {"epochs": 1, "rewind": "0it", "store": store}
    for _ in range(2):
        rgtool.run("lenet", "digits", levels=1, **options)
        Store(store).compact()
        (run,) = Store(store).runs()
        assert (run.recorded, run.compacted) == (2, True)
    shutil.rmtree(RunFolder.of(store, run.run_id).path)
    assert Store(store).runs() == []
    assert rgtool.run("lenet", "digits", levels=2, **options).seeds("done") == [0]
    for _ in range(2):
        (run,) = Store(store).runs()
        assert (run.recorded, run.finished) == (3, True)
        Store(store).compact()
    assert rgtool.run("lenet", "digits", levels=2, **options).seeds("known") == [0]
