"""A level beside what it keeps: dense steps, sparse steps and OpenLTH, in turns by the clock.

    python -m benchmarks.speed.by_density --openlth CLONE --data DIR --store STORE
    python -m benchmarks.speed.by_density --data DIR --store STORE --models vgg16 --rounds 1

The masks are trained ones: those of two seeds that `rgtool run` has found with the options below.
STORE keeps them, and what is there is not trained again. In a round all ways take turns, and every
figure is the median of the rounds, which stand beside it. OpenLTH multiplies by its masks: its
speed is the same at every level (measured once a round).

Three figures sum it up, the first two over the steps of all levels: one seed on one thread against
OpenLTH on one (aim 3.3 x); two seeds, a process each, against OpenLTH's own two threads (aim
3.5 x); the last level against the first (aim 4.8 x). A level counts with the faster kernels.

CLONE and DIR are as in `against_openlth.py`; without CLONE rgtool's own kinds are compared.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.machine import machine
from benchmarks.speed.against_openlth import CASES, homes, openlth, patched_copy
from rgtool.runner.experiment import execute
from rgtool.runner.machine import prepare
from rgtool.runner.plan import Plan, plan
from rgtool.runner.pruning import Mask, density
from rgtool.runner.speed.probe import parts_of, speed
from rgtool.schemas.records.layout import RunFolder
from rgtool.schemas.tensors.safetensors import read_mask

SEEDS = (0, 1)
TRAINED = {  # to find masks: a short training of the whole recipe
    "resnet20": {"train_size": 4000, "epochs": 3, "rewind": "30it"},
    "resnet56": {"train_size": 1000, "epochs": 2, "rewind": "4it"},
    "resnet18": {"train_size": 500, "epochs": 2, "rewind": "2it"},
    "vgg16": {"train_size": 500, "epochs": 2, "rewind": "2it"},
    "lenet": {"train_size": 10000, "epochs": 4, "rewind": "0it"},
}


class Way(NamedTuple):
    """How a level is trained: sparse or dense."""

    level: int
    sparse: bool


Speeds = dict[Way, list[float]]  # images a second, an entry a round
FLOOR = Way(-1, sparse=True)  # a weight a layer: what is left are the passes over memory


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--openlth", type=Path, help="clone of OpenLTH")
    parser.add_argument("--data", type=Path, required=True, help="folder of cifar-10-batches-py")
    parser.add_argument("--store", type=Path, required=True, help="of the runs with the masks")
    parser.add_argument(
        "--mnist", type=Path, default=Path("/usr/share/datasets/fashion-mnist"), help="IDX files"
    )
    parser.add_argument("--models", default="resnet20")
    parser.add_argument("--levels", type=int, default=16)
    parser.add_argument("--every", type=int, default=1, help="levels from one figure to the next")
    parser.add_argument("--seconds", type=float, default=2.0, help="for a figure of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", action="store_true", help="leave the two processes out")
    options = parser.parse_args()
    print(f"{machine()}, torch {torch.__version__}, {load()}")
    with tempfile.TemporaryDirectory() as folder:
        tree, home = None, homes(Path(folder), options)
        if options.openlth is not None:
            tree = patched_copy(options.openlth, Path(folder) / "open_lth")
        for model in options.models.split(","):
            theirs = None
            if tree is not None and model in CASES:
                theirs = their_speed(model, tree, home, options.seconds)
            compare(model, theirs, options)


def load() -> str:
    """Say how busy the machine is."""
    return f"load {os.getloadavg()[0]:.1f}"


def their_speed(model: str, tree: Path, home: Path, seconds: float) -> Callable[[int], float]:
    """Return what measures OpenLTH with a number of threads, for about `seconds`."""
    steps = max(1, round(seconds * (9000 if model == "lenet" else 300) / 128))
    return lambda threads: openlth(model, threads, steps, tree, home, 1)["speeds"][0]


def compare(model: str, theirs: Callable[[int], float] | None, options: argparse.Namespace) -> None:
    """Print what one network gives."""
    made = planned(model, options)
    execute(made)
    levels = sorted({*range(0, options.levels + 1, options.every), options.levels})
    print(f"\n{model}, {made.task}, batch {made.recipe.batch_size}, {load()}", flush=True)
    for count in (1,) if options.one else (1, 2):
        ours: Speeds = {}
        beside: list[float] = []
        for _ in range(options.rounds):
            if theirs is not None:
                beside.append(theirs(count))
            for way, found in together(made, SEEDS[:count], levels, options.seconds).items():
                ours.setdefault(way, []).append(found)
        kind = "1 seed on 1 thread" if count == 1 else "2 seeds, a process each"
        print(f"{kind}, OpenLTH on {count}; median of {options.rounds} rounds (all), {load()}")
        report(made, levels, ours, beside)


def planned(model: str, options: argparse.Namespace) -> Plan:
    """Return the plan whose masks are trained."""
    task, data = ("cifar10", options.data)
    if model == "lenet":
        task, data = "fashion-mnist", options.mnist
    return plan(
        model, task, "frankle2020", seeds=SEEDS[: 1 if options.one else 2],
        levels=options.levels, store=options.store, data=data, device="cpu", kernels="auto",
        **TRAINED[model],
    )  # fmt: skip


def together(
    made: Plan, seeds: Sequence[int], levels: Sequence[int], seconds: float
) -> dict[Way, float]:
    """Measure one pass over the levels, a process a seed; their images a second add up."""
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    barrier = context.Barrier(len(seeds))
    at_work = [
        context.Process(target=one, args=(made, seed, levels, seconds, barrier, results))
        for seed in seeds
    ]
    for process in at_work:
        process.start()
    found: list[dict[Way, float]] = [results.get() for _ in at_work]
    for process in at_work:
        process.join()
    return {way: sum(each[way] for each in found) for way in found[0]}


def one(
    made: Plan, seed: int, levels: Sequence[int], seconds: float, barrier: Any, results: Any
) -> None:
    """Measure every level of a seed, in step with the other processes."""
    prepare(torch.device("cpu"), made.recipe.precision)
    # A whole epoch of the task, not of the part that the masks were trained on.
    whole = dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, train_size=None))
    part = parts_of(whole, seed)
    folder = RunFolder.of(made.store, made.run_id(seed))
    found = {}
    for level in levels:
        mask: Mask = read_mask(folder.mask(level)) if level else dense_mask(folder)
        for sparse in (False, True):
            if level == 0 or sparse or level == levels[-1]:
                found[Way(level, sparse)] = speed(
                    whole, [part], seconds, barrier.wait, mask=mask, sparse=sparse
                )[0]
    last = read_mask(folder.mask(levels[-1]))
    found[FLOOR] = speed(whole, [part], seconds, barrier.wait, mask=weight_each(last), sparse=True)[
        0
    ]
    results.put(found)


def dense_mask(folder: RunFolder) -> Mask:
    """Return the mask of level 0."""
    return {name: mask | True for name, mask in read_mask(folder.mask(1)).items()}


def weight_each(mask: Mask) -> Mask:
    """Return a mask that keeps one weight a layer, where a mask has one."""
    return {name: (np.cumsum(kept) == 1).reshape(kept.shape) & kept for name, kept in mask.items()}


def report(made: Plan, levels: Sequence[int], ours: Speeds, beside: list[float]) -> None:
    """Print a line a level, and the sums."""
    base = median(beside) if beside else None
    if base is not None:
        print(f"OpenLTH {base:7.0f} images/s ({spread(beside)})")
    ends = [ours[Way(level, False)] for level in (levels[0], levels[-1])]
    dense = median([*ends[0], *ends[1]])
    print(f"dense   {dense:7.0f} images/s ({spread(ends[0])}; last level {spread(ends[1])})")
    print("kept  level  sparse  over dense  over OpenLTH  rounds")
    folder = RunFolder.of(made.store, made.run_id(SEEDS[0]))
    for level in levels:
        kept = density(read_mask(folder.mask(level))) if level else 1.0
        every = ours[Way(level, True)]
        ratio = "" if base is None else f"{median(every) / base:.2f} x"
        print(
            f"{kept:.3f} {level:5d} {median(every):8.0f} {median(every) / dense:9.2f} x "
            f"{ratio:>12}  {spread(every)}"
        )
    floor = ours[FLOOR]
    share = median(ours[Way(levels[-1], True)]) / median(floor)
    print(
        f"floor   {median(floor):7.0f} images/s with a weight a layer, {share:.2f} of the time of "
        f"the last level ({spread(floor)})"
    )
    rounds = range(len(ends[0]))
    firsts = [max(ends[0][i], ours[Way(levels[0], True)][i]) for i in rounds]
    sums = [seconds_of(levels, ours, i) for i in rounds]
    print(f"sum of the levels over dense: {times([len(levels) / dense / s for s in sums])}")
    if beside:
        over = [len(levels) / beside[i] / sums[i] for i in rounds]
        print(f"sum of the levels over OpenLTH: {times(over)}")
    lasts = [ours[Way(levels[-1], True)][i] / firsts[i] for i in rounds]
    print(f"last level over the first: {times(lasts)}")
    wins = [level for level in levels if median(ours[Way(level, True)]) > dense]
    print(f"sparse wins from level {wins[0]} on" if wins else "sparse never wins", flush=True)


def seconds_of(levels: Sequence[int], ours: Speeds, index: int) -> float:
    """Return the time that an image takes at every level with its faster kernels, added up."""
    dense = median([ours[Way(level, False)][index] for level in (levels[0], levels[-1])])
    return sum(1 / max(dense, ours[Way(level, True)][index]) for level in levels)


def spread(figures: Sequence[float]) -> str:
    """Return every round in print."""
    return " ".join(f"{figure:.0f}" for figure in figures)


def times(ratios: Sequence[float]) -> str:
    """Return the median of ratios, and all."""
    return f"{median(ratios):.2f} x ({' '.join(f'{ratio:.2f}' for ratio in ratios)})"


if __name__ == "__main__":
    main()
