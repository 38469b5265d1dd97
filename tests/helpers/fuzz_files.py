"""Valid files, damaged at random, and what rgtool makes of them; for a test and a benchmark.

`python fuzz_files.py` serves: it loads what commands need once, and forks for each request a child
with a memory limit and a deadline that runs commands. `Trials` is the client's side: it writes
valid files of every foreign format and of a store, damages one a case, and names what must not be,
see `FAULTS`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stores import NOTES, data_of

FAULTS = {
    "signal": "the process died",
    "traceback": "an error nobody expected",
    "hang": "no end in time",
    "memory": "more than 600 MB",
    "changed": "a file of the store is not what it was",
    "silent": "other numbers, and not a word",
    "unnamed": "a refusal that does not name the file",
}
PEAK = 600  # MB
DEADLINE = 30.0  # seconds
_ADDRESSES = 3 << 30  # bytes that a child may map beyond what it begins with
_LAYERS = (
    "SELECT run_id, level, layer, kept, kept_prev, total, magnitude, network_kept, accuracy, "
    "wall_seconds, seed, runs.levels, prune, experiment_id, created_at FROM layers "
    "JOIN levels USING (run_id, level) JOIN runs USING (run_id)"
)
_FLOW = "SELECT run_id, level, grouping, name, share, share_prev, retention, eigenvalue FROM flow"
_IMPORTED = (
    "SELECT run_id, level, layer, kept, accuracy FROM layers JOIN levels USING (run_id, level)"
)


# Mutations: each takes the bytes, a generator and another valid file.


def _place(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.choice((1, 2, 4, 8, 64, 300)))


def _flip(data: bytes, rng: random.Random, other: bytes) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 8))):
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _truncate(data: bytes, rng: random.Random, other: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _overwrite(data: bytes, rng: random.Random, other: bytes) -> bytes:
    start, end = _place(data, rng)
    fill = rng.choice((b"\0", b"\xff", None))
    return (
        data[:start] + (fill * (end - start) if fill else rng.randbytes(end - start)) + data[end:]
    )


def _insert(data: bytes, rng: random.Random, other: bytes) -> bytes:
    start, end = _place(data, rng)
    return data[:start] + rng.choice((data[start:end], rng.randbytes(end - start))) + data[start:]


def _delete(data: bytes, rng: random.Random, other: bytes) -> bytes:
    start, end = _place(data, rng)
    return data[:start] + data[end:]


def _swap_fields(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Exchange two numbers or words of a text, or two words of 4 or 8 bytes."""
    fields = [match.span() for match in re.finditer(rb"\d+|\w{3,}", data[:100_000])]
    if len(fields) > 1 and rng.random() < 0.5:
        (a, b), (c, d) = sorted(rng.sample(fields, 2))
    else:
        width = rng.choice((1, 4, 8))
        if len(data) < 2 * width:
            return data[::-1]
        a, c = sorted((rng.randrange(len(data) - width), rng.randrange(len(data) - width)))
        b, d = min(a + width, c), c + width
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _grow_number(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Put an absurd number where one stands: in digits, or in 4 or 8 bytes."""
    numbers = [match.span() for match in re.finditer(rb"\d+", data[:100_000])]
    if numbers and rng.random() < 0.6:
        start, end = rng.choice(numbers)
        absurd = (
            b"-1",
            b"0",
            b"9" * 20,
            b"9" * 400,
            b"1e999",
            b"NaN",
            b"null",
            b'"x"',
            b"[]",
            b"4294967296",
        )
        return data[:start] + rng.choice(absurd) + data[end:]
    value = struct.pack(
        "<Q", rng.choice((0, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 63, (1 << 64) - 1))
    )
    start = rng.randrange(len(data))
    return data[:start] + value[: rng.choice((1, 2, 4, 8))] + data[start + 8 :]


def _retag(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Put a byte that means something in a pickle or in JSON."""
    start = rng.randrange(len(data))
    return (
        data[:start]
        + bytes([rng.choice(b'cRtb.(}]X\x8cKJQPiosSeuda0\x93\x94q{[":,')])
        + data[start + 1 :]
    )


def _splice(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Go on, from some place, as another valid file does."""
    start, _ = _place(data, rng)
    if rng.random() < 0.5:
        return data[:start] + other[start:]
    begin, end = _place(other, rng)
    return data[:start] + other[begin:end] + data[start + end - begin :]


MUTATIONS: dict[str, Callable[[bytes, random.Random, bytes], bytes]] = {
    "flip": _flip,
    "truncate": _truncate,
    "overwrite": _overwrite,
    "insert": _insert,
    "delete": _delete,
    "swap": _swap_fields,
    "number": _grow_number,
    "retag": _retag,
    "splice": _splice,
}


# Targets: valid files that are damaged.


@dataclass(frozen=True)
class Target:
    """A valid file, and where it lies.

    Attributes
    ----------
    name : str
        Format and part.
    home : Path
        The folder that is imported, or the store.
    file : str
        The file, below it.
    other : str
        Another valid file of its kind, to splice with.
    foreign : bool
        Whether it is imported; else it belongs to a store.
    summed : bool
        Whether the format carries sums of its numbers, so that other ones can be known.
    """

    name: str
    home: Path
    file: str
    other: str
    foreign: bool = True
    summed: bool = False


def foreign_targets(root: Path) -> list[Target]:
    """Write a valid run in every foreign format, and name the files of each that are read."""
    from hostile_layouts import LAYOUTS, openlth_folder

    targets = []
    for name, layout in LAYOUTS.items():
        if name == "rahul":  # no importer reads it
            continue
        layout.write(root / name)
        file, other = layout.place(2), layout.place(3)
        summed = name != "safetensors"  # the others are zip archives of torch
        targets.append(Target(name, root / name, file, other, summed=summed))
    aside = {"hparams": (0, "hparams.log"), "logger": (2, "logger")}
    for part, (level, file) in aside.items():
        place = f"{openlth_folder(level)}/{file}"
        targets.append(Target(f"openlth {part}", root / "openlth", place, place))
    place = f"{openlth_folder(0)}/model_ep0_it0.pth"
    targets.append(Target("openlth model", root / "openlth", place, place, summed=True))
    place = "checkpoint-2000/result.pt"
    targets.append(Target("bert result", root / "bert", place, place, summed=True))
    return [*targets, *_variants(root), *_tables(root)]


def _variants(root: Path) -> list[Target]:
    """Write the less usual forms: torch's old one, gzip, a manifest beside."""
    import torch
    from hostile_layouts import LAYOUTS

    generic, openlth = LAYOUTS["generic"], LAYOUTS["openlth"]
    for name in ("legacy", "manifest"):
        generic.write(root / name)
    for path in (root / "legacy").glob("*.pt"):
        state = torch.load(path, weights_only=True)
        torch.save(state, path, _use_new_zipfile_serialization=False)
    levels = [{"level": n, "file": generic.place(n), "accuracy": 0.9} for n in range(4)]
    about = {"experiment": "mine", "architecture": "resnet8w4", "task": "cifar10", "seed": 3}
    (root / "manifest" / "manifest.json").write_text(json.dumps({**about, "levels": levels}))
    openlth.write(root / "gzip")
    for level in range(4):
        mask = root / "gzip" / openlth.place(level)
        mask.with_name("mask.pth.gz").write_bytes(gzip.compress(mask.read_bytes(), mtime=0))
        mask.unlink()
    zipped = [f"{openlth.place(level)}.gz" for level in (2, 3)]
    return [
        Target("legacy", root / "legacy", generic.place(2), generic.place(3)),
        Target("manifest", root / "manifest", "manifest.json", "manifest.json"),
        Target("gzip", root / "gzip", zipped[0], zipped[1], summed=True),
    ]


def _tables(root: Path) -> list[Target]:
    from hostile_layouts import csv_text, table_rows, write_parquet

    for name in ("csv", "parquet"):
        (root / name).mkdir()
    (root / "csv" / "r.csv").write_text(csv_text(table_rows()))
    write_parquet(root / "parquet" / "r.parquet", table_rows())
    return [
        Target("csv", root / "csv", "r.csv", "r.csv"),
        Target("parquet", root / "parquet", "r.parquet", "r.parquet"),
    ]


def store_targets(root: Path) -> list[Target]:
    """Write a store with loose and compacted runs, and name a file of each kind."""
    import numpy as np
    from stores import write_run

    from rgtool.schemas.blocks import architecture
    from rgtool.schemas.records.layout import RunFolder
    from rgtool.schemas.tensors.safetensors import write_mask
    from rgtool.store import Store

    for seed in (2, 3):
        write_run(root, seed=seed)
    Store(root).compact()
    runs = [write_run(root, seed=seed) for seed in (0, 1)]
    rng = np.random.default_rng(0)
    for run in runs:
        folder = RunFolder.of(root, run)
        for level in (1, 2):
            masks = {
                layer.name: rng.random(layer.shape) < 0.5
                for layer in architecture("resnet8w4").counted()
            }
            write_mask(folder.mask(level), masks)
    one, two = (f"runs/{run}" for run in runs)
    mask = RunFolder.of(root, runs[0]).mask(1).name
    parts = sorted(p.name for p in (root / "compact").iterdir() if p.is_file() and p.name != "lock")
    return [
        Target("run.json", root, f"{one}/run.json", f"{two}/run.json", foreign=False),
        Target("record", root, f"{one}/records/0002.parquet", f"{two}/records/0001.parquet", False),
        Target("mask", root, f"{one}/masks/{mask}", f"{two}/masks/{mask}", foreign=False),
        *(
            Target(f"compact/{_kind(p)}", root, f"compact/{p}", f"compact/{p}", False)
            for p in parts
        ),
    ]


def _kind(name: str) -> str:
    return re.split(r"[-.]", name)[0]


# The server's side.


def serve() -> None:
    """Answer requests until standard input ends."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import numpy  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import scipy.optimize
    import scipy.special
    import scipy.stats  # noqa: F401
    import torch

    import rgtool.analysis.spectrum.eigen
    import rgtool.cli.app
    import rgtool.store.importers.imports  # noqa: F401

    torch.set_num_threads(1)
    replies = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                _run(request["commands"], out.fileno(), err.fileno())
            reply = _reap(child, request["deadline"])
            for name, file in (("out", out), ("err", err)):
                file.seek(0)
                reply[name] = file.read().decode("utf-8", "replace")
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _run(commands: Sequence[Sequence[str]], out: int, err: int) -> None:
    """Run commands in a child, each followed by a line with its exit code on standard output."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code: Any = 0
    try:
        from rgtool.cli import main

        for command in commands:
            try:
                main(list(command))
            except SystemExit as ended:
                code = ended.code
            print(f"\0{code}", flush=True)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


def _reap(child: int, deadline: float) -> dict[str, Any]:
    end = time.monotonic() + deadline
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            died = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            return {"signal": died, "hang": False, "peak": usage.ru_maxrss >> 10}
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.wait4(child, 0)
            return {"signal": 0, "hang": True, "peak": 0}
        time.sleep(0.002)


# The client's side.


@dataclass(frozen=True)
class Answer:
    """How commands ended: output and exit code of each, and what they said together."""

    outs: tuple[str, ...]
    codes: tuple[int, ...]
    err: str
    signal: int
    hang: bool
    peak: int

    def faults(self) -> list[str]:
        """Name what must not be, of the process itself."""
        found = {
            "signal": self.signal != 0,
            "traceback": "Traceback" in self.err,
            "hang": self.hang,
            "memory": self.peak > PEAK,
        }
        return [name for name, there in found.items() if there]

    def rows(self, number: int) -> Counter[tuple[str, ...]]:
        """Return the rows of the CSV that a command has printed."""
        return Counter(map(tuple, list(csv.reader(io.StringIO(self.outs[number])))[1:]))


@dataclass(frozen=True)
class Case:
    """One damaged file and what came of it."""

    number: int
    target: Target
    mutation: str
    faults: tuple[str, ...]
    said: str


class Trials:
    """Damaged files, one a case; equal seeds give equal cases.

    Parameters
    ----------
    root : Path
        An empty folder to work in.
    seed : int
        Of all cases.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.seed = root, seed
        self.server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.base = root / "base"
        stored = store_targets(root / "store")
        self.foreign = foreign_targets(root / "foreign")
        self.stored = stored
        from stores import write_run

        self.known = write_run(self.base, seed=7)
        self.expected = {target.home: self._import(target.home) for target in self.foreign}
        self.truth = self._read(root / "store")

    def __enter__(self) -> Trials:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.server.stdin and self.server.stdout
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()

    def case(self, number: int) -> Case:
        """Damage a file and see; two of three cases are foreign files."""
        rng = random.Random(f"{self.seed}-{number}")
        targets = self.stored if number % 3 == 0 else self.foreign
        target = targets[(number // 3 if number % 3 == 0 else number - number // 3) % len(targets)]
        path = target.home / target.file
        valid, other = path.read_bytes(), (target.home / target.other).read_bytes()
        mutation = rng.choice(list(MUTATIONS))
        damaged = valid
        while damaged == valid or (target.foreign and damaged == other):  # a valid file, both
            damaged = MUTATIONS[mutation](valid, rng, other)
        try:
            path.write_bytes(damaged)
            if target.foreign:
                faults, said = self._look_foreign(target)
            else:
                faults, said = self._look_stored(target, number // 3)
        finally:
            path.write_bytes(valid)
            for name in NOTES:
                (target.home / name).unlink(missing_ok=True)
        return Case(number, target, mutation, tuple(faults), said)

    def ask(self, *commands: Sequence[str]) -> Answer:
        """Run commands, one after the other, in a process of their own."""
        assert self.server.stdin and self.server.stdout
        self.server.stdin.write(json.dumps({"commands": commands, "deadline": DEADLINE}) + "\n")
        self.server.stdin.flush()
        reply = json.loads(self.server.stdout.readline())
        *parts, _ = re.split(r"\0(\d+)\n", reply["out"])
        outs, codes = parts[::2], [int(code) for code in parts[1::2]]
        return Answer(
            tuple(outs), tuple(codes), reply["err"], reply["signal"], reply["hang"], reply["peak"]
        )

    def _import(self, folder: Path) -> tuple[Answer, list[str]]:
        """Import a folder into a copy of a store: the answer, and what became of the store."""
        store = self.root / "copy"
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(self.base, store)
        before = data_of(store)
        where = f"{_IMPORTED} WHERE run_id != '{self.known}'"
        answer = self.ask(
            ("import", str(folder), "--store", str(store)),
            ("sql", where, "--csv", "--store", str(store)),
        )
        after = data_of(store)
        failed = not answer.codes or answer.codes[0] in (1, 2)
        kept = after if failed else {name: after.get(name) for name in before}
        return answer, [] if kept == before else ["changed"]

    def _look_foreign(self, target: Target) -> tuple[list[str], str]:
        answer, changed = self._import(target.home)
        faults = answer.faults() + changed
        if not faults and target.summed and answer.codes[0] == 0:
            # The name of a run may hash what is damaged; its numbers may not be others.
            expected = self.expected[target.home][0]
            if _without_run(answer.rows(1)) != _without_run(expected.rows(1)):
                faults.append("silent")
        return faults, answer.err

    def _read(self, store: Path, *more: Sequence[str]) -> Answer:
        commands = (("sql", _LAYERS, "--csv"), ("sql", _FLOW, "--csv"), ("doctor", "--deep"), *more)
        return self.ask(*((*command, "--store", str(store)) for command in commands))

    def _look_stored(self, target: Target, number: int) -> tuple[list[str], str]:
        before = data_of(target.home)
        # The spectrum takes longer than all else, and follows from what the queries say.
        more = [("eigen", "resnet8w4/digits", "--json")] if number % 4 == 0 else []
        answer = self._read(target.home, *more)
        faults = answer.faults()
        if data_of(target.home) != before:
            faults.append("changed")
        if faults:
            return faults, answer.err
        named = Path(target.file).name in answer.err or Path(target.file).parts[1] in answer.err
        if any(answer.codes[:2]):
            return ([] if named else ["unnamed"]), answer.err
        same = [answer.rows(i) == self.truth.rows(i) for i in (0, 1)]
        part = [answer.rows(i) <= self.truth.rows(i) for i in (0, 1)]
        seen = named or answer.codes[2] == 1
        silent = not all(part) or not (all(same) or named) or (target.name == "mask" and not seen)
        return (["silent"] if silent else []), answer.err


def _without_run(rows: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    return Counter({row[1:]: count for row, count in rows.items()})


if __name__ == "__main__":
    serve()
