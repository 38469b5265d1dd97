"""Spectra of real data with their controls: what is there before training, and what is not.

    python -m benchmarks.experiments.real_spectra --data DIR --store STORE
    python -m benchmarks.experiments.real_spectra --store STORE --only digits
    python -m benchmarks.experiments.real_spectra --data DIR --store STORE --kinds magnitude

Two networks on the 8x8 digits, on Fashion-MNIST and on CIFAR-10 (class-balanced subsets
of the last two); five seeds each. Three experiments of every pair prune 20 % of the weights twelve
times: by magnitude, at random, and by magnitude with the masks re-initialised and trained again
(which moves accuracies; the masks, so the spectrum, are those of its parent by construction). A
fourth prunes 36 % six times, for the semigroup test. Spectra are split into their canonical and
their anomalous part, and the flow is measured in shares and in effective scales. At the end the
anomalous parts of one network on several data sets are compared. What is in the store already is
not computed again. Digits take minutes on two cores, the whole about an hour, `--kinds magnitude`
a third of that.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rgtool
from benchmarks.machine import machine
from rgtool import RgtoolError, Store
from rgtool.schemas.display import plain

SEEDS, LEVELS = 5, 12
NETWORKS: dict[tuple[str, str], dict[str, Any]] = {
    ("lenet", "digits"): {"epochs": 10},
    ("resnet8", "digits"): {"width": 8, "epochs": 10, "rewind": "1ep"},
    ("lenet", "fashion-mnist"): {"train_size": 10_000, "epochs": 10},
    ("resnet8", "fashion-mnist"): {
        "width": 8, "train_size": 2000, "batch_size": 64, "epochs": 6, "rewind": "1ep",
    },
    ("lenet", "cifar10"): {"train_size": 5000, "epochs": 10},
    ("resnet8", "cifar10"): {
        "width": 8, "train_size": 1000, "batch_size": 32, "epochs": 6, "rewind": "1ep",
    },
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "magnitude": {"levels": LEVELS},
    "random": {"levels": LEVELS, "pruner": "random"},
    "reinit": {"levels": LEVELS, "control": "reinit"},
    "36 %": {"levels": LEVELS // 2, "prune": 0.36},
}


def main() -> None:
    """Run what is missing, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of the data sets")
    parser.add_argument("--store", default="rgstore-real")
    parser.add_argument("--only", help="one data set")
    parser.add_argument("--kinds", default=",".join(KINDS), help="experiments of every pair")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {machine()}")
    store = Store(Path(options.store))
    of_network: dict[str, list[str]] = {}
    for (model, task), recipe in NETWORKS.items():
        if options.only in (None, task):
            began = time.perf_counter()
            found = experiments(model, task, recipe, options)
            print(f"\n{model}/{task} {recipe}: {time.perf_counter() - began:.0f} s of training")
            report(store, found, "layer" if model == "lenet" else "stage")
            of_network.setdefault(model, []).append(found["magnitude"])
    for model, names in of_network.items():
        if len(names) > 1:
            print(f"\n{model}: anomalous exponents of {len(names)} data sets")
            by = "layer" if model == "lenet" else "stage"
            print(rgtool.classify(store, names, by="anomalous", grouping=by).pair_table.summary())


def experiments(
    model: str, task: str, recipe: dict[str, Any], options: argparse.Namespace
) -> dict[str, str]:
    """Train what is missing; the id of every kind of experiment."""
    found = {}
    for kind in options.kinds.split(","):
        outcome = rgtool.run(
            model,
            task,
            seeds=SEEDS,
            store=options.store,
            data=options.data,
            workers=None,
            keep=("init", "rewind", "dense"),
            **recipe,
            **KINDS[kind],
        )
        if outcome.seeds("failed"):
            raise SystemExit(f"{model}/{task} {kind}: seeds {outcome.seeds('failed')} failed")
        found[kind] = outcome.experiment_id
    return found


def report(store: Store, found: dict[str, str], by: str) -> None:
    """Print accuracies, spectra beside their nulls, and the semigroup test of one pair."""
    rows = accuracies(store, found)
    print(plain(rows, [False] + [True] * (len(rows[0]) - 1)), end="")
    for kind in found.keys() & {"magnitude", "random"}:
        print(f"\n{kind}: exponents")
        print(rgtool.eigen(store, found[kind], by=by).summary())
        print(rgtool.nulls_of(store, found[kind], by=by).summary())
        scales = [
            rgtool.eigen(store, found[kind], by=by, window=window, coordinates="scale")
            for window in ((1, LEVELS), (2, LEVELS))
        ]
        print(scales[0].summary())
        print(*(f"levels {one.window[0]}:{LEVELS}: {one.travel}" for one in scales), sep="\n")
    if "reinit" in found:
        same = spectra_equal(store, found["magnitude"], found["reinit"], by)
        print(f"\nreinit: spectrum {'equal to' if same else 'OTHER THAN'} that of its parent")
    if "36 %" not in found:
        return
    try:
        both = [found["magnitude"], found["36 %"]]
        asked = rgtool.scheme(store, both, by=by, published=False)
        print(asked.summary(), asked.group_table.summary(), sep="\n")
    except RgtoolError as error:
        print(f"scheme: {error}")


def accuracies(store: Store, found: dict[str, str]) -> list[list[str]]:
    """Test accuracies, mean and standard deviation over seeds, at some densities."""
    densities = (1.0, 0.41, 0.168, 0.069)
    rows = [["accuracy at density", *(f"{density:g}" for density in densities)]]
    for kind, experiment in found.items():
        counts = store.counts(experiment, "layer")
        network = counts.kept.sum(axis=-1)[0] / counts.total.sum()
        levels = [int(np.abs(np.log(network / density)).argmin()) for density in densities]
        at = [counts.accuracy[:, level] for level in levels]
        rows.append([kind, *(f"{one.mean():.3f} +- {one.std(ddof=1):.3f}" for one in at)])
    return rows


def spectra_equal(store: Store, one: str, other: str, by: str) -> bool:
    """Tell whether two experiments keep the same counts."""
    a, b = (store.counts(name, by).kept for name in (one, other))
    return bool(np.array_equal(a, b))


if __name__ == "__main__":
    main()
