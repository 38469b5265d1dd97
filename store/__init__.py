"""Records on disk, the DuckDB views over them, compaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .broken import Problem
from .inventory import ExperimentInfo, RunInfo
from .result import Result
from .store import Store

if TYPE_CHECKING:
    from .compaction import Compaction
    from .counts import Counts

__all__ = ["Compaction", "Counts", "ExperimentInfo", "Problem", "Result", "RunInfo", "Store"]


def __getattr__(name: str) -> Any:
    if name == "Counts":  # needs NumPy
        from .counts import Counts

        return Counts
    if name == "Compaction":
        from .compaction import Compaction

        return Compaction
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
