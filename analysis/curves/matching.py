"""The matching density: how far an experiment prunes before its accuracy falls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.errors import RgtoolError
from ...store.counts import Counts
from ..arrays import Floats, Integers
from ..named import Named, StoreLike, counts_of
from ..result import Result, frame, interval, number

if TYPE_CHECKING:
    import polars as pl

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
    level : int
        The sparsest matching level.
    density : float
        Its density, mean over runs.
    level_low, level_high : int or None
        95 % interval of the level; None where one seed gives none.
    density_low, density_high : float or None
        The densities of these levels: `density_low` is that of `level_high`.
    accuracy, dense_accuracy : float
        Mean test accuracy at the level, and at level 0.
    std : float or None
        Standard deviation of dense accuracy over seeds; None with one seed.
    notes : tuple of str
        The definition, and what the numbers alone do not say.
    """

    experiment_id: str
    label: str
    runs: tuple[str, ...]
    level: int
    density: float
    level_low: int | None
    level_high: int | None
    density_low: float | None
    density_high: float | None
    accuracy: float
    dense_accuracy: float
    std: float | None
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """One line that says what this is."""
        seeds = f"{len(self.runs)} {'seed' if len(self.runs) == 1 else 'seeds'}"
        return f"matching density of {self.label} ({self.experiment_id}), {seeds}"

    def to_frame(self) -> pl.DataFrame:
        """Return one row; what does not exist is null."""
        names = (
            "experiment_id label level level_low level_high density density_low density_high "
            "accuracy dense_accuracy std"
        )
        return frame({name: [getattr(self, name)] for name in names.split()})

    def _columns(self) -> dict[str, list[str]]:
        low = math.nan if self.density_low is None else self.density_low
        high = math.nan if self.density_high is None else self.density_high
        return {
            "density": [number(self.density, 4)],
            "interval": [interval(low, high, 4)],
            "level": [str(self.level)],
            "accuracy": [number(self.accuracy, 4)],
            "dense accuracy": [number(self.dense_accuracy, 4)],
            "seed std": ["-" if self.std is None else number(self.std, 4)],
        }


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
    low = high = None
    if len(runs) > 1:
        drawn = matching_draws(accuracy, draws, np.random.default_rng(rng))
        low, high = (int(end) for end in np.quantile(drawn, (0.025, 0.975), method="inverted_cdf"))
    return Matching(
        experiment_id=counts.experiment_id,
        label=counts.label,
        runs=tuple(counts.runs[i] for i in runs),
        level=int(levels[found]),
        density=float(density[found]),
        level_low=None if low is None else int(levels[low]),
        level_high=None if high is None else int(levels[high]),
        density_low=None if high is None else float(density[high]),
        density_high=None if low is None else float(density[low]),
        accuracy=float(accuracy[:, found].mean()),
        dense_accuracy=float(accuracy[:, 0].mean()),
        std=float(_std(accuracy[:, 0])) if len(runs) > 1 else None,
        notes=(DEFINITION, *_matching_notes(counts, runs, levels, accuracy, found, high)),
    )


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
            "no uncertainty can be given: add --seeds"
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
            "add --levels"
        )
    elif high == len(levels) - 1:
        notes.append(
            "the interval reaches the sparsest level on record and may go on: add --levels"
        )
    return notes
