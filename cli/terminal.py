"""Standard output and standard error: what they cannot encode, and what happens when they close."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import TextIO

from ..schemas.errors import RgtoolError, UsageError, printable

CLOSED = 141  # 128 + SIGPIPE: how a shell sees a program that its reader has left
_LONGEST_WORD = 500  # characters of a word in a message: numbers of 5000 digits are not read


class OutputClosed(Exception):
    """Nobody reads standard output any more, as behind `| head`: not an error."""


def prepare_streams() -> None:
    """Let both streams escape what their encoding does not have, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(data: str | bytes) -> None:
    """Write data to standard output.

    Raises
    ------
    OutputClosed
        The reader has gone.
    RgtoolError
        It cannot be written, as on a full disk.
    """
    if sys.stdout is None:  # `>&-`: Python does not open what is closed
        raise RgtoolError("standard output is closed")
    with _explained():
        if isinstance(data, bytes):
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
        else:
            sys.stdout.write(data)


def flush() -> None:
    """Send what was written on its way; raises what `write` does."""
    if sys.stdout is not None:
        with _explained():
            sys.stdout.flush()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        abandon()
        raise OutputClosed from None
    except OSError as error:
        abandon()
        raise RgtoolError(f"standard output cannot be written: {error.strerror}") from None


def abandon() -> None:
    """Give standard output up: what is still to be written to it goes nowhere."""
    if sys.stdout is not None:
        _to_nowhere(sys.stdout)


def say(text: str = "") -> None:
    """Print a line that is not data, to standard error; what came from a file cannot break it."""
    if sys.stderr is None:
        return
    line = re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", lambda word: _shortened(word[0]), printable(text))
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:  # nobody reads it, or the disk is full: the exit code still tells
        _to_nowhere(sys.stderr)


def _shortened(word: str) -> str:
    return f"{word[: _LONGEST_WORD // 2]}...{word[-_LONGEST_WORD // 4 :]}"


def ask(question: str) -> bool:
    """Ask whoever sits at the terminal; anything but yes is no.

    Raises
    ------
    UsageError
        Nobody sits there.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on: --yes goes on without asking")
    print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def is_terminal() -> bool:
    """Tell whether a person reads standard output as it comes."""
    return sys.stdout is not None and sys.stdout.isatty()


def encodes(text: str) -> bool:
    """Tell whether standard output can show a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _to_nowhere(stream: TextIO) -> None:
    """Send the rest of a stream to nowhere: at its exit Python would fail to flush it again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
