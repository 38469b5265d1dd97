"""The orderings of elastic tickets that Chen et al. 2021c report, and how scores agree with them.

Maps and orderings come from their figures and text, the spectra from Tables 3, 7 and 8 of Redman et
al. 2021. The orderings are readings of prose, ten of them share one loser, and w1 was chosen on
them: agreement is evidence, not proof.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...schemas.tickets.transform import Transform
from ...store import published
from ...store.figures import figure_rows
from ..arrays import Floats, Integers
from .blocks import NormalBlocks, Stages, of_published
from .scores import TIE, Scoring, scores


@dataclass(frozen=True)
class PublishedTransform:
    """A stretch or squeeze that was trained.

    Attributes
    ----------
    name : str
        Unique name, such as `56>32 keep1458`.
    source, target : str
        Architectures.
    transform : Transform
        The map.
    """

    name: str
    source: str
    target: str
    transform: Transform


@dataclass(frozen=True, eq=False)
class Concordance:
    """How a score agrees with the published orderings.

    Attributes
    ----------
    gap : array, shape (..., 33)
        Cost of the worse minus cost of the better transform, an ordering each: positive where the
        score agrees.
    """

    gap: Floats

    @property
    def wins(self) -> Integers:
        """Orderings that the score gives: shape (...)."""
        return np.asarray((self.gap > TIE).sum(axis=-1))

    @property
    def losses(self) -> Integers:
        """Orderings that it reverses: shape (...)."""
        return np.asarray((self.gap < -TIE).sum(axis=-1))

    @property
    def ties(self) -> Integers:
        """Orderings of two transforms that it cannot tell apart: shape (...)."""
        return np.asarray((np.abs(self.gap) <= TIE).sum(axis=-1))


@functools.cache
def published_transforms() -> Mapping[str, PublishedTransform]:
    """Return the transforms of Chen et al. 2021c by name.

    Examples
    --------
    >>> str(published_transforms()["32>44"].transform)
    '0:0;1:1,3;2:2,4;3:5;4:6'
    """
    return {
        row["transform"]: PublishedTransform(
            row["transform"],
            row["from_architecture"],
            row["architecture"],
            Transform.parse(row["mapping"]),
        )
        for row in figure_rows("published_elastic_mappings")
    }


def orderings() -> list[tuple[str, str, str]]:
    """Return the published orderings: the better transform, the worse one, what is claimed."""
    return [
        (row["better"], row["worse"], row["claim"])
        for row in figure_rows("published_elastic_orderings")
    ]


@functools.cache
def published_blocks(architecture: str) -> NormalBlocks:
    """Return the published spectrum of a CIFAR ResNet, Tables 3, 7 and 8."""
    return of_published(published(f"{architecture}-cifar10"))


def published_theta() -> dict[str, Stages]:
    """Return the published spectra of all architectures that the orderings speak of."""
    names = {n for one in published_transforms().values() for n in (one.source, one.target)}
    return {name: published_blocks(name).theta for name in sorted(names)}


def jittered(half: float, number: int, rng: np.random.Generator) -> dict[str, Stages]:
    """Draw spectra that print alike: each eigenvalue moved by up to `half`, uniformly.

    Returns
    -------
    dict of str to tuple of array, a stage each, shape (number, k)
    """
    return {
        name: tuple(
            np.log(np.exp(stage) + rng.uniform(-half, half, (number, len(stage))))
            for stage in stages
        )
        for name, stages in published_theta().items()
    }


def published_scores(
    scoring: Scoring,
    theta: Mapping[str, Stages] | None = None,
    stages: Sequence[int] | None = None,
) -> dict[str, Floats]:
    """Score the published transforms by their spectra.

    Parameters
    ----------
    scoring : Scoring
        The score.
    theta : mapping of str to tuple of array, a stage each, shape (..., k), optional
        Spectra by architecture; default those that are printed.
    stages : sequence of int, optional
        Stages that count, from 1; default all.

    Returns
    -------
    dict of str to array, shape (...)
        By name of the transform.
    """
    spectra = published_theta() if theta is None else theta
    found = {}
    for name, one in published_transforms().items():
        (only,) = one.transform.stages
        blocks = published_blocks(one.target).stack.stages
        chosen = range(len(blocks)) if stages is None else [stage - 1 for stage in stages]
        values = scores(
            scoring,
            [spectra[one.source][i] for i in chosen],
            [spectra[one.target][i] for i in chosen],
            [np.array([only.feeds], np.int64)] * len(chosen),
            [blocks[i].weights for i in chosen],
        )
        found[name] = values[..., 0]
    return found


def concordance(
    scoring: Scoring,
    theta: Mapping[str, Stages] | None = None,
    stages: Sequence[int] | None = None,
) -> Concordance:
    """Hold a score to the published orderings; parameters are those of `published_scores`.

    Examples
    --------
    >>> found = concordance(Scoring("w1"))
    >>> int(found.wins), int(found.ties), int(found.losses)
    (29, 0, 4)
    """
    values = published_scores(scoring, theta, stages)
    costs = {name: scoring.cost(value) for name, value in values.items()}
    gaps = [costs[worse] - costs[better] for better, worse, _ in orderings()]
    return Concordance(np.stack(gaps, axis=-1))
