"""Spectra of the literature as tables."""

from __future__ import annotations

from ..schemas.errors import UsageError
from .output import Table

_COLUMNS = ("name", "printed_index", "eigenvalue", "std", "share_start", "source")


def is_published(name: str) -> bool:
    """Tell whether a name means an experiment of the literature: `published:NAME`."""
    from ..store.literature import PREFIX

    return name.startswith(PREFIX)


def spectrum_of(name: str, by: str | None = None, window: str | None = None) -> Table:
    """Show the groups of a published spectrum.

    Parameters
    ----------
    name : str
        `published:NAME`.
    by, window : str, optional
        As the user gave them; a published spectrum has one grouping, and no levels to choose.

    Raises
    ------
    UsageError
        The name is unknown, or the grouping or window cannot be had.
    """
    from ..store import published

    spectrum = published(name)
    if by not in (None, spectrum.by):
        raise UsageError(f"{spectrum.name} is printed by {spectrum.by} alone: leave out --by {by}")
    if window is not None:
        raise UsageError(f"{spectrum.name} has no levels to choose from: leave out --window")
    rows = [tuple(row[column] for column in _COLUMNS) for row in spectrum.to_dicts()]
    started = any(row[_COLUMNS.index("share_start")] is not None for row in rows)
    hidden = {"printed_index"} | (set() if started else {"share_start"})
    return Table(
        _COLUMNS,
        rows,
        title=spectrum.title,
        notes=spectrum.notes,
        formats={"eigenvalue": ".2f", "share_start": ".4f"},
        shown=tuple(column for column in _COLUMNS if column not in hidden),
    )


def every_spectrum() -> Table:
    """List the published spectra."""
    from ..store import published, published_names

    spectra = [published(name) for name in published_names()]
    rows = [(s.name, s.label, s.pretraining, s.by, len(s.names), s.source) for s in spectra]
    return Table(("experiment", "label", "pretraining", "by", "groups", "source"), rows)
