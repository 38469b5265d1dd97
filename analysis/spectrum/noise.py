"""Noise of an experiment's log eigenvalues: between its seeds, and between steps of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...schemas.errors import RgtoolError
from .. import flow
from ..named import Named, StoreLike, counts_of
from ..window import choose_window

# Published spectra have no seeds. One run's log eigenvalue scatters by about .008 between seeds (an
# assumption), and rounding to two decimals adds .01 / sqrt 12 = .0029.
ASSUMED_SD, ROUNDING = 0.008, 0.0029
ONE_SEED = ASSUMED_SD**2  # variance of one seed's mean, where nothing tells how far seeds lie apart
PRINTED = ONE_SEED + ROUNDING**2  # variance of a printed log eigenvalue
PUBLISHED_SD = math.sqrt(PRINTED)


@dataclass(frozen=True)
class SpectrumNoise:
    """Standard deviations of log lambda.

    Attributes
    ----------
    seed_sd : float
        Between seeds, the steps' part taken off.
    step_sd : float
        Between the steps of one run, about their trend.
    groups : int
        Groups it was measured in.
    notes : tuple of str
        Where it comes from.
    """

    seed_sd: float
    step_sd: float
    groups: int
    notes: tuple[str, ...] = ()


def split_noise(log_eigenvalues: ArrayLike) -> tuple[float, float]:
    """Split the scatter of log eigenvalues into seeds and steps.

    Parameters
    ----------
    log_eigenvalues : array, shape (S, T, G)
        S >= 2 seeds, T >= 3 steps.

    Returns
    -------
    seed_sd, step_sd : float
        step_sd^2 is the variance about each run's straight line, T - 2 degrees of freedom, mean
        over seeds and groups; seed_sd^2 the variance of the runs' means less step_sd^2 / T, mean
        over groups, and 0 where that is negative.
    """
    data = np.asarray(log_eigenvalues, np.float64)
    steps = data.shape[1]
    time = np.arange(steps) - (steps - 1) / 2
    centred = data - data.mean(axis=1, keepdims=True)
    slope = np.einsum("t,stg->sg", time, centred) / (time @ time)
    residual = centred - time[None, :, None] * slope[:, None, :]
    within = float((residual**2).sum(axis=1).mean() / (steps - 2))
    between = float(data.mean(axis=1).var(axis=0, ddof=1).mean()) - within / steps
    return math.sqrt(max(between, 0.0)), math.sqrt(within)


def measured_noise(store: StoreLike, experiment: Named, by: str = "block") -> SpectrumNoise:
    """Measure the noise of an experiment.

    Parameters
    ----------
    store, experiment
        As for `named.look_up`.
    by : str
        `layer`, `block`, `stage` or `role`.

    Raises
    ------
    UsageError
        The experiment or the grouping is unknown.
    RgtoolError
        There are fewer than two seeds, or than three steps after level 1.
    """
    counts = counts_of(store, experiment, by, "a measurement of noise")
    window = choose_window(counts).distinct
    steps, seeds = window.steps, len(window.runs)
    if seeds < 2 or steps < 3:
        raise RgtoolError(
            f"{counts.label} ({counts.experiment_id}) has {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'} and {steps} steps from level {window.start}: its "
            "noise takes 2 seeds and 3 steps, so give --seed-sd and --step-sd instead"
        )
    if len(counts.names) < 2:
        raise RgtoolError(
            f"{counts.label} by {counts.by} is one group, whose eigenvalue is 1 whatever happens: "
            "its noise takes a finer grouping (--by)"
        )
    logs = flow.log_eigenvalues(window.kept)[..., window.open]
    seed_sd, step_sd = split_noise(logs)
    clipped = " (the steps explain all of the scatter between seeds)" if seed_sd == 0 else ""
    note = (
        f"noise of {counts.label} ({counts.experiment_id}) by {counts.by}, {seeds} seeds, levels "
        f"{window.start}:{window.end}: a few seeds measure it roughly{clipped}"
    )
    return SpectrumNoise(seed_sd, step_sd, logs.shape[-1], (note, *window.notes))
