"""The matching density: how far an experiment prunes before its accuracy falls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...schemas.errors import RgtoolError
from ...store.counts import Counts
from ..arrays import Floats, Integers
from ..named import Named, StoreLike, counts_of
from ..result import LABEL, Column, Result, ends
from ..values import Estimate

DEFINITION = (
    "matching: the sparsest level whose mean accuracy over seeds is within one seed std of dense"
)


@dataclass(frozen=True)
class Matching(Result):
    """Matching density of one experiment.

    Attributes
    ----------
    experiment_id, label : str
        Experiment, its architecture and task.
    runs : tuple of str
        The runs used.
    level : Estimate
        The sparsest matching level, with its 95 % interval, NaN where one seed gives none.
    density : Estimate
        Its density, mean over runs; the low end is that of the high level.
    accuracy, dense_accuracy : float
        Mean test accuracy at the level, and at level 0.
    seed_std : float
        Standard deviation of dense accuracy over seeds; NaN with one seed.
    last : int
        The sparsest level that has an accuracy in every run.
    notes : tuple of str
        The definition, and what the numbers alone do not say.
    """

    experiment_id: str
    label: str
    runs: tuple[str, ...]
    level: Estimate[float]
    density: Estimate[float]
    accuracy: float
    dense_accuracy: float
    seed_std: float
    last: int
    notes: tuple[str, ...]

    columns = (
        Column("experiment_id", "The experiment.", shown="wide"),
        Column("label", LABEL, shown="wide"),
        Column("level", "The sparsest level that matches.", "levels"),
        *ends("level_low", "level_high", "its 95 % interval", "levels", shown="if any"),
        Column("density", "Density of the network there.", "", ".4f"),
        *ends("density_low", "density_high", "its interval", "", ".4f", "if any"),
        Column("accuracy", "Mean test accuracy there.", "fraction", ".4f"),
        Column("dense_accuracy", "That of the dense network.", "fraction", ".4f"),
        Column(
            "seed_std",
            "Standard deviation of dense accuracy over seeds.",
            "fraction",
            ".4f",
            "if any",
        ),
    )
    rows = "one row"
    see = "spectra.md#matching-density"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        seeds = f"{len(self.runs)} {'seed' if len(self.runs) == 1 else 'seeds'}"
        return f"matching density of {self.label} ({self.experiment_id}), {seeds}"

    @property
    def is_bound(self) -> bool:
        """Whether the sparsest level on record still matches, so that sparser ones may too."""
        return self.level.value >= self.last

    @property
    def is_open(self) -> bool:
        """Whether the interval reaches the sparsest level on record, and may go on."""
        return self.level.high >= self.last

    def _values(self) -> dict[str, Any]:
        values = {
            "experiment_id": self.experiment_id,
            "label": self.label,
            "level": self.level.value,
            "level_low": self.level.low,
            "level_high": self.level.high,
            "density": self.density.value,
            "density_low": self.density.low,
            "density_high": self.density.high,
            "accuracy": self.accuracy,
            "dense_accuracy": self.dense_accuracy,
            "seed_std": self.seed_std,
        }
        return {name: [value] for name, value in values.items()}


def matching_level(accuracy: ArrayLike) -> int:
    """Return the position of the last level that matches dense accuracy.

    Parameters
    ----------
    accuracy : array, shape (S, T)
        Test accuracy by seed and level, the first level dense.

    Returns
    -------
    int
        Largest n with mean_s a_s(n) >= mean_s a_s(0) - std_s a_s(0); the std of one seed is
        taken as 0. Levels between may fall below.
    """
    values = np.asarray(accuracy, np.float64)
    return int(_last_matching(values.mean(axis=0) - values[:, 0].mean(), _std(values[:, 0])))


def matching_draws(accuracy: ArrayLike, draws: int, rng: np.random.Generator) -> Integers:
    """Draw matching levels as other samples of as many seeds might have given.

    Parametric draws: the dense variance is drawn from its scaled inverse chi-square distribution,
    the mean accuracy differences from dense, jointly over levels, from the multivariate t with the
    covariance over seeds. Resampling seeds instead covers the true level .54 to .97 of the time
    at S = 2 and 3 where these draws cover .80 to .99 (a nominal 95 %; accuracy curves of eight
    slopes and noises, 400 simulations each).

    Parameters
    ----------
    accuracy : array, shape (S, T)
        Test accuracy by seed and level, S >= 2.
    draws : int
        Number of draws B.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    integer array, shape (B,)
        Positions of the last matching level.
    """
    values = np.asarray(accuracy, np.float64)
    seeds = len(values)
    difference = values - values[:, :1]
    centred = difference - difference.mean(axis=0)
    scale = np.sqrt((seeds - 1) / rng.chisquare(seeds - 1, draws))
    # Normal weights on the centred seeds have the covariance over seeds, whatever its rank.
    noise = rng.normal(size=(draws, seeds)) @ centred / np.sqrt(seeds * (seeds - 1))
    means = difference.mean(axis=0) + scale[:, None] * noise
    return _last_matching(means, _std(values[:, 0]) * scale)


def matching_density(
    store: StoreLike = None,
    experiment: Named = None,
    *,
    draws: int = 9999,
    rng: np.random.Generator | int = 0,
) -> Matching:
    """Find the sparsest level that is as accurate as the dense network, with its uncertainty.

    Parameters
    ----------
    store : Store or path, optional
        Where the records are.
    experiment : str or Counts, optional
        An experiment or a run, see `named.look_up`.
    draws : int
        Draws behind the interval.
    rng : Generator or int
        Source of randomness, or its seed.

    Raises
    ------
    RgtoolError
        No run has a dense level with an accuracy.
    """
    counts = counts_of(store, experiment, "layer", "a matching density")
    has = counts.recorded & np.isfinite(counts.accuracy)
    runs = np.flatnonzero(has[:, 0])
    if not len(runs):
        raise RgtoolError(
            f"{counts.label} ({counts.experiment_id}): no run has the accuracy of the dense "
            "network (level 0), which a matching density is measured against"
        )
    levels = np.flatnonzero(has[runs].all(axis=0))
    accuracy = counts.accuracy[np.ix_(runs, levels)]
    density = (counts.kept[np.ix_(runs, levels)].sum(axis=-1) / counts.total.sum()).mean(axis=0)
    found = matching_level(accuracy)
    bounds: tuple[int, int] | None = None
    if len(runs) > 1:
        drawn = matching_draws(accuracy, draws, np.random.default_rng(rng))
        low, high = np.quantile(drawn, (0.025, 0.975), method="inverted_cdf")
        bounds = int(low), int(high)
    return Matching(
        experiment_id=counts.experiment_id,
        label=counts.label,
        runs=tuple(counts.runs[i] for i in runs),
        level=_estimate(levels, found, bounds),
        density=_estimate(density, found, bounds and bounds[::-1]),
        accuracy=float(accuracy[:, found].mean()),
        dense_accuracy=float(accuracy[:, 0].mean()),
        seed_std=_std(accuracy[:, 0]) if len(runs) > 1 else math.nan,
        last=int(levels[-1]),
        notes=(
            DEFINITION,
            *_matching_notes(counts, runs, levels, accuracy, found, bounds and bounds[1]),
        ),
    )


def _estimate(values: NDArray[Any], found: int, bounds: tuple[int, int] | None) -> Estimate[float]:
    low, high = (math.nan, math.nan) if bounds is None else (values[end].item() for end in bounds)
    return Estimate(values[found].item(), low, high)


def _std(dense: Floats) -> float:
    return float(dense.std(ddof=1)) if len(dense) > 1 else 0.0


def _last_matching(difference: Floats, std: ArrayLike) -> Integers:
    within = difference >= -np.asarray(std)[..., None]
    within[..., 0] = True
    return np.asarray(within.shape[-1] - 1 - np.argmax(within[..., ::-1], axis=-1))


def _matching_notes(
    counts: Counts,
    runs: Integers,
    levels: Integers,
    accuracy: Floats,
    found: int,
    high: int | None,
) -> list[str]:
    notes = []
    if len(runs) == 1:
        notes.append(
            "one seed has no std: the level is the last that is at least as accurate as dense, and "
            f"no uncertainty can be given: {counts.more('seeds')}"
        )
    left_out = [counts.runs[i] for i in range(len(counts.runs)) if i not in runs]
    if left_out:
        notes.append(f"left out, without a dense accuracy: {', '.join(left_out)}")
    if len(levels) < len(counts.levels):
        notes.append(
            f"{len(levels)} of {len(counts.levels)} levels are used, those with an accuracy in "
            "every run"
        )
    lead = accuracy.mean(axis=0) - accuracy[:, 0].mean() + _std(accuracy[:, 0])
    below = levels[1:found][lead[1:found] < 0]
    if len(below):
        notes.append(
            f"accuracy is not monotone: below the bar at level {', '.join(map(str, below))}, and "
            "within it again further on"
        )
    if found == len(levels) - 1:
        notes.append(
            "the sparsest level on record still matches, so the density is an upper bound: "
            f"{counts.more('levels')}"
        )
    elif high == len(levels) - 1:
        notes.append(
            "the interval reaches the sparsest level on record and may go on: "
            f"{counts.more('levels')}"
        )
    return notes
