"""Mixed precision, or sparse kernels, against dense float32: accuracy and masks, level by level.

    python -m benchmarks.experiments.precision --data DIR --train-size 10000 --epochs 6 --levels 4
    python -m benchmarks.experiments.precision --data DIR --precision float32 --kernels sparse

Trains the same seeds in both, and says for every level how well either does and what share of the
weights that float32 keeps the other keeps too. Three yardsticks stand beside it: float32 again with
another number of threads, which sums in another order, so that rounding alone tells the two apart;
float32 runs of two seeds, which have other initial weights; and the share that random masks of
these densities would have in common. A precision, or kernels, are harmless where they move no more
than rounding does, or little beside seeds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import machine
from rgtool.runner.experiment import execute
from rgtool.runner.plan import plan
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask

Runs = list[RunFolder]


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--task", default="cifar10")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--train-size", type=int, default=10000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--levels", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--kernels", default="dense", help="of what is compared: dense or sparse")
    options = parser.parse_args()
    print(f"{machine()}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report(
            train(Path(folder) / "float32", "float32", "dense", 1, options),
            train(Path(folder) / "rounding", "float32", "dense", 2, options),
            train(Path(folder) / "other", options.precision, options.kernels, 1, options),
            options,
        )


def train(
    store: Path, precision: str, kernels: str, threads: int, options: argparse.Namespace
) -> Runs:
    """Train every seed in one way and return the folders of the runs."""
    made = plan(
        options.model,
        options.task,
        "quick",
        width=options.width,
        seeds=options.seeds,
        levels=options.levels,
        store=store,
        data=options.data,
        threads=threads,
        epochs=options.epochs,
        train_size=options.train_size,
        precision=precision,
        kernels=kernels,
    )
    for note in made.notes:
        print(note)
    began = time.perf_counter()
    outcome = execute(made)
    assert outcome.seeds("done") == list(made.seeds), outcome.ends
    taken = time.perf_counter() - began
    load = os.getloadavg()[0]
    print(
        f"{precision}, {kernels}, {threads} thread(s): {taken:.0f} s, load {load:.1f}", flush=True
    )
    return [RunFolder.of(store, made.recipe.run_id(seed)) for seed in made.seeds]


def report(reference: Runs, rounding: Runs, other: Runs, options: argparse.Namespace) -> None:
    """Print a line for every level."""
    other_name = f"{options.precision}, {options.kernels}"
    print(
        f"accuracy of every seed: float32; float32, other threads; {other_name}\n"
        f"kept weights in common with float32: {other_name}; other threads; other seeds; "
        "random masks"
    )
    for level in range(options.levels + 1):
        scores = ["  ".join(accuracies(runs, level)) for runs in (reference, rounding, other)]
        masks, rounded, others = (
            [flat(run, level) for run in runs] for runs in (reference, rounding, other)
        )
        shares = [
            np.mean([common(a, b) for a, b in zip(masks, others, strict=True)]),
            np.mean([common(a, b) for a, b in zip(masks, rounded, strict=True)]),
            np.mean([common(a, b) for a, b in itertools.combinations(masks, 2)]),
            np.mean([by_chance(a, b, level) for a, b in zip(reference, other, strict=True)]),
        ]
        print(
            f"level {level}, {masks[0].mean():.4f} kept | {' | '.join(scores)} | "
            f"{'  '.join(f'{share:.4f}' for share in shares)}"
        )


def accuracies(runs: Runs, level: int) -> list[str]:
    """Return the test accuracy of every seed, in print."""
    return [f"{run.read_record(level)['accuracy'][0].as_py():.4f}" for run in runs]


def flat(run: RunFolder, level: int) -> np.ndarray:
    """Return a mask as one vector."""
    return np.concatenate([array.ravel() for array in read_mask(run.mask(level)).values()])


def common(one: np.ndarray, other: np.ndarray) -> float:
    """Return the share of one mask's weights that the other keeps too."""
    return float((one & other).sum() / one.sum())


def by_chance(one: RunFolder, other: RunFolder, level: int) -> float:
    """Return the share that would be common if masks of these layers' densities were random."""
    a, b = read_mask(one.mask(level)), read_mask(other.mask(level))
    expected = sum(a[name].sum() * b[name].mean() for name in a)
    return float(expected / sum(mask.sum() for mask in a.values()))


if __name__ == "__main__":
    main()
