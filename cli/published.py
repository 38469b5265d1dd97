"""What the literature has, as a table."""

from __future__ import annotations

from .output import Table


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
