"""The null models of an experiment, by name: what each expects the groups to keep.

A null model is a function from a `Situation` to expected counts at the two ends of the window,
shape (S, 2, G), with notes, and a line in `NULL_MODELS`. It raises an `RgtoolError` where it cannot
be had, and the message says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schemas.blocks import Layer
from ...schemas.errors import UsageError
from ...schemas.recipe import Recipe
from ...store.counts import Scales
from ..arrays import Floats
from ..window import Window
from .known import PRUNING, assumptions, blindness
from .random import random_kept, random_log_variance
from .static import static_kept
from .untrained import group_layers, measured_null_kept, null_groups

DenseWeights = tuple[NDArray[Any], ...]
NullModel = Callable[["Situation"], tuple[Floats, tuple[str, ...]]]


@dataclass(frozen=True, eq=False)
class Situation:
    """What a null model may know of an experiment.

    Attributes
    ----------
    window : Window
        The experiment, its runs and levels.
    dense : callable
        From a run id to the weights of its trained dense network, a flat array a layer.
    """

    window: Window
    dense: Callable[[str], DenseWeights]

    @property
    def recipe(self) -> Recipe:
        """How the runs were pruned."""
        return self.window.counts.recipe

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The counted layers, length L."""
        return self.window.counts.layers

    @property
    def exempt(self) -> tuple[str, ...]:
        """Names of the layers that are never pruned."""
        return self.window.counts.exempt_layers

    @property
    def runs(self) -> tuple[str, ...]:
        """Ids of the runs used, length S."""
        return self.window.run_ids

    @property
    def scales(self) -> tuple[Scales, ...]:
        """Their stored scales, length S or 0."""
        return self.window.scales

    @property
    def kept(self) -> Floats:
        """Counts at the two ends of the window, shape (S, 2, G)."""
        return self.window.kept[:, [0, -1]]

    @property
    def network(self) -> Floats:
        """Counts of the whole network, shape (S, 2)."""
        return np.asarray(self.kept.sum(axis=-1))

    @property
    def fixed(self) -> Floats:
        """Weights of every group that are never pruned, shape (G,)."""
        exempt = [layer.total if layer.name in self.exempt else 0 for layer in self.layers]
        return self.grouped(np.array(exempt))

    @property
    def random_sd(self) -> Floats:
        """Sd over runs of the mean log eigenvalue if pruning were random (N0), shape (G,)."""
        variance = random_log_variance(self.kept, self.fixed)[:, 0].mean(axis=0)
        return np.asarray(np.sqrt(variance) / self.window.steps)

    def grouped(self, layers: NDArray[Any]) -> Floats:
        """Sum over the layers of every group: shape (..., L) to (..., G)."""
        return group_layers(self.window.counts, layers)


def _n0(at: Situation) -> tuple[Floats, tuple[str, ...]]:
    """N0: survivors are drawn without regard to anything."""
    end = random_kept(at.kept[:, 0], at.fixed, at.network[:, 1])
    return np.stack([at.kept[:, 0], end], axis=1), ()


def _n1(at: Situation) -> tuple[Floats, tuple[str, ...]]:
    """N1 at the scales of the recipe's initialiser."""
    return null_groups(at.window.counts, at.network)


def _n1_measured(at: Situation) -> tuple[Floats, tuple[str, ...]]:
    """N1 at the scales that the runs have stored."""
    layers, notes = measured_null_kept(at.layers, at.exempt, at.recipe, at.network, at.scales)
    return at.grouped(layers), (*notes, *assumptions(at.window.counts, PRUNING))


def _n2(at: Situation) -> tuple[Floats, tuple[str, ...]]:
    """N2: the trained dense network, pruned in one go."""
    if at.recipe.pruner != "magnitude":
        raise UsageError(f"a {at.recipe.pruner} pruner does not look at magnitudes")
    if note := blindness(at.recipe):
        return _n1(at)[0], note
    exempt = np.array([layer.name in at.exempt for layer in at.layers])
    kept = [
        static_kept(at.dense(run), network, exempt)
        for run, network in zip(at.runs, at.network, strict=True)
    ]
    return at.grouped(np.array(kept)), assumptions(at.window.counts, PRUNING)


NULL_MODELS: dict[str, NullModel] = {
    "random": _n0,
    "initial": _n1,
    "measured": _n1_measured,
    "static": _n2,
}
MEANING = {
    "random": "N0, random pruning",
    "initial": "N1, initial scales of the recipe",
    "measured": "N1, stored scales",
    "static": "N2, dense network pruned in one go",
}
