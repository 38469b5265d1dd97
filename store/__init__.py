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
    from .flows import PublishedFlow
    from .literature import (
        PublishedCurve,
        PublishedSpectrum,
        published,
        published_curve,
        published_curve_names,
        published_flow,
        published_flow_names,
        published_names,
    )
    from .medium import Trial

__all__ = [
    "Check",
    "Compaction",
    "Counts",
    "ExperimentInfo",
    "Problem",
    "PublishedCurve",
    "PublishedFlow",
    "PublishedSpectrum",
    "Result",
    "RunInfo",
    "Store",
    "Trial",
    "published",
    "published_curve",
    "published_curve_names",
    "published_flow",
    "published_flow_names",
    "published_names",
]
_LITERATURE = {name for name in __all__ if "published" in name.lower()}


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
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
