"""A process that corrects a run and is killed, at one step after the other.

    python correction_kills.py STORE FOLDER WORK exchange|renames

Every step is a call that opens, makes, renames, links or removes something below the store. For
each of them the store is copied below WORK, a child imports FOLDER into the copy, and is ended by
SIGKILL before that call. One copy in which the child came to its end is the last.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from rgtool.store import Store
from rgtool.store import exchange as exchanging

EVENTS = ("open", "os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "ctypes.dlsym")


def killed_at(step: int, store: Path) -> None:
    """Let this process be killed before its call of this number."""
    seen = 0

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        below = event == "ctypes.dlsym" or str(store) in str(arguments[0])
        if event not in EVENTS or not below:
            return
        seen += 1
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def main() -> None:
    """Make a copy of the store for every step."""
    store, folder, work = map(Path, sys.argv[1:4])
    os.fsync = lambda descriptor: None  # a kill loses nothing that was written
    if sys.argv[4] == "renames":
        exchanging.exchange = lambda one, other: False  # type: ignore[assignment]
    shutil.copytree(store, work / "loaded")  # all modules, once, before children are forked
    Store(work / "loaded").import_runs(folder)
    for step in range(1, 2000):
        copy = work / f"{step:04d}"
        shutil.copytree(store, copy)
        child = os.fork()
        if child == 0:
            killed_at(step, copy)
            report = Store(copy).import_runs(folder)
            os._exit(0 if report.corrected else 3)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.WEXITSTATUS(status))
    sys.exit(4)


if __name__ == "__main__":
    main()
