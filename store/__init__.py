"""Records on disk, the DuckDB views over them, compaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .broken import Problem
from .inventory import ExperimentInfo, RunInfo
from .result import Result
from .store import Store

if TYPE_CHECKING:
    from .check import Check
    from .compaction import Compaction
    from .counts import Counts
    from .literature import PublishedSpectrum, published, published_names
    from .medium import Trial
    from .published_curves import PublishedCurve, published_curve, published_curve_names

__all__ = [
    "Check",
    "Compaction",
    "Counts",
    "ExperimentInfo",
    "Problem",
    "PublishedCurve",
    "PublishedSpectrum",
    "Result",
    "RunInfo",
    "Store",
    "Trial",
    "published",
    "published_curve",
    "published_curve_names",
    "published_names",
]
_LITERATURE = ("PublishedSpectrum", "published", "published_names")
_CURVES = ("PublishedCurve", "published_curve", "published_curve_names")


def __getattr__(name: str) -> Any:
    if name == "Counts":  # needs NumPy
        from .counts import Counts

        return Counts
    if name == "Compaction":
        from .compaction import Compaction

        return Compaction
    if name == "Check":
        from .check import Check

        return Check
    if name == "Trial":
        from .medium import Trial

        return Trial
    if name in _LITERATURE:
        from . import literature

        return getattr(literature, name)
    if name in _CURVES:
        from . import published_curves

        return getattr(published_curves, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
