"""`Store.sql`: what a user's query may do, what comes back, how its errors read."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from stores import write_run

from rgtool.schemas.errors import QueryError
from rgtool.schemas.published import PUBLISHED
from rgtool.store import Store
from rgtool.store.session import VIEWS


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template")
    for seed in range(2):
        write_run(path, seed=seed)
    return path


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Store:
    return Store(shutil.copytree(template, tmp_path / "s"))


def digest(folder: Path) -> dict[str, str]:
    """Every file below a folder, with a hash of its content."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


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
    store.sql("FROM layers")  # the store remembers which files it has looked at
    before = digest(store.path.parent)
    with pytest.raises(QueryError, match=words) as caught:
        store.sql(query)
    assert len(str(caught.value).splitlines()) <= 2
    assert "LINE" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert digest(store.path.parent) == before


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
    table = found.to_arrow()
    assert table.schema.field("kept").type == pa.int64()
    assert table.schema.field("shape").type == pa.list_(pa.int32())
    assert table.schema.field("at").type == pa.timestamp("us")
    assert table.column_names[6] == "n_1"
    frame = found.to_polars()
    assert frame["kept"].dtype == pl.Int64
    assert frame["at"][0] == dt.datetime(2026, 3, 1, 12)
    assert frame["run_id"].to_list() == [row[0] for row in found.rows]
    assert found.to_dicts()[0]["run_id"] == found.rows[0][0]


def test_an_empty_result_keeps_its_types(store: Store) -> None:
    found = store.sql("SELECT run_id, sum(kept) AS kept FROM layers WHERE level > 99 GROUP BY ALL")
    assert len(found) == 0
    assert found.to_polars().schema == {"run_id": pl.String, "kept": pl.Int64}


def test_values_without_an_arrow_type_travel_as_text_or_decimal(store: Store) -> None:
    found = store.sql(
        "SELECT 9223372036854775807::HUGEINT * 4 AS big, {'a': 1} AS s, [[1]] AS nested"
    )
    row = found.to_polars().to_dicts()[0]
    assert int(row["big"]) == 4 * (2**63 - 1)
    assert (row["s"], row["nested"]) == ({"a": 1}, [[1]])


def test_a_long_query_draws_no_bar(store: Store) -> None:
    assert store.sql("SELECT current_setting('enable_progress_bar')").rows == [(False,)]
