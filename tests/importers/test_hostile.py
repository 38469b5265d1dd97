"""Other people's files at their worst: each does harm to a naive loader, none to the importer."""

from __future__ import annotations

import contextlib
import hashlib
import resource
import signal
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import CASES, MECHANISMS
from hostile_case import Case
from hostile_layouts import (
    ARCHITECTURE,
    LAYOUTS,
    LEVELS,
    TASK,
    csv_text,
    kept,
    network_of,
    table_rows,
    write_parquet,
)
from stores import write_run

import rgtool
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.records.record import read_record

MEMORY, SECONDS = 3 << 29, 30
# Nearly a second each until the memory limit is met.
SLOW = {"zip bomb", "gzip bomb", "overlapping zip entries", "billion laughs"}
each_case = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.id, marks=[pytest.mark.slow] * (case.mechanism in SLOW))
        for case in CASES
    ],
)


class Hung(BaseException):
    """Reading took so long that it will not end; no `except Exception` hides it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "executed"


def test_there_are_many_cases_and_each_has_a_name() -> None:
    for mechanism in MECHANISMS:
        print(mechanism, [case.id for case in CASES if case.mechanism == mechanism], sep=": ")
    assert [id_ for id_, n in Counter(case.id for case in CASES).items() if n > 1] == []
    assert len(MECHANISMS) >= 20
    assert len(CASES) >= 200
    assert sum(case.executes for case in CASES) >= 100
    assert not any(case.sound_levels for case in CASES if not case.may_import)


@each_case
def test_a_loader_without_guards_comes_to_harm(case: Case, folder: Path, marker: Path) -> None:
    case.write(folder, marker)
    assert not marker.exists(), "to lay the case is not to run it"
    blocks = sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
    assert blocks < 8 << 20, "a bomb is small on disk"
    assert case.fires(folder, marker)
    assert marker.exists() == case.executes


def digest(store: Path) -> dict[str, str]:
    """Every file of the runs; locks and empty folders beside them are nobody's data."""
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for room in ("runs", "compact")
        for path in sorted((store / room).rglob("*"))
        if path.is_file() and path.name != "lock"
    }


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Give the importer room for any genuine file of this size, and no more; then its time."""

    def ring(signum: int, frame: object) -> None:
        raise Hung(f"no end after {SECONDS} s")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, ring)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def import_(store: Path, folder: Path, layout: str) -> Any:
    from rgtool.store import Store

    if layout == "bert":
        return Store(store).import_runs([folder])
    return Store(store).import_runs([folder], architecture=ARCHITECTURE, task=TASK)


def readable(text: str, folder: Path) -> bool:
    """Whether a message is one or two short lines that no terminal obeys."""
    text = text.replace(str(folder), "")
    control = [c for c in text.replace("\n", "") if unicodedata.category(c).startswith("C")]
    return bool(text) and len(text) <= 300 and text.count("\n") <= 1 and not control


def new_levels(store: Path, before: dict[str, str]) -> dict[int, list[dict[str, Any]]]:
    """Rows of the levels that the import brought, from the records themselves."""
    known = {Path(name).parts[1] for name in before}
    folders = [RunFolder(p) for p in (store / "runs").iterdir() if p.name not in known]
    return {
        level: read_record(folder.record(level)).to_pylist()
        for folder in folders
        for level in folder.loose_levels()
    }


def assert_sound(levels: dict[int, list[dict[str, Any]]], case: Case) -> None:
    network = network_of(case.layout)
    for level, rows in levels.items():
        assert level in case.sound_levels
        assert sum(row["kept"] for row in rows) == kept(level, network)
        assert all(row["accuracy"] is None or 0 <= row["accuracy"] <= 1 for row in rows)
        assert all(row["layer"].isprintable() for row in rows)


@each_case
def test_the_importer_comes_to_no_harm(
    case: Case, folder: Path, marker: Path, tmp_path: Path
) -> None:
    case.write(folder, marker)
    store = tmp_path / "store"
    write_run(store)
    before = digest(store)
    messages: list[tuple[str, str]] = []
    imported: tuple[Any, ...] = ()
    with bounded():
        try:
            report = import_(store, folder, case.layout)
            imported = report.runs
            messages = [(skipped.path, skipped.reason) for skipped in report.skipped]
        except rgtool.RgtoolError as error:
            messages = [("", str(error))]

    assert not marker.exists(), "code of the file was run"
    after = digest(store)
    assert {name: after.get(name) for name in before} == before
    assert all(readable(reason, folder) for _, reason in messages)
    assert all(path.isprintable() for path, _ in messages)
    if imported:
        assert case.may_import
        assert_sound(new_levels(store, before), case)
        return
    assert after == before, "a run that is refused leaves nothing"
    assert messages
    # Where every file is at fault, or of a format that is not imported, any of them may be named.
    every = [path.name for path in folder.rglob("*")]
    culprits = every if "-all-" in case.id or case.layout == "rahul" else [case.culprit]
    assert any(name in path + reason for path, reason in messages for name in culprits)


def write_good(folder: Path, layout: str) -> None:
    if layout in LAYOUTS:
        LAYOUTS[layout].write(folder)
    elif layout == "csv":
        (folder / "runs.csv").write_text(csv_text(table_rows()))
    else:
        write_parquet(folder / "runs.parquet", table_rows())


@pytest.mark.parametrize("layout", [*(n for n in LAYOUTS if n != "rahul"), "csv", "parquet"])
def test_the_genuine_run_behind_the_cases_is_imported(
    layout: str, folder: Path, tmp_path: Path
) -> None:
    write_good(folder, layout)
    with bounded():
        report = import_(tmp_path / "store", folder, layout)
    assert len(report.runs) == 1
    assert not report.skipped
    levels = new_levels(tmp_path / "store", {})
    # Where level 0 has no file, an importer may know or not know that it is dense.
    expected = LAYOUTS[layout].levels if layout in LAYOUTS else LEVELS
    assert set(levels) - {0} == set(expected) - {0}
    for level, rows in levels.items():
        assert sum(row["kept"] for row in rows) == kept(level, network_of(layout))


@pytest.mark.parametrize("with_good", [False, True])
def test_exit_codes_of_the_command(
    with_good: bool, folder: Path, marker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rgtool.cli import main

    case = next(case for case in CASES if case.id == "os-system-zip-0-openlth")
    case.write(folder, marker)
    paths = [str(folder)]
    if with_good:
        good = tmp_path / "good"
        good.mkdir()
        write_good(good, "openlth")
        paths.append(str(good))
    with pytest.raises(SystemExit) as left:
        main(["import", *paths, "--store", str(tmp_path / "store")])
    assert left.value.code == (3 if with_good else 1)
    assert case.culprit in capsys.readouterr().err
    assert not marker.exists()
