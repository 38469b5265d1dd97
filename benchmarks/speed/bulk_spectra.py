"""Wall time and peak memory of the spectra of all experiments of a compacted store.

    python -m benchmarks.speed.bulk_spectra
    python -m benchmarks.speed.bulk_spectra --experiments 1000

An experiment has 5 seeds, 20 prunings and 64 groups: the layers of ResNet-62, the smallest CIFAR
ResNet with 60 or more. The aim for 10 000 experiments, 67 million rows, is a minute and 4 GiB.
Reading the counts alone is measured apart, and a few experiments are computed one by one to hold
the table to.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from benchmarks.machine import apart, machine, peak
from benchmarks.speed.store import LEVELS, SEEDS, make_compacted
from rgtool import Store, eigen
from rgtool.analysis.spectrum.many import spectra
from rgtool.schemas.blocks import architecture

NETWORK = "resnet62"
CHECKED = 3


def main() -> None:
    """Make the store, compute, print, remove it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=10_000)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where the store is made")
    options = parser.parse_args()
    versions = f"DuckDB {duckdb.__version__}, polars {pl.__version__}, NumPy {np.__version__}"
    print(f"{versions}, Python {platform.python_version()}, {machine()}")
    network = architecture(NETWORK)
    runs = options.experiments * SEEDS
    rows = runs * (LEVELS + 1) * len(network.layers)
    print(
        f"{options.experiments} experiments x {SEEDS} seeds x {LEVELS} prunings x "
        f"{len(network.layers)} layers: {rows / 1e6:.1f} million rows"
    )
    folder = Path(tempfile.mkdtemp(prefix="rgstore-bulk-", dir=options.folder))
    try:
        apart(make_compacted, folder, network, runs)
        for measured in (read, compute, check):
            apart(measured, folder)
    finally:
        shutil.rmtree(folder)


def read(folder: Path) -> None:
    """Print what reading the counts takes."""
    began = time.perf_counter()
    found = sum(1 for _ in Store(folder).counts_of(by="layer"))
    report("counts alone", found, began)


def compute(folder: Path) -> None:
    """Print what the spectra take."""
    began = time.perf_counter()
    found = spectra(Store(folder), by="layer")
    report("spectra", found.experiments, began)
    frame = found.to_frame()
    told = frame.filter(pl.col("low").is_null() | pl.col("canonical").is_null())
    print(
        f"  {len(frame)} rows, {len(told)} without interval or null, {len(found.problems)} failed"
    )
    print(f"  verdicts {dict(sorted(frame['verdict'].value_counts().iter_rows()))}")


def check(folder: Path) -> None:
    """Hold some experiments to those of `eigen`."""
    store = Store(folder)
    names = [row[0] for row in store.sql("SELECT DISTINCT experiment_id FROM runs").rows]
    chosen = sorted(names)[:: max(1, len(names) // CHECKED)][:CHECKED]
    table = spectra(store, chosen, by="layer").to_frame()
    for name in chosen:
        began = time.perf_counter()
        one = eigen(store, name, by="layer").to_frame()
        seconds = time.perf_counter() - began
        part = table.filter(experiment_id=name)
        worst = max(
            float((part[column] - one[column]).abs().max() or 0)  # type: ignore[arg-type]
            for column in ("eigenvalue", "low", "high", "exponent", "anomalous")
        )
        print(f"  {name} by itself: {seconds:.2f} s with its resampling, differs by {worst:.1e}")


def report(what: str, experiments: int, began: float) -> None:
    """Print seconds and peak memory of this process."""
    seconds = time.perf_counter() - began
    print(
        f"{what:14} {experiments} experiments in {seconds:.1f} s, peak {peak():.0f} MB", flush=True
    )


if __name__ == "__main__":
    main()
