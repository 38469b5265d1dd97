"""Files among the records that are none: left out, named, counted; queries go on."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import Cli
from stores import describe, write_run

import rgtool
from rgtool.schemas.blocks import architecture
from rgtool.schemas.errors import RecordError, StoreError
from rgtool.schemas.lock import lock
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.description import Description
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.records.record import read_record
from rgtool.schemas.sums import KEY, stamp
from rgtool.schemas.tensors.safetensors import write_mask
from rgtool.store import Store
from rgtool.store.sql.broken import MEMORY
from rgtool.store.sql.trust import MEMORY as SEEN

LEVELS = 4


def edited(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    """Write the changed table as a foreign program would, which knows of no sum."""

    def damage(path: Path) -> None:
        table = pq.read_table(io.BytesIO(path.read_bytes())).replace_schema_metadata(None)
        pq.write_table(change(table), path)

    return damage


def flipped(blob: bytes, at: int) -> bytes:
    return blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]


def replaced(column: str, values: Callable[[list[object]], list[object]], type_: object = None):
    def change(table: pa.Table) -> pa.Table:
        i = table.column_names.index(column)
        new = pa.array(values(table[column].to_pylist()), type_ or table.schema.field(i).type)
        return table.set_column(i, column, new)

    return edited(change)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda p: p.write_bytes(b""), "not a readable Parquet file"),
    "cut off": (lambda p: p.write_bytes(p.read_bytes()[:-100]), "not a readable Parquet file"),
    "a bit": (lambda p: p.write_bytes(flipped(p.read_bytes(), 900)), "the sum differs"),
    "changed and written again": (
        lambda p: pq.write_table(pq.read_table(io.BytesIO(p.read_bytes())), p),
        "the sum differs",
    ),
    "text": (lambda p: p.write_text("no Parquet at all"), "not a readable Parquet file"),
    "pages": (
        lambda p: p.write_bytes(b"PAR1" + b"\xff" * 1500 + p.read_bytes()[1504:]),
        "the sum differs",
    ),
    "foreign": (lambda p: pq.write_table(pa.table({"x": [1]}), p), "column 'version' is missing"),
    "no kept": (edited(lambda t: t.drop(["kept"])), "column 'kept' is missing"),
    "text for kept": (replaced("kept", lambda v: ["many"] * len(v), pa.string()), "many"),
    "newer": (replaced("version", lambda v: [99] * len(v)), "upgrade rgtool"),
    "no rows": (edited(lambda t: t.slice(0, 0)), "without rows"),
    "wrong run": (replaced("run_id", lambda v: ["other"] * len(v)), "does not belong there"),
    "wrong level": (replaced("level", lambda v: [1] * len(v)), "does not belong there"),
}
# An empty table makes no query fail: it is met when something else sends for a search.
SILENT = {"no rows"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template")
    for seed in range(3):
        write_run(path, seed=seed, levels=LEVELS)
    return path


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Store:
    return Store(shutil.copytree(template, tmp_path / "s"))


def record_of(store: Store, position: int, level: int) -> Path:
    return RunFolder.of(store.path, sorted(r.run_id for r in store.runs())[position]).record(level)


@pytest.mark.parametrize("position", [0, 2], ids=["first file", "last file"])
@pytest.mark.parametrize("name", DAMAGES)
def test_a_broken_record_is_left_out_and_named(store: Store, name: str, position: int) -> None:
    damage, words = DAMAGES[name]
    path = record_of(store, position, 0 if position == 0 else LEVELS)
    damage(path)
    found = store.sql(
        "SELECT count(*), count(DISTINCT run_id), sum(kept) FROM layers JOIN levels "
        "USING (run_id, level)"
    )
    layers = len(architecture("resnet8w4").layers)
    assert found.rows[0][:2] == ((3 * (LEVELS + 1) - 1) * layers, 3)
    if name not in SILENT:
        (problem,) = store.problems
        assert problem.path == str(path)
        assert words in problem.reason
        assert "\n" not in str(problem)
    with pytest.raises(RecordError, match="not belong" if "not belong" in words else words):
        read_record(path)
        raise RecordError("not belong")  # a whole record, only in a wrong place


def test_what_is_broken_is_remembered_until_it_changes(store: Store) -> None:
    path = record_of(store, 1, 2)
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    store.sql("SELECT sum(kept) FROM layers")
    assert [p.path for p in Store(store.path).problems] == []
    again = Store(store.path)
    again.sql("SELECT sum(kept) FROM layers")
    assert [p.path for p in again.problems] == [str(path)]
    assert list(json.loads((store.path / MEMORY).read_text())) == [
        str(path.relative_to(store.path))
    ]
    path.write_bytes(whole)
    for reader in (again, store, Store(store.path)):
        assert reader.sql("SELECT count(*) FROM levels").rows == [(3 * (LEVELS + 1),)]
        assert reader.problems == ()


def test_many_broken_files_are_found_in_one_go(tmp_path: Path) -> None:
    for seed in range(12):
        write_run(tmp_path, seed=seed, levels=LEVELS)
    store, broken = Store(tmp_path), []
    for position in (0, 3, 4, 11):
        for level in (1, 2, 4):
            broken.append(record_of(store, position, level))
            DAMAGES["newer" if level == 1 else "cut off"][0](broken[-1])
    assert store.sql("SELECT count(*) FROM levels").rows == [(12 * (LEVELS + 1) - 12,)]
    assert sorted(p.path for p in store.problems) == sorted(map(str, broken))
    assert sum("upgrade rgtool" in p.reason for p in store.problems) == 4


def test_a_store_that_cannot_be_written_remembers_in_memory(store: Store) -> None:
    (store.path / MEMORY).mkdir()  # stands in the way of the file, for root too
    record_of(store, 0, 0).write_bytes(b"")
    for _ in range(2):
        assert store.sql("SELECT count(*) FROM levels").rows == [(3 * (LEVELS + 1) - 1,)]
        assert len(store.problems) == 1


@pytest.mark.parametrize("text", ["not json", "[]", '{"a.parquet": 3}', '{"a.parquet": []}'])
def test_a_damaged_memory_is_no_obstacle(store: Store, text: str) -> None:
    (store.path / MEMORY).write_text(text)
    path = record_of(store, 0, 0)
    path.write_bytes(b"")
    fresh = Store(store.path)
    fresh.sql("SELECT sum(kept) FROM layers")
    assert [p.path for p in fresh.problems] == [str(path)]


def test_a_mistake_in_a_query_blames_no_file(store: Store) -> None:
    for query in ("SELECT kep FROM layers", "SELECT layer::INT FROM layers", "SELECT error('x')"):
        with pytest.raises(Exception, match="kep|Could not convert|x"):
            store.sql(query)
    assert store.problems == ()


DESCRIPTIONS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda p: p.write_text(""), "not a description"),
    "cut off": (lambda p: p.write_text(p.read_text()[:-40]), "not a description"),
    "a list": (lambda p: p.write_text("[1]"), "not a description"),
    "binary": (lambda p: p.write_bytes(b"\xff\x00\x9f"), "not a description"),
    "newer": (lambda p: p.write_text(changed(p, version=3)), "upgrade rgtool"),
    "unknown key": (lambda p: p.write_text(changed(p, color=1)), "color"),
    "bad recipe": (lambda p: p.write_text(changed(p, recipe={"task": "x"})), "architecture"),
    "text for levels": (
        lambda p: p.write_text(changed(p, levels="six")),
        "'levels' is no whole number",
    ),
    "another run": (lambda p: p.write_text(changed(p, run_id="a")), "describes run a"),
    "missing": (lambda p: p.unlink(), "missing"),
}


HOSTILE: dict[str, str] = {
    "half a pair": '"\\udcff"',
    "half a pair in a list": '["\\ud800"]',
    "null character": '"a\\u0000b"',
    "1e999": "1e999",
    "400 digits": "1" + "0" * 400,
    "5000 digits": "1" + "0" * 5000,
    "2^63": str(2**63),
    "NaN": "NaN",
    "deep": "[" * 900 + "]" * 900,
    "very deep": "[" * 200_000 + "]" * 200_000,
    "very deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "list": "[1, [2]]",
    "object": '{"a": {"b": 1}}',
    "null": "null",
    "true": "true",
    "number": "1.5",
    "negative": "-1",
    "twice": '1, "run_id": "x"',
    "text": '"hello"',
    "long": '"' + "x" * 200_000 + '"',
    "escape": '"\\u001b[31m"',
}
MAY_BE = {  # what a field may hold, all the same
    "twice": set[str](),
    "seed": {"negative", "null"},
    "parent_run": {"text", "long", "escape", "null"},
    "recipe_name": {"text", "long", "escape"},
    "replicate": {"text", "long", "escape"},
    "experiment_id": {"text", "long", "escape"},
    "source": {"text", "long", "escape"},
    "versions": set[str](),
    "machine": {"object"},
    "scales": {"object"},
}


@pytest.mark.parametrize("field", [*(f.name for f in dataclasses.fields(Description)), "FUTURE"])
def test_no_value_of_a_description_hides_the_other_runs(store: Store, field: str) -> None:
    path = record_of(store, 1, 0).parents[1] / "run.json"
    values = json.loads(changed(path))
    for name, text in HOSTILE.items():
        path.write_text(json.dumps({**values, field: "@"}).replace('"@"', text))
        reader = Store(store.path)
        rows = reader.sql("SELECT run_id, experiment_id, scales, machine FROM runs").rows
        left_out = [problem.path for problem in reader.problems]
        assert len(reader.runs()) == len(rows), name
        assert (len(rows), left_out) in ((3, []), (2, [str(path)])), name
        if len(rows) == 3:
            assert name in MAY_BE.get(field, set()), (field, name)


@pytest.mark.parametrize("blob", [b'{"a": "\xff"}', b"\xff\xfe{", b"\0" * 100, b"{}", b"null"])
def test_bytes_that_are_no_text_hide_nothing(store: Store, blob: bytes) -> None:
    path = record_of(store, 1, 0).parents[1] / "run.json"
    path.write_bytes(blob)
    assert store.sql("SELECT count(*) FROM runs").rows == [(2,)]
    assert [problem.path for problem in store.problems] == [str(path)]


def test_a_huge_description_and_a_pipe_are_not_read(store: Store) -> None:
    huge, pipe = (record_of(store, i, 0).parents[1] / "run.json" for i in (0, 1))
    with huge.open("r+b") as file:
        file.truncate(1 << 40)
    pipe.unlink()
    os.mkfifo(pipe)
    assert store.sql("SELECT count(*) FROM runs").rows == [(1,)]
    assert [problem.path for problem in store.problems] == [str(huge), str(pipe)]


def test_what_is_no_text_is_written_with_escapes(tmp_path: Path) -> None:
    recipe = Recipe(architecture="lenet", task="digits", origin="r\udcff")
    odd = describe(recipe, 0, 0, files=({"path": "a\udcff\0b"},), inferred={"\ud800": "x"})
    folder = RunFolder.of(tmp_path, odd.run_id)
    folder.make()
    odd.write(folder.description)
    assert Store(tmp_path).sql("SELECT origin, files, inferred FROM runs").rows == [
        ("r\\udcff", '[{"path":"a\\\\udcff\\\\x00b"}]', '{"\\\\ud800":"x"}')
    ]
    for levels in (2**31, -1, None):
        with pytest.raises(RecordError, match="levels"):
            dataclasses.replace(odd, levels=levels).write(folder.description)  # type: ignore[arg-type]
    assert Description.read(folder.description).levels == 0


def test_a_record_restored_from_a_copy_is_looked_at_again(store: Store) -> None:
    path = record_of(store, 1, 2)
    whole, status = path.read_bytes(), path.stat()
    for blob, rows in ((flipped(whole, 700), 14), (whole, 15)) * 2:
        path.write_bytes(blob)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        for reader in (store, Store(store.path)):
            assert reader.sql("SELECT count(*) FROM levels").rows == [(rows,)]
            assert [p.path for p in reader.problems] == ([str(path)] if rows == 14 else [])


@pytest.mark.parametrize("kind", ["records/*", "run.json", "compact/records*", "compact/desc*"])
def test_no_flipped_byte_changes_a_number_in_silence(store: Store, kind: str) -> None:
    queries = [f"FROM {view} ORDER BY ALL" for view in ("runs", "levels", "flow")]
    if kind.startswith("compact"):
        store.compact()
    path = sorted(store.path.glob(kind if kind.startswith("compact") else f"runs/*/{kind}"))[0]
    right, whole = [store.sql(query).rows for query in queries], path.read_bytes()
    for at in range(3, len(whole), len(whole) // 9):
        path.write_bytes(flipped(whole, at))
        reader = Store(store.path)
        found = [reader.sql(query).rows for query in queries]
        assert found == right or str(path) in {problem.path for problem in reader.problems}
    path.write_bytes(whole)
    assert [store.sql(query).rows for query in queries] == right


def test_a_file_is_read_once_and_again_when_it_is_new(store: Store) -> None:
    store.sql("FROM levels")
    lines = (store.path / SEEN).read_text().splitlines()
    assert len(lines) == 3
    Store(store.path).sql("FROM levels")
    assert (store.path / SEEN).read_text().splitlines() == lines
    record_of(store, 0, 1).touch()
    Store(store.path).sql("FROM levels")
    assert (store.path / SEEN).read_text().splitlines()[:3] == lines
    (store.path / SEEN).write_bytes(b"\xff\n torn")
    assert Store(store.path).sql("SELECT count(*) FROM levels").rows == [(15,)]


def test_doctor_finds_rot_that_left_no_trace(store: Store) -> None:
    mask = RunFolder(record_of(store, 0, 1).parents[1]).mask(1)
    first = read_record(record_of(store, 0, 1)).to_pylist()[0]
    write_mask(mask, {first["layer"]: np.arange(first["total"]) < first["kept"]})
    assert store.check().problems == ()
    record = record_of(store, 1, 1)
    for path in (mask, record):
        path.write_bytes(flipped(path.read_bytes(), path.stat().st_size - 40))
    Store(store.path)._reader.left_out._trust.add(
        f"runs/{record.parents[1].name}",
        [stamp(record_of(store, 1, level).stat()) for level in range(LEVELS + 1)],
    )
    found = Store(store.path).check()
    assert [problem.path for problem in found.problems] == sorted(map(str, (mask, record)))
    assert all("the sum differs" in problem.reason for problem in found.problems)
    assert Store(store.path).sql("SELECT count(*) FROM levels").rows == [(14,)]


def test_doctor_counts_what_carries_no_sum(store: Store) -> None:
    edited(lambda table: table)(record_of(store, 0, 0))
    store.compact()
    found = store.check()
    assert (found.unsummed, found.problems) == (0, ())
    edited(lambda table: table)(next((store.path / "compact").glob("groups*")))
    assert store.check().unsummed == 1


def test_doctor_on_the_command_line(store: Store, cli: Cli) -> None:
    done = cli("doctor", "--json", "--store", store.path)
    found = {row["what"]: row["found"] for row in json.loads(done.out)}
    assert found["locks"] == found["rename"] == found["changes of files"] == "works"
    assert found["rgtool"] == rgtool.__version__
    assert list(store.path.glob(".doctor*")) == []
    assert cli("doctor", "--deep", "--store", store.path).code == 0
    record_of(store, 0, 0).write_bytes(b"x")
    done = cli("doctor", "--deep", "--store", store.path)
    assert done.code == 1
    assert "records/0000.parquet" in done.out


def changed(path: Path, **values: object) -> str:
    """Edit a description by hand, as its message says: without the sum."""
    text = {**json.loads(path.read_text()), **values}
    return json.dumps({name: value for name, value in text.items() if name != KEY})


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_run_without_a_sound_description_stays_out_with_its_records(
    store: Store, name: str
) -> None:
    damage, words = DESCRIPTIONS[name]
    path = record_of(store, 1, 0).parents[1] / "run.json"
    damage(path)
    assert store.sql("SELECT count(*) FROM runs").rows == [(2,)]
    for view in ("layers", "levels", "flow"):
        assert store.sql(f"SELECT count(DISTINCT run_id) FROM {view}").rows == [(2,)]
    assert len(store.runs()) == len(store.counts("resnet8w4/digits").runs) == 2
    (problem,) = store.problems
    assert problem.path == str(path)
    assert words in problem.reason
    assert "left out" in problem.reason
    assert "\n" not in str(problem)


def test_a_copied_run_folder_is_not_counted_twice(store: Store) -> None:
    folder = record_of(store, 0, 0).parents[1]
    copy = folder.with_name("copy")
    (copy / "records").mkdir(parents=True)
    (copy / "run.json").write_bytes((folder / "run.json").read_bytes())
    (copy / "records" / "0000.parquet").write_bytes((folder / "records/0000.parquet").read_bytes())
    assert store.sql("SELECT count(*) FROM levels").rows == [(3 * (LEVELS + 1),)]
    assert [p.path for p in store.problems] == [str(copy / "run.json")]


def test_strangers_in_the_store_are_ignored(store: Store) -> None:
    (store.path / "runs" / "notes.txt").write_text("hello")
    (store.path / "runs" / ".cache").mkdir()
    (store.path / "runs" / "empty").mkdir()
    (record_of(store, 0, 0).parent / "0000.parquet.bak").write_bytes(b"x")
    assert store.sql("SELECT count(*) FROM levels").rows == [(3 * (LEVELS + 1),)]
    assert store.problems == ()


def exchanged(path: Path, made: Callable[[Path], object]) -> None:
    """Put something that is no file where a file may have been."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    made(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("made", [os.mkfifo, Path.mkdir])
@pytest.mark.parametrize("name", [SEEN, MEMORY])
def test_a_memory_that_is_no_file_is_ignored(
    tmp_path: Path, name: str, made: Callable[[Path], object]
) -> None:
    write_run(tmp_path / "s", levels=LEVELS)
    exchanged(tmp_path / "s" / name, made)
    broken = next((tmp_path / "s").glob("runs/*/records/0003.parquet"))
    broken.write_bytes(flipped(broken.read_bytes(), 900))
    for _ in range(2):
        store = Store(tmp_path / "s")
        assert store.sql("SELECT count(*) FROM levels").rows == [(LEVELS,)]
        assert [problem.path for problem in store.problems] == [str(broken)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_manifest_that_is_a_pipe_is_made_again(tmp_path: Path, cli: Cli) -> None:
    write_run(tmp_path / "s", levels=LEVELS)
    Store(tmp_path / "s").compact()
    manifest = tmp_path / "s" / "compact" / "manifest.json"
    exchanged(manifest, os.mkfifo)
    done = cli("sql", "SELECT count(*) FROM levels", "--store", str(tmp_path / "s"))
    assert str(LEVELS + 1) in done.out
    assert f"note: {manifest}: is damaged (a named pipe where a file is due)" in done.err
    assert "left out" not in done.err
    Store(tmp_path / "s").compact()
    assert manifest.is_file()


def test_a_manifest_that_is_a_folder_is_made_again_once_it_is_moved(tmp_path: Path) -> None:
    write_run(tmp_path / "s", levels=LEVELS)
    Store(tmp_path / "s").compact()
    manifest = tmp_path / "s" / "compact" / "manifest.json"
    exchanged(manifest, Path.mkdir)
    store = Store(tmp_path / "s")
    assert store.sql("SELECT count(*) FROM levels").rows == [(LEVELS + 1,)]
    assert "a folder where a file is due" in store.problems[0].reason
    with pytest.raises(StoreError, match=r"manifest\.json is a folder .* move it away"):
        store.compact()
    manifest.rmdir()
    store.compact()
    assert manifest.is_file()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_description_that_is_a_pipe_hides_nothing_compacted(tmp_path: Path) -> None:
    write_run(tmp_path / "s", levels=LEVELS)
    Store(tmp_path / "s").compact()
    (run,) = (tmp_path / "s" / "runs").iterdir()
    exchanged(run / "run.json", os.mkfifo)
    store = Store(tmp_path / "s")
    assert store.sql("SELECT count(*) FROM levels").rows == [(LEVELS + 1,)]
    (problem,) = store.problems
    assert "a named pipe" in problem.reason
    assert "what is compacted of it counts" in problem.reason


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_lock_that_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    told = pytest.raises(OSError, match=r"a named pipe where a file is due: .*lock")
    with told, lock(tmp_path / "lock", "nothing"):
        pass


@pytest.mark.parametrize("kind", ["mask", "record", "part"])
def test_a_mark_that_is_flipped_is_damage_like_any_other(tmp_path: Path, kind: str) -> None:
    write_run(tmp_path / "s", levels=LEVELS)
    if kind == "mask":
        path = next((tmp_path / "s").glob("runs/*")) / "masks" / "0001.safetensors"
        path.parent.mkdir(exist_ok=True)
        write_mask(path, {"a": np.ones(8, bool)})
    elif kind == "part":
        Store(tmp_path / "s").compact()
        path = next((tmp_path / "s").glob("compact/records-*.parquet"))
    else:
        path = next((tmp_path / "s").glob("runs/*/records/0001.parquet"))
    blob = path.read_bytes()
    path.write_bytes(flipped(blob, blob.rindex(b"sha256:")))
    found = Store(tmp_path / "s").check()
    assert "the sum differs" in {p.path: p.reason for p in found.problems}[str(path)]
