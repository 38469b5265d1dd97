"""`Store.sql`: what a user's query may do, what comes back, how its errors read."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from page import read
from stores import curve, data_of, write_run

from rgtool.schemas.errors import QueryError, RgtoolError, StoreError
from rgtool.schemas.published import PUBLISHED
from rgtool.schemas.records.epochs import write_epochs
from rgtool.schemas.records.layout import RunFolder
from rgtool.store import Store
from rgtool.store.sql import connection, memory
from rgtool.store.sql.session import VIEWS


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template")
    for seed in range(2):
        write_run(path, seed=seed)
    return path


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Store:
    return Store(shutil.copytree(template, tmp_path / "s"))


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT count(*) FROM runs", [(2,)]),
        ("SELECT 1;", [(1,)]),
        ("SELECT ';' AS a; -- and ; a comment", [(";",)]),
        ("SELECT 'ü' ; /* x */", [("ü",)]),
        ("-- a comment\nSELECT 1 -- another", [(1,)]),
        ("FROM range(2)", [(0,), (1,)]),
        ("VALUES (1), (2)", [(1,), (2,)]),
        ("WITH a AS (SELECT 3 AS b) SELECT b FROM a", [(3,)]),
        ("(SELECT 1) UNION ALL (SELECT 2)", [(1,), (2,)]),
        ("PIVOT (SELECT seed FROM runs) ON seed USING count(*)", [(1, 1)]),
        (
            "SELECT level FROM levels WHERE run_id LIKE '%s1' ORDER BY level DESC",
            [(3,), (2,), (1,), (0,)],
        ),
        ("SHOW TABLES", [(name,) for name in sorted((*VIEWS, *PUBLISHED))]),
    ],
)
def test_reading_queries_work(store: Store, query: str, rows: list[tuple[object, ...]]) -> None:
    assert store.sql(query).rows == rows


def test_describe_and_summarize_work(store: Store) -> None:
    assert "eigenvalue" in [row[0] for row in store.sql("DESCRIBE flow").rows]
    assert "kept" in [row[0] for row in store.sql("SUMMARIZE layers").rows]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "the query is empty"),
        (" ;; ", "the query is empty"),
        ("-- nothing", "the query is empty"),
        ("SELECT 1; SELECT 2", "2 statements: give one at a time"),
        ("SELECT 1); DROP VIEW runs; SELECT (1", "syntax error"),
        ("COPY (SELECT 1) TO 'x.csv'", "COPY is not allowed: the store is only read"),
        ("CREATE TABLE a AS SELECT 1", "CREATE is not allowed"),
        ("DROP VIEW runs", "DROP is not allowed"),
        ("INSERT INTO runs VALUES (1)", "INSERT is not allowed"),
        ("UPDATE runs SET seed = 1", "UPDATE is not allowed"),
        ("DELETE FROM runs", "DELETE is not allowed"),
        ("ATTACH 'x.db'", "ATTACH is not allowed"),
        ("SET threads = 1", "SET is not allowed"),
        ("SET VARIABLE loose_records = []", "SET is not allowed"),
        ("PRAGMA version", "is not allowed"),
        ("CALL pragma_version()", "CALL is not allowed"),
        ("INSTALL httpfs", "LOAD is not allowed"),
        ("EXPORT DATABASE 'x'", "EXPORT is not allowed"),
        ("EXPLAIN ANALYZE SELECT 1", "EXPLAIN is not allowed"),
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT * FROM flw", r"there is no view 'flw': did you mean flow\?"),
        ("SELECT * FROM records", "there is no view 'records': "),
        ("SELECT kep FROM layers", '"kep" not found.*did you mean kept'),
        ("SELECT sum(layer) FROM layers", "No function matches"),
        ("SELECT 'abc'::INT", "Could not convert string 'abc'"),
        ("SELECT $1", "arameter"),
        ("SELECT * FROM read_text('/etc/passwd')", "Cannot access file.*views of the store"),
        ("SELECT * FROM glob('/etc/*')", "Cannot access file"),
        ("SELECT * FROM 'x.csv'", "Cannot access file"),
        (
            "SELECT * FROM read_csv('https://example.org/x.csv')",
            "Cannot access file|not allowed|xtension",
        ),
    ],
)
def test_other_queries_get_one_or_two_lines(store: Store, query: str, words: str) -> None:
    before = data_of(store.path.parent)
    with pytest.raises(QueryError, match=words) as caught:
        store.sql(query)
    assert len(str(caught.value).splitlines()) <= 2
    assert "LINE" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert data_of(store.path.parent) == before


def test_the_second_line_shows_the_place(store: Store) -> None:
    with pytest.raises(QueryError) as caught:
        store.sql("SELECT run_id,\n kep FROM layers")
    assert str(caught.value).splitlines()[1] == "at: kep FROM layers"


def test_python_variables_are_no_tables(store: Store) -> None:
    secret = pl.DataFrame({"a": [1]})
    assert len(secret) == 1
    with pytest.raises(QueryError, match="no view 'secret'"):
        store.sql("SELECT * FROM secret")


def test_a_query_leaves_nothing_in_the_working_directory(store: Store, tmp_path: Path) -> None:
    store.sql("SELECT * FROM flow ORDER BY share")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


def test_results_keep_names_types_and_rows(store: Store) -> None:
    found = store.sql(
        "SELECT run_id, count(*) AS n, sum(kept) AS kept, avg(share) AS share, "
        "any_value(shape) AS shape, any_value(created_at) AS at, 1 AS n, NULL AS nothing "
        "FROM flow JOIN layers USING (run_id, level, kept) JOIN runs USING (run_id) GROUP BY ALL"
    )
    assert found.columns[:3] == ("run_id", "n", "kept")
    assert found.types[:4] == ("VARCHAR", "BIGINT", "HUGEINT", "DOUBLE")
    table = found.arrow()
    assert table.schema.field("kept").type == pa.int64()
    assert table.schema.field("shape").type == pa.list_(pa.int32())
    assert table.schema.field("at").type == pa.timestamp("us")
    assert table.column_names[6] == "n_1"
    frame = found.polars()
    assert frame["kept"].dtype == pl.Int64
    assert frame["at"][0] == dt.datetime(2026, 3, 1, 12)
    assert frame["run_id"].to_list() == [row[0] for row in found.rows]
    assert found.to_dicts()[0]["run_id"] == found.rows[0][0]


def test_an_empty_result_keeps_its_types(store: Store) -> None:
    found = store.sql("SELECT run_id, sum(kept) AS kept FROM layers WHERE level > 99 GROUP BY ALL")
    assert len(found) == 0
    assert found.polars().schema == {"run_id": pl.String, "kept": pl.Int64}


def test_values_without_an_arrow_type_travel_as_text_or_decimal(store: Store) -> None:
    found = store.sql(
        "SELECT 9223372036854775807::HUGEINT * 4 AS big, {'a': 1} AS s, [[1]] AS nested"
    )
    row = found.polars().to_dicts()[0]
    assert int(row["big"]) == 4 * (2**63 - 1)
    assert (row["s"], row["nested"]) == ({"a": 1}, [[1]])


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 25])
def test_parts_hold_every_row_once(store: Store, rows: int) -> None:
    parts = list(store.stream(f"SELECT range AS n, 'x' AS t FROM range({rows})", size=10))
    assert [row for part in parts for row in part.rows] == [(n, "x") for n in range(rows)]
    assert all(part.columns == ("n", "t") for part in parts)
    assert [len(part) for part in parts[:-1]] == [10] * (len(parts) - 1)
    assert len(parts) == max(1, -(-rows // 10))


@pytest.mark.parametrize("rows", [0, 1, 5000])
def test_batches_hold_what_a_result_holds(store: Store, rows: int) -> None:
    query = f"SELECT range AS n, sum(range) OVER () AS s, 1 AS n FROM range({rows})"
    table = store.stream_arrow(query, size=2048).read_all()
    assert table.equals(store.sql(query).arrow())
    assert store.count(query) == rows


def test_a_sum_that_outgrows_64_bits_is_named(store: Store) -> None:
    query = "SELECT CASE WHEN range < 2048 THEN 1 ELSE 2^70 END::HUGEINT AS big FROM range(9000)"
    with pytest.raises(QueryError, match="cast the sum"):
        store.stream_arrow(query, size=2048).read_all()


def test_a_stream_goes_on_without_a_broken_record(store: Store) -> None:
    broken = sorted(store.path.glob("runs/*/records/0002.parquet"))[0]
    broken.write_bytes(broken.read_bytes()[:-40])
    levels = {row for part in store.stream("SELECT run_id, level FROM levels") for row in part.rows}
    assert len(levels) == 7
    assert [problem.path for problem in store.problems] == [str(broken)] or store.problems


@pytest.mark.parametrize("query", ["", "SELECT * FROM flw", "DROP VIEW runs", "SELECT 1; SELECT 2"])
def test_streams_refuse_what_sql_refuses(store: Store, query: str) -> None:
    for ask in (store.sql, lambda q: list(store.stream(q)), store.stream_arrow, store.count):
        with pytest.raises(QueryError):
            ask(query)


def test_a_query_that_outgrows_memory_goes_to_the_disk_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spill = tmp_path / "spill"
    monkeypatch.setattr(connection, "memory_for_queries", lambda: 64 << 20)
    monkeypatch.setattr(connection, "spill_folder", lambda: str(spill))
    query = "SELECT repeat('x', 40) || range AS s FROM range(2000000) ORDER BY hash(range)"
    seen = 0
    for part in Store(tmp_path / "s").stream(query, size=200_000):
        seen += len(part)
        assert any(spill.iterdir())
    assert (seen, spill.exists()) == (2_000_000, False)


def test_memory_is_bounded_on_purpose(store: Store, tmp_path: Path) -> None:
    ((limit, folder),) = store.sql(
        "SELECT current_setting('memory_limit'), current_setting('temp_directory')"
    ).rows
    assert limit != "" and Path(folder).parent.stat().st_mode & 0o077 == 0
    groups = tmp_path / "cgroup"
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "memory.max").write_text("12345\n")
    (tmp_path / "a" / "b" / "memory.max").write_text("max\n")
    groups.write_text("0::/a/b\n")
    assert list(memory._of_groups(groups, tmp_path)) == [12345]


def test_too_little_memory_is_told_in_a_line(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "memory_for_queries", lambda: 20 << 20)
    monkeypatch.setattr(connection, "spill_folder", lambda: "")
    with pytest.raises(QueryError, match="memory") as caught:
        store.sql("SELECT list(range) FROM range(20000000)")
    assert len(str(caught.value).splitlines()) == 1


def test_a_long_query_draws_no_bar(store: Store) -> None:
    assert store.sql("SELECT current_setting('enable_progress_bar')").rows == [(False,)]


def test_a_query_that_is_no_text_is_told_in_a_line(store: Store) -> None:
    with pytest.raises(QueryError, match="^the query is not UTF-8 text$"):
        store.sql("SELECT '\udcff'")


def test_a_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="must be UTF-8 text"):
        Store(tmp_path / "\udcffstore")


@pytest.mark.skipif(sys.platform != "linux", reason="arguments are bytes there")
@pytest.mark.parametrize(
    ("letter", "code", "words"),
    [("é".encode(), 0, b"\n1"), (b"\xff", 2, b"the query is not UTF-8 text")],
)
def test_the_bytes_of_a_query_are_utf8_in_any_locale(
    tmp_path: Path, letter: bytes, code: int, words: bytes
) -> None:
    query = b"SELECT length('" + letter + b"') AS n"
    begin = [sys.executable, "-c", "from rgtool.cli import main; main()"]
    command = [*begin, "sql", query, "--csv", "--store", str(tmp_path)]
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, env=os.environ | locale, capture_output=True, check=False)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr


def test_rows_are_frames_of_any_library(store: Store) -> None:
    found = store.sql("SELECT level, kept FROM layers ORDER BY ALL LIMIT 5")
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    assert found.polars().to_dicts() == found.arrow().to_pylist() == rows and len(rows) == 5
    assert found.pandas().to_dict("records") == rows


def test_without_pandas_the_others_are_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RgtoolError, match=r"pip install pandas, or take polars\(\) or arrow\(\)"):
        store.sql("SELECT 1").pandas()


def test_people_see_the_first_rows(store: Store) -> None:
    few, many = store.sql("SELECT 'a<b' AS x, 0.5 AS y"), store.sql("SELECT * FROM range(1000)")
    seen = read(few._repr_html_())
    assert (seen.header, seen.rows, seen.below) == (["x", "y"], [["a<b", "0.5"]], [])
    seen = read(many._repr_html_())
    assert seen.rows == [[str(i)] for i in range(50)]
    assert seen.below == ["50 of 1,000 rows; polars(), arrow() and pandas() have all"]
    assert many.summary().splitlines()[-2:] == ["   49", *seen.below]


@pytest.mark.parametrize("name", ["a[1]", "a*", "a?", "[!b]1"])
@pytest.mark.parametrize("compacted", [False, True])
def test_a_store_is_the_one_that_is_named(tmp_path: Path, name: str, compacted: bool) -> None:
    other, named = Store(tmp_path / "a1"), Store(tmp_path / name)
    run = write_run(other.path, diverged=True)
    assert write_run(named.path) == run
    write_epochs(RunFolder.of(other.path, run).epochs, curve(run, 0, (0,)))
    asked = (
        "SELECT count(*) FROM levels WHERE diverged",
        "SELECT count(DISTINCT level) FROM epochs",
        "SELECT count(*) FROM runs",
    )
    for place, answers in ((other, [1, 1, 1]), (named, [0, 5, 1])):
        if compacted:
            place.compact()
        assert [place.sql(query).rows[0][0] for query in asked] == answers
        assert len(place.check().problems) == 0


def test_a_name_is_no_pattern_that_reads_another_store(tmp_path: Path) -> None:
    named = Store(tmp_path / "a[1]")
    run = write_run(named.path)
    write_run(tmp_path / "a1")
    record = RunFolder.of(named.path, run).record(0)
    with pytest.raises(QueryError, match="reads the views of the store"):
        named.sql(f"SELECT * FROM '{record}'")
