"""Do two experiments keep the same weights? Overlap of masks against that of independent ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...schemas.errors import RecordError
from ...schemas.records.layout import RunFolder
from ...schemas.tensors.safetensors import read_mask
from ..arrays import Bools, Floats, Integers
from .equal_densities import Shares
from .subjects import Subject

if TYPE_CHECKING:
    from ...store import Store

LevelMasks = dict[str, Bools]
KINDS = ("same seed", "other seeds")  # of pairs of runs


@dataclass(frozen=True, eq=False)
class Overlap:
    """Overlap of masks at N matched densities in K groups, for pairs of runs of one kind.

    Attributes
    ----------
    kind : str
        `same seed`: pairs with equal seeds, which begin at equal weights where the recipes say so;
        `other seeds`: all others.
    pairs : int
        Pairs of runs.
    densities : array, shape (N,)
        Of the whole network.
    levels : integer array, shape (N, 2)
        Levels of both experiments.
    shared : array, shape (N, K)
        Weights that both masks keep, over the mean number that one keeps; mean over pairs.
    expected, sd : array, shape (N, K)
        The same of independent masks with the same counts in every layer (hypergeometric), and
        the standard deviation for one pair.
    """

    kind: str
    pairs: int
    densities: Floats
    levels: Integers
    shared: Floats
    expected: Floats
    sd: Floats

    @property
    def ratio(self) -> Floats:
        """How many times what independent masks share; NaN where these share none: (N, K)."""
        return _over(self.shared, self.expected)

    @property
    def z(self) -> Floats:
        """How many sd of one pair lie between; NaN where there is no sd: shape (N, K)."""
        return _over(self.shared - self.expected, self.sd)

    def values(self) -> dict[str, NDArray[Any]]:
        """Return columns with a row for every density and group."""
        return {
            "pairs": np.repeat(self.kind, self.shared.size),
            "overlap": self.shared.ravel(),
            "expected": self.expected.ravel(),
            "sd": self.sd.ravel(),
            "z": self.z.ravel(),
        }


def expected_overlap(
    kept_a: ArrayLike, kept_b: ArrayLike, total: ArrayLike
) -> tuple[Floats, Floats]:
    """Return mean and variance of the weights that two independent masks both keep.

    Hypergeometric (Johnson, Kotz & Balakrishnan 1997): one mask keeps `kept_a` of `total` weights,
    the other draws `kept_b` of them without regard to the first.

    Parameters
    ----------
    kept_a, kept_b, total : array, shape (...,)
        Counts of a layer, or of several.

    Examples
    --------
    >>> mean, variance = expected_overlap(5, 4, 10)
    >>> float(mean), round(float(variance), 4)
    (2.0, 0.6667)
    """
    a, b, size = (np.asarray(x, np.float64) for x in (kept_a, kept_b, total))
    mean = np.asarray(a * b / size)
    variance = mean * (size - a) * (size - b) / (size * np.maximum(size - 1, 1))
    return mean, np.asarray(variance)


def mask_overlap(
    store: Store, a: Subject, b: Subject, shares: Shares
) -> tuple[list[Overlap], list[str]]:
    """Compare the masks of two experiments at the densities that both have.

    Parameters
    ----------
    store : Store
        Where the masks are.
    a, b : Subject
        Experiments with the same groups.
    shares : Shares
        Their levels of equal densities, one at least.

    Returns
    -------
    overlaps : list of Overlap
        Of equal seeds and of other seeds, where there are any.
    notes : list of str
        Why there are none.
    """
    layers = [layer for layer in a.counts.layers if layer.group(a.counts.by) in a.names]
    shapes = [[(x.name, x.shape) for x in s.counts.layers] for s in (a, b)]
    if shapes[0] != shapes[1]:
        return [], ["the networks differ in shape: their masks do not compare weight by weight"]
    levels = shares.levels
    try:
        masks = [
            [
                [_mask(store, run_id, int(level)) for level in column]
                for run_id in one.measured.run_ids
            ]
            for one, column in zip((a, b), levels.T, strict=True)
        ]
        kept = [_mask_counts(one, [layer.name for layer in layers]) for one in masks]
    except (OSError, RecordError, KeyError) as error:
        found = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
        return [], [f"no overlap of masks is shown, since not all are stored ({found})"]
    member = np.array([[layer.group(a.counts.by) == n for n in a.names] for layer in layers])
    names, total = [x.name for x in layers], np.array([x.total for x in layers])
    overlaps: list[Overlap] = []
    for kind, pairs in _kinds(a, b).items():
        parts = []
        for i, j in pairs:
            mean, spread = expected_overlap(kept[0][i], kept[1][j], total)
            size = (kept[0][i] + kept[1][j]) @ member / 2
            both = _kept_by_both(masks[0][i], masks[1][j], names)
            sums = (both @ member, mean @ member, spread @ member)
            parts.append([_over(x, d) for x, d in zip(sums, (size, size, size**2), strict=True)])
        shared, expected, variance = np.mean(parts, axis=0)
        sd = np.sqrt(variance)
        overlaps.append(Overlap(kind, len(pairs), shares.densities, levels, shared, expected, sd))
    return overlaps, []


def _over(values: Floats, size: Floats) -> Floats:
    """Divide; NaN where a group keeps nothing."""
    return np.divide(values, size, out=np.full_like(values, np.nan), where=size > 0)


def _kinds(a: Subject, b: Subject) -> dict[str, list[tuple[int, int]]]:
    """Sort the pairs of runs by whether their seeds are equal; kinds without pairs are left out."""
    seeds = [[s.counts.seeds[i] for i in s.measured.runs] for s in (a, b)]
    kinds: dict[str, list[tuple[int, int]]] = {kind: [] for kind in KINDS}
    for i, one in enumerate(seeds[0]):
        for j, other in enumerate(seeds[1]):
            equal = one is not None and one == other
            kinds[KINDS[0] if equal else KINDS[1]].append((i, j))
    return {kind: pairs for kind, pairs in kinds.items() if pairs}


def _mask(store: Store, run_id: str, level: int) -> LevelMasks:
    return read_mask(RunFolder.of(store.path, run_id).mask(level))


def _mask_counts(masks: list[list[LevelMasks]], layers: list[str]) -> Floats:
    """Count what the masks of runs and levels keep: shape (S, N, L)."""
    return np.array([[[mask[name].sum() for name in layers] for mask in run] for run in masks])


def _kept_by_both(a: list[LevelMasks], b: list[LevelMasks], layers: list[str]) -> Floats:
    """Count what two runs both keep: shape (N, L)."""
    return np.array(
        [
            [np.count_nonzero(one[name] & other[name]) for name in layers]
            for one, other in zip(a, b, strict=True)
        ],
        np.float64,
    )
