"""Small experiments for the tests of the runner, and what they leave on the disk."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rgtool.runner import data, machine
from rgtool.runner.data import Images
from rgtool.runner.event import Event
from rgtool.runner.experiment import Outcome, execute, plan
from rgtool.runner.replicas.training import Trainer
from rgtool.schemas.records import record
from rgtool.schemas.records.layout import RunFolder

machine.prepare(torch.device("cpu"))

# Five batches an epoch (the last one partial) and ten steps a level, two of them before the rewind
# point: small enough to be interrupted after every step.
SMALL: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 32,
    "rewind": "2it",
    "levels": 2,
    "rounding": "openlth",
    "momentum": 0.9,
}


def synthetic(
    count: int = 40,
    *,
    size: int = 8,
    channels: int = 3,
    classes: int = 10,
    augment: tuple[str, ...] = (),
    seed: int = 0,
) -> Images:
    """Random images whose brightness follows from their class, so that there is something to learn.

    The labels go round through the classes.
    """
    rng = np.random.default_rng(seed)

    def part(number: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(number) % classes
        shape = (number, size, size, channels)
        pixels = rng.normal(labels[:, None, None, None] * 20.0 + 30, 40, shape)
        return pixels.clip(0, 255).astype(np.uint8), labels.astype(np.int64)

    return Images(
        "synthetic",
        *part(count),
        *part(max(classes, count // 2)),
        classes=classes,
        mean=(0.4, 0.5, 0.6)[:channels],
        std=(0.2, 0.25, 0.3)[:channels],
        augment=augment,
    )


def few_digits(count: int = 150, augment: tuple[str, ...] = ()) -> Images:
    """The first digits of every class, as a data set of its own."""
    images = data.load("digits").balanced_subset(count)
    return dataclasses.replace(
        images,
        name="few-digits",
        x_test=images.x_test[:100],
        y_test=images.y_test[:100],
        augment=augment,
    )


def few_digits_file(folder: Path) -> str:
    """Write few digits as a file of one's own; return the task."""
    images, path = few_digits(), folder / "digits.npz"
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(path, **{name: getattr(images, name) for name in names})
    return f"npz:{path}"


# What replicas are tested on: a batch without and with crops and flips.
REPLICA_CASES: dict[str, dict[str, Any]] = {
    "lenet": {"model": "lenet", "task": "few-digits"},
    "resnet": {"model": "resnet8w4", "task": "synthetic"},
}


def replica_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the data sets of `REPLICA_CASES` known by their names."""
    digits, colours = few_digits(), synthetic(150, augment=("flip", "crop4"))
    monkeypatch.setitem(data.DATASETS, "few-digits", lambda folder: digits)
    monkeypatch.setitem(data.DATASETS, "synthetic", lambda folder: colours)


def go(
    store: Path,
    model: str = "lenet",
    task: str = "few-digits",
    *,
    should_stop: Callable[[], bool] = lambda: False,
    on_event: Callable[[Event], None] = lambda event: None,
    **changes: Any,
) -> Outcome:
    """Run an experiment of `SMALL`, changed as asked, in this process."""
    made = plan(model, task, store=store, **{"workers": 1, **SMALL, **changes})
    return execute(made, on_event=on_event, should_stop=should_stop)


def diverging(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Let a seed diverge behind the rewind point, in the middle of a stretch of training."""
    steps = Trainer.step

    def step(self: Trainer, images: Tensor, labels: Tensor) -> None:
        steps(self, images, labels)
        if self.loader.seed == seed and self.masked:  # up to the rewind point there is no mask
            self.tally[0] = torch.nan

    monkeypatch.setattr(Trainer, "step", step)


def stop_at(asked: int) -> Callable[[], bool]:
    """Say yes to the question of that number, counted from 1, and to all after it."""
    count = 0

    def should_stop() -> bool:
        nonlocal count
        count += 1
        return count >= asked

    return should_stop


def only_run(store: Path) -> RunFolder:
    """The folder of the one run of a store."""
    (path,) = (store / "runs").iterdir()
    return RunFolder(path)


def results(store: Path) -> dict[str, Any]:
    """All that identical runs have in common: records but for `measured`, masks, weights."""
    found: dict[str, Any] = {}
    for run in sorted((store / "runs").iterdir()):
        folder = RunFolder(run)
        measured = record.columns("level", measured=True)
        for level in folder.recorded_levels():
            table = folder.read_record(level).drop_columns(measured)
            found[f"{run.name}/records/{level}"] = table.to_pylist()
        for kind in ("masks", "weights"):
            for path in sorted((run / kind).iterdir()):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[f"{run.name}/{kind}/{path.name}"] = digest
    return found


def kept(store: Path) -> list[int]:
    """Kept weights of the network at the recorded levels of the one run of a store."""
    folder = only_run(store)
    levels = folder.recorded_levels()
    return [folder.read_record(level)["network_kept"][0].as_py() for level in levels]


def disk(folder: Path) -> dict[str, tuple[int, int]]:
    """Path, content and time of change of every file."""
    return {
        str(path.relative_to(folder)): (hash(path.read_bytes()), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
