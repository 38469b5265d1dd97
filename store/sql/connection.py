"""DuckDB databases in memory that keep quiet and keep to themselves."""

from __future__ import annotations

import _thread
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

import duckdb

from .memory import memory_for_queries, spill_folder

T = TypeVar("T")
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,  # a table is a view of the store, never a Python variable
}


def connect(threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """Open an empty database in memory.

    It takes the memory that `memory_for_queries` leaves it; what does not fit goes to files in a
    temporary folder, which are removed with the connection.

    Parameters
    ----------
    threads : int, optional
        Threads it may use; by default a thread a core.
    """
    config = _CONFIG | {
        "memory_limit": f"{memory_for_queries() >> 20}MiB",
        "temp_directory": spill_folder(),
    }
    connection = duckdb.connect(config=config | ({"threads": threads} if threads else {}))
    # In an interactive Python it would draw a bar; no configuration takes this, a SET does. A
    # notebook without ipywidgets refuses any word about the bar, and draws none.
    with contextlib.suppress(duckdb.InvalidInputException):
        connection.execute("SET enable_progress_bar = false")
    return connection


def interruptibly(connection: duckdb.DuckDBPyConnection, call: Callable[[], T]) -> T:
    """Call something that waits for a query, and end the query where Ctrl-C ends the waiting.

    DuckDB does not look at signals while it computes, and Python handles them in the main thread
    alone; so there the query runs in another one.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        What `call` computes with.
    call : callable
        Executes or fetches.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    done, found, failed = threading.Event(), list[T](), list[BaseException]()

    def work() -> None:
        try:
            found.append(call())
        except BaseException as error:  # raised again below, where it belongs
            failed.append(error)
        finally:
            done.set()

    try:
        # After an interrupt of `Thread.start` nobody could tell whether the thread runs.
        try:
            _thread.start_new_thread(work, ())
        except RuntimeError:  # there are too many: then Ctrl-C waits
            work()
        done.wait()
    except BaseException:
        _end_query(connection, done)
        raise
    if failed:
        raise failed.pop()
    return found.pop()


def _end_query(connection: duckdb.DuckDBPyConnection, done: threading.Event) -> None:
    """Interrupt a query until it has ended, however often Ctrl-C comes meanwhile.

    A thread that is still in DuckDB when the interpreter ends aborts the process.
    """
    while True:
        try:
            if done.wait(0.05):
                return
            connection.interrupt()  # again and again: one before the query has begun is lost
        except KeyboardInterrupt:
            continue
