"""Records on disk, the DuckDB views over them, compaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .broken import Problem
from .inventory import ExperimentInfo, RunInfo
from .result import Result
from .store import Store

if TYPE_CHECKING:
    from .counts import Counts

__all__ = ["Counts", "ExperimentInfo", "Problem", "Result", "RunInfo", "Store"]


def __getattr__(name: str) -> Any:
    if name == "Counts":  # the only name here that needs NumPy
        from .counts import Counts

        return Counts
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
