"""Pruning schemes: beside published flows, at initialisation, and with training.

    python -m benchmarks.experiments.schemes --store /tmp/schemes
    python -m benchmarks.experiments.schemes --store /tmp/schemes --parts published --data DIR
    python -m benchmarks.experiments.schemes --store /tmp/schemes --parts trained
    python -m benchmarks.experiments.schemes --store /tmp/schemes --parts trained --task cifar10 \
        --data DIR --train-size 2500 --networks resnet8 --seeds 3 --levels 8 --ways "20 %"

published  VGG-16 for 100 classes as Tanaka et al. 2020 have it (last positions averaged, He normal
           of fan_in, BN 1 and 0), untrained, pruned to 10 %: the share that every layer keeps
           beside that of their three runs. SynFlow in 100 steps, magnitude and random need no
           images. SNIP and GraSP look at 1000 of CIFAR-10 (--data) with 100 labels drawn at random:
           theirs were of CIFAR-100, which an untrained network cannot tell apart by its labels.
           Their GraSP data precede a correction of the sign of its score, so that GraSP stands
           there both ways. Aimed at: SynFlow within .004 in every layer.
start      Flows without training of the eight schemes that need none, five seeds of three networks
           on the digits: exponents between densities 1 and .069; by how much they differ when 36 %
           go at a time instead of 20 % (the same if the flow is a semigroup in density), and when
           every density is reached from the dense network in one go; seconds of scoring a level.
           Measured before by another program with three seeds: largest difference between .36 and
           .2 magnitude 0, fisher .02, synflow .01, snip .15, grasp .08; of one go up to .57
           (synflow), .42 (grasp), .27 (snip).
trained    All ten with training in between: exponents, what training adds to those of the same
           networks before training (anomalous; movement and increase have none), semigroup,
           accuracies by density.

What is in the store already is not computed again. The first part takes two minutes of a core, the
second ten, the third half an hour.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rgtool
from benchmarks.machine import machine
from rgtool import RgtoolError, Store
from rgtool.runner.data import find_task, load
from rgtool.schemas.display import plain
from rgtool.store.counts import Counts
from rgtool.store.literature import published_flow

UNTRAINED = ("magnitude", "random", "erk", "synflow", "snip", "grasp", "fisher", "obd")
OF_TRAINING = ("increase", "movement")
NETWORKS: dict[str, dict[str, Any]] = {
    "lenet": {"epochs": 10},
    "resnet8": {"width": 8, "epochs": 10, "rewind": "1ep"},
    "resnet14": {"width": 4, "epochs": 10, "rewind": "1ep"},
}
BEFORE_TRAINING = {"epochs": 0, "rewind": "0it"}
NO_TRAINING = {**BEFORE_TRAINING, "score_images": 500}
WAYS: dict[str, dict[str, Any]] = {
    "20 %": {},
    "36 %": {"prune": 0.36},
    "one go": {"score_from": "dense"},
}
VGG: dict[str, Any] = {
    "epochs": 0,
    "rewind": "0it",
    "pooling": "average",
    "init": "kaiming_normal",
    "fan": "fan_in",
    "bn_init": "ones",
    "exempt": (),
    "prune": 0.9,
    "levels": 1,
}
SHOWN = 4  # every so many levels accuracies are printed
Floats = NDArray[np.float64]


def main() -> None:
    """Run what is missing, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", default="rgstore-schemes")
    parser.add_argument("--data", help="folder of the data sets; SNIP and GraSP on VGG-16 need it")
    parser.add_argument("--images", type=int, default=1000, help="that these look at")
    parser.add_argument("--parts", default="published,start,trained")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="of start and trained")
    parser.add_argument("--task", default="digits", help="of start and trained")
    parser.add_argument("--train-size", type=int, help="its training images; default all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--levels", type=int, default=12)
    parser.add_argument("--ways", default=",".join(WAYS), help="20 % is always among them")
    parser.add_argument("--workers", type=int, help="processes; default one a core")
    options = parser.parse_args()
    parts = {"published": published, "start": start, "trained": trained}
    print(machine())
    for part in options.parts.split(","):
        print(f"\n== {part}")
        began = time.perf_counter()
        parts[part](options)
        print(f"({time.perf_counter() - began:.0f} s)")


# Beside published flows.


def published(options: argparse.Namespace) -> None:
    """Print the share that every layer of VGG-16 keeps at 10 %, beside the published one."""
    store = Path(options.store)
    images = hundred_classes(store, options.data)
    ways: dict[str, dict[str, Any]] = {
        "magnitude": {"pruner": "magnitude"},
        "random": {"pruner": "random"},
        "synflow": {"pruner": "synflow", "score_steps": 100},
    }
    if options.data:
        few = {"score_images": options.images, "batch_size": 250}
        ways["snip"] = {"pruner": "snip", **few}
        ways["grasp"] = {"pruner": "grasp", **few}
        ways["grasp, sign turned"] = {"pruner": grasp_turned, **few}
    rows = []
    for name, way in ways.items():
        outcome = rgtool.run("vgg16", images, store=store, **VGG, **way)
        counts = Store(store).counts(outcome.experiment_id, "layer")
        ours = counts.kept[0, 1] / counts.total
        flow = published_flow(f"tanaka2020-vgg16-cifar100-{name.partition(',')[0]}")
        theirs = flow.kept / flow.kept[:, :1]
        at = int(np.abs(np.log(flow.kept.sum(-1)[0] / flow.kept[0, 0].sum() / 0.1)).argmin())
        rows.append(side_by_side(name, counts.names, ours, theirs[:, at]))
    for of_scheme in rows:
        table(*of_scheme)


def side_by_side(
    name: str, layers: tuple[str, ...], ours: Floats, theirs: Floats
) -> tuple[list[str], list[list[str]]]:
    """Return a table of one scheme: shares kept here and there, and their difference."""
    middle, sd = theirs.mean(0), theirs.std(0, ddof=1)
    off = ours - middle
    head = [f"{name}: at most {np.abs(off).max():.4f} off", *layers]
    return head, [
        ["  here", *(f"{one:.4f}" for one in ours)],
        ["  there, mean of 3", *(f"{one:.4f}" for one in middle)],
        ["  there, sd", *(f"{one:.4f}" for one in sd)],
        ["  difference", *(f"{one:+.4f}" for one in off)],
    ]


def hundred_classes(store: Path, data: str | None) -> str:
    """Write images with labels of 100 classes drawn at random, and return the data set's name."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(2000, 32, 32, 3), dtype=np.uint8)
    if data:
        images = load(find_task("cifar10"), Path(data), train_size=2000).x_train
    labels = rng.permutation(np.arange(2000) % 100)
    store.mkdir(parents=True, exist_ok=True)
    path = store / ("cifar10-in-100.npz" if data else "noise-in-100.npz")
    np.savez(path, x_train=images, y_train=labels, x_test=images[:200], y_test=labels[:200])
    return f"npz:{path}"


def grasp_turned(scoring: Any) -> Any:
    """Score as GraSP does with the other sign."""
    from rgtool.runner.pruners import grasp

    return {name: -one for name, one in grasp.scores(scoring).items()}


# Own flows.


def start(options: argparse.Namespace) -> None:
    """Print exponents of networks that nothing is trained of."""
    for model in options.networks.split(","):
        recipe = {**NETWORKS[model], **NO_TRAINING}
        print(f"\n{model}/{options.task} {recipe}")
        show(options, model, recipe, UNTRAINED)


def trained(options: argparse.Namespace) -> None:
    """Print exponents and accuracies of networks that are trained between prunings."""
    for model in options.networks.split(","):
        print(f"\n{model}/{options.task} {NETWORKS[model]}")
        show(options, model, NETWORKS[model], (*UNTRAINED, *OF_TRAINING))


def show(
    options: argparse.Namespace, model: str, recipe: dict[str, Any], schemes: tuple[str, ...]
) -> None:
    """Run every scheme in every way that it can, and print a row for each."""
    store = Store(Path(options.store))
    by = "layer" if model == "lenet" else "stage"
    ways = [way for way in WAYS if way == "20 %" or way in options.ways.split(",")]
    shown = range(0, options.levels + 1, SHOWN)
    rows: list[list[str]] = []
    added: list[list[str]] = []
    accurate: list[list[str]] = []
    names: tuple[str, ...] = ()
    for scheme in schemes:
        found = {way: flow(options, model, recipe, scheme, way, by) for way in ways}
        counts = found["20 %"]
        if counts is None:
            continue
        y, names = exponents(counts), counts.names
        others = [largest(found[way], y) for way in ways[1:]]
        took = f"{seconds(store, counts.experiment_id, options.levels):.2f}"
        rows.append([scheme, *(mean_sd(column, "+.2f") for column in y.T), *others, took])
        if recipe["epochs"] and scheme in UNTRAINED:
            before = {**recipe, **BEFORE_TRAINING}
            untrained = flow(options, model, before, scheme, "20 %", by)
            assert untrained is not None  # what can be trained can be left untrained
            anomalous = (y - exponents(untrained)).T
            added.append([scheme, *(mean_sd(column, "+.2f") for column in anomalous)])
        accurate.append([scheme, *(mean_sd(counts.accuracy[:, level], ".3f") for level in shown)])
    table(["exponent", *names, *(f"{way} - 20 %" for way in ways[1:]), "s a level"], rows)
    if recipe["epochs"]:
        table(["anomalous exponent", *names], added)
        table(["accuracy at density", *(f"{0.8**level:.2f}" for level in shown)], accurate)


def flow(
    options: argparse.Namespace, model: str, recipe: dict[str, Any], scheme: str, way: str, by: str
) -> Counts | None:
    """Run an experiment and return its counts; None where a scheme cannot go this way."""
    fields = {**recipe, **WAYS[way], "train_size": options.train_size}
    levels = options.levels // 2 if way == "36 %" else options.levels
    try:
        outcome = rgtool.run(
            model, options.task, "quick", seeds=options.seeds, levels=levels, store=options.store,
            data=options.data, pruner=scheme, workers=options.workers,
            keep=("init", "rewind", "dense"), **fields,
        )  # fmt: skip
    except RgtoolError as error:
        print(f"{scheme}, {way}: {error}")
        return None
    if failed := outcome.seeds("failed"):
        print(f"{scheme}, {way}: seeds {failed} failed")
        return None
    return Store(Path(options.store)).counts(outcome.experiment_id, by)


def exponents(counts: Counts) -> Floats:
    """Return y of every group between the first and the last level, shape (S, G)."""
    kept = counts.kept[:, [0, -1]].astype(float)
    network = kept.sum(-1)
    retention = np.log(network[:, 1] / network[:, 0])[:, None]
    found: Floats = (np.log(kept[:, 1] / kept[:, 0]) - retention) / -retention
    return found


def largest(counts: Counts | None, y: Floats) -> str:
    """Name the largest difference of mean exponents, with its standard error."""
    if counts is None:
        return ""
    off = exponents(counts) - y
    group = int(np.abs(off.mean(0)).argmax())
    error = off[:, group].std(ddof=1) / np.sqrt(len(off))
    return f"{off[:, group].mean():+.2f} ±{error:.2f} {counts.names[group]}"


def seconds(store: Store, experiment: str, levels: int) -> float:
    """Return the median time of a level that is followed by another."""
    query = (
        "SELECT median(wall_seconds) FROM levels JOIN runs USING (run_id) "
        f"WHERE experiment_id = '{experiment}' AND level < {levels}"
    )
    return float(store.sql(query).rows[0][0])


def mean_sd(values: Floats, form: str) -> str:
    """Spell a mean and the standard deviation over seeds."""
    return f"{values.mean():{form}} ±{values.std(ddof=1):{form.removeprefix('+')}}"


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print a table, its first column to the left."""
    print(plain([head, *rows], [False] + [True] * (len(head) - 1)), end="")


if __name__ == "__main__":
    main()
