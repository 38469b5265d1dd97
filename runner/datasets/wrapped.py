"""Data sets that are made of others: pixels permuted, labels shuffled, noise, images smoothed.

Adding one is a function of images, a number and the name of the data set that all began with, a
line in `MAKERS` and one in `KINDS` of `schemas/records/data_names.py`.

Permuted pixels, random labels and noise are those of Zhang et al. 2017 (arXiv 1611.03530), but for
the noise, which is uniform, and the labels, which keep their numbers in every class.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import UsageError
from ...schemas.records.data_names import Wrapper
from ..networks import InputShape
from ..own.function import OwnFunction
from .images import Images

_AT_ONCE = 1000  # images whose spectra lie in memory
_ROUNDING = 1e-9  # of squared frequencies: those at the cutoff stay
_DECIMALS = 6  # of a grey level: more than other orders of summation change
_NOISE_MEAN, _NOISE_STD = 0.5, math.sqrt((256**2 - 1) / 12) / 255  # of bytes that are all as likely
_GUESSING = "test accuracy is that of guessing, train_accuracy tells what was memorised"


@dataclass(frozen=True)
class Wrapped:
    """A data set made of another, before that is loaded.

    Attributes
    ----------
    inner : str or OwnFunction
        The data set that it is made of, which is made of none itself.
    wrappers : tuple of Wrapper
        What is made of it, innermost first.
    """

    inner: str | OwnFunction
    wrappers: tuple[Wrapper, ...]

    def made_of(self, images: Images) -> Images:
        """Make it of the images inside, all of them: parts are taken afterwards.

        Raises
        ------
        UsageError
            A cutoff leaves images of this size as they are.
        """
        name = images.name
        for wrapper in self.wrappers:
            made = MAKERS[wrapper.kind](images, wrapper.number, name)
            images = dataclasses.replace(made, name=wrapper.name(images.name))
        return images

    def outline(self, noise: Images) -> Images:
        """Let an outline of the images inside be one of it: their pixels may stay what they are."""
        whole = {name: getattr(noise, name) for name in ("x_train", "y_train", "x_test", "y_test")}
        first = {name: array[:1] for name, array in whole.items()}
        made = self.made_of(dataclasses.replace(noise, **first))
        return dataclasses.replace(made, **whole)


def pixel_order(shape: InputShape, seed: int) -> NDArray[np.int64]:
    """Return which pixel of an image comes to every place in its permuted twin.

    Parameters
    ----------
    shape : tuple of int
        Channels, height, width; the channels of a pixel stay together.
    seed : int
        The seed in `permuted:DATASET:SEED`: data sets of one size have one order in common.

    Returns
    -------
    int64 array, shape (H * W,)
        Places in rows, from the top left.
    """
    _, height, width = shape
    return _shuffled(height * width, "pixels", height, width, seed)


def permuted(images: Images, seed: float, name: str) -> Images:
    """All images with their pixels in another order, one for all, drawn from SEED."""
    order = pixel_order(images.input_shape, int(seed))

    def moved(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return x.reshape(len(x), -1, x.shape[-1])[:, order].reshape(x.shape)

    x_train, x_test = moved(images.x_train), moved(images.x_test)
    return dataclasses.replace(images, x_train=x_train, x_test=x_test, pixel_order=order)


def random_labels(images: Images, seed: float, name: str) -> Images:
    """Shuffled labels for the same images, drawn from SEED."""

    def shuffled(part: str, y: NDArray[np.int64]) -> NDArray[np.int64]:
        return y[_shuffled(len(y), "labels", name, part, int(seed))]

    y_train, y_test = shuffled("train", images.y_train), shuffled("test", images.y_test)
    note = f"random-labels:{name}:{seed}: labels say nothing of images: {_GUESSING}"
    return dataclasses.replace(images, y_train=y_train, y_test=y_test, notes=(*images.notes, note))


def noise(images: Images, seed: float, name: str) -> Images:
    """Images of noise, as many and as large, drawn from SEED; the labels stay."""

    def drawn(part: str, x: NDArray[np.uint8]) -> NDArray[np.uint8]:
        raw = _raw(-(-x.size // 8), "noise", name, part, int(seed))
        return raw.astype("<u8").view(np.uint8)[: x.size].reshape(x.shape)

    channels = images.input_shape[0]
    note = f"noise:{name}:{seed}: images say nothing of labels: {_GUESSING}"
    return dataclasses.replace(
        images,
        x_train=drawn("train", images.x_train),
        x_test=drawn("test", images.x_test),
        mean=(_NOISE_MEAN,) * channels,
        std=(_NOISE_STD,) * channels,
        notes=(*images.notes, note),
    )


def low_pass(images: Images, cutoff: float, name: str) -> Images:
    """Images without frequencies above CUTOFF, in cycles an image."""
    frequencies = _frequencies(images.input_shape)
    stays = frequencies <= cutoff**2 * (1 + _ROUNDING)
    if stays.all():
        _, height, width = images.input_shape
        raise UsageError(
            f"low-pass:{name}:{cutoff}: images of {width} x {height} pixels have at most "
            f"{math.sqrt(frequencies.max()):.2f} cycles, and all would stay: choose a lower cutoff"
        )
    x_train, x_test = _filtered(images.x_train, stays), _filtered(images.x_test, stays)
    return dataclasses.replace(images, x_train=x_train, x_test=x_test)


def _frequencies(shape: InputShape) -> NDArray[np.float64]:
    """Return squared frequencies, in cycles a longer side, where `rfft2` has them: (H, W/2 + 1)."""
    _, height, width = shape
    side = max(height, width)
    down, across = np.fft.fftfreq(height) * side, np.fft.rfftfreq(width) * side
    return np.asarray(down[:, None] ** 2 + across**2)


def _filtered(x: NDArray[np.uint8], stays: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Set all other frequencies to zero; what leaves the grey levels is cut off."""
    made = np.empty_like(x)
    for first in range(0, len(x), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        spectrum = np.fft.rfft2(x[part], axes=(1, 2)) * stays[..., None]
        smooth = np.fft.irfft2(spectrum, s=x.shape[1:3], axes=(1, 2))
        # Halves are common, and are to be rounded alike whatever the processor adds up first.
        made[part] = np.rint(smooth.round(_DECIMALS)).clip(0, 255)
    return made


def _shuffled(count: int, *purpose: str | int) -> NDArray[np.int64]:
    return np.argsort(_raw(count, *purpose), kind="stable").astype(np.int64)


def _raw(count: int, *purpose: str | int) -> NDArray[np.uint64]:
    """Return 64 random bits each, the same on every machine and for every version of NumPy.

    That is promised of bit generators, and not of what `numpy.random.Generator` makes of them.
    """
    text = "/".join(map(str, purpose))
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest(), "little")
    return np.random.PCG64(seed).random_raw(count)


MAKERS: dict[str, Callable[[Images, float, str], Images]] = {
    "noise": noise,
    "low-pass": low_pass,
    "random-labels": random_labels,
    "permuted": permuted,
}
