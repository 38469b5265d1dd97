"""What a transfer shows: accuracy by condition and density, with differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...schemas.errors import UsageError
from ..result import SIGNED, Column, Result, ends
from ..values import Estimate
from .conditions import CONDITIONS
from .differences import Difference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..charts.chart import Chart


@dataclass(frozen=True)
class Cell:
    """A condition at a level.

    Attributes
    ----------
    condition, experiment_id : str
        The condition, and the experiment that has its runs.
    level : int
        Level of the ticket.
    density : float
        Of the network as recorded, mean over runs.
    accuracy : Estimate
        On the test set, mean over runs, and its interval.
    runs : int
        Runs that have it.
    guessing : str
        `all` or `some` runs cannot be told from guessing; empty: none.
    to_own, to_shuffle : Difference
        Less that of the target's own, and of the shuffled masks, at the same density.
    """

    condition: str
    experiment_id: str
    level: int
    density: float
    accuracy: Estimate[float]
    runs: int
    guessing: str
    to_own: Difference
    to_shuffle: Difference


ROW = (
    Column("condition", "What is trained on the target: " + "; ".join(
        f"{name}: {what}" for name, what in CONDITIONS.items()
    ) + "."),
    Column("experiment_id", "The experiment that has the runs.", shown="wide"),
    Column("level", "Level of the ticket.", "levels"),
    Column("density", "Density of the network as recorded, mean over runs.", "", ".3g"),
    Column("accuracy", "On the test set, mean over runs.", "fraction", ".4f"),
    *ends("accuracy_low", "accuracy_high", "its 95 % interval", "fraction", ".4f", "wide"),
    Column("runs", "Runs that have the level."),
    Column("guessing", "Whether all or some runs cannot be told from guessing.", shown="if any"),
    Column("to_own", "Accuracy less that of the target's own at the same density.", "fraction",
           SIGNED, "if any"),
    *ends("to_own_low", "to_own_high", "its 95 % interval", "fraction", SIGNED, "if any"),
    Column("pairs", "Pairs of equal seeds behind it; 0: seeds do not pair.", shown="if any"),
    Column("to_shuffle", "Accuracy less that of the shuffled masks.", "fraction", SIGNED,
           "if any"),
    *ends("to_shuffle_low", "to_shuffle_high", "its 95 % interval", "fraction", SIGNED, "if any"),
    Column("matching", "Smallest density at which the condition matches the target's own dense "
           "network.", "", ".3g", "wide"),
    *ends("matching_low", "matching_high", "its 95 % interval", "", ".3g", "wide"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Transfer(Result):
    """Tickets of a source on a task, beside the target's own and controls.

    Attributes
    ----------
    source, source_label : str
        Experiment that the tickets come from; its architecture and task.
    own, task : str
        Experiment of the target's own tickets; the data set.
    cells : tuple of Cell
        By condition and level.
    matching : dict of str to Estimate
        By condition, the smallest density that matches the target's own dense network.
    unit : float
        What one test image is worth; NaN where it is not known.
    verdict : str
        Of the spectra of source and target: `same`, `different`, `undecided`; empty where it is
        the source's own task, or they have none.
    predicted : str
        What the rule of `predict` says; empty where it was not asked.
    notes : tuple of str
        What the numbers alone do not say.
    """

    source: str
    source_label: str
    own: str
    task: str
    cells: tuple[Cell, ...]
    matching: dict[str, Estimate[float]]
    unit: float
    verdict: str
    predicted: str
    notes: tuple[str, ...]

    columns = ROW
    rows = "a row for every condition and level"
    see = "transfer.md#tickets-on-another-task"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return f"tickets of {self.source_label} ({self.source}) on {self.task} ({self.own})"

    def of(self, condition: str) -> list[Cell]:
        """Return the cells of a condition, by level."""
        return [cell for cell in self.cells if cell.condition == condition]

    def _values(self) -> dict[str, Any]:
        return cell_values(self.cells, [self.matching] * len(self.cells))

    def plot(self) -> Figure:
        """Draw accuracy against density by condition."""
        from ..plots.transfer import plot_transfer

        return plot_transfer(self._with_cells())

    def chart(self) -> Chart:
        """Draw it as a chart."""
        from ..charts.transfer import transfer_chart

        return transfer_chart(self._with_cells())

    def _with_cells(self) -> Transfer:
        if not self.cells:
            raise UsageError("no condition has a level that was asked for: nothing to draw")
        return self


def cell_values(
    cells: Sequence[Cell], matching: Sequence[dict[str, Estimate[float]]]
) -> dict[str, Any]:
    """Return the columns `ROW` of cells, with the matching densities of the transfer of each."""
    values: dict[str, list[Any]] = {column.name: [] for column in ROW}
    for cell, found in zip(cells, matching, strict=True):
        row = {
            "condition": cell.condition,
            "experiment_id": cell.experiment_id,
            "level": cell.level,
            "density": cell.density,
            "runs": cell.runs,
            "guessing": cell.guessing,
            "pairs": cell.to_own.pairs if cell.to_own.is_known else None,
            **_spread("accuracy", cell.accuracy),
            **_spread("to_own", cell.to_own.estimate),
            **_spread("to_shuffle", cell.to_shuffle.estimate),
            **_spread("matching", found[cell.condition]),
        }
        for name, column in values.items():
            column.append(row[name])
    return values


def _spread(name: str, found: Estimate[float]) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
