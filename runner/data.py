"""Data sets as arrays of bytes.

Adding one is a function that returns `Images` and a line in `DATASETS`. Those of the user's own
need no line, see `own`.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..schemas.entry_points import added, added_names
from ..schemas.errors import RgtoolError, UsageError, did_you_mean
from .images import Images
from .own.data import own_images
from .own.function import OwnFunction, from_entry_point, from_object, from_reference, is_reference
from .own_images import read_npz

DATA_VARIABLE = "RGTOOL_DATA"
_DIGITS = Path(__file__).parent / "digits" / "digits.csv.gz"
ImageArrays = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


Loading = Callable[..., Any]
Task = str | OwnFunction  # a name that `load` knows, or what loads it


def find_task(task: str | Loading) -> Task:
    """Find a data set, before it is loaded.

    Parameters
    ----------
    task : str or callable
        A name of `DATASETS` or of an installed package's entry point, `npz:FILE`, a function that
        loads one, or where such a function lies: `my.py:load`, `package.module:load`.

    Raises
    ------
    UsageError
        There is no such data set; the message offers the nearest names.
    """
    if not isinstance(task, str):
        return from_object(task)
    if task.startswith("npz:") or task in DATASETS:
        return task
    if is_reference(task):
        return from_reference(task)
    if (found := added("rgtool.datasets", task)) is not None:
        return from_entry_point(found)
    names = [*DATASETS, *added_names("rgtool.datasets"), "npz:FILE"]
    raise UsageError(f"data set '{task}' is unknown: {did_you_mean(task, names)}")


def load(
    task: Task, folder: Path | None = None, train_size: int | None = None, valid_size: int = 0
) -> Images:
    """Load a data set, downloading it where that is possible.

    Parameters
    ----------
    task : str or OwnFunction
        What `find_task` returns or takes: a name of `DATASETS`, `npz:FILE` for arrays x_train,
        y_train, x_test, y_test, or a function of the user's own.
    folder : Path, optional
        Where the files lie or go; default `$RGTOOL_DATA`, then `~/.cache/rgtool`.
    train_size : int, optional
        Class-balanced subset of the training set.
    valid_size : int
        Last training images, held out for validation before the subset is taken.

    Raises
    ------
    UsageError
        The task is unknown or the subset is too large.
    RgtoolError
        The files are not there and cannot be downloaded; the message says where they belong.
    """
    folder = folder or default_folder()
    found = find_task(task) if isinstance(task, str) else task
    if isinstance(found, OwnFunction):
        images = own_images(found, folder)
    elif found.startswith("npz:"):
        images = read_npz(Path(found.removeprefix("npz:")))
    else:
        images = DATASETS[found](folder)
    images = images.hold_out(valid_size)
    return images if train_size is None else images.balanced_subset(train_size)


def default_folder() -> Path:
    """Return where data sets lie or go: `$RGTOOL_DATA`, then `~/.cache/rgtool`."""
    return Path(os.environ.get(DATA_VARIABLE) or Path.home() / ".cache" / "rgtool")


def find(folder: Path | None = None) -> dict[str, Path | None]:
    """Look for the files of every data set; None where they would have to be downloaded.

    Only whether they are there is looked at. `digits` comes with rgtool and is left out.
    """
    home = folder or default_folder()
    files = {name: home / file for name, file in _FILES.items()}
    found = {name: path if path.exists() else None for name, path in files.items()}
    for name, kin in (("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")):
        paths = _idx_paths(kin, home)
        found[name] = paths[0].parent if paths else None
    return found


def _digits(folder: Path) -> Images:
    # 17 grey levels (Alpaydin & Kaynak 1998). There is no split: every fifth image of each class
    # is the test set.
    rows = np.loadtxt(_DIGITS, delimiter=",", dtype=np.int64)
    x = np.rint(rows[:, :-1].reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    y = rows[:, -1].copy()
    test = np.zeros(len(y), dtype=bool)
    for label in range(10):
        test[np.flatnonzero(y == label)[4::5]] = True
    return Images(
        "digits", x[~test], y[~test], x[test], y[test], classes=10, mean=(0.3052,), std=(0.3760,)
    )


def _cifar10(folder: Path) -> Images:
    arrays = _cifar("CIFAR10", folder, _FILES["cifar10"])
    return Images(
        "cifar10",
        *arrays,
        classes=10,
        mean=IMAGENET_MEAN,  # OpenLTH normalises CIFAR-10 so
        std=IMAGENET_STD,
        augment=("flip", "crop4"),
    )


def _cifar100(folder: Path) -> Images:
    arrays = _cifar("CIFAR100", folder, _FILES["cifar100"])
    return Images(
        "cifar100",
        *arrays,
        classes=100,
        mean=(0.5071, 0.4866, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        augment=("flip", "crop4"),
    )


def _svhn(folder: Path) -> Images:
    # Netzer et al. 2011, cropped digits; mirror images of digits are other characters: no flips.
    def arrays(part: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        return part.data.transpose(0, 2, 3, 1).copy(), np.asarray(part.labels, dtype=np.int64)

    def parts(dataset: Callable[..., Any], **options: Any) -> tuple[Any, Any]:
        return dataset(split="train", **options), dataset(split="test", **options)

    train, test = _from_torchvision("SVHN", folder, _FILES["svhn"], parts)
    return Images(
        "svhn",
        *arrays(train),
        *arrays(test),
        classes=10,
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
    )


def _mnist(folder: Path) -> Images:
    arrays = _idx("MNIST", folder)
    return Images("mnist", *arrays, classes=10, mean=(0.1307,), std=(0.3081,))


def _fashion_mnist(folder: Path) -> Images:
    arrays = _idx("FashionMNIST", folder)
    return Images("fashion-mnist", *arrays, classes=10, mean=(0.2860,), std=(0.3530,))


def _cifar(name: str, folder: Path, files: str) -> ImageArrays:
    def parts(dataset: Callable[..., Any], **options: Any) -> tuple[Any, Any]:
        return dataset(train=True, **options), dataset(train=False, **options)

    train, test = _from_torchvision(name, folder, files, parts)
    labels = [np.asarray(part.targets, dtype=np.int64) for part in (train, test)]
    return train.data, labels[0], test.data, labels[1]


def _idx(name: str, folder: Path) -> ImageArrays:
    """Read the four files of MNIST and its kin, gzipped or not, from where people keep them."""
    paths = _idx_paths(name, folder)
    if not paths:
        _from_torchvision(name, folder, f"{name}/raw", lambda dataset, **o: (dataset(**o), None))
        paths = [folder / name / "raw" / file for file in _IDX_FILES]
    x_train, y_train, x_test, y_test = (_read_idx(path) for path in paths)
    return x_train[..., None], y_train.astype(np.int64), x_test[..., None], y_test.astype(np.int64)


def _idx_paths(name: str, folder: Path) -> list[Path]:
    """Return where the four files are; nothing where one is missing."""
    homes = [folder, folder / name / "raw", folder / "fashion-mnist", *_SYSTEM.get(name, ())]
    for home in homes:
        found = [home / file for file in _IDX_FILES]
        paths = [p if p.exists() else p.with_name(p.name + ".gz") for p in found]
        if all(path.exists() for path in paths):
            return paths
    return []


_FILES = {
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
    "svhn": "train_32x32.mat",
}
_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# Where Debian's package dataset-fashion-mnist puts the files.
_SYSTEM = {"FashionMNIST": (Path("/usr/share/datasets/fashion-mnist"),)}


def _read_idx(path: Path) -> NDArray[np.uint8]:
    # Two zero bytes, the type (8: uint8), the number of dimensions, big-endian sizes, the data.
    try:
        blob = path.read_bytes()
        if path.suffix == ".gz":
            blob = gzip.decompress(blob)
        sizes = np.frombuffer(blob, dtype=">i4", count=blob[3], offset=4)
        array = np.frombuffer(blob, dtype=np.uint8, offset=4 + 4 * blob[3])
        if blob[:3] != b"\0\0\x08":
            raise ValueError("it does not begin as an IDX file of bytes")
        return array.reshape(sizes).copy()
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise RgtoolError(f"{path}: not a whole IDX file ({error})") from None


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
    "cifar100": _cifar100,
    "svhn": _svhn,
    "mnist": _mnist,
    "fashion-mnist": _fashion_mnist,
}
