"""`rgtool compact`."""

from __future__ import annotations

from ..options import StoreOption
from ..output import Table, output_options, table_of, warn_of


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
    return table_of(done)
