"""A data set of one's own: arrays of an npz archive, held to what may be images and classes.

What cannot be is refused; what can be and hardly is, goes into the notes of the data set.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import RgtoolError, printable
from .archive import read_arrays
from .images import Images

_PARTS = ("train", "test")
_SPLITS = ("x_train", "y_train", "x_test", "y_test")
_MOST_CLASSES = 100_000
_MOST_CHANNELS = 4  # red, green, blue and how much is seen through
_MOST = 5  # classes in a message


def read_npz(path: Path) -> Images:
    """Read arrays x_train, y_train, x_test and y_test of an archive.

    The name carries the hash of the content, since a path is no identity.

    Raises
    ------
    RgtoolError
        The arrays are not there or are no images and classes; the message says what would be.
    """
    return images_of(str(path), f"npz-{printable(path.stem)}", *read_arrays(path, _SPLITS))


def images_of(
    where: str,
    name: str,
    x_train: NDArray[Any],
    y_train: NDArray[Any],
    x_test: NDArray[Any],
    y_test: NDArray[Any],
) -> Images:
    """Make a data set of arrays, normalised by the moments of its training images.

    Parameters
    ----------
    where, name : str
        Where the arrays are from, and the name before the hash of the content.
    x_train, x_test : uint8 array, shape (N, H, W) or (N, H, W, C)
        Images.
    y_train, y_test : integer array, shape (N,)
        Classes, from 0 on.

    Raises
    ------
    RgtoolError
        They are no images and classes; the message says what would be.
    """
    x_train, x_test = (_images(where, "x_train", x_train), _images(where, "x_test", x_test))
    if x_train.shape[1:] != x_test.shape[1:]:
        raise RgtoolError(
            f"{where}: images of shape {x_train.shape[1:]} in x_train, {x_test.shape[1:]} in x_test"
        )
    y_train = _labels(where, "y_train", y_train, len(x_train))
    y_test = _labels(where, "y_test", y_test, len(x_test))
    first = int(min(y_train.min(), y_test.min()))
    last = int(max(y_train.max(), y_test.max()))
    if first > 0:
        raise RgtoolError(
            f"{where}: labels run from {first} to {last}; classes are numbered from 0: save "
            f"y_train - {first} and y_test - {first}"
        )
    pixels = x_train.reshape(-1, x_train.shape[-1]) / 255
    std = np.maximum(pixels.std(axis=0), 1e-3)
    images = Images(
        name,
        x_train,
        y_train,
        x_test,
        y_test,
        classes=last + 1,
        mean=tuple(float(value) for value in pixels.mean(axis=0).round(4)),
        std=tuple(float(value) for value in std.round(4)),
    )
    return named_by(images.sha256, images)


def held(where: str, images: Images) -> Images:
    """Hold a data set that was made elsewhere to the same, and number its classes in int64.

    Raises
    ------
    RgtoolError
        Its arrays are no images and classes, or do not fit what it says of itself.
    """
    x_train, x_test = (_images(where, f"x_{s}", getattr(images, f"x_{s}")) for s in _PARTS)
    y_train = _labels(where, "y_train", images.y_train, len(x_train))
    y_test = _labels(where, "y_test", images.y_test, len(x_test))
    if (last := int(max(y_train.max(), y_test.max()))) >= images.classes:
        raise RgtoolError(f"{where}: a label is {last}, and there are {images.classes} classes")
    lengths = {len(images.mean), len(images.std), x_train.shape[-1]}
    if x_test.shape[1:] != x_train.shape[1:] or len(lengths) > 1:
        raise RgtoolError(
            f"{where}: x_train, x_test, mean and std of one shape and as many channels are expected"
        )
    return dataclasses.replace(
        images, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test
    )


def named_by(digest: str, images: Images) -> Images:
    """Let the name of a data set carry a hash, and its notes say what is odd."""
    name = f"{images.name}-{digest[:8]}"
    return dataclasses.replace(images, name=name, notes=(*images.notes, *_notes(name, images)))


def _images(where: str, name: str, x: NDArray[Any]) -> NDArray[np.uint8]:
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or 0 in x.shape:
        raise RgtoolError(
            f"{where}: {name} is {x.dtype} of shape {x.shape}; bytes (uint8) of shape (N, H, W) or "
            f"(N, H, W, C) are expected{_as_bytes(x)}"
        )
    if has_channels_first(x):
        raise RgtoolError(
            f"{where}: {name} of shape {x.shape} has its channels first; (N, H, W, C) is expected: "
            f"save {name}.transpose(0, 2, 3, 1)"
        )
    return x[..., None] if x.ndim == 3 else x


def has_channels_first(x: NDArray[Any]) -> bool:
    """Tell whether images lie as (N, C, H, W)."""
    return x.ndim == 4 and x.shape[1] <= _MOST_CHANNELS < x.shape[3]


def _as_bytes(x: NDArray[Any]) -> str:
    """Say how numbers of another type become pixels, as the end of a message."""
    if x.dtype == np.uint8 or x.dtype.kind not in "fiub" or not x.size:
        return ""
    if not np.isfinite(x).all():
        return ": not all of its values are finite"
    low, high = float(x.min()), float(x.max())
    if low >= 0 and high <= 1:
        return ": its values are 0 to 1, save (255 * x).round().astype('uint8')"
    if low >= 0 and high <= 255:
        return ": its values are 0 to 255, save x.round().astype('uint8')"
    return (
        f": its values go from {low:.4g} to {high:.4g}, beyond 0 to 255, so save the images as "
        "they were before they were normalised"
    )


def _labels(where: str, name: str, y: NDArray[Any], count: int) -> NDArray[np.int64]:
    if y.dtype.kind in "iu" and y.size and int(y.max()) >= _MOST_CLASSES:
        raise RgtoolError(
            f"{where}: {name} has the label {y.max()}: classes are numbered from 0, and fewer than "
            f"{_MOST_CLASSES}"
        )
    if y.shape != (count,) or y.dtype.kind not in "iu" or (count and y.min() < 0):
        raise RgtoolError(
            f"{where}: {name} is {y.dtype} of shape {y.shape}; {count} whole numbers from 0 on are "
            "expected"
        )
    return y.astype(np.int64)


def _notes(name: str, images: Images) -> tuple[str, ...]:
    notes = []
    for part, y in (("training", images.y_train), ("test", images.y_test)):
        if len(empty := np.flatnonzero(np.bincount(y, minlength=images.classes) == 0)):
            shown = ", ".join(map(str, empty[:_MOST])) + (", ..." if len(empty) > _MOST else "")
            notes.append(
                f"{name}: {len(empty)} of {images.classes} classes have no {part} image ({shown}), "
                "and an output of the network all the same"
            )
    if images.classes == 1:
        notes.append(f"{name}: all images are of one class: whatever a network does is right")
    if images.x_train.max() <= 1:
        notes.append(
            f"{name}: no pixel is above 1 of 255; images of 0 to 1 that were made bytes are cut to "
            "black and white: save (255 * x).round().astype('uint8')"
        )
    return tuple(notes)
