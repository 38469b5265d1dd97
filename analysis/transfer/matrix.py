"""Tickets of every experiment on the task of every other, and what tells their loss beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Floats
from ..result import SIGNED, Column, Result, ends
from ..values import Estimate, Refusal
from .between import Spectra
from .conditions import CONDITIONS, OWN, TRANSFERRED
from .differences import paired
from .mantel import Mantel, mantel
from .predictors import CONSTANT, DENSITY, MASKS, SPECTRA, Score, held_out
from .result import ROW, Transfer, cell_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..charts.chart import Chart

_CONTROLS = [name for name in CONDITIONS if name not in (OWN, TRANSFERRED)]
_NAMES = (
    Column("source", "Where the tickets come from."),
    Column("target", "Whose task they are trained on."),
)


@dataclass(frozen=True, eq=False)
class TransferMatrix(Result):
    """Tickets of E experiments on the tasks of each other.

    Attributes
    ----------
    experiments, names : tuple of str, length E
        Ids, and what tells them apart: their tasks.
    levels : tuple of int, length T
        Levels whose losses count: pruned ones.
    transfers : dict of (int, int) to Transfer
        By positions of source and target.
    spectra : Spectra
        How far they lie apart.
    overlap : array, shape (E, E, T)
        Share of the weights of one mask that the other keeps too; NaN where not known.
    rng_seed : int
        Of permutations, where there are too many to go through.
    notes : tuple of str
        What the numbers alone do not say.
    """

    experiments: tuple[str, ...]
    names: tuple[str, ...]
    levels: tuple[int, ...]
    transfers: Mapping[tuple[int, int], Transfer]
    spectra: Spectra
    overlap: Floats
    rng_seed: int
    notes: tuple[str, ...]

    columns = (
        *_NAMES,
        Column("distance", "||Delta clr|| of the spectra.", "log, a level", ".3f", "if any"),
        Column("p", "Of equal spectra.", "", ".2g", "if any"),
        Column("same", "Whether the spectra are certified to be the same.", shown="if any"),
        Column("overlap", "Share of the weights of one mask that the other keeps too, mean over "
               "the levels that count.", "", ".3f", "if any"),
        Column("told", "Levels that tell a loss: pruned, and not of networks that guess."),
        Column("loss", "Accuracy of the target's own tickets less that of transferred ones at the "
               "same density, mean over these levels.", "fraction", SIGNED),
        *ends("loss_low", "loss_high", "its 95 % interval", "fraction", SIGNED, "if any"),
        *(Column(f"loss_{name}", f"The same of {name}: {CONDITIONS[name]}.", "fraction", SIGNED,
                 "if any") for name in _CONTROLS),
    )  # fmt: skip
    rows = "a row for every source and target"
    see = "transfer.md#a-matrix"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        levels = ", ".join(map(str, self.levels))
        return f"tickets of {len(self.names)} experiments on each other's tasks, levels {levels}"

    @property
    def loss(self) -> Floats:
        """Losses of transferred tickets by source, target and level: shape (E, E, T)."""
        return self.loss_of(TRANSFERRED)

    def loss_of(self, condition: str) -> Floats:
        """Losses of a condition: shape (E, E, T); NaN where not measured, or where all guess."""
        size = len(self.names)
        out = np.full((size, size, len(self.levels)), np.nan)
        for pair, transfer in self.transfers.items():
            for level, value in _losses(transfer, condition, self.levels).items():
                out[(*pair, self.levels.index(level))] = value
        return out

    @property
    def mean_loss(self) -> Floats:
        """Losses of transferred tickets, mean over the levels that tell one: shape (E, E)."""
        return _mean(self.loss)

    def mantel(self, what: str = SPECTRA) -> Mantel | Refusal:
        """Test whether losses go with the distance of `spectra`, or with the lack of overlap."""
        distance = self.spectra.distance if what == SPECTRA else -_mean(self.overlap)
        return mantel(distance, self.mean_loss, self.rng_seed)

    @property
    def scores(self) -> list[Score] | Refusal:
        """How far predictors miss the losses of experiments that they have not seen."""
        if not np.isfinite(self.spectra.distance).all():
            return Refusal("the distance of some spectra is not known")
        return held_out(self.loss, self.spectra.distance, self.overlap)

    @property
    def predictors(self) -> PredictorTable:
        """What tells the loss beforehand, as a result of its own."""
        return PredictorTable(self)

    @property
    def level_table(self) -> MatrixLevels:
        """Every condition at every level as a result of its own."""
        return MatrixLevels(self)

    def _values(self) -> dict[str, Any]:
        loss = self.loss
        rows = [self._row(pair, transfer, loss[pair]) for pair, transfer in self.transfers.items()]
        names = [column.name for column in self.columns]
        return {name: [row.get(name) for row in rows] for name in names}

    def _row(self, pair: tuple[int, int], transfer: Transfer, loss: Floats) -> dict[str, Any]:
        a, b = pair
        told = [level for level, value in zip(self.levels, loss, strict=True) if np.isfinite(value)]
        mean = _mean_loss(transfer, told)
        controls = {
            f"loss_{name}": _plain_mean(_losses(transfer, name, told).values())
            for name in _CONTROLS
            if transfer.of(name)
        }
        return {
            "source": self.names[a],
            "target": self.names[b],
            "distance": float(self.spectra.distance[pair]),
            "p": float(self.spectra.p[pair]),
            "same": bool(self.spectra.same[pair]),
            "overlap": _plain_mean(self.overlap[pair][np.isfinite(loss)].tolist()),
            "told": len(told),
            "loss": mean.value,
            "loss_low": mean.low,
            "loss_high": mean.high,
            **controls,
        }

    def plot(self) -> Figure:
        """Draw losses against the distance of spectra and against density."""
        from ..plots.transfer import plot_matrix

        return plot_matrix(self)

    def chart(self) -> Chart:
        """Draw it as a chart."""
        from ..charts.transfer import matrix_chart

        return matrix_chart(self)


def _losses(transfer: Transfer, condition: str, levels: Sequence[int]) -> dict[int, float]:
    """Return losses by level, where the target's own networks do better than guessing."""
    idle = {cell.level for cell in transfer.of(OWN) if cell.guessing == "all"}
    return {
        cell.level: -cell.to_own.estimate.value
        for cell in transfer.of(condition)
        if cell.level in levels and cell.level not in idle and cell.to_own.is_known
    }


def _mean_loss(transfer: Transfer, levels: Sequence[int]) -> Estimate[float]:
    """Return the loss of transferred tickets over levels, its interval by pairs of seeds."""
    cells = [cell for cell in transfer.of(TRANSFERRED) if cell.level in levels]
    mean = _plain_mean(-cell.to_own.estimate.value for cell in cells)
    seeds = set.intersection(*(set(cell.to_own.by_seed) for cell in cells)) if cells else set()
    if len(seeds) < 2 or any(len(cell.to_own.by_seed) > len(seeds) for cell in cells):
        return Estimate(mean, math.nan, math.nan)
    each = [np.mean([-cell.to_own.by_seed[seed] for cell in cells]) for seed in sorted(seeds)]
    return paired(each, transfer.unit / len(cells))


def _plain_mean(values: Any) -> float:
    known = list(values)
    return float(np.mean(known)) if known else math.nan


def _mean(values: Floats) -> Floats:
    """Return the mean over the last axis of what is known; NaN where nothing is."""
    has = np.isfinite(values)
    total = np.where(has, values, 0.0).sum(axis=-1)
    count = has.sum(axis=-1)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


@dataclass(frozen=True, eq=False)
class PredictorTable(Result):
    """What tells the loss of transferred tickets beforehand.

    Attributes
    ----------
    matrix : TransferMatrix
        The matrix.
    """

    matrix: TransferMatrix

    columns = (
        Column("predictor", "constant: the mean loss; density: that of the level; spectra, masks: "
               "with a line in the distance of spectra, in the overlap of masks."),
        Column("rho", "Spearman's correlation of mean losses with the distance of spectra, or "
               "with the lack of overlap.", "", SIGNED, "if any"),
        Column("p", "Of no correlation, one-sided: labels of experiments are permuted.", "", ".3g",
               "if any"),
        Column("rmse", "What it misses of the losses of experiments that were held out.",
               "fraction", ".4f", "if any"),
        Column("first", "Held-out experiments of which it misses least.", shown="if any"),
        Column("held_out", "Experiments that were held out.", shown="if any"),
    )  # fmt: skip
    rows = "a row for every predictor"
    see = "transfer.md#which-predictor-wins"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return f"{self.matrix.title}: what tells the loss"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers alone do not say."""
        return self.matrix.notes

    def _values(self) -> dict[str, Any]:
        scores = self.matrix.scores
        by_name = {} if isinstance(scores, Refusal) else {one.predictor: one for one in scores}
        tests = {name: self.matrix.mantel(name) for name in (SPECTRA, MASKS)}
        names = (CONSTANT, DENSITY, SPECTRA, MASKS)

        def each(of: Mapping[str, Any], what: str) -> list[Any]:
            return [getattr(of.get(name), what, None) for name in names]

        return {
            "predictor": names,
            **{what: each(tests, what) for what in ("rho", "p")},
            **{what: each(by_name, what) for what in ("rmse", "first", "held_out")},
        }


@dataclass(frozen=True, eq=False)
class MatrixLevels(Result):
    """Every condition of a matrix at every level.

    Attributes
    ----------
    matrix : TransferMatrix
        The matrix.
    """

    matrix: TransferMatrix

    columns = (*_NAMES, *ROW)
    rows = "a row for every source, target, condition and level"
    see = "transfer.md#a-matrix"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return self.matrix.title

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers alone do not say."""
        return self.matrix.notes

    def _values(self) -> dict[str, Any]:
        rows = [(a, b, t, c) for (a, b), t in self.matrix.transfers.items() for c in t.cells]
        return {
            "source": [self.matrix.names[a] for a, _, _, _ in rows],
            "target": [self.matrix.names[b] for _, b, _, _ in rows],
            **cell_values([cell for *_, cell in rows], [t.matching for _, _, t, _ in rows]),
        }
