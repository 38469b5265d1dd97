"""Processes that end right after reading or in a query: none is aborted by a thread left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rgtool.schemas.blocks import architecture
from rgtool.schemas.records.record import build_record, write_record
from rgtool.store.sql.connection import connect, interruptibly

# Files of Python say where they are used, and in another thread than the main one they are let go
# of slowly: while it sleeps, the process ends.
READ_AND_END = """
import io, os, sys, threading, time
from pathlib import Path
from rgtool.schemas import files, tables
from rgtool.schemas.records import parts, record
from rgtool.store.sql import trust

main, path, elsewhere = threading.get_ident(), Path(sys.argv[2]), []

class Telling:
    def read(self, *count):
        elsewhere.extend(["read"] * (threading.get_ident() != main))
        return super().read(*count)

    def __del__(self):
        if threading.get_ident() != main:
            elsewhere.append("let go")
            time.sleep(1)

class Bytes(Telling, io.BytesIO): pass
class File(Telling, io.BufferedReader): pass

io.BytesIO = Bytes
files.open = lambda descriptor, mode: File(io.FileIO(descriptor))
read = {
    "record": record.read_record,
    "part": parts.describe,
    "table": lambda path: [*tables.open_table(path).rows(["level"])],
    "pages": lambda path: trust.rot(str(path)),
}[sys.argv[1]]
for turn in range(40):
    os.utime(path, (turn, turn))  # a part is described anew
    read(path)
    if "let go" in elsewhere:
        break
print(*sorted({*elsewhere}), end="")
"""


@pytest.mark.parametrize("what", ["record", "part", "table", "pages"])
def test_a_process_may_end_right_after_reading(what: str, tmp_path: Path) -> None:
    path = tmp_path / "records-0001.parquet"
    layers = architecture("resnet8w4").counted()
    write_record(path, build_record("r", 0, layers, np.array([layer.total for layer in layers])))
    if what == "pages":  # what carries a sum is read without Arrow
        pq.write_table(pa.table({"level": [0], "kept": [1]}), path)
    command = [sys.executable, "-c", READ_AND_END, what, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class Impatient:
    """A connection whose user presses Ctrl-C again whenever it is asked to interrupt."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, presses: int) -> None:
        self.connection, self.presses = connection, presses

    def interrupt(self) -> None:
        if self.presses:
            self.presses -= 1
            signal.raise_signal(signal.SIGINT)
        self.connection.interrupt()


def test_ctrl_c_pressed_again_and_again_leaves_no_query_behind() -> None:
    connection = connect()
    impatient = Impatient(connection, presses=3)

    def query() -> object:
        time.sleep(0.5)  # till the main thread waits: on busy cores it may come to that late
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return connection.execute("SELECT count(*) FROM range(10000000000000)").fetchall()

    with pytest.raises(KeyboardInterrupt):
        interruptibly(impatient, query)  # type: ignore[arg-type]
    assert impatient.presses == 0
    assert connection.execute("SELECT 42").fetchall() == [(42,)]
