"""The runs of a store that are not finished, and who is at work on them."""

from __future__ import annotations

from dataclasses import replace

from ...store import Store
from .section import Listing, Section


def standing(store: Store) -> Section | None:
    """List the runs that are not finished; None where all are."""
    found = store.standing()
    if not found.stands:
        return None
    table = found.table()
    return Section(
        "standing",
        "Not finished",
        text=(f"{found.said()} at {found.taken_at:%H:%M:%S} UTC.", *table.notes),
        listings=(Listing("standing", replace(table, title="", notes=()), "rgtool status"),),
    )
