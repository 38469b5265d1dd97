"""`rgtool ls`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from ...schemas.errors import UsageError
from ..options import StoreOption
from ..output import Table, output_options, say, warn_of
from ..published import every_published

_MANY = 500  # loose runs, from which on queries take a noticeable time


@output_options
def ls(
    runs: Annotated[
        bool, typer.Option("--runs", help="A row per run, not per experiment.")
    ] = False,
    published: Annotated[
        bool, typer.Option("--published", help="What the literature has instead.")
    ] = False,
    store: StoreOption = None,
) -> Table:
    """List what is in the store, or the spectra and curves of the literature.

    Example: rgtool ls --runs
    """
    if published:
        if runs:
            raise UsageError("--runs and --published together: choose one")
        return every_published()

    from ...store import Store
    from ...store.listing import Runs, empty_notes

    opened = Store(store)
    experiments = opened.experiments()
    every = Runs(run for experiment in experiments for run in experiment.runs)
    table = (every if runs else experiments).table()
    warn_of(opened.problems)
    loose = sum(run.finished and not run.compacted for run in every)
    if loose > _MANY:
        say(f"{loose} finished runs lie loose: rgtool compact makes queries quicker")
    return replace(table, notes=empty_notes(opened, table))
