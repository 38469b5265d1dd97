"""Tables of spectra, curves and flows of the literature, as they are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..schemas.display import Table

if TYPE_CHECKING:
    from .flows import PublishedFlow
    from .literature import PublishedCurve, PublishedSpectrum

_SPECTRUM = ("name", "printed_index", "eigenvalue", "std", "share_start", "source")


def spectrum_table(spectrum: PublishedSpectrum) -> Table:
    """Show the groups of a published spectrum."""
    rows = [tuple(row[column] for column in _SPECTRUM) for row in spectrum.to_dicts()]
    started = any(row[_SPECTRUM.index("share_start")] is not None for row in rows)
    hidden = {"printed_index"} | (set() if started else {"share_start"})
    return Table(
        _SPECTRUM,
        rows,
        title=spectrum.title,
        notes=spectrum.notes,
        formats={"eigenvalue": ".2f", "share_start": ".4f"},
        shown=tuple(column for column in _SPECTRUM if column not in hidden),
    )


def curve_table(curve: PublishedCurve) -> Table:
    """Show the points of a published curve of error against density."""
    rows = list(
        zip(
            curve.density.tolist(),
            curve.seed,
            curve.accuracy.tolist(),
            curve.runs.tolist(),
            strict=True,
        )
    )
    return Table(
        ("density", "seed", "accuracy", "runs"),
        rows,
        title=f"{curve.name}: {curve.label}; {curve.source}",
        notes=("accuracies are read off a figure",) if curve.digitised else (),
        formats={"density": ".4f", "accuracy": ".4f", "runs": ".0f"},
    )


def flow_table(flow: PublishedFlow) -> Table:
    """Show the levels of a published flow: means over its runs."""
    counts = flow.counts("block")
    density = counts.kept.sum(axis=-1).mean(axis=0) / counts.total.sum()
    least = counts.kept.min(axis=(0, 2))
    columns = (counts.levels, density, flow.accuracy.mean(axis=0), least)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    return Table(
        ("level", "density", "accuracy", "least_kept"),
        rows,
        title=f"{flow.title}, {len(flow.seeds)} runs",
        notes=("least_kept: weights of the smallest block in any run", *counts.notes),
        formats={"density": ".3g", "accuracy": ".4f"},
    )
