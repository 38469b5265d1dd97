"""Published data sets as their files lie, with few images that a seed makes."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from rgtool.runner.datasets.vision import torchvision_datasets

Part = tuple[np.ndarray, np.ndarray]  # bytes of shape (N, 32, 32, 3), and labels
CLASSES = {"cifar10": 10, "cifar100": 100, "svhn": 10}


def write(task: str, folder: Path) -> tuple[Part, Part]:
    """Write the files of a data set; return the images for training and those for testing."""
    rng = np.random.default_rng(len(task))
    train, test = (_images(count, CLASSES[task], rng) for count in (600, 200))
    if task == "svhn":
        _svhn(folder / "train_32x32.mat", train)
        _svhn(folder / "test_32x32.mat", test)
    elif task == "cifar10":
        home = folder / "cifar-10-batches-py"
        batches = zip(*(np.split(array, 5) for array in train), strict=True)
        for number, batch in enumerate(batches, 1):
            _cifar(home / f"data_batch_{number}", batch, "labels")
        _cifar(home / "test_batch", test, "labels")
        _pickled(home / "batches.meta", {"label_names": [f"kind {n}" for n in range(10)]})
    else:
        home = folder / "cifar-100-python"
        _cifar(home / "train", train, "fine_labels")
        _cifar(home / "test", test, "fine_labels")
        _pickled(home / "meta", {"fine_label_names": [f"kind {n}" for n in range(100)]})
    return train, test


def accept(task: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision take the files as they lie now for the published ones, by their sums."""
    datasets = torchvision_datasets()
    if task == "svhn":
        lists = datasets.SVHN.split_list
        summed = {s: [url, name, _md5(folder / name)] for s, (url, name, _) in lists.items()}
        monkeypatch.setattr(datasets.SVHN, "split_list", summed)
        return
    dataset = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[task]
    home = folder / dataset.base_folder
    for part in ("train_list", "test_list"):
        names = [name for name, _ in getattr(dataset, part)]
        monkeypatch.setattr(dataset, part, [[name, _md5(home / name)] for name in names])
    about = {**dataset.meta, "md5": _md5(home / dataset.meta["filename"])}
    monkeypatch.setattr(dataset, "meta", about)


def _images(count: int, classes: int, rng: np.random.Generator) -> Part:
    x = rng.integers(0, 256, size=(count, 32, 32, 3), dtype=np.uint8)
    return x, rng.permutation(np.arange(count) % classes)


def _cifar(path: Path, part: Part, labels: str) -> None:
    """One row an image: all of red, then green, then blue, each from top to bottom."""
    rows = part[0].transpose(0, 3, 1, 2).reshape(len(part[0]), -1)
    _pickled(path, {"batch_label": path.name, labels: part[1].tolist(), "data": rows})


def _pickled(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))


def _svhn(path: Path, part: Part) -> None:
    """Images along the last axis, and 10 for the digit 0."""
    labels = np.where(part[1] == 0, 10, part[1]).astype(np.uint8)[:, None]
    savemat(path, {"X": part[0].transpose(1, 2, 3, 0), "y": labels})


def _md5(path: Path) -> str | None:
    return hashlib.md5(path.read_bytes()).hexdigest() if path.exists() else None
