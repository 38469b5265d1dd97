"""The order of checkpoints by their masks: each is within the one before, and has fewer weights.

What a file keeps is counted, and a sample of its mask is held: of an unrelated mask of half the
density some weight of the sample lies outside, all but surely. Whoever reads the levels afterwards
holds whole masks to one another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..found import Contradiction, LevelData, Refused, Shapes
from ..identity import mask_digest
from ..zeros import many_zeros

_SAMPLED = 4096  # weights of a layer
_UNNAMED = "0"  # the layer of a file that holds one array alone
_STRIDE = 2_654_435_761  # a prime: no pattern of pruning repeats at it


@dataclass(frozen=True)
class Measured:
    """What the masks of a file are told apart and put in order by.

    Attributes
    ----------
    path : Path
        The file.
    shapes : mapping of str to tuple of int
        Its weights.
    layers : frozenset of (str, tuple of int)
        Those that have a mask.
    kept, total : int
        Weights in these, kept and in all.
    digest : str
        A sum over the masks; empty where nothing is pruned.
    sample : bytes
        Some weights of every mask, a bit each.
    zeros : float
        Share of zeros in weights without masks, if it is that of no dense network; else 0.
    """

    path: Path
    shapes: Shapes
    layers: frozenset[tuple[str, tuple[int, ...]]]
    kept: int
    total: int
    digest: str
    sample: bytes = field(repr=False)
    zeros: float = 0.0

    @property
    def density(self) -> float:
        """Share of the weights that is kept."""
        return self.kept / self.total if self.total else 1.0

    def fits(self, layers: Iterable[tuple[str, tuple[int, ...]]]) -> bool:
        """Whether it has these layers, masked or not."""
        return all(self.shapes.get(name) == shape for name, shape in layers)


class Unordered(Refused):
    """Neither of two masks is within the other."""


def measure(path: Path, read: Callable[[Path], LevelData]) -> Measured:
    """Read the masks of a file.

    Raises
    ------
    Unreadable, Refused
        As `read` does.
    """
    data = read(path)
    masks = dict(sorted(data.masks.items()))
    kept = sum(int(np.count_nonzero(mask)) for mask in masks.values())
    total = sum(mask.size for mask in masks.values())
    return Measured(
        path=path,
        shapes=dict(data.shapes),
        layers=frozenset((name, mask.shape) for name, mask in masks.items()),
        kept=kept,
        total=total,
        digest=mask_digest(masks) if kept < total else "",
        sample=_sample(masks) if kept < total else b"",
        zeros=many_zeros(data),
    )


def _sample(masks: Mapping[str, NDArray[np.bool_]]) -> bytes:
    parts = []
    for mask in masks.values():
        many = np.arange(min(mask.size, _SAMPLED), dtype=np.uint64) * np.uint64(_STRIDE)
        parts.append(mask.ravel()[many % np.uint64(max(mask.size, 1))])
    return np.packbits(np.concatenate(parts)).tobytes()


def in_order(found: Sequence[Measured]) -> list[list[Measured]]:
    """Put files in the order of pruning; those of equal masks stand together.

    Raises
    ------
    Unordered
        They are not files of one run.
    """
    alike: dict[str, list[Measured]] = {}
    for one in sorted(found, key=lambda one: (one.digest != "", -one.kept)):
        alike.setdefault(one.digest, []).append(one)
    order = list(alike.values())
    for (before, *_), (after, *_) in zip(order, order[1:], strict=False):
        if not _within(after, before):
            raise Unordered(
                f"{_told(after)} is not within {_told(before)}: each has weights that the other "
                "has not, so these are not levels of one run"
            )
    return order


def hold_whole(found: Sequence[Measured]) -> None:
    """Hold files to be of whole networks, and not of a layer each without a name.

    Raises
    ------
    Contradiction
        Every one holds one array, and their shapes differ.
    """
    layers = {one.layers for one in found}
    if len(layers) > 1 and all([name for name, _ in some] == [_UNNAMED] for some in layers):
        raise Contradiction(
            f"{found[0].path.name} and {len(found) - 1} more hold one array each, of "
            f"{len(layers)} shapes: they are layers, and a file has to hold a whole level",
            "put the layers of a level into one file: numpy.savez('level_0.npz', **layers)",
        )


def _within(sparse: Measured, dense: Measured) -> bool:
    if not dense.digest:
        return True
    inner, outer = (np.frombuffer(one.sample, np.uint8) for one in (sparse, dense))
    return sparse.kept < dense.kept and not bool((inner & ~outer).any())


def _told(one: Measured) -> str:
    return f"the mask of {one.path.name} ({percent(one.density)})"


def percent(density: float) -> str:
    """Return a density as one reads it: `51.2 %`."""
    return f"{100 * density:.3g} %"
