"""What an importer without any guard would do, run where it can hurt nobody.

`python hostile_victim.py` serves: it loads torch once, and forks for each request a child with a
memory limit and a deadline, which reads a hostile file the naive way. `ask` is the client's side.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# A file of a few kilobytes that needs more than this is a bomb.
MEMORY = 192 << 20
DEADLINE = 20.0


@dataclass(frozen=True)
class Outcome:
    """What came of one naive reading: a result, or the error or signal that ended it."""

    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    message: str = ""
    timed_out: bool = False
    signal: int = 0

    @property
    def exhausted(self) -> bool:
        """Whether it ended for want of memory, however the library words that."""
        words = ("allocate memory", "alloc", "memory", "too big", "exceeds the maximum")
        return self.error == "MemoryError" or any(word in self.message.lower() for word in words)

    @property
    def crashed(self) -> bool:
        """Whether it ended in anything but a result."""
        return bool(self.error or self.signal or self.timed_out)


@functools.cache
def _server() -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
    )
    atexit.register(_stop, server)
    return server


def _stop(server: subprocess.Popen[str]) -> None:
    assert server.stdin and server.stdout
    server.stdin.close()
    server.wait()
    server.stdout.close()


def ask(loader: str, *paths: Path, deadline: float = DEADLINE) -> Outcome:
    """Read `paths` by the naive loader of that name, in a process of its own."""
    server = _server()
    assert server.stdin and server.stdout
    server.stdin.write(json.dumps([loader, [str(path) for path in paths], deadline]) + "\n")
    server.stdin.flush()
    return Outcome(**json.loads(server.stdout.readline()))


def serve() -> None:
    from hostile_loaders import LOADERS

    # Replies go to the real standard output; whatever payloads print goes nowhere.
    replies = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for line in sys.stdin:
        loader, paths, deadline = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            for descriptor in (0, 1, 2):
                os.dup2(nowhere, descriptor)
            _answer(write, LOADERS[loader], [Path(path) for path in paths])
        os.close(write)
        replies.write(json.dumps(_reap(child, read, deadline)) + "\n")
        replies.flush()


def _answer(pipe: int, loader: Callable[..., dict[str, Any]], paths: list[Path]) -> None:
    """Read, send what came of it and end the child, whatever happens."""
    try:
        os.chdir(paths[0].parent)
        limit = _address_space() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        reply: dict[str, Any] = {"result": loader(*paths)}
    except BaseException as error:  # noqa: BLE001 a payload may raise anything
        # The loader's frames hold what it had read: the reply needs some of that memory.
        error.__traceback__ = None
        reply = {"error": type(error).__name__, "message": ascii(str(error)[:300])}
    os.write(pipe, json.dumps(reply).encode())
    os._exit(0)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _reap(child: int, pipe: int, deadline: float) -> dict[str, Any]:
    end, chunks, timed_out = time.monotonic() + deadline, [], False
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
        chunk = os.read(pipe, 65536) if ready else b""
        if not chunk:
            timed_out = not ready
            break
        chunks.append(chunk)
    os.close(pipe)
    if timed_out:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if timed_out:
        return {"timed_out": True}
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    data: dict[str, Any] = json.loads(b"".join(chunks) or b'{"error": "Silence"}')
    return data


if __name__ == "__main__":
    serve()
