"""Transforms from one experiment to another, ranked: the result of a match."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...schemas.tickets.transform import Transform
from ..arrays import Floats
from ..result import Column, Result
from .blocks import NormalBlocks, Stages
from .maps import MapKind
from .scores import Scoring, push

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 20  # maps that people are shown
SCORE_COLUMNS = (
    Column("w1", "Distance of the sorted log eigenvalues.", "log, a level", ".4f", "if any"),
    Column("position", "The same block by block.", "log, a level", ".4f", "if any"),
    Column(
        "signature",
        "Distance of the counts of relevant, marginal and irrelevant blocks.",
        "",
        ".4f",
        "if any",
    ),
    Column("density", "Log of transformed over target survivors.", "log", "z.4f", "if any"),
)


@dataclass(frozen=True, eq=False)
class Match(Result):
    """Transforms from one experiment to another, best first. NaN where nothing can be said.

    Attributes
    ----------
    source, target : NormalBlocks
        The spectra that are compared.
    scoring : Scoring
        What they are ranked by, and its choices.
    maps : str
        Which were tried: `published`, `families` or `all`.
    transforms : tuple of Transform, length C
        Best first; as enumerated where they cannot be ranked.
    family, published : tuple of str, length C
        As in `Candidates`.
    w1, position, signature, density : array, shape (C,)
        Scores, see `elastic_scores`. Lower is better but for density, where higher is denser. Of a
        target without a spectrum the density is over that of a network pruned alike everywhere.
    rank : array, shape (C,)
        From 1; transforms that tie share the best of their ranks. NaN where there is no ranking.
    probability : array, shape (C,)
        How often each comes first, over draws of both spectra.
    draws : int
        Their number; 0 where there are none.
    apart : Transform or None
        The best of the maps in every stage by itself, where all tried map the stages alike.
    apart_value : float
        Its score.
    notes : tuple of str
        What the numbers alone do not say.
    """

    source: NormalBlocks
    target: NormalBlocks
    scoring: Scoring
    maps: MapKind
    transforms: tuple[Transform, ...]
    family: tuple[str, ...]
    published: tuple[str, ...]
    w1: Floats
    position: Floats
    signature: Floats
    density: Floats
    rank: Floats
    probability: Floats
    draws: int
    apart: Transform | None
    apart_value: float
    notes: tuple[str, ...]

    columns = (
        Column("rank", "From 1; maps that tie share the best of their ranks.", shown="if any"),
        Column("transform", "source blocks : target blocks of every stage."),
        Column("family", "Kind of map."),
        Column("published", "Its name in Chen et al. 2021c.", shown="if any"),
        *SCORE_COLUMNS,
        Column("probability", "Share of draws that put it first.", "", ".3f", "if any"),
    )
    rows = "a row for every map, best first"
    see = "elastic.md#scores"
    most = MOST

    @property
    def ranked(self) -> bool:
        """Whether the transforms are ranked: not where the target has nothing to be held to."""
        return bool(np.isfinite(self.rank).all())

    @property
    def best(self) -> Transform:
        """The transform that is listed first."""
        return self.transforms[0]

    @property
    def title(self) -> str:
        """One line that says what this is."""
        count = len(self.transforms)
        maps = f"{count} {'map' if count == 1 else 'maps'} ({self.maps})"
        return f"{self.source.title} -> {self.target.title}: {maps} by {self.scoring.score}"

    def pushed(self, place: int = 0) -> Stages:
        """Return the eigenvalues that a listed transform gives: a stage each, shape (K,)."""
        maps = self.transforms[place].stages
        maps = maps if len(maps) > 1 else maps * len(self.source.theta)
        return tuple(
            np.exp(push(theta, np.array(one.feeds, np.int64)))
            for theta, one in zip(self.source.theta, maps, strict=True)
        )

    def _values(self) -> dict[str, Any]:
        return {
            "rank": [int(rank) if math.isfinite(rank) else None for rank in self.rank],
            "transform": [str(transform) for transform in self.transforms],
            "family": self.family,
            "published": [name or None for name in self.published],
            "w1": self.w1,
            "position": self.position,
            "signature": self.signature,
            "density": self.density,
            "probability": self.probability,
        }

    def plot(self) -> Figure:
        """Draw it, as `rgtool.plot` does."""
        from ..plots.match import plot_match

        return plot_match(self)


def side_by_side(found: Match) -> tuple[str, ...]:
    """Return a line per stage: eigenvalues of the source, of the first map, of the target."""
    made, wanted = found.pushed() if found.ranked else (), found.target.eigenvalue
    lines = []
    for i, stage in enumerate(found.source.stack.stages):
        parts = [("source", found.source.eigenvalue[i])]
        parts += [("first", made[i])] if made else []
        parts += [("target", wanted[i])] if wanted else []
        texts = (f"{name} {' '.join(f'{v:.3f}' for v in values)}" for name, values in parts)
        lines.append(f"stage {stage.name}: {'; '.join(texts)}")
    return tuple(lines)
