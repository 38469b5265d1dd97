"""How fast checkpoints become records, and how much memory that takes.

    python benchmarks/importing.py                     500 levels of ResNet-20 in OpenLTH's layout
    python benchmarks/importing.py --memory            a few states of ResNet-50 in CV_LTH's

Weights are random: `tests/importers/foreign/` writes the files as the programs did. The rival does
what one does by hand: `torch.load` of mask and model, counts and sums of magnitudes by layer; it
checks and writes nothing. Files are read once beforehand, so both find them in the page cache.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch
from machine import apart, machine, peak

from rgtool.store import Store

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / one) for one in ("helpers", "importers/foreign", "importers/hostile")]


def write_many(folder: Path, replicates: int, levels: int) -> None:
    """Write replicates of ResNet-20 as OpenLTH does."""
    from foreign import OpenLTHOptions, write_openlth

    torch.set_num_threads(1)
    for replicate in range(1, replicates + 1):
        options = OpenLTHOptions(rewind=None)
        write_openlth(
            folder, "cifar_resnet_20", levels=levels - 1, replicate=replicate, options=options
        )


def write_large(folder: Path, states: int) -> None:
    """Write states of ResNet-50 as CV_LTH does, optimizer and all."""
    from foreign import VitaOptions, write_cv_lth

    write_cv_lth(folder / "resnet50", "resnet50", levels=states, options=VitaOptions(best=False))


def by_hand(folder: Path) -> int:
    """Count and sum what lies in an OpenLTH tree; return the number of levels."""
    levels = 0
    for path in sorted(folder.glob("**/mask.pth")):
        mask = torch.load(path, weights_only=True)
        model = torch.load(max(path.parent.glob("model_ep*.pth")), weights_only=True)
        for name, kept in mask.items():
            int(kept.sum()), float((model[name].double().abs() * kept).sum())
        levels += 1
    return levels


def imported(folder: Path, store: Path) -> None:
    """Import a tree and print what it took; in a process of its own, for its peak memory."""
    torch.set_num_threads(1)
    before = peak()
    began, worked = time.perf_counter(), time.process_time()
    report = Store(store).import_runs(folder)
    seconds, work = time.perf_counter() - began, time.process_time() - worked
    levels = report.new_levels
    print(f"imported {len(report.runs)} run(s), {levels} levels in {seconds:.1f} s: "
          f"{levels / seconds:.1f} levels/s, {levels / work:.1f} a second of CPU")  # fmt: skip
    print(f"peak memory {peak():.0f} MB, {before:.0f} MB of it before the import (Python, duckdb)")
    began = time.perf_counter()
    again = Store(store).import_runs(folder)
    assert again.new_levels == 0
    print(f"again, nothing new: {time.perf_counter() - began:.1f} s")


def main() -> None:
    """Write a tree, read it by hand, import it, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=25)
    parser.add_argument("--levels", type=int, default=20)
    parser.add_argument("--memory", action="store_true", help="ResNet-50 instead")
    parser.add_argument("--folder", default=None, help="where files are made")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {machine()}")
    with tempfile.TemporaryDirectory(prefix="rgtool-import-", dir=options.folder) as name:
        folder, store = Path(name) / "in", Path(name) / "store"
        if options.memory:
            apart(write_large, folder, 6)
        else:
            apart(write_many, folder, options.replicates, options.levels)
        sizes = [path.stat().st_size for path in folder.glob("**/*") if path.is_file()]
        print(
            f"{sum(sizes) / 1e6:.0f} MB, {len(sizes)} files, the largest {max(sizes) / 1e6:.0f} MB"
        )
        for path in folder.glob("**/*"):
            if path.is_file():
                path.read_bytes()
        apart(imported, folder, store)
        if not options.memory:
            began = time.perf_counter()
            levels = by_hand(folder)
            rate = levels / (time.perf_counter() - began)
            print(f"by hand, reading alone: {rate:.1f} levels/s")


if __name__ == "__main__":
    main()
