"""A classification task as arrays of bytes."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...schemas.errors import UsageError
from ...schemas.spelling import asked


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
    x_valid, y_valid : arrays or None
        Training images that are held out for validation.
    pixel_order : int64 array, shape (H * W,), or None
        Where the pixels were permuted: from which place each was taken. Augmentation moves them as
        they were before.
    notes : tuple of str
        What is odd about the data and should be said before anything is computed.
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
    x_valid: NDArray[np.uint8] | None = None
    y_valid: NDArray[np.int64] | None = None
    pixel_order: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        height, width, channels = self.x_train.shape[1:]
        return channels, height, width

    @property
    def natural(self) -> NDArray[np.uint8]:
        """The training images with every pixel in the place that it had before any permutation."""
        if self.pixel_order is None:
            return self.x_train
        rows = self.x_train.reshape(len(self.x_train), -1, self.x_train.shape[-1])
        return rows[:, np.argsort(self.pixel_order)].reshape(self.x_train.shape)

    @property
    def sha256(self) -> str:
        """Hash of all images and labels: tells whether two runs saw the same data."""
        digest = hashlib.sha256()
        arrays = [self.x_train, self.y_train, self.x_test, self.y_test]
        if self.x_valid is not None and self.y_valid is not None:
            arrays += [self.x_valid, self.y_valid]
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def part(self, train_size: int | None, valid_size: int) -> Images:
        """Hold out the last `valid_size` training images, then keep `train_size` of the rest.

        Raises
        ------
        UsageError
            Too few images are left.
        """
        left = self.hold_out(valid_size)
        return left if train_size is None else left.balanced_subset(train_size)

    def hold_out(self, size: int) -> Images:
        """Hold the last `size` training images out for validation.

        Raises
        ------
        UsageError
            Nothing would be left to train on.
        """
        if size == 0:
            return self
        left = len(self.y_train) - size
        if left < self.classes:
            most = asked("valid_size", len(self.y_train) - self.classes)
            raise UsageError(
                f"valid_size {size}: {self.name} has {len(self.y_train)} training images in "
                f"{self.classes} classes; {most} is the most"
            )
        return dataclasses.replace(
            self,
            x_train=self.x_train[:left],
            y_train=self.y_train[:left],
            x_valid=self.x_train[left:],
            y_valid=self.y_train[left:],
        )

    def balanced_subset(
        self,
        size: int,
        *,
        order: NDArray[np.int64] | None = None,
        field: str = "train_size",
    ) -> Images:
        """Keep the first images of every class, `size` in all, in their order.

        Parameters
        ----------
        size : int
            Images.
        order : int64 array, optional
            The order in which they are the first; without it that of the data set.
        field : str
            The field of a recipe that asks for it.

        Raises
        ------
        UsageError
            A class has too few images, or there would be classes without any.
        """
        per_class, extra = divmod(size, self.classes)
        wanted = [per_class + (label < extra) for label in range(self.classes)]
        order = np.arange(len(self.y_train)) if order is None else order
        rows = [order[self.y_train[order] == label] for label in range(self.classes)]
        available = min(len(r) for r in rows) * self.classes
        if size < self.classes or any(len(r) < w for r, w in zip(rows, wanted, strict=True)):
            raise UsageError(
                f"{field} {size}: {self.name} has {len(self.y_train)} training images in "
                f"{self.classes} classes; {asked(field, available)} is the most, and "
                f"{self.classes} the least"
            )
        chosen = np.sort(np.concatenate([r[:w] for r, w in zip(rows, wanted, strict=True)]))
        return dataclasses.replace(self, x_train=self.x_train[chosen], y_train=self.y_train[chosen])
