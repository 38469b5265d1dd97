"""Pruning twice by a little against once by more: the test of equal exponents.

Magnitude pruning is a semigroup in density if the flow depends on the densities alone, not on the
steps between them: then the exponents y_i of two experiments that prune different shares agree
over the same densities, as rescaling twice by b is rescaling by b^2 (Wilson & Kogut 1974).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...schemas.errors import UsageError
from ...store.catalogue.apart import label_of
from ...store.counts import Counts
from .. import flow
from ..arrays import Floats, Integers
from ..flow import UNIT
from ..named import Named, StoreLike, counts_of
from ..result import Column, Result
from ..stats.contrast import DRAWS
from ..window import SLACK, Window, choose_window
from .same import SameClass, difference_columns, same_class

_SCHEDULE = ("architecture", "task", "prune")


@dataclass(frozen=True, eq=False)
class Semigroup(Result):
    """Exponents of two experiments over the densities that both have.

    Attributes
    ----------
    experiments : (str, str)
        Ids of a and b.
    label, by : str
        Architecture and task, and the grouping.
    prune : (float, float)
        Share that a level of each removes.
    windows : pair of (int, int)
        Levels of each between which exponents are taken.
    densities : array, shape (N,)
        The common densities from the first to the last of the window.
    runs : pair of tuple of str
        The runs used.
    names : tuple of str, length K
        The groups that are pruned.
    exponent_a, exponent_b : array, shape (K,)
        y_i, mean over runs.
    comparison : SameClass
        Of theta = y ln(1/.8) in both.
    notes : tuple of str
        What the numbers alone do not say.
    """

    experiments: tuple[str, str]
    label: str
    by: str
    prune: tuple[float, float]
    windows: tuple[tuple[int, int], tuple[int, int]]
    densities: Floats
    runs: tuple[tuple[str, ...], tuple[str, ...]]
    names: tuple[str, ...]
    exponent_a: Floats
    exponent_b: Floats
    comparison: SameClass
    notes: tuple[str, ...]

    columns = (
        Column("name", "The group."),
        Column("exponent_a", "y of the first experiment.", "", "+z.3f"),
        Column("exponent_b", "y of the second.", "", "+z.3f"),
        *difference_columns(" for a step of 0.2"),
    )
    rows = "a row for every group"
    see = "spectra.md#semigroup-test"

    @property
    def verdict(self) -> str:
        """`same`, `different` or `undecided`."""
        return self.comparison.verdict

    @property
    def title(self) -> str:
        """One line that says what this is."""
        (a, b), (pa, pb) = self.windows, self.prune
        return (
            f"semigroup of {self.label} by {self.by}: prune {pa:g} levels {a[0]}:{a[1]} against "
            f"prune {pb:g} levels {b[0]}:{b[1]}: {self.verdict}, {self.comparison.tested}"
        )

    def _values(self) -> dict[str, Any]:
        return {
            "name": self.names,
            "exponent_a": self.exponent_a,
            "exponent_b": self.exponent_b,
            **self.comparison.values(),
        }


def semigroup(
    store: StoreLike,
    a: Named,
    b: Named,
    *,
    by: str = "block",
    rng: np.random.Generator | int = 0,
    draws: int = DRAWS,
) -> Semigroup:
    """Test whether two experiments with different pruning shares have the same exponents.

    Parameters
    ----------
    store : Store or path
        Where the records are.
    a, b : str or Counts
        Experiments of one network and task with other pruning shares, such as .2 and .36: two
        steps of .2 keep what one of .36 keeps. See `named.look_up`.
    by : str
        `layer`, `block` or `stage`.
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
    counts = [counts_of(store, name, by, "a test of the semigroup") for name in (a, b)]
    _check_comparable(*counts)
    one, other = (choose_window(each) for each in counts)
    return _semigroup(one, other, rng, draws)


def _semigroup(one: Window, other: Window, rng: np.random.Generator | int, draws: int) -> Semigroup:
    levels = common_levels(one.density, other.density)
    if len(levels) < 2:
        raise UsageError(_no_common_density((one, other), len(levels)))
    narrowed = [
        window.between(*(window.start + int(level) for level in column[[0, -1]]))
        for window, column in zip((one, other), levels.T, strict=True)
    ]
    y = [flow.window_exponents(w.kept, 0, w.steps)[:, w.open] for w in narrowed]
    found = same_class(y[0] * UNIT, y[1] * UNIT, np.random.default_rng(rng), draws)
    densities = one.density[levels[:, 0]]
    about = [
        *found.notes(one.names, (len(one.runs), len(other.runs))),
        *_semigroup_notes(one, other, densities),
    ]
    return Semigroup(
        experiments=(one.counts.experiment_id, other.counts.experiment_id),
        label=label_of(one.counts.recipe),
        by=one.counts.by,
        prune=(one.counts.recipe.prune, other.counts.recipe.prune),
        windows=(narrowed[0].levels, narrowed[1].levels),
        densities=densities,
        runs=(one.run_ids, other.run_ids),
        names=one.names,
        exponent_a=y[0].mean(axis=0),
        exponent_b=y[1].mean(axis=0),
        comparison=found,
        notes=(*one.notes, *other.notes, *about),
    )


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


def _check_comparable(a: Counts, b: Counts) -> None:
    for what in ("architecture", "task"):
        values = getattr(a.recipe, what), getattr(b.recipe, what)
        if values[0] != values[1]:
            raise UsageError(
                f"{what} is {values[0]} in one and {values[1]} in the other: a semigroup is tested "
                "on two experiments of one network and task"
            )
    if (a.by, a.names, a.total.tolist(), a.exempt.tolist()) != (
        b.by,
        b.names,
        b.total.tolist(),
        b.exempt.tolist(),
    ):
        raise UsageError(
            f"{a.label}: the two experiments do not count or prune the same groups "
            f"({len(a.names)} by {a.by} and {len(b.names)} by {b.by}): their shares do not compare"
        )
    if a.recipe.prune == b.recipe.prune:
        raise UsageError(
            f"{a.label}: both prune {a.recipe.prune:g} a level: a semigroup is tested on two "
            "shares, such as 0.2 and 0.36"
        )
    if (~a.exempt).sum() < 2:
        raise UsageError(
            f"{a.label}: fewer than two groups are pruned: use a finer grouping (--by)"
        )


def _no_common_density(windows: tuple[Window, Window], common: int) -> str:
    texts = []
    for window in windows:
        found = ", ".join(f"{value:.3g}" for value in window.density[:6])
        texts.append(f"prune {window.counts.recipe.prune:g} has {found}, ...")
    return (
        f"{windows[0].counts.label}: common densities: {common}, two are needed: "
        f"{'; '.join(texts)}; shares such as 0.2 and 0.36 meet at every second level, with more "
        "levels at more densities"
    )


def _semigroup_notes(one: Window, two: Window, densities: Floats) -> list[str]:
    a, b = one.counts.recipe, two.counts.recipe
    notes = [
        f"compared between densities {densities[0]:.3g} and {densities[-1]:.3g}, {len(densities)} "
        "of them common to both",
        "difference: theta = y ln(1/.8) of a minus b, centred over groups",
    ]
    other = [
        field.name
        for field in dataclasses.fields(a)
        if field.name not in _SCHEDULE and getattr(a, field.name) != getattr(b, field.name)
    ]
    if other:
        notes.append(
            f"the experiments differ in {', '.join(other)} too: a difference may come from there"
        )
    return notes
