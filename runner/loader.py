"""Batches from a data set that lies on the device as bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from .data import Images
from .randomness import generator


class Loader:
    """The training images of one replica: order, crops and flips by seed and epoch.

    An epoch draws its order, flips and crops at once, each from a stream of its own; a batch is
    one gather from a table of padded images, rows of pixels in HWC order, which yields
    channels-last tensors for free. Nothing depends on what was drawn before, so an epoch can be
    entered at any batch.

    Parameters
    ----------
    images : Images
        The data set.
    batch_size : int
        Images a batch; the last one of an epoch may be smaller and is kept.
    augment : tuple of str
        Any of `flip` (horizontal, probability 1/2) and `cropN` (zero padding of N pixels, then a
        random crop of the original size).
    seed : int
        Seed of the replica.
    device : torch.device
        Where the table lies.
    """

    def __init__(
        self,
        images: Images,
        *,
        batch_size: int,
        augment: tuple[str, ...],
        seed: int,
        device: torch.device,
    ) -> None:
        self.batch_size = batch_size
        self.seed = seed
        self.flip = "flip" in augment
        self.pad = next((int(a[4:]) for a in augment if a.startswith("crop")), 0)
        count, height, width, channels = images.x_train.shape
        self.count: int = count
        self.shape = (height, width, channels)
        pixels = torch.from_numpy(images.x_train)
        if self.pad:
            pixels = torch.nn.functional.pad(pixels, (0, 0, *[self.pad] * 4))
        self.row = pixels.shape[2]  # pixels in a padded row
        self.stride = pixels.shape[1] * pixels.shape[2]  # pixels in a padded image
        self.pixels = pixels.reshape(-1, channels).to(device)
        self.labels = torch.from_numpy(images.y_train).to(device)
        self.normalise = Normalise(images, device)
        offsets = torch.arange(height)[:, None] * self.row + torch.arange(width)
        # The gather pattern of an image and of its mirror image.
        self.window = torch.stack([offsets, offsets.flip(1)]).reshape(2, -1).to(device)

    @property
    def iterations_per_epoch(self) -> int:
        """Batches an epoch, the last partial one included."""
        return math.ceil(self.count / self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch from batch number `start` on.

        Yields
        ------
        tuple of Tensor
            Images, float32, shape (B, C, H, W), channels last; labels, int64, shape (B,).
        """
        device = self.pixels.device
        order = torch.randperm(self.count, generator=generator(self.seed, "order", epoch))
        corner = order * self.stride
        mirrored = torch.zeros(self.count, dtype=torch.int64)
        if self.flip:
            stream = generator(self.seed, "flip", epoch)
            mirrored = torch.randint(2, (self.count,), generator=stream)
        if self.pad:
            stream = generator(self.seed, "crop", epoch)
            shifts = torch.randint(2 * self.pad + 1, (2, self.count), generator=stream)
            corner = corner + shifts[0] * self.row + shifts[1]
        order, corner, mirrored = order.to(device), corner.to(device), mirrored.to(device)
        for first in range(start * self.batch_size, self.count, self.batch_size):
            batch = slice(first, first + self.batch_size)
            index = corner[batch, None] + self.window[mirrored[batch]]
            raw = self.pixels.index_select(0, index.reshape(-1)).reshape(-1, *self.shape)
            yield self.normalise(raw), self.labels[order[batch]]


class Normalise:
    """Bytes to floats: (x / 255 - mean) / std, per channel."""

    def __init__(self, images: Images, device: torch.device) -> None:
        std = torch.tensor(images.std, dtype=torch.float32)
        self.scale = (1 / (255 * std)).to(device)
        self.shift = (torch.tensor(images.mean, dtype=torch.float32) / std).to(device)

    def __call__(self, raw: Tensor) -> Tensor:
        """Turn bytes of shape (B, H, W, C) into channels-last floats of shape (B, C, H, W)."""
        return (raw * self.scale - self.shift).permute(0, 3, 1, 2)


def test_batches(
    images: Images, device: torch.device, batch_size: int = 1000
) -> list[tuple[Tensor, Tensor]]:
    """Return the test set as normalised batches on the device (large ones: no gradient is kept)."""
    normalise = Normalise(images, device)
    x, y = torch.from_numpy(images.x_test).to(device), torch.from_numpy(images.y_test).to(device)
    return [
        (normalise(raw), labels)
        for raw, labels in zip(torch.split(x, batch_size), torch.split(y, batch_size), strict=True)
    ]
