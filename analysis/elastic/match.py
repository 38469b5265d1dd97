"""Which stretch or squeeze of a ticket fits a target, judged by the spectra of both alone.

Where source and target are pruned alike, a ticket that is stretched or squeezed should have the
target's flow (Redman et al. 2021, Sec. 3.2). What is pushed forward here are eigenvalues; no ticket
is made and nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from ...schemas.errors import UsageError, choose
from ...schemas.notes import Rank, noted
from ...schemas.tickets.transform import Transform
from ..arrays import Floats, Integers
from ..named import Named, StoreLike
from ..spectrum.noise import PUBLISHED_SD
from .blocks import (
    NormalBlocks,
    Stages,
    check_window,
    differences,
    normal_blocks,
    own_notes,
)
from .maps import Candidates, MapKind, as_transform, candidates
from .result import Match, side_by_side
from .scores import (
    LEVEL,
    MARGIN,
    SCORES,
    TIE,
    ScoreName,
    Scoring,
    first_share,
    push,
    scores,
    stage_score,
    survivors,
)

MAP_DRAWS = 2000
_AT_ONCE, _IN_ALL = 4e6, 1e8  # eigenvalues pushed: 32 MB, and some seconds


def match(
    store: StoreLike,
    source: Named | NormalBlocks,
    target: Named | NormalBlocks,
    *,
    maps: MapKind = "families",
    transforms: Sequence[str | Transform] = (),
    score: ScoreName = "w1",
    margin: float = MARGIN,
    level: int = LEVEL,
    window: tuple[int, int] | None = None,
    draws: int = MAP_DRAWS,
    rng: np.random.Generator | int = 0,
) -> Match:
    """Rank the stretches or squeezes that lead from one experiment to another.

    Parameters
    ----------
    store : Store or path, or None
        Where the records are.
    source, target : str
        Experiments or runs of the store or `published:NAME`; the target may be an architecture
        alone, of which only densities can be told. See `named.look_up`.
    maps : str
        `published`, `families` or `all`, see `elastic_maps.candidates`.
    transforms : sequence of str or Transform
        Further ones, such as `0:0;1:1,2`.
    score, margin, level
        What the maps are ranked by: `w1`, `position`, `signature` or `density`, see `Scoring`.
    window : (a, b), optional
        Levels of experiments of the store between which eigenvalues are taken.
    draws : int
        Draws for the probabilities; fewer where there are many maps, which is said.
    rng : numpy.random.Generator or int
        Their randomness, or its seed.

    Raises
    ------
    RgtoolError
        A block has collapsed, or there are too few levels.
    UsageError
        An experiment, a transform or a choice is not to be had; networks of different families.
    """
    scoring, maps = Scoring(score, margin, level), choose("maps", maps, get_args(MapKind))
    given = [one if isinstance(one, Transform) else Transform.parse(one) for one in transforms]
    one = normal_blocks(store, source, window)
    other = normal_blocks(store, target, window, lone=True)
    check_window(window, [one, other])
    return _match(
        one, other, scoring, candidates(one.stack, other.stack, maps, given), maps, draws, rng
    )


def _match(
    source: NormalBlocks,
    target: NormalBlocks,
    scoring: Scoring,
    found: Candidates,
    maps: MapKind,
    draws: int,
    rng: np.random.Generator | int,
) -> Match:
    values = {name: _values(replace(scoring, score=name), source, target, found) for name in SCORES}
    costs = scoring.cost(values[scoring.score])
    order = np.argsort(np.round(costs / TIE), kind="stable")
    probability, used, about = _probabilities(source, target, found, scoring, draws, rng)
    apart, apart_value = _apart_by_stage(source, target, found, scoring)
    result = Match(
        source=source,
        target=target,
        scoring=scoring,
        maps=maps,
        transforms=tuple(found.transform(int(i)) for i in order),
        family=tuple(found.family[i] for i in order),
        published=tuple(found.published[i] for i in order),
        w1=values["w1"][order],
        position=values["position"][order],
        signature=values["signature"][order],
        density=values["density"][order],
        rank=_ranks(costs[order]),
        probability=probability[order],
        draws=used,
        apart=apart,
        apart_value=apart_value,
        notes=(
            *noted(_unscored(target, scoring), Match.see, Rank.WARNING),
            *found.notes,
            *_tied(costs[order], scoring),
            *about,
            *_most_often(found, probability, order),
            *_apart_note(apart, apart_value, scoring, len(found)),
            *own_notes(source),
            *own_notes(target),
            *differences([source, target]),
        ),
    )
    stages = noted(side_by_side(result), Match.see, Rank.CONCLUSION)
    return replace(result, notes=(*stages, *result.notes))


def _goal(target: NormalBlocks) -> Stages:
    """Return the target's theta, or that of a network pruned alike everywhere."""
    return target.theta or tuple(np.zeros(depth) for depth in target.stack.depths)


def block_weights(target: NormalBlocks) -> list[int]:
    """Return the weights of a normal block of every stage."""
    return [stage.weights for stage in target.stack.stages]


def _values(
    scoring: Scoring, source: NormalBlocks, target: NormalBlocks, found: Candidates
) -> Floats:
    if not target.theta and scoring.score != "density":
        return np.full(len(found), np.nan)
    return scores(scoring, source.theta, _goal(target), found.feeds, block_weights(target))


def drawn_costs(
    scoring: Scoring,
    source: Stages,
    target: Stages,
    found: Candidates,
    weights: Sequence[int],
) -> Iterator[Floats]:
    """Go through the costs of transforms over draws, some draws at a time: shapes (d, C).

    Parameters
    ----------
    scoring : Scoring
        The score.
    source, target : tuple of array, a stage each, shapes (D, k) and (D, K)
        Draws of theta.
    found : Candidates
        The transforms.
    weights : sequence of int
        Weights of a normal block of every stage.
    """
    step = max(1, int(_AT_ONCE // _pushed_number(found)))
    for first in range(0, len(source[0]), step):
        parts = [[stage[first : first + step] for stage in stages] for stages in (source, target)]
        yield scoring.cost(scores(scoring, parts[0], parts[1], found.feeds, weights))


def affordable(asked: int, found: Candidates) -> int:
    """Return how many draws of so many transforms are taken: some seconds' worth."""
    return min(asked, max(50, int(_IN_ALL // max(_pushed_number(found), 1000))))


def _pushed_number(found: Candidates) -> int:
    return sum(feeds.size for feeds in found.feeds)


def _probabilities(
    source: NormalBlocks,
    target: NormalBlocks,
    found: Candidates,
    scoring: Scoring,
    draws: int,
    rng: np.random.Generator | int,
) -> tuple[Floats, int, list[str]]:
    """Return how often each transform comes first, over how many draws, and what to say of it."""
    if draws < 1:
        raise UsageError(f"draws is {draws}: at least 1 is needed")
    nothing = np.full(len(found), np.nan)
    if not target.theta and scoring.score != "density":
        return nothing, 0, []
    sides = [one for one in (source, target) if one.theta]
    if not all(one.can_draw for one in sides):
        return nothing, 0, [no_draws(sides)]
    count = affordable(draws, found)
    generator = np.random.default_rng(rng)
    drawn = source.draws(count, generator)
    goal = (
        target.draws(count, generator)
        if target.theta
        else tuple(np.zeros((count, depth)) for depth in target.stack.depths)
    )
    total = np.zeros(len(found))
    for costs in drawn_costs(scoring, drawn, goal, found, block_weights(target)):
        total += first_share(costs) * len(costs)
    return total / count, count, about_draws(sides, count, draws)


def no_draws(sides: Sequence[NormalBlocks]) -> str:
    """Say why there are no probabilities."""
    lone = dict.fromkeys(one.title for one in sides if not one.can_draw)
    return (
        f"no probabilities: {' and '.join(lone)} {'has' if len(lone) == 1 else 'have'} one seed, "
        "which does not tell how far another would lie from it: more seeds do"
    )


def about_draws(
    sides: Sequence[NormalBlocks], count: int, asked: int, what: str = "map"
) -> list[str]:
    """Say what probabilities are shares of: draws that put a map, or a source, first."""
    fewer = f", not {asked:,}: there are many maps" if count < asked else ""
    notes = [
        f"probability: share of {count:,} draws of the spectra that put the {what} first{fewer}"
    ]
    published = dict.fromkeys(one.name for one in sides if one.seeds == 0)
    if published:
        notes.append(
            f"no seeds are published of {', '.join(published)}: draws have an assumed sd of "
            f"{PUBLISHED_SD:.4f} in log eigenvalue (.008 between seeds, .0029 of rounding)"
        )
    return notes


def _most_often(found: Candidates, probability: Floats, order: Integers) -> list[str]:
    if not np.isfinite(probability).all():
        return []
    often = int(np.argmax(probability))
    if probability[often] <= probability[order[0]] + TIE:
        return []
    return [
        f"most often first is {found.transform(often)} ({probability[often]:.2f} of the draws): "
        "noise hides many small differences sooner than one large"
    ]


def _unscored(target: NormalBlocks, scoring: Scoring) -> list[str]:
    if target.theta:
        return []
    ranked = (
        "ranked by density alone"
        if scoring.score == "density"
        else "the maps are listed, not ranked: --score density ranks them"
    )
    return [
        f"{target.name} has no spectrum: w1, position and signature cannot be told, and density is "
        f"over that of a network pruned alike everywhere; {ranked}"
    ]


def _ranks(costs: Floats) -> Floats:
    """Return ranks of ascending costs; those that tie share the best."""
    if not np.isfinite(costs).all():
        return np.full(len(costs), np.nan)
    opens = np.concatenate([[True], np.diff(costs) > TIE])
    places = np.arange(1.0, len(costs) + 1)
    return np.asarray(np.maximum.accumulate(np.where(opens, places, 0.0)))


def _tied(costs: Floats, scoring: Scoring) -> list[str]:
    tied = int((costs <= costs[0] + TIE).sum())  # none where there are no costs
    blind = scoring.score != "position"
    why = ": it does not see the order of blocks" if blind else ""
    return [f"{tied} maps share the first place by {scoring.score}{why}"] if tied > 1 else []


def _apart_by_stage(
    source: NormalBlocks, target: NormalBlocks, found: Candidates, scoring: Scoring
) -> tuple[Transform | None, float]:
    """Find the best map of every stage by itself; scores are sums over stages, so this is exact."""
    if not target.theta or len(source.theta) < 2 or len(found) < 2 or not found.uniform:
        return None, np.nan
    chosen = []
    stages = zip(source.theta, target.theta, found.feeds, block_weights(target), strict=True)
    for theta, goal, maps, weights in stages:
        made = push(theta, maps)
        costs = (
            -survivors(made, weights, scoring.level)
            if scoring.score == "density"
            else stage_score(scoring, made, goal)
        )
        chosen.append(maps[int(np.argmin(np.round(costs / TIE)))])
    feeds = [one[None] for one in chosen]
    value = scores(scoring, source.theta, target.theta, feeds, block_weights(target))
    return as_transform([one.tolist() for one in chosen]), float(value[0])


def _apart_note(apart: Transform | None, value: float, scoring: Scoring, count: int) -> list[str]:
    if apart is None or len(apart.stages) == 1:
        return []
    return [
        f"with a map of its own for every stage: {apart}, {scoring.score} {value:.4f}, the best of "
        f"{count:,}^{len(apart.stages)}"
    ]
