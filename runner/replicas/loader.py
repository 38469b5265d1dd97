"""Batches from a data set that lies on the device as bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..datasets.images import Images
from .randomness import generator

Batches = list[tuple[Tensor, Tensor]]
_SHARED: WeakKeyDictionary[Images, dict[object, Any]] = WeakKeyDictionary()


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
    drop_last : bool
        Leave out the last batch where it is smaller.
    """

    def __init__(
        self,
        images: Images,
        *,
        batch_size: int,
        augment: tuple[str, ...],
        seed: int,
        device: torch.device,
        drop_last: bool = False,
    ) -> None:
        self.batch_size = batch_size
        self.seed = seed
        self.flip = "flip" in augment
        self.pad = next((int(a[4:]) for a in augment if a.startswith("crop")), 0)
        count, height, width, _ = images.x_train.shape
        self.count: int = count
        self.end: int = count - count % batch_size if drop_last else count  # images an epoch
        self.shape = images.x_train.shape[1:]
        self.row = width + 2 * self.pad  # pixels in a padded row
        self.stride = (height + 2 * self.pad) * self.row  # pixels in a padded image
        moves = self.flip or self.pad > 0
        self.pixels, self.labels = _pixel_table(images, self.pad, moves, device)
        self.normalise = Normalise(images, device)
        offsets = torch.arange(height)[:, None] * self.row + torch.arange(width)
        # The gather pattern of an image and of its mirror image, whose pixels are permuted last.
        window = torch.stack([offsets, offsets.flip(1)]).reshape(2, -1)
        order = images.pixel_order
        self.window = (window if order is None else window[:, order]).to(device)

    @property
    def iterations_per_epoch(self) -> int:
        """Batches an epoch, the last partial one included where it is kept."""
        return -(-self.end // self.batch_size)

    def draws(self, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Yield what was drawn for the batches of an epoch from batch number `start` on.

        Yields
        ------
        int64 Tensor, shape (3, B)
            On the device: number of the image, its top left pixel in the table, mirrored or not.
        """
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
        drawn = torch.stack([order, corner, mirrored]).to(self.pixels.device)
        for first in range(start * self.batch_size, self.end, self.batch_size):
            yield drawn[:, first : first + self.batch_size]

    def gather(self, draw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the batch of a draw.

        Returns
        -------
        tuple of Tensor
            Images, float32, shape (B, C, H, W), channels last; labels, int64, shape (B,).
        """
        order, corner, mirrored = draw
        if self.flip or self.pad:
            index = (corner[:, None] + self.window[mirrored]).reshape(-1)
            raw = self.pixels.index_select(0, index)
        else:  # whole images are one row each
            raw = self.pixels.view(self.count, -1).index_select(0, order)
        return self.normalise(raw.reshape(-1, *self.shape)), self.labels[order]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch from batch number `start` on, as `gather` returns them."""
        for draw in self.draws(epoch, start):
            yield self.gather(draw)


def _made_once(images: Images, key: object, make: Callable[[], Any]) -> Any:
    """Return what replicas share of a data set on a device; it goes when the data set does."""
    found = _SHARED.setdefault(images, {})
    if key not in found:
        found[key] = make()
    return found[key]


def _pixel_table(
    images: Images, pad: int, moves: bool, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return padded training images as rows of pixels, and their labels.

    Images that are to be moved have their pixels where they were before any permutation.
    """
    restores = moves and images.pixel_order is not None

    def make() -> tuple[Tensor, Tensor]:
        pixels = torch.from_numpy(images.natural if restores else images.x_train)
        if pad:
            pixels = torch.nn.functional.pad(pixels, (0, 0, *[pad] * 4))
        pixels = pixels.reshape(-1, pixels.shape[-1])
        return pixels.to(device), torch.from_numpy(images.y_train).to(device)

    table: tuple[Tensor, Tensor] = _made_once(images, ("train", pad, restores, device), make)
    return table


class Normalise:
    """Bytes to floats: (x / 255 - mean) / std, per channel."""

    def __init__(self, images: Images, device: torch.device) -> None:
        std = torch.tensor(images.std, dtype=torch.float32)
        self.scale = (1 / (255 * std)).to(device)
        self.shift = (torch.tensor(images.mean, dtype=torch.float32) / std).to(device)

    def __call__(self, raw: Tensor) -> Tensor:
        """Turn bytes of shape (B, H, W, C) into channels-last floats of shape (B, C, H, W)."""
        return (raw * self.scale - self.shift).permute(0, 3, 1, 2)


def evaluation_batch(images: Images, device: torch.device) -> int:
    """Return how many images go through a network at once without gradients.

    Few on a CPU, whose cache is what counts (ResNet-20 evaluates 1.6 times faster with 125 than
    with 1000); on a GPU, whose kernels are launched one by one, 2000 of CIFAR's and fewer large
    ones.
    """
    _, height, width, _ = images.x_test.shape
    return 125 if device.type == "cpu" else max(125, 2_048_000 // (height * width))


def test_batches(images: Images, device: torch.device, batch_size: int | None = None) -> Batches:
    """Return the test set as normalised batches on the device; replicas share them."""
    return _whole_batches("test", images, images.x_test, images.y_test, device, batch_size)


def valid_batches(images: Images, device: torch.device, batch_size: int | None = None) -> Batches:
    """Return the validation set in the same way; empty where nothing is held out."""
    if images.x_valid is None or images.y_valid is None:
        return []
    return _whole_batches("validation", images, images.x_valid, images.y_valid, device, batch_size)


def _whole_batches(
    name: str, images: Images, x: object, y: object, device: torch.device, batch_size: int | None
) -> Batches:
    size = batch_size or evaluation_batch(images, device)

    def make() -> Batches:
        normalise = Normalise(images, device)
        raw, labels = torch.as_tensor(x).to(device), torch.as_tensor(y).to(device)
        parts = zip(torch.split(raw, size), torch.split(labels, size), strict=True)
        return [(normalise(part), part_labels) for part, part_labels in parts]

    batches: Batches = _made_once(images, (name, size, device), make)
    return batches
