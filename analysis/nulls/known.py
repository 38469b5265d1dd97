"""What is known of an experiment that its initial-scale null needs: scales, and how it was pruned.

There is no null without a known initialiser. Own runs have one; of an import files, a manifest, the
user or the study of its format tell it, of a recording the user, and stored weights tell the scales
themselves. What is only assumed is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ...schemas.errors import UsageError
from ...schemas.notes import Note, Rank
from ...schemas.recipe import Recipe
from ...schemas.records.description import RECORDED, untold
from ...store.counts import Counts, Scales
from .initial import INITIALISERS, DistributionName, initialiser

ScaleSource = Literal["recipe", "stored"]

ASSUMED = "importing.md#what-is-assumed"
PRUNING = ("pruner", "scope")  # fields of the recipe that say what is ranked with what


def blindness(recipe: Recipe) -> tuple[str, ...]:
    """Say why the scales of layers do not matter; empty where they do."""
    if recipe.pruner != "random" and recipe.scope != "layerwise":
        return ()
    what = "a random pruner" if recipe.pruner == "random" else "layerwise scope"
    return (
        f"{what} does not see the scales of layers: the null is equal retention in all of them",
    )


def null_words(recipe: Recipe) -> str:
    """Say what the null of a recipe stands for."""
    return "equal retention" if blindness(recipe) else "the initial scales alone"


def scale_source(
    counts: Counts, scales: Sequence[Scales] = ()
) -> tuple[ScaleSource, tuple[str, ...]]:
    """Decide where the initial scales of an experiment are taken from.

    Parameters
    ----------
    counts : Counts
        The experiment: its recipe, what of it is assumed, and its layers.
    scales : sequence of mapping
        Stored scales of every run; empty: they are not to be used. What is measured goes before
        what is assumed.

    Returns
    -------
    source : str
        `recipe`: the initialiser of the recipe; `stored`: `scales`.
    notes : tuple of str
        What is assumed.

    Raises
    ------
    UsageError
        Nothing tells the scales, or the null is not that of this pruner or of runs that begin at a
        pruned mask; the message says what would help.
    """
    recipe = counts.recipe
    if recipe.start is not None:
        raise UsageError(
            "it is that of a network pruned from its initial weights on, and these runs begin at "
            f"the masks that {recipe.parent} has at level {recipe.start}"
        )
    if blindness(recipe):
        return "recipe", assumptions(counts, PRUNING)
    if recipe.pruner != "magnitude":
        raise UsageError(f"it is that of pruning by magnitude, not by {recipe.pruner}")
    assumed = "init" in counts.assumed
    if any(scales) and (assumed or recipe.init not in INITIALISERS):
        return "stored", assumptions(counts, PRUNING)
    if not counts.has_shapes:
        raise UsageError(
            "a table tells no shapes, from which initial scales follow: name layers as a known "
            "network does and import it with --arch and --init"
        )
    if assumed and not counts.study:
        raise UsageError(f"nothing tells how its weights were initialised: {_cure(counts.source)}")
    initialiser(recipe.init)
    fan = () if recipe.init.startswith("xavier") else ("fan",)  # Xavier's takes both
    return "recipe", assumptions(counts, ("init", *fan, *PRUNING))


def _cure(source: str) -> str:
    if source == RECORDED:
        return "record it with init= and fan= or recipe=, or with recorder.start(model)"
    return (
        "import it with --init and --fan or --recipe, with a manifest.json that has them, or with "
        "its initial weights"
    )


def weight_law(counts: Counts) -> tuple[DistributionName, tuple[str, ...]]:
    """Return the distribution of initial weights, that of the recipe's initialiser, and notes.

    Gaussian, and said, where nothing tells it: of weights that come from elsewhere, such as
    pretrained ones, and of a source that does not tell its initialiser.
    """
    init, assumed = counts.recipe.init, "init" in counts.assumed
    if init in INITIALISERS and (counts.study or not assumed):
        return initialiser(init).distribution, assumptions(counts, ("init", *PRUNING))
    why = f"{untold(counts.source)} the initialiser" if assumed else f"init is {init}"
    text = f"scales are those of Gaussian weights, which need not be the law of these: {why}"
    unknown = Note(text, "spectra.md#canonical-and-anomalous", Rank.WARNING)
    return "gaussian", (unknown, *assumptions(counts, PRUNING))


def assumptions(counts: Counts, fields: Sequence[str]) -> tuple[str, ...]:
    """Say what of these fields of the recipe is assumed; empty where all are told."""
    found = [f"{name} {getattr(counts.recipe, name)}" for name in fields if name in counts.assumed]
    if not found:
        return ()
    source = f"recipe {counts.study}" if counts.study else "default"
    those = "" if counts.source != RECORDED else ", by arguments of these names"
    text = f"assumed ({source}; {untold(counts.source)}{those}): {', '.join(found)}"
    return (Note(text, ASSUMED, Rank.WARNING),)
