"""What stretched tickets reached beside their controls and the target's own: a result."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...schemas.notes import Note, Rank
from ...schemas.words import counted
from ...store import Store
from ..result import Column, Result, ends
from ..transfer.differences import mean_of, paired
from .tickets import Tickets, absent, means, seed_columns, tickets_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANY = ("drawn", "map", "given")  # tickets of which there may be many


@dataclass(frozen=True)
class Line:
    """A ticket of a stretch, and what it is there for.

    Attributes
    ----------
    ticket : str
        `first` or `last` of a ranking, or any `map` of it; `given`, `drawn`; `random map`, as dense
        as the first; or a control of the first.
    experiment : str
        Id of the experiment that trained it.
    """

    ticket: str
    experiment: str


@dataclass(frozen=True, eq=False)
class Stretch(Result):
    """Tickets of one experiment on a network of another depth, with controls.

    Attributes
    ----------
    label : str
        Source and target.
    source, own : str
        Ids of the experiment whose tickets they are, and of the target's own.
    lines : tuple of Line, length C
        The tickets; the first is what the others are held to.
    tickets : Tickets
        What they reached, in this order.
    notes : tuple of str
        What the numbers alone do not say.
    """

    label: str
    source: str
    own: str
    lines: tuple[Line, ...]
    tickets: Tickets
    notes: tuple[str, ...]

    columns = (
        Column("ticket", "first or last of the ranking, a given or a random map, or a control."),
        Column("transform", "source blocks : target blocks of every stage."),
        Column("control", "What was drawn anew, as in the recipe.", shown="wide"),
        Column("experiment", "The experiment that trained it.", shown="wide"),
        Column("level", "Level of the source."),
        Column("seeds", "Seeds that were trained."),
        Column("density", "Of the target with the ticket, mean over seeds.", "", ".4f"),
        Column("accuracy", "Mean test accuracy.", "fraction", ".4f"),
        *ends("accuracy_low", "accuracy_high", "its 95 % interval", "fraction", ".4f", "wide"),
        Column("own", "The target's own ticket at that density.", "fraction", ".4f", "if any"),
        Column("difference", "accuracy minus own, by seed.", "fraction", "+z.4f", "if any"),
        *ends(
            "difference_low", "difference_high", "its 95 % interval", "fraction", "+z.4f", "if any"
        ),
        Column("to_first", "To the ticket listed first, by seed.", "fraction", "+z.4f", "if any"),
        *ends("to_first_low", "to_first_high", "its 95 % interval", "fraction", "+z.4f", "if any"),
    )
    rows = "a row for every ticket and level"
    see = "elastic.md#tickets-that-are-trained"

    @property
    def title(self) -> str:
        """One line that says what this is."""
        return f"{self.label}: stretched tickets beside the own ones of {self.own}"

    def plot(self) -> Figure:
        """Draw accuracies and differences to the own ticket against density."""
        from ..plots.stretch import plot_stretch

        return plot_stretch(self)

    def _values(self) -> dict[str, Any]:
        found, levels = self.tickets, len(self.tickets.levels)
        values: dict[str, Any] = {
            name: np.repeat(np.array(texts), levels)
            for name, texts in (
                ("ticket", [line.ticket for line in self.lines]),
                ("transform", [str(one) for one in found.transforms]),
                ("control", found.controls),
                ("experiment", found.experiments),
            )
        }
        to_first = found.accuracy - found.accuracy[:1]
        to_first[0] = np.nan
        return values | {
            "level": np.tile(np.array(found.levels), len(self.lines)),
            "seeds": np.isfinite(found.accuracy).sum(axis=1).ravel(),
            "density": means(found.density),
            "own": means(found.own),
            **seed_columns("accuracy", found.accuracy, mean_of, found.unit),
            **seed_columns("difference", found.difference, paired, found.unit),
            **seed_columns("to_first", to_first, paired, found.unit),
        }


def stretched_table(
    store: Store,
    label: str,
    source: str,
    own: str,
    lines: Sequence[Line],
    *,
    levels: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    runs: Collection[str] | None = None,
    notes: Sequence[str] = (),
) -> Stretch:
    """Put what tickets reached beside each other.

    Parameters
    ----------
    store : Store
        Where it is.
    label : str
        Source and target, for the title.
    source, own : str
        Ids of the experiment whose tickets they are, and of the target's own.
    lines : sequence of Line
        The tickets; the first is what the others are held to.
    levels, seeds : sequence of int, optional
        Those that are shown; by default all that were trained.
    runs : collection of str, optional
        Ids of the runs of tickets that count; see `tickets_of`.
    notes : sequence of str
        What is to be said beside.

    Raises
    ------
    RgtoolError
        Nothing of them is recorded.
    """
    found = tickets_of(store, [line.experiment for line in lines], own, runs)
    found = found.narrow(levels, seeds)
    known = {line.experiment: line for line in lines}
    there = tuple(known[name] for name in found.experiments)
    made = Stretch(label, source, own, there, found, ())
    said = (*_conclusions(made), *found.notes, *_warnings(made), *notes)
    return replace(made, notes=said)


def _conclusions(made: Stretch) -> Iterator[Note]:
    """Say how the first ticket stands at the sparsest level, to the own one and to the others."""
    frame = made.to_frame()
    level = made.tickets.levels[-1]
    rows = [row for row in frame.iter_rows(named=True) if row["level"] == level]
    first, *others = rows
    yield Note(
        f"{first['ticket']} at level {level} (density {first['density']:.3g}): "
        f"{_told(first, 'difference')} to the target's own ticket at that density",
        rank=Rank.CONCLUSION,
    )
    for row in others:
        if row["ticket"] not in MANY:
            yield Note(f"{row['ticket']}: {_told(row, 'to_first')} to it", rank=Rank.CONCLUSION)
    many = [
        row["to_first"] for row in others if row["ticket"] in MANY and row["to_first"] is not None
    ]
    if many:
        yield Note(
            f"{counted(len(many), 'map')} more: {min(many):+.4f} to {max(many):+.4f} to it",
            rank=Rank.CONCLUSION,
        )


def _told(row: dict[str, Any], name: str) -> str:
    value, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return "nothing can be told"
    return f"{value:+.4f}" + (f" [{low:+.4f}, {high:+.4f}]" if low is not None else "")


def _warnings(made: Stretch) -> Iterator[Note]:
    found = made.tickets
    if len(found.seeds) < 2:
        yield Note("one seed: differences have no interval", rank=Rank.WARNING)
    for level in found.levels:
        yield from (Note(text, rank=Rank.WARNING) for text in absent(found, level))
