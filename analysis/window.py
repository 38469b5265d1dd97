"""Which levels and runs of an experiment its spectrum is computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..schemas.errors import RgtoolError, UsageError
from ..schemas.notes import Note, Rank, noted
from ..schemas.words import counted, listed
from ..store.counts import Counts, Scales
from .arrays import Bools, Floats, Integers
from .chance import at_chance, chance_notes
from .flow import log_share_variance

# Kept weights, mean over runs, below which a group takes no part in tests: the scatter of a few
# weights over a few seeds says little, and that a group has not run empty yet bends its growth.
LEAST_WEIGHTS = 10
SLACK = 0.05  # of a step: what rounding of counts may move a density
_SEE = "spectra.md#what-rgtool-eigen-estimates"
_WHOLE = "spectra.md#verdicts"


@dataclass(frozen=True, eq=False)
class Window:
    """The steps of an experiment from level `start` to level `end`, of the runs at `runs`.

    Attributes
    ----------
    counts : Counts
        The experiment.
    start, end : int
        Levels; every run kept has a record of each from the first to the last.
    runs : integer array, shape (S,)
        Positions of the runs that are used.
    notes : tuple of str
        What was left out, and why; and where networks are no better than guessing.
    span : (int, int), optional
        Levels that tell which groups stay whole; by default its own. Windows cut from one keep that
        one's, so that they have its groups.
    """

    counts: Counts
    start: int
    end: int
    runs: Integers
    notes: tuple[str, ...]
    span: tuple[int, int] | None = None

    @property
    def levels(self) -> tuple[int, int]:
        """First and last level."""
        return self.start, self.end

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return self.end - self.start

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Ids of the runs, length S."""
        return tuple(self.counts.runs[i] for i in self.runs)

    @cached_property
    def whole(self) -> Bools:
        """Which groups might be pruned and are not, in any level of the `span`: shape (G,)."""
        first, last = self.span or self.levels
        kept = self.counts.kept[self.runs, first : last + 1]
        return np.asarray((kept == self.counts.total).all(axis=(0, 1)) & ~self.counts.exempt)

    @property
    def open(self) -> Bools:
        """Which groups are pruned, shape (G,)."""
        return ~(self.counts.exempt | self.whole)

    @property
    def names(self) -> tuple[str, ...]:
        """The groups that are pruned."""
        return tuple(n for n, pruned in zip(self.counts.names, self.open, strict=True) if pruned)

    @property
    def scales(self) -> tuple[Scales, ...]:
        """Stored scales of the runs, length S, or empty."""
        return tuple(self.counts.scales[i] for i in self.runs) if self.counts.scales else ()

    @cached_property
    def kept(self) -> Floats:
        """Kept weights, shape (S, T + 1, G)."""
        return self._over(self.counts.kept).astype(np.float64)

    @property
    def magnitude(self) -> Floats:
        """Sums of |w| over kept weights, shape (S, T + 1, G)."""
        return self._over(self.counts.magnitude)

    @property
    def network(self) -> Floats:
        """Weights that the whole network keeps, shape (S, T + 1)."""
        return np.asarray(self.kept.sum(axis=-1))

    @property
    def density(self) -> Floats:
        """Share of all weights that is kept, mean over runs: shape (T + 1,)."""
        return np.asarray(self.network.mean(axis=0) / self.counts.total.sum())

    @property
    def sampling(self) -> Floats:
        """See `sampling_of_few`: shape (S, G)."""
        return sampling_of_few(self.kept)

    @property
    def at_chance(self) -> bool | None:
        """Whether nothing was learned; None where that is not known. See `chance.at_chance`."""
        return at_chance(self.counts, self.start, self.end, self.runs)

    @property
    def distinct(self) -> Window:
        """The same without runs that are copies of an earlier one, which are named.

        A copy tells nothing about other seeds. Copies have the same counts at all levels that both
        have, and the same sums of |w| where both are known: a layerwise scope alone decides counts.
        """
        first: list[int] = []
        for run in self.runs.tolist():
            if not any(_is_copy(self.counts, run, other) for other in first):
                first.append(run)
        copies = [self.counts.runs[run] for run in self.runs if run not in first]
        if not copies:
            return self
        note = Note(
            f"{counted(len(copies), 'run')} of {len(self.runs)} ({listed(copies, 3)}) with the "
            "counts of another one at every level, as copies have: such runs count once",
            "spectra.md#intervals",
            Rank.WARNING,
        )
        return replace(self, runs=np.array(first), notes=(*self.notes, note))

    def between(self, start: int, end: int) -> Window:
        """Return the same groups at other levels."""
        return replace(self, start=start, end=end, span=self.span or self.levels)

    def _over(self, values: NDArray[Any]) -> NDArray[Any]:
        return values[self.runs, self.start : self.end + 1]


def sampling_of_few(kept: Floats) -> Floats:
    """Return the variance of log M(end)/M(start) that the sampling of few weights makes.

    Zero for groups that keep `LEAST_WEIGHTS` or more at the end, mean over runs: seeds carry the
    noise of those counts, while a few weights may agree over seeds by chance.

    Parameters
    ----------
    kept : array, shape (..., S, T + 1, G)
        Kept weights of S runs.

    Returns
    -------
    array, shape (..., S, G)
    """
    few = kept[..., -1, :].mean(axis=-2, keepdims=True) < LEAST_WEIGHTS
    return np.where(few, log_share_variance(kept[..., [0, -1], :]), 0.0)


def _is_copy(counts: Counts, run: int, other: int) -> bool:
    both = counts.recorded[run] & counts.recorded[other]
    if not np.array_equal(counts.kept[run, both], counts.kept[other, both]):
        return False
    gap = counts.magnitude[run, both] - counts.magnitude[other, both]
    return not (np.isfinite(gap) & (gap != 0)).any()


def choose_window(
    counts: Counts, requested: tuple[int, int] | None = None, *, through_collapse: bool = False
) -> Window:
    """Choose one window for all runs of an experiment.

    By default from level 1 (the step 0 -> 1 starts at counts that the architecture alone sets), or
    from the level whose ticket a run begins with, to the last level that all runs have without a
    gap, ended early only where a group keeps no weight, and not even there for who asks for it. A
    requested window is taken as it is or refused.

    Raises
    ------
    RgtoolError
        No run has three levels, no step is left, or nothing was or may be pruned.
    UsageError
        The requested window holds no step, reaches past the records or into a collapse.
    """
    if counts.exempt.all():
        raise RgtoolError(
            f"{counts.label} ({counts.experiment_id}): every group is exempt from pruning, so "
            "there is no flow to measure"
        )
    runs, notes = _usable_runs(counts)
    notes[:0] = [*counts.notes, *_begun_notes(counts)]
    if requested is None:
        start, end, about = _recorded_stretch(counts, runs)
        collapse: list[str] = []
        if not through_collapse:
            end, collapse = _before_collapse(counts, runs, start, end)
        notes += about + collapse
    else:
        start, end = requested
        _check_requested(counts, runs, start, end, through_collapse)
    network = counts.kept[runs].sum(axis=-1)
    for run, first, last in zip(runs, network[:, start], network[:, end], strict=True):
        if first == last:
            raise RgtoolError(
                f"{counts.label}: run {counts.runs[run]} keeps {first:,} weights at level {start} "
                f"and at level {end}: nothing was pruned, so there is no flow to measure"
            )
    said = (*chance_notes(counts, start, end, runs), *noted(notes, _SEE))
    chosen = Window(counts, start, end, runs, said)
    return replace(chosen, notes=(*said, *noted(_whole_notes(chosen), _WHOLE)))


def common_levels(density_a: Floats, density_b: Floats, tolerance: float = SLACK) -> Integers:
    """Find the levels of two series of densities at which both agree.

    Parameters
    ----------
    density_a, density_b : array, shapes (T_a,) and (T_b,)
        Falling shares of kept weights, positive.
    tolerance : float
        Largest difference of logarithms, in units of the mean step of the finer series.

    Returns
    -------
    integer array, shape (N, 2)
        Positions in both, ascending.

    Examples
    --------
    >>> common_levels(0.8 ** np.arange(1, 7), 0.64 ** np.arange(1, 4)).tolist()
    [[1, 0], [3, 1], [5, 2]]
    """
    logs = [np.log(np.asarray(series, np.float64)) for series in (density_a, density_b)]
    steps = [(x[0] - x[-1]) / (len(x) - 1) for x in logs if len(x) > 1]
    apart = np.abs(np.subtract.outer(*logs))
    nearest = apart == apart.min(axis=1, keepdims=True)
    return np.argwhere(nearest & (apart <= tolerance * min(steps, default=0.0)))


def recorded_window(counts: Counts) -> Window:
    """Return the levels from the first pruned one on that all runs have, whatever a spectrum needs.

    Runs without any are left out; a gap ends them.

    Raises
    ------
    RgtoolError
        Runs have no pruned level in common.
    """
    runs = np.flatnonzero(counts.recorded[:, 1:].any(axis=1))
    common = np.flatnonzero(counts.recorded[runs, 1:].all(axis=0)) + 1
    if not len(runs) or not len(common):
        raise RgtoolError(
            f"{counts.label} ({counts.experiment_id}): its runs have no pruned level in common"
        )
    start = int(common[0])
    whole = int((common == start + np.arange(len(common))).sum())
    return Window(counts, start, start + whole - 1, runs, counts.notes)


def _begun_notes(counts: Counts) -> list[str]:
    """Say of the runs of a child whose tickets they train, or what their flow begins with."""
    recipe = counts.recipe
    if counts.is_child:
        by = "" if recipe.transform is None else f", by {recipe.transform}"
        random = recipe.control == "random"
        whose = "random masks of as many weights" if random else f"that experiment{by}"
        text = (
            f"its levels are single tickets of {recipe.parent}, each trained by itself, and no "
            f"flow of their own: counts are those of {whose}"
        )
        return [Note(text, _SEE, Rank.WARNING)]
    if recipe.start is None:
        return []
    begun = f"its runs begin with the tickets that {recipe.parent} has at level {recipe.start}"
    if recipe.transform is None:
        return [begun]
    return [f"{begun}, by {recipe.transform}: how that change wears off is part of the flow"]


def _whole_notes(chosen: Window) -> list[str]:
    """Name the groups that may be pruned and lose nothing."""
    names = [name for name, whole in zip(chosen.counts.names, chosen.whole, strict=True) if whole]
    if not names:
        return []
    return [
        f"{listed(names)}: not exempt, but whole up to level {chosen.end} by what the pruner "
        "chose: until then a share grows as that of an exempt group, with exponent 1, and nothing "
        "is tested of it"
    ]


def _usable_runs(counts: Counts) -> tuple[Integers, list[str]]:
    recorded = counts.recorded.sum(axis=1)
    if len(recorded) == 0 or recorded.max() < 3:
        found, first = int(recorded.max(initial=0)), counts.recipe.start or 0
        cure = counts.more("levels")
        if counts.is_child:
            cure = (
                f"these are single tickets of {counts.recipe.parent}, each trained by itself, "
                "which have no flow of their own: ask for that experiment"
            )
        elif counts.recipe.origin is None:
            cure = "run it again with a larger --levels, it goes on where it stopped"
        raise RgtoolError(
            f"{counts.label} ({counts.experiment_id}): its longest run has "
            f"{found} {'level' if found == 1 else 'levels'}, a spectrum needs at least 3 (levels "
            f"{first}, {first + 1} and {first + 2}): {cure}"
        )
    notes = [
        f"run {counts.runs[i]} is left out: it has {recorded[i]} of the 3 levels that are needed"
        for i in np.flatnonzero(recorded < 3)
    ]
    return np.flatnonzero(recorded >= 3), notes


def _recorded_stretch(counts: Counts, runs: Integers) -> tuple[int, int, list[str]]:
    common = np.asarray(counts.recorded[runs].all(axis=0))
    first = max(1, counts.recipe.start or 0)
    candidates = np.flatnonzero(common[first:]) + first
    start = int(candidates[0]) if len(candidates) else 0
    missing = np.flatnonzero(~common[start:])
    end = start + int(missing[0]) - 1 if len(missing) else len(common) - 1
    if not len(candidates) or end == start:
        lacking = max(end + 1, 1)
        later = _longest_stretch(common)
        remedy = f", or give --window {later[0]}:{later[1]}, which all have" if later else ""
        raise RgtoolError(
            f"{counts.label}: {_who_lacks(counts, runs, lacking)} no record of level {lacking}, so "
            f"no step from level {start} on is left that all runs have: run or import the missing "
            f"levels{remedy}"
        )
    notes = []
    if start > first:
        notes.append(
            f"the window starts at level {start}: {_who_lacks(counts, runs, start - 1)} no record "
            f"of level {start - 1}"
        )
    if end < len(common) - 1:
        notes.append(
            f"the window ends at level {end}: {_who_lacks(counts, runs, end + 1)} no record of "
            f"level {end + 1}, the longest run goes to level {len(common) - 1}"
        )
    return start, end, notes


def _longest_stretch(common: Bools) -> tuple[int, int] | None:
    """Return the ends of the longest stretch of levels from level 1 on, None without a step."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], common[1:], [False]]).astype(int)))
    first, last = edges[::2] + 1, edges[1::2]
    if not (last > first).any():
        return None
    best = int((last - first).argmax())
    return int(first[best]), int(last[best])


def _before_collapse(counts: Counts, runs: Integers, start: int, end: int) -> tuple[int, list[str]]:
    found = _first_collapse(counts, runs, start, end)
    if found is None:
        return end, []
    level, what = found
    if level <= start + 1:
        raise RgtoolError(
            f"{counts.label}: {what}, so no step from level {start} on has all groups: a coarser "
            "grouping (--by) may have no empty group"
        )
    return level - 1, [f"the window ends at level {level - 1}: {what}"]


def _check_requested(
    counts: Counts, runs: Integers, start: int, end: int, through_collapse: bool
) -> None:
    last = len(counts.levels) - 1
    if not 0 <= start < end:
        raise UsageError(
            f"window {start}:{end} holds no step: the first level is at least 0 and the last "
            "greater than the first, such as 1:12"
        )
    if end > last:
        raise UsageError(f"window {start}:{end} reaches past the last level recorded, {last}")
    lacking = np.flatnonzero(~counts.recorded[runs, start : end + 1].all(axis=0))
    if len(lacking):
        level = start + int(lacking[0])
        raise UsageError(
            f"window {start}:{end}: {_who_lacks(counts, runs, level)} no record of level {level}"
        )
    found = None if through_collapse else _first_collapse(counts, runs, start, end)
    if found is not None:
        raise UsageError(
            f"window {start}:{end}: {found[1]}, where its eigenvalue is 0 and its exponent "
            "undefined: end the window before"
        )


def _first_collapse(counts: Counts, runs: Integers, start: int, end: int) -> tuple[int, str] | None:
    """Return the first level at which a group is empty, and that in words."""
    empty = (counts.kept[runs, start : end + 1] == 0).swapaxes(0, 1)
    if not empty.any():
        return None
    step, run, group = (int(places[0]) for places in np.nonzero(empty))
    where = f"level {start + step} of run {counts.runs[runs[run]]}"
    return start + step, f"group {counts.names[group]} keeps no weight at {where}"


def _who_lacks(counts: Counts, runs: Integers, level: int) -> str:
    lacking = [counts.runs[i] for i in runs if not counts.recorded[i, level]]
    if len(lacking) == 1:
        return f"run {lacking[0]} has"
    return f"{len(lacking)} runs ({lacking[0]}, ...) have"
