"""`rgtool datasets`."""

from __future__ import annotations

from ..options import DataOption
from ..output import Table, output_options


@output_options
def datasets(data: DataOption = None) -> Table:
    """List the data sets: images, classes, and whether they are here or to be downloaded.

    Example: rgtool datasets --data ~/data
    """
    from ...runner.listing import datasets as listed

    return listed(data).table()
