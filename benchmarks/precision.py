"""Mixed precision against float32: accuracy and masks, level by level.

    python benchmarks/precision.py --data DIR --train-size 2000 --epochs 4 --levels 5

Trains the same seeds in both, and says for every level how well either does and what share of the
weights that float32 keeps the other keeps too. Two yardsticks stand beside it: the share that a
random mask of that density would have in common, and that of float32 runs of two seeds, which have
other initial weights. The aim is that differences between precisions are small beside those between
seeds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from rgtool.runner.experiment import execute
from rgtool.runner.plan import plan
from rgtool.schemas.layout import RunFolder
from rgtool.schemas.tensors import read_mask


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--task", default="cifar10")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--train-size", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--levels", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--precision", default="bf16")
    options = parser.parse_args()
    print(f"{platform.machine()}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            precision: train(Path(folder), precision, options)
            for precision in ("float32", options.precision)
        }
        report(runs, options)


def train(store: Path, precision: str, options: argparse.Namespace) -> list[RunFolder]:
    """Train every seed in one precision and return their folders."""
    made = plan(
        options.model,
        options.task,
        "quick",
        width=options.width,
        seeds=options.seeds,
        levels=options.levels,
        store=store,
        data_folder=options.data,
        workers=1,
        epochs=options.epochs,
        train_size=options.train_size,
        precision=precision,
    )
    for note in made.notes:
        print(note)
    began, busy = time.perf_counter(), time.process_time()
    outcome = execute(made)
    assert outcome.seeds("done") == list(made.seeds), outcome.ends
    print(
        f"{precision}: {time.perf_counter() - began:.0f} s, "
        f"{time.process_time() - busy:.0f} s of processor time"
    )
    return [RunFolder.of(store, made.recipe.run_id(seed)) for seed in made.seeds]


def report(runs: dict[str, list[RunFolder]], options: argparse.Namespace) -> None:
    """Print a line for every level."""
    reference, other = runs["float32"], runs[options.precision]
    print(f"level  density  accuracy  ({options.precision})  overlap  by chance  between seeds")
    for level in range(options.levels + 1):
        accuracy = [
            np.mean([run.read_record(level)["accuracy"][0].as_py() for run in of])
            for of in (reference, other)
        ]
        masks, others = ([flat(run, level) for run in of] for of in (reference, other))
        overlap = np.mean([common(a, b) for a, b in zip(masks, others, strict=True)])
        seeds = [common(a, b) for a, b in itertools.combinations(masks, 2)]
        density = masks[0].mean()
        chance = np.mean(
            [per_layer_chance(a, b, level) for a, b in zip(reference, other, strict=True)]
        )
        between = f"{np.mean(seeds):.4f}" if seeds else ""
        print(
            f"{level:5d}  {density:7.4f}  {accuracy[0]:8.4f}  {accuracy[1]:6.4f}  {overlap:7.4f}  "
            f"{chance:9.4f}  {between:>13}"
        )


def flat(run: RunFolder, level: int) -> np.ndarray:
    """Return a mask as one vector."""
    return np.concatenate([array.ravel() for array in read_mask(run.mask(level)).values()])


def common(one: np.ndarray, other: np.ndarray) -> float:
    """Return the share of one mask's weights that the other keeps too."""
    return float((one & other).sum() / one.sum())


def per_layer_chance(one: RunFolder, other: RunFolder, level: int) -> float:
    """Return the share that would be common if masks of these layers' densities were random."""
    a, b = read_mask(one.mask(level)), read_mask(other.mask(level))
    expected = sum(a[name].sum() * b[name].mean() for name in a)
    return float(expected / sum(mask.sum() for mask in a.values()))


if __name__ == "__main__":
    main()
