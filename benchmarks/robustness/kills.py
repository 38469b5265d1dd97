"""Kill runs at random moments and hold what they leave to an undisturbed run.

    python -m benchmarks.robustness.kills --kills 50
    python -m benchmarks.robustness.kills --kills 8 --data DIR      # ResNet-20 on a CIFAR-10 subset

A series starts the same command again and again, in one store, until it is done; each start but the
last is ended by SIGKILL, SIGTERM, a time budget or a full disk, at a random moment. Then every
record (measured columns aside), every mask and every kept weight must be that of the reference.
The full disk is a tmpfs of a few kilobytes more than the run has written so far; it needs root, and
is left out, saying so, where it cannot be mounted.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.machine import machine
from rgtool.schemas.records.record import COLUMNS, read_record

DIGITS = "lenet digits --levels 4 --epochs 60 --rewind 20it --keep init,rewind,dense"
CIFAR = (
    "resnet20 cifar10 --train-size 500 --levels 2 --epochs 3 --rewind 5it --keep init,rewind,dense"
)
MEASURED = [column.name for column in COLUMNS if column.measured]
# Bits are those of the kernels, and which are faster is a matter of the moment.
ALIKE = {"RGTOOL_KERNELS": os.environ.get("RGTOOL_KERNELS", "dense"), "OMP_NUM_THREADS": "1"}
ENVIRONMENT = {**os.environ, **ALIKE, "RGTOOL_CHECKPOINT_SECONDS": "0.2"}


def command(arguments: str, store: Path, *more: str) -> list[str]:
    """Return the command of one start."""
    code = "from rgtool.cli import main; main()"
    return [sys.executable, "-c", code, "run", *arguments.split(), "--store", str(store), *more]


def finish(arguments: str, store: Path) -> float:
    """Run to the end, undisturbed; return the seconds from the first file to the end."""
    subprocess.run(command(arguments, store), env=ENVIRONMENT, check=True, capture_output=True)
    began = min((f.stat().st_mtime for f in store.glob("runs/*/weights/*")), default=time.time())
    return time.time() - began


def kill_once(
    how: str, arguments: str, store: Path, after: float, tmpfs: bool
) -> tuple[bool, bool, str]:
    """Start the command and end it: was it done before, was it in a level, what did it say."""
    if how == "full disk" and tmpfs:
        used = sum(f.stat().st_blocks * 512 for f in store.rglob("*") if f.is_file())
        room = int(used + 1024 * random.uniform(64, 700))
        remount(store, room)
        done = subprocess.run(command(arguments, store), env=ENVIRONMENT, capture_output=True)
        remount(store, 1 << 30)
        return done.returncode == 0, inside(store), done.stderr.decode()
    if how == "budget":
        more = ("--time-budget", f"{after:.2f}s")
        done = subprocess.run(
            command(arguments, store, *more), env=ENVIRONMENT, capture_output=True
        )
        return done.returncode == 0, inside(store), done.stderr.decode()
    process = subprocess.Popen(
        command(arguments, store),
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    wait_for_start(process, store)
    time.sleep(after)
    process.send_signal(signal.SIGKILL if how == "SIGKILL" else signal.SIGTERM)
    _, errors = process.communicate()
    return process.returncode == 0, inside(store), errors.decode()


def wait_for_start(process: subprocess.Popen[bytes], store: Path) -> None:
    """Wait until the run has touched its description: from then on it is at work."""
    began = time.time()
    while process.poll() is None and time.time() - began < 60:
        times = [f.stat().st_mtime for f in store.glob("runs/*/run.json")]
        if times and max(times) >= began:
            return
        time.sleep(0.02)


def inside(store: Path) -> bool:
    """Tell whether a checkpoint says that the run stands inside a level."""
    return any(store.glob("runs/*/checkpoint.safetensors"))


def remount(store: Path, size: int) -> None:
    """Give the tmpfs that holds the store another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(store)], check=True)


def try_mount(store: Path) -> bool:
    """Put a tmpfs under the store, where that is allowed."""
    store.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(store)]
    return subprocess.run(mount, capture_output=True).returncode == 0


def differences(store: Path, reference: Path) -> list[str]:
    """Name what differs between two stores: records, masks and weights."""
    found = []
    for expected in sorted(reference.glob("runs/*/*/*")):
        path = store / expected.relative_to(reference)
        if not path.exists():
            found.append(f"{path.name} is missing")
        elif expected.suffix == ".parquet":
            ours, theirs = (read_record(p).drop_columns(MEASURED) for p in (path, expected))
            if not ours.equals(theirs):
                found.append(f"record {path.name} differs")
        elif path.read_bytes() != expected.read_bytes():
            found.append(f"{path.parent.name}/{path.name} differs")
    names = {p.relative_to(reference) for p in reference.glob("runs/*/*/*")}
    found += [f"{p.name} is one too many" for p in store.glob("runs/*/*/*")
              if p.relative_to(store) not in names]  # fmt: skip
    return found


def main() -> int:
    """Run the series and print a table; 1 where anything differed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="folder of CIFAR-10: a series with ResNet-20")
    options = parser.parse_args()
    random.seed(options.seed)
    arguments = DIGITS if options.data is None else f"{CIFAR} --data {options.data}"
    home = Path(tempfile.mkdtemp(prefix="rgtool-kills-"))
    print(f"rgtool run {arguments}")
    print(f"torch {torch.__version__}, {machine()}")
    began = time.perf_counter()
    work = finish(arguments, home / "reference")
    alone = time.perf_counter() - began
    kinds = ["SIGKILL", "SIGTERM", "budget", "full disk"]
    kills: collections.Counter[str] = collections.Counter()
    in_level: collections.Counter[str] = collections.Counter()
    series = identical = surprises = attempts = 0
    while sum(kills.values()) < options.kills:
        store = home / f"series-{series}"
        tmpfs = try_mount(store)
        if not tmpfs and "full disk" in kinds:
            kinds.remove("full disk")
            print("full disk: left out, a tmpfs cannot be mounted here")
        done = False
        while not done and sum(kills.values()) < options.kills:
            how = kinds[attempts % len(kinds)]
            attempts += 1
            # Some kills a series: a start that lasts longer than the rest of the run ends it.
            after = random.uniform(0.05, work / 3)
            done, was_inside, errors = kill_once(how, arguments, store, after, tmpfs)
            if "Traceback" in errors:
                surprises += 1
                print(errors)
            if not done:
                kills[how] += 1
                in_level[how] += was_inside
        finish(arguments, store)
        found = differences(store, home / "reference")
        series += 1
        identical += not found
        for line in found:
            print(f"series {series}: {line}")
        if tmpfs:
            subprocess.run(["umount", str(store)], check=True)
        shutil.rmtree(store)
    shutil.rmtree(home)
    print(f"{'kind':<10} {'kills':>6} {'inside a level':>15}")
    for kind in kinds:
        print(f"{kind:<10} {kills[kind]:>6} {in_level[kind]:>15}")
    print(f"{'all':<10} {sum(kills.values()):>6} {sum(in_level.values()):>15}")
    print(f"series {series}, identical to the undisturbed run {identical}, tracebacks {surprises}")
    print(f"undisturbed run {alone:.1f} s, {work:.1f} s of it at work")
    print(f"all of it {time.perf_counter() - began:.0f} s")
    return 0 if identical == series and not surprises else 1


if __name__ == "__main__":
    sys.exit(main())
