"""Stores on file systems that lack what a store needs: locks, the flushing of folders; and URLs.

The calls that such file systems refuse fail in processes of their own, from their first line on.
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from command import Cli
from stores import write_run

from rgtool.runner.experiment import run
from rgtool.schemas.errors import UsageError
from rgtool.schemas.files import flush_path, write_atomic
from rgtool.schemas.lock import Locked, NoLocks, check_locks, lock
from rgtool.schemas.records.layout import store_path
from rgtool.store import Store

posix = pytest.mark.skipif(sys.platform == "win32", reason="flock and fsync of folders")
# A module of this name is imported when Python starts.
REFUSALS = {
    "locks": """
import errno, fcntl, os
def refuse(descriptor, operation):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.flock = refuse
""",
    "flushing": """
import errno, os, stat
flush = os.fsync
def refuse(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    flush(descriptor)
os.fsync = refuse
""",
    "room": """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
""",
}
RUN = ("run", "lenet", "digits", "--levels", "1", "--epochs", "1", "--seeds", "2", "--workers", "1")
TABLE = "experiment,seed,level,group,kept,total\n" + "".join(
    f"e,0,{level},{group},{kept},100\n"
    for level, kept in ((0, 100), (1, 80), (2, 64))
    for group in "ab"
)


def without(what: str, store: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Call the command line where the file system refuses something."""
    home = store.parent / f"without-{what}"
    home.mkdir(exist_ok=True)
    (home / "sitecustomize.py").write_text(REFUSALS[what])
    program = "import sys; from rgtool.cli import main; main(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", program, *command, "--store", str(store)],
        env={**os.environ, "PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def files(store: Path) -> dict[str, bytes]:
    """Return what is in a store, aside of lock files and of notes on what was looked at."""
    paths = [path for path in store.rglob("[!.]*") if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(store)): path.read_bytes() for path in paths}


@posix
@pytest.mark.parametrize(
    "command",
    [
        RUN,
        ("import", "t.csv"),
        ("compact",),
        ("merge", "other"),
        ("merge", "other", "--dry-run"),
        ("rm", "resnet8w4", "--yes"),
        ("rm", "resnet8w4", "--dry-run"),
    ],
    ids=" ".join,
)
def test_without_locks_what_writes_is_refused_once_and_says_the_way_out(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    Path("t.csv").write_text(TABLE)
    store = tmp_path / "store"
    write_run(store)
    write_run(Path("other"))
    before = files(store)
    done = without("locks", store, *command)
    assert done.returncode == 1
    assert done.stdout in ("", "\n")
    assert done.stderr.count("has no locks (No locks available)") == 1
    assert len(done.stderr.splitlines()) == 2
    assert ("rm -r" if command[0] == "rm" else "--store") in done.stderr
    assert not (store / "compact").exists()
    assert "goes on where it was" not in done.stderr
    assert files(store) == before
    assert sorted(path.name for path in (store / "runs").iterdir()) == [
        info.run_id for info in Store(store).runs()
    ]


@posix
def test_without_locks_no_store_is_made(tmp_path: Path) -> None:
    Path("t.csv").write_text(TABLE)
    write_run(Path("other"))
    for command in (("merge", "other"), ("import", "t.csv")):
        done = without("locks", tmp_path / "new", *command)
        assert done.returncode == 1 and "has no locks" in done.stderr
        assert not (tmp_path / "new").exists()


@posix
def test_without_locks_a_store_is_read_as_ever(tmp_path: Path) -> None:
    store = tmp_path / "store"
    write_run(store)
    done = without("locks", store, "sql", "SELECT count(*) AS n FROM levels", "--csv")
    assert (done.returncode, done.stdout) == (0, "n\n4\n")
    found = without("locks", store, "doctor", "--csv")
    assert 'locks,"are missing: what is here can be read' in found.stdout


@posix
def test_on_a_full_disk_room_can_be_made(tmp_path: Path) -> None:
    Path("t.csv").write_text(TABLE)
    store = tmp_path / "store"
    write_run(store)
    assert Store(store).import_runs("t.csv").runs
    Store(store).compact()
    for one in Store(store).runs():
        done = without("room", store, "rm", one.run_id, "--yes", "--csv")
        assert (done.returncode, ",removed" in done.stdout) == (0, True), done.stderr
    assert Store(store).runs() == []


@posix
def test_where_folders_cannot_be_flushed_everything_is_written(tmp_path: Path) -> None:
    Path("t.csv").write_text(TABLE)
    store = tmp_path / "store"
    for command in (RUN, ("import", "t.csv"), ("compact",), RUN):
        done = without("flushing", store, *command)
        assert (done.returncode, "Invalid" in done.stderr) == (0, False), done.stderr
    found = Store(store)
    assert found.sql("SELECT count(*) FROM levels").rows == [(7,)]
    assert found.check().problems == ()
    assert len([*(store / "compact").glob("records-*")]) == 1
    told = without("flushing", store, "doctor", "--csv").stdout
    assert "works for files alone" in told


@posix
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_every_way_to_say_that_there_are_no_locks(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(NoLocks, match=os.strerror(number)), lock(tmp_path / "lock", "it"):
        pass
    with pytest.raises(NoLocks, match=str(tmp_path)):
        check_locks(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@posix
def test_another_failure_of_locking_is_not_taken_for_missing_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)), lock(tmp_path / "lock", "it"):
        pass


@posix
def test_the_trial_of_locks_leaves_nothing_and_holds_nobody_up(tmp_path: Path) -> None:
    check_locks(tmp_path)
    check_locks(tmp_path / "not there")
    assert list(tmp_path.iterdir()) == []
    told = pytest.raises(Locked)
    with lock(tmp_path / "lock", "it"), told, lock(tmp_path / "lock", "it"):
        pass


@posix
@pytest.mark.parametrize(
    ("number", "of_folder", "passes"),
    [
        (errno.EINVAL, True, True),
        (errno.EINVAL, False, False),
        (errno.EIO, True, False),
        (errno.ENOSPC, True, False),
    ],
)
def test_only_a_folder_may_stay_unflushed_and_only_where_that_cannot_be(
    number: int, of_folder: bool, passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def refuse(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) is of_folder:
            raise OSError(number, os.strerror(number))

    assert flush_path(tmp_path)
    monkeypatch.setattr("os.fsync", refuse)
    if passes:
        write_atomic(path, b"new")
        assert not flush_path(tmp_path)
        assert flush_path(path)
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            write_atomic(path, b"new")
        with pytest.raises(OSError, match=os.strerror(number)):
            flush_path(tmp_path if of_folder else path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("text", ["s3://bucket/s", "gs://b", "file:/tmp/s", "me@host:/data/s"])
def test_a_url_is_no_store_and_makes_no_folder(
    text: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (text, Path(text)):
        with pytest.raises(UsageError, match="no URL or address"):
            Store(place)
        with pytest.raises(UsageError, match="no URL or address"):
            run("lenet", "digits", levels=1, epochs=1, store=place)
    for command in (RUN, ("ls",), ("import", str(tmp_path)), ("compact",)):
        done = cli(*command, "--store", text)
        assert (done.code, done.out) == (2, "")
        assert f"store {text}: " in done.err and "mount" in done.err
    done = cli("import", text)
    assert (done.code, done.out) == (2, "")
    assert f"{text}: only folders and files of this machine are read" in done.err
    monkeypatch.setenv("RGTOOL_STORE", text)
    with pytest.raises(UsageError, match="no URL or address"):
        Store()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["C:/stores/s", "a:b", "s3/b", "/s3:/b", "rgstore"])
def test_folders_with_odd_names_are_stores(text: str) -> None:
    assert store_path(text) == Path(text)
