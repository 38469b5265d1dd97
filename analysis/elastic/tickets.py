"""Accuracies of stretched and squeezed tickets that were trained, beside the target's own ticket.

A stretched ticket has another density than the one it is made of. So it is held to what the
target's own ticket of that seed reaches at its density: between two levels of it straight in log
density. Whatever is compared is compared by seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ...schemas.errors import RgtoolError, UsageError
from ...schemas.notes import LeftOut
from ...schemas.recipe import Recipe
from ...schemas.tickets.transform import Transform
from ...schemas.words import counted, listed
from ...store import Store
from ...store.catalogue.inventory import ExperimentInfo
from ...store.counts import Counts
from ..arrays import Bools, Floats, Integers
from ..transfer.arms import Arm, arm_of, unit_of
from ..transfer.differences import seed_pairs
from ..transfer.pairings import one_a_seed
from ..values import Estimate


@dataclass(frozen=True, eq=False)
class Tickets:
    """C experiments whose tickets were carried to one network, S seeds, L levels.

    Attributes
    ----------
    experiments : tuple of str, length C
        Their ids.
    transforms : tuple of Transform, length C
        Which map made them.
    controls : tuple of str, length C
        Their `control`, `none` for tickets as they are.
    seeds : tuple of int, length S
        Seeds that any of them has.
    levels : tuple of int, length L
        Levels of the source whose tickets were trained.
    accuracy, density : array, shape (C, S, L)
        Test accuracy, and density of the target with the ticket; NaN where there is no record.
    own : array, shape (C, S, L)
        Accuracy of the target's own ticket of the seed at that density; NaN outside its densities.
    unit : float
        What one test image is worth.
    notes : tuple of str
        What is left out.
    """

    experiments: tuple[str, ...]
    transforms: tuple[Transform, ...]
    controls: tuple[str, ...]
    seeds: tuple[int, ...]
    levels: tuple[int, ...]
    accuracy: Floats
    density: Floats
    own: Floats
    unit: float = math.nan
    notes: tuple[str, ...] = ()

    @property
    def difference(self) -> Floats:
        """Accuracy less that of the target's own ticket at equal density: shape (C, S, L)."""
        return self.accuracy - self.own

    def take(self, order: Integers) -> Tickets:
        """Return the same experiments in another order, or some of them."""
        arrays = ("accuracy", "density", "own")
        taken: dict[str, Any] = {name: getattr(self, name)[order] for name in arrays}
        for name in ("experiments", "transforms", "controls"):
            taken[name] = tuple(getattr(self, name)[int(i)] for i in order)
        return replace(self, **taken)

    def narrow(
        self, levels: Sequence[int] | None = None, seeds: Sequence[int] | None = None
    ) -> Tickets:
        """Return the same at some levels and of some seeds alone.

        Raises
        ------
        UsageError
            No ticket of a level was trained.
        """
        chosen = self.levels if levels is None else tuple(levels)
        those = self.seeds if seeds is None else tuple(s for s in self.seeds if s in seeds)
        place = np.ix_(
            range(len(self.experiments)),
            [self.seeds.index(seed) for seed in those],
            [self.at(level) for level in chosen],
        )
        arrays = {name: getattr(self, name)[place] for name in ("accuracy", "density", "own")}
        return replace(self, seeds=those, levels=chosen, **arrays)

    def at(self, level: int) -> int:
        """Return the place of a level.

        Raises
        ------
        UsageError
            No ticket of it was trained.
        """
        if level not in self.levels:
            there = ", ".join(map(str, self.levels))
            raise UsageError(f"level {level} was not trained by any map: choose from {there}")
        return self.levels.index(level)


def children_of(
    store: Store, source: str, architecture: str, task: str
) -> tuple[list[ExperimentInfo], list[str]]:
    """Find the experiments that train tickets of another on a network, as they are.

    Returns
    -------
    children : list of ExperimentInfo
        All with one recipe but for the map; where there are several recipes, that of most maps.
    notes : list of str
        What was left out for its recipe.
    """
    kinds: dict[Recipe, list[ExperimentInfo]] = {}
    for one in store.experiments():
        recipe = one.recipe
        if (recipe.parent, recipe.architecture, recipe.task) != (source, architecture, task):
            continue
        if recipe.control == "none" and not recipe.finds_masks and is_elastic(recipe.transform):
            kinds.setdefault(replace(recipe, transform=None), []).append(one)
    if not kinds:
        return [], []
    most = max(kinds.values(), key=len)
    others = [one.experiment_id for kind in kinds.values() if kind is not most for one in kind]
    return most, [
        f"left out: {len(others)} maps that were trained by another recipe ({', '.join(others)})"
    ] * bool(others)


def is_elastic(transform: str | None) -> bool:
    """Tell whether a transform carries blocks to blocks."""
    return transform is not None and transform.startswith("0:0")


def tickets_of(
    store: Store, experiments: Sequence[str], own: str | None, runs: Collection[str] | None = None
) -> Tickets:
    """Gather what was trained.

    Parameters
    ----------
    store : Store
        Where it is.
    experiments : sequence of str
        Ids of experiments with a transform.
    own : str or None
        Id of the target's own experiment.
    runs : collection of str, optional
        Ids of the runs that count; default all, of one seed that which trains its own ticket.

    Raises
    ------
    RgtoolError
        Nothing of them is recorded.
    """
    arms, recipes, notes = list[Arm](), list[Recipe](), list[str]()
    for name, counts in store.counts_of(experiments, "layer"):
        try:
            if not isinstance(counts, Counts):
                raise counts
            if runs is None:
                meant, others = one_a_seed(store, counts)
                notes += _about_others(name, others)
            else:
                meant = counts.select([i for i, run in enumerate(counts.runs) if run in runs])
            arms.append(arm_of("transferred", meant))
            recipes.append(counts.recipe)
        except RgtoolError as error:
            notes.append(LeftOut(f"left out: {name}: {error}"))
    if not arms:
        raise RgtoolError("; ".join(notes) or "no map was trained")
    reference = arm_of("own", store.counts(own, "layer")) if own is not None else None
    return replace(_gathered(arms, recipes, reference), notes=tuple(notes))


def _about_others(name: str, others: Sequence[str]) -> list[str]:
    text = f"left out: of {name} {listed(others)}: of a seed's runs that of its own ticket counts"
    return [LeftOut(text)] if others else []


def _gathered(found: Sequence[Arm], recipes: Sequence[Recipe], own: Arm | None) -> Tickets:
    seeds = sorted({seed for arm in found for seed in arm.seeds if seed is not None})
    levels = sorted({int(level) for arm in found for level in arm.levels})
    accuracy = np.full((len(found), len(seeds), len(levels)), np.nan)
    density, reference = accuracy.copy(), accuracy.copy()
    for c, arm in enumerate(found):
        columns = [levels.index(int(level)) for level in arm.levels]
        for run, s in seed_pairs(arm.seeds, seeds):
            accuracy[c, s, columns], density[c, s, columns] = arm.accuracy[run], arm.density[run]
    if own is not None:
        for s, run in seed_pairs(seeds, own.seeds):
            reference[:, s] = np.vectorize(partial(own.at, run))(density[:, s])
    return Tickets(
        experiments=tuple(arm.experiment_id for arm in found),
        transforms=tuple(Transform.parse(str(recipe.transform)) for recipe in recipes),
        controls=tuple(recipe.control for recipe in recipes),
        seeds=tuple(seeds),
        levels=tuple(levels),
        accuracy=accuracy,
        density=density,
        own=reference,
        unit=unit_of([*found, *([own] if own else [])]),
    )


def whole(values: Floats) -> tuple[Bools, Bools]:
    """Choose the seeds that most tickets have, and the tickets that have all of these.

    Parameters
    ----------
    values : array, shape (C, S)
        NaN where there is none.

    Returns
    -------
    tickets, seeds : bool array, shapes (C,) and (S,)
    """
    there = np.isfinite(values)
    some = there.any(axis=1)
    seeds = there.sum(axis=0) * 2 > max(some.sum(), 1)
    return np.asarray(there[:, seeds].all(axis=1) & some), np.asarray(seeds)


def means(values: Floats) -> Floats:
    """Return means over the seeds that there are, (C, S, L) to (C L,); NaN without any."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean = np.where(there, values, 0.0).sum(axis=1) / there.sum(axis=1)
    return np.asarray(mean.ravel())


def seed_columns(
    name: str, values: Floats, interval: Callable[[Floats, float], Estimate[float]], unit: float
) -> dict[str, Floats]:
    """Return means of values (C, S, L) over seeds as columns, with the ends of their intervals.

    Parameters
    ----------
    name : str
        The column; those of the ends are called after it.
    values : array, shape (C, S, L)
        At every level the seeds are those that most tickets have; who lacks one has no mean.
    interval : callable
        `mean_of` accuracies or `paired` differences, see `analysis.transfer.differences`.
    unit : float
        What one test image is worth.
    """
    found = np.full((3, len(values), values.shape[2]), np.nan)
    for n in range(values.shape[2]):
        full, seeds = whole(values[:, :, n])
        for c in np.flatnonzero(full) if seeds.any() else ():
            one = interval(values[c, seeds, n], unit)
            found[:, c, n] = one.value, one.low, one.high
    return dict(zip((name, f"{name}_low", f"{name}_high"), found.reshape(3, -1), strict=True))


def absent(tickets: Tickets, level: int) -> Iterator[str]:
    """Name the tickets that lack seeds which most have, and say where there is no own one."""
    n = tickets.at(level)
    full, seeds = whole(tickets.accuracy[:, :, n])
    if not full.all():
        names = ", ".join(tickets.experiments[c] for c in np.flatnonzero(~full))
        wanted = ", ".join(str(tickets.seeds[s]) for s in np.flatnonzero(seeds))
        yield f"without an accuracy at level {level} for every seed of {wanted}: {names}"
    lacks = np.isfinite(tickets.accuracy[:, :, n]) & np.isnan(tickets.own[:, :, n])
    if lacks.any():
        kept = tickets.density[:, :, n][lacks]
        yield (
            f"{counted(int(lacks.sum()), 'ticket')} of level {level} without an own one of the "
            f"seed at density {kept.min():.3g}: the target's own experiment needs the seed, and "
            "levels on both sides of the density"
        )
