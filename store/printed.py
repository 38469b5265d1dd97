"""Tables of spectra and curves of the literature, as they are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..schemas.display import Row, Table

_SPECTRUM = ("name", "printed_index", "eigenvalue", "std", "share_start", "source")


def spectrum_table(
    groups: Sequence[Mapping[str, Any]], title: str, notes: tuple[str, ...]
) -> Table:
    """Show the groups of a published spectrum."""
    rows = [tuple(row[column] for column in _SPECTRUM) for row in groups]
    started = any(row[_SPECTRUM.index("share_start")] is not None for row in rows)
    hidden = {"printed_index"} | (set() if started else {"share_start"})
    return Table(
        _SPECTRUM,
        rows,
        title=title,
        notes=notes,
        formats={"eigenvalue": ".2f", "share_start": ".4f"},
        shown=tuple(column for column in _SPECTRUM if column not in hidden),
    )


def curve_table(points: Sequence[Row], title: str, notes: tuple[str, ...]) -> Table:
    """Show the points of a published curve: density, seed, accuracy and runs."""
    return Table(
        ("density", "seed", "accuracy", "runs"),
        points,
        title=title,
        notes=notes,
        formats={"density": ".4f", "accuracy": ".4f", "runs": ".0f"},
    )
