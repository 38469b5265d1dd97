"""Tables, manifests and the texts beside the masks, where these lie or overflow their reader."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hostile_bombs import Damage
from hostile_case import EVERY_LEVEL, Case, Fires, any_of, crashed, exhausted, reading, wrong
from hostile_layouts import LAYOUTS, csv_text, openlth_folder, table_rows, write_parquet
from hostile_victim import Outcome

CSV, PARQUET = "runs.csv", "runs.parquet"
Row = dict[str, Any]


def _table_harm(outcome: Outcome) -> bool:
    return outcome.crashed or outcome.result["wrong"] or outcome.result["formulas"]


def _cell(**cells: Any) -> Callable[[list[Row]], list[Row]]:
    """Change cells of one row of level 2 (its group is an ordinary one)."""

    def change(rows: list[Row]) -> list[Row]:
        rows[len(rows) // 2 + 2].update(cells)
        return rows

    return change


def _everywhere(**cells: Any) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{**row, **cells} for row in rows]


def _group(name: str) -> Callable[[list[Row]], list[Row]]:
    """Rename one group at every level, so that the rows are consistent."""
    return lambda rows: [{**r, "group": name if r["group"] == "conv1" else r["group"]}
                         for r in rows]  # fmt: skip


def _without(column: str) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{k: v for k, v in row.items() if k != column} for row in rows]


BIG = 10**400
# id -> (mechanism, change of the rows, whether a Parquet file can hold that)
TABLES: dict[str, tuple[str, Callable[[list[Row]], list[Row]], bool]] = {
    "negative": ("impossible counts in a table", _cell(kept=-5), True),
    "more-than-total": ("impossible counts in a table", _cell(kept=10**9), True),
    "fraction": ("impossible counts in a table", _cell(kept="10.5"), False),
    "total-zero": ("impossible counts in a table", _cell(total=0), True),
    "total-changes": ("impossible counts in a table", _cell(total=5), True),
    "int64": ("counts that overflow", _everywhere(total=2**63 - 1), True),
    "1e308": ("counts that overflow", _everywhere(total="1e308", kept="1e308"), False),
    "400-digits": ("counts that overflow", _cell(total=BIG, kept=BIG), False),
    "nan": ("counts that are no numbers", _cell(kept="nan"), False),
    "infinite": ("counts that are no numbers", _cell(kept="inf"), False),
    "hexadecimal": ("counts that are no numbers", _cell(kept="0x10"), False),
    "words": ("counts that are no numbers", _cell(kept="many"), False),
    "blank": ("counts that are no numbers", _cell(kept=""), False),
    "level-negative": ("impossible levels in a table", _cell(level=-1), True),
    "level-word": ("impossible levels in a table", _cell(level="last"), False),
    "regrown": ("weights that grow again", lambda rows: [
        {**r, "kept": r["total"] if r["level"] == 3 else r["kept"]} for r in rows], True),
    "accuracy-percent": ("impossible accuracy", _everywhere(accuracy=9e300), True),
    "accuracy-nan": ("impossible accuracy", _everywhere(accuracy=float("nan")), True),
    "formula": ("formula in a cell", _group('=cmd|" /C calc"!A0'), True),
    "formula-at": ("formula in a cell", _group("@SUM(1+1)*cmd|0"), True),
    "group-newline": ("control characters in a cell", _group('"conv\n1"'), True),
    "group-escape": ("control characters in a cell", _group("\x1b[2Jconv1"), True),
    "group-nul": ("control characters in a cell", _group("a\0b"), True),
    "group-path": ("path in a cell", _group("../../../outside"), True),
    "group-megabyte": ("cell of a megabyte", _group("g-" * 500_000), True),
    "no-kept": ("missing column", _without("kept"), True),
    "no-level": ("missing column", _without("level"), True),
    "no-group": ("missing column", _without("group"), True),
    "twice": ("duplicate rows", lambda rows: [*rows, {**rows[-1], "kept": 1}], True),
}  # fmt: skip


def _csv(change: Callable[[list[Row]], list[Row]]) -> Callable[[Path, Path], None]:
    def write(folder: Path, marker: Path) -> None:
        (folder / CSV).write_text(csv_text(change(table_rows())))

    return write


def _parquet(change: Callable[[list[Row]], list[Row]]) -> Callable[[Path, Path], None]:
    return lambda folder, marker: write_parquet(folder / PARQUET, change(table_rows()))


def _table_case(
    id_: str, mechanism: str, write: Callable[[Path, Path], None], fires: Fires, file: str
) -> Case:
    # Odd text in a cell is a name like any other to whoever neither runs nor prints it as it is;
    # an accuracy that cannot be costs the accuracy.
    sound = "cell" in mechanism or "accuracy" in mechanism
    return Case(f"{id_}-{Path(file).suffix[1:]}", mechanism, Path(file).suffix[1:], write, fires,
                file, may_import=sound,
                sound_levels=EVERY_LEVEL if sound else frozenset())  # fmt: skip


def _table_cases() -> Iterator[Case]:
    for id_, (mechanism, change, typed) in TABLES.items():
        yield _table_case(f"table-{id_}", mechanism, _csv(change),
                          reading("csv_table", CSV, _table_harm), CSV)  # fmt: skip
        if typed:
            yield _table_case(f"table-{id_}", mechanism, _parquet(change),
                              reading("parquet_table", PARQUET, _table_harm), PARQUET)  # fmt: skip


def _good_csv() -> bytes:
    return csv_text(table_rows()).encode()


CSV_FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty": (
        "table of empty values",
        lambda: b"experiment,seed,level,group,kept,total,accuracy,x\n,",
    ),
    "latin-1": ("text in another encoding", lambda: _good_csv().replace(b"conv1", b"conv\xe91")),
    "utf-16": ("text in another encoding", lambda: _good_csv().decode().encode("utf-16-le")),
    "bom-twice": ("text in another encoding", lambda: b"\xef\xbb\xbf" * 2 + _good_csv()),
    "binary": ("random bytes", lambda: b"\x93\x00\xff" * 2000 + b"\n\x80"),
    "long-rows": ("rows of uneven length", lambda: _good_csv() + b"a,0,4,b,1,1\n"),
    "open-quote": ("quote that never ends", lambda: _good_csv() + b'a,0,4,"' + b"x" * 200_000),
    "header-twice": ("duplicate columns", lambda: _good_csv().replace(b"accuracy", b"kept", 1)),
    "cut": ("file cut off", lambda: _good_csv()[:-9]),
}


def _bytes_case(id_: str, mechanism: str, file: str, data: Callable[[], bytes]) -> Case:
    loader = "csv_table" if file == CSV else "parquet_table"
    return _table_case(f"file-{id_}", mechanism,
                       lambda folder, marker: (folder / file).write_bytes(data()) and None,
                       reading(loader, file, _table_harm), file)  # fmt: skip


def _good_parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(table_rows()), sink)
    return bytes(sink.getvalue())


def _footer(change: Callable[[bytearray], None]) -> Callable[[], bytes]:
    def data() -> bytes:
        edited = bytearray(_good_parquet())
        change(edited)
        return bytes(edited)

    return data


def _footer_length(value: int) -> Callable[[bytearray], None]:
    return lambda data: data.__setitem__(slice(-8, -4), value.to_bytes(4, "little"))


def _wrong_types() -> bytes:
    rows = [{k: [v] for k, v in row.items()} for row in table_rows()]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


@functools.cache
def _run_lengths() -> bytes:
    """Five million equal rows: a few kilobytes of run lengths, gigabytes once they are rows."""
    zeros = pa.array(memoryview(bytes(5_000_000)).cast("b"), pa.int8())
    columns = {name: pa.DictionaryArray.from_arrays(zeros, pa.array([value]))
               for name, value in table_rows()[0].items()}  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


PARQUET_FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "cut-1": ("file cut off", lambda: _good_parquet()[:1000]),
    "cut-4": ("file cut off", lambda: _good_parquet()[:-1]),
    "empty": ("file of no bytes", lambda: b"PAR1"),
    "types": ("wrong types in Parquet", _wrong_types),
    "encrypted": ("encrypted Parquet footer", _footer(
        lambda d: d.__setitem__(slice(-4, None), b"PARE"))),
    "footer-longer": ("false sizes in Parquet", _footer(_footer_length(2**32 - 1))),
    "footer-zero": ("false sizes in Parquet", _footer(_footer_length(0))),
    "footer-noise": ("random bytes", _footer(
        lambda d: d.__setitem__(slice(-600, -100), b"\xff" * 500))),
    "run-lengths": ("Parquet file of millions of equal rows", _run_lengths),
    "pages": ("random bytes", _footer(lambda d: d.__setitem__(slice(4, 400), b"\xff" * 396))),
}  # fmt: skip

NESTED_JSON = "[" * 100_000
# The manifest names, for every level, its file and accuracy.
ENTRIES = [{"level": n, "file": f"level_{n:02d}.pt", "accuracy": 0.9} for n in range(4)]


def _manifest_text(**changes: Any) -> str:
    entries = [dict(entry) for entry in ENTRIES]
    entries[2].update(changes)
    return json.dumps({"levels": entries})


MANIFESTS: dict[str, tuple[str, str]] = {
    "parent": ("manifest that points out of the folder",
               _manifest_text(file="../outside.pt")),
    "absolute": ("manifest that points out of the folder",
                 _manifest_text(file="/etc/hostname")),
    "device": ("manifest that points out of the folder", _manifest_text(file="/dev/null")),
    "nul": ("control characters in a manifest", _manifest_text(file="level\0_02.pt")),
    "escape": ("control characters in a manifest", _manifest_text(file="\x1b[2J.pt")),
    "level-nan": ("numbers in a manifest that are none", _manifest_text(level=float("nan"))),
    "level-text": ("numbers in a manifest that are none", _manifest_text(level="two")),
    "level-huge": ("numbers in a manifest that are none", _manifest_text(level=10**11)),
    "accuracy-nan": ("impossible accuracy", _manifest_text(accuracy=float("nan"))),
    "accuracy-huge": ("impossible accuracy", _manifest_text(accuracy=1e308)),
    "same-level": ("two files for one level in a manifest", _manifest_text(level=1)),
    "nested": ("deeply nested JSON", NESTED_JSON),
    "list": ("manifest of another shape", "[1, 2, 3]"),
    "empty": ("manifest of another shape", '{"levels": []}'),
    "digits": ("number of a million digits", '{"levels": ' + "9" * 1_000_000 + "}"),
}  # fmt: skip


def _manifest_harm(outcome: Outcome) -> bool:
    result = outcome.result
    return outcome.crashed or bool(result["outside"] or result["wrong"] or result["same"])


def _manifest_cases() -> Iterator[Case]:
    layout = LAYOUTS["generic"]
    for id_, (mechanism, text) in MANIFESTS.items():

        def write(folder: Path, marker: Path, text: str = text) -> None:
            layout.write(folder)
            (folder / "manifest.json").write_text(text)
            (folder.parent / "outside.pt").write_bytes((folder / layout.place(3)).read_bytes())

        # What the names of the files say of their levels is true whatever the manifest says.
        yield Case(f"manifest-{id_}", mechanism, "generic", write,
                   reading("manifest", "manifest.json", _manifest_harm), "manifest.json",
                   may_import=True, sound_levels=EVERY_LEVEL)  # fmt: skip


LOGGERS = {
    "binary": b"\x80\x04\xff\x00" * 100,
    "words": b"this is no logger\n",
    "no-value": b"test_accuracy,0,\n",
    "huge": b"test_accuracy,62560,1e308",
    "negative": b"test_accuracy,62560,-7",
    "nan": b"test_accuracy,62560,nan",
    "percent": b"test_accuracy,62560,91.5",
    "fields": b"test_accuracy,1,0.5,6,7\n",
    "digits": b"test_accuracy," + b"9" * 6000 + b",0x1p-3\n",
    "escape": b"test_accuracy,0,\x1b[2J",
}
HPARAMS = {
    "binary": b"\x80\x04\xff\x00" * 100,
    "empty": b"",
    "huge-line": b"    * model_name => cifar_resnet_8_4" + b"x" * 3_000_000,
    "huge-depth": b"    * model_name => cifar_resnet_999999998\n    * pruning_fraction => 0.2",
    "escape": b"    * model_name => \x1b]0;owned\x07cifar_resnet_8_4\n",
    "two-arrows": b"    * model_name => a => b\n",
    "fraction": b"    * model_name => cifar_resnet_8_4\n    * pruning_fraction => -inf",
    "code": b"    * model_name => __import__('os').getcwd()\n    * pruning_fraction => 0.2",
    "other": b"    * model_name => imagenet_resnet_50\n    * pruning_fraction => 0.2",
}
REPORTS = {
    "lying": b'{"total": 1.0, "unpruned": 1.0}',
    "nan": b'{"total": NaN, "unpruned": NaN}',
    "huge": b'{"total": 1e400, "unpruned": 1e400}',
    "nested": NESTED_JSON.encode(),
    "binary": b"\x80\x04N.",
    "digits": b'{"total": 1, "unpruned": ' + b"9" * 5000 + b"}",
}


def _side_cases() -> Iterator[Case]:
    for file, loader, level, texts in (
        ("logger", "logger", 2, LOGGERS),
        ("hparams.log", "hparams", 0, HPARAMS),
        ("sparsity_report.json", "report", 1, REPORTS),
    ):
        for id_, data in texts.items():
            place = f"{openlth_folder(level)}/{file}"
            yield _beside(f"{file}-{id_}", f"garbage in {file}", "openlth", place, loader,
                          lambda path, data=data: path.write_bytes(data))  # fmt: skip
    for file in ("model_ep0_it0.pth", "model_ep160_it0.pth"):
        place = f"{openlth_folder(1)}/{file}"
        yield _beside(f"{file}-cut", "file cut off beside the masks", "openlth", place,
                      "torch_file", lambda p: p.write_bytes(p.read_bytes()[:500]))  # fmt: skip
    for id_, text in (("words", b"acc is good"), ("huge", b"acc = 1e999"), ("nan", b"acc = nan")):
        yield _beside(f"eval-{id_}", "garbage in eval_results.txt", "bert",
                      "checkpoint-2000/eval_results.txt", "number",
                      lambda path, text=text: path.write_bytes(text))  # fmt: skip


def _beside(id_: str, mechanism: str, layout: str, place: str, loader: str, damage: Damage) -> Case:
    def write(folder: Path, marker: Path) -> None:
        LAYOUTS[layout].write(folder)
        damage(folder / place)

    return Case(f"side-{id_}", mechanism, layout, write,
                reading(loader, place, any_of(crashed, exhausted, wrong)), Path(place).name,
                may_import=True, sound_levels=EVERY_LEVEL)  # fmt: skip


def table_cases() -> list[Case]:
    return [
        *_table_cases(),
        *(_bytes_case(id_, what, CSV, data) for id_, (what, data) in CSV_FILES.items()),
        *(_bytes_case(id_, what, PARQUET, data) for id_, (what, data) in PARQUET_FILES.items()),
        *_manifest_cases(), *_side_cases(),
    ]  # fmt: skip
