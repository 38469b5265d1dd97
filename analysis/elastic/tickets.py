"""Accuracies of stretched and squeezed tickets that were trained, beside the target's own ticket.

A stretched ticket has another density than the one it is made of. So it is held to what the
target's own ticket of that seed reaches at its density: straight between two levels of it, in log
density. Whatever is compared is compared by seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.errors import RgtoolError, UsageError
from ...schemas.notes import LeftOut
from ...schemas.recipe import Recipe
from ...schemas.transform import Transform
from ...schemas.words import counted
from ...store import Store
from ...store.catalogue.listing import ExperimentInfo
from ...store.counts import Counts
from ..arrays import Bools, Floats, Integers
from ..stats.seeds import SeedMean, seed_mean


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
    notes: tuple[str, ...] = ()

    @property
    def difference(self) -> Floats:
        """Accuracy less that of the target's own ticket at equal density: shape (C, S, L)."""
        return self.accuracy - self.own

    def take(self, order: Integers) -> Tickets:
        """Return the same experiments in another order, or some of them."""
        rows = ("experiments", "transforms", "controls")
        arrays = ("accuracy", "density", "own")
        return replace(
            self,
            **{name: tuple(getattr(self, name)[int(i)] for i in order) for name in rows},
            **{name: getattr(self, name)[order] for name in arrays},
        )

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


def interpolated(density: ArrayLike, accuracy: ArrayLike, wanted: ArrayLike) -> Floats:
    """Read an accuracy curve at other densities, straight in log density.

    Parameters
    ----------
    density, accuracy : array, shape (T,)
        The curve; levels without an accuracy take no part.
    wanted : array, any shape
        Densities; NaN where they lie outside those of the curve.

    Examples
    --------
    >>> interpolated([1.0, 0.5, 0.25], [0.9, 0.8, 0.6], [0.25, 0.5**1.5, 0.1]).round(3).tolist()
    [0.6, 0.7, nan]
    """
    curve = np.array([density, accuracy], np.float64)
    curve = curve[:, np.isfinite(curve).all(axis=0) & (curve[0] > 0)]
    curve = curve[:, np.argsort(curve[0], kind="stable")]
    goal = np.log(np.asarray(wanted, np.float64))
    if not curve.size:
        return np.full(goal.shape, np.nan)
    return np.asarray(np.interp(goal, np.log(curve[0]), curve[1], left=np.nan, right=np.nan))


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
        if recipe.control == "none" and is_elastic(recipe.transform):
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


def tickets_of(store: Store, experiments: Sequence[str], own: str | None) -> Tickets:
    """Gather what was trained.

    Parameters
    ----------
    store : Store
        Where it is.
    experiments : sequence of str
        Ids of experiments with a transform.
    own : str or None
        Id of the target's own experiment.

    Raises
    ------
    RgtoolError
        Nothing of them is recorded.
    """
    found, notes = list[Counts](), list[str]()
    for name, counts in store.counts_of(experiments, "layer"):
        if isinstance(counts, Counts):
            found.append(counts)
        else:
            notes.append(LeftOut(f"left out: {name}: {counts}"))
    if not found:
        raise RgtoolError("; ".join(notes) or "no map was trained")
    curve = store.counts(own, "layer") if own is not None else None
    return _gathered(found, curve, notes)


def _gathered(found: Sequence[Counts], own: Counts | None, notes: Iterable[str]) -> Tickets:
    seeds = sorted({seed for one in found for seed in one.seeds if seed is not None})
    levels = sorted(
        {int(level) for one in found for level in one.levels[_trained(one).any(axis=0)]}
    )
    accuracy = np.full((len(found), len(seeds), len(levels)), np.nan)
    density, reference = accuracy.copy(), accuracy.copy()
    for c, one in enumerate(found):
        of_one, there = _densities(one), _trained(one)
        for s, n in np.argwhere(there):
            if (seed := one.seeds[s]) is not None:
                place = (c, seeds.index(seed), levels.index(int(one.levels[n])))
                accuracy[place], density[place] = one.accuracy[s, n], of_one[s, n]
    for s, seed in enumerate(seeds):
        if own is not None and seed in own.seeds:
            run = own.seeds.index(seed)
            reference[:, s] = interpolated(_densities(own)[run], own.accuracy[run], density[:, s])
    return Tickets(
        experiments=tuple(one.experiment_id for one in found),
        transforms=tuple(Transform.parse(str(one.recipe.transform)) for one in found),
        controls=tuple(one.recipe.control for one in found),
        seeds=tuple(seeds),
        levels=tuple(levels),
        accuracy=accuracy,
        density=density,
        own=reference,
        notes=tuple(notes),
    )


def _trained(counts: Counts) -> Bools:
    """Tell which levels of which runs have an accuracy: shape (S, T)."""
    return counts.recorded & np.isfinite(counts.accuracy)


def _densities(counts: Counts) -> Floats:
    """Return the density of the network, NaN where nothing is recorded: shape (S, T)."""
    kept = counts.kept.sum(axis=-1) / counts.total.sum()
    return np.where(counts.recorded, kept, np.nan)


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


def mean_of(values: Floats) -> Floats:
    """Return means over the seeds that there are, (C, S, L) to (C L,); NaN without any."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means = np.where(there, values, 0.0).sum(axis=1) / there.sum(axis=1)
    return np.asarray(means.ravel())


def seed_columns(name: str, values: Floats) -> dict[str, Floats]:
    """Return means of values (C, S, L) over seeds as columns, with the ends of their intervals.

    At every level the seeds are those that most tickets have; who lacks one has no mean.
    """
    means = [_over_seeds(values[:, :, n]) for n in range(values.shape[2])]
    lows, highs = zip(*(mean.ends() for mean in means), strict=True)
    parts = ([mean.value for mean in means], lows, highs)
    columns = [np.stack(part, axis=1).ravel() for part in parts]
    return dict(zip((name, f"{name}_low", f"{name}_high"), columns, strict=True))


def _over_seeds(values: Floats) -> SeedMean:
    full, seeds = whole(values)
    if not seeds.any():
        nothing = np.full(len(values), np.nan)
        return SeedMean(nothing, nothing, np.nan)
    return seed_mean(np.where(full[:, None], values, np.nan)[:, seeds].T)


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
