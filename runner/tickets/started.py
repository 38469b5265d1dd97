"""Runs that prune on from a ticket: what the ticket, and the pruner, must be for it."""

from __future__ import annotations

from collections.abc import Mapping

from ...schemas.errors import UsageError
from ...schemas.recipe import Recipe
from ...schemas.spelling import asked
from ..pruners.demands import check_scheme
from ..pruners.registry import find_pruner
from .perturbed import Exchange, exchanging
from .request import Request
from .source import Source
from .transforms import Transformation


def check_exchanges(
    sources: Mapping[int, Source], carried: Transformation, recipe: Recipe, asked_for: Request
) -> None:
    """Hold that the ticket of every run can be perturbed as asked; errors are of `Exchange.moves`.

    Parameters
    ----------
    sources : mapping of int to Source
        The parent's run that each seed is paired with.
    carried : Transformation
        What becomes of tickets.
    recipe, asked_for : Recipe, Request
        What the child does, and what is asked of it.
    """
    if carried.perturbation is None:
        return
    layers = exchanging(asked_for.architecture.counted(recipe.prunable), recipe)
    for source in sources.values():
        for level in asked_for.taken:
            Exchange(source, level, carried.perturbation, layers).moves()


def check_pruner(recipe: Recipe, asked_for: Request) -> None:
    """Hold that what pruned the parent can prune on from one of its tickets.

    A recipe has the name of a pruner alone; one of the user's own is found where it is asked for.

    Parameters
    ----------
    recipe, asked_for
        As for `check_exchanges`.

    Raises
    ------
    UsageError
        The pruner cannot be had, is another one, or looks at the dense network alone.
    """
    if recipe.score_from == "dense":
        raise UsageError(
            "the parent prunes at every level from the dense network on (score_from), and not from "
            f"the ticket of the level before, so {asked('start', recipe.start)} would change "
            f"nothing: a run without {asked('parent', recipe.parent)} scores its own dense network "
            f"at the same densities, {asked('at', recipe.start)} trains the ticket"
        )
    wanted = asked_for.changes.get("pruner")
    try:
        pruner = find_pruner(recipe.pruner if wanted is None else wanted)
    except UsageError as error:
        raise UsageError(
            f"{error}; it is that of the parent: where it is one of your own, "
            f"{asked('pruner', 'FILE.py:NAME')} says where it lies"
        ) from None
    if pruner.name != recipe.pruner:
        raise UsageError(
            f"pruner {pruner.name} cannot be chosen: a run prunes on by that of its parent, "
            f"{recipe.pruner}"
        )
    check_scheme(recipe, pruner, asked_for.images, asked_for.network)
