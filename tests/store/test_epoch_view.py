"""The view `epochs`: what it reads, of whom, and what it passes over."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Cli
from epoch_lines import OTHER_LINES, RUN
from stores import curve, write_run

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
