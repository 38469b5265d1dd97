"""Runs over several processes: the same records, whoever is killed, and nothing left behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import SMALL, few_digits, go, results

from rgtool.runner.event import Event
from rgtool.runner.experiment import Outcome
from rgtool.schemas.layout import RunFolder

posix = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
# A quarter of a second a level: time to be met in the middle of one. No momentum: the command has
# no option for it.
LONG: dict[str, Any] = {
    "levels": 3,
    "epochs": 60,
    "rewind": "7it",
    "seeds": 2,
    "batch_size": 50,
    "momentum": None,
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digits as a file of one's own, which needs no scikit-learn in every process."""
    images = few_digits()
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(path, **{name: getattr(images, name) for name in names})
    return f"npz:{path}"


@pytest.fixture(scope="module")
def whole(digits: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the experiment `LONG`, computed in one process."""
    store: Path = tmp_path_factory.mktemp("whole")
    assert go(store, task=digits, **LONG).seeds("done") == [0, 1]
    return store


def run_of(store: Path, seed: int) -> RunFolder:
    (path,) = (store / "runs").glob(f"*-s{seed}")
    return RunFolder(path)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@posix
def test_a_killed_process_fails_its_seed_only(digits: str, whole: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(event: Event) -> None:
        if event.kind == "level" and event.seed == 1 and not killed:
            killed.append(int((run_of(tmp_path, 1).path / "lock").read_text()))
            os.kill(killed[0], signal.SIGKILL)

    resource_tracker.ensure_running()  # which keeps a pipe open for as long as we live
    before = open_files() if Path("/proc/self/fd").exists() else 0
    outcome = go(tmp_path, task=digits, **LONG, workers=2, on_event=kill)
    assert killed[0] != os.getpid()
    assert outcome.seeds("done") == [0]
    assert outcome.seeds("failed") == [1]
    assert outcome.ends[1].message == (
        "its process ended (SIGKILL); the same command goes on where it was"
    )
    assert multiprocessing.active_children() == []
    assert (open_files() if before else 0) == before
    # What it had recorded is whole; the rest is computed here, with one process.
    assert go(tmp_path, task=digits, **LONG).seeds("known", "done") == [0, 1]
    assert results(tmp_path) == results(whole)


@posix
def test_processes_that_are_starting_stop_cleanly(digits: str, tmp_path: Path) -> None:
    asked = 0

    def at_once() -> bool:
        nonlocal asked
        asked += 1
        return asked > 1  # when the processes have been started, and are importing

    outcome = go(tmp_path, task=digits, **{**LONG, "seeds": 3}, workers=2, should_stop=at_once)
    assert outcome.seeds("stopped") == [0, 1, 2]
    assert multiprocessing.active_children() == []


# The command itself.

SCRIPT = """
from rgtool.cli import main

if __name__ == "__main__":
    main()
"""


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.005)


@posix
def test_sigterm_saves_and_the_same_command_goes_on(
    digits: str, whole: Path, tmp_path: Path
) -> None:
    script, store = tmp_path / "script.py", tmp_path / "store"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), "run", "lenet", digits]
    for name, value in {**SMALL, **LONG, "store": store, "workers": 2}.items():
        if value is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: len(list(store.glob("runs/*/records/0000.parquet"))) == 2, process)
        # Beside it, a second process is told who is at work.
        second = go(store, task=digits, **LONG)
        process.send_signal(signal.SIGTERM)
        table, told = process.communicate(timeout=240)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 3
    assert "stopped; to go on: rgtool run lenet" in told
    assert "Traceback" not in told
    assert table.count("stopped") == 2
    assert_locked(second, [0, 1])
    stopped = [RunFolder(path) for path in sorted((store / "runs").iterdir())]
    assert all(folder.checkpoint.exists() for folder in stopped)
    assert all(len(folder.recorded_levels()) < 4 for folder in stopped)

    assert go(store, task=digits, **LONG).seeds("done") == [0, 1]
    assert results(store) == results(whole)


def assert_locked(outcome: Outcome, seeds: list[int]) -> None:
    assert outcome.seeds("failed") == seeds
    for seed in seeds:
        assert "in the hands of another process" in outcome.ends[seed].message
        assert f"(id {os.getpid()})" not in outcome.ends[seed].message


# A machine that only trains.

BARE = """
import sys

ABSENT = {
    "duckdb", "polars", "scipy", "sklearn", "pandas", "typer", "rich", "statsmodels", "matplotlib",
    "torchvision",
}


class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ABSENT:
            return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)


sys.meta_path[:] = map(Without, sys.meta_path)

import numpy as np

import rgtool
from rgtool.runner.data import DATASETS, Images


def stripes(folder):
    y = np.arange(60) % 4
    x = np.zeros((60, 8, 8, 1), np.uint8)
    x[np.arange(60), 2 * y] = 255
    return Images("stripes", x, y, x[:20], y[:20], classes=4, mean=(0.1,), std=(0.3,))


DATASETS["stripes"] = stripes
for changes in ({}, {"control": "reinit"}):
    outcome = rgtool.run(
        "resnet8", "stripes", width=2, levels=1, epochs=1, rewind="1it", batch_size=16,
        store=sys.argv[1], **changes,
    )
    assert outcome.seeds("done", "known") == [0], outcome
assert not ABSENT & set(sys.modules)
"""


def test_torch_numpy_and_pyarrow_are_enough(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(BARE), str(tmp_path)], check=True
    )
    runs = [RunFolder(path) for path in (tmp_path / "runs").iterdir()]
    assert [run.recorded_levels() for run in runs] == [[0, 1], [0, 1]]
    assert {json.loads(run.description.read_text())["recipe"]["task"] for run in runs} == {
        "stripes"
    }
