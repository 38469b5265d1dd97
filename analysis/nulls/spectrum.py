"""The spectrum of a network that was not trained for it: what a null model keeps of its groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...schemas.blocks import GROUPINGS, Architecture, Layer, coarsest, groups_of
from ...schemas.errors import choose
from ...schemas.notes import Note, Rank, ranked
from ...schemas.words import growing_shares
from .. import flow
from ..arrays import Bools, Floats, Integers
from ..result import Column, Result
from .schedule import Schedule


@dataclass(frozen=True, eq=False)
class NullSpectrum(Result):
    """Spectrum of N1 for one architecture, or of N2 for its weights.

    Attributes
    ----------
    architecture, by, prunable : str
        What was asked for.
    init : str
        Initialiser and fan, or `measured scales`; of N2 whose weights they are.
    distribution : str
        Shape of the initial weights; empty of N2, whose weights are what they are.
    weighting : str
        `count` or `magnitude`.
    prune : float or None
        Share of the remaining weights that a level removes; None where densities were asked for.
    window : tuple of int
        First and last level, a and b.
    names : tuple of str, length G
        Groups in the order of the forward pass.
    total : integer array, shape (G,)
        Weights of the dense groups.
    exempt : bool array, shape (G,)
        Groups that are counted and never pruned: eigenvalue 1/rho, exponent 1 by construction.
    density : array, shape (b - a + 1,)
        What share of its weights the network keeps at the levels of the window.
    share : array, shape (b - a + 1, G)
        M_i(n) at the same levels.
    step_eigenvalues : array, shape (b - a, G)
        lambda_i(n) of every step.
    eigenvalue : array, shape (G,)
        Geometric mean over the window.
    exponent : array, shape (G,)
        y_i over the window.
    about : tuple of str
        What is to be known of the weights.
    """

    architecture: str
    by: str
    prunable: str
    init: str
    distribution: str
    weighting: str
    prune: float | None
    window: tuple[int, int]
    names: tuple[str, ...]
    total: Integers
    exempt: Bools
    density: Floats
    share: Floats
    step_eigenvalues: Floats
    eigenvalue: Floats
    exponent: Floats
    about: tuple[str, ...] = ()

    columns = (
        Column("name", "The group."),
        Column("total", "Weights of the dense group.", "weights"),
        Column("exempt", "Counted and never pruned.", shown="if any"),
        Column("share_start", "Share of all kept weights at the first level.", "", ".4f", "wide"),
        Column("share_end", "The same at the last level.", "", ".4f", "wide"),
        Column("eigenvalue", "Geometric mean of M(n+1)/M(n).", "1 a level", ".3f"),
        Column("exponent", "y = ln eigenvalue / -ln retention.", "", "+z.3f"),
    )
    rows = "a row for every group"
    see = "spectra.md#null-models"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        schedule = Schedule(self.window, self.density, self.prune)
        if not self.distribution:
            what, of = "static", f"the {self.init}, pruned in one go"
        else:
            what, of = "initial-scale", f"{self.init}, {self.distribution}"
        return f"{what} null of {self.architecture} by {self.by}: {of}; {schedule}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers alone do not say."""
        pruned = np.flatnonzero(~self.exempt)
        names = [self.names[i] for i in pruned]
        shares = growing_shares(names, self.eigenvalue[pruned].tolist())
        dead = [name for name, value in zip(self.names, self.eigenvalue, strict=True) if value == 0]
        lost = f"{', '.join(dead)} lost every weight in the window: eigenvalue 0, no exponent"
        how = "without any training" if self.distribution else "by the sizes of these weights alone"
        said = Note(f"{how} {shares}", rank=Rank.CONCLUSION)
        return ranked([said, *([lost] if dead else []), *self.about], self.see)

    def _values(self) -> dict[str, Any]:
        return {
            "name": self.names,
            "total": self.total,
            "exempt": self.exempt,
            "share_start": self.share[0],
            "share_end": self.share[-1],
            "eigenvalue": self.eigenvalue,
            "exponent": self.exponent,
        }


@dataclass(frozen=True)
class Grouped:
    """The counted layers of a network in one grouping.

    Attributes
    ----------
    network : Architecture
        The network.
    prunable : str
        The set of its layers that counts.
    by : str
        The grouping.
    layers : tuple of Layer, length L
        The counted layers.
    groups : tuple of str, length L
        The group of every layer.
    """

    network: Architecture
    prunable: str
    by: str
    layers: tuple[Layer, ...]
    groups: tuple[str, ...]

    @classmethod
    def of(cls, network: Architecture, prunable: str, by: str | None) -> Grouped:
        """Group the layers of a network, by default by the coarsest part that it has.

        Raises
        ------
        UsageError
            It has no such grouping, or no layers of that set.
        """
        by = choose("grouping", by or coarsest(network.layers), GROUPINGS)
        layers = network.counted(prunable)
        return cls(network, prunable, by, layers, groups_of(layers, by, network.name))

    @property
    def total(self) -> Integers:
        """Weights of every layer, shape (L,)."""
        return np.array([layer.total for layer in self.layers], np.int64)

    @property
    def exempt(self) -> Bools:
        """Layers that are counted and never pruned, shape (L,)."""
        return np.array([layer.name in self.network.exempt for layer in self.layers], np.bool_)

    def spectrum(
        self,
        schedule: Schedule,
        kept: Floats | Integers,
        network_kept: Floats | Integers,
        *,
        init: str,
        distribution: str = "",
        weighting: str = "count",
        about: Sequence[str] = (),
    ) -> NullSpectrum:
        """Return the spectrum of what a null model keeps.

        Parameters
        ----------
        schedule : Schedule
            The T levels.
        kept : array, shape (T, L)
            Weights kept in every layer, or their sums of |w|.
        network_kept : array, shape (T,)
            Weights kept in the network: retention is of counts in either weighting.
        init, distribution, weighting, about
            As `NullSpectrum` has them.
        """
        names = tuple(dict.fromkeys(self.groups))
        index = flow.group_index(self.groups, names)

        def summed(values: Floats | Integers | Bools) -> Floats:
            return flow.group_sums(values, index, len(names))

        theta = flow.window_log_eigenvalues(summed(kept), 0, schedule.steps)
        time = np.log(network_kept[0] / network_kept[-1]) / schedule.steps
        return NullSpectrum(
            architecture=self.network.name,
            by=self.by,
            prunable=self.prunable,
            init=init,
            distribution=distribution,
            weighting=weighting,
            prune=schedule.prune,
            window=schedule.levels,
            names=names,
            total=summed(self.total).astype(np.int64),
            exempt=summed(~self.exempt) == 0,
            density=schedule.density,
            share=flow.shares(summed(kept)),
            step_eigenvalues=flow.eigenvalues(summed(kept)),
            eigenvalue=np.exp(theta),
            exponent=np.where(np.isfinite(theta), theta / time, np.nan),
            about=tuple(about),
        )
