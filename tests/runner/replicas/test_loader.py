"""Batches: every image once an epoch, crops and flips as published, entered anywhere."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import sys
import weakref

import numpy as np
import pytest
import torch
from experiments import synthetic
from scipy import stats

from rgtool.runner.data import Images
from rgtool.runner.datasets.vision import torchvision_datasets
from rgtool.runner.replicas.loader import Loader, Normalise, evaluation_batch
from rgtool.runner.replicas.loader import test_batches as whole_test_set

CPU = torch.device("cpu")


def loader_of(images: Images, *, batch_size: int = 16, seed: int = 0) -> Loader:
    return Loader(images, batch_size=batch_size, augment=images.augment, seed=seed, device=CPU)


def numbered(count: int, augment: tuple[str, ...] = (), size: int = 8) -> Images:
    """Images whose channels are row + 1 and column + 1, and whose labels are their numbers."""
    place = np.stack(np.mgrid[1 : size + 1, 1 : size + 1], axis=-1)
    pixels = np.concatenate([place, np.full_like(place[..., :1], 1)], axis=-1)
    x = np.broadcast_to(pixels, (count, size, size, 3)).astype(np.uint8)
    x[..., 2] = (np.arange(count) % 250 + 1)[:, None, None]
    y = np.arange(count)
    # With this normalisation a pixel is its own byte.
    unit = {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}
    return Images("numbered", x, y, x[:1], y[:1], classes=count, augment=augment, **unit)


def epoch_of(loader: Loader, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Images as bytes, shape (N, H, W, C), and labels of one epoch."""
    batches = list(loader.epoch(epoch))
    x = torch.cat([images for images, _ in batches]).permute(0, 2, 3, 1)
    assert torch.allclose(x, x.round(), atol=1e-4)
    return x.round().numpy().astype(np.uint8), torch.cat([y for _, y in batches]).numpy()


# Order.


def test_an_epoch_holds_every_image_once_in_an_order_of_its_own() -> None:
    loader = loader_of(numbered(45))
    orders = [epoch_of(loader, epoch)[1] for epoch in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(45))
    assert all((a != b).any() for a, b in itertools.combinations(orders, 2))


def test_images_stay_with_their_labels() -> None:
    images = numbered(45)
    x, y = epoch_of(loader_of(images), 1)
    np.testing.assert_array_equal(x, images.x_train[y])


def test_the_order_follows_from_seed_and_epoch_alone() -> None:
    images = numbered(45, ("flip", "crop2"))
    used = loader_of(images)
    for epoch in (4, 2):
        epoch_of(used, epoch)
    torch.manual_seed(99)
    for mine, fresh in zip(epoch_of(used, 3), epoch_of(loader_of(images), 3), strict=True):
        np.testing.assert_array_equal(mine, fresh)
    other = epoch_of(loader_of(images, seed=1), 3)[1]
    assert (other != epoch_of(used, 3)[1]).any()


@pytest.mark.parametrize("augment", [(), ("flip",), ("crop3",), ("flip", "crop4")])
def test_an_epoch_can_be_entered_at_any_batch(augment: tuple[str, ...]) -> None:
    loader = loader_of(synthetic(45, augment=augment), batch_size=8)
    whole = list(loader.epoch(2))
    assert [len(y) for _, y in whole] == [8, 8, 8, 8, 8, 5]  # the partial one is kept
    assert loader.iterations_per_epoch == 6
    for start in range(7):
        entered = list(loader.epoch(2, start))
        assert len(entered) == 6 - start
        for (x, y), (x_whole, y_whole) in zip(entered, whole[start:], strict=True):
            assert torch.equal(x, x_whole)
            assert torch.equal(y, y_whole)


def test_a_batch_larger_than_the_data_is_one_batch() -> None:
    loader = loader_of(numbered(5), batch_size=128)
    assert loader.iterations_per_epoch == 1
    assert [len(y) for _, y in loader.epoch(0)] == [5]


# Crops and flips.


def recover(x: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Read from `numbered` images how far each was moved, shape (N, 2), and whether mirrored."""
    size = x.shape[1]
    middle = size // 2  # never in the padding
    row, column = (x[:, middle, middle, i].astype(int) - 1 for i in (0, 1))
    beside = x[:, middle, middle - 1, 1].astype(int) - 1
    mirrored = beside > column
    place = np.where(mirrored, size - 1 - middle, middle)
    return np.stack([row - middle + pad, column - place + pad], axis=1), mirrored


@pytest.mark.parametrize(("augment", "pad"), [((), 0), (("flip",), 0), (("flip", "crop3"), 3)])
def test_every_image_is_padded_cropped_and_mirrored_as_by_hand(
    augment: tuple[str, ...], pad: int
) -> None:
    images = numbered(60, augment)
    loader = loader_of(images, batch_size=7)
    for epoch in range(3):
        x, y = epoch_of(loader, epoch)
        shifts, mirrored = recover(x, pad)
        assert mirrored.any() == ("flip" in augment)
        for found, label, (down, right), mirror in zip(x, y, shifts, mirrored, strict=True):
            padded = np.pad(images.x_train[label], ((pad, pad), (pad, pad), (0, 0)))
            cropped = padded[down : down + 8, right : right + 8]
            np.testing.assert_array_equal(found, cropped[:, ::-1] if mirror else cropped)


def test_crops_are_uniform_and_flips_fair_and_independent() -> None:
    loader = loader_of(numbered(200, ("flip", "crop2")), batch_size=64)
    offsets, flips, labels = [], [], []
    for epoch in range(60):
        x, y = epoch_of(loader, epoch)
        shift, mirrored = recover(x, 2)
        offsets.append(shift[np.argsort(y)])
        flips.append(mirrored[np.argsort(y)])
        labels.append(y)
    shifts, mirror = np.array(offsets), np.array(flips)  # (epochs, images, 2), (epochs, images)
    assert shifts.min() == 0
    assert shifts.max() == 4
    cells = np.bincount(shifts[..., 0].ravel() * 5 + shifts[..., 1].ravel(), minlength=25)
    assert stats.chisquare(cells).pvalue > 0.001
    assert abs(mirror.mean() - 0.5) < 4 * 0.5 / np.sqrt(mirror.size)

    # No image follows another one, itself an epoch before, or its own crop.
    in_batch = np.array([m[y] for m, y in zip(mirror, labels, strict=True)])
    pairs = [
        (in_batch[:, 1:], in_batch[:, :-1]),
        (mirror[1:], mirror[:-1]),
        (shifts[..., 1] > 2, mirror),
        (shifts[1:, :, 0] > 2, shifts[:-1, :, 0] > 2),
    ]
    for one, other in pairs:
        table = np.histogram2d(one.ravel(), other.ravel(), bins=2)[0]
        assert stats.chi2_contingency(table).pvalue > 0.001


# Numbers.


def test_normalisation_is_that_of_torchvision() -> None:
    torchvision_datasets()
    transforms = sys.modules["torchvision"].transforms
    images = synthetic(12)
    published = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize(images.mean, images.std)]
    )
    expected = torch.stack([published(x) for x in images.x_test])
    found = torch.cat([x for x, _ in whole_test_set(images, CPU, batch_size=5)])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    every_byte = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    grey = dataclasses.replace(images, mean=(0.3,), std=(0.2,))
    found = Normalise(grey, CPU)(torch.from_numpy(every_byte))
    np.testing.assert_allclose(
        found.numpy(), (every_byte / 255 - 0.3).transpose(0, 3, 1, 2) / 0.2, rtol=1e-5, atol=1e-6
    )


def test_padding_is_black_before_the_normalisation() -> None:
    images = synthetic(4, augment=("crop4",))
    black = (-np.array(images.mean) / images.std).astype(np.float32)
    corners = torch.cat([x for epoch in range(8) for x, _ in loader_of(images).epoch(epoch)])
    closest = (corners[:, :, 0, 0] - torch.from_numpy(black)).abs().amax(1).min()
    assert closest < 1e-6


def test_batches_are_channels_last() -> None:
    x, _ = next(iter(loader_of(synthetic(augment=("flip", "crop4"))).epoch(0)))
    assert x.shape == (16, 3, 8, 8)
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_the_test_set_comes_whole_and_in_order() -> None:
    images = synthetic(60)
    batches = whole_test_set(images, CPU, batch_size=7)
    assert [len(y) for _, y in batches] == [7, 7, 7, 7, 2]
    np.testing.assert_array_equal(torch.cat([y for _, y in batches]).numpy(), images.y_test)


# What replicas share.


def test_replicas_share_a_data_set_for_as_long_as_it_lives() -> None:
    images = synthetic(40, augment=("flip", "crop2"))
    one, two = (loader_of(images, seed=seed) for seed in (0, 1))
    assert one.pixels is two.pixels
    assert one.labels is two.labels
    assert whole_test_set(images, CPU) is whole_test_set(images, CPU)
    assert whole_test_set(images, CPU, 5) is not whole_test_set(images, CPU)
    other = Loader(images, batch_size=16, augment=(), seed=0, device=CPU)  # not padded
    assert other.pixels.shape != one.pixels.shape
    again = dataclasses.replace(images)
    assert loader_of(again).pixels is not one.pixels
    gone = weakref.ref(images)
    del images, other
    gc.collect()
    assert gone() is None  # sharing does not keep it


@pytest.mark.parametrize(
    ("device", "size", "expected"), [("cpu", 224, 125), ("cuda", 32, 2000), ("cuda", 224, 125)]
)
def test_large_images_are_evaluated_in_smaller_batches(
    device: str, size: int, expected: int
) -> None:
    assert evaluation_batch(synthetic(10, size=size), torch.device(device)) == expected
