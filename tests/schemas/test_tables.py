"""The one reader of tables: what people's programs write, and what is refused."""

from __future__ import annotations

import codecs
import gzip
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgtool.analysis.curves.curve import curve_of_file
from rgtool.schemas.errors import Refused, RgtoolError, Unreadable
from rgtool.schemas.tables import label, number, open_table
from rgtool.store import Store

COUNTS = "experiment,seed,level,group,kept,total,accuracy\n" + "".join(
    f"mine,{seed},{level},{group},{kept},1000,{0.9 - level / 100}\n"
    for seed in (0, 1)
    for level, kept in enumerate((1000, 800 + seed, 600))
    for group in ("1", "2")
)
CURVE = "density,error,seed\n" + "".join(
    f"{0.8**level},{0.06 + seed / 100 + level / 200},{seed}\n"
    for seed in (0, 1)
    for level in range(6)
)


def _floats(text: str) -> str:
    """Write every column of numbers but the group as pandas does where a value is missing."""
    rows = [line.split(",") for line in text.splitlines()]
    return "\n".join(
        ",".join(
            f"{cell}.0" if cell.isdecimal() and name != "group" else cell
            for name, cell in zip(rows[0], row, strict=True)
        )
        for row in rows
    )


def _percent(text: str, cell: Callable[[float], str], title: str) -> str:
    rows = [line.split(",") for line in text.splitlines()]
    at = next(i for i, name in enumerate(rows[0]) if name in ("accuracy", "error"))
    for row in rows[1:]:
        row[at] = cell(100 * float(row[at]))
    rows[0][at] = title.format(rows[0][at])
    return "\n".join(map(",".join, rows))


WRITTEN: dict[str, Callable[[str], str | bytes]] = {
    "byte order mark": lambda text: "\ufeff" + text,
    "UTF-16 with tabs, by Excel": lambda text: (
        codecs.BOM_UTF16_LE + text.replace(",", "\t").encode("utf-16-le")
    ),
    "UTF-16 of the other end": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "the line of Excel that says semicolons": lambda text: (
        "sep=;\r\n" + text.replace(",", ";").replace("\n", "\r\n")
    ),
    "gzip": lambda text: gzip.compress(text.encode()),
    "line ends": lambda text: text.replace("\n", "\r\n"),
    "capital headers": lambda text: (
        text.partition("\n")[0].title() + "\n" + text.partition("\n")[2]
    ),
    "spaces": lambda text: text.replace(",", " , "),
    "floats": _floats,
    "semicolons": lambda text: text.replace(",", ";"),
    "semicolons, decimal commas": lambda text: text.replace(",", ";").replace(".", ","),
    "tabs": lambda text: text.replace(",", "\t"),
    "percent signs": lambda text: _percent(text, lambda x: f"{x!r} %", "{}"),
    "percent in the header": lambda text: _percent(text, repr, "{} (%)"),
    "percent in both": lambda text: _percent(text, lambda x: f"{x!r}%", "{} [%]"),
    "rows of nothing": lambda text: text + ",,\n\n",
    "an index": lambda text: "\n".join(f"{i},{x}" for i, x in enumerate(text.splitlines())),
}


def _write(folder: Path, name: str, text: str | bytes) -> Path:
    ending = ".csv.gz" if text[:2] == b"\x1f\x8b" else ".csv"
    path = folder / f"{name}{ending}"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("written", WRITTEN)
def test_counts_are_those_of_the_plain_table(written: str, tmp_path: Path) -> None:
    found = []
    for name, text in (("plain", COUNTS), ("other", WRITTEN[written](COUNTS))):
        path = _write(tmp_path, name, text)
        store = Store(tmp_path / name)
        report = store.import_runs(path)
        assert report.skipped == () and {run.replicate for run in report.runs} == {"0", "1"}
        counts = store.query("SELECT run_id, level, layer, kept, total FROM layers ORDER BY ALL")
        levels = store.query("SELECT run_id, level, round(accuracy, 12) FROM levels ORDER BY ALL")
        found.append((counts.rows, levels.rows))
    assert found[0] == found[1]
    assert [len(rows) for rows in found[0]] == [12, 6]


@pytest.mark.parametrize("written", WRITTEN)
def test_a_curve_is_that_of_the_plain_table(written: str, tmp_path: Path) -> None:
    texts = {"plain": CURVE, "other": WRITTEN[written](CURVE)}
    plain, other = (curve_of_file(_write(tmp_path, *text)) for text in texts.items())
    np.testing.assert_allclose(other.error, plain.error, rtol=1e-12)
    np.testing.assert_array_equal(other.density, plain.density)
    assert plain.error.shape == (2, 6)


def test_parquet_of_any_number_type_is_read_alike(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(CURVE)
    frame = pl.read_csv(tmp_path / "t.csv")
    frame.with_columns(
        pl.col("seed").cast(pl.Float32), pl.col("error").cast(pl.Decimal(20, 17)),
        steps=pl.Series([[1]] * len(frame)),
    ).rename({"density": "Density"}).write_parquet(tmp_path / "t.parquet")  # fmt: skip
    one, other = (curve_of_file(tmp_path / f"t.{ending}") for ending in ("csv", "parquet"))
    np.testing.assert_allclose(one.error, other.error, rtol=1e-12)
    (tmp_path / "p.csv").write_text("error (%),density\n50,1\n25.5,1\n")
    percent = pl.read_csv(tmp_path / "p.csv")
    percent.write_parquet(tmp_path / "p.parquet")
    assert [row["error"] for row in open_table(tmp_path / "p.parquet").rows(["error"])] == [
        0.5,
        0.255,
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read as a table (nothing in it)"),
        ("\ufeff\n\n", "cannot be read as a table (nothing in it)"),
        ("a,b\n1,0,9\n", "row 1 has 3 cells, 2 columns are named"),
        ("A,a,b\n1,2,3\n", "column a stands there 2 times"),
        ('a,b\n1,"2\n', "cannot be read as a table"),
        ("a,b\n1," + "x" * 200_000 + "\n", "cannot be read as a table"),
    ],
)
def test_what_is_no_table_is_told(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    with pytest.raises((Unreadable, Refused)) as caught:
        list(open_table(path).rows(["a"]))
    assert words in str(caught.value) and str(caught.value).startswith(f"{path}: ")


def test_an_archive_is_held_to_what_a_table_may_take(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    for data, words in (
        (gzip.compress(b"a\n" + b"1\n" * (1 << 25)), "unpacks to more than 67,108,864 bytes"),
        (gzip.compress(b"a\n1\n")[:-5], "cannot be read as a table"),
        (b"a\n1\n", "cannot be read as a table"),
    ):
        path.write_bytes(data)
        with pytest.raises(Unreadable, match=words):
            open_table(path)


def test_tabs_in_a_name_and_a_separator_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.TSV").write_text(CURVE.replace(",", "\t"))
    (tmp_path / "t.csv").write_text("sep=,\na;b;c,d\n1,2\n")  # more semicolons than commas
    assert curve_of_file(tmp_path / "t.TSV").error.shape == (2, 6)
    assert open_table(tmp_path / "t.csv").names == ("a;b;c", "d")


def test_a_folder_and_what_is_no_parquet_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text(CURVE)
    for path in (tmp_path, tmp_path / "t.parquet"):
        with pytest.raises(Unreadable, match="cannot be read as a table"):
            open_table(path)


def test_columns_that_nobody_asks_for_do_not_matter(tmp_path: Path) -> None:
    rows = pa.table({"a": [1, 2], "b": [[1], [2]], "B": [{"c": 1}, {"c": 2}]})
    pq.write_table(rows, tmp_path / "t.parquet")
    assert [*open_table(tmp_path / "t.parquet").rows(["a"])] == [{"a": 1}, {"a": 2}]
    with pytest.raises(Refused, match="column b stands there 2 times"):
        open_table(tmp_path / "t.parquet").rows(["b"])


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1000.0", 1000), (" 12 ", 12), ("1e3", 1000), (".5", 0.5), ("5.", 5), ("-3", -3),
        ("0,915", 0.915), ("1000,0", 1000), ("12,5", 12.5), ("91.5%", 0.915), ("8,2 %", 0.082),
        (Decimal("0.25"), 0.25), (np.float32(0.5), 0.5), (7, 7),
        ("", None), ("NaN", None), ("NA", None), ("null", None), (None, None), (math.nan, None),
    ],
)  # fmt: skip
def test_numbers_are_read_as_they_are_written(cell: object, value: float | None) -> None:
    assert number(cell) == (None if value is None else pytest.approx(value, rel=1e-15))


@pytest.mark.parametrize(
    "cell", ["half", "1,000", "1,234,567", "1.234,5", "1_000", "0x10", "inf", "1e999", "١٢",
             "--1", "50 %%", math.inf, True, "1 2"],
)  # fmt: skip
def test_what_is_no_number_or_may_be_two_is_refused(cell: object) -> None:
    with pytest.raises(ValueError, match="is no"):
        number(cell)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_back_as_it_was_written(value: float) -> None:
    assert number(repr(value)) == number(value) == value


def test_seeds_have_one_name_however_they_are_written() -> None:
    assert [label(x) for x in (3, 3.0, "3", "3.0", " 3 ")] == ["3"] * 5
    assert [label(x) for x in ("007", "1.5", "run 1.0", "v2.0")] == [
        "007",
        "1.5",
        "run 1.0",
        "v2.0",
    ]
    assert [label(x) for x in (None, "", "nan", math.nan)] == [""] * 4


# What an import says of a table


def _refusals(tmp_path: Path, *rows: str) -> list[str]:
    path = tmp_path / "t.csv"
    path.write_text("\n".join([COUNTS.partition("\n")[0], *rows]))
    report = Store(tmp_path / "store").import_runs(path)
    found = [str(one) for one in report.skipped]
    assert all(one.count("t.csv") == 1 for one in found)
    return found


def test_refusals_name_the_run_and_the_level_once(tmp_path: Path) -> None:
    fine = ["fine,3,0,g,10,10,", "fine,3,1,g,8,10,"]
    grown = ["A,0,0,g,10,10,", "A,0,1,g,5,10,", "A,0,2,g,6,10,"]
    apart = ["B,1.0,0,g,10,10,", "B,1.0,1,g,5,10,.9", "B,1.0,1,h,5,10,.8"]
    percent = ["C,7,0,g,10,10,.9", "C,7,1,g,5,10,91"]
    never = ["D,2,0,g,10,10,.9"]
    one, two, three, four = _refusals(tmp_path, *fine, *grown, *apart, *percent, *never)
    where = tmp_path / "t.csv"
    assert one == (
        f"{where}: A, seed 0: layer g keeps weights at level 2 that level 1 had pruned: these are "
        "not levels of one run"
    )
    assert two == f"{where}: B, seed 1: level 1: the groups tell different accuracies"
    assert three.startswith(f"{where}: C, seed 7: level 1: accuracy 91: a fraction is due")
    assert "'accuracy (%)'" in three
    assert four.startswith(f"{where}: D, seed 2: no level with anything pruned")


def test_a_bad_row_says_whose_it_is(tmp_path: Path) -> None:
    (found,) = _refusals(tmp_path, "A,0,0,g,10,10,", 'A,0,1,g,"1,000",1000,')
    assert found.endswith(
        "row 2, experiment 'A', seed '0', level '1': kept is '1,000': a whole number from 0 on is "
        "due"
    )
    (found,) = _refusals(tmp_path, "A,nan,0,g,10,10,")
    assert found.endswith("row 1, experiment 'A', seed 'nan', level '0': seed is no plain text")


def test_one_accuracy_does_for_a_level_and_nan_is_none(tmp_path: Path) -> None:
    assert not _refusals(
        tmp_path,
        "A,0,0,g,10,10,.9", "A,0,0,h,10,10,nan", "A,0,1,g,5,10,NaN", "A,0,1,h,5,10,",
    )  # fmt: skip
    found = Store(tmp_path / "store").query("SELECT level, accuracy FROM levels").rows
    assert sorted(found) == [(0, 0.9), (1, None)]


def test_a_header_without_rows_is_told(tmp_path: Path) -> None:
    (found,) = _refusals(tmp_path)
    assert "no rows" in found
    with pytest.raises(RgtoolError, match="no rows"):
        (tmp_path / "c.csv").write_text("Density;Error\n")
        curve_of_file(tmp_path / "c.csv")


def test_a_table_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    text = COUNTS.replace("mine,1", "Für,1")
    for name, data in (
        ("a.csv", text.encode("cp1252")),
        ("b.csv.gz", gzip.compress(text.encode("latin1"))),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Refused, match=r"line 8 is no text in UTF-8: save the table as UTF-8"):
            open_table(tmp_path / name)
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert "experiment" in open_table(tmp_path / "a.csv").names


@pytest.mark.parametrize(
    ("title", "cell"),
    [("acc", "0.5"), ("test_accuracy", "0.5"), ("Test Accuracy (%)", "50"), ("Test_Acc", "50 %")],
)
def test_an_accuracy_is_one_under_other_names(title: str, cell: str, tmp_path: Path) -> None:
    head, *rows = [line.rpartition(",")[0] for line in COUNTS.splitlines()]
    text = "\n".join([f"{head},{title}", *(f"{row},{cell}" for row in rows)])
    (tmp_path / "t.csv").write_text(text)
    store = Store(tmp_path / "store")
    store.import_runs(tmp_path / "t.csv")
    assert store.query("SELECT DISTINCT accuracy FROM levels").rows == [(0.5,)]


@pytest.mark.parametrize("cell", ["-", "<NA>", "#N/A", ""])
def test_what_is_written_for_no_number_is_none(cell: str) -> None:
    assert number(cell) is None


@pytest.mark.parametrize("before", ["# mine, of today\n#\n\n", "# ", "# a remark\n#"])
def test_remarks_before_the_header_are_none_of_the_table(before: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(before + COUNTS)
    table = open_table(tmp_path / "t.csv")
    assert table.names == tuple(COUNTS.partition("\n")[0].split(","))
    assert len([*table.rows(["seed"])]) == COUNTS.count("\n") - 1


def test_a_group_that_stands_there_twice_is_called_a_group(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(COUNTS + COUNTS.splitlines()[1] + "\n")
    (one,) = Store(tmp_path / "store").import_runs(tmp_path).skipped
    assert "level 0: group 1 stands there twice" in one.reason
