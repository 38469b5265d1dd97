"""What queries of charts say of experiments."""

from __future__ import annotations

from collections.abc import Iterable

from ...schemas.published import PREFIX
from ...store.counts import Counts
from ...store.sql.relations import quote


def is_stored(counts: Counts) -> bool:
    """Tell whether an experiment is one of a store, which SQL reads."""
    return not counts.experiment_id.startswith(PREFIX)


def listed_ids(experiments: Iterable[Counts]) -> str:
    """Write the ids of experiments as SQL lists texts."""
    return ", ".join(quote(one.experiment_id) for one in experiments)
