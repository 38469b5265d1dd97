"""Kendall's tau of scores against accuracies of maps, with what chance gives.

Maps are made of the same few blocks, and two that share blocks are accurate alike. Permuting maps,
which is the textbook's test, takes them for independent: where blocks have effects of their own and
the score knows nothing of these, it calls tau significant at .05 in .12 to .24 of simulated
designs. What is permuted here is what the score knows: which block of a stage has which eigenvalue.
The same simulations are then significant in .08 at most, and few blocks have few relabellings.

The unit of the interval is the seed: every seed has a tau of its own. Draws around the mean
accuracies of maps would cover the tau of the true means .20 to .94 of the time, since noise that is
drawn on top of noise only takes away order; the t interval over seeds covers .92 to .97 from three
seeds on, and .88 to .95 with two (`benchmarks/statistics/tau_size.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations, product

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Integers

RELABELLINGS = 9999  # at most: all of them where there are no more


def kendall(x: ArrayLike, y: ArrayLike) -> Floats:
    """Return Kendall's tau-b of every row of x with every row of y.

    Parameters
    ----------
    x, y : array, shapes (R, M) and (S, M)
        Values of M things; equal ones are ties.

    Returns
    -------
    array, shape (R, S)
        From -1 to 1; NaN where all values of a row are equal.

    Examples
    --------
    >>> kendall([[1, 2, 3, 3]], [[1, 2, 3, 4], [4, 3, 2, 1]]).round(3).tolist()
    [[0.913, -0.913]]
    """
    a, b = _orders(x), _orders(y)
    pairs = np.sqrt((a**2).sum(axis=-1)[:, None] * (b**2).sum(axis=-1))
    with np.errstate(invalid="ignore"):
        return np.asarray(a @ b.T / pairs)


def _orders(values: ArrayLike) -> Floats:
    """Return the sign of the difference of every pair: shape (R, M (M - 1) / 2)."""
    data = np.asarray(values, np.float64)
    first, second = np.triu_indices(data.shape[-1], 1)
    return np.sign(data[:, first] - data[:, second])


def relabellings(depths: Sequence[int], rng: np.random.Generator) -> list[Integers]:
    """Return orders of the source's blocks, stage by stage, the one that is theirs first.

    Parameters
    ----------
    depths : sequence of int
        Normal blocks of every stage.
    rng : numpy Generator
        Draws `RELABELLINGS` of them where there are more.

    Returns
    -------
    list of integer array, a stage each, shape (R, k)
        Positions from 0.

    Examples
    --------
    >>> [stage.tolist() for stage in relabellings([2, 1], np.random.default_rng(0))]
    [[[0, 1], [1, 0]], [[0], [0]]]
    """
    if math.prod(map(math.factorial, depths)) <= RELABELLINGS:
        rows = product(*(permutations(range(depth)) for depth in depths))
        return [np.array(stage, np.int64) for stage in zip(*rows, strict=True)]
    drawn = [rng.permuted(np.tile(np.arange(k), (RELABELLINGS, 1)), axis=1) for k in depths]
    for stage in drawn:
        stage[0] = np.arange(stage.shape[1])
    return drawn
