"""`rgtool compact`."""

from __future__ import annotations

from ...schemas.records.manifest import some
from ..options import StoreOption
from ..output import Table, output_options, warn_of


@output_options
def compact(store: StoreOption = None) -> Table:
    """Merge the records of finished runs into few large files: queries become quick again.

    Others may train and query meanwhile; killed at any moment, it loses nothing. Masks and weights
    stay where they are.

    Example: rgtool compact
    """
    from ...store import Store

    opened = Store(store)
    done = opened.compact()
    warn_of(opened.problems)
    notes = [f"rows of removed runs are dropped: {some(done.dropped)}"] if done.dropped else []
    if not done.runs and not done.dropped:
        note = "nothing to merge"
        if done.loose:
            note += ": no loose run is finished (one that does not start at level 0 stays loose)"
        notes.append(note)
    return Table(
        ("runs", "records", "loose", "files"),
        [(done.runs, done.records, done.loose, list(done.files))],
        notes=tuple(notes),
    )
