"""Locks: who holds one, who was killed holding it, and those who only ask."""

from __future__ import annotations

import fcntl
import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rgtool.schemas.lock import Holder, Locked, holder, lock, signed

HERE = Holder(str(os.getpid()), platform.node())
HOLD = """
import sys, time
from pathlib import Path
from rgtool.schemas.lock import lock
with lock(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_tells_who_holds_it_and_nothing_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is signed(path) is None
    with lock(path, "it"):
        assert holder(path) == signed(path) == HERE
        told = rf"^it is in the hands of another process \(id {os.getpid()} on {platform.node()}\)$"
        with pytest.raises(Locked, match=told), lock(path, "it"):
            pass
    assert holder(path) is signed(path) is None
    assert str(HERE) == f"{os.getpid()} on {platform.node()}"


def test_an_error_inside_lets_go_of_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyError), lock(path, "it"):
        raise KeyError
    assert holder(path) is signed(path) is None


def test_of_a_killed_process_the_file_goes_on_telling(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        who = Holder(str(process.pid), platform.node())
        assert holder(path) == who
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    assert (holder(path), signed(path)) == (None, who)
    with lock(path, "it"):
        assert holder(path) == HERE


@pytest.mark.parametrize(
    ("text", "who"),
    [
        (b"17\n", Holder("17")),  # of a version that wrote no machine
        (b"17 node7\n", Holder("17", "node7")),
        (b"17 a machine\nmore", Holder("17", "a machine")),
        (b"\n", Holder("unknown")),
        (b"\xff\xfe node7", Holder("��", "node7")),
    ],
)
def test_what_others_wrote_is_read(tmp_path: Path, text: bytes, who: Holder) -> None:
    path = tmp_path / "lock"
    path.write_bytes(text)
    assert signed(path) == who
    assert who.is_here == (who.host == "")
    assert holder(path) is None  # nobody holds it
    with path.open() as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        assert holder(path) == who
    assert str(Holder("17")) == "17" and HERE.is_here


def test_whoever_only_asks_keeps_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    file = path.open()
    fcntl.flock(file.fileno(), fcntl.LOCK_SH)  # as `holder` does, for as long as it reads
    let_go = threading.Timer(0.02, file.close)
    let_go.start()
    with lock(path, "it"):
        assert holder(path) == HERE
    let_go.join()
