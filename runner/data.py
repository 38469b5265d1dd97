"""Data sets as arrays of bytes.

Adding one is a function that returns `Images` and a line in `DATASETS`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..schemas.errors import RgtoolError, UsageError, did_you_mean

DATA_VARIABLE = "RGTOOL_DATA"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class Images:
    """A classification task.

    Attributes
    ----------
    name : str
        Name of the task.
    x_train, x_test : uint8 array, shape (N, H, W, C)
        Images.
    y_train, y_test : int64 array, shape (N,)
        Labels, 0 to classes - 1.
    classes : int
        Number of classes.
    mean, std : tuple of float, length C
        Normalisation of images scaled to [0, 1], as published with the task.
    augment : tuple of str
        The augmentation published with the task, see `Loader`.
    """

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        height, width, channels = self.x_train.shape[1:]
        return channels, height, width

    @property
    def sha256(self) -> str:
        """Hash of all images and labels: tells whether two runs saw the same data."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def balanced_subset(self, size: int) -> Images:
        """Keep the first images of every class, `size` in all, in their order.

        Raises
        ------
        UsageError
            A class has too few images, or there would be classes without any.
        """
        per_class, extra = divmod(size, self.classes)
        wanted = [per_class + (label < extra) for label in range(self.classes)]
        rows = [np.flatnonzero(self.y_train == label) for label in range(self.classes)]
        available = min(len(r) for r in rows) * self.classes
        if size < self.classes or any(len(r) < w for r, w in zip(rows, wanted, strict=True)):
            raise UsageError(
                f"train-size {size}: {self.name} has {len(self.y_train)} training images in "
                f"{self.classes} classes; choose from {self.classes} to {available}"
            )
        chosen = np.sort(np.concatenate([r[:w] for r, w in zip(rows, wanted, strict=True)]))
        return dataclasses.replace(self, x_train=self.x_train[chosen], y_train=self.y_train[chosen])


def load(task: str, folder: Path | None = None, train_size: int | None = None) -> Images:
    """Load a data set, downloading it where that is possible.

    Parameters
    ----------
    task : str
        A name of `DATASETS`.
    folder : Path, optional
        Where the files lie or go; default `$RGTOOL_DATA`, then `~/.cache/rgtool`.
    train_size : int, optional
        Class-balanced subset of the training set.

    Raises
    ------
    UsageError
        The task is unknown or the subset is too large.
    RgtoolError
        The files are not there and cannot be downloaded; the message says where they belong.
    """
    if task not in DATASETS:
        raise UsageError(f"data set '{task}' is unknown: {did_you_mean(task, DATASETS)}")
    if folder is None:
        folder = Path(os.environ.get(DATA_VARIABLE) or Path.home() / ".cache" / "rgtool")
    images = DATASETS[task](folder)
    return images if train_size is None else images.balanced_subset(train_size)


def _digits(folder: Path) -> Images:
    # 1797 images of 8x8 pixels with 17 grey levels (Alpaydin & Kaynak 1998), bundled with
    # scikit-learn. It has no split of its own: every fifth image of each class is the test set.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    y = bunch.target.astype(np.int64)
    test = np.zeros(len(y), dtype=bool)
    for label in range(10):
        test[np.flatnonzero(y == label)[4::5]] = True
    return Images(
        "digits", x[~test], y[~test], x[test], y[test], classes=10, mean=(0.3052,), std=(0.3760,)
    )


def _cifar10(folder: Path) -> Images:
    train, test = _from_torchvision("CIFAR10", folder, "cifar-10-batches-py", _train_and_test)
    return Images(
        "cifar10",
        train.data,
        np.asarray(train.targets, dtype=np.int64),
        test.data,
        np.asarray(test.targets, dtype=np.int64),
        classes=10,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        augment=("flip", "crop4"),
    )


def _train_and_test(dataset: Callable[..., Any], **options: Any) -> tuple[Any, Any]:
    return dataset(train=True, **options), dataset(train=False, **options)


def _from_torchvision(
    name: str, folder: Path, files: str, load_parts: Callable[..., tuple[Any, Any]]
) -> tuple[Any, Any]:
    from .vision import torchvision_datasets

    dataset = getattr(torchvision_datasets(), name)
    try:
        return load_parts(dataset, root=str(folder), download=False)
    except (RuntimeError, OSError):
        pass  # absent or damaged: torchvision checks sums
    try:
        return load_parts(dataset, root=str(folder), download=True)
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RgtoolError(
            f"{name.lower()}: not found in {folder} and the download failed ({reason}). Bring the "
            f"official files to {folder / files}, or name their folder with --data DIR or "
            f"{DATA_VARIABLE}"
        ) from None


DATASETS: dict[str, Callable[[Path], Images]] = {
    "digits": _digits,
    "cifar10": _cifar10,
}
