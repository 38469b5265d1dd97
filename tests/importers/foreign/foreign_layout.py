"""What a writer of foreign files returns: the counts an import is held to, and `torch.save`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """What was written: the truth that an import is held to.

    Levels count from 0 in every tuple and list, whether their file was written or not; `written`
    names the levels that have one. `layers` and `totals` have the names of the weights, without
    the suffixes `_orig` and `_mask` and without prefixes; their sums are `kept` and `total`.
    """

    folder: Path
    format: str
    architecture: str
    kept: tuple[int, ...]
    layers: dict[str, list[int]]
    totals: dict[str, int]
    accuracy: tuple[float | None, ...]
    written: tuple[int, ...]
    files: tuple[Path, ...]
    branches: dict[str, Layout] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of weights that the masks are over."""
        return sum(self.totals.values())


class Tally:
    """Counts masks level by level as they are written."""

    def __init__(self, folder: Path, format_: str, architecture: str) -> None:
        self.about = (folder, format_, architecture)
        self.layers: dict[str, list[int]] = {}
        self.totals: dict[str, int] = {}
        self.accuracy: list[float | None] = []
        self.written: list[int] = []
        self.files: list[Path] = []

    def level(
        self,
        masks: Mapping[str, Tensor],
        accuracy: float | None,
        *files: Path,
        written: bool = True,
    ) -> None:
        """Count one more level; levels without files still count."""
        for name, mask in masks.items():
            self.totals.setdefault(name, mask.numel())
            self.layers.setdefault(name, []).append(int(torch.count_nonzero(mask)))
        if written:
            self.written.append(len(self.accuracy))
        self.accuracy.append(accuracy)
        self.files += files

    def layout(self, branches: dict[str, Layout] | None = None) -> Layout:
        """Return what was counted."""
        kept = tuple(sum(counts) for counts in zip(*self.layers.values(), strict=True))
        folder, format_, architecture = self.about
        return Layout(
            folder=folder,
            format=format_,
            architecture=architecture,
            kept=kept,
            layers=self.layers,
            totals=self.totals,
            accuracy=tuple(self.accuracy),
            written=tuple(self.written),
            files=tuple(self.files),
            branches=branches or {},
        )


@contextmanager
def saved_on(device: str) -> Iterator[None]:
    """Make `torch.save` say that the tensors were on a device, which need not be here."""
    if device == "cpu":
        yield
        return
    with mock.patch("torch.serialization.location_tag", lambda storage: device):
        yield


@contextmanager
def numpy_one() -> Iterator[None]:
    """Make pickles name NumPy's functions as NumPy 1 did, under which most files were written."""
    module, old = np._core.multiarray, "numpy.core.multiarray"
    with (
        mock.patch.object(module.scalar, "__module__", old),
        mock.patch.dict(sys.modules, {old: module}),
    ):
        yield


def save(content: object, path: Path, *, device: str = "cpu") -> Path:
    """Save with `torch.save`, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with saved_on(device):
        torch.save(content, path)
    return path
