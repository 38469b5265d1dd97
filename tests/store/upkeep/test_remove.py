"""`Store.remove` and `rgtool rm`: what goes, what stays and why, whatever happens on the way."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from command import Cli
from killed import killed_at
from stores import counts, data_of, describe, write_record, write_run

from rgtool.schemas.errors import StoreError, UsageError
from rgtool.schemas.lock import Holder, holder, lock
from rgtool.schemas.recipe import Recipe
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.records.manifest import Manifest
from rgtool.schemas.tensors.safetensors import write_tensors
from rgtool.store import Store

DIGITS = Recipe(architecture="resnet8w4", task="digits")
OTHER = Recipe(architecture="resnet8w4", task="digits", lr=0.3)
RUNS = [DIGITS.run_id(seed) for seed in range(3)]
STATES = ("loose", "compacted")


@pytest.fixture(params=STATES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    store = tmp_path / "s"
    for seed in range(3):
        write_run(store, seed=seed, levels=2)
        write_tensors(RunFolder.of(store, RUNS[seed]).weights("init"), {"conv1": np.ones(3)})
    write_run(store, seed=0, levels=2, recipe=OTHER)
    if request.param == "compacted":
        Store(store).compact()
    return store


def runs(path: Path) -> list[str]:
    return sorted(run.run_id for run in Store(path).runs())


def rows(path: Path, run_id: str) -> list[list[tuple[object, ...]]]:
    views = ("runs", "levels", "layers", "flow")
    return [
        Store(path).query(f"FROM {view} WHERE run_id = ? ORDER BY ALL", [run_id]).rows
        for view in views
    ]


def test_a_run_goes_with_all_that_is_its_own(path: Path) -> None:
    others = {run: rows(path, run) for run in runs(path) if run != RUNS[1]}
    found = Store(path).remove(RUNS[1])
    assert (found.removed, found.exit_code) == ((RUNS[1],), 0)
    assert found.compacted == (1 if (path / "compact").exists() else 0)
    assert runs(path) == sorted(others)
    assert [*(path / "runs").glob(f"*{RUNS[1]}*")] == []
    for _ in range(2):
        assert {run: rows(path, run) for run in others} == others
        assert rows(path, RUNS[1]) == [[], [], [], []]
        assert Store(path).check().problems == ()
        Store(path).compact()
    assert Store(path).removed() == ()
    assert RUNS[1] not in Manifest.read(path).every


def test_an_experiment_goes_with_all_of_its_runs(path: Path) -> None:
    found = Store(path).remove([DIGITS.experiment_id[:8]])
    assert found.removed == tuple(RUNS)
    assert runs(path) == [OTHER.run_id(0)]


def test_a_removed_run_can_be_made_again(path: Path) -> None:
    Store(path).remove(RUNS[1])
    write_run(path, seed=1, levels=1)
    for _ in range(2):
        assert len(rows(path, RUNS[1])[1]) == 2
        Store(path).compact()


def test_a_dry_run_says_the_same_and_changes_nothing(path: Path) -> None:
    before = data_of(path)
    planned = Store(path).remove(DIGITS.experiment_id, dry_run=True)
    assert data_of(path) == before
    done = Store(path).remove(DIGITS.experiment_id)
    assert planned == done
    assert all(run.size > 6 for run in done.runs)


def test_a_run_that_a_process_writes_stays(path: Path) -> None:
    held = RunFolder.of(path, RUNS[1]).path / "lock"
    with lock(held, "the run"):
        assert holder(held) == Holder(str(os.getpid()), platform.node())
        for dry_run in (True, False):
            found = Store(path).remove(DIGITS.experiment_id, dry_run=dry_run)
            assert found.removed == (RUNS[0], RUNS[2])
            assert found.exit_code == 3
            assert f"id {os.getpid()}" in found.runs[1].kept
        assert Store(path).remove(RUNS[1]).exit_code == 1
    assert holder(held) is None
    assert runs(path) == sorted([RUNS[1], OTHER.run_id(0)])
    assert len(rows(path, RUNS[1])[1]) == 3


def test_children_and_parents_are_named(path: Path) -> None:
    tickets = dataclasses.replace(DIGITS, parent=DIGITS.experiment_id)
    child = describe(tickets, 0, 1, parent_run=RUNS[0], run_id=tickets.run_id(0, RUNS[0]))
    folder = RunFolder.of(path, child.run_id)
    folder.make()
    child.write(folder.description)
    write_record(path, tickets, child.run_id, 0, counts(tickets, 0, 1))
    found = Store(path).remove(RUNS[0], dry_run=True)
    assert (found.children, found.parents) == ({child.run_id: RUNS[0]}, {})
    found = Store(path).remove(child.run_id, dry_run=True)
    assert (found.children, found.parents) == ({}, {child.run_id: RUNS[0]})
    both = Store(path).remove([RUNS[0], child.run_id])
    assert (both.children, both.parents) == ({}, {})


def test_what_is_half_there_goes_by_the_name_of_its_folder(path: Path) -> None:
    folder = RunFolder.of(path, RUNS[2])
    folder.make()
    folder.description.write_text("{")
    folder.record(0).write_bytes(b"x")
    assert Store(path).remove(RUNS[2]).removed == (RUNS[2],)
    assert not folder.path.exists()
    assert RUNS[2] not in runs(path)


def test_of_a_linked_folder_the_link_goes(path: Path, tmp_path: Path) -> None:
    place, elsewhere = path / "runs" / RUNS[0], tmp_path / "elsewhere"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    assert Store(path).remove(RUNS[0]).exit_code == 0
    assert RUNS[0] not in runs(path)
    assert (elsewhere / "weights" / "init.safetensors").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "nothing", "../s", "published:resnet20-cifar10"])
def test_names_that_fit_nothing_remove_nothing(path: Path, name: str) -> None:
    before = data_of(path)
    with pytest.raises(UsageError):
        Store(path).remove([RUNS[0], name])
    with pytest.raises(UsageError, match="fits 2 experiments"):
        Store(path).remove("resnet8w4/digits")
    assert data_of(path) == before


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no runs"):
        Store(tmp_path / "none").remove("x")
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_at_any_step_a_run_is_whole_or_gone(path: Path, tmp_path: Path) -> None:
    code = "from rgtool.store import Store; store = Store(sys.argv[2]); begin(); "
    code += "store.remove(sys.argv[3])"
    whole = {run: rows(path, run) for run in runs(path)}
    ended = False
    for step in range(1, 60, 6):
        copy = tmp_path / f"copy{step}"
        shutil.copytree(path, copy)
        ended = not killed_at(step, code, str(copy), DIGITS.experiment_id)
        left = runs(copy)
        assert OTHER.run_id(0) in left
        assert {run: rows(copy, run) for run in left} == {run: whole[run] for run in left}
        assert Store(copy).check().problems == ()
        if len(left) > 1:
            Store(copy).remove(DIGITS.experiment_id)
        else:
            Store(copy).compact()
        assert runs(copy) == [OTHER.run_id(0)]
        assert [*(copy / "runs").glob(".*")] == []
        if ended:
            break
    assert ended


def killed_midway(path: Path, *gone: str) -> None:
    """Leave what a removal leaves that is killed before it deletes."""
    for run_id in gone:
        place = RunFolder.of(path, run_id).path
        place.rename(place.with_name(f".removed-{run_id}-00ff00ff"))


def test_a_removal_that_was_killed_is_ended_by_the_same_command(path: Path, cli: Cli) -> None:
    def rm(*arguments: str) -> tuple[int, str]:
        done = cli("rm", *arguments, "--store", str(path))
        return done.code, done.err

    killed_midway(path, RUNS[0])
    before = data_of(path)
    assert f"half removed,{RUNS[0]}" in cli("doctor", "--csv", "--store", str(path)).out
    code, said = rm(RUNS[0], "--dry-run")
    assert (code, f"{RUNS[0]}: its removal" in said, "would be ended" in said) == (0, True, True)
    assert data_of(path) == before
    code, said = rm(RUNS[0])
    assert (code, "is ended" in said) == (0, True)
    assert [*(path / "runs").glob(".*")] == []
    assert "half removed" not in cli("doctor", "--store", str(path)).out
    killed_midway(path, RUNS[1])
    found = Store(path).remove(DIGITS.experiment_id)
    assert found.begun == (RUNS[1],) and f"{RUNS[1]}: its removal" in found.notes[-1]
    assert runs(path) == [OTHER.run_id(0)]
    killed_midway(path, OTHER.run_id(0))
    code, said = rm("resnet8w4/digits", "--yes")  # of what is gone only ids tell
    assert (code != 0, "is ended" in said) == (True, True)
    assert [*(path / "runs").glob(".*")] == []


# The command.


def test_the_command_shows_and_removes(path: Path, cli: Cli) -> None:
    done = cli("rm", DIGITS.experiment_id, "--store", str(path), "--dry-run", "--json")
    table = json.loads(done.out)
    assert (done.code, [row["run"] for row in table]) == (0, RUNS)
    assert {row["outcome"] for row in table} == {"would go"}
    done = cli("rm", RUNS[0], RUNS[1], "--store", str(path), "--yes")
    assert done.code == 0
    assert "2 runs removed" in done.err
    assert ("compact/" in done.err) is (path / "compact").exists()
    assert runs(path) == sorted([RUNS[2], OTHER.run_id(0)])
    if (path / "compact").exists():
        assert RUNS[0] in cli("doctor", "--store", str(path)).out
        assert f"dropped: {RUNS[0]}, {RUNS[1]}" in cli("compact", "--store", str(path)).err
        assert RUNS[0] not in cli("doctor", "--store", str(path)).out


def test_without_a_terminal_nothing_is_asked_and_nothing_removed(path: Path, cli: Cli) -> None:
    before = data_of(path)
    done = cli("rm", RUNS[0], "--store", str(path))
    assert done.code == 2
    assert "--yes" in done.err
    assert data_of(path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs terminals of POSIX")
@pytest.mark.parametrize(("answer", "goes"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_on_a_terminal_it_asks(
    path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, answer: str, goes: bool
) -> None:
    import pty

    keyboard, terminal = pty.openpty()
    os.write(keyboard, answer.encode())
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        done = cli("rm", RUNS[0], "--store", str(path))
    os.close(keyboard)
    assert "for good? [y/N]" in done.err
    assert done.code == (0 if goes else 1)
    assert (RUNS[0] in runs(path)) is not goes
