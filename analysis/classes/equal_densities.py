"""Two experiments at the densities that both have: what needs no spectrum and no second seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Floats, Integers
from ..flow import shares
from ..window import Window, common_levels
from .subjects import Subject


@dataclass(frozen=True, eq=False)
class Shares:
    """Shares of K groups at the N densities that two experiments have.

    Attributes
    ----------
    densities : array, shape (N,)
        Of the whole network, that of the first experiment.
    levels : integer array, shape (N, 2)
        Levels of both experiments.
    a, b : array, shape (N, K)
        Share of all kept weights that lies in a group (eq. 13), mean over runs.
    """

    densities: Floats
    levels: Integers
    a: Floats
    b: Floats

    @property
    def difference(self) -> Floats:
        """Share of the first minus that of the second: shape (N, K)."""
        return self.a - self.b


def equal_shares(one: Subject, other: Subject) -> Shares:
    """Find the levels at which two experiments are equally dense, and the shares there.

    Parameters
    ----------
    one, other : Subject
        Experiments with the same groups.
    """
    windows = one.measured, other.measured
    levels = _equal_levels(*windows)
    a, b = (
        shares(window.kept).mean(axis=0)[column - window.start][:, window.open]
        for window, column in zip(windows, levels.T, strict=True)
    )
    return Shares(windows[0].density[levels[:, 0] - windows[0].start], levels, a, b)


def _equal_levels(one: Window, other: Window) -> Integers:
    """Return the levels at which both have one density: shape (N, 2)."""
    starts = np.array([one.start, other.start])
    if one.steps and other.steps:
        return np.asarray(common_levels(one.density, other.density) + starts)
    # One level has no step to tell what is near: that from the dense network does.
    found = common_levels(np.append(1.0, one.density), np.append(1.0, other.density))
    return np.asarray(found[(found > 0).all(axis=1)] - 1 + starts)
