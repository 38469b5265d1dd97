"""Which of two maps gives the better ticket: the costs of `match` as chances, and their test.

The chance is the share of draws of both spectra in which the one map costs less. N1 has the same
draws about the spectra of untrained networks; the constant is one half.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from ...schemas.errors import RgtoolError, UsageError
from ...schemas.recipe import Recipe
from ...schemas.records.predictions import BETTER, Chance, Meant, Registered, Statement
from ...schemas.tickets.transform import Transform
from ...store import Store
from ...store.catalogue.predictions import Witness
from ...store.literature import PREFIX
from ..arrays import Floats
from ..elastic.blocks import NormalBlocks, Stages, normal_blocks
from ..elastic.maps import Candidates, candidates
from ..elastic.match import block_weights, drawn_costs
from ..elastic.scores import TIE, Scoring
from ..named import Named, StoreLike
from ..transfer.pairings import one_a_seed
from .drafts import Draft, by_experiment, counts_of_witnesses, no_transfer
from .laws import Outcome, chance_of
from .line import Outcomes

Accuracies = Mapping[tuple[int | None, int], float]  # by seed and level
MOST = 12  # maps of which all pairs are written down


def ordering_draft(
    store: StoreLike,
    source: Named,
    target: Named,
    *,
    maps: Sequence[str] = (),
    draws: int = 2000,
    rng: np.random.Generator | int = 0,
) -> Draft:
    """Predict which of two maps gives the better ticket, for all pairs of some.

    Parameters
    ----------
    store, source, target
        As of `match`; both need a spectrum with seeds.
    maps : sequence of str
        Those that are compared; default the families of maps, at most `MOST` of them.
    draws : int
        Draws of the spectra.
    rng : numpy.random.Generator or int
        Their randomness, or its seed.

    Raises
    ------
    RgtoolError
        As `match` does, or there are fewer than two maps.
    """
    one, other = normal_blocks(store, source), normal_blocks(store, target)
    given = [Transform.parse(text) for text in maps]
    found = candidates(one.stack, other.stack, "families", given)
    names = [str(found.transform(place)) for place in range(len(found))]
    wanted = dict.fromkeys(str(each.resolve(one.stack, other.stack)) for each in given)
    chosen = [names.index(name) for name in wanted or names][:MOST]
    if len(chosen) < 2:
        raise UsageError(f"{len(chosen)} map leads from {one.title} to {other.title}: name others")
    statements: tuple[Statement, ...] = ()
    refused = ""
    if one.can_draw and other.can_draw:
        statements = _statements(
            one, other, found, chosen, names, draws, np.random.default_rng(rng)
        )
    else:
        refused = "one seed does not tell how far another would lie from it: add seeds"
    stored = not any(side.name.startswith(PREFIX) for side in (one, other))
    fields = {"architecture": other.architecture, "task": str(other.task), "control": "none"}
    meant = Meant(None, one.name, fields, tuple(names[i] for i in chosen)) if stored else None
    return Draft(
        kind="ordering",
        source=one.name,
        target=other.name,
        labels=(one.label, other.label),
        meant=meant,
        statements=statements,
        settings={"score": "w1", "draws": str(draws)},
        refused=refused,
        notes=(f"{len(chosen)} of {len(names)} maps are compared",),
        untested=no_transfer(store, source, target) if stored else "",
    )


def _statements(
    one: NormalBlocks,
    other: NormalBlocks,
    found: Candidates,
    chosen: Sequence[int],
    names: Sequence[str],
    draws: int,
    rng: np.random.Generator,
) -> tuple[Statement, ...]:
    source, target = one.draws(draws, rng), other.draws(draws, rng)
    weights = block_weights(other)
    costs, null = _costs(source, target, found, weights), None
    if all(np.isfinite(stage).all() for side in (one, other) for stage in side.untrained):
        null = _costs(moved(source, one), moved(target, other), found, weights)
    return tuple(
        Statement(
            f"{names[i]}{BETTER}{names[j]}",
            better_of(costs[:, i], costs[:, j]),
            Chance(0.5),
            None if null is None else better_of(null[:, i], null[:, j]),
        )
        for i, j in combinations(chosen, 2)
    )


def moved(drawn: Stages, side: NormalBlocks) -> Stages:
    """Move draws of a spectrum to where N1 is: the same noise about another middle."""
    return tuple(
        part - theta + null
        for part, theta, null in zip(drawn, side.theta, side.untrained, strict=True)
    )


def better_of(one: Floats, other: Floats) -> Chance:
    """Return the chance that the first costs less, over draws (D,); ties are half of each."""
    less = (one < other - TIE).mean() + 0.5 * (np.abs(one - other) <= TIE).mean()
    return chance_of(float(less))


def _costs(source: Stages, target: Stages, found: Candidates, weights: Sequence[int]) -> Floats:
    return np.concatenate([*drawn_costs(Scoring("w1"), source, target, found, weights)])


def ordering_outcomes(store: Store, one: Registered, witnesses: list[Witness]) -> Outcomes:
    """Return which of two maps was better where both were trained: 1, 0, or 1/2 of a tie.

    Accuracies are compared at the levels and seeds that both have, in the mean; of maps that were
    trained by one recipe, an outcome for every recipe.
    """
    kinds: dict[Recipe, dict[str, Accuracies]] = {}
    for experiment, runs in by_experiment(witnesses).items():
        try:
            counts, _ = one_a_seed(store, counts_of_witnesses(store, experiment, runs))
        except RgtoolError:
            continue
        seeds = {
            (seed, int(level)): float(value)
            for seed, row in zip(counts.seeds, counts.accuracy, strict=True)
            for level, value in zip(counts.levels, row, strict=True)
            if level > 0 and np.isfinite(value)
        }
        kind = kinds.setdefault(replace(counts.recipe, transform=None), {})
        kind.setdefault(str(counts.recipe.transform), seeds)
    return {
        each.name: [*_compared(kinds.values(), *each.name.split(BETTER))] for each in one.statements
    }


def _compared(kinds: Iterable[Mapping[str, Accuracies]], a: str, b: str) -> Iterator[Outcome]:
    for found in kinds:
        if a in found and b in found and (outcome := better(found[a], found[b])) is not None:
            yield outcome


def better(one: Accuracies, other: Accuracies) -> Outcome | None:
    """Compare accuracies by seed and level; None where there is none that both have."""
    common = one.keys() & other.keys()
    if not common:
        return None
    apart = float(np.mean([one[key] - other[key] for key in sorted(common, key=str)]))
    value = 0.5 if abs(apart) < 1e-12 else float(apart > 0)
    return Outcome(value, value)
