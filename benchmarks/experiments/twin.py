"""Tickets of a data set on its permuted twin: what equal spectra do not tell of transfer.

    python -m benchmarks.experiments.twin
    python -m benchmarks.experiments.twin --task mnist --data DIR --seeds 5 --twin 3

A twin has the same images with their pixels in another order. To a network without convolutions it
is the same task, so both flows have one distribution and their classes are the same, exactly; and
yet a ticket that is taken along as it is meets its inputs in the wrong places. With its first layer
permuted as the pixels are it is the same ticket, and does what the source does, to all digits
printed. Below every line stands what another program of the same steps measured once, with three
seeds and another order of pixels. Aimed at: `along` is `source`, both flows are of one class, and
from density .07 down `transferred` lies well below `own` and above `shuffle`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import rgtool
from benchmarks.machine import machine

LEVELS = (4, 8, 12, 16)
# Conditions: what a child of the source is, and which column of the reference table it is.
CHILDREN: dict[str, dict[str, str]] = {
    "transferred": {},
    "along": {"transform": "pixels:{twin}"},
    "shuffle": {"control": "shuffle"},
    "reinit": {"control": "reinit"},
    "random": {"control": "random"},
}
COLUMNS = ("source", "own", *CHILDREN)
REFERENCE = {
    4: (None, 0.962, 0.955, 0.971, 0.958, 0.958, 0.950),
    8: (None, 0.957, 0.941, 0.958, 0.900, 0.891, 0.921),
    12: (None, 0.940, 0.808, 0.926, 0.427, 0.405, 0.701),
    16: (None, 0.862, 0.367, 0.881, 0.134, 0.200, 0.155),
}
ACCURACIES = (
    "SELECT level, avg(network_kept / network_total), avg(accuracy), list(accuracy ORDER BY seed) "
    "FROM levels JOIN runs USING (run_id) WHERE experiment_id = ? GROUP BY level"
)
Found = dict[int, tuple[float, float, list[float]]]  # by level: density, mean, accuracy by seed


def main() -> None:
    """Train what is missing, print the table, the largest differences and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--task", default="digits")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--twin", type=int, default=7, help="seed of the order of pixels")
    parser.add_argument("--seeds", default="3")
    parser.add_argument("--store", type=Path, help="keep runs there; default: nowhere")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder)
        experiments = train(options, store)
        report({name: accuracies(store, key) for name, key in experiments.items()})
        verdict(store, experiments)
    busy = sum(os.times()[:4])  # of this process and of those that have trained
    print(f"{time.monotonic() - began:.0f} s by the clock, {busy:.0f} s of work, {machine()}")


def train(options: argparse.Namespace, store: Path) -> dict[str, str]:
    """Train the source, the twin's own tickets and all children; return their experiments."""
    where: dict[str, Any] = {
        "store": store,
        "data": options.data,
        "seeds": options.seeds,
        "kernels": "dense",
    }
    twin = f"permuted:{options.task}:{options.twin}"
    found = {
        name: rgtool.run("lenet", task, "quick", levels=max(LEVELS), **where).experiment_id
        for name, task in (("source", options.task), ("own", twin))
    }
    for name, child in CHILDREN.items():
        asked: dict[str, Any] = {
            field: value.format(twin=options.twin) for field, value in child.items()
        }
        done = rgtool.run("lenet", twin, parent=found["source"], at=LEVELS, **asked, **where)
        found[name] = done.experiment_id
    return found


def accuracies(store: Path, experiment: str) -> Found:
    """Read density and accuracy of an experiment, level by level."""
    rows = rgtool.Store(store).query(ACCURACIES, [experiment]).rows
    return {level: (density, mean, by_seed) for level, density, mean, by_seed in rows}


def report(found: dict[str, Found]) -> None:
    """Print accuracies beside those of the reference."""
    print("".join(f"{name:>13}" for name in ("density", *COLUMNS)))
    for level in LEVELS:
        density = found["source"][level][0]
        means = [found[name][level][1] for name in COLUMNS]
        print(f"{density:13.3f}" + "".join(f"{mean:13.3f}" for mean in means))
        reference = ["" if one is None else f"{one:.3f}" for one in REFERENCE[level]]
        print(f"{'reference':>13}" + "".join(f"{one:>13}" for one in reference), flush=True)
    apart = [
        abs(one - other)
        for level in LEVELS
        for one, other in zip(found["along"][level][2], found["source"][level][2], strict=True)
    ]
    differ = f"{sum(map(bool, apart))} of {len(apart)} accuracies"
    print(f"along and source differ in {differ}, by {max(apart):.4f} at most")


def verdict(store: Path, experiments: dict[str, str]) -> None:
    """Print whether source and twin are of one class."""
    compared = rgtool.compare(store, experiments["source"], experiments["own"])
    print(compared.summary())


if __name__ == "__main__":
    main()
