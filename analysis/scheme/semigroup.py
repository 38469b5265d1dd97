"""Pruning twice by a little against once by more: the test of equal exponents.

Pruning is a semigroup in density if the flow depends on the densities alone, not on the steps
between them: then the exponents y_i of two experiments that prune different shares agree over the
same densities, as rescaling twice by b is rescaling by b^2 (Wilson & Kogut 1974). Scoring anew at
every step against scoring the dense network once is the same question asked of the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ...schemas.errors import UsageError
from ...schemas.notes import Note, Rank
from ...schemas.words import listed
from ...store.counts import Counts
from .. import flow
from ..arrays import Bools, Floats
from ..classes.same import SameClass, same_class, same_paired
from ..flow import UNIT
from ..stats.contrast import DRAWS
from ..window import Window, choose_window, common_levels

# How a flow goes from one density to another: what a semigroup must not depend on.
STEPS = ("prune", "score_from", "score_steps")
SEE = "schemes.md#semigroup"


@dataclass(frozen=True, eq=False)
class Semigroup:
    """Exponents of two experiments over the densities that both have.

    Attributes
    ----------
    windows : pair of Window
        The experiments at the levels between which exponents are taken.
    densities : array, shape (N,)
        The common densities from the first to the last of the window.
    names : tuple of str, length K
        The groups that are pruned in both.
    exponent_a, exponent_b : array, shape (K,)
        y_i, mean over runs.
    comparison : SameClass
        Of theta = y ln(1/.8) in both.
    paired : bool
        Whether seeds are compared one by one.
    notes : tuple of str
        What the numbers alone do not say.
    """

    windows: tuple[Window, Window]
    densities: Floats
    names: tuple[str, ...]
    exponent_a: Floats
    exponent_b: Floats
    comparison: SameClass
    paired: bool
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """`same`, `different` or `undecided`."""
        return self.comparison.verdict

    @property
    def largest(self) -> float:
        """The largest difference of an exponent, centred over groups."""
        return float(np.abs(self.comparison.d).max() / UNIT)


def semigroup(
    a: Counts | Window,
    b: Counts | Window,
    *,
    rng: np.random.Generator | int = 0,
    draws: int = DRAWS,
) -> Semigroup:
    """Test whether two experiments that prune in other steps have the same exponents.

    Parameters
    ----------
    a, b : Counts or Window
        Experiments of one network and task that differ in what `STEPS` names, such as prune .2 and
        .36: two steps of .2 keep what one of .36 keeps.
    rng : numpy.random.Generator or int
        Randomness of the parametric bootstrap, or its seed.
    draws : int
        Its draws.

    Raises
    ------
    RgtoolError
        There are too few levels.
    UsageError
        The experiments cannot be compared; the message says why.
    """
    one, other = (x if isinstance(x, Window) else choose_window(x) for x in (a, b))
    _check_steps(one.counts, other.counts)
    return beside(one, other, rng=rng, draws=draws)


def beside(
    one: Window, other: Window, *, rng: np.random.Generator | int = 0, draws: int = DRAWS
) -> Semigroup:
    """Compare exponents of two experiments with the same groups over their common densities.

    Groups that one of them leaves whole at these are left out, which a note tells.
    Parameters and errors are those of `semigroup`, which asks more of the experiments.
    """
    (a, b), densities = equally_dense(one, other)
    groups = pruned_in_all((a, b))
    y = exponents_of(a, groups), exponents_of(b, groups)
    names = names_of(a, groups)
    found, paired = compared(a, b, *y, rng=rng, draws=draws)
    return Semigroup(
        windows=(a, b),
        densities=densities,
        names=names,
        exponent_a=y[0].mean(axis=0),
        exponent_b=y[1].mean(axis=0),
        comparison=found,
        paired=paired,
        notes=(
            *found.notes(names, (len(y[0]), len(y[1]))),
            *whole_notes(a, b),
            *_differences(a, b, densities),
        ),
    )


def equally_dense(first: Window, *others: Window) -> tuple[tuple[Window, ...], Floats]:
    """Narrow experiments with the same groups to the densities that all have.

    Which groups are pruned is then told by these levels.

    Returns
    -------
    windows : tuple of Window
        In the order given.
    densities : array, shape (N,)
        Those of the first.

    Raises
    ------
    UsageError
        The groups differ, fewer than two are pruned in all, or fewer than two densities are common.
    """
    for other in others:
        _check_groups(first.counts, other.counts)
    found = [common_levels(first.density, other.density) for other in others]
    common = sorted(set.intersection(*({int(i) for i in pairs[:, 0]} for pairs in found)))
    if len(common) < 2:
        raise UsageError(_no_common_density((first, *others), len(common)))
    places = [np.array(common), *(pairs[np.isin(pairs[:, 0], common), 1] for pairs in found)]
    windows = tuple(
        replace(window, start=window.start + int(place[0]), end=window.start + int(place[-1]))
        for window, place in zip((first, *others), places, strict=True)
    )
    _check_pruned(windows)
    return windows, first.density[common]


def compared(
    a: Window,
    b: Window,
    y_a: Floats,
    y_b: Floats,
    *,
    rng: np.random.Generator | int = 0,
    draws: int = DRAWS,
) -> tuple[SameClass, bool]:
    """Compare values in units of exponents (S, K) of two experiments, and tell whether by seeds."""
    theta, draw = (y_a * UNIT, y_b * UNIT), np.random.default_rng(rng)
    pairs = shared_seeds(a, b)
    if pairs is None:
        return same_class(*theta, draw, draws), False
    return same_paired(theta[0][pairs[0]], theta[1][pairs[1]], draw, draws), True


def exponents_of(window: Window, groups: Bools | None = None) -> Floats:
    """Return y over a window of its pruned groups, or of those that a mask (G,) picks: (S, K)."""
    chosen = window.open if groups is None else groups
    return flow.window_exponents(window.kept, 0, window.steps)[:, chosen]


def pruned_in_all(windows: Sequence[Window]) -> Bools:
    """Tell which groups every one of some experiments with the same groups prunes: (G,)."""
    return np.asarray(np.logical_and.reduce([window.open for window in windows]))


def names_of(window: Window, groups: Bools) -> tuple[str, ...]:
    """Return the names of the groups that a mask (G,) picks."""
    return tuple(np.array(window.counts.names)[groups].tolist())


def whole_notes(*windows: Window) -> list[Note]:
    """Say which groups one experiment leaves whole and another does not: they are not compared."""
    pruned = np.logical_or.reduce([window.open for window in windows])
    notes = []
    for window in windows:
        if whole := names_of(window, pruned & ~window.open):
            text = (
                f"{listed(whole, 5)} left out of the comparison: {window.counts.experiment_id} "
                f"keeps all of {'its' if len(whole) == 1 else 'their'} weights at every level "
                "compared"
            )
            notes.append(Note(text, SEE, Rank.WARNING))
    return notes


def shared_seeds(a: Window, b: Window) -> tuple[list[int], list[int]] | None:
    """Return the places of runs that begin with the same weights in both, None where others do too.

    Own runs of a seed do, if the recipes agree on what is drawn from it.
    """
    one, other = a.counts.recipe, b.counts.recipe
    drawn = ("architecture", "init", "fan", "bn_init", "head_init", "pretrained")
    if one.origin or other.origin or any(getattr(one, x) != getattr(other, x) for x in drawn):
        return None
    seeds = [[x.counts.seeds[run] for run in x.runs] for x in (a, b)]
    if None in seeds[0] or set(seeds[0]) != set(seeds[1]) or len({*seeds[0]}) < len(seeds[0]):
        return None
    return [*range(len(seeds[0]))], [seeds[1].index(seed) for seed in seeds[0]]


def _check_steps(a: Counts, b: Counts) -> None:
    for what in ("architecture", "task"):
        values = getattr(a.recipe, what), getattr(b.recipe, what)
        if values[0] != values[1]:
            raise UsageError(
                f"{what} is {values[0]} in one and {values[1]} in the other: a semigroup is tested "
                "on two experiments of one network and task"
            )
    if not any(getattr(a.recipe, name, None) != getattr(b.recipe, name, None) for name in STEPS):
        raise UsageError(
            f"{a.label}: both prune {a.recipe.prune:g} a level: a semigroup is tested on two "
            "shares, such as 0.2 and 0.36"
        )


def _check_groups(a: Counts, b: Counts) -> None:
    if (found := _unlike(a, b)) is not None:
        raise UsageError(
            f"{a.label}: the two experiments do not count the same groups ({found}): their shares "
            "do not compare"
        )


def _unlike(a: Counts, b: Counts) -> str | None:
    """Say how the groups of two experiments differ; None where they do not."""
    if a.by != b.by:
        return f"by {a.by} and by {b.by}"
    if a.names != b.names:
        only = [name for name in a.names + b.names if (name in a.names) != (name in b.names)]
        return f"{listed(only, 3)} in one alone" if only else "in another order"
    for name, one, other in zip(a.names, a.total.tolist(), b.total.tolist(), strict=True):
        if one != other:
            return f"{name} has {one:,} weights in one and {other:,} in the other"
    return None


def _check_pruned(windows: Sequence[Window]) -> None:
    number = int(pruned_in_all(windows).sum())
    if number < 2:
        counts = windows[0].counts
        whole = "; ".join(whole_notes(*windows))
        raise UsageError(
            f"{counts.label}: {number} of {len(counts.names)} groups by {counts.by} "
            f"{'is' if number == 1 else 'are'} pruned in both, two are needed"
            f"{f' ({whole})' if whole else ''}: use a finer grouping (--by)"
        )


def _no_common_density(windows: Sequence[Window], common: int) -> str:
    texts = []
    for window in windows:
        found = ", ".join(f"{value:.3g}" for value in window.density[:6])
        texts.append(f"prune {window.counts.recipe.prune:g} has {found}, ...")
    return (
        f"{windows[0].counts.label}: common densities: {common}, two are needed: "
        f"{'; '.join(texts)}; shares such as 0.2 and 0.36 meet at every second level, with more "
        "levels at more densities"
    )


def _differences(one: Window, two: Window, densities: Floats) -> list[str]:
    a, b = one.counts.recipe, two.counts.recipe
    known = ("architecture", "task", "pruner", *STEPS)
    other = [
        field.name
        for field in fields(a)
        if field.name not in known and getattr(a, field.name) != getattr(b, field.name)
    ]
    notes = [
        Note(
            f"compared between densities {densities[0]:.3g} and {densities[-1]:.3g}, "
            f"{len(densities)} of them common to both",
            SEE,
        )
    ]
    if other:
        text = f"the experiments differ in {', '.join(other)} too: a difference may come from there"
        notes.append(Note(text, SEE))
    return [*notes]
