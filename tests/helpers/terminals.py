"""A program in a real pseudo-terminal, and what a person sees there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MAIN = "import sys; from rgtool.cli import main; main(sys.argv[1:])"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LONGEST = 120.0  # seconds that anything here is waited for


class Terminal:
    """A program that `terminal` has begun."""

    def __init__(self, process: int, descriptor: int) -> None:
        self.process, self.descriptor = process, descriptor
        self.written = ""
        self.is_over = False

    @property
    def text(self) -> str:
        """All that was written so far, without what moves the cursor."""
        return _CONTROL.sub("", self.written)

    def screen(self, last: str) -> str:
        """What was drawn last, of drawings that all end so; empty: nothing yet."""
        return self.text.split(last)[-2] if last in self.text else ""

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Read what the program writes until something holds."""
        end = time.monotonic() + _LONGEST
        while not condition():
            assert time.monotonic() < end and not self.is_over, self.text[-2000:]
            self._read()

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal, read what is still written, and return the exit code."""
        os.kill(self.process, number)
        end = time.monotonic() + _LONGEST
        while not self.is_over:
            assert time.monotonic() < end, self.text[-2000:]
            self._read()
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    def _read(self) -> None:
        if not select.select([self.descriptor], [], [], 0.1)[0]:
            return
        try:
            data = os.read(self.descriptor, 1 << 16)
        except OSError:  # EIO: nobody has the other end any more
            data = b""
        self.is_over = not data
        self.written += data.decode(errors="replace").replace("\r\n", "\n")


@contextmanager
def terminal(
    *arguments: str, columns: int = 160, lines: int = 30, **env: str
) -> Iterator[Terminal]:
    """Run rgtool in a terminal of this size, with these variables beside the others."""
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "", "LINES": "", **env}
    process, descriptor = pty.fork()
    if process == 0:
        os.execve(sys.executable, [sys.executable, "-c", MAIN, *arguments], environment)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    found = Terminal(process, descriptor)
    try:
        yield found
    finally:
        if not found.is_over:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        os.close(descriptor)
