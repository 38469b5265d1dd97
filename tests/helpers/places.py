"""Where things lie in the clone."""

from pathlib import Path

CLONE = Path(__file__).parents[2]
HELPERS = tuple(
    CLONE / "tests" / part
    for part in (
        "helpers",
        "helpers/oracles",
        "helpers/processes",
        "importers/foreign",
        "importers/hostile",
    )
)
