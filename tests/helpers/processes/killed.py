"""A process that is killed at a step of its work: real, and at the same step every time."""

from __future__ import annotations

import signal
import subprocess
import sys

_HOOK = """
import os, signal, sys
left = int(sys.argv[1])
WRITES = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "shutil.copyfile")

def count(event, arguments):
    global left
    if event in WRITES or event == "open" and "w" in str(arguments[1]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

def begin():
    sys.addaudithook(count)
"""


def killed_at(step: int, code: str, *arguments: str) -> bool:
    """Run code in a process of its own that dies before a change of files; True where it died.

    Parameters
    ----------
    step : int
        The changes of files are counted from 1, from where the code calls `begin`.
    code : str
        What to run; `sys.argv[2:]` are the arguments.
    *arguments : str
        For the code.
    """
    command = [sys.executable, "-c", f"{_HOOK}\n{code}", str(step), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode == -signal.SIGKILL:
        return True
    assert done.returncode == 0, done.stderr
    return False
