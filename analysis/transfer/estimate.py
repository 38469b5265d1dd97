"""From the runs of a store to what a transfer shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ...schemas.errors import RgtoolError
from ...schemas.notes import Note, Rank
from ..arrays import Floats
from ..chance import guessing, images_of, learned_nothing
from ..classes.compare import Comparison, compare
from ..curves.matching import matching_draws, matching_level
from ..named import Named, StoreLike, counts_of_all
from ..scoreboard.predict import predict
from ..values import NOTHING, Estimate
from .arms import Arm, Arms, arm_of, unit_of
from .conditions import OWN, SHUFFLE, TRANSFERRED
from .differences import UNKNOWN, Difference, difference, mean_of, seed_pairs
from .notes import always, conclusions, of_cells, of_seeds
from .result import Cell, Transfer

_DRAWS = 9999
_WHAT = "a transfer"


def read_arms(store: StoreLike, source: Named, own: Named, children: Mapping[str, Named]) -> Arms:
    """Read the runs of a transfer; parameters and errors are those of `measure_transfer`."""
    names = [source, own, *children.values()]
    of_source, of_own, *read = counts_of_all(store, names, "layer", _WHAT)
    of_children = zip(children, read, strict=True)
    arms = {OWN: arm_of(OWN, of_own)} | {name: arm_of(name, one) for name, one in of_children}
    moved = dict(zip(children, read, strict=True)).get(TRANSFERRED)
    return Arms(of_source, of_own, moved, arms, unit_of(arms.values()))


def measure_transfer(
    store: StoreLike,
    source: Named,
    own: Named,
    children: Mapping[str, Named],
    *,
    at: Sequence[int] | None = None,
    tickets: Mapping[int, int] | None = None,
    spectra: bool = True,
    rng: np.random.Generator | int = 0,
) -> Transfer:
    """Hold tickets of a source against the target's own, and against controls.

    Parameters
    ----------
    store : Store or path, or None
        Where the records are.
    source, own : str
        Experiments: where the tickets come from, and that of the target's own tickets.
    children : mapping of str to str
        Experiments by condition, see `conditions.CONDITIONS`; `transferred` is one.
    at : sequence of int, optional
        Levels to show; default all that the children have.
    tickets : mapping of int to int, optional
        Seeds of children, each with that of the source's run whose ticket it trains; default equal.
    spectra : bool
        Whether to compare the spectra of source and target, and say what `predict` does.
    rng : numpy.random.Generator or int
        Randomness of intervals of matching densities and of the tests of spectra.

    Raises
    ------
    UsageError
        A name cannot be had.
    RgtoolError
        An experiment has no accuracy on record.
    """
    rng = np.random.default_rng(rng)
    found = read_arms(store, source, own, children)
    levels = _levels(found, at)
    cells = tuple(_cells(found, levels))
    guesses = _dense_guesses(found)
    matching = {
        name: NOTHING if guesses else _matching(arm, found.arms[OWN], rng)
        for name, arm in found.arms.items()
    }
    verdict, predicted, about = "", "", list[Note]()
    if spectra and not found.is_own_task:
        verdict, predicted, about = _of_spectra(store, source, own, rng)
    return Transfer(
        source=found.source.experiment_id,
        source_label=found.source.label,
        own=found.own.experiment_id,
        task=found.own.recipe.task,
        cells=cells,
        unit=found.unit,
        matching=matching,
        verdict=verdict,
        predicted=predicted,
        notes=(
            *conclusions(cells, matching, guesses),
            *about,
            *of_seeds(found),
            *of_cells(cells, found),
            *always(found, tickets),
        ),
    )


def _levels(found: Arms, at: Sequence[int] | None) -> list[int]:
    """Return the levels to show: those asked for, else those of the children."""
    children = [arm for name, arm in found.arms.items() if name != OWN]
    shown = {int(level) for arm in children for level in arm.levels}
    return sorted(shown if at is None else set(at))


def _cells(found: Arms, levels: Sequence[int]) -> list[Cell]:
    guess, images = guessing(found.own), images_of(found.own.recipe.task)
    own, shuffled = found.arms[OWN], found.arms.get(SHUFFLE)

    def against(arm: Arm, column: int, other: Arm | None) -> Difference:
        if other is None or other is arm:
            return UNKNOWN
        return difference(arm, column, other, found.unit)

    return [
        Cell(
            condition=name,
            experiment_id=arm.experiment_id,
            level=int(level),
            density=float(np.nanmean(arm.density[:, column])),
            accuracy=mean_of(arm.accuracy[:, column], found.unit),
            runs=int(np.isfinite(arm.accuracy[:, column]).sum()),
            guessing=_who_guesses(arm.accuracy[:, column], guess, images),
            to_own=against(arm, column, own),
            to_shuffle=against(arm, column, shuffled),
        )
        for name, arm in found.arms.items()
        for column, level in enumerate(arm.levels)
        if level in levels
    ]


def _who_guesses(accuracy: Floats, guess: float | None, images: int) -> str:
    """Say whether `all` or `some` runs cannot be told from guessing."""
    known = accuracy[np.isfinite(accuracy)]
    if guess is None or not len(known):
        return ""
    if learned_nothing(known[:, None], guess, images):
        return "all"
    return "some" if any(learned_nothing(one[None, None], guess, images) for one in known) else ""


def _dense_guesses(found: Arms) -> bool:
    """Tell whether no dense network of the target can be told from guessing."""
    own, guess = found.arms[OWN], guessing(found.own)
    if not len(own.levels) or own.levels[0] != 0:
        return False
    return _who_guesses(own.accuracy[:, 0], guess, images_of(found.own.recipe.task)) == "all"


def _matching(arm: Arm, own: Arm, rng: np.random.Generator) -> Estimate[float]:
    """Return the smallest density at which an arm matches the target's own dense network."""
    if not len(own.levels) or own.levels[0] != 0:
        return NOTHING
    pairs = [(i, j) for i, j in seed_pairs(arm.seeds, own.seeds) if np.isfinite(own.accuracy[j, 0])]
    if not pairs:
        return NOTHING
    mine, dense = map(list, zip(*pairs, strict=True))
    columns = np.flatnonzero(
        np.isfinite(arm.accuracy[mine]).all(axis=0) & ((arm.levels > 0) | (arm is not own))
    )
    accuracy = np.column_stack([own.accuracy[dense, 0], arm.accuracy[np.ix_(mine, columns)]])
    # Position 0 is the dense network: there no ticket matches but itself.
    none = 1.0 if arm is own else math.nan
    density = np.array([none, *arm.density[np.ix_(mine, columns)].mean(axis=0)])
    value = float(density[matching_level(accuracy)])
    if len(pairs) < 2:
        return Estimate(value, math.nan, math.nan)
    drawn = matching_draws(accuracy, _DRAWS, rng)
    early, late = np.quantile(drawn, (0.025, 0.975), method="inverted_cdf")
    return Estimate(value, float(density[int(late)]), float(density[int(early)]))


def _of_spectra(
    store: StoreLike, source: Named, own: Named, rng: np.random.Generator
) -> tuple[str, str, list[Note]]:
    """Return the verdict of the spectra, what `predict` says, and both in words."""
    try:
        compared: Comparison = compare(store, source, own, masks=False, rng=rng)
    except RgtoolError as error:
        return "", "", [Note(f"no spectra are compared: {error}", rank=Rank.CONCLUSION)]
    said = f", {compared.spectra.tested}" if compared.spectra else ""
    notes = [
        Note(
            f"spectra of source and target by {compared.by}: {compared.verdict}{said}",
            "transfer.md#what-spectra-say-before",
            Rank.CONCLUSION,
        )
    ]
    try:
        predicted = predict(store, source, own, rng=rng).title
    except RgtoolError as error:
        predicted = f"no prediction: {error}"
    see = "classes.md#how-far-may-tickets-transfer"
    return compared.verdict, predicted, [*notes, Note(predicted, see, Rank.CONCLUSION)]
