"""Data sets as arrays of bytes.

Adding one is a function that returns `Images` and a line in `DATASETS`. Those of the user's own
need no line, see `own`.
"""

from __future__ import annotations

import difflib
import gzip
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..schemas.entry_points import added, added_names
from ..schemas.errors import RgtoolError, UsageError, did_you_mean, known_name
from ..schemas.records.data_names import KINDS, pattern, unwrapped, wraps
from .datasets.images import Images
from .datasets.known_data import (
    DATA_VARIABLE,
    DIGITS,
    IDX_FILES,
    KNOWN_DATA,
    KnownData,
    check_idx,
    default_folder,
    find,
    idx_paths,
)
from .datasets.own_images import read_npz
from .datasets.wrapped import Wrapped
from .networks import InputShape
from .own.data import own_images
from .own.function import OwnFunction, from_entry_point, from_object, from_reference, is_reference

_ARCHIVE = "npz:"
Loading = Callable[..., Any]
Task = str | OwnFunction | Wrapped  # a name that `load` knows, or what loads it


def find_task(task: Loading | Task) -> Task:
    """Find a data set, before it is loaded.

    Parameters
    ----------
    task : str, callable, OwnFunction or Wrapped
        A name of `DATASETS` or of an installed package's entry point, `npz:FILE`, a function that
        loads one, or where such a function lies: `my.py:load`, `package.module:load`. Or what is
        made of one of them: `permuted:digits:0` and others of `schemas.records.data_names.KINDS`.
        What was found before is given back.

    Raises
    ------
    UsageError
        There is no such data set; the message offers the nearest names.
    """
    if isinstance(task, OwnFunction | Wrapped):
        return task
    if not isinstance(task, str):
        return from_object(task)
    inner, wrappers = unwrapped(task)
    return Wrapped(_find_inner(inner), wrappers) if wrappers else _find_inner(inner)


def _find_inner(task: str) -> str | OwnFunction:
    """Find a data set that is made of no other."""
    if is_archive(task):
        return task
    if (known := known_name(task, DATASETS)) is not None:
        return known
    if is_reference(task):
        return from_reference(task)
    if (found := added("rgtool.datasets", task)) is not None:
        return from_entry_point(found)
    raise UsageError(f"data set '{task}' is unknown: {_nearest(task)}")


def _nearest(task: str) -> str:
    head, colon, rest = task.partition(":")
    if colon and (near := difflib.get_close_matches(head.lower(), KINDS, n=1)):
        return f"did you mean {near[0]}:{rest}?"
    if (kind := known_name(head, KINDS)) is not None:
        return f"write {pattern(kind)}"
    names = [*DATASETS, *added_names("rgtool.datasets"), "npz:FILE", *map(pattern, KINDS)]
    return did_you_mean(task, names)


def is_archive(task: str) -> bool:
    """Tell whether a text names an archive of arrays, `npz:FILE`."""
    return task.startswith(_ARCHIVE)


def is_data_set(task: str) -> bool:
    """Tell whether a text names a data set: an archive, one of rgtool or of a package.

    What begins as one that is made of another counts, whatever stands inside.
    """
    if wraps(task) or is_archive(task) or known_name(task, DATASETS) is not None:
        return True
    return not is_reference(task) and added("rgtool.datasets", task) is not None


def outline(task: Task, folder: Path | None = None) -> Images | None:
    """Return noise of the shape of a data set that would have to be downloaded.

    None where it is here, or where nothing but loading it tells its shape.
    """
    if isinstance(task, Wrapped):
        inner = outline(task.inner, folder)
        return None if inner is None else task.outline(inner)
    if not isinstance(task, str) or task not in KNOWN_DATA or find(task, folder) is not None:
        return None
    return KNOWN_DATA[task].noise()


def shape_of(task: str, folder: Path | None = None) -> tuple[InputShape, int]:
    """Return the shape of an image and the number of classes of a data set.

    Published data sets are known without their files; others are loaded, with errors of `load`.
    """
    found = find_task(task)
    found = found.inner if isinstance(found, Wrapped) else found
    if isinstance(found, str) and found in KNOWN_DATA:
        return KNOWN_DATA[found].shape, len(KNOWN_DATA[found].train)
    images = load(found, folder)
    return images.input_shape, images.classes


def load(
    task: Task, folder: Path | None = None, train_size: int | None = None, valid_size: int = 0
) -> Images:
    """Load a data set, downloading it where that is possible.

    Parameters
    ----------
    task : str, OwnFunction or Wrapped
        What `find_task` returns or takes: a name of `DATASETS`, `npz:FILE` for arrays x_train,
        y_train, x_test, y_test, a function of the user's own, or what is made of one of them.
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
    return _whole(found, folder).part(train_size, valid_size)


def _whole(task: Task, folder: Path) -> Images:
    if isinstance(task, Wrapped):
        return task.made_of(_whole(task.inner, folder))
    if isinstance(task, OwnFunction):
        return own_images(task, folder)
    if is_archive(task):
        return read_npz(Path(task.removeprefix(_ARCHIVE)))
    return DATASETS[task](folder)


def _digits(folder: Path) -> Images:
    # There is no split: every fifth image of each class is the test set.
    rows = np.loadtxt(DIGITS, delimiter=",", dtype=np.int64)
    x = np.rint(rows[:, :-1].reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    y = rows[:, -1].copy()
    test = np.zeros(len(y), dtype=bool)
    for label in range(10):
        test[np.flatnonzero(y == label)[4::5]] = True
    return KNOWN_DATA["digits"].images(x[~test], y[~test], x[test], y[test])


def _cifar(known: KnownData, folder: Path) -> Images:
    def parts(dataset: Callable[..., Any], **options: Any) -> tuple[Any, Any]:
        return dataset(train=True, **options), dataset(train=False, **options)

    train, test = _from_torchvision(known, folder, parts)
    y_train, y_test = (np.asarray(part.targets, dtype=np.int64) for part in (train, test))
    return known.images(train.data, y_train, test.data, y_test)


def _svhn(known: KnownData, folder: Path) -> Images:
    def arrays(part: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        return part.data.transpose(0, 2, 3, 1).copy(), np.asarray(part.labels, dtype=np.int64)

    def parts(dataset: Callable[..., Any], **options: Any) -> tuple[Any, Any]:
        return dataset(split="train", **options), dataset(split="test", **options)

    train, test = _from_torchvision(known, folder, parts)
    return known.images(*arrays(train), *arrays(test))


def _idx(known: KnownData, folder: Path) -> Images:
    """Read the four files of MNIST and its kin, gzipped or not, from where people keep them."""
    paths = idx_paths(known, folder)
    if not paths:
        _from_torchvision(known, folder, lambda dataset, **o: (dataset(**o), None))
        paths = [folder / known.files / file for file in IDX_FILES]
    x_train, y_train, x_test, y_test = (_read_idx(path) for path in paths)
    check_idx(known, paths, y_train, len(y_test))
    return known.images(
        x_train[..., None], y_train.astype(np.int64), x_test[..., None], y_test.astype(np.int64)
    )


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
    known: KnownData, folder: Path, load_parts: Callable[..., tuple[Any, Any]]
) -> tuple[Any, Any]:
    """Let torchvision read a data set, downloading it where it must."""
    from .datasets.vision import torchvision_datasets

    try:
        dataset = getattr(torchvision_datasets(), known.kin)
    except ImportError as error:
        raise RgtoolError(
            f"{known.name} is read by torchvision, which cannot be imported ({error}): "
            "pip install torchvision"
        ) from None
    try:
        return load_parts(dataset, root=str(folder), download=False)
    except (RuntimeError, OSError):
        pass  # absent or damaged: torchvision checks sums
    try:
        return load_parts(dataset, root=str(folder), download=True)
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RgtoolError(
            f"{known.name}: not found in {folder} and the download failed ({reason}). Bring the "
            f"official files to {folder / known.files}, or name their folder with --data DIR or "
            f"{DATA_VARIABLE}"
        ) from None


DATASETS: dict[str, Callable[[Path], Images]] = {
    "digits": _digits,
    "cifar10": partial(_cifar, KNOWN_DATA["cifar10"]),
    "cifar100": partial(_cifar, KNOWN_DATA["cifar100"]),
    "svhn": partial(_svhn, KNOWN_DATA["svhn"]),
    "mnist": partial(_idx, KNOWN_DATA["mnist"]),
    "fashion-mnist": partial(_idx, KNOWN_DATA["fashion-mnist"]),
}
