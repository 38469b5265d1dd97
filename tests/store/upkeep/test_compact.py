"""`Store.compact`: same answers before, meanwhile and after, whatever happens on the way."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from stores import counts, curve, describe, write_run
from stores import write_record as record_level

from rgtool.schemas.errors import RecordError, StoreError
from rgtool.schemas.lock import Locked, lock
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.description import Description
from rgtool.schemas.records.epochs import Epoch, read_epochs, write_epochs
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.records.manifest import Manifest
from rgtool.schemas.records.record import read_record, write_record
from rgtool.store import Store

DIGITS = Recipe(architecture="resnet8w4", task="digits")
QUERIES = [f"FROM {view} ORDER BY ALL" for view in ("runs", "levels", "layers", "flow", "epochs")]


def answers(path: Path) -> list[tuple[tuple[str, ...], list[tuple[object, ...]]]]:
    store = Store(path)
    results = [store.sql(query) for query in QUERIES]
    assert store.problems == ()
    return [(result.types, result.rows) for result in results]


def loose_files(path: Path) -> list[str]:
    names = ("records/*.parquet", "run.json", "epochs.jsonl")
    found = [file for name in names for file in path.glob(f"runs/*/{name}")]
    return sorted(str(file.relative_to(path)) for file in found)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template")
    for seed in range(4):
        write_run(path, seed=seed, levels=3)
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "s")
    return tmp_path / "s"


def extend(path: Path, seed: int, levels: int) -> None:
    """Go on with a run as a runner does: the description first, then the missing records."""
    folder = RunFolder.of(path, DIGITS.run_id(seed))
    before = folder.read_description()
    assert before is not None
    folder.make()
    dataclasses.replace(before, levels=levels).write(folder.description)
    kept, new = counts(DIGITS, seed, levels), range(len(folder.recorded_levels()), levels + 1)
    for level in new:
        record_level(path, DIGITS, folder.path.name, level, kept)
    there = read_epochs(folder.epochs, folder.path.name)
    write_epochs(folder.epochs, [*there, *curve(folder.path.name, seed, new)])


def test_answers_stay_the_same(path: Path) -> None:
    before, runs = answers(path), Store(path).runs()
    result = Store(path).compact()
    assert (result.runs, result.records, result.loose, len(result.files)) == (4, 16, 0, 4)
    assert loose_files(path) == []
    assert answers(path) == before
    assert [dataclasses.replace(run, compacted=False) for run in Store(path).runs()] == runs
    assert all(run.compacted for run in Store(path).runs())


def test_records_and_descriptions_come_back_bit_by_bit(path: Path) -> None:
    folders = [RunFolder.of(path, DIGITS.run_id(seed)) for seed in range(4)]
    records = [[read_record(f.record(level)) for level in range(4)] for f in folders]
    descriptions = [Description.read(f.description) for f in folders]
    Store(path).compact()
    for folder, kept, description in zip(folders, records, descriptions, strict=True):
        assert folder.recorded_levels() == [0, 1, 2, 3]
        assert folder.loose_levels() == []
        assert [folder.read_record(level).equals(kept[level]) for level in range(4)] == [True] * 4
        assert folder.read_description() == description
        assert Store(path).description(folder.path.name) == description
        with pytest.raises(RecordError, match="0004"):
            folder.read_record(4)


def test_a_folder_answers_the_same_for_loose_runs(path: Path) -> None:
    folder = RunFolder.of(path, DIGITS.run_id(0))
    assert folder.recorded_levels() == folder.loose_levels() == [0, 1, 2, 3]
    assert folder.read_record(2).equals(read_record(folder.record(2)))
    assert folder.read_description() == Description.read(folder.description)
    nothing = RunFolder.of(path, "nothing")
    assert (nothing.recorded_levels(), nothing.read_description()) == ([], None)


def test_arrays_stay_the_same(path: Path) -> None:
    before = Store(path).counts("resnet8w4/digits", by="stage")
    Store(path).compact()
    after = Store(path).counts("resnet8w4/digits", by="stage")
    assert (before.kept == after.kept).all()
    assert (before.magnitude == after.magnitude).all()
    assert (before.names, before.runs, before.layers) == (after.names, after.runs, after.layers)


def test_only_finished_runs_are_merged(path: Path) -> None:
    going = write_run(path, seed=10, levels=2, asked=5)
    gap = write_run(path, seed=11, levels=3, recorded=(0, 1, 3))
    stopped = write_run(path, seed=12, levels=2, asked=5, diverged=True)
    before = answers(path)
    result = Store(path).compact()
    assert (result.runs, result.loose) == (5, 2)
    assert set(Manifest.read(path).runs) == {DIGITS.run_id(seed) for seed in (0, 1, 2, 3, 12)}
    assert {Path(file).parts[1] for file in loose_files(path)} == {going, gap}
    assert answers(path) == before
    assert stopped in Manifest.read(path).runs


def test_masks_and_weights_stay(path: Path) -> None:
    folder = RunFolder.of(path, DIGITS.run_id(0))
    for file in (folder.mask(1), folder.weights("rewind")):
        file.write_bytes(b"x")
    Store(path).compact()
    assert folder.mask(1).read_bytes() == folder.weights("rewind").read_bytes() == b"x"


def test_a_second_compaction_does_nothing(path: Path) -> None:
    Store(path).compact()
    manifest = (path / "compact" / "manifest.json").read_bytes()
    assert Store(path).compact().runs == 0
    assert (path / "compact" / "manifest.json").read_bytes() == manifest


def test_an_empty_store_stays_as_it_is(tmp_path: Path) -> None:
    assert Store(tmp_path / "none").compact().runs == 0
    assert not (tmp_path / "none").exists()


def test_many_compactions_leave_few_files(path: Path) -> None:
    for seed in range(10, 22):
        write_run(path, seed=seed, levels=1)
        Store(path).compact()
    before = answers(path)
    assert len(before[0][1]) == 16
    assert len(Manifest.read(path).records) <= 4
    Store(path).compact()
    named = {file.name for file in Manifest.read(path).files}
    found = {file.name for file in (path / "compact").iterdir()}
    assert found - named == {"lock", "manifest.json"}
    assert answers(path) == before


def test_a_compacted_run_can_be_extended_and_compacted_again(path: Path) -> None:
    Store(path).compact()
    extend(path, seed=1, levels=6)
    extended = answers(path)
    run = next(run for run in Store(path).runs() if run.seed == 1)
    assert (run.levels, run.recorded, run.finished, run.compacted) == (6, 7, True, False)
    assert RunFolder.of(path, run.run_id).recorded_levels() == list(range(7))
    assert RunFolder.of(path, run.run_id).loose_levels() == [4, 5, 6]
    result = Store(path).compact()
    assert (result.runs, result.records) == (1, 3)
    assert answers(path) == extended
    assert loose_files(path) == []
    fresh = path.with_name("fresh")
    for seed in range(4):
        write_run(fresh, seed=seed, levels=6 if seed == 1 else 3)
    assert answers(fresh) == extended


def test_a_run_that_is_being_extended_keeps_its_new_description(path: Path) -> None:
    Store(path).compact()
    folder = RunFolder.of(path, DIGITS.run_id(0))
    before = folder.read_description()
    assert before is not None
    dataclasses.replace(before, levels=9).write(folder.description)
    Store(path).compact()
    after = folder.read_description()
    assert after is not None
    assert after.levels == 9
    assert next(run.finished for run in Store(path).runs() if run.seed == 0) is False


def test_a_changed_description_of_a_finished_run_is_taken_over(path: Path) -> None:
    Store(path).compact()
    folder = RunFolder.of(path, DIGITS.run_id(0))
    before = folder.read_description()
    assert before is not None
    dataclasses.replace(before, recipe_name="other").write(folder.description)
    assert Store(path).compact().runs == 1
    assert loose_files(path) == []
    assert Store(path).description(folder.path.name).recipe_name == "other"


def test_a_run_that_moves_to_another_experiment_takes_its_rows_along(path: Path) -> None:
    Store(path).compact()
    folder = RunFolder.of(path, DIGITS.run_id(0))
    before = folder.read_description()
    assert before is not None
    recipe = Recipe(architecture="resnet8w4", task="digits", lr=0.3)
    dataclasses.replace(before, recipe=recipe, experiment_id=recipe.experiment_id).write(
        folder.description
    )
    query = (
        "SELECT experiment_id, grouping, count(DISTINCT run_id) FROM flow GROUP BY ALL ORDER BY ALL"
    )
    reopened = sorted(Store(path).sql(query).rows)
    assert {row[::2] for row in reopened} == {(recipe.experiment_id, 1), (DIGITS.experiment_id, 3)}
    moved = answers(path)
    assert Store(path).compact().runs == 1
    assert sorted(Store(path).sql(query).rows) == reopened
    assert answers(path) == moved


@pytest.mark.parametrize("name", ["a[1] b", "it's", "st*r?"])
def test_any_folder_name_works(path: Path, name: str) -> None:
    before = answers(path)
    moved = path.rename(path.with_name(name))
    Store(moved).compact()
    assert loose_files(moved) == []
    assert answers(moved) == before


# Killed on the way. The states are those that the order of the steps allows.


def test_killed_before_the_manifest(path: Path) -> None:
    before, files = answers(path), loose_files(path)
    copy = path.with_name("copy")
    shutil.copytree(path, copy)
    Store(copy).compact()
    (copy / "compact" / "manifest.json").unlink()
    (copy / "compact" / ".part-00000.parquet").write_bytes(b"half")
    (copy / "compact" / ".spill").mkdir()
    shutil.copytree(copy / "compact", path / "compact")
    assert answers(path) == before
    assert loose_files(path) == files
    Store(path).compact()
    assert answers(path) == before
    assert loose_files(path) == []
    assert not list((path / "compact").glob(".part*"))


@pytest.mark.parametrize("removed", range(0, 25, 4))
def test_killed_while_removing(path: Path, removed: int) -> None:
    before = answers(path)
    backup = path.with_name("backup")
    shutil.copytree(path, backup)
    Store(path).compact()
    order = [
        file
        for run in sorted((backup / "runs").iterdir())
        for file in (*sorted((run / "records").iterdir()), run / "epochs.jsonl", run / "run.json")
    ]
    for file in order[removed:]:  # not removed yet when the process was killed
        shutil.copy2(file, path / file.relative_to(backup))
    assert answers(path) == before
    for seed in range(4):
        assert RunFolder.of(path, DIGITS.run_id(seed)).recorded_levels() == [0, 1, 2, 3]
    Store(path).compact()
    assert answers(path) == before
    assert loose_files(path) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_at_any_moment(path: Path) -> None:
    for seed in range(10, 40):
        write_run(path, seed=seed, levels=1)
    before = answers(path)
    code = "import sys; from rgtool.store import Store; print('ready', flush=True); "
    code += "Store(sys.argv[1]).compact()"
    for attempt in range(6):
        command = [sys.executable, "-c", code, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.05 * attempt)
            process.kill()
        assert answers(path) == before
    Store(path).compact()
    assert answers(path) == before
    assert loose_files(path) == []


# Others at work.


def test_one_compaction_at_a_time(path: Path) -> None:
    (path / "compact").mkdir()
    with lock(path / "compact" / "lock", "x"), pytest.raises(Locked, match="compaction of"):
        Store(path).compact()
    assert Store(path).compact().runs == 4


def test_the_folder_of_a_run_at_work_is_left_alone(path: Path) -> None:
    before = answers(path)
    folder = RunFolder.of(path, DIGITS.run_id(2))
    with lock(folder.path / "lock", "run"):
        assert Store(path).compact().loose == 1
        assert folder.loose_levels() == [0, 1, 2, 3]
        assert answers(path) == before
    Store(path).compact()
    assert answers(path) == before
    assert loose_files(path) == []


def test_a_reader_survives_what_compaction_removes(path: Path) -> None:
    before = answers(path)
    store, done = Store(path), []

    def compact_meanwhile(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
        if not done:
            done.append(Store(path).compact())
        return connection.execute(QUERIES[1]).fetchall()

    assert store._reader.attempt(compact_meanwhile) == before[1][1]
    assert done[0].runs == 4
    assert store.problems == ()


def test_many_write_and_read_while_one_compacts(path: Path) -> None:
    """Every reader sees whole records, each once, and never fewer than before."""
    stop, failures = threading.Event(), list[BaseException]()
    written = 0

    def guarded(work: object) -> threading.Thread:
        def run() -> None:
            try:
                while not stop.is_set():
                    work()  # type: ignore[operator]
            except BaseException as error:
                failures.append(error)
                stop.set()

        return threading.Thread(target=run)

    def read() -> None:
        floor = written
        rows = store.sql(
            "SELECT run_id, level, count(*), sum(kept) - any_value(network_kept) "
            "FROM layers JOIN levels USING (run_id, level) GROUP BY ALL"
        ).rows
        assert len(rows) >= 16 + floor
        assert {row[2:] for row in rows} == {(10, 0)}

    def write() -> None:
        nonlocal written
        seed = 100 + written // 2
        write_run(path, seed=seed, levels=1)
        written += 2

    store = Store(path)
    threads = [guarded(read), guarded(read), guarded(write), guarded(lambda: Store(path).compact())]
    for thread in threads:
        thread.start()
    stop.wait(3)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert written > 0
    assert store.problems == ()
    assert len(store.sql("FROM levels").rows) == 16 + written
    assert Manifest.read(path).generation > 0


# What is broken.


def test_a_run_with_a_broken_record_stays_loose(path: Path) -> None:
    run_id = DIGITS.run_id(1)
    bad = RunFolder.of(path, run_id).record(1)
    bad.write_bytes(bad.read_bytes()[:-50])
    store = Store(path)
    assert store.compact().loose == 1
    assert [problem.path for problem in store.problems] == [str(bad)]
    assert run_id not in Manifest.read(path).runs
    assert store.sql("SELECT count(*) FROM levels").rows == [(15,)]


def test_contradictions_that_no_query_notices_stay_loose(path: Path) -> None:
    run_id = DIGITS.run_id(1)
    bad = RunFolder.of(path, run_id).record(1)
    table = read_record(bad)
    kept = table.column_names.index("network_kept")
    pq.write_table(table.set_column(kept, "network_kept", table["network_total"]), bad)
    with pytest.raises(RecordError):
        write_record(bad, read_record(bad))
    store = Store(path)
    assert store.compact().runs == 3
    assert "network_kept is" in store.problems[0].reason
    assert run_id not in Manifest.read(path).runs


def damage(file: Path) -> None:
    blob = bytearray(file.read_bytes())
    blob[len(blob) // 3] ^= 8
    file.write_bytes(blob)


def test_damaged_records_are_named_with_their_runs_and_the_others_go_on(path: Path) -> None:
    Store(path).compact()
    copy_over(make_store(path.with_name("other"), "compacted", 7, 8), path)
    second, first = sorted(Manifest.read(path).records, key=lambda part: len(part.runs))
    file = Manifest.read(path).folder / second.file
    whole = file.read_bytes()
    damage(file)
    for store in (Store(path), Store(path)):
        assert len(store.sql("FROM levels")) == len(first.runs) * 4
        (problem,) = store.problems
        assert problem.path == str(file)
        assert "the sum differs" in problem.reason
        assert "records of 2 runs are left out" in problem.reason
        assert all(DIGITS.run_id(seed) in problem.reason for seed in (7, 8))
    assert len(Store(path).runs()) == 6
    with pytest.raises(RecordError, match="the sum differs"):
        RunFolder.of(path, DIGITS.run_id(7)).read_record(1)
    Store(path).compact()
    assert file.exists(), "what is damaged may still be mended"
    file.write_bytes(whole)
    assert len(answers(path)[1][1]) == 16 + 4


def test_missing_records_are_named_with_their_runs(path: Path) -> None:
    Store(path).compact()
    manifest = Manifest.read(path)
    file = manifest.record_files[0]
    whole = file.read_bytes()
    file.unlink()
    write_run(path, seed=9, levels=1)
    store = Store(path)
    assert len(store.sql("FROM levels")) == 2
    (problem,) = store.problems
    assert problem.path == str(file)
    assert "is missing: its records of 4 runs are left out" in problem.reason
    file.write_bytes(whole)
    assert len(answers(path)[1][1]) == 18


def test_damaged_groups_are_summed_from_the_records(path: Path) -> None:
    Store(path).compact()
    before = answers(path)
    file = Manifest.read(path).group_files[0]
    damage(file)
    store = Store(path)
    assert [store.sql(query).rows for query in QUERIES] == [rows for _, rows in before]
    assert [problem.path for problem in store.problems] == [str(file)]
    file.unlink()
    assert answers(path) == before


def test_damaged_descriptions_are_named_with_their_runs(path: Path) -> None:
    Store(path).compact()
    later = write_run(path, seed=9, levels=1)
    file = Manifest.read(path).description_files[0]
    damage(file)
    store = Store(path)
    assert store.sql("SELECT DISTINCT run_id FROM levels").rows == [(later,)]
    assert [run.run_id for run in store.runs()] == [later]
    assert store.counts("resnet8w4/digits").runs == (later,)
    named = {problem.path: problem.reason for problem in store.problems}
    assert "descriptions of 4 runs are left out" in named[str(file)]


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"version": 2}', "\0" * 99, "flip"])
def test_a_manifest_that_is_missing_or_damaged_is_made_again(path: Path, text: str | None) -> None:
    Store(path).compact()
    write_run(path, seed=9, levels=1)
    before = answers(path)
    manifest = path / "compact" / "manifest.json"
    if text is None:
        manifest.unlink()
    elif text == "flip":
        damage(manifest)
    else:
        manifest.write_text(text)
    store = Store(path)
    assert [store.sql(query).rows for query in QUERIES] == [rows for _, rows in before]
    (problem,) = store.problems
    assert problem.path == str(manifest)
    assert "made again from the parts, nothing is lost" in problem.reason
    assert RunFolder.of(path, DIGITS.run_id(0)).recorded_levels() == [0, 1, 2, 3]
    Store(path).compact()
    assert answers(path) == before
    assert loose_files(path) == []


def test_a_manifest_of_a_newer_rgtool_is_an_error(path: Path) -> None:
    Store(path).compact()
    (path / "compact" / "manifest.json").write_text('{"version": 3}')
    with pytest.raises(StoreError, match=r"newer rgtool.*upgrade rgtool"):
        Store(path).sql("FROM runs")
    with pytest.raises(StoreError, match="newer rgtool"):
        RunFolder.of(path, DIGITS.run_id(0)).recorded_levels()


def test_strangers_in_the_folder_are_left_alone(path: Path) -> None:
    Store(path).compact()
    for name in ("notes.txt", "records-0001 (copy).parquet"):
        (path / "compact" / name).write_text("mine")
    write_run(path, seed=9, levels=1)
    Store(path).compact()
    for name in ("notes.txt", "records-0001 (copy).parquet"):
        assert (path / "compact" / name).read_text() == "mine"


# Stores that are copied over one another.

STATES = ("loose", "compacted", "without manifest")


def make_store(path: Path, state: str, *seeds: int) -> Path:
    for seed in seeds:
        write_run(path, seed=seed, levels=1)
    if state != "loose":
        Store(path).compact()
    if state == "without manifest":
        (path / "compact" / "manifest.json").unlink()
    return path


def copy_over(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


@pytest.mark.parametrize(
    "states", [*itertools.combinations_with_replacement(STATES, 3)], ids="-".join
)
def test_three_stores_copied_over_one_another_give_all_three(
    tmp_path: Path, states: tuple[str, ...]
) -> None:
    sources = [
        make_store(tmp_path / f"{i}", state, 2 * i, 2 * i + 1) for i, state in enumerate(states)
    ]
    for number, order in enumerate((sources, sources[::-1])):
        target = tmp_path / f"all{number}"
        for source in order:
            copy_over(source, target)
        wanted = sorted((DIGITS.run_id(seed), level) for seed in range(6) for level in (0, 1))
        for _ in range(2):
            assert Store(target).sql("SELECT run_id, level FROM levels ORDER BY ALL").rows == wanted
            Store(target).compact()
        assert answers(target)[1][1]
        assert loose_files(target) == []


def test_what_stands_twice_and_is_the_same_counts_once(path: Path) -> None:
    other = shutil.copytree(path, path.with_name("other"))
    before = answers(path)
    extend(other, seed=1, levels=5)
    extended = answers(other)
    for store in (path, other):
        Store(store).compact()
    copy_over(other, path)
    assert answers(path) == extended
    Store(path).compact()
    assert answers(path) == extended
    Store(path).compact()
    assert len(list((path / "compact").glob("records-*"))) == 1
    copy_over(path.with_name("other"), path)
    assert len(before[1][1]) == 16


@pytest.mark.parametrize("loose", [True, False], ids=["loose", "compacted"])
def test_what_stands_twice_and_differs_is_named_and_kept(path: Path, loose: bool) -> None:
    run_id, other = DIGITS.run_id(1), path.with_name("other")
    make_store(other, "loose", 11)
    folder = RunFolder.of(other, run_id)
    shutil.copytree(RunFolder.of(path, run_id).path, folder.path)
    record_level(other, DIGITS, run_id, 2, counts(DIGITS, 1, 3), accuracy=0.125)
    if not loose:
        Store(other).compact()
    Store(path).compact()
    before = answers(path)
    index = (path / "compact" / "manifest.json").read_bytes()
    copy_over(other, path)
    (path / "compact" / "manifest.json").write_bytes(index)
    for _ in range(2):
        store = Store(path)
        rows = store.sql(
            "SELECT * FROM levels WHERE NOT ends_with(run_id, 's11') ORDER BY ALL"
        ).rows
        assert rows == before[1][1]
        (problem,) = store.problems
        assert "differ" in problem.reason
        assert run_id in str(problem)
        found = pq.read_table(problem.path).to_pylist()
        assert 0.125 in {row["accuracy"] for row in found}
        store.compact()


# Stores that rgtool 0.1.0 compacted.


def as_version_1(path: Path) -> None:
    """Give the compacted files of a store the names and the manifest of rgtool 0.1.0."""
    manifest = Manifest.read(path)
    levels = {run_id: max(manifest.levels(run_id)) for run_id in manifest.runs}
    parts = []
    for number, part in enumerate(manifest.records, start=1):
        parts.append(number)
        for kind, file in (("records", part.file), ("groups", part.groups)):
            plain(manifest.folder / file, f"{kind}-{number:04d}.parquet")
    (described,) = manifest.description_files
    plain(described, "descriptions-0009.parquet")
    values = {"version": 1, "generation": 9, "parts": parts, "descriptions": 9, "runs": levels}
    (manifest.folder / "manifest.json").write_text(json.dumps(values))


def plain(file: Path, name: str) -> None:
    table = pq.read_table(file).replace_schema_metadata(None)
    file.unlink()
    pq.write_table(table, file.with_name(name), store_schema=False)


@pytest.fixture
def old(path: Path) -> Path:
    """A store that rgtool 0.1.0 compacted twice, into two parts."""
    Store(path).compact()
    copy_over(make_store(path.with_name("other"), "compacted", 7), path)
    write_run(path, seed=7, levels=1)  # its description is written again, and no record
    Store(path).compact()
    Store(path).compact()
    as_version_1(path)
    return path


def test_what_0_1_0_compacted_is_read_and_compacted_further(old: Path) -> None:
    before = answers(old)
    assert len(before[1][1]) == 16 + 2
    assert Store(old).compact().runs == 0
    write_run(old, seed=8, levels=1)
    extended = answers(old)
    Store(old).compact()
    assert answers(old) == extended
    Store(old).compact()  # clears away what the one before has replaced
    assert answers(old) == extended
    assert all(not part.is_old for part in Manifest.read(old).records)
    assert {file.name for file in (old / "compact").glob("*.parquet")} == {
        file.name for file in Manifest.read(old).files
    }


@pytest.mark.parametrize("lost", ["manifest", "left over"])
def test_what_0_1_0_compacted_is_found_without_its_manifest(old: Path, lost: str) -> None:
    before = answers(old)
    if lost == "manifest":
        (old / "compact" / "manifest.json").unlink()
    else:  # a part that a killed compaction has not removed yet
        shutil.copy(old / "compact" / "records-0001.parquet", old / "compact/records-0005.parquet")
    store = Store(old)
    assert [store.sql(query).rows for query in QUERIES] == [rows for _, rows in before]
    write_run(old, seed=8, levels=1)
    Store(old).compact()
    Store(old).compact()
    assert len(answers(old)[1][1]) == len(before[1][1]) + 2
    assert len(list((old / "compact").glob("records-*"))) == 1


def test_two_stores_of_0_1_0_whose_names_collide_say_what_is_lost(tmp_path: Path) -> None:
    one, two = (
        make_store(tmp_path / name, "compacted", seed) for name, seed in (("a", 0), ("b", 1))
    )
    for store, seed in ((one, 0), (two, 1)):
        RunFolder.of(store, DIGITS.run_id(seed)).mask(1).write_bytes(b"x")
        as_version_1(store)
    copy_over(two, one)
    store = Store(one)
    assert [run.run_id for run in store.runs()] == [DIGITS.run_id(1)]
    (problem,) = store.problems
    assert DIGITS.run_id(0) in problem.path
    assert "is missing" in problem.reason


def test_a_store_that_cannot_be_compacted_keeps_everything(path: Path) -> None:
    before = answers(path)
    (path / "compact").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be compacted.*nothing is lost"):
        Store(path).compact()
    (path / "compact").unlink()
    assert answers(path) == before


def test_files_of_an_older_rgtool_give_defaults_for_what_they_lack(path: Path) -> None:
    Store(path).compact()
    before = answers(path)
    as_version_1(path)
    manifest = Manifest.read(path)
    lacking = ((manifest.description_files[0], "momentum"), (manifest.record_files[0], "loss"))
    for file, column in lacking:
        pq.write_table(pq.read_table(file).drop([column]), file)
    assert answers(path) == before
    write_run(path, seed=20, levels=3)
    Store(path).compact()
    assert [row for row in answers(path)[1][1] if not row[0].endswith("s20")] == before[1][1]


def test_descriptions_with_numbers_that_json_lacks_survive(path: Path) -> None:
    odd = describe(DIGITS, 50, 0, scales={"init": {"conv1": float("inf")}})
    folder = RunFolder.of(path, odd.run_id)
    folder.make()
    odd.write(folder.description)
    record_level(path, DIGITS, odd.run_id, 0, counts(DIGITS, 50, 0))
    Store(path).compact()
    assert loose_files(path) == []
    assert folder.read_description() == odd
    found = Store(path).sql(f"SELECT scales FROM runs WHERE run_id = '{odd.run_id}'")
    assert json.loads(found.rows[0][0]) == {"init": {"conv1": None}}


# Epochs: measured, so that nothing that is wrong with them keeps a run from being compacted.


def epochs_of(path: Path, seed: int) -> list[tuple[object, ...]]:
    run_id = DIGITS.run_id(seed)
    rows = Store(path).sql("SELECT * FROM epochs ORDER BY ALL").rows
    return [row[5:] for row in rows if row[0] == run_id]


def test_compacted_epochs_are_those_of_the_file(path: Path) -> None:
    folder = RunFolder.of(path, DIGITS.run_id(1))
    before = folder.read_epochs()
    assert before == read_epochs(folder.epochs, folder.path.name)
    Store(path).compact()
    assert folder.read_epochs() == before


def test_a_run_without_epochs_has_none(path: Path) -> None:
    for epochs in path.glob("runs/*/epochs.jsonl"):
        epochs.unlink()
    before = answers(path)
    assert before[-1][1] == []
    Store(path).compact()
    assert answers(path) == before
    assert Manifest.read(path).epochs == ()


def test_epochs_that_come_later_are_compacted_too(path: Path) -> None:
    """As they do by a merge, or where a compaction was killed after the records."""
    folder = RunFolder.of(path, DIGITS.run_id(0))
    before, text = answers(path), folder.description.read_bytes()
    folder.epochs.rename(path / "aside")
    Store(path).compact()
    (path / "aside").rename(folder.epochs)
    folder.description.write_bytes(text)
    assert answers(path) == before
    assert Store(path).compact().runs == 1
    assert answers(path) == before
    assert loose_files(path) == []


def test_epochs_of_a_level_that_is_not_recorded_stay_loose(path: Path) -> None:
    folder = RunFolder.of(path, DIGITS.run_id(0))
    with folder.epochs.open("ab") as file:
        file.write(Epoch(run_id=folder.path.name, level=4, epoch=1).line())
    before = answers(path)
    Store(path).compact()
    assert answers(path) == before
    assert [epoch.level for epoch in read_epochs(folder.epochs, folder.path.name)][-1] == 4
    assert 4 not in Manifest.read(path).epoch_levels(folder.path.name)


def test_what_is_compacted_of_a_level_goes_before_what_is_loose(path: Path) -> None:
    folder = RunFolder.of(path, DIGITS.run_id(0))
    before, curves = answers(path), folder.epochs.read_bytes()
    Store(path).compact()
    extend(path, seed=0, levels=4)
    new = folder.epochs.read_bytes()
    extended = epochs_of(path, 0)
    folder.epochs.write_bytes(curves.replace(b"1000", b"7") + new)  # trained again, as it were
    assert epochs_of(path, 0) == extended
    assert extended[: len(before[-1][1]) // 4] == [row[5:] for row in before[-1][1][:10]]


def test_a_damaged_part_of_epochs_is_named_and_costs_nothing_else(path: Path) -> None:
    Store(path).compact()
    *others, _ = answers(path)
    (part,) = Manifest.read(path).epochs
    damage(path / "compact" / part.file)
    store = Store(path)
    assert [(r.types, r.rows) for r in map(store.sql, QUERIES[:-1])] == others
    assert store.sql("FROM epochs").rows == []
    (problem,) = store.problems
    assert problem.path.endswith(part.file)
    assert "its epochs of 4 runs are left out" in problem.reason


def test_few_files_hold_the_epochs_of_many_compactions(path: Path) -> None:
    for seed in range(4, 20):
        write_run(path, seed=seed, levels=1)
        Store(path).compact()
    assert len(Manifest.read(path).epochs) <= 5
    assert len(Store(path).sql("FROM epochs").rows) == 4 * 10 + 16 * 6
