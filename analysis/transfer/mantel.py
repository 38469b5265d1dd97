"""Whether a distance of experiments goes with the loss of their tickets: labels are permuted.

Entries of a matrix of pairs are not independent: an experiment stands in a row and in a column.
Mantel (1967) permutes the labels of experiments, rows and columns together, which keeps what
belongs to each, and compares the correlation with those of the permuted. Here it is Spearman's,
over ordered pairs, since losses of a and b may differ by direction; the distance may not.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import AT_ONCE, Bools, Floats, Integers
from ..values import Refusal

LEAST_EXPERIMENTS = 4
_EXACT = 7  # experiments up to which all permutations are gone through: 5040
_DRAWS = 9999
_TIE = 1e-9  # difference of correlations that are one but for rounding


@dataclass(frozen=True)
class Mantel:
    """What the test says.

    Attributes
    ----------
    rho : float
        Spearman's correlation over the ordered pairs that were measured.
    p : float
        One-sided: share of the permutations with a correlation at least as large.
    pairs, experiments : int
        Ordered pairs, and experiments.
    permutations : int
        Gone through: all, or draws; the data count among them.
    """

    rho: float
    p: float
    pairs: int
    experiments: int
    permutations: int

    @property
    def least(self) -> float:
        """The smallest p that there can be."""
        return 1 / self.permutations


def mantel(
    distance: ArrayLike, loss: ArrayLike, rng: np.random.Generator | int = 0
) -> Mantel | Refusal:
    """Test whether experiments that lie further apart lose more.

    Parameters
    ----------
    distance : array, shape (E, E)
        Complete but for its diagonal, which is not read.
    loss : array, shape (E, E)
        Of tickets of the row on the task of the column; NaN where it was not measured.
    rng : numpy.random.Generator or int
        Draws permutations of eight experiments or more.

    Returns
    -------
    Mantel or Refusal
        Three experiments have six permutations: no p below 1/6.

    Examples
    --------
    >>> apart = np.abs(np.subtract.outer(range(4), range(4)))
    >>> found = mantel(apart, apart)
    >>> found.rho, round(found.p * 24)  # the order and its reverse
    (1.0, 2)
    """
    x, y = np.asarray(distance, np.float64), np.asarray(loss, np.float64)
    size = len(x)
    off = ~np.eye(size, dtype=np.bool_)
    measured = np.isfinite(y) & off
    if size < LEAST_EXPERIMENTS:
        return Refusal(
            f"{size} experiments have {math.factorial(size)} permutations, so that no p could be "
            f"below {1 / math.factorial(size):.2g}: {LEAST_EXPERIMENTS} are needed, and five to "
            "reach .05 with some margin"
        )
    if not np.isfinite(x[off]).all():
        return Refusal("the distance of some pair is not known")
    if measured.sum() < 3 or not _varies(y[measured]) or not _varies(x[off]):
        return Refusal("all losses or all distances are alike, so that nothing can go together")
    orders = _orders(size, np.random.default_rng(rng))
    found = _correlations(x, y, measured, orders)
    enough = found >= found[0] - _TIE
    return Mantel(
        rho=float(found[0]),
        p=float(enough.mean()),
        pairs=int(measured.sum()),
        experiments=size,
        permutations=len(orders),
    )


def _varies(values: Floats) -> bool:
    return bool(np.ptp(values) > 0)


def _orders(size: int, rng: np.random.Generator) -> Integers:
    """Return permutations of so many labels, the identity first: shape (B, E)."""
    if size <= _EXACT:
        return np.array(list(itertools.permutations(range(size))))
    drawn = rng.permuted(np.tile(np.arange(size), (_DRAWS, 1)), axis=1)
    return np.concatenate([np.arange(size)[None], drawn])


def _correlations(x: Floats, y: Floats, measured: Bools, orders: Integers) -> Floats:
    """Return Spearman's correlation under every order of the labels of x: shape (B,).

    Where none of its distances vary over the measured pairs it is 0.
    """
    row, column = np.nonzero(measured)
    ranks = ranked_values(y[measured][None])[0]
    ranks = ranks - ranks.mean()
    parts = []
    step = max(1, AT_ONCE // len(row) ** 2)
    for first in range(0, len(orders), step):
        order = orders[first : first + step]
        moved = ranked_values(x[order[:, row], order[:, column]])
        moved -= moved.mean(axis=1, keepdims=True)
        size = np.sqrt((moved**2).sum(axis=1) * (ranks**2).sum())
        parts.append(np.divide(moved @ ranks, size, out=np.zeros(len(order)), where=size > 0))
    return np.concatenate(parts)


def ranked_values(values: Floats) -> Floats:
    """Return ranks along the last axis, from 1; of equal values their mean: shape (B, N).

    Examples
    --------
    >>> ranked_values(np.array([[3.0, 1.0, 3.0]])).tolist()
    [[2.5, 1.0, 2.5]]
    """
    below = (values[:, None, :] < values[:, :, None]).sum(axis=-1)
    equal = (values[:, None, :] == values[:, :, None]).sum(axis=-1)
    return np.asarray(below + (equal + 1) / 2)
