"""Children that are killed, and several commands at work on the same ones."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from children import train
from experiments import few_digits_file, go, results

from rgtool.runner.replicas.checkpoint import CHECKPOINT_VARIABLE
from rgtool.store import Store

MAIN = "import sys; from rgtool.cli import main; main(sys.argv[1:])"
CHILDREN: dict[str, dict[str, str]] = {
    "shuffled": {"control": "shuffle", "at": "1,3"},
    "perturbed": {"transform": "perturb:layer=fc2:1.1", "at": "1,2"},
    "started": {"transform": "perturb:layer=fc2:1.1", "start": "1", "levels": "3"},
}
LONG: dict[str, Any] = {"levels": 3, "epochs": 60, "rewind": "7it", "batch_size": 50, "seeds": 2}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Few digits as a file of one's own."""
    return few_digits_file(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def found(digits: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a parent."""
    store: Path = tmp_path_factory.mktemp("found")
    go(store, task=digits, **LONG)
    return store


def parent_in(store: Path) -> str:
    (parent,) = (one for one in Store(store).experiments() if one.recipe.parent is None)
    return parent.experiment_id


def command(store: Path, digits: str, kind: str = "shuffled") -> subprocess.Popen[str]:
    """Begin to train its tickets in a process of their own."""
    told = ["--parent", parent_in(store)]
    told += [part for name, value in CHILDREN[kind].items() for part in (f"--{name}", value)]
    place = ["--store", str(store), "--seeds", "2", "--workers", "1"]
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, "run", "lenet", digits, *told, *place],
        env={**os.environ, CHECKPOINT_VARIABLE: "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(6000):
        if there():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError("it never was")


def checkpoints(store: Path) -> list[Path]:
    return [*store.glob("runs/*/checkpoint.safetensors")]


def records(store: Path) -> int:
    """Count the levels that children have."""
    return len([*store.glob("runs/*-s*-*/records/*.parquet")])


def finish(store: Path, digits: str, kind: str = "shuffled") -> None:
    how = {name: int(x) if x.isdecimal() else x for name, x in CHILDREN[kind].items()}
    outcome = train(store, parent_in(store), task=digits, seeds=2, **how)
    assert len(outcome.seeds("done", "known")) == 2


@pytest.fixture(scope="module")
def whole(digits: str, found: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the children have where nothing is in their way."""
    return undisturbed(digits, found, tmp_path_factory.mktemp("whole"), "shuffled")


def undisturbed(digits: str, found: Path, folder: Path, kind: str) -> dict[str, Any]:
    store = folder / "store"
    shutil.copytree(found, store)
    finish(store, digits, kind)
    return results(store)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("kind", CHILDREN)
def test_a_child_that_was_killed_goes_on_to_the_same_bits(
    digits: str, found: Path, kind: str, tmp_path: Path
) -> None:
    """Killed twice: in its first level, and in one that follows from a record."""
    whole = undisturbed(digits, found, tmp_path / "whole", kind)
    store = tmp_path / "store"
    shutil.copytree(found, store)
    for least in (0, 1):
        with command(store, digits, kind) as process:
            try:
                wait_for(
                    lambda: records(store) >= least and bool(checkpoints(store)),  # noqa: B023
                    process,
                )
            finally:
                process.send_signal(signal.SIGKILL)
            process.communicate()
        assert checkpoints(store) and results(store) != whole
    assert records(store) >= 1
    finish(store, digits, kind)
    assert results(store) == whole and not checkpoints(store)


def test_two_commands_share_children(
    digits: str, found: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(found, store)
    with command(store, digits) as one:
        wait_for(lambda: bool(checkpoints(store)), one)
        with command(store, digits) as other:
            said = [process.communicate(timeout=300) for process in (other, one)]
    assert one.returncode in (0, 3) and other.returncode in (0, 1, 3)
    assert not any("Traceback" in text for texts in said for text in texts)
    left = any("it is left to that one" in text for texts in said for text in texts)
    assert left == (0 not in (one.returncode, other.returncode) or other.returncode != 0)
    finish(store, digits)
    assert results(store) == whole
