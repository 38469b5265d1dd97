"""A dry run prints what the import then does, and leaves the store as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Cli
from foreign import VitaOptions, write_cv_lth, write_openlth, write_table
from layouts import LAYOUTS, A, B, lay
from stores import data_of
from test_import import SMALL
from test_import_identity import write

from rgtool.store import Store
from rgtool.store.importers.report import ImportReport


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def both(store: Store, folder: Path, **options: Any) -> ImportReport:
    """Try an import out and do it: both report the same; return it."""
    before = data_of(store.path) if store.path.exists() else None
    tried = store.import_runs(folder, dry_run=True, **options)
    assert (data_of(store.path) if store.path.exists() else None) == before
    done = store.import_runs(folder, **options)
    assert tried == done
    return done


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_dry_run_reports_what_the_import_does(name: str, store: Store, tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", LAYOUTS[name].files)
    assert both(store, folder).new_levels > 0
    assert both(store, folder).new_levels == 0


@pytest.mark.parametrize("name", SMALL)
def test_in_every_format(name: str, store: Store, tmp_path: Path) -> None:
    SMALL[name][0](tmp_path / "in")
    assert both(store, tmp_path / "in", keep=["rewind"]).new_levels > 0
    both(store, tmp_path / "in", keep=["rewind", "dense", "init"])


REFUSED: dict[str, Callable[[Path], object]] = {
    "against the masks": lambda d: lay(d, {f"level_{i}.pt": A[n] for i, n in enumerate((0, 2, 1))}),
    "two runs": lambda d: lay(d, {"a.pt": A[0], "b.pt": A[1], "c.pt": B[1]}),
    "one mask": lambda d: lay(d, {"a.pt": A[1]}),
    "nothing": lambda d: d.mkdir(),
    "damaged": lambda d: lay(d, {"level_1.pt": b"", "level_2.pt": b"PK"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_of_what_is_refused(name: str, store: Store, tmp_path: Path) -> None:
    REFUSED[name](tmp_path / "in")
    report = both(store, tmp_path / "in")
    assert (report.runs, report.exit_code) == ((), 1)


def test_of_tables_copies_and_runs_that_part(store: Store, tmp_path: Path) -> None:
    """What is new in one import tells the runs after it apart."""
    write_table(tmp_path / "in" / "t.csv", seeds=(0, 1))
    for name, way in {"a": (1, 2), "copy": (1, 2), "longer": (1, 2, 3), "other": (1, 4)}.items():
        write(tmp_path / "in" / name, way)
    report = both(store, tmp_path / "in")
    assert len({run.run_id for run in report.runs}) == 4
    assert len(report.runs) == 6


@pytest.mark.parametrize("compacted", [False, True])
def test_of_a_run_that_grows_and_learns(compacted: bool, store: Store, tmp_path: Path) -> None:
    part = write(tmp_path / "part" / "mine", (1, 2, 3), [0, 1, 3])
    (run,) = store.import_runs(part).runs
    if compacted:
        store.compact()
    write(part, (1, 2, 3, 4))
    report = both(store, part, init="kaiming_normal")
    assert (report.runs[0].run_id, report.runs[0].new) == (run.run_id, (2, 4))
    both(store, write(tmp_path / "elsewhere", (1, 2, 3, 4)))
    assert both(store, write(tmp_path / "again" / "mine", (1, 5))).runs[0].run_id != run.run_id


@pytest.mark.parametrize("compacted", [False, True])
def test_of_a_correction(compacted: bool, store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", (1, 2))
    (run,) = store.import_runs(folder).runs
    if compacted:
        store.compact()
    files = [{"level": n, "file": f"level_{n}.safetensors", "accuracy": 0.9} for n in range(3)]
    (folder / "manifest.json").write_text(json.dumps({"levels": files}))
    report = both(store, folder, task="cifar10", name="other", architecture="mynet")
    assert (report.runs[0].run_id, report.runs[0].new) == (run.run_id, ())
    assert report.runs[0].experiment_id != run.experiment_id
    assert store.query("SELECT DISTINCT accuracy FROM levels").rows == [(0.9,)]


def test_runs_of_others_stay_as_they_are(store: Store, tmp_path: Path) -> None:
    import rgtool

    rgtool.run("lenet", "digits", levels=1, epochs=1, rewind="0it", store=store.path)
    write_cv_lth(tmp_path / "in" / "a", options=VitaOptions(best=False))
    write_openlth(tmp_path / "in" / "b", "mnist_lenet_300_100", levels=2)
    assert both(store, tmp_path / "in").exit_code == 0


def test_the_command_prints_the_same_and_makes_no_store(cli: Cli, tmp_path: Path) -> None:
    folder = lay(tmp_path / "in" / "mine", {**LAYOUTS["strays"].files, "x/ticket.pt": B[4]})
    (tmp_path / "tmp").mkdir()
    arguments = ("import", str(folder), "--store", "s", "--json")
    tried = cli(*arguments, "--dry-run")
    assert not Path("s").exists()
    done = cli(*arguments)
    assert tried.code == done.code == 3
    assert json.loads(tried.out) == json.loads(done.out)
    *said, last = tried.err.splitlines()
    assert said == done.err.splitlines()[:-1]
    assert last == "a dry run: 5 new level(s) of 1 run(s), 9 skipped; nothing was imported"


def test_nothing_is_left_of_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    store.import_runs(write(tmp_path / "in", (1, 2)), dry_run=True)
    assert list(place.iterdir()) == []
    assert not store.path.exists()
