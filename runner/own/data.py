"""A data set of the user's own: what a function returns, as images and classes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import RgtoolError, UsageError
from ...schemas.spelling import asked
from ..datasets.images import Images
from ..datasets.own_images import has_channels_first, held, images_of, named_by
from .function import OwnFunction
from .home import printing_aside

_EXPECTED = (
    "x_train, y_train, x_test, y_test, a training and a test set of PyTorch's Dataset, or Images "
    "are expected"
)
_LOOKED_AT_TWICE = 8  # items of a Dataset
_EXACT = 1e-3  # of a grey level: 255 x of a float32 that was k / 255


@printing_aside()
def own_images(function: OwnFunction, folder: Path) -> Images:
    """Load a data set with a function; its name carries a hash of the content.

    Parameters
    ----------
    function : OwnFunction
        Gets `folder`, if it accepts that. It returns four arrays (numpy or torch) of images, N x H
        x W x C or N x C x H x W, and classes; a training and a test set of pairs, as PyTorch's
        `Dataset` has them; or `Images` with a normalisation and augmentation of their own. Pixels
        are bytes, or the same divided by 255.
    folder : Path
        Where data sets lie.

    Raises
    ------
    UsageError
        It returns something else, or asks for something else.
    RgtoolError
        It fails, or what it returns are no images and classes.
    """
    made, place = function.call({"folder": folder}), function.place
    if isinstance(made, Images):
        images = held(place, made)
        told = f"{images.sha256}{images.mean}{images.std}"
        return named_by(hashlib.sha256(told.encode()).hexdigest(), images)
    if isinstance(made, tuple | list) and len(made) == 4:
        arrays = [_array(place, part) for part in made]
    elif isinstance(made, tuple | list) and len(made) == 2 and all(map(_is_dataset, made)):
        arrays = [array for dataset in made for array in _items(place, dataset)]
    else:
        what = f"{len(made)} things" if isinstance(made, tuple | list) else type(made).__name__
        raise UsageError(f"{place} returns {what}; {_EXPECTED}")
    x_train, y_train, x_test, y_test = arrays
    return images_of(place, function.label, _pixels(x_train), y_train, _pixels(x_test), y_test)


def _is_dataset(value: Any) -> bool:
    return hasattr(value, "__getitem__") and hasattr(value, "__len__")


def _array(place: str, part: Any) -> NDArray[Any]:
    if hasattr(part, "detach"):  # a tensor
        part = part.detach().cpu()
    try:
        return np.asarray(part)
    except Exception as error:
        raise UsageError(
            f"{place} returns {type(part).__name__}, which is no array ({error}); {_EXPECTED}"
        ) from None


def _items(place: str, dataset: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read every item of a data set: images and labels."""
    try:
        pairs = [(_array(place, x), int(y)) for x, y in (dataset[i] for i in range(len(dataset)))]
        again = [_array(place, dataset[i][0]) for i in range(min(len(pairs), _LOOKED_AT_TWICE))]
    except RgtoolError:
        raise
    except Exception as error:
        raise RgtoolError(
            f"{place}: an item of {type(dataset).__name__} is no pair of image and class "
            f"({type(error).__name__}: {error})"
        ) from None
    shapes = list(dict.fromkeys(x.shape for x, _ in pairs))
    if len(shapes) != 1:
        found = f"shapes {shapes[0]} and {shapes[1]}" if shapes else "no images"
        raise RgtoolError(f"{place}: {found} in {type(dataset).__name__}; all have one shape")
    if any(not np.array_equal(x, pair[0]) for x, pair in zip(again, pairs, strict=False)):
        raise RgtoolError(
            f"{place}: {type(dataset).__name__} gives another image every time: leave augmentation "
            f"to the recipe, as {asked('augment', ('flip', 'crop4'))}"
        )
    return np.stack([x for x, _ in pairs]), np.array([y for _, y in pairs])


def _pixels(x: NDArray[Any]) -> NDArray[Any]:
    """Return images with channels last, as the bytes that they were divided by 255, if they were.

    What is no image is left as it is, for the words that it gets.
    """
    if has_channels_first(x):
        x = x.transpose(0, 2, 3, 1)
    if x.dtype.kind == "f" and x.size and x.min() >= 0 and x.max() <= 1:
        levels = x * 255
        if np.abs(levels - np.rint(levels)).max() < _EXACT:
            x = np.rint(levels).astype(np.uint8)
    return np.ascontiguousarray(x)
