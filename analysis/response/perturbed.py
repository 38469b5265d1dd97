"""The runs of perturbed tickets, read and paired by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ...schemas.errors import RgtoolError
from ...schemas.notes import Note, Rank
from ...schemas.words import counted, listed
from ...store.counts import Counts
from .. import flow
from ..arrays import Bools, Floats
from ..chance import SEE as SEE_CHANCE
from ..chance import guessing, images_of, learned_nothing
from ..named import Named, StoreLike, counts_of_all
from ..stats.seeds import seed_mean
from ..values import Estimate
from ..window import choose_window

Side = Literal["thinner", "thicker"]
SIDES: tuple[Side, ...] = ("thinner", "thicker")


@dataclass(frozen=True, eq=False)
class Perturbed:
    """Experiments that train tickets of one level, each with one group thinner or thicker.

    Attributes
    ----------
    by : str
        The grouping.
    levels : (int, int)
        The level of the perturbed tickets, and the last one that is read.
    factor : float
        Below 1: what the count of a group is multiplied by; thicker ones by its inverse.
    choice : str
        Which weights go and come, as in `schemas.tickets.perturbation`.
    source : name
        The experiment whose tickets they are.
    unperturbed : name
        Where the tickets as they are were trained: the source, or a child of it.
    children : mapping of (str, str) to name
        By group and side.
    refused : mapping of (str, str) to str
        Why a group cannot be perturbed on a side.
    """

    by: str
    levels: tuple[int, int]
    factor: float
    choice: str
    source: Named
    unperturbed: Named
    children: Mapping[tuple[str, Side], Named]
    refused: Mapping[tuple[str, Side], str]


@dataclass(frozen=True, eq=False)
class Runs:
    """What S seeds show at T levels of K groups that are perturbed.

    Attributes
    ----------
    source, counts : Counts
        Of the experiment whose tickets they are; of the unperturbed tickets.
    seeds : tuple of int, length S
        Seeds of which every run is there.
    names : tuple of str, length K
        Groups that are perturbed on a side at least.
    kept, accuracy : array, shape (S, T, K) and (S, T)
        Of the unperturbed.
    open : array, shape (S,)
        What all groups that are pruned keep at the first level.
    others : tuple of str
        Groups that are pruned and cannot be perturbed.
    moved, reached : array, shape (S, K, 2, T, K) and (S, K, 2, T)
        Counts and accuracies where the group of the second axis is thinner, thicker; of a side
        that is refused those of the unperturbed.
    sides : bool array, shape (K, 2)
        Whether there is one.
    notes : tuple of Note
        Seeds and groups that are left out.
    """

    source: Counts
    counts: Counts
    seeds: tuple[int, ...]
    names: tuple[str, ...]
    kept: Floats
    accuracy: Floats
    open: Floats
    others: tuple[str, ...]
    moved: Floats
    reached: Floats
    sides: Bools
    notes: tuple[Note, ...]


def read_runs(store: StoreLike, what: Perturbed) -> Runs:
    """Read the runs of perturbed tickets.

    Raises
    ------
    RgtoolError
        No group is perturbed, or no seed has all runs.
    """
    found = counts_of_all(
        store, [what.source, what.unperturbed, *what.children.values()], what.by, "a perturbation"
    )
    source, base, *children = found
    of = dict(zip(what.children, children, strict=True))
    names = tuple(name for name in base.names if any((name, side) in of for side in SIDES))
    if not names:
        why = next(iter(what.refused.values()), "none is pruned")
        raise RgtoolError(f"{source.label}: no group by {what.by} can be perturbed: {why}")
    levels = range(what.levels[0], what.levels[1] + 1)
    seeds, notes = _common_seeds([base, *children], levels)
    place = [base.names.index(name) for name in names]
    kept, accuracy = _at(base, seeds, levels, place)
    moved = np.repeat(np.repeat(kept[:, None, None], len(names), axis=1), 2, axis=2)
    reached = np.repeat(np.repeat(accuracy[:, None, None], len(names), axis=1), 2, axis=2)
    sides = np.zeros((len(names), 2), np.bool_)
    for (name, side), child in of.items():
        at = names.index(name), SIDES.index(side)
        moved[:, *at], reached[:, *at] = _at(child, seeds, levels, place)
        sides[at] = True
    open_ = [i for i in range(len(base.names)) if not base.exempt[i]]
    every, _ = _at(base, seeds, levels, open_)
    return Runs(
        source=source,
        counts=base,
        seeds=seeds,
        names=names,
        kept=kept,
        accuracy=accuracy,
        open=every[:, 0].sum(axis=-1),
        others=tuple(base.names[i] for i in open_ if base.names[i] not in names),
        moved=moved,
        reached=reached,
        sides=sides,
        notes=(*notes, *_refused(what), *_guessing(base, accuracy)),
    )


def _common_seeds(every: list[Counts], levels: range) -> tuple[tuple[int, ...], list[Note]]:
    """Return the seeds of which every experiment has all levels, and name those that are left."""
    has = [
        {
            seed
            for seed, recorded in zip(one.seeds, one.recorded, strict=True)
            if seed is not None and len(recorded) > levels[-1] and recorded[levels].all()
        }
        for one in every
    ]
    common, union = set.intersection(*has), set.union(*has)
    if not common:
        raise RgtoolError(
            f"{every[0].label}: no seed has all of its perturbed runs at levels {levels[0]} to "
            f"{levels[-1]}: a run that diverged has no further levels"
        )
    left = sorted(union - common)
    text = f"seeds {listed([str(seed) for seed in left])} lack a run, and are left out"
    notes = [Note(text, rank=Rank.WARNING)] if left else []
    return tuple(sorted(common)), notes


def _at(
    counts: Counts, seeds: tuple[int, ...], levels: range, groups: list[int]
) -> tuple[Floats, Floats]:
    """Return counts (S, T, G) and accuracies (S, T) of seeds at levels."""
    rows = [counts.seeds.index(seed) for seed in seeds]
    kept = counts.kept[np.ix_(rows, list(levels), groups)].astype(np.float64)
    return kept, counts.accuracy[np.ix_(rows, list(levels))]


def _refused(what: Perturbed) -> list[Note]:
    notes = []
    for (name, side), why in what.refused.items():
        other = next(one for one in SIDES if one != side)
        left = "one-sided" if (name, other) in what.children else "left out"
        notes.append(Note(f"{name} cannot be made {side}, so it is {left}: {why}"))
    return notes


def _guessing(counts: Counts, accuracy: Floats) -> list[Note]:
    guess = guessing(counts)
    images = images_of(counts.recipe.task)
    if guess is None or not learned_nothing(accuracy[:, :1], guess, images):
        return []
    return [
        Note(
            "no run of the unperturbed tickets can be told from guessing: what is perturbed here "
            "are networks that know nothing of the task",
            SEE_CHANCE,
            Rank.VOID,
        )
    ]


def exponents_beside(
    runs: Runs, window: tuple[int, int] | None
) -> tuple[Estimate[Floats], str, list[Note]]:
    """Return y of the groups with intervals over the same seeds, the window, and what is missing.

    Parameters
    ----------
    runs : Runs
        What is perturbed.
    window : (int, int) or None
        Levels; by default those of a spectrum.
    """
    nothing = np.full(len(runs.names), np.nan)
    source = runs.source
    chosen = [i for i, seed in enumerate(source.seeds) if seed in runs.seeds]
    try:
        found = choose_window(source.select(chosen) if chosen else source, window)
    except RgtoolError as error:
        note = Note(f"no exponents stand beside: {error}", rank=Rank.WARNING)
        return Estimate(nothing, nothing, nothing), "", [note]
    place = [source.names.index(name) for name in runs.names]
    y = flow.window_exponents(found.kept, 0, found.steps)[:, place]
    ends = f"{found.start}:{found.end}"
    return seed_mean(y, found.sampling[:, place]).estimate, ends, []


def described(runs: Runs, what: Perturbed) -> str:
    """Say what was perturbed, for a title."""
    kind = "" if what.choice == "next" else f", {what.choice} weights"
    return (
        f"{runs.source.label} ({runs.source.experiment_id}), by {what.by}, level {what.levels[0]}, "
        f"factor {what.factor:g}{kind}, {counted(len(runs.seeds), 'seed')}"
    )


def within(runs: Runs, keep: list[int]) -> Runs:
    """Return the same of some groups alone, by their positions."""
    return replace(
        runs,
        names=tuple(runs.names[i] for i in keep),
        kept=runs.kept[..., keep],
        moved=runs.moved[:, keep][..., keep],
        reached=runs.reached[:, keep],
        sides=runs.sides[keep],
    )
