"""Runs that are watched in a terminal while they train, are killed and go on; and told once."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import Cli
from hypothesis import given
from hypothesis import strategies as st
from stores import data_of, write_run
from terminals import MAIN, Terminal, terminal

from rgtool.cli.run.watch import _DISPENSABLE, _fitting
from rgtool.schemas.lock import lock
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.store import Store

TRAIN = ("run", "lenet", "digits", "--recipe", "quick", "--epochs", "60", "--levels", "1")
NAMES = ("run", "label", "seed", "state", "level", "epoch", "density", "accuracy", "curve")


@contextmanager
def training(store: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that trains."""
    command = [sys.executable, "-c", MAIN, *TRAIN, "--workers", "1", "--store", str(store)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def frame(watched: Terminal) -> str:
    """What was drawn last, and whole."""
    return watched.screen("runs go on")


def test_a_run_is_watched_while_it_trains_is_killed_and_goes_on(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with terminal("watch", "--every", "0.1s", "--store", str(store)) as watched:
        watched.wait_for(lambda: "nothing is at work so far" in watched.text)
        with training(store) as process:
            inside = re.compile(r" [01]/1 +[1-9]\d*/60 ")  # level and epoch
            watched.wait_for(lambda: inside.search(frame(watched)) is not None)
            shown = frame(watched)
            assert "1 at work" in shown and "at work any more" not in shown
            assert f"{process.pid} on {os.uname().nodename}" in shown
            assert re.search(r" (\d+ s|a second|\d+ min|unknown) +\d+ on ", shown)  # the time left
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=60)
        watched.wait_for(lambda: "1 stopped" in frame(watched))
        shown = frame(watched)
        assert "nothing is at work any more, since" in shown and "what is stopped" in shown
        assert str(process.pid) not in shown
        with training(store) as process:
            watched.wait_for(lambda: f"{process.pid} on" in frame(watched))
            assert process.wait(timeout=120) == 0
        watched.wait_for(lambda: "1 done" in frame(watched))
        assert " 1/1 " in frame(watched)
        assert "nothing is at work any more" in frame(watched)
        assert watched.end() == 0
        assert "Traceback" not in watched.text and "aborted" not in watched.text
    assert watched.written.rstrip().endswith("\x1b[?25h")  # the cursor is there again


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a run that is stopped and one that is done."""
    write_run(tmp_path / "store", 0, 3, asked=5)
    write_run(tmp_path / "store", 1, 3)
    return tmp_path / "store"


def test_into_a_pipe_it_prints_once(cli: Cli, store: Path) -> None:
    before = data_of(store)
    done = cli("watch", "--store", str(store))
    assert done.code == 0
    signs = re.compile(r"(now|\S+ s ago) *$", re.M)  # which grow from one look to the next
    told = cli("status", "--store", str(store)).out
    assert signs.sub("", done.out) == signs.sub("", told)
    assert len(done.out.splitlines()) == 2 and done.out.split()[: len(NAMES)] == list(NAMES)
    assert "printed once" in done.err and "1 stopped" in done.err
    assert data_of(store) == before


def test_a_terminal_that_cannot_be_written_over_gets_it_once(store: Path) -> None:
    with terminal("watch", "--store", str(store), TERM="dumb") as watched:
        watched.wait_for(lambda: watched.is_over or "printed once" in watched.text)
        assert watched.text.count("1 stopped") == 1


def test_status_has_every_format(cli: Cli, store: Path) -> None:
    (row,) = json.loads(cli("status", "--json", "--store", str(store)).out)
    assert (row["state"], row["level"], row["levels"], row["seed"]) == ("stopped", 4, 5, 0)
    assert row["accuracies"] == pytest.approx([0.9, 0.89, 0.88, 0.87])
    assert (row["seconds_left"], row["process"], row["epoch"]) == (3.0, None, None)
    rows = list(
        csv.DictReader(io.StringIO(cli("status", "--all", "--csv", "--store", str(store)).out))
    )
    assert [(row["state"], row["level"]) for row in rows] == [("stopped", "4"), ("done", "3")]
    told = cli("status", "--md", "--store", str(store)).out
    assert told.splitlines()[0].startswith("| run | experiment | label |")
    assert json.loads(cli("status", "--json", "--store", str(store / "none")).out) == []


def test_status_of_a_store_that_is_not_there_says_how_to_begin(cli: Cli, store: Path) -> None:
    assert "rgtool demo or rgtool run" in cli("status", "--store", str(store / "none")).err
    assert "rgtool demo" not in cli("status", "--store", str(store)).err
    write_run(store, 0, 5)  # nothing is left of any run
    assert "rgtool demo" not in cli("status", "--store", str(store)).err


def test_where_all_is_done_nothing_is_to_come(tmp_path: Path) -> None:
    write_run(tmp_path / "store", 0, 1)
    with terminal("watch", "--all", "--every", "0.1s", "--store", str(tmp_path / "store")) as one:
        one.wait_for(lambda: "1 done" in frame(one))
        assert "nothing is at work" in frame(one) and "so far" not in frame(one)
        assert one.end() == 0


def test_status_takes_experiments_and_runs(cli: Cli, store: Path) -> None:
    other = write_run(store, 0, 1, recipe=Recipe(architecture="lenet", task="mnist"), asked=2)

    def listed(*names: str) -> list[str]:
        rows = json.loads(cli("status", *names, "--all", "--json", "--store", str(store)).out)
        return sorted(row["run"] for row in rows)

    runs = [run.run_id for run in Store(store).runs("resnet8w4/digits")]
    assert listed("lenet/mnist") == [other] and listed("task=digits") == sorted(runs)
    assert listed(runs[1], "lenet/mnist") == sorted([runs[1], other])
    wrong = cli("status", "lenet/mnits", "--store", str(store))
    assert wrong.code == 2 and "did you mean lenet/mnist" in wrong.err


def test_a_terminal_without_blocks_gets_ascii(cli: Cli, store: Path) -> None:
    command = [sys.executable, "-c", MAIN, "status", "--store", str(store)]
    done = {
        coding: subprocess.run(
            command,
            env={**os.environ, "PYTHONIOENCODING": coding, "PYTHONUTF8": "0"},
            capture_output=True,
            check=True,
        ).stdout.decode(coding)
        for coding in ("ascii", "utf-8")
    }
    assert "*=._"[::-1] not in done["utf-8"] and "█" in done["utf-8"]
    assert "#=:_" in done["ascii"] or "#" in done["ascii"]
    assert "\\u" not in done["ascii"]


@pytest.mark.parametrize("columns", [60, 100])
def test_a_small_window_gets_what_fits(tmp_path: Path, columns: int) -> None:
    store = tmp_path / "store"
    for seed in range(12):
        write_run(store, seed, 1, asked=3)
    with terminal(
        "watch", "--every", "0.1s", "--store", str(store), columns=columns, lines=12
    ) as watched:
        watched.wait_for(lambda: "Ctrl-C" in watched.text)
        watched.wait_for(lambda: watched.text.count("Ctrl-C") > 2)
        assert watched.end() == 0
    shown = frame(watched)
    lines = shown.strip().splitlines()
    assert (
        lines[0].startswith("12 stopped, ") and len(lines) < 12 and max(map(len, lines)) <= columns
    )
    assert re.search(r"and \d+ runs more", shown) and "stopped" in shown
    hidden = int(re.findall(r"and (\d+) runs", shown)[0])
    assert shown.count("resnet8w4/digits") == 12 - hidden
    assert ("curve" in shown) == ("run " in shown) == (columns == 100)


def test_a_look_that_fails_is_said_and_tried_again(store: Path) -> None:
    manifest = store / "compact" / "manifest.json"
    with terminal("watch", "--every", "0.1s", "--store", str(store)) as watched:
        watched.wait_for(lambda: "1 stopped" in watched.text)
        manifest.parent.mkdir()
        manifest.write_text('{"version": 99}')
        watched.wait_for(lambda: "cannot be read now" in frame(watched))
        assert "1 stopped" in frame(watched)
        manifest.unlink()
        watched.wait_for(lambda: "cannot be read now" not in frame(watched))
        assert watched.end() == 0


def test_a_run_that_ends_stays_in_sight(store: Path) -> None:
    run = Store(store).runs()[0]
    with terminal("watch", "--every", "0.1s", "--store", str(store)) as watched:
        with lock(RunFolder.of(store, run.run_id).path / "lock", "run"):
            watched.wait_for(lambda: "1 at work" in frame(watched))
            assert "1 done" not in frame(watched)  # what was done before is none's concern
        write_run(store, 0, 5)
        watched.wait_for(lambda: "1 done" in frame(watched))
        assert watched.end() == 0


@pytest.mark.parametrize("text", ["soon", "0s", "-1"])
def test_a_pause_is_a_duration(cli: Cli, text: str) -> None:
    done = cli("watch", "--every", text)
    assert done.code == 2 and "--every" in done.err


@given(st.lists(st.integers(1, 20), min_size=13, max_size=13), st.integers(1, 300))
def test_columns_fit_or_are_those_that_nobody_goes_without(widths: list[int], room: int) -> None:
    names = [*_DISPENSABLE, "label", "state", "level", "accuracy", "left"]
    places = _fitting(names, widths, room)
    assert sorted(places) == places
    left = [names[i] for i in places]
    needed = sum(widths[i] + 2 for i in places) - 2
    assert needed <= room or left == ["label", "state", "level", "accuracy", "left"]
    gone = [name for name in _DISPENSABLE if name not in left]
    assert gone == list(_DISPENSABLE[: len(gone)])
    if gone:  # with the last one that is gone it would not fit
        assert needed + widths[names.index(gone[-1])] + 2 > room
