"""Which predictor of the loss of a ticket misses least on experiments that it has not seen.

Every experiment in turn is held out with all pairs it belongs to. From the other pairs, level by
level, a predictor says the loss of those held out: a constant is the mean over all levels; density
is the mean at the level; spectra and masks add a line in the distance of spectra, or in the
overlap of masks, to that mean, kept within the losses that it was drawn through. So spectra tell
something where they miss less than density does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Bools, Floats, Integers
from ..values import Refusal
from .mantel import LEAST_EXPERIMENTS

CONSTANT, DENSITY, SPECTRA, MASKS = "constant", "density", "spectra", "masks"
_LEAST_LINE = 3  # losses that a line is drawn through


@dataclass(frozen=True)
class Score:
    """How far a predictor misses the losses of experiments that were held out.

    Attributes
    ----------
    predictor : str
        `constant`, `density`, `spectra` or `masks`.
    rmse : float
        Root mean square of what it misses.
    first : int
        Held-out experiments of which it misses least.
    held_out : int
        Experiments that were held out.
    losses : int
        Losses that were predicted; one of a pair is predicted twice, with either held out.
    """

    predictor: str
    rmse: float
    first: int
    held_out: int
    losses: int


def held_out(loss: Floats, distance: Floats, overlap: Floats | None) -> list[Score] | Refusal:
    """Predict the losses of every experiment from those of the others.

    Parameters
    ----------
    loss : array, shape (E, E, T)
        Of tickets of the row on the task of the column at T levels; NaN where not measured.
    distance : array, shape (E, E)
        Of spectra.
    overlap : array, shape (E, E, T), optional
        Of masks.

    Returns
    -------
    list of Score or Refusal
        In the order constant, density, spectra, masks.
    """
    size, _, levels = loss.shape
    if size < LEAST_EXPERIMENTS:
        return Refusal(
            f"{size} experiments leave too few pairs when one is held out: "
            f"{LEAST_EXPERIMENTS} are needed"
        )
    row, column, level = np.nonzero(np.isfinite(loss))
    y = loss[row, column, level]
    features: dict[str, Floats | None] = {
        CONSTANT: None,
        DENSITY: None,
        SPECTRA: distance[row, column],
    }
    if overlap is not None and np.isfinite(overlap[row, column, level]).all():
        features[MASKS] = overlap[row, column, level]
    missed: dict[str, list[Floats]] = {name: [] for name in features}
    for one in range(size):
        out = (row == one) | (column == one)
        if not out.any() or out.all():
            continue
        for name, x in features.items():
            at = np.zeros_like(level) if name == CONSTANT else level
            missed[name].append(_predicted(x, y, at, out) - y[out])
    if not missed[CONSTANT]:
        return Refusal("no loss can be held out: too few were measured")
    mean = {name: np.array([(m**2).mean() for m in parts]) for name, parts in missed.items()}
    best = np.min(list(mean.values()), axis=0)
    return [
        Score(
            predictor=name,
            rmse=float(np.sqrt((np.concatenate(parts) ** 2).mean())),
            first=int((mean[name] <= best).sum()),
            held_out=len(parts),
            losses=int(sum(map(len, parts))),
        )
        for name, parts in missed.items()
    ]


def _predicted(x: Floats | None, y: Floats, at: Integers, out: Bools) -> Floats:
    """Predict y where `out`, level by level, from the rest: shape of y[out]."""
    found = np.full(len(y), y[~out].mean())
    for level in np.unique(at[out]):
        known, wanted = ~out & (at == level), out & (at == level)
        if known.any():
            found[wanted] = _line(None if x is None else (x[known], x[wanted]), y[known])
    return found[out]


def _line(x: tuple[Floats, Floats] | None, y: Floats) -> Floats | float:
    """Return the line through (x, y) at other x, within the range of y; without x the mean."""
    if x is None or len(y) < _LEAST_LINE or np.ptp(x[0]) == 0:
        return float(y.mean())
    centre = x[0] - x[0].mean()
    slope = (centre @ y) / (centre @ centre)
    return np.asarray(np.clip(y.mean() + slope * (x[1] - x[0].mean()), y.min(), y.max()))


def winner(scores: Sequence[Score]) -> Score:
    """Return the predictor that misses least; of equal ones the simpler, which stands first."""
    return min(scores, key=lambda score: score.rmse)
