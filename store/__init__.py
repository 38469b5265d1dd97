"""Records on disk, the DuckDB views over them, compaction."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .catalogue.inventory import ExperimentInfo, RunInfo
from .sql.broken import Problem
from .sql.result import Result
from .store import Store

if TYPE_CHECKING:
    from .catalogue.difference import Difference
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
    from .upkeep.check import Check
    from .upkeep.compaction import Compaction
    from .upkeep.medium import Trial
    from .upkeep.merging import MergeReport
    from .upkeep.removal import Removal

__all__ = [
    "Check",
    "Compaction",
    "Counts",
    "Difference",
    "ExperimentInfo",
    "MergeReport",
    "Problem",
    "PublishedCurve",
    "PublishedFlow",
    "PublishedSpectrum",
    "Removal",
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
# What is loaded when it is asked for: it needs NumPy, or is rarely needed.
_MODULES = {
    "Check": "upkeep.check",
    "Compaction": "upkeep.compaction",
    "Counts": "counts",
    "Difference": "catalogue.difference",
    "MergeReport": "upkeep.merging",
    "Removal": "upkeep.removal",
    "Trial": "upkeep.medium",
    **{name: "literature" for name in __all__ if "published" in name.lower()},
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
