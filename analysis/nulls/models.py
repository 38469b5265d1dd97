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
from ...store.counts import Counts, Scales
from .. import flow
from ..arrays import Floats, Integers
from ..window import Window
from .random import random_kept
from .static import static_kept
from .untrained import blindness, measured_null_kept, null_kept

Weights = tuple[NDArray[Any], ...]
NullModel = Callable[["Situation"], tuple[Floats, tuple[str, ...]]]


@dataclass(frozen=True, eq=False)
class Situation:
    """What a null model may know of an experiment.

    Attributes
    ----------
    recipe : Recipe
        How the runs were pruned.
    layers : tuple of Layer, length L
        The counted layers.
    exempt : tuple of str
        Names of the layers that are never pruned.
    index : integer array, shape (L,)
        Group of every layer.
    kept : array, shape (S, 2, G)
        Counts of the runs used at the two ends of the window.
    runs : tuple of str, length S
        Their ids.
    scales : tuple of mapping, length S or 0
        Their stored scales.
    dense : callable
        From a run id to the weights of its trained dense network, a flat array a layer.
    """

    recipe: Recipe
    layers: tuple[Layer, ...]
    exempt: tuple[str, ...]
    index: Integers
    kept: Floats
    runs: tuple[str, ...]
    scales: tuple[Scales, ...]
    dense: Callable[[str], Weights]

    @property
    def network(self) -> Floats:
        """Counts of the whole network, shape (S, 2)."""
        return np.asarray(self.kept.sum(axis=-1))

    @property
    def fixed(self) -> Floats:
        """Weights of every group that are never pruned, shape (G,)."""
        exempt = [layer.total if layer.name in self.exempt else 0 for layer in self.layers]
        return self.grouped(np.array(exempt))

    def grouped(self, layers: NDArray[Any]) -> Floats:
        """Sum over the layers of every group: shape (..., L) to (..., G)."""
        return flow.group_sums(layers, self.index, self.kept.shape[-1])


def situation(counts: Counts, window: Window, dense: Callable[[str], Weights]) -> Situation:
    """Gather what null models may know of counts over a window."""
    groups = [layer.group(counts.by) for layer in counts.layers]
    ends = counts.kept[window.runs][:, [window.start, window.end]]
    return Situation(
        recipe=counts.recipe,
        layers=counts.layers,
        exempt=counts.exempt_layers,
        index=flow.group_index(groups, counts.names),
        kept=ends.astype(np.float64),
        runs=tuple(counts.runs[i] for i in window.runs),
        scales=tuple(counts.scales[i] for i in window.runs) if counts.scales else (),
        dense=dense,
    )


def _random(at: Situation) -> tuple[Floats, tuple[str, ...]]:
    """N0: survivors are drawn without regard to anything."""
    end = random_kept(at.kept[:, 0], at.fixed, at.network[:, 1])
    return np.stack([at.kept[:, 0], end], axis=1), ()


def _initial(at: Situation) -> tuple[Floats, tuple[str, ...]]:
    """N1 at the scales of the recipe's initialiser."""
    layers, notes = null_kept(at.layers, at.exempt, at.recipe, at.network)
    return at.grouped(layers), notes


def _measured(at: Situation) -> tuple[Floats, tuple[str, ...]]:
    """N1 at the scales that the runs have stored."""
    layers, notes = measured_null_kept(at.layers, at.exempt, at.recipe, at.network, at.scales)
    return at.grouped(layers), notes


def _static(at: Situation) -> tuple[Floats, tuple[str, ...]]:
    """N2: the trained dense network, pruned in one go."""
    if at.recipe.pruner != "magnitude":
        raise UsageError(f"a {at.recipe.pruner} pruner does not look at magnitudes")
    if note := blindness(at.recipe):
        return _initial(at)[0], note
    exempt = np.array([layer.name in at.exempt for layer in at.layers])
    kept = [
        static_kept(at.dense(run), network, exempt)
        for run, network in zip(at.runs, at.network, strict=True)
    ]
    return at.grouped(np.array(kept)), ()


NULL_MODELS: dict[str, NullModel] = {
    "random": _random,
    "initial": _initial,
    "measured": _measured,
    "static": _static,
}
MEANING = {
    "random": "N0, random pruning",
    "initial": "N1, initial scales of the recipe",
    "measured": "N1, stored scales",
    "static": "N2, dense network pruned in one go",
}
