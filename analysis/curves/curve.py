"""Error against density of one experiment, from a store, the literature or a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.errors import RgtoolError
from ...schemas.words import counted
from ...store.counts import Counts
from ...store.literature import PublishedCurve, PublishedSpectrum
from ..arrays import Bools, Floats, Integers
from ..chance import chance_of, chance_of_all
from ..named import ErrorTable, Named, Stored, StoreLike, counts_of, look_up, unsuited
from .copies import copy_notes, distinct_rows, originals_of, repeat_notes
from .table import (
    check_fractions,
    check_zero,
    density_and_error,
    read_columns,
    seeds_of,
)

NoiseSource = Literal["seeds", "assumed", "residuals"]
ASSUMED_SD = 0.034  # relative seed sd of the error where there is one seed
ABOVE_CHANCE = 1.05  # times chance: what noise may add to the error of guessing
_SAME = 1e-3  # relative difference of densities that seeds of one level may have


@dataclass(frozen=True, eq=False)
class PruningCurve:
    """Test error against density.

    Attributes
    ----------
    name : str
        What the user calls it.
    label : str
        Architecture and task, or the file.
    task : str or None
        What was trained; None where unknown.
    density : array, shape (T,)
        Densities, falling.
    error : array, shape (S, T)
        Error by seed, a fraction; NaN where a seed has no such level.
    members : tuple of str, length S
        What the seeds are called.
    runs : array, shape (T,)
        Runs behind the mean of a level: the seeds, or what a published mean says.
    chance : float or None
        Error of guessing; None where unknown.
    noise : str
        Where the noise of the error comes from: `seeds`, `assumed` (one seed), `residuals` (means
        read off a figure).
    notes : tuple of str
        What was done to the data; `lone_notes` say what one curve by itself does not tell.
    further : str
        How there come to be sparser levels.
    """

    name: str
    label: str
    task: str | None
    density: Floats
    error: Floats
    members: tuple[str, ...]
    runs: Floats
    chance: float | None
    noise: NoiseSource
    notes: tuple[str, ...]
    further: str = "prune further"

    @property
    def seeds(self) -> int:
        """Number of distinct seeds S."""
        return len(self.error)

    @property
    def mean(self) -> Floats:
        """Mean error over seeds, shape (T,)."""
        return np.asarray(np.nanmean(self.error, axis=0))

    @property
    def weight(self) -> Floats:
        """Weight of a level: its runs, at most those of the median level; mean 1, shape (T,).

        Beyond that it is the form of the curve that limits a point, not its noise.
        """
        weight = np.minimum(self.runs, np.median(self.runs))
        return np.asarray(weight / weight.mean())

    @property
    def relative_sd(self) -> float:
        """Seed sd of the error over the error, pooled over levels; NaN without two seeds.

        Variances of three seeds are noise themselves, so that one number serves the whole curve.
        Seeds that are alike to rounding have 0.
        """
        has = np.isfinite(self.error)
        df = int((has.sum(axis=0) - 1).clip(0).sum())
        ratio = np.where(has, self.error / self.mean - 1, 0.0)
        found = float(np.sqrt((ratio**2).sum() / df)) if df else float("nan")
        return 0.0 if found < 1e-12 else found

    @property
    def lone_notes(self) -> tuple[str, ...]:
        """What levels that lack seeds, or one seed alone, mean for `weight` and `relative_sd`."""
        notes = []
        ragged = int((self.runs < np.median(self.runs)).sum())
        if ragged and self.noise != "residuals":
            notes.append(
                f"{self.name}: {ragged} of {len(self.runs)} levels without all seeds, which count "
                "for less"
            )
        if self.noise == "assumed":
            notes.append(
                f"{self.name}: one seed, which does not tell the noise of the error: a relative "
                f"sd of {100 * ASSUMED_SD:g} % is assumed"
            )
        return tuple(notes)


def curve_of(store: StoreLike, name: Named | PruningCurve, what: str) -> PruningCurve:
    """Read the curve that a name means; a curve stands for itself.

    Parameters
    ----------
    store : Store or path, or None
        Where experiments are.
    name : str, or what `named.look_up` returns
        An experiment or a run, `published:NAME`, or a CSV or Parquet file.
    what : str
        What needs the curve, for messages.

    Raises
    ------
    UsageError
        Nothing has this name, it means something without errors, or a file lacks a column.
    RgtoolError
        The data are not errors against densities.
    """
    if isinstance(name, PruningCurve):
        return name
    found = look_up(store, name)
    if isinstance(found, PublishedSpectrum):
        raise unsuited(found, f"{what} needs a curve of error against density")
    if isinstance(found, PublishedCurve):
        return curve_of_published(found)
    if isinstance(found, ErrorTable):
        return curve_of_file(found.path)
    curve = curve_of_counts(counts_of(store, found, "layer", what))
    return replace(curve, name=found.name) if isinstance(found, Stored) else curve


def curve_of_counts(counts: Counts) -> PruningCurve:
    """Read 1 - test accuracy of an experiment at every level that was recorded.

    Raises
    ------
    RgtoolError
        No level has an accuracy.
    """
    has = counts.recorded & np.isfinite(counts.accuracy)
    if not has.any():
        raise RgtoolError(
            f"{counts.label} ({counts.experiment_id}): no accuracy is on record, there is no error "
            "to fit"
        )
    density = counts.kept.sum(axis=-1) / counts.total.sum()
    seed, level = np.nonzero(has)
    runs = [counts.seeds[i] if counts.seeds[i] is not None else f"run {i}" for i in range(len(has))]
    curve = make_curve(
        counts.label,
        density[seed, level],
        1 - counts.accuracy[seed, level],
        [runs[i] for i in seed],
        task=counts.recipe.task,
    )
    missing = int(counts.recorded.sum() - has.sum())
    notes: list[str] = [*chance_of_all(counts)]
    if missing:
        notes.append(f"{counted(missing, 'record')} without an accuracy left out")
    notes += _empty_notes(counts, has, density)
    return replace(
        curve,
        name=counts.experiment_id,
        chance=chance_of(counts.recipe.task, counts.layers[-1].shape[0]),
        notes=(*notes, *curve.notes),
        further=counts.further,
    )


def _empty_notes(counts: Counts, has: Bools, density: Floats) -> list[str]:
    """Name the layer that loses its last weight first: from there on it is another network."""
    empty = (counts.kept == 0) & has[..., None]
    if not empty.any():
        return []
    at = np.where(empty, density[..., None], 0.0)
    seed, level, layer = np.unravel_index(int(at.argmax()), at.shape)
    name, runs = counts.names[layer], int(empty[..., layer].any(axis=1).sum())
    return [
        f"{counts.label}: {name} is empty from density {density[seed, level]:.2g} on, in {runs} of "
        f"{len(has)} runs: errors there are those of another network"
    ]


def curve_of_published(found: PublishedCurve) -> PruningCurve:
    """Read an error curve of the literature."""
    first = next((seed for seed in found.seed if seed is not None), 0)
    curve = make_curve(
        found.name,
        found.density,
        1 - found.accuracy,
        # A level that is published as a mean is one row: its runs tell how many are behind it.
        [first if seed is None else seed for seed in found.seed],
        task=found.task,
        runs=found.runs,
    )
    source = f"{found.name}: {found.source}"
    if found.digitised:
        told = f"{source} without its seeds: noise is the rms of the residuals"
        return replace(curve, label=found.label, noise="residuals", notes=(told,))
    return replace(curve, label=found.label, notes=(source, *curve.notes))


def curve_of_file(path: str | Path) -> PruningCurve:
    """Read a CSV or Parquet file with the columns density, error (or accuracy) and seed.

    Without a column seed the file is one seed; other columns are ignored.

    Raises
    ------
    UsageError
        The file or a column is missing.
    RgtoolError
        The file cannot be read, is empty, or holds what is no number in its range.
    """
    where, columns = str(path), read_columns(Path(path))
    density, error = density_and_error(columns, where)
    return make_curve(where, density, error, seeds_of(columns, where))


def make_curve(
    name: str,
    density: ArrayLike,
    error: ArrayLike,
    seed: Sequence[object] | None = None,
    *,
    task: str | None = None,
    runs: ArrayLike | None = None,
) -> PruningCurve:
    """Lay out errors by seed and level, after a look at whether they are errors.

    Parameters
    ----------
    name : str
        For messages.
    density, error : array, shape (N,)
        Fractions, in any order.
    seed : sequence, length N, optional
        Which rows belong together; by default all do. A row that stands twice counts once, and
        so does a seed whose errors are those of another.
    task : str, optional
        What was trained; it tells the error of guessing.
    runs : array, shape (N,), optional
        Runs that a row is the mean of; by default 1.

    Raises
    ------
    RgtoolError
        A value is not a number, out of range, or all errors of a level are 0.

    Examples
    --------
    >>> make_curve("mine", [0.5, 1.0], [0.2, 0.1]).mean.tolist()
    [0.1, 0.2]
    """
    d, e = np.asarray(density, np.float64).ravel(), np.asarray(error, np.float64).ravel()
    labels = [0] * len(d) if seed is None else list(seed)
    if not len(d) == len(e) == len(labels) or not len(d):
        raise RgtoolError(
            f"{name}: {len(d)} densities, {len(e)} errors, {len(labels)} seeds: as many of each "
            "are expected, and one at least"
        )
    check_fractions(name, "density", d)
    check_fractions(name, "error", e)
    members = {label: n for n, label in enumerate(dict.fromkeys(labels))}
    rows = np.array([members[label] for label in labels])
    # Rows that are written again are no more data; means of other runs are, and say of how many.
    once = distinct_rows(rows, d, e) if runs is None else np.arange(len(d))
    notes = repeat_notes(name, len(d) - len(once))
    d, e, rows = d[once], e[once], rows[once]
    level, density_of = _levels_of(d)
    laid_out = partial(_added_up, rows, level, (len(members), len(density_of)))
    count = laid_out(np.ones(len(d)))
    errors = np.divide(laid_out(e), count, out=np.full_like(count, np.nan), where=count > 0)
    behind = count > 0 if runs is None else laid_out(np.asarray(runs, np.float64))
    check_zero(name, density_of, errors)
    originals = originals_of(errors)
    return PruningCurve(
        name=name,
        label=name,
        task=task,
        density=density_of,
        error=errors[originals],
        members=tuple(str(label) for n, label in enumerate(members) if n in originals),
        runs=np.asarray(behind[originals].sum(axis=0, dtype=np.float64)),
        chance=chance_of(task),
        noise="seeds" if (count[originals] > 0).sum(axis=0).max() > 1 else "assumed",
        notes=(
            *notes,
            *_order_notes(name, d, rows, count, density_of),
            *copy_notes(name, list(members), originals),
        ),
    )


def _added_up(rows: Integers, level: Integers, shape: tuple[int, int], values: Floats) -> Floats:
    """Add values up by seed and level: (N,) to (S, T)."""
    out = np.zeros(shape)
    np.add.at(out, (rows, level), values)
    return out


def _levels_of(density: Floats) -> tuple[Integers, Floats]:
    """Return the level of every row, and the levels' mean densities, falling."""
    order = np.argsort(-density, kind="stable")
    falling = density[order]
    fresh = np.concatenate([[True], falling[1:] < falling[:-1] * (1 - _SAME)])
    level = np.empty(len(density), np.int64)
    level[order] = np.cumsum(fresh) - 1
    return level, np.bincount(level, density) / np.bincount(level)


def _order_notes(
    name: str,
    density: Floats,
    rows: Integers,
    count: Floats,
    levels: Floats,
) -> list[str]:
    notes = []
    steps = [np.diff(density[rows == member]) for member in range(len(count))]
    if any((step > 0).any() and (step < 0).any() for step in steps):
        notes.append(f"{name}: densities were not in order: sorted")
    again = int((count > 1).sum())
    if again:
        at = levels[int((count > 1).any(axis=0).argmax())]
        notes.append(
            f"{name}: {again} densities stand more than once for one seed, the first is {at:.4g}: "
            "their means are used; a column seed tells seeds apart"
        )
    return notes
