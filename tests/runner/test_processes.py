"""Runs over several processes: the same records, whoever is killed, and nothing left behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
import torch
from experiments import SMALL, few_digits_file, go, results

from rgtool.runner import machine
from rgtool.runner.event import Event
from rgtool.runner.experiment import execute
from rgtool.runner.plan import plan
from rgtool.schemas.records.layout import RunFolder

posix = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
# A quarter of a second a level: time to be met in the middle of one. No momentum: the command has
# no option for it.
LONG: dict[str, Any] = {
    "levels": 4,
    "epochs": 60,
    "rewind": "7it",
    "seeds": 2,
    "batch_size": 50,
    "momentum": None,
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Few digits as a file of one's own."""
    return few_digits_file(tmp_path_factory.mktemp("data"))


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
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


@posix
def test_processes_that_are_starting_stop_cleanly(digits: str, tmp_path: Path) -> None:
    asked = 0

    def at_once() -> bool:
        nonlocal asked
        asked += 1
        return asked > 1  # when the processes have been started, and are importing

    resource_tracker.ensure_running()  # which keeps a pipe open for as long as we live
    before = open_files()
    outcome = go(tmp_path, task=digits, **{**LONG, "seeds": 3}, workers=2, should_stop=at_once)
    assert outcome.seeds("stopped") == [0, 1, 2]
    assert multiprocessing.active_children() == []
    assert open_files() == before


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


def recorded(store: Path, seed: int) -> int:
    return len(list(store.glob(f"runs/*-s{seed}/records/*.parquet")))


@posix
def test_kills_and_stops_are_told_and_the_same_command_goes_on(
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
        # One of its processes is killed as soon as it has a record; the other one goes on.
        wait_for(lambda: recorded(store, 0) + recorded(store, 1) > 0, process)
        killed, other = (0, 1) if recorded(store, 0) else (1, 0)
        worker = int((run_of(store, killed).path / "lock").read_text().split()[0])
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: recorded(store, other) > 0, process)
        # A process beside it is told who is at work.
        second = go(store, task=digits, **{**LONG, "seeds": [other]})
        process.send_signal(signal.SIGTERM)
        table, told = process.communicate(timeout=240)
    finally:
        process.kill()
        process.wait()
    assert worker not in (process.pid, os.getpid())
    assert "in the hands of another process (id" in second.ends[other].message
    assert process.returncode == 3
    assert "Traceback" not in told
    assert f"seed {killed}: its process ended (SIGKILL); the same command goes on" in told
    assert "stopped; to go on: rgtool run lenet" in told
    ends = {int(line.split()[1]): line.split()[2] for line in table.splitlines()[1:]}
    assert ends == {killed: "failed", other: "stopped"}
    assert run_of(store, other).checkpoint.exists()
    assert all(0 < recorded(store, seed) < LONG["levels"] + 1 for seed in (0, 1))

    assert go(store, task=digits, **LONG).seeds("done") == [0, 1]
    assert results(store) == results(whole)


def test_what_is_finished_takes_neither_processes_nor_data(
    digits: str, whole: Path, tmp_path: Path
) -> None:
    heard: list[tuple[str, int]] = []

    def hear(event: Event) -> None:
        heard.append((event.kind, len(multiprocessing.active_children())))

    made = plan("lenet", digits, workers=2, store=whole, **{**SMALL, **LONG})
    made.__dict__.pop("images")
    assert execute(made, on_event=hear).seeds("known") == [0, 1]
    assert heard == [("known", 0), ("known", 0)]
    assert "images" not in made.__dict__
    # One more seed takes one process: this one.
    store = tmp_path / "store"
    shutil.copytree(whole, store)
    more = plan("lenet", digits, workers=2, store=store, **{**SMALL, **LONG, "seeds": 3})
    heard.clear()
    outcome = execute(more, on_event=hear)
    assert (outcome.seeds("known"), outcome.seeds("done")) == ([0, 1], [2])
    assert {children for _, children in heard} == {0}


# A script, without the usual guard.

UNGUARDED = """
import json
import sys

import rgtool

print("begins", flush=True)
outcome = rgtool.run("lenet", workers=2, **json.loads(sys.argv[1]))
print("ends", sorted(outcome.ends), outcome.seeds("done", "known"))
"""


@posix
@pytest.mark.parametrize("place", ["file", "standard input"])
def test_a_script_is_interrupted_and_goes_on(
    place: str, digits: str, whole: Path, tmp_path: Path
) -> None:
    path, store = tmp_path / "script.py", tmp_path / "store"
    path.write_text(UNGUARDED)
    fields = {**SMALL, **LONG, "task": digits, "store": str(store)}
    told = {name: value for name, value in fields.items() if value is not None}
    command = [sys.executable, str(path) if place == "file" else "-", json.dumps(told)]

    def begin() -> subprocess.Popen[str]:
        with path.open() as script:
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            return subprocess.Popen(command, stdin=script, text=True, **pipes)

    with begin() as process:
        try:
            wait_for(lambda: min(recorded(store, 0), recorded(store, 1)) > 0, process)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=240)
        finally:
            process.kill()
    assert out == "begins\n"  # neither does a process begin anew, nor does the script go on
    assert process.returncode == -signal.SIGINT and err.endswith("KeyboardInterrupt\n")
    assert any(run_of(store, seed).checkpoint.exists() for seed in (0, 1))

    with begin() as process:
        out, err = process.communicate(timeout=240)
    assert (out, err) == ("begins\nends [0, 1] [0, 1]\n", "")
    assert results(store) == results(whole)


def test_a_process_that_may_have_no_children_computes_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    assert machine.workers(torch.device("cpu")) == 1


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

import rgtool

for changes in ({}, {"control": "reinit"}):
    outcome = rgtool.run(
        "resnet8", "digits", width=2, train_size=60, levels=1, epochs=1, rewind="1it",
        batch_size=16, store=sys.argv[1], **changes,
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
    assert {json.loads(run.description.read_text())["recipe"]["task"] for run in runs} == {"digits"}
