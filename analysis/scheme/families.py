"""Which experiments are one scheme: pruned alike but for the steps, trained or not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ...schemas.recipe import Recipe
from ..window import Window
from .semigroup import STEPS

# What an untrained flow of a scheme has in common with a trained one.
_BEGINNING = (
    "architecture", "task", "init", "pretrained", "fan", "bn_init", "head_init", "pooling",
    "pruner", "scope", "prunable", "exempt", "origin",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Family:
    """Experiments that differ in the steps alone by which they are pruned.

    Attributes
    ----------
    main : Window
        The one scored anew at every level, in the smallest steps; one that has a coarser one
        beside it goes before.
    coarser : tuple of Window
        Those that prune more at a time, the next first.
    at_once : tuple of Window
        Those that score the dense network for every density, in as many steps as the main one
        first, then in fewest; without the main one.
    rest : tuple of Window
        The others, scored in other steps than the main one.
    """

    main: Window
    coarser: tuple[Window, ...] = ()
    at_once: tuple[Window, ...] = ()
    rest: tuple[Window, ...] = ()

    @property
    def recipe(self) -> Recipe:
        """The recipe of the main experiment."""
        return self.main.counts.recipe

    @property
    def pruner(self) -> str:
        """What ranks the weights."""
        return self.recipe.pruner

    @property
    def trained(self) -> bool:
        """Whether training has a say in what is pruned."""
        return is_trained(self.recipe)


def is_trained(recipe: Recipe) -> bool:
    """Tell whether training has a say in what is pruned, which ranks other weights than initial."""
    return recipe.epochs != 0 and not (recipe.score_at == "rewind" and recipe.rewind == "0it")


def families(windows: Sequence[Window]) -> list[Family]:
    """Put experiments of one scheme together, in the order of the first of each."""
    found: dict[object, list[Window]] = {}
    seen = Counter[Recipe]()
    for window in windows:
        recipe = window.counts.recipe
        # Runs of one experiment that were named one by one are schemes of their own.
        found.setdefault((seen[recipe], _without_steps(recipe)), []).append(window)
        seen[recipe] += 1
    return [_family(members) for members in found.values()]


def untrained_of(family: Family, others: Sequence[Family]) -> Family | None:
    """Find the flow of the same scheme before training."""
    return _like(family, others, trained=False, but=())


def magnitude_of(family: Family, others: Sequence[Family]) -> Family | None:
    """Find the flow of magnitude pruning that is trained, or not, as this one is."""
    return _like(family, others, trained=family.trained, but=("pruner",), pruner="magnitude")


def _like(
    family: Family,
    others: Sequence[Family],
    *,
    trained: bool,
    but: tuple[str, ...],
    pruner: str | None = None,
) -> Family | None:
    """Find the first other family that begins alike; of several the one that differs least."""
    fitting = [
        one
        for one in others
        if one is not family
        and one.trained == trained
        and one.pruner == (pruner or family.pruner)
        and one.main.counts.by == family.main.counts.by
        and _differing(one.recipe, family.recipe, _BEGINNING, but) == 0
    ]
    every = tuple(x.name for x in fields(Recipe))
    return min(fitting, key=lambda x: _differing(x.recipe, family.recipe, every, but), default=None)


def _differing(a: Recipe, b: Recipe, names: Sequence[str], but: Sequence[str]) -> int:
    return sum(getattr(a, name) != getattr(b, name) for name in names if name not in but)


def _without_steps(recipe: Recipe) -> Recipe:
    """Return what is equal in one family: all of the recipe but the steps."""
    defaults: dict[str, Any] = {x.name: x.default for x in fields(Recipe) if x.name in STEPS}
    return replace(recipe, **defaults)


def _family(members: Sequence[Window]) -> Family:
    recipes = [x.counts.recipe for x in members]
    shares = Counter((_scoring(x), x.prune) for x in recipes)
    sizes = Counter(scoring for scoring, _ in shares)

    def order(window: Window) -> tuple[bool, bool, float, int]:
        recipe = window.counts.recipe
        alone = sizes[_scoring(recipe)] == 1
        return recipe.score_from == "dense", alone, recipe.prune, -recipe.score_steps

    main, *others = sorted(members, key=order)
    of = main.counts.recipe
    coarser, at_once, rest = list[Window](), list[Window](), list[Window]()
    for one in others:
        recipe = one.counts.recipe
        if recipe.score_from == "dense" and recipe.score_steps < _iterations(of):
            at_once.append(one)
        else:
            (coarser if _scoring(recipe) == _scoring(of) else rest).append(one)

    def nearest(window: Window) -> tuple[bool, int, bool, float]:
        recipe = window.counts.recipe
        steps, prune = recipe.score_steps, recipe.prune
        return steps != of.score_steps, steps, prune != of.prune, prune

    return Family(main, tuple(coarser), tuple(sorted(at_once, key=nearest)), tuple(rest))


def _scoring(recipe: Recipe) -> tuple[str, int]:
    """Return what a step of pruning is scored from, and in how many steps of its own."""
    return recipe.score_from, recipe.score_steps


def _iterations(recipe: Recipe) -> float:
    """Return how often the dense network is scored on the way to a density."""
    return float(recipe.score_steps) if recipe.score_from == "dense" else math.inf
