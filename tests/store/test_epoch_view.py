"""The view `epochs`: what it reads, of whom, and what it passes over."""

from __future__ import annotations

import dataclasses
import json
import operator
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from command import Cli
from epoch_lines import OTHER_LINES, RUN
from hypothesis import example, given
from hypothesis import strategies as st
from stores import curve, write_run

from rgtool.schemas.records import views
from rgtool.schemas.records.epochs import Epoch, read_epochs
from rgtool.schemas.records.layout import RunFolder
from rgtool.store import Store

NAMES = ("run_id", "level", "epoch", "loss", "accuracy", "lr", "images_per_second", "ended_at")


def view(path: Path) -> list[Epoch]:
    rows = Store(path).sql(f"SELECT {', '.join(NAMES)} FROM epochs ORDER BY ALL").rows
    return [Epoch.of(dict(zip(NAMES, row, strict=True))) for row in rows]


def oracle(path: Path) -> list[Epoch]:
    folders = [RunFolder(run) for run in sorted((path / "runs").iterdir())]
    return [e for folder in folders for e in read_epochs(folder.epochs, folder.path.name)]


def test_it_holds_what_the_files_hold_beside_the_columns_of_the_run(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, seed=seed, levels=2)
    assert view(tmp_path) == oracle(tmp_path)
    rows = Store(tmp_path).sql("FROM epochs").columns
    told = ("experiment_id", "architecture", "task", "seed")
    assert tuple(rows) == (NAMES[0], *told, *NAMES[1:])
    ((seeds,),) = Store(tmp_path).sql("SELECT count(DISTINCT seed) FROM epochs").rows
    assert seeds == 3


@pytest.mark.parametrize("line", OTHER_LINES.values(), ids=OTHER_LINES)
def test_other_lines_are_passed_over_in_sql_too(line: bytes, tmp_path: Path) -> None:
    run_id = write_run(tmp_path, levels=1)
    path = RunFolder.of(tmp_path, run_id).epochs
    before = view(tmp_path)
    line = line.replace(RUN.encode(), run_id.encode()).rstrip(b"\n")
    for place in (0, 1, len(before)):
        lines = [*map(Epoch.line, before)]
        path.write_bytes(b"".join([*lines[:place], line + b"\n", *lines[place:]]))
        assert view(tmp_path) == oracle(tmp_path) == before
    path.write_bytes(b"".join(map(Epoch.line, before)) + line)
    assert view(tmp_path) == before


def test_numbers_that_json_lacks_are_none(tmp_path: Path) -> None:
    run_id = write_run(tmp_path, levels=0, recorded=[0])
    path = RunFolder.of(tmp_path, run_id).epochs
    path.write_text(f'{{"run_id": "{run_id}", "level": 0, "epoch": 1, "loss": NaN}}\n')
    assert view(tmp_path) == oracle(tmp_path) == [Epoch(run_id=run_id, level=0, epoch=1)]


def test_a_store_without_epochs_has_none(tmp_path: Path) -> None:
    assert view(tmp_path / "empty") == []
    write_run(tmp_path, levels=1)
    RunFolder.of(tmp_path, Store(tmp_path).runs()[0].run_id).epochs.unlink()
    assert view(tmp_path) == []
    assert len(Store(tmp_path).sql("FROM levels").rows) == 2


@pytest.mark.parametrize("name", ["a[1]*", "it's", "a b%20"])
def test_any_folder_name_works(name: str, tmp_path: Path) -> None:
    write_run(tmp_path / name, levels=1)
    assert view(tmp_path / name) == oracle(tmp_path / name) != []


def test_a_run_that_is_left_out_takes_its_epochs_along(tmp_path: Path) -> None:
    good, bad = (write_run(tmp_path, seed=seed, levels=1) for seed in (0, 1))
    RunFolder.of(tmp_path, bad).description.write_text("{")
    assert {epoch.run_id for epoch in view(tmp_path)} == {good}


def test_values_that_are_none_of_their_columns_are_missing(tmp_path: Path) -> None:
    run_id = write_run(tmp_path, levels=0, recorded=[0])
    told = {"run_id": run_id, "level": 0, "epoch": 1, "loss": "low", "ended_at": "soon", "lr": 0.5}
    RunFolder.of(tmp_path, run_id).epochs.write_text(json.dumps(told))
    expected = [Epoch(run_id=run_id, level=0, epoch=1, lr=0.5)]
    assert view(tmp_path) == oracle(tmp_path) == expected


ODD = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.integers(-(2**70), 2**70) | st.floats()
    | st.sampled_from([10**400, -(10**400), 2**31, 2**31 - 1, 0.0]) | st.text(max_size=5)
    | st.datetimes().map(str)
    | st.sampled_from(["1", "1.5", "nan", "epoch", "infinity", "2026-1-1"])
    | st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat())
)  # fmt: skip
VALUES = st.recursive(ODD, lambda one: st.lists(one) | st.dictionaries(st.text(max_size=3), one))
LINES = st.fixed_dictionaries(
    {"level": st.integers(-1, 1) | VALUES, "epoch": st.integers(1, 2) | VALUES},
    optional=dict.fromkeys(("loss", "accuracy", "lr", "images_per_second", "ended_at"), VALUES),
)


@given(st.lists(LINES | VALUES, max_size=6))
@example([{"level": 0, "epoch": 1, "ended_at": "9999-12-31T23:59:59-12:00"}])
@example([{"level": 0, "epoch": 1, "ended_at": "0001-01-01T00:00:00+12:00"}])
@example([{"level": 0, "epoch": 1, "ended_at": "2026-03-01T12:00:00+05:30"}])
@example([{"level": 0, "epoch": 1, "loss": 10**400}, {"level": 0, "epoch": 1, "loss": 2}])
def test_both_readers_take_any_values_for_the_same(told: list[Any]) -> None:
    """Files are read by Python, while training and merging, and by SQL, in queries."""
    lines = [json.dumps({"run_id": RUN, **one} if isinstance(one, dict) else one) for one in told]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / RUN / "epochs.jsonl"
        path.parent.mkdir()
        path.write_text("".join(f"{line}\n" for line in lines))
        expected = read_epochs(path, RUN)
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE told AS SELECT unnest(?::VARCHAR[]) AS line", [lines])
        source = f"(SELECT line, 'runs/{RUN}/epochs.jsonl' AS filename FROM told)"
        rows = connection.execute(views.epoch_select(source)).fetchall()
    found = [Epoch.of(dict(zip(NAMES, row, strict=True))) for row in rows]
    key = ("level", "epoch")
    assert sorted(found, key=operator.attrgetter(*key)) == sorted(
        expected, key=operator.attrgetter(*key)
    )


def test_of_two_lines_of_an_epoch_the_last_counts_compacted_too(tmp_path: Path) -> None:
    run_id = write_run(tmp_path, levels=1)
    folder = RunFolder.of(tmp_path, run_id)
    before = view(tmp_path)
    again = [dataclasses.replace(one, loss=9.0) for one in before[:3]]
    with folder.epochs.open("ab") as file:
        file.write(
            b"".join(map(Epoch.line, again))
            + b'{"run_id": "%s", "level": 0, "epoch": 0}\n' % run_id.encode()
        )
    expected = [*again, *before[3:]]
    assert view(tmp_path) == expected == folder.read_epochs()
    Store(tmp_path).compact()
    assert not folder.epochs.exists()
    assert view(tmp_path) == expected == folder.read_epochs()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", None)], ids=["folder", "pipe"])
def test_what_is_no_file_is_passed_over(make: Callable[[Path], None], tmp_path: Path) -> None:
    run_id = write_run(tmp_path, levels=1)
    path = RunFolder.of(tmp_path, run_id).epochs
    path.unlink()
    make(path)
    assert view(tmp_path) == oracle(tmp_path) == []
    assert Store(tmp_path).sql("SELECT epochs FROM runs").rows == [(160,)]


def test_reading_survives_a_runner_and_a_compaction(tmp_path: Path) -> None:
    """Each epoch is there once, whether its file is just being appended to, or compacted."""
    runs = [write_run(tmp_path, seed=seed, levels=1) for seed in range(3)]
    at_work = write_run(tmp_path, seed=3, levels=1, asked=40)
    ended = threading.Event()

    def work() -> None:
        with RunFolder.of(tmp_path, at_work).epochs.open("ab", buffering=0) as file:
            for level in range(2, 40):
                for epoch in curve(at_work, 3, [level]):
                    line = epoch.line()
                    file.write(line[:50])
                    file.write(line[50:])
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    compacted, most = False, 0
    while not ended.is_set() or not compacted:
        found = view(tmp_path)
        keys = [(epoch.run_id, epoch.level, epoch.epoch) for epoch in found]
        assert len(keys) == len(set(keys)) >= max(most, 4 * 6)
        assert all(sum(key[0] == run for key in keys) == 6 for run in runs)
        most = len(keys)
        compacted = compacted or Store(tmp_path).compact().runs == 3
    thread.join()
    assert len(view(tmp_path)) == 3 * 6 + 6 + 2 * 38


def test_the_command_tells_them(tmp_path: Path, cli: Cli) -> None:
    write_run(tmp_path, levels=1)
    query = "SELECT level, count(*) AS epochs FROM epochs GROUP BY ALL ORDER BY ALL"
    done = cli("sql", query, "--json", "--store", str(tmp_path))
    assert json.loads(done.out) == [{"level": n, "epochs": 2} for n in (-1, 0, 1)]
