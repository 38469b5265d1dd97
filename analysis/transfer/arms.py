"""Accuracies of one condition of a transfer, and what they are at a density."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ...schemas.errors import RgtoolError
from ...store.counts import Counts
from ..arrays import Floats, Integers
from ..flow import UNIT
from ..window import SLACK

_SAME_ACCURACY = 1e-6  # difference of accuracies that are one number


@dataclass(frozen=True, eq=False)
class Arm:
    """What S runs of one condition reach at T levels.

    Attributes
    ----------
    condition : str
        `own`, `transferred`, or the control.
    experiment_id : str
        The experiment.
    seeds : tuple of (int or None), length S
        Seeds; None where unknown, which pairs with none.
    levels : integer array, shape (T,)
        The levels at which any run has an accuracy.
    density, accuracy : array, shape (S, T)
        Of the network, and on the test set; NaN where a run lacks the level.
    """

    condition: str
    experiment_id: str
    seeds: tuple[int | None, ...]
    levels: Integers
    density: Floats
    accuracy: Floats

    def at(self, run: int, density: float) -> float:
        """Return the accuracy of a run at a density; NaN where its levels do not tell it.

        Between neighbouring levels it is interpolated, linearly in log density.
        """
        has = np.isfinite(self.accuracy[run])
        levels, accuracy = self.levels[has], self.accuracy[run][has]
        log, wanted = np.log(self.density[run][has]), np.log(density)
        if not len(log) or not np.isfinite(wanted):
            return float("nan")
        nearest = int(np.abs(log - wanted).argmin())
        if abs(log[nearest] - wanted) <= SLACK * _step(levels, log):
            return float(accuracy[nearest])
        after = int((log > wanted).sum())  # the first level that is sparser
        if not 0 < after < len(log) or levels[after] - levels[after - 1] > 1:
            return float("nan")
        left, right = log[after - 1], log[after]
        share = (left - wanted) / (left - right)
        return float((1 - share) * accuracy[after - 1] + share * accuracy[after])


def _step(levels: Integers, log: Floats) -> float:
    """Return by how much log density falls from level to level."""
    span = int(levels[-1] - levels[0])
    return float((log[0] - log[-1]) / span) if span and log[0] > log[-1] else UNIT


@dataclass(frozen=True, eq=False)
class Arms:
    """The runs of a transfer.

    Attributes
    ----------
    source : Counts
        The experiment that the tickets come from.
    own : Counts
        That of the target's own tickets.
    moved : Counts or None
        That of the transferred tickets, where there are any.
    arms : mapping of str to Arm
        By condition, that of the target's own first, as `own`.
    unit : float
        What one test image is worth.
    """

    source: Counts
    own: Counts
    moved: Counts | None
    arms: Mapping[str, Arm]
    unit: float

    @property
    def is_own_task(self) -> bool:
        """Whether the source's tickets are the target's own."""
        return self.source.experiment_id == self.own.experiment_id

    def are_same_runs(self, tickets: Mapping[int, int] | None) -> bool:
        """Tell whether transferred tickets do again what the source's own runs did.

        So they do where nothing but the parent tells their recipe from the source's, and every seed
        trains its own ticket.

        Parameters
        ----------
        tickets : mapping of int to int, optional
            Seeds, each with that of the source's run whose ticket it trains; default equal.
        """
        if self.moved is None or not self.is_own_task:
            return False
        alike = replace(self.moved.recipe, parent=None) == self.source.recipe
        return alike and all(seed == of for seed, of in (tickets or {}).items())


def arm_of(condition: str, counts: Counts) -> Arm:
    """Read the accuracies of an experiment.

    Raises
    ------
    RgtoolError
        No level has one.
    """
    has = counts.recorded & np.isfinite(counts.accuracy)
    there = has.any(axis=0)
    if not there.any():
        raise RgtoolError(
            f"{counts.label} ({counts.experiment_id}): no accuracy is on record, so there is "
            "nothing that a transferred ticket could be held against"
        )
    density = counts.kept.sum(axis=-1) / counts.total.sum()
    return Arm(
        condition=condition,
        experiment_id=counts.experiment_id,
        seeds=counts.seeds,
        levels=counts.levels[there],
        density=np.where(has, density, np.nan)[:, there],
        accuracy=np.where(has, counts.accuracy, np.nan)[:, there],
    )


def unit_of(arms: Iterable[Arm]) -> float:
    """Return what one test image is worth, see `image_of`."""
    return image_of(np.concatenate([arm.accuracy.ravel() for arm in arms]))


def image_of(accuracy: Floats) -> float:
    """Return what one test image is worth: the least step between accuracies; NaN without one.

    Accuracies are multiples of one over the number of test images.

    Parameters
    ----------
    accuracy : array
        Accuracies of any runs on one test set; NaN takes no part.
    """
    steps = np.diff(np.unique(accuracy[np.isfinite(accuracy)]))
    steps = steps[steps > _SAME_ACCURACY]
    return float(steps.min()) if len(steps) else float("nan")
