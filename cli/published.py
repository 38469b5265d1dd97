"""Spectra and curves of the literature as tables."""

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


def every_published() -> Table:
    """List the published spectra, and the published curves of error against density."""
    from ..store import published, published_names
    from ..store.literature import published_curve, published_curve_names

    rows: list[tuple[object, ...]] = []
    for spectrum in map(published, published_names()):
        rows.append(
            (
                spectrum.name,
                "spectrum",
                spectrum.label,
                spectrum.pretraining,
                spectrum.by,
                len(spectrum.names),
                spectrum.source,
            )
        )
    for curve in map(published_curve, published_curve_names()):
        levels = len(set(curve.density.tolist()))
        rows.append(
            (curve.name, "curve", curve.label, curve.pretraining, "density", levels, curve.source)
        )
    names = ("experiment", "kind", "label", "pretraining", "by", "number", "source")
    advice = "rgtool eigen and show take a spectrum, rgtool gamma a curve of error against density"
    return Table(names, rows, notes=(advice,))
