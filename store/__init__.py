"""Records on disk, the DuckDB views over them, compaction."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .broken import Problem, Problems
from .inventory import ExperimentInfo, RunInfo
from .result import Result
from .store import Store

if TYPE_CHECKING:
    from .check import Check
    from .compaction import Compaction
    from .counts import Counts
    from .difference import Difference
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
    from .medium import Trial, Trials
    from .merge_report import MergeReport
    from .removal import Removal

__all__ = [
    "Check",
    "Compaction",
    "Counts",
    "Difference",
    "ExperimentInfo",
    "MergeReport",
    "Problem",
    "Problems",
    "PublishedCurve",
    "PublishedFlow",
    "PublishedSpectrum",
    "Removal",
    "Result",
    "RunInfo",
    "Store",
    "Trial",
    "Trials",
    "published",
    "published_curve",
    "published_curve_names",
    "published_flow",
    "published_flow_names",
    "published_names",
]
# What is loaded when it is asked for: it needs NumPy, or is rarely needed.
_MODULES = {
    "Check": "check",
    "Compaction": "compaction",
    "Counts": "counts",
    "Difference": "difference",
    "MergeReport": "merge_report",
    "Removal": "removal",
    "Trial": "medium",
    "Trials": "medium",
    **{name: "literature" for name in __all__ if "published" in name.lower()},
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
