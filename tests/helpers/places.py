"""Where things lie: the clone, and what may lie beside it."""

from pathlib import Path

CLONE = Path(__file__).parents[2]
SHARED = CLONE.parent / "shared"  # reference data, where there are any
HELPERS = tuple(
    CLONE / "tests" / part for part in ("helpers", "importers/foreign", "importers/hostile")
)
