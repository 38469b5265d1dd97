"""How far a stretched or squeezed spectrum lies from the target's: arrays in, scores out.

theta is log lambda of normal blocks, at a step that prunes 20 %. A network is a sequence of
stages; arrays of a stage have shape (..., k), and (..., C, K) where C transforms were pushed
through. Leading axes are draws, and broadcast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.errors import UsageError, choose
from ..arrays import Floats, Integers

ScoreName = Literal["w1", "position", "signature", "density"]
SCORES: tuple[ScoreName, ...] = ("w1", "position", "signature", "density")
MARGIN = 0.01  # of an eigenvalue, for the signature
LEVEL = 13  # prunings after which densities are compared: 5.5 % of the weights
TIE = 1e-9  # scores nearer than this are equal: .01 - .03 + .02 is not 0 in binary


@dataclass(frozen=True)
class Scoring:
    """What is scored, and its choices.

    Attributes
    ----------
    score : str
        `w1`, `position` or `signature`, mean over stages, lower is better; `density`, the log of
        transformed over target survivors after `level` prunings, all stages together, higher is
        denser.
    margin : float
        Marginal within this of an eigenvalue of 1, for the signature.
    level : int
        Prunings of 20 %, for the density.
    """

    score: ScoreName = "w1"
    margin: float = MARGIN
    level: int = LEVEL

    def __post_init__(self) -> None:
        """Hold the choices to their ranges.

        Raises
        ------
        UsageError
            One is out of range.
        """
        object.__setattr__(self, "score", choose("score", self.score, SCORES))
        if not (math.isfinite(self.margin) and 0 <= self.margin < 1):
            raise UsageError(
                f"margin is {self.margin}: it is |eigenvalue - 1| of a marginal block, such as 0.01"
            )
        if self.level < 1:
            raise UsageError(
                f"level is {self.level}: densities are compared after at least 1 pruning"
            )

    def cost(self, values: Floats) -> Floats:
        """Turn scores into numbers of which the lowest is best."""
        return -values if self.score == "density" else values


def push(theta: ArrayLike, feeds: Integers) -> Floats:
    """Carry the spectrum of a stage along maps of its blocks.

    Parameters
    ----------
    theta : array, shape (..., k)
        Of source blocks 1 to k.
    feeds : integer array, shape (K,) or (C, K)
        Source block, from 1, of every target block.

    Returns
    -------
    array, shape (..., K) or (..., C, K)

    Examples
    --------
    >>> push([0.0, 0.1], np.array([1, 2, 2])).tolist()
    [0.0, 0.1, 0.1]
    """
    return np.asarray(np.asarray(theta, np.float64)[..., feeds - 1])


def w1(made: Floats, target: Floats) -> Floats:
    """Return the Wasserstein-1 distance of equally many blocks: shape (...).

    That is the mean absolute difference of the sorted values: the order of blocks does not enter.
    """
    apart = np.abs(np.sort(made, axis=-1) - np.sort(target, axis=-1))
    return np.asarray(apart.mean(axis=-1))


def position(made: Floats, target: Floats) -> Floats:
    """Return the root mean square difference, block by block: shape (...)."""
    return np.asarray(np.sqrt(((made - target) ** 2).mean(axis=-1)))


def signature(made: Floats, target: Floats, margin: float = MARGIN) -> Floats:
    """Return half the L1 distance of verdict counts over the number of blocks: shape (...)."""
    apart = np.abs(verdict_counts(made, margin) - verdict_counts(target, margin)).sum(axis=-1)
    return np.asarray(apart / (2 * made.shape[-1]))


def verdict_counts(theta: ArrayLike, margin: float = MARGIN) -> Integers:
    """Count relevant, marginal and irrelevant blocks: shape (..., 3).

    A block is marginal where |lambda - 1| <= margin, the ends included.
    """
    above = np.expm1(np.asarray(theta, np.float64))
    relevant, irrelevant = above > margin + TIE, above < -margin - TIE
    kinds = (relevant, ~(relevant | irrelevant), irrelevant)
    return np.stack([kind.sum(axis=-1) for kind in kinds], axis=-1)


def survivors(theta: Floats, weights: int, level: int = LEVEL) -> Floats:
    """Return log of N sum_t lambda_t^n, shape (...): what survives of a stage, but for .8^n.

    N is the number of weights of a block, n the number of prunings.
    """
    return np.asarray(np.log(weights) + np.logaddexp.reduce(level * theta, axis=-1))


def scores(
    scoring: Scoring,
    source: Sequence[Floats],
    target: Sequence[Floats],
    feeds: Sequence[Integers],
    weights: Sequence[int],
) -> Floats:
    """Score transforms of one spectrum against another.

    Parameters
    ----------
    scoring : Scoring
        The score, and its choices.
    source, target : sequence of array, a stage each, shapes (..., k) and (..., K)
        theta of both.
    feeds : sequence of integer array, a stage each, shape (C, K)
        Transforms.
    weights : sequence of int
        Weights of a normal block of every stage.

    Returns
    -------
    array, shape (..., C)
    """
    made = [push(theta, maps) for theta, maps in zip(source, feeds, strict=True)]
    wanted = [np.asarray(theta, np.float64)[..., None, :] for theta in target]
    if scoring.score == "density":
        # .8^n stands in both and cancels.
        survive = [_survivors(stages, weights, scoring.level) for stages in (made, wanted)]
        return np.asarray(survive[0] - survive[1])
    by_stage = [stage_score(scoring, m, t) for m, t in zip(made, wanted, strict=True)]
    return np.asarray(np.mean(by_stage, axis=0))


def stage_score(scoring: Scoring, made: Floats, target: Floats) -> Floats:
    """Return one of the scores that are means over stages, for one stage: shape (...)."""
    if scoring.score == "signature":
        return signature(made, target, scoring.margin)
    return _BY_STAGE[scoring.score](made, target)


def _survivors(stages: Sequence[Floats], weights: Sequence[int], level: int) -> Floats:
    terms = [survivors(theta, count, level) for theta, count in zip(stages, weights, strict=True)]
    return np.asarray(np.logaddexp.reduce(terms, axis=0))


_BY_STAGE: dict[str, Callable[[Floats, Floats], Floats]] = {"w1": w1, "position": position}


def first_share(costs: Floats) -> Floats:
    """Return how often each of C transforms comes first over draws: shape (C,), sum 1.

    Parameters
    ----------
    costs : array, shape (D, C)
        Lowest is best; those that tie share the place.
    """
    first = costs <= costs.min(axis=-1, keepdims=True) + TIE
    return np.asarray((first / first.sum(axis=-1, keepdims=True)).mean(axis=0))
