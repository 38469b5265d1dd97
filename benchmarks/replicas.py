"""Replicas side by side in one process, and in processes of their own, against one alone.

    python benchmarks/replicas.py --model resnet20 --task cifar10 --data DIR

Prints images a second by the clock and, for one process, by the time that the processor worked for
it, which other work on the machine hardly touches; then trains two levels of a small network both
ways and holds all masks and weights to be the same bits. On a GPU the aim is that replicas side by
side take less than they take alone; on a CPU, processes of one thread are the fast way.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import torch
from machine import machine

import rgtool
from rgtool.runner.machine import device as device_of
from rgtool.runner.machine import prepare, workers
from rgtool.runner.plan import plan
from rgtool.runner.speed.bench import processes_speed
from rgtool.runner.speed.layouts import Layout
from rgtool.runner.speed.probe import parts_of, speed


def main() -> None:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--task", default="cifar10")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--replicas", default="1,2,5")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each line")
    options = parser.parse_args()
    device = device_of(options.device)
    print(f"{machine()}, torch {torch.__version__}, {device}, load {os.getloadavg()[0]:.1f}")
    counts = [int(n) for n in options.replicas.split(",")]
    made = plan(
        options.model, options.task, seeds=max(counts), data=options.data, device=str(device)
    )
    prepare(device)
    base = None
    for count in counts:
        clock, busy = speed(made, [parts_of(made, n) for n in range(count)], options.seconds)
        # What the processor works says nothing of a GPU.
        found = busy if device.type == "cpu" else clock
        base = base or found
        print(
            f"{count} side by side: {clock:8.1f} images/s by the clock, {busy:8.1f} by processor "
            f"time, {found / base:.2f} x alone",
            flush=True,
        )
    if device.type == "cpu" and (cores := workers(device)) > 1:
        found = processes_speed(made, Layout(cores, 1, 1, 0.0), options.seconds)
        print(f"{cores} processes: {found:8.1f} images/s")
    print(f"load {os.getloadavg()[0]:.1f}")
    identical(str(device), max(counts))


def identical(device: str, count: int) -> None:
    """Train small replicas alone and side by side and compare the bits."""
    with tempfile.TemporaryDirectory() as folder:
        stores = {replicas: Path(folder) / str(replicas) for replicas in (1, count)}
        for replicas, store in stores.items():
            rgtool.run(
                "resnet8", "digits", seeds=count, levels=2, epochs=2, rewind="1ep", width=4,
                store=store, device=device, replicas=replicas, train_size=300, kernels="dense",
            )  # fmt: skip
        files = {
            replicas: {
                path.relative_to(store): path.read_bytes() for path in store.rglob("*.safetensors")
            }
            for replicas, store in stores.items()
        }
        same = files[1] == files[count]
    print(f"{count} replicas, masks and weights: {'the same bits' if same else 'THEY DIFFER'}")


if __name__ == "__main__":
    main()
