"""How fast checkpoints become records, and how much memory that takes.

    python -m benchmarks.speed.importing                     500 levels of ResNet-20 in every layout
    python -m benchmarks.speed.importing --format openlth    in one, and read by hand
    python -m benchmarks.speed.importing --large             a few levels of ResNet-50

Weights are random: `tests/importers/foreign/` writes the files as the programs did. The rival does
what one does by hand with a tree of OpenLTH: `torch.load` of mask and model, counts and sums of
magnitudes by layer; it checks and writes nothing. Files are read once beforehand, so both find them
in the page cache.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.machine import apart, machine, peak
from rgtool.store import Store

TESTS = Path(__file__).parents[2] / "tests"
sys.path[:0] = [str(TESTS / one) for one in ("helpers", "importers/foreign", "importers/hostile")]


def write_openlth(folder: Path, run: int, levels: int, large: bool) -> None:
    """Write a replicate as OpenLTH does: masks of int32, models before and after training."""
    from foreign import OpenLTHOptions, write_openlth

    if large:
        raise SystemExit("OpenLTH's networks are those of CIFAR: leave out --large")
    options = OpenLTHOptions(rewind=None)
    write_openlth(
        folder, "cifar_resnet_20", levels=levels - 1, replicate=run + 1, seed=run, options=options
    )


def write_vita(folder: Path, run: int, levels: int, large: bool) -> None:
    """Write states as PrAC does, or CV_LTH the large ones: masks and optimizer in one file."""
    from foreign import VitaOptions, write_cv_lth, write_prac

    path, options = folder / f"mine_seed{run}", VitaOptions(best=False)
    if large:
        write_cv_lth(path, "resnet50", levels=levels - 1, seed=run, options=options)
    else:
        write_prac(path, "res20s", levels=levels - 1, seed=run, options=options)


def write_torch_prune(folder: Path, run: int, levels: int, large: bool) -> None:
    """Write a state dict a level with masks of float32 beside the weights."""
    from foreign import write_generic

    model = "resnet50" if large else "res20s"
    write_generic(folder / f"mine_seed{run}", model, levels=levels - 1, seed=run)


def write_safetensors(folder: Path, run: int, levels: int, large: bool) -> None:
    """Write the masks of a level as uint8."""
    from foreign import write_safetensors

    model = "resnet50" if large else "res20s"
    write_safetensors(folder / f"mine_seed{run}", model, levels=levels - 1, seed=run)


def write_table(folder: Path, run: int, levels: int, large: bool) -> None:
    """Write a table of a run, with as many groups as the network has layers."""
    from foreign import write_table

    groups = {f"layer{i}": 10_000 + i for i in range(54 if large else 22)}
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / f"{run}.csv", experiments=("mine",), seeds=(run,), levels=levels - 1,
                groups=groups)  # fmt: skip


WRITERS: dict[str, Callable[[Path, int, int, bool], None]] = {
    "openlth": write_openlth,
    "vita": write_vita,
    "torch_prune": write_torch_prune,
    "safetensors": write_safetensors,
    "table": write_table,
}


def write_all(folder: Path, format: str, runs: int, levels: int, large: bool) -> None:
    """Write runs of some levels each."""
    torch.set_num_threads(1)
    for run in range(runs):
        WRITERS[format](folder, run, levels, large)


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


def imported(folder: Path, store: Path, title: str) -> None:
    """Import a tree and print what it took; in a process of its own, for its peak memory."""
    torch.set_num_threads(1)
    before = peak()
    began, worked = time.perf_counter(), time.process_time()
    report = Store(store).import_runs(folder)
    seconds, work = time.perf_counter() - began, time.process_time() - worked
    levels = report.new_levels
    most = peak()
    began = time.perf_counter()
    again = Store(store).import_runs(folder)
    assert again.new_levels == 0 and not report.skipped
    print(f"{title}: {len(report.runs)} runs, {levels} levels: {levels / seconds:.1f} levels/s, "
          f"{levels / work:.1f} a second of CPU; peak {most:.0f} MB, {before:.0f} MB of it before; "
          f"again, nothing new: {time.perf_counter() - began:.1f} s", flush=True)  # fmt: skip


def measure(format: str, options: argparse.Namespace) -> None:
    """Write a tree, import it, print."""
    with tempfile.TemporaryDirectory(prefix="rgtool-import-", dir=options.folder) as name:
        folder, store = Path(name) / "in", Path(name) / "store"
        apart(write_all, folder, format, options.runs, options.levels, options.large)
        files = [path for path in folder.glob("**/*") if path.is_file()]
        sizes = [len(path.read_bytes()) for path in files]
        title = f"{format} ({sum(sizes) / 1e6:.0f} MB, largest file {max(sizes) / 1e6:.1f} MB)"
        apart(imported, folder, store, title)
        if options.format == format == "openlth":
            began = time.perf_counter()
            rate = by_hand(folder) / (time.perf_counter() - began)
            print(f"by hand, reading alone: {rate:.1f} levels/s")


def main() -> None:
    """Measure one layout, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--format", choices=WRITERS, default=None)
    parser.add_argument("--runs", type=int, default=None, help="default 25; 1 of the large ones")
    parser.add_argument("--levels", type=int, default=None, help="default 20; 6 of the large ones")
    parser.add_argument("--large", action="store_true", help="ResNet-50")
    parser.add_argument("--folder", default=None, help="where files are made")
    options = parser.parse_args()
    options.runs = options.runs or (1 if options.large else 25)
    options.levels = options.levels or (6 if options.large else 20)
    print(f"torch {torch.__version__}, {machine()}")
    usual = [name for name in WRITERS if not (options.large and name == "openlth")]
    for format in [options.format] if options.format else usual:
        measure(format, options)


if __name__ == "__main__":
    main()
