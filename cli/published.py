"""Spectra, curves and flows of the literature as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .output import Table

if TYPE_CHECKING:
    from ..store import PublishedCurve, PublishedFlow, PublishedSpectrum

_PRINTED = ("name", "printed_index", "eigenvalue", "std", "share_start", "source")


def printed_table(spectrum: PublishedSpectrum) -> Table:
    """Show the groups of a published spectrum."""
    rows = [tuple(row[column] for column in _PRINTED) for row in spectrum.to_dicts()]
    started = any(row[_PRINTED.index("share_start")] is not None for row in rows)
    hidden = {"printed_index"} | (set() if started else {"share_start"})
    return Table(
        _PRINTED,
        rows,
        title=spectrum.title,
        notes=spectrum.notes,
        formats={"eigenvalue": ".2f", "share_start": ".4f"},
        shown=tuple(column for column in _PRINTED if column not in hidden),
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


def every_published() -> Table:
    """List the spectra, the curves of error against density and the flows."""
    from ..store import (
        published,
        published_curve,
        published_curve_names,
        published_flow,
        published_flow_names,
        published_names,
    )

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
    for flow in map(published_flow, published_flow_names()):
        levels = flow.kept.shape[1]
        rows.append((flow.name, "flow", flow.label, "none", "layer", levels, flow.source))
    names = ("experiment", "kind", "label", "pretraining", "by", "number", "source")
    note = (
        "rgtool eigen and show take a spectrum, rgtool gamma a curve of error against density; a "
        "flow is taken wherever an experiment is"
    )
    return Table(names, rows, notes=(note,))
