"""Counts of one experiment as arrays: what the analysis works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..schemas.blocks import GROUP, Layer
from ..schemas.display import Shown, Table
from ..schemas.errors import RgtoolError
from ..schemas.published import PREFIX
from ..schemas.recipe import Recipe
from ..schemas.records.description import RECORDED
from ..schemas.words import counted
from .catalogue.apart import label_of

_FORMATS = {"kept": ".1f", "density": ".4f", "share_start": ".4f", "share": ".4f"}
Scales = Mapping[str, Mapping[str, float]]
NOT_NESTED = (
    "every density was pruned from the dense network, so that counts are not nested: a layer may "
    "gain a few weights from one level to the next"
)


@dataclass(frozen=True, eq=False)
class Counts(Shown):
    """Kept weights of S runs of one experiment at T levels in G groups.

    Attributes
    ----------
    experiment_id : str
        The experiment.
    recipe : Recipe
        Its recipe.
    by : str
        Grouping: `layer`, `block`, `stage` or `role`.
    names : tuple of str, length G
        Groups in the order of the forward pass.
    runs : tuple of str, length S
        Run ids, by seed.
    seeds : tuple of (int or None), length S
        Seeds; None where unknown.
    levels : integer array, shape (T,)
        Levels 0, 1, ... up to the last one that any run recorded.
    recorded : bool array, shape (S, T)
        Whether the run has a record of the level; elsewhere `kept` is 0 and floats are NaN.
    kept : integer array, shape (S, T, G)
        Weights kept.
    magnitude : float array, shape (S, T, G)
        Sums of |w| over kept weights; NaN where the source does not tell.
    accuracy : float array, shape (S, T)
        Test accuracy, a fraction; NaN where there is none.
    total : integer array, shape (G,)
        Weights of the dense group.
    exempt : bool array, shape (G,)
        Groups all of whose layers are exempt from pruning: the recipe says so, or of an import,
        whose recipe may not, that they are whole in all records.
    layers : tuple of Layer
        The counted layers, in the order of the forward pass.
    exempt_layers : tuple of str
        Names of the layers that are exempt.
    scales : tuple of mapping, length S, or empty where nothing is known
        Per run: `init` and `rewind`, where measured, map every layer to the root mean square of
        its weights.
    assumed : tuple of str
        Fields of the recipe of an import or a recording that nothing tells.
    study : str
        The published recipe that they are taken from; empty where they are frozen defaults.
    source : str
        Where its runs come from, as their descriptions say: `rgtool`, `recorder`, or a format.
    notes : tuple of str
        What is to be known of these counts.
    apart : str
        What tells it from others of its store with that architecture and task, see
        `store.catalogue.apart.told_apart`; empty where there are none.

    Raises
    ------
    RgtoolError
        A count is negative or more than the dense group has, a run's network gains weights, or an
        accuracy is no fraction.
    """

    experiment_id: str
    recipe: Recipe
    by: str
    names: tuple[str, ...]
    runs: tuple[str, ...]
    seeds: tuple[int | None, ...]
    levels: NDArray[np.int64]
    recorded: NDArray[np.bool_]
    kept: NDArray[np.int64]
    magnitude: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    total: NDArray[np.int64]
    exempt: NDArray[np.bool_]
    layers: tuple[Layer, ...]
    exempt_layers: tuple[str, ...]
    scales: tuple[Scales, ...] = ()
    assumed: tuple[str, ...] = ()
    study: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    apart: str = ""

    def __post_init__(self) -> None:
        wrong = (self.kept < 0) | (self.kept > self.total)
        if wrong.any():
            run, level, group = np.argwhere(wrong)[0].tolist()
            raise RgtoolError(
                f"{self._place(run, level)}: group {self.names[group]} keeps "
                f"{self.kept[run, level, group]} weights, expected 0 to {self.total[group]}: "
                "correct the counts"
            )
        bad = (self.accuracy < 0) | (self.accuracy > 1)
        if bad.any():
            run, level = np.argwhere(bad)[0].tolist()
            raise RgtoolError(
                f"{self._place(run, level)}: accuracy {self.accuracy[run, level]:g} is no "
                "fraction, expected 0 to 1: give .95 for 95 per cent"
            )
        network = self.kept.sum(axis=-1)
        rises = (np.diff(network) > 0) & self.recorded[:, 1:] & self.recorded[:, :-1]
        if rises.any():
            run, level = np.argwhere(rises)[0].tolist()
            raise RgtoolError(
                f"{self._place(run, level + 1)}: the network keeps {network[run, level + 1]} "
                f"weights, more than the {network[run, level]} of the level before: pruning only "
                "removes, so correct the order or the counts"
            )

    def _place(self, run: int, level: int) -> str:
        return f"{self.label}: run {self.runs[run]}, level {int(self.levels[level])}"

    def table(self) -> Table:
        """Return the groups: weights, and what the last level keeps of them, means over runs."""
        last = self.recorded[:, -1:].ravel()
        kept = self.kept[last, -1].mean(axis=0) if last.any() else np.full(len(self.names), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            density, shares = kept / self.total, (self.total / self.total.sum(), kept / kept.sum())
        columns = [self.names, self.total, kept, density, *shares, self.exempt]
        plain = [column if isinstance(column, tuple) else column.tolist() for column in columns]
        there = counted(int(last.sum()), "run")
        return Table(
            ("name", "total", "kept", "density", "share_start", "share", "exempt"),
            list(zip(*plain, strict=True)),
            title=f"{self.label}, by {self.by}, experiment {self.experiment_id}: "
            f"{counted(len(self.runs), 'run')}, {counted(len(self.levels), 'level')}\n"
            f"kept, density and share at the last level, mean over {there}",
            notes=self.notes,
            formats=_FORMATS,
        )

    @property
    def has_shapes(self) -> bool:
        """Whether all layers have shapes: a table tells the number of weights alone."""
        return all(layer.kind != GROUP for layer in self.layers)

    def select(self, positions: Sequence[int]) -> Counts:
        """Return the same of some runs alone, given by their positions."""
        chosen = list(positions)
        recorded = self.recorded[chosen]
        last = int(np.flatnonzero(recorded.any(axis=0)).max(initial=0)) + 1
        return replace(
            self,
            runs=tuple(self.runs[i] for i in chosen),
            seeds=tuple(self.seeds[i] for i in chosen),
            levels=self.levels[:last],
            recorded=recorded[:, :last],
            kept=self.kept[chosen, :last],
            magnitude=self.magnitude[chosen, :last],
            accuracy=self.accuracy[chosen, :last],
            scales=tuple(self.scales[i] for i in chosen) if self.scales else (),
        )

    def more(self, *what: str) -> str:
        """Say how there come to be more `seeds` or `levels`: whose runs they are tells."""
        if self.recipe.origin is None:
            options = ("at" if one == "levels" and self.is_child else one for one in what)
            return f"add {' or '.join(f'--{one}' for one in options)}"
        if self.experiment_id.startswith(PREFIX):
            return f"no more {' or '.join(what)} are published"
        verb = "record" if self.source == RECORDED else "import"
        return f"{verb} more {' or '.join(what)}"

    @property
    def further(self) -> str:
        """Say how there come to be sparser levels: a child has no more of them than its parent."""
        if self.is_child:
            return f"these are single tickets of {self.recipe.parent}: add sparser ones with --at"
        return "prune further"

    @property
    def is_child(self) -> bool:
        """Whether its levels are single tickets of a parent, which `--at` names."""
        return self.recipe.parent is not None and self.recipe.start is None

    @property
    def label(self) -> str:
        """Architecture and task, such as `resnet20/cifar10`, and what tells it apart."""
        return f"{label_of(self.recipe)}{self.apart}"


def never_pruned(
    kept: NDArray[np.int64], total: NDArray[np.int64], recorded: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tell which layers keep all weights at all levels of all runs, while others lose some.

    Parameters
    ----------
    kept : integer array, shape (S, T, L)
        Weights kept; of levels without a record nothing is read.
    total : integer array, shape (L,)
        Weights of the dense layers.
    recorded : bool array, shape (S, T)
        Which levels have a record.

    Returns
    -------
    bool array, shape (L,)
        All False where nothing is pruned yet.
    """
    whole = ((kept == total) | ~recorded[..., None]).all(axis=(0, 1))
    return np.asarray(whole & ~whole.all())
